"""RefCLEF: annotation ids are strings, masks lists of RLEs, and a ref may be in two splits."""

import json
import pickle

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmseg_mllm.datasets import LoadReferringMasks, RefCOCODataset

LEFT, TOP = np.zeros((2, 30, 40), dtype=np.uint8)
LEFT[:, :10] = TOP[:6] = 1


def rle(mask):
    encoded = coco_mask.encode(np.asfortranarray(mask))
    return dict(size=encoded["size"], counts=encoded["counts"].decode())


def ref(ref_id, ann_id, split):
    sentences = [dict(raw="the sky", sent="the sky", sent_id=ref_id, tokens=["the", "sky"])]
    return dict(ref_id=ref_id, ann_id=ann_id, image_id=25, split=split, sentences=sentences)


@pytest.fixture
def refclef_root(tmp_path):
    annotations = [
        dict(id="25_1", image_id=25, segmentation=[rle(LEFT)], bbox=[0, 0, 10, 30], mask_name="25_1.png"),
        dict(id="25_2", image_id=25, segmentation=[rle(LEFT), rle(TOP)], bbox=[0, 0, 40, 30]),
    ]
    images = [dict(id=25, file_name="00/images/25.jpg", height=30, width=40)]
    folder = tmp_path / "refclef"
    folder.mkdir()
    (folder / "instances.json").write_text(json.dumps(dict(images=images, annotations=annotations)))
    refs = [
        ref(1, "25_1", "testAB"),
        ref(2, "25_2", "testA"),
        ref(3, "25_1", "testABC"),
        ref(4, "25_2", "val"),
    ]
    (folder / "refs(unc).p").write_bytes(pickle.dumps(refs, protocol=0))
    return tmp_path


@pytest.mark.parametrize(
    ("split", "ref_ids"), [("testA", [1, 2, 3]), ("testB", [1, 3]), ("testC", [3]), ("val", [4])]
)
def test_a_ref_in_two_splits_is_in_both(refclef_root, split, ref_ids):
    (sample,) = samples(refclef_root, split)
    assert [expression["ref_id"] for expression in sample["expressions"]] == ref_ids


def test_masks_and_paths(refclef_root):
    (sample,) = samples(refclef_root, "testA")
    assert sample["img_path"] == str(refclef_root / "saiapr_tc-12/00/images/25.jpg")
    assert [e["ann_ids"] for e in sample["expressions"]] == [("25_1",), ("25_2",), ("25_1",)]
    sample["ori_shape"] = sample["height"], sample["width"]
    masks = LoadReferringMasks()(sample)["gt_masks"]
    assert np.array_equal(masks, np.stack([LEFT, LEFT | TOP, LEFT]).astype(bool))


def samples(root, split):
    dataset = RefCOCODataset(
        data_root=str(root),
        ann_file="refclef/instances.json",
        split_file="refclef/refs(unc).p",
        data_prefix=dict(img_path="saiapr_tc-12"),
        split=split,
    )
    return [dataset.get_data_info(index) for index in range(len(dataset))]
