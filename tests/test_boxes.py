import json

import numpy as np
import pytest
import torch

from mmseg_mllm.boxes import box_iou, mask_boxes


def test_boxes_end_at_the_masks_last_pixels():
    masks = torch.zeros(4, 6, 9, dtype=torch.bool)
    masks[0, 2:5, 3:8] = True
    masks[1, 0, 8] = masks[1, 5, 0] = True
    masks[2, 4, 7] = True
    boxes = mask_boxes(masks)
    assert boxes.dtype == torch.float32
    assert boxes.tolist() == [[3, 2, 7, 4], [0, 0, 8, 5], [7, 4, 7, 4], [0, 0, 0, 0]]


def test_boxes_of_random_masks():
    rng = np.random.default_rng(0)
    masks = rng.random((50, 30, 20)) < rng.choice([0.002, 0.01, 0.3], (50, 1, 1))
    for mask, box in zip(masks, mask_boxes(torch.from_numpy(masks)).tolist(), strict=True):
        y, x = np.nonzero(mask)
        assert box == ([x.min(), y.min(), x.max(), y.max()] if len(x) else [0, 0, 0, 0])
    assert 0 < sum(not mask.any() for mask in masks) < 50


def test_no_masks_no_boxes():
    assert mask_boxes(torch.zeros(0, 5, 4, dtype=torch.bool)).shape == (0, 4)


def test_boxes_do_not_wait_for_the_device():
    # A meta tensor has no values: whatever asks for one fails.
    masks = torch.zeros(3, 5, 4, dtype=torch.bool, device="meta")
    boxes = mask_boxes(masks)
    assert (boxes.shape, boxes.device.type) == ((3, 4), "meta")
    assert box_iou(boxes, boxes).shape == (3,)


def test_ious():
    a = torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 4], [1, 1, 3, 3], [0, 0, 2, 2], [5, 5, 5, 5]])
    b = torch.tensor([[2.0, 2, 6, 6], [0, 0, 4, 4], [0, 0, 4, 4], [3, 3, 9, 9], [5, 5, 5, 5]])
    assert box_iou(a, b).tolist() == pytest.approx([4 / 28, 1, 4 / 16, 0, 0])
    assert torch.equal(box_iou(a, b), box_iou(b, a))


def test_boxes_apart_in_both_directions_share_nothing():
    a, b = torch.tensor([[0.0, 0, 2, 2]]), torch.tensor([[7.0, 7, 9, 9]])
    assert box_iou(a, b).tolist() == box_iou(b, a).tolist() == [0]


def test_mllmseg_s_own_boxes(golden):
    golden = json.loads((golden / "metrics.json").read_text())
    for case in golden["mask_to_bbox_cases"]:
        probability = torch.tensor([case["mask"]])
        assert mask_boxes(probability > 0.5)[0].tolist() == case["bbox"]
    for case in golden["bbox_iou_cases"]:
        assert box_iou(torch.tensor([case["a"]]), torch.tensor([case["b"]])).item() == case["iou"]
    pairs = [pair for name in ("res", "gres") for pair in golden[name]["per_pair"]]
    boxes = [torch.tensor([pair[f"{of}_bbox_xyxy"] for pair in pairs]) for of in ("pred", "gt")]
    assert box_iou(*boxes).tolist() == [pair["bbox_iou"] for pair in pairs]
