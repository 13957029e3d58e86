"""COCO segmentations to masks, by pycocotools."""

import reprlib
from collections.abc import Mapping
from numbers import Real

import numpy as np
from pycocotools import mask as coco_mask

from mmseg_mllm.datasets.limits import MAX_OUTLINE, MAX_PIXELS, MAX_POLYGONS, check_limit
from mmseg_mllm.errors import DataError

MIN_POLYGON_NUMBERS = 6
"""A polygon needs three points; gRefCOCO has some with fewer, which cover no pixel."""
_RLE_KEYS = frozenset({"size", "counts"})
MAX_RUN_BITS = 40
"""Of a run in COCO's code; without a bound, a long file of one never-ending run takes for ever."""


def shape_fault(segmentation: list | dict | None, *, may_cover_nothing: bool = False) -> str | None:
    """Why a shape covers no pixel, as far as can be told without drawing it; None if nothing is seen.

    Meant for whole files: it looks at a few numbers of each shape. :func:`mask_box` is certain.

    Args:
        segmentation: Of an annotation.
        may_cover_nothing: Take empty shapes and those of one or two points, which gRefCOCO has; what is left
            are mistakes of whoever wrote the file.
    """
    if not segmentation:
        return None if may_cover_nothing else "is empty"
    if isinstance(segmentation, dict):
        return None if segmentation.keys() >= _RLE_KEYS else "is no RLE: it lacks `size` or `counts`"
    if not isinstance(segmentation, list):
        return f"is neither polygons nor an RLE, but {segmentation!s:.60}"
    if all(isinstance(number, Real) for number in segmentation):
        return "is one list of numbers; it must be a list of polygons, [[x, y, x, y, ...], ...]"
    parts = [part for part in segmentation if part]
    if not parts:
        return None if may_cover_nothing else "is empty"
    if all(isinstance(part, dict) and part.keys() >= _RLE_KEYS for part in parts):  # RefCLEF
        return None
    if not all(isinstance(part, list | dict) for part in parts):
        return None  # is told where it is drawn
    if any(isinstance(part, dict) or isinstance(part[0], list | dict) for part in parts) or (
        len(parts) > 2 and all(len(part) == 2 for part in parts)
    ):
        return "is made of points [x, y]; a polygon is one flat list [x, y, x, y, ...]"
    if all(len(part) < MIN_POLYGON_NUMBERS for part in parts):
        few = "has no polygon of three points or more (the corners of a box are no polygon)"
        return None if may_cover_nothing else few
    if all(isinstance(n, Real) and -0.1 <= n <= 1.1 for part in parts for n in part):
        return "has coordinates between 0 and 1, where pixels are meant"
    return None


def union_mask(
    segmentations: Mapping[int, list | dict | None],
    *,
    height: int,
    width: int,
    where: str = "",
    may_cover_nothing: bool = True,
) -> np.ndarray:
    """Union of some annotations' segmentations.

    Args:
        segmentations: Annotation id -> polygons, uncompressed or compressed RLE, or empty.
        height, width: Size of the image in pixels.
        where: Named in errors.
        may_cover_nothing: Take segmentations that cover no pixel.

    Returns:
        (height, width) bool.

    Raises:
        DataError: a segmentation can't be read, is above the bounds (see ``limits``), is of another size
            than the image, or covers no pixel although each must.
    """
    rles = []
    for ann_id, segmentation in segmentations.items():
        place = f"{where}, annotation {ann_id}" if where else f"annotation {ann_id}"
        own = _rles(segmentation, height=height, width=width, place=place)
        if not may_cover_nothing and not (own and coco_mask.area(own).any()):
            raise DataError(
                f"{place}: its segmentation covers no pixel; mend it, or remove the annotation and its "
                "expressions"
            )
        rles += own
    return coco_mask.decode(coco_mask.merge(rles)).view(bool) if rles else np.zeros((height, width), bool)


def mask_box(
    segmentation: list | dict | None, *, height: int, width: int, where: str = ""
) -> list[float] | None:
    """Box (x, y, width, height) in pixels around an annotation's mask, None if it covers no pixel.

    Arguments and errors are those of :func:`union_mask`.
    """
    rles = _rles(segmentation, height=height, width=width, place=where)
    merged = coco_mask.merge(rles) if rles else None
    return coco_mask.toBbox(merged).tolist() if merged and coco_mask.area(merged) else None


def annotated_box(bbox: object, *, height: int, width: int) -> np.ndarray | None:
    """An annotation's x, y, width, height as (4,) float64 x1, y1, x2, y2; None if it is no box there.

    It may reach out of the image, as RefCOCO's do by parts of a pixel.
    """
    try:
        numbers = np.array(bbox, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    if numbers.shape != (4,):
        return None
    start, size = numbers[:2], numbers[2:]
    box, side = np.concatenate([start, start + size]), max(height, width)
    # Not a number fails each comparison.
    return box if (size > 0).all() and (-side <= box).all() and (box <= 2 * side).all() else None


def _rles(segmentation: list | dict | None, *, height: int, width: int, place: str) -> list[dict]:
    """Compressed RLEs. All is checked first: pycocotools can crash the process on what is wrong."""
    check_limit(f"{place}: its image has", height * width, MAX_PIXELS, unit="pixels")
    if not segmentation:
        return []
    if isinstance(segmentation, dict):
        return [_rle(segmentation, height=height, width=width, place=place)]
    if isinstance(segmentation, list):
        check_limit(f"{place}: its parts are", len(segmentation), MAX_POLYGONS, unit="polygons")
        if all(isinstance(part, dict) for part in segmentation):  # RefCLEF
            return [_rle(part, height=height, width=width, place=place) for part in segmentation]
    try:
        polygons = _polygons(segmentation, side=max(height, width))
    except Exception as error:
        raise DataError(f"{place}: its polygons can't be read ({error})") from None
    outline = round(sum(map(_outline, polygons)))
    check_limit(f"{place}: the outline of its polygons is", outline, MAX_OUTLINE, unit="pixels")
    return coco_mask.frPyObjects(polygons, height, width) if polygons else []


def _rle(segmentation: dict, *, height: int, width: int, place: str) -> dict:
    if not segmentation.keys() >= _RLE_KEYS:
        raise DataError(f"{place}: its RLE lacks `size` or `counts`")
    size = segmentation["size"]
    if size not in ([height, width], (height, width)):
        raise DataError(
            f"{place}: its mask has size (height, width) {reprlib.repr(size)}, the image {[height, width]}; "
            "image and annotation don't belong together"
        )
    try:
        runs = _run_lengths(segmentation.get("counts"), pixels=height * width)
    except Exception as error:
        raise DataError(f"{place}: its RLE can't be read ({error})") from None
    return coco_mask.frPyObjects(dict(size=[height, width], counts=runs), height, width)


def _outline(polygon: list[float]) -> float:
    """Length of a polygon's outline as pycocotools walks it: along the longer axis of each edge."""
    points = np.asarray(polygon).reshape(-1, 2)
    return float(np.abs(points - np.roll(points, 1, axis=0)).max(axis=1).sum())


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
        if shift > MAX_RUN_BITS:
            raise ValueError("a run is longer than any image")
        if not byte - 48 & 32:
            if byte - 48 & 16:
                value -= 1 << shift
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            value = shift = 0
    if shift:
        raise ValueError("it is cut off")
    return runs
