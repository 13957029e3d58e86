"""Reading the REFER layout: ``instances.json`` beside ``refs(*).p`` or ``grefs(*).json``."""

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmseg_mllm.datasets.json_file import read_json
from mmseg_mllm.datasets.limits import MAX_RECORDS, check_limit
from mmseg_mllm.datasets.plain_pickle import read_plain_pickle
from mmseg_mllm.datasets.refer_records import (
    check_ref,
    checked_annotation,
    checked_image,
    listed,
    says_upright,
)
from mmseg_mllm.errors import DataError

NO_TARGET = -1
"""Annotation id that gRefCOCO gives to an expression without a target."""
_KEYS = frozenset({"ref_id", "ann_id", "image_id", "split", "sentences"})
_DROPPED = object()


@dataclass(frozen=True, kw_only=True)
class ReferFiles:
    """What the two files of one REFER dataset hold.

    Attributes:
        images: image id -> COCO image dict (``file_name``, ``height``, ``width``).
        annotations: annotation id -> COCO annotation dict (``segmentation``, ``bbox``, ``area``).
        refs: the refs of all splits in the order of the file.
        upright: Whether masks are for images turned as their EXIF says; None where the files don't say.
    """

    images: dict[int, dict]
    annotations: dict[int, dict]
    refs: list[dict]
    upright: bool | None = None

    def splits(self) -> list[str]:
        """Names of the splits in the order of their first ref."""
        return list(dict.fromkeys(ref["split"] for ref in self.refs))


def refs_file(path: str | Path) -> Path:
    """The path, or its sibling ending in ``.p`` or ``.json`` if only that is there: gRefCOCO has both."""
    path = Path(path)
    others = [path.with_suffix(end) for end in (".p", ".json")]
    return path if path.is_file() else next((other for other in others if other.is_file()), path)


def load_refs(path: str | Path) -> list[dict]:
    """Read ``refs(*).p`` or ``grefs(*).p`` (pickle), or ``grefs(*).json``.

    Returns:
        List of dicts with ``ref_id``, ``ann_id`` (id, or list of ids), ``image_id``, ``split`` and
        ``sentences`` (list of dicts with ``sent`` and ``sent_id``; see :func:`with_sentences`). Ids are whole
        numbers or short strings.

    Raises:
        DataError: the file is missing, broken, above the bounds (see ``limits``), not a list of refs, or a
            pickle of more than plain containers.
    """
    path = _existing(path)
    refs = read_json(path) if path.suffix == ".json" else read_plain_pickle(path)
    if not isinstance(refs, list) or not all(isinstance(ref, dict) and ref.keys() >= _KEYS for ref in refs):
        raise DataError(f"{path}: not a list of refs with the keys {sorted(_KEYS)}; is it the right file?")
    records = 0
    for index, ref in enumerate(refs):
        records += sum(len(listed(value)) for value in (ref["ann_id"], ref["sentences"]))
        check_limit(f"{path}: annotation ids and sentences are", records, MAX_RECORDS, unit="records")
        try:
            check_ref(ref)
        except DataError as error:
            raise DataError(f"{path}: ref number {index} (from 0) is damaged: {error}") from None
    return refs


def load_instances(path: str | Path, *, annotation_ids: Collection[int | str] | None = None) -> ReferFiles:
    """Read a COCO ``instances.json``.

    Args:
        path: The file.
        annotation_ids: Those to keep, None for all. RefCOCO asks about a quarter of its annotations, so that
            the others would only take memory.

    Returns:
        What it holds, with no refs.

    Raises:
        DataError: the file is missing, broken, above the bounds (see ``limits``), not a COCO annotation
            file, or has an id twice.
    """
    path = _existing(path)

    def keep(item: dict) -> Any:
        is_annotation = "image_id" in item and isinstance(item.get("id"), int | str)
        return _DROPPED if is_annotation and item["id"] not in annotation_ids else item

    content = read_json(path, object_hook=None if annotation_ids is None else keep)
    try:
        images = [checked_image(image) for image in content["images"]]
        kept = [checked_annotation(a) for a in content["annotations"] if a is not _DROPPED]
        upright = says_upright(content)
    except DataError as error:
        raise DataError(f"{path}: {error}; download it again") from None
    except (KeyError, TypeError) as error:
        raise DataError(f"{path}: not a COCO annotation file ({error!r:.100}); download it again") from None
    return ReferFiles(
        images=_by_id(images, "image", path),
        annotations=_by_id(kept, "annotation", path),
        refs=[],
        upright=upright,
    )


def load_refer(*, ann_file: str | Path, split_file: str | Path) -> ReferFiles:
    """Read both files of a REFER dataset: refs that ask for something, and the annotations that they name.

    Args:
        ann_file: ``instances.json``.
        split_file: ``refs(*).p`` or ``grefs(*).json``.

    Raises:
        DataError: see :func:`load_refs` and :func:`load_instances`.
    """
    refs = [part for ref in with_sentences(load_refs(split_file)) for part in split_parts(ref)]
    ids = {i for ref in refs for i in annotation_ids(ref)}
    return replace(load_instances(ann_file, annotation_ids=ids), refs=refs)


def with_sentences(refs: list[dict]) -> list[dict]:
    """The refs that ask for something. The published gRefCOCO has some without, to be skipped by its authors'
    word (github.com/henghuiding/gRefCOCO, issues 3 and 8); ``checks`` counts them."""
    return [ref for ref in refs if ref["sentences"]]


def annotation_ids(ref: dict) -> tuple[int, ...]:
    """Sorted annotation ids of a ref; empty where the expression has no target."""
    return tuple(sorted(i for i in listed(ref["ann_id"]) if i != NO_TARGET))


def split_parts(ref: dict) -> list[dict]:
    """The ref once for each split that it belongs to: RefCLEF's 'testAB' means both 'testA' and 'testB'."""
    shared = re.fullmatch("test(AB|AC|BC|ABC)", ref["split"])
    return [dict(ref, split=f"test{letter}") for letter in shared[1]] if shared else [ref]


def _by_id(records: list[dict], kind: str, path: Path) -> dict[int, dict]:
    found = {record["id"]: record for record in records}
    if len(found) < len(records):
        twice, _ = Counter(record["id"] for record in records).most_common(1)[0]
        raise DataError(f"{path}: {kind} {twice} is there twice; give every {kind} an id of its own")
    return found


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise DataError(
            f"{path}: no such file; see docs/datasets.md for what to download and where to put it"
        )
    return path
