"""Files of predictions, made by hand."""

import json
from pathlib import Path

import numpy as np
import torch
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from mmseg.registry import DATASETS
from mmseg.structures import SegDataSample
from pycocotools import mask as coco_mask

from mmseg_mllm.boxes import mask_boxes
from mmseg_mllm.datasets import RefCOCODataset
from mmseg_mllm.evaluation import DumpMasks

PIPELINE = [
    dict(type="LoadRGBImage"),
    dict(type="ResizeToInput", size=32),
    dict(type="LoadReferringMasks"),
    dict(type="PackReferringInputs"),
]


def rle_of(mask: np.ndarray) -> dict:
    """COCO RLE of a mask (H, W)."""
    rle = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return dict(size=rle["size"], counts=rle["counts"].decode())


def entry(**changes) -> dict:
    """One prediction, on an image of 3 x 4 pixels."""
    mask = np.eye(3, 4, dtype=bool)
    content = dict(
        dataset="refcoco",
        split="val",
        image_id=7,
        ref_id=1,
        sent_id=2,
        expression="left man",
        image_path="images/7.jpg",
        score=1.5,
        rejected=False,
        bbox=[0.0, 0.0, 2.0, 2.0],
        segmentation=rle_of(mask),
        target=rle_of(mask),
        iou=1.0,
    )
    return content | changes


def write(path: Path, *predictions: dict, protocol: object = "independent, forced") -> Path:
    """A file that holds these predictions."""
    path.write_text(json.dumps(dict(protocol=protocol, predictions=predictions)))
    return path


def refer_dataset(root: Path, name: str, **changes) -> RefCOCODataset:
    """A test set of the ``refer_root`` fixture: 'refcoco' or 'grefcoco'."""
    kind, refs = {
        "refcoco": ("RefCOCODataset", "refs(unc).p"),
        "grefcoco": ("GRefCOCODataset", "grefs(unc).json"),
    }[name]
    config = dict(
        type=kind,
        data_root=str(root),
        ann_file=f"{name}/instances.json",
        split_file=f"{name}/{refs}",
        data_prefix=dict(img_path="images"),
        split="val",
        test_mode=True,
        pipeline=PIPELINE,
    )
    with DefaultScope.overwrite_default_scope("mmseg"):
        return DATASETS.build(config | changes)


def guessed(dataset: RefCOCODataset, *, seed: int = 0) -> list[SegDataSample]:
    """Samples of a test whose model guesses more or less well."""
    rng = np.random.default_rng(seed)
    samples = []
    for packed in dataset:
        sample = packed["data_samples"]
        targets = sample.gt_instances.masks.numpy()
        share = rng.choice([0.01, 0.1, 0.4], (len(targets), 1, 1))
        # As a model's: the mask holds probabilities of 0.5, the box does not.
        probability = np.where(targets ^ (rng.random(targets.shape) < share), 0.9, 0.1)
        probability[rng.random(targets.shape) < 0.02] = 0.5
        sample.pred_instances = InstanceData(
            masks=torch.from_numpy(probability >= 0.5),
            bboxes=mask_boxes(torch.from_numpy(probability > 0.5)) * rng.uniform(0.7, 1.0),
            scores=torch.from_numpy(rng.normal(size=len(targets)).astype(np.float32)),
            rejected=torch.from_numpy(rng.random(len(targets)) < 0.4),
        )
        sample.set_metainfo(dict(protocol="independent, forced"))
        samples.append(sample)
    return samples


def dump(path: Path, samples: list[SegDataSample]) -> Path:
    """Write the samples as a test does."""
    metric = DumpMasks(out_file=str(path))
    metric.process(None, [sample.to_dict() for sample in samples])
    metric.evaluate(len(samples))
    return path
