import numpy as np
import pytest

from mmseg_mllm.visualization import fonts as module
from mmseg_mllm.visualization.comparison import RunMask, draw_comparison
from mmseg_mllm.visualization.panels import GT_COLOR, OTHER_COLOR, PRED_COLOR, draw_panel


@pytest.fixture
def texts(monkeypatch):
    """Texts drawn on a page, each with its box (left, top, right, bottom)."""
    drawn = []
    original = module.ImageDraw.ImageDraw.text

    def text(self, xy, text, *args, **kwargs):
        drawn.append((text, self.textbbox(xy, text, font=kwargs["font"], anchor=kwargs["anchor"])))
        return original(self, xy, text, *args, **kwargs)

    monkeypatch.setattr(module.ImageDraw.ImageDraw, "text", text)
    return drawn


def masks(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The upper and the left half."""
    upper, left = np.zeros((2, height, width), dtype=bool)
    upper[: height // 2], left[:, : width // 2] = True, True
    return upper, left


def photo(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(60, 180, (height, width, 3), dtype=np.uint8)


def page_of(image: np.ndarray, **changes) -> np.ndarray:
    target, other = masks(*image.shape[:2])
    arguments = dict(
        expression="left man",
        target=target,
        runs=[
            RunMask(name="A", mask=other, iou=1 / 3, rejected=False),
            RunMask(name="B", mask=target, iou=1.0, rejected=True),
        ],
        foot=["refcoco val", "A: a.json"],
    )
    return draw_comparison(image=image, **arguments | changes)


def test_four_panels_stand_side_by_side(texts):
    image = photo(75, 100)
    target, other = masks(75, 100)
    page = page_of(image)
    assert [text for text, _ in texts] == [
        *("“left man”", "image", "target", "A   IoU 33.3", "B   IoU 100.0, rejected"),
        *("refcoco val", "A: a.json"),
    ]
    top = int(texts[1][1][3]) + 1
    parts = [(None, None), (target, GT_COLOR), (other, PRED_COLOR), (target, OTHER_COLOR)]
    for column, (mask, color) in enumerate(parts):
        panel = draw_panel(image=image, mask=mask, color=color, size=(400, 300))
        x = 16 + column * 416
        strips = page[top : top + 320, x : x + 400]
        assert any(np.array_equal(strips[y : y + 300], panel) for y in range(20))


def test_missing_targets_and_masks_are_said(texts):
    image = photo(60, 60)
    empty = np.zeros((60, 60), dtype=bool)
    runs = [
        RunMask(name="A", mask=empty, iou=1.0, rejected=True),
        RunMask(name="B", mask=empty, iou=0.0, rejected=False),
    ]
    page_of(image, target=None, runs=runs)
    assert [text for text, _ in texts if text in ("no target", "empty mask")] == [
        *("no target", "no target", "empty mask")
    ]


@pytest.mark.parametrize(("height", "width"), [(96, 96), (15, 20), (900, 100), (20, 2000)])
def test_every_text_stays_on_the_page_and_apart_from_others(texts, height, width):
    empty = np.zeros((height, width), dtype=bool)
    runs = [RunMask(name=name, mask=empty, iou=1.0, rejected=True) for name in "AB"]
    page = page_of(
        photo(height, width),
        expression="the third man from the left " * 30,
        runs=runs,
        foot=["B: " + "work_dirs/" * 200],
    )
    for text, (left, top, right, bottom) in texts:
        assert 0 <= left < right <= page.shape[1], text
        assert 0 <= top < bottom <= page.shape[0], text
    boxes = [box for _, box in texts]
    for i, a in enumerate(boxes):
        for b in boxes[i + 1 :]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
