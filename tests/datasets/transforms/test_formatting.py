import numpy as np
import torch
from mmseg.structures import SegDataSample

from mmseg_mllm.datasets import PackReferringInputs

IMAGE = np.random.default_rng(0).integers(0, 256, (28, 20, 3), dtype=np.uint8)
MASKS = np.random.default_rng(1).random((2, 28, 20)) < 0.5


def packed(**changes) -> dict:
    results = dict(
        img=IMAGE,
        img_path="images/11.jpg",
        img_id=11,
        ori_shape=(30, 40),
        img_shape=(28, 20),
        dataset="refcoco",
        split="val",
        sample_idx=4,
        expressions=[
            dict(text="Left man.", sent_id=8, ref_id=3, ann_ids=(5,)),
            dict(text="both", sent_id=9, ref_id=2, ann_ids=(5, 6)),
        ],
    )
    return PackReferringInputs()(results | changes)


def test_image_becomes_a_channels_first_tensor():
    inputs = packed()["inputs"]
    assert inputs.dtype == torch.uint8
    assert inputs.shape == (3, 28, 20)
    assert inputs.is_contiguous()
    assert inputs[2, 7, 11] == IMAGE[7, 11, 2]
    assert np.array_equal(inputs.permute(1, 2, 0).numpy(), IMAGE)


def test_sample_says_what_was_asked_of_which_image():
    sample = packed(gt_masks=MASKS)["data_samples"]
    assert isinstance(sample, SegDataSample)
    assert sample.metainfo == dict(
        img_path="images/11.jpg",
        img_id=11,
        ori_shape=(30, 40),
        img_shape=(28, 20),
        dataset="refcoco",
        split="val",
        sample_idx=4,
        expressions=["Left man.", "both"],
        sent_ids=[8, 9],
        ref_ids=[3, 2],
        ann_ids=[(5,), (5, 6)],
    )


def test_masks_are_kept_per_expression():
    masks = packed(gt_masks=MASKS)["data_samples"].gt_instances.masks
    assert masks.dtype == torch.bool
    assert np.array_equal(masks.numpy(), MASKS)


def test_boxes_stand_beside_the_masks():
    boxes = np.array([[1, 2, 3, 4], [0, 0, 9.5, 7]], dtype=np.float32)
    targets = packed(gt_masks=MASKS, gt_bboxes=boxes)["data_samples"].gt_instances
    assert targets.bboxes.dtype == torch.float32
    assert targets.bboxes.tolist() == boxes.tolist()
    assert len(targets.masks) == 2
    assert "bboxes" not in packed(gt_masks=MASKS)["data_samples"].gt_instances


def test_nothing_is_made_up_where_there_is_no_annotation():
    sample = packed(expressions=[dict(text="left man", ann_ids=())])["data_samples"]
    assert "gt_instances" not in sample
    assert (sample.sent_ids, sample.ref_ids, sample.ann_ids) == ([None], [None], [()])
