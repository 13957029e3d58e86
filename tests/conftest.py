import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from mmseg_mllm.toy import write_toy_refcoco

# Threads of several processes that wait for one another slow each other down; tools run by tests inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

SIZES = {11: (40, 30), 7: (25, 50), 30: (64, 48)}  # image id -> width, height
TOY_COUNTS = {"train": 6, "val": 3, "testA": 2, "testB": 2}


DATA = Path(__file__).resolve().parent / "data"


@pytest.fixture(scope="session")
def golden():
    """Numbers that the authors' code produced; read only."""
    return DATA / "golden"


@pytest.fixture(scope="session")
def real_root():
    """Four photographs with expressions of RefCOCOg, in the REFER layout; read only."""
    return DATA / "real_refcoco"


@pytest.fixture(scope="session")
def toy_root(tmp_path_factory):
    """A small toy set; read only."""
    return write_toy_refcoco(out=tmp_path_factory.mktemp("toy") / "toy_refcoco", counts=TOY_COUNTS)


@pytest.fixture
def refer_root(tmp_path):
    """Three images with RefCOCO and gRefCOCO annotations, for the test's own use."""
    root = tmp_path / "refer"
    (root / "images").mkdir(parents=True)
    for image_id, (width, height) in SIZES.items():
        pixels = np.random.default_rng(image_id).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "images" / f"COCO_train2014_{image_id:012d}.jpg")
    instances = dict(
        images=[
            dict(id=i, file_name=f"COCO_train2014_{i:012d}.jpg", width=width, height=height)
            for i, (width, height) in SIZES.items()
        ],
        annotations=_annotations(),
        categories=[dict(id=1, name="thing")],
    )
    for name, file, content in [
        ("refcoco", "refs(unc).p", pickle.dumps(_refs(), protocol=2)),
        ("grefcoco", "grefs(unc).json", json.dumps(_grefs()).encode()),
    ]:
        (root / name).mkdir()
        (root / name / "instances.json").write_text(json.dumps(instances))
        (root / name / file).write_bytes(content)
    return root


def _annotations() -> list[dict]:
    half = np.zeros((50, 25), dtype=np.uint8, order="F")
    half[:, 10:] = 1
    compressed = coco_mask.encode(half)
    segmentations = {
        101: (11, [[2, 3, 12, 3, 12, 20, 2, 20]], [2, 3, 10, 17]),
        102: (11, [[20, 5, 30, 5, 25, 15], [31, 20, 38, 20, 38, 28, 31, 28]], [20, 5, 18, 23]),
        # Column order: 100 off, 150 on (columns 2 to 4), the rest off.
        201: (7, dict(size=[50, 25], counts=[100, 150, 1000]), [2, 0, 3, 50]),
        202: (7, dict(size=[50, 25], counts=compressed["counts"].decode()), [10, 0, 15, 50]),
        301: (30, [[10, 10, 50, 10, 50, 40, 10, 40], [1, 1, 5, 5]], [10, 10, 40, 30]),
        302: (30, dict(size=[48, 64], counts=[0, 48, 3024]), [0, 0, 1, 48]),
    }
    return [
        dict(id=i, image_id=image, segmentation=shape, bbox=box, area=1.0, category_id=1, iscrowd=0)
        for i, (image, shape, box) in segmentations.items()
    ]


def _refs() -> list[dict]:
    return [
        _ref(1, 101, 11, "val", {1: "left man", 2: "Man in red."}),
        _ref(2, 201, 7, "val", {3: "the dog"}),
        _ref(3, 101, 11, "val", {9: "guy on the left"}),
        _ref(4, 102, 11, "val", {4: "woman", 5: "the two things on the right"}),
        _ref(5, 202, 7, "testA", {6: "everything on the right"}),
        _ref(6, 301, 30, "train", {7: "big box"}),
        _ref(7, 302, 30, "train", {8: "left border", 10: "stripe"}),
    ]


def _grefs() -> list[dict]:
    return [
        _ref(1, [102, 101], 11, "val", {1: "both people"}),
        _ref(2, [-1], 11, "val", {2: "a zebra", 3: "nobody"}),
        _ref(3, [101], 11, "val", {4: "left man"}),
        _ref(4, [201, 202], 7, "val", {5: "all of it"}),
        _ref(5, [-1], 30, "train", {6: "a cat"}),
    ]


def _ref(ref_id: int, ann_id: int | list[int], image_id: int, split: str, sentences: dict[int, str]) -> dict:
    return dict(
        ref_id=ref_id,
        ann_id=ann_id,
        category_id=1,
        image_id=image_id,
        split=split,
        # As in RefCOCO: the suffix names no file.
        file_name=f"COCO_train2014_{image_id:012d}_{ref_id + 5000}.jpg",
        sent_ids=list(sentences),
        sentences=[
            dict(raw=text, sent=text, sent_id=i, tokens=text.split()) for i, text in sentences.items()
        ],
    )
