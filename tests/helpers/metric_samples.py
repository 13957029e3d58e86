"""Samples for the metric, made by hand."""

import numpy as np
import torch
from mmengine.structures import InstanceData
from mmseg.structures import SegDataSample

from mmseg_mllm.evaluation import RESMetric


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
