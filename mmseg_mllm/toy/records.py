"""Scenes and expressions as COCO and REFER records."""

from collections.abc import Iterator

import numpy as np

from .expressions import Expression
from .layout import Scene
from .polygons import mask_to_polygons
from .stamp import IMAGES_PER_SPLIT
from .vocabulary import SHAPES, SPLITS

# Ids follow from split and index alone, so that the size of one split changes no id of another.
# An image has up to 8 objects and up to 11 refs (8 of RefCOCO, 3 of gRefCOCO) of 1 or 2 sentences.
_ANNS_PER_IMAGE = 8
_REFS_PER_IMAGE = 11
_SENTENCES_PER_REF = 2

CATEGORIES = tuple(
    {"id": number, "name": shape, "supercategory": "shape"} for number, shape in enumerate(SHAPES, start=1)
)


def image_record(*, scene: Scene, index: int) -> dict:
    """COCO image record of the ``index``-th scene of its split."""
    image_id = SPLITS.index(scene.split) * IMAGES_PER_SPLIT + index + 1
    return {
        "id": image_id,
        "file_name": f"COCO_train2014_{image_id:012d}.jpg",
        "height": scene.height,
        "width": scene.width,
    }


def annotation_records(*, scene: Scene, image_id: int) -> list[dict]:
    """COCO annotations of the visible parts, in the order of ``scene.objects``; boxes are x, y, w, h."""
    records = []
    for number, entry in enumerate(scene.objects):
        ys, xs = np.nonzero(entry.visible)
        left, top = int(xs.min()), int(ys.min())
        records.append(
            {
                "id": image_id * _ANNS_PER_IMAGE + number,
                "image_id": image_id,
                "category_id": SHAPES.index(entry.shape) + 1,
                "segmentation": mask_to_polygons(mask=entry.visible),
                "area": len(xs),
                "bbox": [left, top, int(xs.max()) + 1 - left, int(ys.max()) + 1 - top],
                "iscrowd": 0,
            }
        )
    return records


def refcoco_refs(
    *,
    expressions: tuple[Expression, ...],
    annotations: list[dict],
    image: dict,
    split: str,
    rng: np.random.Generator,
) -> Iterator[dict]:
    """RefCOCO refs of one image; every expression has one target."""
    for number, expression in enumerate(expressions):
        annotation = annotations[expression.targets[0]]
        ref_id = image["id"] * _REFS_PER_IMAGE + number
        yield {
            "ref_id": ref_id,
            "ann_id": annotation["id"],
            "category_id": annotation["category_id"],
            "image_id": image["id"],
            "split": split,
            "file_name": _ref_file_name(image=image, annotation=annotation),
            **_sentences(expression=expression, ref_id=ref_id, rng=rng),
        }


def grefcoco_refs(
    *,
    expressions: tuple[Expression, ...],
    annotations: list[dict],
    image: dict,
    split: str,
    rng: np.random.Generator,
) -> Iterator[dict]:
    """gRefCOCO refs of one image; ids do not collide with those of ``refcoco_refs``."""
    for number, expression in enumerate(expressions, start=_ANNS_PER_IMAGE):
        meant = [annotations[target] for target in expression.targets]
        ref_id = image["id"] * _REFS_PER_IMAGE + number
        # Like the official file: only one-target refs name the object in the file name.
        name = _ref_file_name(image=image, annotation=meant[0]) if len(meant) == 1 else image["file_name"]
        yield {
            "ref_id": ref_id,
            "ann_id": [annotation["id"] for annotation in meant] or [-1],
            "category_id": [annotation["category_id"] for annotation in meant] or [-1],
            "image_id": image["id"],
            "split": split,
            "file_name": name,
            "no_target": not meant,
            **_sentences(expression=expression, ref_id=ref_id, rng=rng),
        }


def sentence_needs(*, expressions: tuple[Expression, ...], refs: list[dict]) -> dict[str, list[str]]:
    """Id of each sentence, as text -> the kinds of words that it needs."""
    return {
        str(sent_id): list(sentence.need)
        for expression, ref in zip(expressions, refs, strict=True)
        for sent_id, sentence in zip(ref["sent_ids"], expression.sentences, strict=True)
    }


def _ref_file_name(*, image: dict, annotation: dict) -> str:
    return image["file_name"].replace(".jpg", f"_{annotation['id']}.jpg")


def _sentences(*, expression: Expression, ref_id: int, rng: np.random.Generator) -> dict:
    """``sent`` is lower case without punctuation; ``raw`` is as a person might have typed it."""
    sentences = []
    for number, sentence in enumerate(s.text for s in expression.sentences):
        raw = (sentence, sentence.capitalize(), sentence.capitalize() + ".")[int(rng.integers(3))]
        sentences.append(
            {
                "tokens": sentence.split(),
                "raw": raw,
                "sent_id": ref_id * _SENTENCES_PER_REF + number,
                "sent": sentence,
            }
        )
    return {"sent_ids": [sentence["sent_id"] for sentence in sentences], "sentences": sentences}
