"""Part 'metrics': what the evaluator makes of masks whose scores by the authors' scripts are known."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.structures import InstanceData
from mmseg.structures import SegDataSample

from mmseg_mllm.boxes import box_iou, mask_boxes
from mmseg_mllm.evaluation import RESMetric
from mmseg_mllm.golden.checks import Check, compare
from mmseg_mllm.golden.fill import unpack_masks
from mmseg_mllm.golden.reference import read_arrays, read_json

PART = "metrics"
FEW = 5
"""Pixels that may fall on the other side of the threshold after a bilinear resize."""
CELL = 16
"""Pixels of the predicted map per number of the stored grid."""


def check_metrics(folder: Path) -> list[Check]:
    """Run ``RESMetric`` over the pairs of ``metrics.npz``."""
    facts = read_json(folder, "metrics.json")
    return [*_check_res(folder, facts["res"]), *_check_gres(folder, facts["gres"]), *_check_boxes(facts)]


def metric_samples(folder: Path, task: str) -> list[dict]:
    """One sample per image as ``RESMetric`` takes it, with boxes for 'res' and verdicts for 'gres'."""
    arrays = read_arrays(folder, "metrics.npz")
    arrays = {k.removeprefix(f"{task}_"): v for k, v in arrays.items() if k.startswith(f"{task}_")}
    offsets = arrays["gt_packed_offsets"]
    masks, boxes, targets = [], [], []
    for i, shape in enumerate(arrays["hw"].tolist()):
        targets.append(unpack_masks(arrays["gt_packed"][offsets[i] : offsets[i + 1]], tuple(shape)))
        grid = np.repeat(np.repeat(arrays["grid"][i].astype(np.float32), CELL, axis=0), CELL, axis=1)
        probability = F.interpolate(
            torch.from_numpy(grid)[None, None], size=shape, mode="bilinear", align_corners=False
        )[0]
        masks.append(probability[0] >= 0.5)
        boxes.append(mask_boxes(probability > 0.5)[0])
    # Their boxes go through float16.
    start, size = torch.from_numpy(arrays["bbox_xywh"]).half().float().chunk(2, dim=1)
    gt_boxes = torch.cat([start, start + size], dim=1)
    samples, first = [], 0
    for count in arrays["expressions_per_image"].tolist():
        own = slice(first, first + count)
        first += count
        empty = arrays["empty"][own].tolist() if task == "gres" else [False] * count
        sample = SegDataSample(
            metainfo=dict(
                dataset=task,
                split="val",
                protocol="reference",
                ann_ids=[() if none else (k,) for k, none in enumerate(empty)],
            )
        )
        sample.pred_instances = InstanceData(masks=torch.stack(masks[own]), bboxes=torch.stack(boxes[own]))
        sample.gt_instances = InstanceData(masks=torch.stack(targets[own]), bboxes=gt_boxes[own])
        if task == "gres":
            sample.pred_instances.rejected = torch.from_numpy(arrays["pred_rej"][own].astype(bool))
        samples.append(sample.to_dict())
    return samples


def _check_res(folder: Path, facts: dict) -> list[Check]:
    found = _figures(metric_samples(folder, "res"), "res/val/")
    official = facts["unrounded"]
    unions = [pair["union"][1] for pair in facts["per_pair"]]
    # What a few pixels of the smallest pair change in a mean over all of them.
    few = FEW / min(union for union in unions if union) / len(unions)
    box_ious = [pair["bbox_iou"] for pair in facts["per_pair"]]
    return [
        _share("RES cIoU", found["cIoU"], official["ciou"], FEW / sum(unions)),
        # They add 1e-5 to each union and sum in float32.
        _share("RES gIoU per image", found["gIoU per image"], official["giou"], 1e-5 + few),
        _share("RES mIoU", found["mIoU"], official["mean_per_expression_iou"], few),
        _share("REC Acc@0.5", found["REC Acc@0.5"], official["rec"], 1e-9),
        _share("REC mean box IoU", found["REC mean box IoU"], float(np.mean(box_ious)), 1e-6),
        compare(PART, "RES expressions", found["expressions"], len(unions)),
        compare(PART, "RES images", found["images"], len(facts["expressions_per_image"])),
    ]


def _check_gres(folder: Path, facts: dict) -> list[Check]:
    found = _figures(metric_samples(folder, "gres"), "gres/val/GRES ")
    official = facts["unrounded"]
    unions = [pair["union"][1] for pair in facts["per_pair"]]
    few = FEW / min(union for union in unions if union) / len(unions)
    total = facts["meters_after_all_reduce"]["Union"]["sum"][1]
    return [
        _share("GRES gIoU", found["gIoU"], official["g_iou"], 1e-5 + few),
        _share("GRES cIoU", found["cIoU"], official["c_iou"], FEW / total),
        _share("GRES N-acc", found["N-acc"], official["N_acc"], 1e-9),
        _share("GRES T-acc", found["T-acc"], official["T_acc"], 1e-9),
        compare(PART, "GRES expressions", found["expressions"], len(unions)),
        compare(PART, "GRES no target", found["no target"], sum(p["empty"] for p in facts["per_pair"])),
    ]


def _check_boxes(facts: dict) -> list[Check]:
    boxes = [mask_boxes(torch.tensor([case["mask"]]) > 0.5)[0] for case in facts["mask_to_bbox_cases"]]
    a, b = (
        torch.tensor([case[side] for case in facts["bbox_iou_cases"]], dtype=torch.float32) for side in "ab"
    )
    return [
        compare(PART, "boxes of masks", torch.stack(boxes), [c["bbox"] for c in facts["mask_to_bbox_cases"]]),
        compare(PART, "IoU of boxes", box_iou(a, b), [c["iou"] for c in facts["bbox_iou_cases"]], atol=1e-6),
    ]


def _figures(samples: list[dict], prefix: str) -> dict[str, float]:
    metric = RESMetric()
    for sample in samples:
        metric.process(None, [sample])
    found = metric.evaluate(len(samples))
    return {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}


def _share(name: str, percent: float, official: float, atol: float) -> Check:
    """Ours is in percent, theirs a share of 1."""
    return compare(PART, name, percent / 100, official, atol=atol)
