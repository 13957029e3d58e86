"""COCO segmentations to masks, by pycocotools."""

from collections.abc import Mapping
from numbers import Real

import numpy as np
from pycocotools import mask as coco_mask

from mmseg_mllm.errors import DataError

MIN_POLYGON_NUMBERS = 6
"""A polygon needs three points; gRefCOCO has some with fewer, which cover no pixel."""


def union_mask(
    segmentations: Mapping[int, list | dict | None], *, height: int, width: int, where: str = ""
) -> np.ndarray:
    """Union of some annotations' segmentations.

    Args:
        segmentations: Annotation id -> polygons, uncompressed or compressed RLE, or empty.
        height, width: Size of the image in pixels.
        where: Named in errors.

    Returns:
        (height, width) bool.

    Raises:
        DataError: a segmentation can't be read, or is of another size than the image.
    """
    mask = np.zeros((height, width), dtype=bool)
    for ann_id, segmentation in segmentations.items():
        place = f"{where}, annotation {ann_id}" if where else f"annotation {ann_id}"
        for rle in _rles(segmentation, height=height, width=width, place=place):
            mask |= coco_mask.decode(rle).astype(bool)
    return mask


def _rles(segmentation: list | dict | None, *, height: int, width: int, place: str) -> list[dict]:
    """Compressed RLEs. All is checked first: pycocotools can crash the process on what is wrong."""
    if not segmentation:
        return []
    if isinstance(segmentation, dict):
        size = segmentation.get("size")
        if size not in ([height, width], (height, width)):
            raise DataError(
                f"{place}: its mask has size (height, width) {size}, the image {[height, width]}; image and "
                "annotation don't belong together"
            )
        try:
            runs = _run_lengths(segmentation.get("counts"), pixels=height * width)
        except Exception as error:
            raise DataError(f"{place}: its RLE can't be read ({error})") from None
        return [coco_mask.frPyObjects(dict(size=[height, width], counts=runs), height, width)]
    try:
        polygons = _polygons(segmentation, side=max(height, width))
    except Exception as error:
        raise DataError(f"{place}: its polygons can't be read ({error})") from None
    return coco_mask.frPyObjects(polygons, height, width) if polygons else []


def _polygons(segmentation: list, *, side: int) -> list[list[float]]:
    if not isinstance(segmentation, list):
        raise ValueError("not a list of polygons")
    for polygon in segmentation:
        if not isinstance(polygon, list) or not all(isinstance(number, Real) for number in polygon):
            raise ValueError("a polygon is not a list of numbers")
    polygons = [polygon for polygon in segmentation if len(polygon) >= MIN_POLYGON_NUMBERS]
    for polygon in polygons:
        if len(polygon) % 2:
            raise ValueError(f"{len(polygon)} numbers are not pairs of x and y")
        for number in polygon:
            if not -side <= number <= 2 * side:
                raise ValueError(f"{number!r} is no coordinate in an image of {side} pixels")
    return [[float(number) for number in polygon] for polygon in polygons]


def _run_lengths(counts: list | str | bytes | None, *, pixels: int) -> list[int]:
    if isinstance(counts, str):
        counts = counts.encode()
    given = _decompress(counts) if isinstance(counts, bytes) else list(counts)
    runs = [int(run) for run in given]
    if runs != given or min(runs, default=0) < 0 or sum(runs) != pixels:
        raise ValueError(f"its runs don't make up {pixels} pixels")
    return runs


def _decompress(counts: bytes) -> list[int]:
    """Run lengths in COCO's code: 5 bits a byte, lowest first; differences to the run before last."""
    runs: list[int] = []
    value = shift = 0
    for byte in counts:
        if not 0 <= byte - 48 < 64:
            raise ValueError(f"byte {byte} does not occur in an RLE")
        value |= (byte - 48 & 31) << shift
        shift += 5
        if not byte - 48 & 32:
            if byte - 48 & 16:
                value -= 1 << shift
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            value = shift = 0
    if shift:
        raise ValueError("it is cut off")
    return runs
