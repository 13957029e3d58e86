"""Checks of the masks that refs name."""

from collections.abc import Mapping
from typing import Any

from mmseg_mllm.datasets.checks.folder import Folder, Track
from mmseg_mllm.datasets.checks.problems import Kind
from mmseg_mllm.datasets.masks import MIN_POLYGON_NUMBERS, mask_area
from mmseg_mllm.datasets.refer import annotation_ids
from mmseg_mllm.errors import DataError


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
                file.problems.add(kind, split, where)


def _problems(annotation: dict, image: Mapping) -> list[tuple[Kind, str]]:
    where = f"annotation {annotation['id']} (image {image['id']})"
    segmentation = annotation["segmentation"]
    try:
        area = mask_area(segmentation, height=image["height"], width=image["width"], where=where)
    except DataError as error:
        return [(Kind.MASK, str(error))]
    found = [] if area else [(Kind.EMPTY_MASK, where)]
    polygons = [part for part in segmentation or [] if isinstance(part, list)]
    if any(len(polygon) < MIN_POLYGON_NUMBERS for polygon in polygons):
        found.append((Kind.FEW_POINTS, where))
    return found
