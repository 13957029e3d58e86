"""Reading the REFER layout: ``instances.json`` beside ``refs(*).p`` or ``grefs(*).json``."""

import json
import pickle
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmseg_mllm.errors import DataError

NO_TARGET = -1
"""Annotation id that gRefCOCO gives to an expression without a target."""


@dataclass(frozen=True, kw_only=True)
class ReferFiles:
    """What the two files of one REFER dataset hold.

    Attributes:
        images: image id -> COCO image dict (``file_name``, ``height``, ``width``).
        annotations: annotation id -> COCO annotation dict (``segmentation``, ``bbox``, ``area``).
        refs: the refs of all splits in the order of the file.
    """

    images: dict[int, dict]
    annotations: dict[int, dict]
    refs: list[dict]

    def splits(self) -> list[str]:
        """Names of the splits in the order of their first ref."""
        return list(dict.fromkeys(ref["split"] for ref in self.refs))


class _PlainUnpickler(pickle.Unpickler):
    """Unpickler of plain containers: a pickle that names any class or function is refused."""

    def find_class(self, module: str, name: str) -> Any:
        raise DataError(
            f"the pickle asks to load {module}.{name}; a refs file holds plain lists, dicts, strings and "
            "numbers only, and nothing else is loaded since a pickle can run code"
        )


def load_refs(path: str | Path) -> list[dict]:
    """Read ``refs(*).p`` (pickle) or ``grefs(*).json``.

    Returns:
        List of dicts with ``ref_id``, ``ann_id`` (int, or list of int), ``image_id``, ``split`` and
        ``sentences`` (list of dicts with ``sent`` and ``sent_id``).

    Raises:
        DataError: the file is missing, broken, not a list of refs, or a pickle of more than plain containers.
    """
    path = _existing(path)
    try:
        if path.suffix == ".json":
            refs = json.loads(path.read_text(encoding="utf-8"))
        else:
            with path.open("rb") as file:
                refs = _PlainUnpickler(file, encoding="latin1").load()
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except Exception as error:
        raise DataError(f"{path}: can't be read as a REFER refs file ({error}); download it again") from error
    needed = {"ref_id", "ann_id", "image_id", "split", "sentences"}
    if not isinstance(refs, list) or not all(isinstance(ref, dict) and needed <= ref.keys() for ref in refs):
        raise DataError(f"{path}: not a list of refs with the keys {sorted(needed)}; is it the right file?")
    for index, ref in enumerate(refs):
        if not _is_complete(ref):
            raise DataError(
                f"{path}: ref number {index} (from 0) is damaged: ann_id must be an id or a list of ids, "
                "image_id an id, and sentences a list of at least one dict with sent and sent_id; "
                "download it again"
            )
    return refs


def load_instances(path: str | Path) -> tuple[dict[int, dict], dict[int, dict]]:
    """Read a COCO ``instances.json``.

    Returns:
        Image dicts and annotation dicts, each by id.

    Raises:
        DataError: the file is missing, broken or not a COCO annotation file.
    """
    path = _existing(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        images = {image["id"]: image for image in content["images"]}
        annotations = {annotation["id"]: annotation for annotation in content["annotations"]}
        for image in images.values():
            image["file_name"], image["height"], image["width"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path}: not a COCO annotation file ({error!r}); download it again") from error
    return images, annotations


def load_refer(*, ann_file: str | Path, split_file: str | Path) -> ReferFiles:
    """Read both files of a REFER dataset.

    Args:
        ann_file: ``instances.json``.
        split_file: ``refs(*).p`` or ``grefs(*).json``.

    Raises:
        DataError: see :func:`load_refs` and :func:`load_instances`.
    """
    refs = load_refs(split_file)
    images, annotations = load_instances(ann_file)
    return ReferFiles(images=images, annotations=annotations, refs=refs)


def annotation_ids(ref: dict) -> tuple[int, ...]:
    """Sorted annotation ids of a ref; empty where the expression has no target."""
    ids: Iterable[int] = ref["ann_id"] if isinstance(ref["ann_id"], list) else [ref["ann_id"]]
    return tuple(sorted(i for i in ids if i != NO_TARGET))


def _is_complete(ref: dict) -> bool:
    ids = ref["ann_id"] if isinstance(ref["ann_id"], list) else [ref["ann_id"]]
    sentences = ref["sentences"]
    return (
        all(isinstance(i, int) for i in [*ids, ref["image_id"]])
        and isinstance(ref["split"], str)
        and isinstance(sentences, list)
        and len(sentences) > 0
        and all(isinstance(s, dict) and {"sent", "sent_id"} <= s.keys() for s in sentences)
    )


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise DataError(
            f"{path}: no such file; see docs/datasets.md for what to download and where to put it"
        )
    return path
