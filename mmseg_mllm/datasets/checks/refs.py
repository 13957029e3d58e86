"""Checks of refs against the records that they name, and of their expressions."""

from collections import defaultdict

from mmseg_mllm.datasets.checks.folder import Folder, RefsFile
from mmseg_mllm.datasets.checks.problems import Kind
from mmseg_mllm.datasets.refer import annotation_ids
from mmseg_mllm.prompts import clean_expression, expression_problem


def check_ids(file: RefsFile, folder: Folder) -> None:
    """Whether each ref's image and annotations are there and belong together."""
    if folder.images is None:
        return
    add = file.problems.add
    for ref in file.refs:
        split, ref_id, image_id = ref["split"], ref["ref_id"], ref["image_id"]
        if image_id not in folder.images:
            add(Kind.IMAGE_ID, split, f"ref {ref_id} names image {image_id}")
        ids = annotation_ids(ref)
        for i in ids:
            annotation = folder.annotations.get(i)
            if annotation is None:
                add(Kind.ANNOTATION_ID, split, f"ref {ref_id} names annotation {i}")
            elif annotation.get("image_id", image_id) != image_id:
                where = (
                    f"ref {ref_id} of image {image_id}: annotation {i} is of image {annotation['image_id']}"
                )
                add(Kind.OTHER_IMAGE, split, where)
        if not ids and not file.may_lack_target:
            add(Kind.NO_TARGET, split, f"ref {ref_id} of image {image_id}")


def check_expressions(file: RefsFile) -> None:
    """Whether each expression can be asked, and asks for one target only."""
    first_target: dict[tuple, tuple] = {}
    sent_ids: defaultdict[str, set] = defaultdict(set)
    for ref in file.refs:
        split, image_id, ids = ref["split"], ref["image_id"], annotation_ids(ref)
        for sentence in ref["sentences"]:
            text, sent_id = sentence["sent"], sentence["sent_id"]
            where = f"sentence {sent_id} of ref {ref['ref_id']} (image {image_id})"
            if sent_id in sent_ids[split]:
                file.problems.add(Kind.SENT_ID, split, where)
            sent_ids[split].add(sent_id)
            fault = expression_problem(text)
            if fault:
                file.problems.add(Kind.EXPRESSION, split, f"{where} {fault}: {text!r:.60}")
            elif first_target.setdefault((split, image_id, clean_expression(text)), ids) != ids:
                file.problems.add(Kind.DUPLICATE, split, f"{where}: {text!r:.60}")
