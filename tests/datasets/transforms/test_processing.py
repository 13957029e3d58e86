import io
import random
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from mmseg_mllm.datasets import RandomJPEGQuality, ResizeToInput, SampleExpressions

PHOTO = np.array(
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)).resize((45, 37))
)


@pytest.fixture(autouse=True)
def _seed():
    random.seed(0)


def draws(count: int, most: int, times: int) -> list[list[int]]:
    expressions = [dict(text=f"expression {i}", sent_id=i) for i in range(count)]
    transform = SampleExpressions(max_expressions=most)
    drawn = [transform(dict(expressions=expressions))["expressions"] for _ in range(times)]
    assert [e["sent_id"] for e in expressions] == list(range(count))
    assert all(e is expressions[e["sent_id"]] for draw in drawn for e in draw)
    return [[e["sent_id"] for e in draw] for draw in drawn]


@pytest.mark.parametrize(("count", "most", "kept"), [(9, 5, 5), (5, 5, 5), (3, 5, 3), (1, 1, 1), (7, 1, 1)])
def test_at_most_that_many_and_none_twice(count, most, kept):
    for draw in draws(count, most, 30):
        assert len(draw) == len(set(draw)) == kept


def test_drawn_anew_and_evenly():
    drawn = draws(6, 2, 600)
    assert len({tuple(sorted(draw)) for draw in drawn}) == 15
    seen = Counter(i for draw in drawn for i in draw)
    assert sorted(seen) == list(range(6))
    assert all(150 < times < 250 for times in seen.values())


@pytest.mark.parametrize(("size", "shape"), [(28, (28, 28)), ((28, 42), (28, 42))])
def test_image_is_resized_as_pillow_does(size, shape):
    results = ResizeToInput(size=size)(dict(img=PHOTO, ori_shape=(37, 45), img_shape=(37, 45)))
    expected = Image.fromarray(PHOTO).resize(shape[::-1], resample=Image.BICUBIC)
    assert results["img"].dtype == np.uint8
    assert np.array_equal(results["img"], np.asarray(expected))
    assert results["img_shape"] == results["img"].shape[:2] == shape
    assert results["ori_shape"] == (37, 45)
    assert "gt_masks" not in results


@pytest.mark.parametrize("size", [28, (64, 64), (37, 64), (64, 28)])
def test_masks_take_the_nearest_pixel(size):
    masks = np.random.default_rng(1).random((3, 37, 45)) < 0.4
    results = ResizeToInput(size=size)(dict(img=PHOTO, gt_masks=masks, ori_shape=(37, 45)))
    height, width = (size, size) if isinstance(size, int) else size
    rows = np.floor((np.arange(height) + 0.5) * 37 / height).astype(int)
    columns = np.floor((np.arange(width) + 0.5) * 45 / width).astype(int)
    assert results["gt_masks"].dtype == bool
    assert np.array_equal(results["gt_masks"], masks[:, rows][:, :, columns])


def test_boxes_are_scaled_with_the_masks():
    boxes = np.array([[9, 0, 45, 37], [4.5, 18.5, 9, 37], [0, 0, 0, 0]], dtype=np.float32)
    results = ResizeToInput(size=(74, 90))(dict(img=PHOTO, gt_bboxes=boxes, ori_shape=(37, 45)))
    assert results["gt_bboxes"].dtype == np.float32
    expected = [[18, 0, 90, 74], [9, 37, 18, 74], [0, 0, 0, 0]]
    np.testing.assert_allclose(results["gt_bboxes"], expected, rtol=1e-6)
    assert boxes[0].tolist() == [9, 0, 45, 37]


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def degraded(low: int, high: int) -> np.ndarray:
    return RandomJPEGQuality(min_quality=low, max_quality=high)(dict(img=PHOTO))["img"]


def test_lower_quality_is_further_from_the_image():
    errors = [np.abs(degraded(q, q).astype(int) - PHOTO).mean() for q in (5, 25, 60, 90, 100)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 3 * errors[-1] > 0


def test_quality_is_drawn_between_the_bounds_and_includes_them():
    names = {jpeg(PHOTO, quality).tobytes(): quality for quality in range(1, 101)}
    assert {names[degraded(88, 91).tobytes()] for _ in range(60)} == {88, 89, 90, 91}
    assert degraded(88, 91).shape == PHOTO.shape


def test_default_qualities_are_75_to_100():
    names = {jpeg(PHOTO, quality).tobytes(): quality for quality in range(1, 101)}
    transform = RandomJPEGQuality()
    drawn = [names[transform(dict(img=PHOTO))["img"].tobytes()] for _ in range(300)]
    assert set(drawn) == set(range(75, 101))


@pytest.mark.parametrize("shape", [(2, 65_501, 3), (65_501, 2, 3), (1, 65_500, 3)])
def test_what_is_longer_than_a_jpeg_can_be_passes(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    passed = RandomJPEGQuality()(dict(img=image))["img"]
    assert np.array_equal(passed, image) == (max(shape) > 65_500)
    assert passed.shape == shape


def test_many_masks_are_resized_like_each_alone():
    masks = np.random.default_rng(1).random((19, 23, 31)) < 0.5
    results = ResizeToInput(size=14)(dict(img=np.zeros((23, 31, 3), np.uint8), gt_masks=masks))
    for mask, resized in zip(masks, results["gt_masks"], strict=True):
        alone = Image.fromarray(mask.astype(np.uint8)).resize((14, 14), Image.Resampling.NEAREST)
        assert np.array_equal(resized, np.asarray(alone).astype(bool))
