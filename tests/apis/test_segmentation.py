import json

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from mmseg_mllm.apis import Segmentation, Segmentations
from mmseg_mllm.errors import ConfigError

HEIGHT, WIDTH = 40, 60


def square(*, rows: slice, columns: slice, exists: bool = True, text: str = "the dog") -> Segmentation:
    """A map of the image's own size, so that the mask is known."""
    probabilities = np.zeros((HEIGHT, WIDTH), np.float32)
    probabilities[rows, columns] = 0.9
    return Segmentation(
        expression=text,
        score=2.0 if exists else -2.0,
        exists=exists,
        map=probabilities,
        size=(HEIGHT, WIDTH),
        picture=Image.new("RGB", (WIDTH, HEIGHT), (50, 60, 70)),
    )


@pytest.fixture
def found():
    return square(rows=slice(10, 20), columns=slice(30, 50))


@pytest.fixture
def answer(found):
    nothing = square(rows=slice(0, 0), columns=slice(0, 0), text="a cat")
    absent = square(rows=slice(0, 5), columns=slice(0, 5), exists=False, text="a bird")
    other = square(rows=slice(0, 40), columns=slice(0, 10), text="left wall")
    return Segmentations([found, nothing, absent, other], size=found.size, picture=found.picture)


def test_mask_box_and_area(found):
    wanted = np.zeros((HEIGHT, WIDTH), bool)
    wanted[10:20, 30:50] = True
    assert found.mask.dtype == bool
    assert np.array_equal(found.mask, wanted)
    assert found.box == (30, 10, 49, 19)
    assert found.area == 200
    assert found.probability[15, 40] == np.float32(0.9)
    empty = square(rows=slice(0, 0), columns=slice(0, 0))
    assert empty.box == (0, 0, 0, 0)
    assert not empty.mask.any()
    assert empty.polygons() == []


def test_a_coco_tool_reads_it(found, tmp_path):
    content = dict(
        info={},
        images=[dict(id=7, height=HEIGHT, width=WIDTH, file_name="x.jpg")],
        categories=[dict(id=3, name="the dog")],
        annotations=[found.to_coco(id=5, image_id=7, category_id=3)],
    )
    (tmp_path / "coco.json").write_text(json.dumps(content))
    coco = COCO(tmp_path / "coco.json")
    (annotation,) = coco.loadAnns(coco.getAnnIds(imgIds=7, catIds=3))
    assert np.array_equal(coco.annToMask(annotation).astype(bool), found.mask)
    assert annotation["bbox"] == [30, 10, 20, 10]
    assert annotation["area"] == 200
    annotation["segmentation"] = found.polygons()
    assert np.array_equal(coco.annToMask(annotation).astype(bool), found.mask)


def test_a_mask_is_saved_pixel_by_pixel(found, tmp_path):
    found.save(tmp_path / "mask.png")
    assert np.array_equal(np.array(Image.open(tmp_path / "mask.png")), found.mask * np.uint8(255))
    with pytest.raises(ConfigError, match=r"\.png"):
        found.save(tmp_path / "mask.jpg")
    with pytest.raises(ConfigError, match="can't be written"):
        found.save(tmp_path / "no" / "mask.png")


def test_the_overlay_shows_what_is_there_as_it_is_and_dims_the_rest(answer):
    picture = answer.plot()
    pixels = np.array(picture)
    scale = 480 / WIDTH  # small images are enlarged
    assert picture.width == 480
    assert picture.height > 480 * HEIGHT / WIDTH  # the legend

    def at(x: int, y: int) -> tuple:
        return tuple(pixels[round((y + 0.5) * scale), round((x + 0.5) * scale)])

    ground = (50, 60, 70)
    assert at(20, 30) == (20, 24, 28)
    assert at(2, 2) == at(5, 30) == at(40, 15) == ground  # wall and dog; the bird is not there
    assert answer[0].plot().width == 480


def test_what_is_switched_off_is_not_drawn_and_colours_stay(answer):
    def colours(picture: Image.Image) -> set:
        return {tuple(pixel) for pixel in np.array(picture).reshape(-1, 3).tolist()}

    dog, wall = (240, 110, 0), (204, 121, 167)  # the first and the fourth
    both, one, none = (answer.plot(shown=shown, legend=False) for shown in (None, [3], []))
    assert both.size == one.size == none.size == (480, 320)  # no legend
    assert {dog, wall} <= colours(both)
    assert dog not in colours(one)
    assert wall in colours(one)
    assert colours(none) == {(50, 60, 70)}
    assert dog not in colours(answer.plot(shown=[3]))  # nor in the legend


def test_supervision_takes_it(answer):
    pytest.importorskip("supervision")
    detections = answer.to_supervision()
    assert detections.class_id.tolist() == [0, 3]
    assert detections.data["class_name"].tolist() == ["the dog", "left wall"]
    assert detections.xyxy.tolist() == [[30, 10, 49, 19], [0, 0, 9, 39]]
    assert detections.mask.sum(axis=(1, 2)).tolist() == [200, 400]
    assert detections.area.tolist() == [200, 400]
    assert detections.confidence == pytest.approx([0.880797] * 2)
    assert len(Segmentations([], size=answer.size, picture=answer.picture).to_supervision()) == 0


def test_supervision_that_is_not_there_is_told(answer, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "supervision", None)
    with pytest.raises(ConfigError, match="pip install"):
        answer.to_supervision()
