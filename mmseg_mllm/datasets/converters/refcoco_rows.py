"""What rows of RefCOCO's copies and of RefCOCO-M say, as records of a referring JSON."""

from typing import Any

import numpy as np

from mmseg_mllm.datasets.converters.draft import Draft, checked_expressions
from mmseg_mllm.datasets.converters.image_folder import ImageFolder, coco_image
from mmseg_mllm.datasets.masks import annotated_box, mask_box
from mmseg_mllm.errors import DataError

OFF = 2.0
"""Pixels by which a box and the one around its mask differ in no side where a mask is whole."""


def add_lmms_row(row: dict, *, split: str, draft: Draft, images: ImageFolder) -> None:
    """Add a row of one ref: ``image``, ``file_name``, ``answer``, ``segmentation`` and ``bbox``.

    The answers are its expressions. The segmentation is one polygon as a flat list, several as lists, or an
    RLE.

    Raises:
        DataError: a value is missing or wrong.
    """
    image_id, stem = coco_image(row["file_name"])
    image = images.add(row["image"], image_id=image_id, stem=stem)
    shape = row["segmentation"]
    if isinstance(shape, list) and shape and not isinstance(shape[0], list | dict):
        shape = [shape]
    if isinstance(shape, list):
        shape = [_short(part) if isinstance(part, list) else part for part in shape]
    annotation_id = draft.add_annotation(
        image, shape, bbox=_box(row["bbox"], image), question_id=row["question_id"]
    )
    draft.add_group(
        image, ann_ids=[annotation_id], split=split, expressions=checked_expressions(row["answer"], "answer")
    )


def add_refcoco_m_row(row: dict, *, split: str, draft: Draft, images: ImageFolder) -> None:
    """Add a row of one image: ``image``, ``image_id``, ``file_name`` and ``samples``, its objects.

    An object has ``sentences``, ``bbox``, ``category`` and ``mask``, an RLE.

    Raises:
        DataError: a value is missing or wrong, or a second row is of the same image.
    """
    image_id, stem = coco_image(row["file_name"])
    if row["image_id"] != image_id:
        raise DataError(f"`image_id` is {row['image_id']}, and `file_name` {row['file_name']}")
    if image_id in images.records:
        raise DataError(f"a second row of image {image_id}")
    image = images.add(row["image"], image_id=image_id, stem=stem)
    if not isinstance(row["samples"], list):
        raise DataError("`samples` is no list of objects")
    for number, sample in enumerate(row["samples"]):
        try:
            _add_sample(sample, split=split, draft=draft, image=image)
        except DataError as error:
            raise DataError(f"object number {number} (from 0): {error}") from None


def _add_sample(sample: Any, *, split: str, draft: Draft, image: dict) -> None:
    missing = {"id", "category", "sentences", "bbox", "mask"} - set(sample or {})
    if missing:
        raise DataError(f"has no {', '.join(sorted(missing))}")
    if not isinstance(sample["category"], str):
        raise DataError(f"`category` is {sample['category']!r:.60}, no name")
    annotation_id = draft.add_annotation(
        image,
        sample["mask"],
        bbox=_box(sample["bbox"], image),
        category_id=draft.category_id(sample["category"]),
        sample_id=sample["id"],
    )
    texts = checked_expressions(sample["sentences"], "sentences")
    draft.add_group(image, ann_ids=[annotation_id], split=split, expressions=texts)


def box_notes(draft: Draft) -> list[str]:
    """Tell of masks that are not as wide or high as their boxes: parts of them may not have come along."""
    off = []
    for annotation in draft.annotations:
        image = draft.images[annotation["image_id"]]
        around = mask_box(annotation["segmentation"], height=image["height"], width=image["width"])
        if np.abs(_corners(around) - _corners(annotation["bbox"])).max() > OFF:
            off.append(annotation["id"])
    if not off:
        return []
    return [
        f"{len(off):,} of {len(draft.annotations):,} masks end more than {OFF:g} pixels from a side of their "
        f"box, such as annotation {off[0]}: of objects in several parts, the rows may hold one"
    ]


def _corners(box: list[float]) -> np.ndarray:
    x, y, width, height = box
    return np.array([x, y, x + width, y + height])


def _box(value: Any, image: dict) -> list[float]:
    """x, y, width, height in pixels."""
    if annotated_box(value, height=image["height"], width=image["width"]) is None:
        raise DataError(f"`bbox` is {value!r:.80}, no x, y, width, height in the image")
    return _short(value)


def _short(numbers: list) -> list:
    """Numbers of 32 bits with the digits that tell them apart: 103.93, not 103.93000030517578."""
    return [float(str(np.float32(n))) if isinstance(n, float) else n for n in numbers]
