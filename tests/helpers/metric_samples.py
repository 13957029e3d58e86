"""Samples for the metric: made by hand, and those of MLLMSeg's own evaluation."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.structures import InstanceData
from mmseg.structures import SegDataSample

from mmseg_mllm.boxes import mask_boxes
from mmseg_mllm.evaluation import RESMetric

FEW = 5
"""Pixels that may fall on the other side of the threshold after a bilinear resize."""


def sample_of(pred, gt, *, boxes=None, gt_boxes=None, rejected=None, **changes) -> dict:
    """What a metric is given for one image: K masks that the model drew and K that it should have drawn."""
    sample = SegDataSample(
        metainfo=dict(
            dataset="refcoco",
            split="val",
            protocol="independent, forced",
            ann_ids=[(i,) for i in range(len(gt))],
        )
        | changes
    )
    sample.pred_instances = InstanceData(masks=torch.as_tensor(np.asarray(pred, dtype=bool)))
    sample.gt_instances = InstanceData(masks=torch.as_tensor(np.asarray(gt, dtype=bool)))
    if boxes is not None:
        sample.pred_instances.bboxes = torch.as_tensor(boxes, dtype=torch.float32)
    if gt_boxes is not None:
        sample.gt_instances.bboxes = torch.as_tensor(gt_boxes, dtype=torch.float32)
    if rejected is not None:
        sample.pred_instances.rejected = torch.as_tensor(rejected)
    return sample.to_dict()


def row(pixels: int, *on: int) -> np.ndarray:
    """A mask (1, pixels) with these pixels on."""
    mask = np.zeros((1, pixels), dtype=bool)
    mask[0, list(on)] = True
    return mask


def scores(*samples: dict, size: int | None = None, **arguments) -> dict[str, float]:
    metric = RESMetric(**arguments)
    for sample in samples:
        metric.process(None, [sample])
    return metric.evaluate(len(samples) if size is None else size)


def golden_metrics(golden: Path, name: str) -> tuple[list[dict], dict]:
    """Samples and results of MLLMSeg's evaluation.

    Args:
        golden: Folder of the reference data.
        name: 'res' or 'gres'.

    Returns:
        One sample per image, with boxes for 'res' and verdicts for 'gres', and the entry of ``metrics.json``.
    """
    spec = importlib.util.spec_from_file_location("golden_inputs", golden / "golden_inputs.py")
    inputs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(inputs)
    expected = json.loads((golden / "metrics.json").read_text())[name]
    with np.load(golden / "metrics.npz") as file:
        arrays = {key.removeprefix(f"{name}_"): file[key] for key in file.files if key.startswith(f"{name}_")}

    masks, targets, boxes = [], [], []
    offsets = arrays["gt_packed_offsets"]
    for i, shape in enumerate(arrays["hw"].tolist()):
        targets.append(inputs.unpack_mask(arrays["gt_packed"][offsets[i] : offsets[i + 1]], shape))
        grid = torch.from_numpy(inputs.metric_prediction(arrays["grid"][i]))[None, None]
        probability = F.interpolate(grid, size=shape, mode="bilinear", align_corners=False)[0]
        masks.append((probability[0] >= 0.5).numpy())
        boxes.append(mask_boxes(probability > 0.5)[0].tolist())
    # Their boxes go through float16.
    start, size = np.split(arrays["bbox_xywh"].astype(np.float16).astype(np.float32), 2, axis=1)
    gt_boxes = np.concatenate([start, start + size], axis=1)

    samples, first = [], 0
    for count in arrays["expressions_per_image"].tolist():
        own = slice(first, first + count)
        first += count
        if name == "res":
            kind = dict(boxes=boxes[own], gt_boxes=gt_boxes[own])
        else:
            empty = arrays["empty"][own].tolist()
            kind = dict(
                dataset="grefcoco",
                rejected=arrays["pred_rej"][own].astype(bool),
                ann_ids=[() if none else (k,) for k, none in enumerate(empty)],
            )
        samples.append(sample_of(masks[own], targets[own], **kind))
    assert first == len(masks) == len(expected["per_pair"])
    return samples, expected
