"""Reading and checking a referring JSON: COCO's images and annotations, with expressions."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmseg_mllm.datasets.json_file import read_json
from mmseg_mllm.datasets.limits import MAX_PIXELS, MAX_TEXT, check_limit
from mmseg_mllm.datasets.masks import shape_fault
from mmseg_mllm.datasets.refer import ReferFiles
from mmseg_mllm.datasets.refer_records import MAX_ID, is_name, says_upright
from mmseg_mllm.errors import DataError
from mmseg_mllm.prompts import expression_problem


def load_referring_json(path: str | Path) -> ReferFiles:
    """Read one's own data in the format of docs/custom_data.md.

    Returns:
        Images and annotations by id, and the expressions as REFER has them: one ref for every annotation with
        expressions, in the order of the file, then one for every group. Each has ``ignore_ids`` besides, the
        annotations whose pixels are not counted.

    Raises:
        DataError: see :func:`read_existing_json` and :func:`parse_referring_json`.
    """
    return parse_referring_json(read_existing_json(path), path=path)


def read_existing_json(path: str | Path) -> Any:
    """Decode a JSON file.

    Raises:
        DataError: the file is missing, not JSON, or above the bounds.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file; see docs/custom_data.md for what it must hold")
    return read_json(path)


def parse_referring_json(content: Any, *, path: str | Path) -> ReferFiles:
    """Check the content of a referring JSON as a whole, and give it the structure of REFER's files.

    Args:
        content: The decoded file.
        path: Where it came from: named in errors, and its stem is the split where none is given.

    Raises:
        DataError: a field is missing or of another kind, an id occurs twice or points nowhere, a target is of
            another image, a shape is seen to cover no pixel, an expression can't be asked (see
            ``prompts.expression_problem``) or is above the bound, there are no expressions, or only some have
            a split.
    """
    try:
        images = _by_id(_records(content, "images"), "image", required=IMAGE_FIELDS, optional=("split",))
        annotations = _by_id(
            _records(content, "annotations"),
            "annotation",
            required=ANNOTATION_FIELDS,
            optional=("expressions",),
        )
        for image in images.values():
            pixels = image["width"] * image["height"]
            check_limit(f"image {image['id']} has", pixels, MAX_PIXELS, unit="pixels")
        groups = _checked_groups(content)
        for annotation in annotations.values():
            _check_image(annotation, f"annotation {annotation['id']}", images)
        for place, group in groups:
            _check_image(group, place, images)
            _check_targets(group, place, annotations)
        sources = [
            (f"annotation {a['id']}", dict(a, id=None, ann_ids=[a["id"]], **NOT_OF_ANNOTATIONS))
            for a in annotations.values()
            if a.get("expressions")
        ]
        for i in dict.fromkeys(i for _, source in [*sources, *groups] for i in _named_ids(source)):
            _check_shape(annotations[i])
        refs = list(_refs([*sources, *groups], images))
        _check_splits(refs, default=Path(path).stem)
        upright = says_upright(content)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    return ReferFiles(images=images, annotations=annotations, refs=refs, upright=upright)


def _is_id(value: Any) -> bool:
    # By type: true is an int for isinstance. Below 0, REFER's files say "no target".
    return type(value) is int and 0 <= value <= MAX_ID


def _is_size(value: Any) -> bool:
    return type(value) is int and value > 0


def _are_ids(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_id, value))


FIELDS = {
    "id": (_is_id, "a whole number from 0 to 2**53"),
    "image_id": (_is_id, "a whole number from 0 to 2**53"),
    "file_name": (is_name, "a text"),
    "width": (_is_size, "a whole number of pixels"),
    "height": (_is_size, "a whole number of pixels"),
    "split": (is_name, "a name"),
    "segmentation": (lambda value: isinstance(value, list | dict), "a list of polygons, or an RLE"),
    "expressions": (lambda value: isinstance(value, list), "a list of texts"),
    "ann_ids": (_are_ids, "a list of annotation ids, empty for no target"),
    "ignore_ids": (_are_ids, "a list of annotation ids"),
    "sent_ids": (_are_ids, "a list of whole numbers from 0"),
}
"""Check and description of each field; a name means the same in every kind of record."""

IMAGE_FIELDS = ("id", "file_name", "width", "height")
ANNOTATION_FIELDS = ("id", "image_id", "segmentation")
NOT_OF_ANNOTATIONS = dict(split=None, sent_ids=None, ignore_ids=None)
GROUP_FIELDS = ("image_id", "ann_ids", "expressions")


def _records(content: Any, name: str) -> list:
    """The list of that name at the top of the file."""
    records = content.get(name) if isinstance(content, dict) else None
    if not isinstance(records, list):
        raise DataError(f"has no list `{name}` at its top; see docs/custom_data.md for the format")
    return records


def _by_id(
    records: list, kind: str, *, required: tuple[str, ...], optional: tuple[str, ...]
) -> dict[int, dict]:
    found: dict[int, dict] = {}
    for index, record in enumerate(records):
        _check_fields(record, _place(record, kind, index), required=required, optional=optional)
        if record["id"] in found:
            raise DataError(f"{kind} {record['id']} is there twice; give every {kind} an id of its own")
        found[record["id"]] = record
    return found


def _checked_groups(content: dict) -> list[tuple[str, dict]]:
    """Every group and what to call it."""
    records = [] if content.get("groups") is None else _records(content, "groups")
    groups = [(_place(record, "group", index), record) for index, record in enumerate(records)]
    for place, group in groups:
        _check_fields(group, place, required=GROUP_FIELDS, optional=("id", "split", "sent_ids", "ignore_ids"))
        if not group["expressions"]:
            raise DataError(f"{place} has no expressions; write some, or remove it")
    return groups


def _place(record: Any, kind: str, index: int) -> str:
    record_id = record.get("id") if isinstance(record, dict) else None
    return f"{kind} number {index} (from 0)" if record_id is None else f"{kind} {record_id!r:.40}"


def _check_fields(record: Any, place: str, *, required: tuple[str, ...], optional: tuple[str, ...]) -> None:
    if not isinstance(record, dict):
        raise DataError(f"{place} is not a record with fields, but {record!r:.60}")
    for field in (*required, *optional):
        value = record.get(field)
        if value is None and field in optional:
            continue
        is_right, description = FIELDS[field]
        if value is None:
            raise DataError(f"{place} has no `{field}`, {description}")
        if not is_right(value):
            raise DataError(f"{place}: `{field}` must be {description}, not {value!r:.60}")


def _check_image(record: dict, place: str, images: dict[int, dict]) -> None:
    if record["image_id"] not in images:
        raise DataError(f"{place} names image {record['image_id']}, which `images` does not have")


def _check_shape(annotation: dict) -> None:
    fault = shape_fault(annotation["segmentation"])
    if fault:
        raise DataError(
            f"the `segmentation` of annotation {annotation['id']} (image {annotation['image_id']}) {fault}; "
            "as it stands it covers no pixel. Mend it, or remove the annotation and its expressions"
        )


def _check_targets(group: dict, place: str, annotations: dict[int, dict]) -> None:
    for i in _named_ids(group):
        if i not in annotations:
            raise DataError(f"{place} names annotation {i}, which `annotations` does not have")
        if annotations[i]["image_id"] != group["image_id"]:
            raise DataError(
                f"{place} is about image {group['image_id']}, but its annotation {i} is of image "
                f"{annotations[i]['image_id']}; targets must be in the same image"
            )


def _named_ids(source: dict) -> list[int]:
    """Of all annotations that an annotation's or group's expressions need."""
    return [*source["ann_ids"], *(source.get("ignore_ids") or ())]


def _refs(sources: list[tuple[str, dict]], images: dict[int, dict]) -> Iterator[dict]:
    """Refs in REFER's structure; those without ids of their own get the next free ones."""
    ref_ids = _free_ids([source["id"] for _, source in sources if source.get("id") is not None], "group id")
    given = [i for _, source in sources for i in source.get("sent_ids") or []]
    sent_ids = _free_ids(given, "number in `sent_ids`")
    for place, source in sources:
        texts = source["expressions"]
        own = source.get("sent_ids")
        if own is None:
            own = list(itertools.islice(sent_ids, len(texts)))
        if len(own) != len(texts):
            raise DataError(f"{place} has {len(texts)} expressions, but {len(own)} `sent_ids`")
        for text in texts:
            problem = expression_problem(text)
            if problem:
                raise DataError(
                    f"{place} (image {source['image_id']}) has an expression that {problem}: {text!r:.60}. "
                    "Remove it or write an expression"
                )
            check_limit(f"an expression of {place} has", len(text), MAX_TEXT, unit="characters")
        yield dict(
            ref_id=next(ref_ids) if source.get("id") is None else source["id"],
            ann_id=source["ann_ids"],
            ignore_ids=source.get("ignore_ids") or [],
            image_id=source["image_id"],
            split=source.get("split") or images[source["image_id"]].get("split"),
            sentences=[dict(sent=text, sent_id=i) for text, i in zip(texts, own, strict=True)],
        )


def _free_ids(taken: list[int], what: str) -> Iterator[int]:
    """Numbers above those in use, none of which may be in use twice."""
    seen: set[int] = set()
    for i in taken:
        if i in seen:
            raise DataError(f"the {what} {i} is there twice; give each its own, or leave them out")
        seen.add(i)
    return itertools.count(max(taken, default=0) + 1)


def _check_splits(refs: list[dict], *, default: str) -> None:
    """Either every expression has a split or, filled in here, none has."""
    if not refs:
        raise DataError("holds no expressions; write them as `expressions` of annotations or groups")
    without = [ref for ref in refs if ref["split"] is None]
    if without and len(without) < len(refs):
        raise DataError(
            f"image {without[0]['image_id']} has expressions but no `split`, while others have one; give one "
            "to every image with expressions, or to none"
        )
    for ref in without:
        ref["split"] = default
