import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmseg_mllm.outlines import mask_polygons


def blobs(seed: int, *, size: tuple[int, int] = (60, 90), coarse: int = 8) -> np.ndarray:
    """Parts with holes, with parts in the holes."""
    noise = np.random.default_rng(seed).random((size[0] // coarse, size[1] // coarse), dtype=np.float32)
    return cv2.resize(noise, size[::-1], interpolation=cv2.INTER_LINEAR) > 0.5


def filled(polygons: list[list[float]], size: tuple[int, int]) -> np.ndarray:
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, *size))).astype(bool)


@pytest.mark.parametrize("seed", range(5))
def test_without_tolerance_the_polygons_are_the_mask(seed):
    mask = blobs(seed)
    assert np.array_equal(filled(mask_polygons(mask, tolerance=0), mask.shape), mask)


def test_a_ring_is_one_polygon_with_its_hole():
    mask = np.zeros((40, 50), bool)
    mask[5:30, 10:40] = True
    mask[10:20, 15:25] = False
    mask[35, 45] = True  # one pixel
    ring, pixel = mask_polygons(mask)
    assert np.array_equal(filled([ring], mask.shape)[:34], mask[:34])
    assert pixel == [45.25, 35.25, 45.25, 35.75, 45.75, 35.75, 45.75, 35.25]
    assert min(ring[::2]) == 10.25
    assert max(ring[::2]) == 39.75


def test_tolerance_makes_fewer_points_of_nearly_the_same():
    rows, columns = np.ogrid[:200, :200]
    mask = (rows - 100) ** 2 + (columns - 90) ** 2 < 70**2
    (exact,), (rough,) = mask_polygons(mask, tolerance=0), mask_polygons(mask)
    assert len(rough) < len(exact) / 5
    drawn = filled([rough], mask.shape)
    assert (drawn & mask).sum() / (drawn | mask).sum() > 0.97
    assert mask_polygons(np.zeros((5, 5), bool)) == []
