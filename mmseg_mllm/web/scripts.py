"""What the page does in the browser alone."""

SHOW_PICTURE = """() => {
    const picture = document.querySelector("#picture");
    if (window.innerWidth < 768) picture.scrollIntoView({behavior: "smooth"});
}"""
"""In a narrow window the picture is below what was clicked."""

SAVE_FILE = "() => document.querySelector('#file').click()"
"""Files are made when they are wanted: their address is known only then."""

TAKE_PASTED = """() => document.addEventListener("paste", event => {
    const image = [...event.clipboardData.files].find(file => file.type.startsWith("image/"));
    const input = document.querySelector("#image input[type=file]");
    if (!image || !input) return;
    const files = new DataTransfer();
    files.items.add(image);
    input.files = files.files;
    input.dispatchEvent(new Event("change", {bubbles: true}));
})"""
"""Ctrl + V anywhere. Gradio's button reads the clipboard only where browsers let it: https, this machine."""
