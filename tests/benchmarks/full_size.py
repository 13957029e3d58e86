"""A dataset of RefCOCO's size in the REFER layout, without image files."""

import json
import pickle
from pathlib import Path
from random import Random

import numpy as np

NUM_IMAGES = 17_000
NUM_REFS = 50_000
NUM_SENTENCES = 120_000
NUM_ANNOTATIONS = 200_000
WIDTH, HEIGHT = 640, 480
POINTS = 26
"""Of each polygon; makes an instances.json of about 100 MB."""
WORDS = [
    "left",
    "right",
    "top",
    "the",
    "a",
    "man",
    "woman",
    "guy",
    "red",
    "blue",
    "white",
    "shirt",
    "of",
    "on",
]


def write_full_size(root: str | Path, *, scale: float = 1.0, seed: int = 0) -> Path:
    """Write ``refcoco/{instances.json, refs(unc).p}``.

    Args:
        root: Folder to write to.
        scale: Part of the full size.
        seed: Of all that is drawn.

    Returns:
        The folder.
    """
    rng = Random(seed)
    images, refs, sentences, annotations = (
        round(scale * n) for n in (NUM_IMAGES, NUM_REFS, NUM_SENTENCES, NUM_ANNOTATIONS)
    )
    folder = Path(root, "refcoco")
    folder.mkdir(parents=True)
    instances = dict(
        info={},
        images=[_image(index) for index in range(images)],
        annotations=_annotations(annotations, images, seed),
        categories=[dict(id=i, name=f"category {i}", supercategory="thing") for i in range(1, 81)],
    )
    (folder / "instances.json").write_text(json.dumps(instances))
    targets = rng.sample(range(annotations), refs)
    counts = [sentences // refs + (index < sentences % refs) for index in range(refs)]
    own = [
        _ref(i, target, images, count, rng)
        for i, (target, count) in enumerate(zip(targets, counts, strict=True))
    ]
    for sent_id, sentence in enumerate(sentence for ref in own for sentence in ref["sentences"]):
        sentence["sent_id"] = sent_id
    (folder / "refs(unc).p").write_bytes(pickle.dumps(own, protocol=2))
    return Path(root)


def _image(index: int) -> dict:
    name = f"COCO_train2014_{index:012d}.jpg"
    return dict(
        id=index, file_name=name, height=HEIGHT, width=WIDTH, license=1, coco_url=f"http://images/{name}"
    )


def _annotations(count: int, images: int, seed: int) -> list[dict]:
    rng = np.random.default_rng(seed)
    centre = rng.uniform((100, 100), (WIDTH - 100, HEIGHT - 100), (count, 1, 2))
    angle = np.linspace(0, 2 * np.pi, POINTS, endpoint=False)
    radius = rng.uniform(20, 99, (count, POINTS, 1))
    points = (centre + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)).round(2)
    start, stop = points.min(axis=1), points.max(axis=1)
    boxes = np.concatenate([start, stop - start], axis=1).round(2).tolist()
    return [
        dict(
            segmentation=[points[i].ravel().tolist()],
            area=round(boxes[i][2] * boxes[i][3] / 2, 4),
            iscrowd=0,
            image_id=i % images,
            bbox=boxes[i],
            category_id=i % 80 + 1,
            id=1_000_000 + i,
        )
        for i in range(count)
    ]


def _ref(index: int, target: int, images: int, count: int, rng: Random) -> dict:
    image_id = target % images
    texts = [" ".join(rng.choices(WORDS, k=rng.randint(1, 6))) for _ in range(count)]
    return dict(
        ref_id=index,
        ann_id=1_000_000 + target,
        category_id=target % 80 + 1,
        image_id=image_id,
        split=("train", "val", "testA", "testB")[max(0, image_id % 20 - 16)],
        file_name=f"COCO_train2014_{image_id:012d}_{index}.jpg",
        sent_ids=list(range(count)),
        sentences=[dict(tokens=text.split(), raw=text.title(), sent=text) for text in texts],
    )
