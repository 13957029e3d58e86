"""Checks of the masks that refs name."""

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from mmseg_mllm.datasets.checks.folder import Folder, Track
from mmseg_mllm.datasets.checks.problems import Kind
from mmseg_mllm.datasets.masks import MIN_POLYGON_NUMBERS, mask_box, shape_fault
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
                is_error = kind is Kind.EMPTY_MASK and not file.may_lack_target
                file.problems.add(Kind.NO_PIXEL if is_error else kind, split, where)


def _problems(annotation: dict, image: Mapping) -> list[tuple[Kind, str]]:
    where = f"annotation {annotation['id']} (image {image['id']})"
    segmentation, size = annotation["segmentation"], dict(height=image["height"], width=image["width"])
    try:
        box = mask_box(segmentation, **size, where=where)
    except DataError as error:
        return [(Kind.MASK, str(error))]
    found = [] if box else [(Kind.EMPTY_MASK, _with_reason(where, segmentation))]
    if box and (fault := _box_fault(annotation.get("bbox"), box)):
        found.append((Kind.BOX, f"{where}: {fault}"))
    polygons = [part for part in segmentation or [] if isinstance(part, list)]
    if box and any(len(polygon) < MIN_POLYGON_NUMBERS for polygon in polygons):
        found.append((Kind.FEW_POINTS, where))
    return found


def _with_reason(where: str, segmentation: object) -> str:
    fault = shape_fault(segmentation)
    return f"{where}: its segmentation {fault}" if fault else where


def _box_fault(bbox: object, around_mask: list[float]) -> str | None:
    """What is wrong with an annotated box; small differences are usual, and a missing box is none."""
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(isinstance(n, Real) for n in bbox):
        return None
    x, y, right, bottom = bbox
    iou = _iou(bbox, around_mask)
    if iou < CLOSE <= _iou([x, y, right - x, bottom - y], around_mask):
        return f"bbox {bbox} is x1, y1, x2, y2; COCO's is x, y, width, height"
    return f"bbox {bbox}, its mask's is {around_mask}" if iou < FAR else None


def _iou(one: list[float], other: list[float]) -> float:
    return float(coco_mask.iou(np.array([one], dtype=float), np.array([other], dtype=float), [0])[0, 0])
