"""The page."""

import functools
import html
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache

from mmseg_mllm.errors import MMSegMLLMError
from mmseg_mllm.web.asking import Asked, Asker
from mmseg_mllm.web.files import captions, picture_png, results_json, shown_jpeg
from mmseg_mllm.web.image_file import ImageFile
from mmseg_mllm.web.scripts import SAVE_FILE, SHOW_PICTURE, TAKE_PASTED

EXAMPLES = {
    "shapes.png": ["the topmost small triangle", "second cyan star from the left"],
    "triangles.png": ["the blue triangle above the small blue triangle", "large shape in the middle"],
    "stars.png": ["yellow star below the small star", "large purple triangle", "small star"],
}
"""Images of the folder ``examples`` with sentences for them."""
CLEAN_UP_EVERY, KEEP_FILES = 600, 4 * 3600
"""Seconds."""
MAX_WAITING = 64
"""Questions that wait for their turn; further ones are refused with a notice."""


def build_page(*, asker: Asker, model: str, files: Path) -> gr.Blocks:
    """The page, not served yet.

    Args:
        asker: For all sessions.
        model: What is said of the model, Markdown.
        files: Folder of uploads and of what is given away; the one that Gradio uses.
    """
    with gr.Blocks(
        title="mmseg_mllm", analytics_enabled=False, delete_cache=(CLEAN_UP_EVERY, KEEP_FILES)
    ) as page:
        gr.Markdown(f"# A mask for a sentence\n{model}")
        held = gr.State(None)
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                image = ImageFile(
                    label="Image", sources=["upload", "clipboard"], height=260, buttons=[], elem_id="image"
                )
                examples = gr.Row()
                text = gr.Textbox(
                    label="Sentences, one per line",
                    placeholder="the man in red\nthe dog",
                    info="Shift + Enter asks",
                    lines=3,
                    max_lines=10,
                    elem_id="sentences",
                )
                ask = gr.Button("Find", variant="primary", elem_id="ask")
            with gr.Column(scale=3, min_width=300):
                picture = gr.Image(
                    label="Masks", interactive=False, buttons=["fullscreen"], elem_id="picture"
                )
                note = gr.Markdown(elem_id="note")
                legend = gr.CheckboxGroup(
                    label="Click to switch a mask off or on",
                    info="Score: above 0 there, below 0 not there. It does not grade the mask.",
                    visible=False,
                    elem_id="legend",
                )
                with gr.Row(visible=False) as keep:
                    keep_picture = gr.Button("Picture as PNG", size="md", elem_id="png")
                    keep_results = gr.Button("Masks as JSON", size="md", elem_id="json")
                file = gr.DownloadButton(visible="hidden", elem_id="file")

        outputs = [held, picture, note, legend, keep]
        nothing = [None, None, "", gr.update(visible=False), gr.update(visible=False)]

        def kept(content: bytes, asked: Asked, ending: str) -> str:
            return save_bytes_to_cache(content, f"{Path(asked.image).stem}{ending}", str(files))

        def show(asked: Asked) -> list:
            chosen = list(range(len(asked.results)))
            choices = list(zip(captions(asked), chosen, strict=True))
            return [
                asked,
                kept(shown_jpeg(asked, chosen), asked, "_masks.jpg"),
                asked.note,
                gr.update(choices=choices, value=chosen, visible=bool(chosen)),
                gr.update(visible=bool(chosen)),
            ]

        def on_image(path: str | None) -> list:
            return [*nothing, None] if path is None else [*show(asker.look(path)), gr.skip()]

        def on_ask(path: str | None, text: str, before: Asked | None = None) -> list:
            return show(asker.ask(path, text, before=before))

        def on_switch(asked: Asked | None, shown: list[int]) -> str:
            return kept(shown_jpeg(_there(asked), shown), asked, "_masks.jpg")

        def on_keep_picture(asked: Asked | None, shown: list[int]) -> str:
            return kept(picture_png(_there(asked), shown), asked, "_masks.png")

        def on_keep_results(asked: Asked | None) -> str:
            return kept(results_json(_there(asked)), asked, "_masks.json")

        page.load(None, js=TAKE_PASTED)
        own = dict(api_visibility="private")
        image.input(told(on_image, otherwise=[*nothing, None]), image, [*outputs, image], **own)
        ask_told = told(on_ask, otherwise=gr.skip())
        asked = gr.on([ask.click, text.submit], ask_told, [image, text, held], outputs, **own)
        asked.success(None, js=SHOW_PICTURE)
        quick = dict(trigger_mode="always_last", show_progress="hidden")
        legend.input(on_switch, [held, legend], picture, **own, **quick)
        for button, make, inputs in (
            (keep_picture, on_keep_picture, [held, legend]),
            (keep_results, on_keep_results, [held]),
        ):
            button.click(make, inputs, file, **own).success(None, js=SAVE_FILE)
        folder = Path(__file__).parent / "examples"
        with examples:
            gr.Examples(
                [[str(folder / name), "\n".join(sentences)] for name, sentences in EXAMPLES.items()],
                [image, text],
                outputs,
                ask_told,
                run_on_click=True,
                visible_columns=[0],
                cache_examples=False,
                api_visibility="private",
            )
    return page.queue(max_size=MAX_WAITING, default_concurrency_limit=2)


def told(function: Callable, *, otherwise: Any) -> Callable:
    """The function with errors that are meant for people as notices, and ``otherwise`` as its result then."""

    @functools.wraps(function)
    def run(*arguments):
        try:
            return function(*arguments)
        except MMSegMLLMError as error:
            gr.Warning(html.escape(str(error)), title="Not done")  # Gradio takes it for HTML
            return otherwise

    return run


def _there(asked: Asked | None) -> Asked:
    if asked is None:
        raise gr.Error("This page has waited for long: find the masks again", print_exception=False)
    return asked
