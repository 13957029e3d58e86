"""Checks of single refs, images and annotations; all but expressions can then be used, printed and stored."""

import math
import re
import reprlib
from collections.abc import Iterator
from typing import Any

from mmseg_mllm.datasets.limits import MAX_PIXELS, MAX_TEXT, check_limit
from mmseg_mllm.errors import DataError

MAX_ID = 2**53
"""Larger numbers can be made to collide in a dict, which then takes for ever."""
MAX_NAME = 4096
"""Characters of a file name, a split or an id."""
_HALF_PAIR = re.compile("[\ud800-\udfff]")


def check_ref(ref: dict) -> None:
    """Check the values of a ref that has all keys.

    Raises:
        DataError: something is wrong; it says what.
    """
    fault = next(_faults(ref), None)
    if fault:
        raise DataError(f"{fault}; download it again")
    for sentence in ref["sentences"]:
        check_limit(f"sentence {sentence['sent_id']} has", _length(sentence), MAX_TEXT, unit="characters")


def _faults(ref: dict) -> Iterator[str]:
    ids, sentences = listed(ref["ann_id"]), ref["sentences"]
    if not all(map(_is_id, ids)) or len(set(map(type, ids))) > 1:
        yield "ann_id is neither an id nor a list of ids"
    if not _is_id(ref["image_id"]):
        yield "image_id is no id"
    if not _is_id(ref["ref_id"]):
        yield "ref_id is no id"
    if not is_name(ref["split"]):
        yield "split is no name"
    if not isinstance(sentences, list):
        yield "sentences is not a list"
    for sentence in sentences:
        if not isinstance(sentence, dict) or not {"sent", "sent_id"} <= sentence.keys():
            yield "a sentence is not a dict with sent and sent_id"
        if not _is_id(sentence["sent_id"]):
            yield "a sent_id is no id"
        text = sentence["sent"]
        # None, a number or half of a character is no expression, which is told with the others.
        if not (isinstance(text, str) or _is_scalar(text)):
            yield f"sent of sentence {sentence['sent_id']} is no text"


def _length(sentence: dict) -> int:
    return len(sentence["sent"]) if isinstance(sentence["sent"], str) else 0


def says_upright(content: dict) -> bool | None:
    """Whether an annotation file's masks are for images turned as their EXIF says, or as stored.

    Returns:
        Its ``info.upright``; None where it says nothing, as published files.

    Raises:
        DataError: it is neither true nor false.
    """
    info = content.get("info")
    upright = info.get("upright") if isinstance(info, dict) else None
    if upright is not None and not isinstance(upright, bool):
        raise DataError(f"`info.upright` must be true or false, not {upright!r:.60}")
    return upright


def checked_image(image: dict) -> dict:
    """The image's id, file name and size.

    Raises:
        DataError: one of them is wrong; it says which.
        KeyError, TypeError: there is none.
    """
    checked = {key: image[key] for key in ("id", "file_name", "height", "width")}
    image_id, name, *sides = checked.values()
    if not _is_id(image_id):
        raise DataError(f"an image has the id {reprlib.repr(image_id)}")
    if not is_name(name):
        raise DataError(f"image {image_id} has the file name {reprlib.repr(name)}")
    if not all(type(side) is int and 0 < side <= MAX_ID for side in sides):
        raise DataError(f"image {image_id} has the size (height, width) {reprlib.repr(sides)}")
    check_limit(f"image {image_id} has", math.prod(sides), MAX_PIXELS, unit="pixels")
    return checked


def checked_annotation(annotation: dict) -> dict:
    """What masks and boxes are made of, with nothing nested deeper than they are.

    Raises:
        DataError: it has no id.
        KeyError, TypeError: it is none.
    """
    if not _is_id(annotation["id"]):
        raise DataError(f"an annotation has the id {reprlib.repr(annotation['id'])}")
    checked = {
        key: annotation[key] if _is_scalar(annotation[key]) else None
        for key in ("id", "image_id", "area", "category_id")
        if key in annotation
    }
    bbox, segmentation = annotation.get("bbox"), annotation.get("segmentation")
    checked["bbox"] = bbox if isinstance(bbox, list) and _is_flat(bbox) else None
    # Text in place of a segmentation is an error only where it is drawn: the others can still be used.
    checked["segmentation"] = segmentation if _is_drawable(segmentation) else reprlib.repr(segmentation)
    return checked


def listed(value: Any) -> list:
    """The value if it is a list, else a list of it."""
    return value if isinstance(value, list) else [value]


def _is_drawable(segmentation: object) -> bool:
    """Whether it is nested like polygons, an RLE, or a list of them."""
    for part in listed(segmentation):
        values = part.values() if isinstance(part, dict) else [part]
        if not all(_is_flat(listed(value)) for value in values):
            return False
    return True


def _is_flat(values: list) -> bool:
    return not {list, dict} & set(map(type, values))


def _is_id(value: object) -> bool:
    # By type: true is an int for isinstance. RefCLEF's annotation ids are strings.
    return abs(value) <= MAX_ID if type(value) is int else is_name(value)


def is_name(value: object) -> bool:
    """Whether it is a text of bounded length that can be printed and stored."""
    return type(value) is str and 0 < len(value) <= MAX_NAME and _is_whole(value)


def _is_whole(text: str) -> bool:
    # Half of a character pair can neither be printed nor tokenized.
    return text.isascii() or _HALF_PAIR.search(text) is None


def _is_scalar(value: object) -> bool:
    return value is None or type(value) in (bool, float) or _is_id(value)
