"""Checks of the masks that refs name."""

import reprlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from mmseg_mllm.datasets.checks.folder import Folder, Track
from mmseg_mllm.datasets.checks.problems import Kind
from mmseg_mllm.datasets.masks import MIN_POLYGON_NUMBERS, annotated_box, mask_box, shape_fault
from mmseg_mllm.datasets.refer import annotation_ids
from mmseg_mllm.errors import DataError

CLOSE, FAR = 0.9, 0.5
"""IoU of a box with the one around its mask: the same but for rounding, and another box."""


def check_masks(folder: Folder, track: Track) -> None:
    """Check each mask in use, and add what is found to the refs files that use it."""
    used = {i: ref["image_id"] for file in folder.files for ref in file.refs for i in annotation_ids(ref)}
    found: dict[Any, list[tuple[Kind, str]]] = {}
    for i, image_id in track(list(used.items()), f"{folder.path.name}: masks"):
        annotation = (folder.annotations or {}).get(i)
        image = (folder.images or {}).get(annotation.get("image_id", image_id)) if annotation else None
        found[i] = _problems(annotation, image) if image else []
    for file in folder.files:
        for split, i in dict.fromkeys((ref["split"], i) for ref in file.refs for i in annotation_ids(ref)):
            for kind, where in found[i]:
                # gRefCOCO, which also lacks targets, has some of these.
                is_error = kind is Kind.EMPTY_MASK and not file.is_grefcoco
                file.problems.add(Kind.NO_PIXEL if is_error else kind, split, where)


def _problems(annotation: dict, image: Mapping) -> list[tuple[Kind, str]]:
    where = f"annotation {annotation['id']} (image {image['id']})"
    segmentation, size = annotation["segmentation"], dict(height=image["height"], width=image["width"])
    fault = shape_fault(segmentation)
    reason = f"{where}: its segmentation {fault}" if fault else None
    try:
        box = mask_box(segmentation, **size, where=where)
    except DataError as error:
        return [(Kind.MASK, reason or str(error))]
    if shape_fault(segmentation, may_cover_nothing=True):
        return [(Kind.NO_PIXEL, reason)]
    if reason or box is None:
        return [(Kind.EMPTY_MASK, reason or where)]
    found = []
    if box_fault := _box_fault(annotation.get("bbox"), box, **size):
        found.append((Kind.BOX, f"{where}: {box_fault}"))
    polygons = [part for part in segmentation if isinstance(part, list)]
    if any(len(polygon) < MIN_POLYGON_NUMBERS for polygon in polygons):
        found.append((Kind.FEW_POINTS, where))
    return found


def _box_fault(bbox: object, around_mask: list[float], *, height: int, width: int) -> str | None:
    """What is wrong with an annotated box; small differences are usual, and a missing box is none."""
    if bbox is None:
        return None
    if annotated_box(bbox, height=height, width=width) is None:
        return f"bbox {reprlib.repr(bbox)} is none in this image, and its mask's is taken"
    x, y, right, bottom = map(float, bbox)
    iou = _iou([x, y, right, bottom], around_mask)
    if iou < CLOSE <= _iou([x, y, right - x, bottom - y], around_mask):
        return f"bbox {bbox} is x1, y1, x2, y2; COCO's is x, y, width, height"
    return f"bbox {bbox}, its mask's is {around_mask}" if iou < FAR else None


def _iou(one: list[float], other: list[float]) -> float:
    return float(coco_mask.iou(np.array([one], dtype=float), np.array([other], dtype=float), [0])[0, 0])
