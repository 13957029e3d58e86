"""The REFER layout to a referring JSON (docs/custom_data.md), and back."""

import json
import pickle
from pathlib import Path

from mmseg_mllm.conversion.new_folder import new_folder
from mmseg_mllm.datasets.masks import mask_box, shape_fault
from mmseg_mllm.datasets.new_file import new_file
from mmseg_mllm.datasets.refer import (
    NO_TARGET,
    ReferFiles,
    annotation_ids,
    load_refer,
    load_refs,
    refs_file,
    with_sentences,
)
from mmseg_mllm.datasets.refer_records import says_upright
from mmseg_mllm.datasets.referring_json import parse_referring_json, read_existing_json
from mmseg_mllm.errors import DataError

SINGLE_TARGET_FILE = "refs(custom).p"
ANY_TARGETS_FILE = "grefs(custom).json"


def refer_to_json(*, folder: str | Path, refs: str, out: str | Path) -> tuple[ReferFiles, list[str]]:
    """Write a REFER dataset as one JSON file that :class:`ReferringJSONDataset` reads as the same samples.

    Every ref with sentences becomes a group. All that ``instances.json`` holds is kept; of the sentences,
    ``sent`` and ``sent_id`` are (``raw`` and ``tokens`` are not). Targets of gRefCOCO that cover no pixel are
    left out of their groups: this format has none.

    Args:
        folder: Holds ``instances.json`` and the refs file.
        refs: Name of the refs file, such as 'refs(unc).p' or 'grefs(unc).json'.
        out: File to make.

    Returns:
        What was written, and lines that say what was left out.

    Raises:
        DataError: a source is missing, broken or contradicts the other, or ``out`` is there already or can't
            be written.
    """
    with new_file(Path(out)) as scratch:
        ann_file, split_file = Path(folder, "instances.json"), refs_file(Path(folder, refs))
        content = read_existing_json(ann_file)
        own = load_refs(split_file)
        asking = with_sentences(own)
        if not isinstance(content, dict):
            raise DataError(f"{ann_file}: not a COCO annotation file; download it again")
        nothing = (
            _without_pixels(load_refer(ann_file=ann_file, split_file=split_file)) if _is_grefs(refs) else []
        )
        content = _with_rule(content, upright=says_upright(content) or False)
        content["groups"] = [_group(ref, without=nothing) for ref in asking]
        files = parse_referring_json(content, path=split_file)
        _move_splits_to_images(content)
        scratch.write_text(json.dumps(content), encoding="utf-8")
    left_out = {"refs without sentences": len(own) - len(asking), "targets that cover no pixel": len(nothing)}
    return files, [f"left out: {number:,} {what}" for what, number in left_out.items() if number]


def json_to_refer(*, path: str | Path, folder: str | Path) -> tuple[ReferFiles, str]:
    """Write a referring JSON in the REFER layout: ``instances.json`` and a refs file.

    The refs file is ``refs(custom).p`` (pickle, protocol 2, of plain containers) where every expression has
    one target, as in RefCOCO; else ``grefs(custom).json``, as in gRefCOCO.

    Args:
        path: The JSON file.
        folder: Folder to make.

    Returns:
        What was written, and the name of the refs file.

    Raises:
        DataError: see :func:`load_referring_json`.
        ConfigError: ``folder`` holds something already or can't be made.
    """
    with new_folder(Path(folder)) as scratch:
        content = read_existing_json(path)
        files = parse_referring_json(content, path=path)
        ignoring = next((ref for ref in files.refs if ref["ignore_ids"]), None)
        if ignoring:
            raise DataError(
                f"{path}: group {ignoring['ref_id']} has `ignore_ids`, for which REFER has no place; "
                "remove them to count these pixels as background"
            )
        single = all(len(ref["ann_id"]) == 1 for ref in files.refs)
        refs = [_ref(ref, files, single=single) for ref in files.refs]
        instances = {key: value for key, value in content.items() if key != "groups"}
        instances["images"] = [_without(image, "split") for image in content["images"]]
        instances["annotations"] = [_without(a, "expressions") for a in content["annotations"]]
        instances = _with_rule(instances, upright=files.upright is not False)
        instances.setdefault("categories", [])  # REFER's own reader asks for it
        (scratch / "instances.json").write_text(json.dumps(instances), encoding="utf-8")
        if single:
            (scratch / SINGLE_TARGET_FILE).write_bytes(pickle.dumps(refs, protocol=2))
        else:
            (scratch / ANY_TARGETS_FILE).write_text(json.dumps(refs), encoding="utf-8")
    return files, SINGLE_TARGET_FILE if single else ANY_TARGETS_FILE


def summary(files: ReferFiles) -> str:
    """How much there is, in one line."""
    counts = dict.fromkeys(files.splits(), 0)
    for ref in files.refs:
        counts[ref["split"]] += len(ref["sentences"])
    expressions = ", ".join(f"{split} {count:,}" for split, count in counts.items())
    return (
        f"{len(files.images):,} images, {len(files.annotations):,} annotations, "
        f"{sum(counts.values()):,} expressions ({expressions})"
    )


def _is_grefs(refs: str) -> bool:
    return Path(refs).name.startswith("grefs")


def _without_pixels(files: ReferFiles) -> list[int]:
    """Ids of the annotations in use that cover no pixel, but not by a mistake."""
    found = []
    for i in dict.fromkeys(i for ref in files.refs for i in annotation_ids(ref)):
        annotation = files.annotations.get(i)
        image = files.images.get(annotation.get("image_id")) if annotation else None
        # What is missing or a mistake is told by the check of the whole.
        if image is None or shape_fault(annotation["segmentation"], may_cover_nothing=True):
            continue
        size = dict(height=image["height"], width=image["width"])
        if not mask_box(annotation["segmentation"], **size, where=f"annotation {i}"):
            found.append(i)
    return found


def _group(ref: dict, *, without: list[int]) -> dict:
    ids = ref["ann_id"] if isinstance(ref["ann_id"], list) else [ref["ann_id"]]
    return dict(
        id=ref["ref_id"],
        image_id=ref["image_id"],
        ann_ids=[i for i in ids if i != NO_TARGET and i not in without],
        split=ref["split"],
        expressions=[sentence["sent"] for sentence in ref["sentences"]],
        sent_ids=[sentence["sent_id"] for sentence in ref["sentences"]],
    )


def _move_splits_to_images(content: dict) -> None:
    """Where all groups of an image share a split, it becomes the image's."""
    splits: dict[int, set[str]] = {}
    for group in content["groups"]:
        splits.setdefault(group["image_id"], set()).add(group["split"])
    shared = {image_id: own.pop() for image_id, own in splits.items() if len(own) == 1}
    content["images"] = [
        {**image, "split": shared[image["id"]]} if image["id"] in shared else image
        for image in content["images"]
    ]
    content["groups"] = [
        _without(group, "split") if group["image_id"] in shared else group for group in content["groups"]
    ]


def _with_rule(content: dict, *, upright: bool) -> dict:
    """Say in the file what its masks are for: both formats have their own rule where a file says nothing."""
    info = content.get("info")
    return {**content, "info": {**(info if isinstance(info, dict) else {}), "upright": upright}}


def _ref(ref: dict, files: ReferFiles, *, single: bool) -> dict:
    """A ref with all fields that REFER's own reader knows."""
    ids, image = ref["ann_id"], files.images[ref["image_id"]]
    categories = [files.annotations[i].get("category_id") for i in ids]
    texts = [sentence["sent"] for sentence in ref["sentences"]]
    sent_ids = [sentence["sent_id"] for sentence in ref["sentences"]]
    return dict(
        ref_id=ref["ref_id"],
        ann_id=ids[0] if single else ids or [NO_TARGET],
        category_id=categories[0] if single else categories or [NO_TARGET],
        image_id=ref["image_id"],
        split=ref["split"],
        file_name=image["file_name"],
        **({} if single else dict(no_target=not ids)),
        sent_ids=sent_ids,
        sentences=[
            dict(tokens=text.split(), raw=text, sent_id=i, sent=text)
            for text, i in zip(texts, sent_ids, strict=True)
        ],
    )


def _without(record: dict, key: str) -> dict:
    return {name: value for name, value in record.items() if name != key}
