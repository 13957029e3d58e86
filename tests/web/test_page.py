"""The page in a real browser, with the model that comes with the package."""

import json
import urllib.error
import urllib.request
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from helpers.browser import Browser, browser
from PIL import Image
from pycocotools import mask as coco_mask

from mmseg_mllm.apis import RESPredictor
from mmseg_mllm.toy.scene import sample_scene

ROOT = Path(__file__).parents[2]
SCENE = ROOT / "demo" / "scene.png"
TRIANGLE, STAR = "the topmost small triangle", "second cyan star from the left"
SHIFT_ENTER = ("\ue008", "\ue007")
"""As WebDriver writes these keys."""
DIMMED = 0.6
"""What is outside of all masks has less than this of its light."""


@pytest.fixture(scope="module")
def address():
    pytest.importorskip("gradio", reason="gradio is not installed: no test of the page")
    from mmseg_mllm.web.serve import page_server

    predictor = RESPredictor.from_pretrained("tiny", device="cpu")
    with page_server(predictor=predictor, model="**tiny**") as address:
        yield address


@pytest.fixture(scope="module")
def downloads(tmp_path_factory):
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def shared_browser(address, downloads):
    with browser(downloads) as started:
        yield started


@pytest.fixture
def page(shared_browser, address) -> Browser:
    """A session of its own."""
    open_page(shared_browser, address)
    return shared_browser


def open_page(page: Browser, address: str) -> None:
    page.driver.get(address)
    page.one("#image input[type=file]")


@pytest.fixture(scope="module")
def truth() -> dict[str, np.ndarray]:
    """What the scene's own drawing says is visible of the things asked for."""
    objects = sample_scene(seed=5, split="val", index=5).objects
    triangles = [thing for thing in objects if (thing.size, thing.shape) == ("small", "triangle")]
    stars = [thing for thing in objects if (thing.colour, thing.shape) == ("cyan", "star")]
    topmost = min(triangles, key=lambda thing: thing.centre[1])
    _, second = sorted(stars, key=lambda thing: thing.centre[0])
    return {TRIANGLE: topmost.visible, STAR: second.visible}


def upload(page: Browser, path: Path) -> None:
    page.one("#image input[type=file]").send_keys(str(path))


def ask(page: Browser, *sentences: str, done: str) -> None:
    field = page.one("#sentences textarea")
    field.clear()
    field.send_keys("\n".join(sentences), *SHIFT_ENTER)
    page.wait(lambda: any(done in text for text in page.texts("#note")))


def light(page: Browser, region: np.ndarray) -> float:
    """How bright a region of the scene is on the screen, as a share of what it is in the file."""
    scene = np.asarray(Image.open(SCENE).convert("RGB"), np.float32)
    seen = Image.open(BytesIO(page.one("#picture img").screenshot_as_png)).convert("RGB")
    pixels = np.asarray(seen.resize(scene.shape[1::-1], Image.Resampling.BOX), np.float32)
    return float(pixels[region].mean() / scene[region].mean())


def core(visible: np.ndarray) -> np.ndarray:
    """The middle of a thing, where no outline is."""
    rows, columns = np.nonzero(visible)
    region = np.zeros_like(visible)
    y, x = round(rows.mean()), round(columns.mean())
    region[y - 1 : y + 2, x - 1 : x + 2] = True
    return region


def test_upload_ask_ask_again_switch_off_and_download(page, truth, downloads):
    triangle, star = core(truth[TRIANGLE]), core(truth[STAR])
    upload(page, SCENE)
    page.wait(lambda: any("128 x 96 pixels, seen in" in text for text in page.texts("#note")))
    page.wait(lambda: page.all("#picture img"))
    assert light(page, star) > 0.9

    ask(page, TRIANGLE, done="1 sentence in")
    page.wait(lambda: light(page, star) < DIMMED)
    assert light(page, triangle) > 0.9
    ask(page, TRIANGLE, STAR, done="1 new sentence in")
    page.wait(lambda: light(page, star) > 0.9)
    assert light(page, triangle) > 0.9
    captions = page.texts("#legend label")
    assert [caption.split(" — there, score +")[0] for caption in captions] == [TRIANGLE, STAR]

    page.all("#legend label")[0].click()
    page.wait(lambda: light(page, triangle) < DIMMED)
    assert light(page, star) > 0.9

    for button, name in (("#json", "scene_masks.json"), ("#png", "scene_masks.png")):
        page.one(button).click()
        page.wait(lambda name=name: (downloads / name).is_file() and (downloads / name).stat().st_size)
    content = json.loads((downloads / "scene_masks.json").read_text())
    assert (content["image"], content["width"], content["height"]) == ("scene.png", 128, 96)
    for result in content["results"]:
        mask, wanted = coco_mask.decode(result["rle"]).astype(bool), truth[result["expression"]]
        assert (mask & wanted).sum() > 0.6 * (mask | wanted).sum()
    kept = Image.open(downloads / "scene_masks.png")
    assert kept.width == 480
    assert kept.height > 360  # the legend
    assert all(url.startswith(("http://127.0.0.1:", "data:", "blob:")) for url in page.requested())


def test_mistakes_are_noticed_and_the_page_goes_on(page, tmp_path):
    def told(words: str) -> None:
        """A notice with these words, which is closed then."""
        (text,) = page.wait(lambda: [text for text in page.texts(".toast-body") if words in text])
        assert "Traceback" not in text
        for button in page.all(".toast-close"):
            button.click()
        page.wait(lambda: not page.all(".toast-body"))

    page.one("#ask").click()
    told("no image yet")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    upload(page, tmp_path / "broken.png")
    told("the image: ")
    page.wait(lambda: page.all("#image input[type=file]"))  # ready for the next one
    upload(page, SCENE)
    page.wait(lambda: any("pixels, seen" in text for text in page.texts("#note")))
    ask(page, TRIANGLE, done="1 sentence in")
    page.one("#sentences textarea").send_keys("\n<b>any</b> [SEG]")
    page.one("#ask").click()
    told("<b>any</b> [SEG]")  # as text
    assert len(page.all("#legend label")) == 1  # what was there stays


def test_sessions_side_by_side_see_their_own_images(page, address):
    first = page.driver.current_window_handle
    page.all(".gallery-item")[0].click()
    page.wait(lambda: len(page.all("#legend label")) == 2)
    one = page.texts("#legend label")
    page.driver.switch_to.new_window("tab")
    try:
        open_page(page, address)
        page.wait(lambda: page.all(".gallery-item"))[2].click()
        page.wait(lambda: len(page.all("#legend label")) == 3)
        other = Image.open(BytesIO(page.one("#picture img").screenshot_as_png)).size
    finally:
        page.driver.close()
        page.driver.switch_to.window(first)
    assert page.texts("#legend label") == one
    page.one("#sentences textarea").send_keys("\nlarge star")
    page.one("#ask").click()
    page.wait(lambda: any("1 new sentence in" in text for text in page.texts("#note")))
    shown = Image.open(BytesIO(page.one("#picture img").screenshot_as_png)).size
    assert shown[0] / shown[1] == pytest.approx(128 / 96, rel=0.02)
    assert other[0] / other[1] == pytest.approx(1, rel=0.02)


def test_no_file_of_the_machine_is_given_away(address):
    for path in ("/etc/passwd", ROOT / "setup.py", Path("/proc/self/environ")):
        with pytest.raises(urllib.error.HTTPError) as refused:
            fetched(f"{address}gradio_api/file={path}")
        refused.value.close()
        assert refused.value.code in (403, 404)


def test_only_uploads_are_looked_at(address):
    functions = json.loads(fetched(f"{address}config"))["dependencies"]
    look = next(f["id"] for f in functions if f["targets"] and f["targets"][0][1] == "input")

    def looked_at(path: str) -> bool:
        file = dict(path=path, meta={"_type": "gradio.FileData"})
        post(f"{address}gradio_api/queue/join", dict(data=[file], fn_index=look, session_hash="other"))
        with urllib.request.urlopen(
            f"{address}gradio_api/queue/data?session_hash=other", timeout=20
        ) as events:
            done = next(line for line in events if b"process_completed" in line)
        return json.loads(done.removeprefix(b"data: "))["success"]

    (uploaded,) = json.loads(post(f"{address}gradio_api/upload", SCENE.read_bytes()))
    assert looked_at(uploaded)
    assert not looked_at(str(SCENE))
    assert not looked_at("/etc/passwd")


def test_too_large_an_upload_is_refused(address):
    with pytest.raises(urllib.error.HTTPError) as refused:
        post(f"{address}gradio_api/upload", bytes(33 * 2**20))
    refused.value.close()
    assert refused.value.code == 413


def fetched(request: str | urllib.request.Request) -> bytes:
    with urllib.request.urlopen(request) as answer:
        return answer.read()


def post(url: str, content: dict | bytes) -> bytes:
    """The answer to JSON, or a file as a form sends it."""
    kind = "application/json" if isinstance(content, dict) else "multipart/form-data; boundary=x"
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    body = json.dumps(content).encode() if isinstance(content, dict) else head + content + b"\r\n--x--\r\n"
    return fetched(urllib.request.Request(url, body, {"Content-Type": kind}))
