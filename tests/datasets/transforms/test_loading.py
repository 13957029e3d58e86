import numpy as np
import pytest
from PIL import Image

from mmseg_mllm.datasets import LoadReferringMasks, LoadRGBImage, RefCOCODataset
from mmseg_mllm.errors import DataError

RGB = np.random.default_rng(0).integers(0, 256, (20, 33, 3), dtype=np.uint8)


def load(path, **stated) -> dict:
    return LoadRGBImage()(dict(img_path=str(path), **stated))


def test_image_is_read_as_rgb(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.png")
    results = load(tmp_path / "a.png", height=20, width=33)
    assert results["img"].dtype == np.uint8
    assert np.array_equal(results["img"], RGB)
    assert results["ori_shape"] == results["img_shape"] == (20, 33)


def test_greyscale_becomes_three_equal_channels(tmp_path):
    Image.fromarray(RGB[..., 0]).save(tmp_path / "a.png")
    assert np.array_equal(load(tmp_path / "a.png")["img"], np.repeat(RGB[..., :1], 3, axis=2))


def test_palette_is_looked_up(tmp_path):
    image = Image.fromarray(RGB[..., 0] % 4, mode="P")
    colours = np.array([[10, 20, 30], [255, 0, 0], [0, 200, 0], [1, 2, 3]], dtype=np.uint8)
    image.putpalette(colours.ravel().tolist())
    image.save(tmp_path / "a.png")
    assert np.array_equal(load(tmp_path / "a.png")["img"], colours[RGB[..., 0] % 4])


def test_transparency_is_dropped(tmp_path):
    alpha = RGB[..., 1:2]
    Image.fromarray(np.concatenate([RGB, alpha], axis=2)).save(tmp_path / "a.png")
    assert np.array_equal(load(tmp_path / "a.png")["img"], RGB)


def test_cmyk_becomes_the_colours_it_prints(tmp_path):
    inks = {
        (255, 0, 0, 0): (0, 255, 255),
        (0, 255, 0, 0): (255, 0, 255),
        (0, 0, 255, 0): (255, 255, 0),
        (0, 0, 0, 255): (0, 0, 0),
        (0, 0, 0, 0): (255, 255, 255),
        (255, 255, 0, 0): (0, 0, 255),
    }
    image = Image.fromarray(np.array([list(inks)], dtype=np.uint8), mode="CMYK")
    image.save(tmp_path / "a.tif")
    assert load(tmp_path / "a.tif")["img"][0].tolist() == [list(colour) for colour in inks.values()]


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_exif_rotation_is_not_applied_unasked(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(RGB).save(tmp_path / "plain.jpg")
    Image.fromarray(RGB).save(tmp_path / "rotated.jpg", exif=exif)
    with Image.open(tmp_path / "rotated.jpg") as image:
        assert image.getexif()[0x0112] == orientation
    rotated = load(tmp_path / "rotated.jpg", height=20, width=33)
    assert rotated["ori_shape"] == (20, 33)
    assert np.array_equal(rotated["img"], load(tmp_path / "plain.jpg")["img"])
    upright = load(tmp_path / "rotated.jpg", upright=True)["img"]
    assert np.array_equal(upright, np.rot90(rotated["img"], {3: 2, 6: -1, 8: 1}[orientation]))


@pytest.mark.parametrize("upright", [True, False])
def test_another_size_for_a_turn_names_it(tmp_path, upright):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RGB).save(tmp_path / "a.jpg", exif=exif)
    stated = dict(height=20, width=33) if upright else dict(height=33, width=20)
    with pytest.raises(DataError, match="EXIF turn, which is " + ("applied" if upright else "not applied")):
        load(tmp_path / "a.jpg", upright=upright, **stated)
    Image.fromarray(RGB).save(tmp_path / "b.jpg")
    with pytest.raises(DataError, match=r"don't belong together$"):
        load(tmp_path / "b.jpg", height=33, width=20)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.gif", "a.tif"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_truncated_files(tmp_path, name, share):
    path = tmp_path / name
    Image.fromarray(RGB).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DataError) as caught:
        load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"<html>404 not found</html>", b"\xff\xd8\xff" + b"\x00" * 99])
def test_files_that_are_no_image(tmp_path, content):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_missing_file_and_folder(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere.jpg"):
        with pytest.raises(DataError) as caught:
            load(path)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize(("height", "width"), [(33, 20), (20, 32), (21, 33), (640, 480)])
def test_image_of_another_size_than_annotated(tmp_path, height, width):
    Image.fromarray(RGB).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=rf"a\.png.*33x20.*{width}x{height}"):
        load(tmp_path / "a.png", height=height, width=width)


def targets_of(expressions: list[tuple[int, ...]], annotations: dict, shape: tuple[int, int], **more) -> dict:
    results = dict(
        **more,
        dataset="refcoco",
        img_id=11,
        ori_shape=shape,
        img_shape=(96, 96),
        expressions=[dict(text="it", ann_ids=ids) for ids in expressions],
        annotations=annotations,
    )
    return LoadReferringMasks()(results)


def masks_of(*arguments) -> np.ndarray:
    return targets_of(*arguments)["gt_masks"]


def boxes_of(*arguments, **more) -> list[list[float]]:
    boxes = targets_of(*arguments, **more)["gt_bboxes"]
    assert boxes.dtype == np.float32
    return boxes.tolist()


def test_each_expression_gets_the_union_of_its_annotations():
    annotations = {
        5: dict(segmentation=[[1, 1, 4, 1, 4, 3, 1, 3]]),
        6: dict(segmentation=dict(size=[6, 8], counts=[0, 6, 42])),
    }
    box, column = np.zeros((2, 6, 8), dtype=bool)
    box[1:3, 1:4] = True
    column[:, 0] = True
    masks = masks_of([(6,), (5,), (), (5, 6), (6,)], annotations, (6, 8))
    assert masks.dtype == bool
    assert np.array_equal(masks, [column, box, np.zeros((6, 8), bool), box | column, column])


def test_masks_of_a_dataset(refer_root):
    dataset = RefCOCODataset(
        data_root=str(refer_root),
        ann_file="refcoco/instances.json",
        split_file="refcoco/refs(unc).p",
        data_prefix=dict(img_path="images"),
        split="testA",
        pipeline=[LoadRGBImage(), LoadReferringMasks()],
    )
    results = dataset[0]
    assert results["img"].shape == (50, 25, 3)
    assert results["gt_masks"].shape == (1, 50, 25)
    assert results["gt_masks"][0, :, 10:].all()
    assert not results["gt_masks"][0, :, :10].any()
    assert results["gt_bboxes"].tolist() == [[10, 0, 25, 50]]


def test_unreadable_segmentation_names_its_place():
    with pytest.raises(DataError, match="refcoco image 11, annotation 5"):
        masks_of([(5,)], {5: dict(segmentation=[[1, 1, 4, 1, float("nan"), 3]])}, (6, 8))


SQUARE = [[1, 1, 4, 1, 4, 3, 1, 3]]  # covers columns 1 to 3 of rows 1 and 2


def test_each_expression_gets_the_box_around_its_annotations():
    annotations = {
        5: dict(segmentation=SQUARE, bbox=[1.25, 1, 2.5, 2]),
        6: dict(segmentation=[[6, 0, 8, 0, 8, 6]], bbox=[6, 0.5, 1.75, 5]),
    }
    boxes = boxes_of([(6,), (5,), (), (5, 6), (6,)], annotations, (6, 8))
    six = [6, 0.5, 7.75, 5.5]
    assert boxes == [six, [1.25, 1, 3.75, 3], [0, 0, 0, 0], [1.25, 0.5, 7.75, 5.5], six]


@pytest.mark.parametrize(
    "bbox",
    [
        None,
        [],
        [1, 1, 3],
        [1, 1, 3, 2, 0],
        [[1, 1], [3, 2, 4]],
        "1123",
        dict(x=1),
        [1, 1, None, 2],
        [1, 1, float("nan"), 2],
        [1, 1, float("inf"), 2],
        [1, 1, 10**400, 2],
        [1, 1, -3, 2],
        [1, 1, 0, 2],
        [900, 1, 3, 2],
    ],
)
def test_a_missing_or_wrong_box_is_taken_from_the_mask(bbox):
    annotations = {
        5: dict(segmentation=SQUARE, bbox=bbox),
        6: dict(segmentation=SQUARE),
        7: dict(segmentation=SQUARE, bbox=[5, 2, 2, 3]),
    }
    boxes = boxes_of([(5,), (6,), (5, 7)], annotations, (6, 8))
    assert boxes == [[1, 1, 3, 2], [1, 1, 3, 2], [1, 1, 7, 5]]


def test_an_annotation_of_nothing_does_not_widen_the_box():
    annotations = {5: dict(segmentation=[]), 7: dict(segmentation=SQUARE, bbox=[5, 2, 2, 3])}
    boxes = boxes_of([(5,), (5, 7)], annotations, (6, 8), may_cover_nothing=True)
    assert boxes == [[0, 0, 0, 0], [5, 2, 7, 5]]


@pytest.mark.parametrize("shape", [[[3, 2, 3, 2, 3, 2]], dict(size=[6, 8], counts=[48])])
def test_a_target_of_no_pixel_is_an_error(shape):
    annotations = {5: dict(segmentation=shape), 7: dict(segmentation=SQUARE)}
    for ids in [(5,), (5, 7)]:  # also beside a whole one
        with pytest.raises(
            DataError, match="refcoco image 11, annotation 5: its segmentation covers no pixel"
        ):
            masks_of([(7,), ids], annotations, (6, 8))
    assert targets_of([(5, 7)], annotations, (6, 8), may_cover_nothing=True)["gt_masks"].any()


def test_an_annotated_box_may_reach_out_of_the_image():
    # As RefCOCO's do by parts of a pixel.
    annotations = {5: dict(segmentation=SQUARE, bbox=[-0.25, 1, 9, 2])}
    assert boxes_of([(5,)], annotations, (6, 8)) == [[-0.25, 1, 8.75, 3]]
