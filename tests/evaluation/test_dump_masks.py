import json

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from mmseg.structures import SegDataSample
from pycocotools import mask as coco_mask

from mmseg_mllm.evaluation import DumpMasks


def sample_of(image_id: int, masks: np.ndarray, **changes) -> SegDataSample:
    count = len(masks)
    sample = SegDataSample(
        metainfo=dict(
            dataset="refcoco",
            split="val",
            img_id=image_id,
            protocol="independent, forced",
            expressions=[f"thing {i} of {image_id}" for i in range(count)],
            ref_ids=[10 * image_id + i for i in range(count)],
            sent_ids=[100 * image_id + i for i in range(count)],
        )
        | changes
    )
    sample.pred_instances = InstanceData(
        masks=torch.from_numpy(masks),
        scores=torch.arange(count) - 0.5,
        rejected=torch.arange(count) < 1,
    )
    return sample


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) < 0.4


def dumped(path, batches: list[list[SegDataSample]], size: int) -> dict:
    metric = DumpMasks(out_file=str(path))
    for batch in batches:
        metric.process(None, [sample.to_dict() for sample in batch])
    assert metric.evaluate(size) == {}
    return json.loads(path.read_text())


def decoded(prediction: dict) -> np.ndarray:
    segmentation = prediction["segmentation"]
    return coco_mask.decode(dict(segmentation, counts=segmentation["counts"].encode())).astype(bool)


def test_file_holds_the_masks_in_order_with_their_ids(tmp_path):
    masks = {9: noise(0, 3, 20, 31), 4: noise(1, 1, 17, 8), 6: noise(2, 2, 5, 5)}
    masks[6][0], masks[6][1] = False, True
    samples = [sample_of(image_id, own) for image_id, own in masks.items()]
    content = dumped(tmp_path / "new" / "masks.json", [samples[:2], samples[2:]], 3)
    assert content.keys() == {"protocol", "predictions"}
    assert content["protocol"] == "independent, forced"
    assert [(p["image_id"], p["ref_id"], p["sent_id"], p["expression"]) for p in content["predictions"]] == [
        (9, 90, 900, "thing 0 of 9"),
        (9, 91, 901, "thing 1 of 9"),
        (9, 92, 902, "thing 2 of 9"),
        (4, 40, 400, "thing 0 of 4"),
        (6, 60, 600, "thing 0 of 6"),
        (6, 61, 601, "thing 1 of 6"),
    ]
    expected = [mask for own in masks.values() for mask in own]
    for prediction, mask in zip(content["predictions"], expected, strict=True):
        assert prediction["segmentation"]["size"] == list(mask.shape)
        assert np.array_equal(decoded(prediction), mask)
    assert [(p["score"], p["rejected"]) for p in content["predictions"][:3]] == [
        (-0.5, True),
        (0.5, False),
        (1.5, False),
    ]


def test_datasets_and_protocols_are_named(tmp_path):
    mask = noise(3, 1, 4, 4)
    samples = [
        sample_of(1, mask, dataset="refcoco+", split="testB"),
        sample_of(2, mask, protocol="joint, forced", expressions=["\u5de6\u8fb9"]),
    ]
    content = dumped(tmp_path / "masks.json", [samples], 2)
    assert content["protocol"] == "independent, forced; joint, forced"
    found = [(p["dataset"], p["split"], p["expression"]) for p in content["predictions"]]
    assert found == [("refcoco+", "testB", "thing 0 of 1"), ("refcoco", "val", "\u5de6\u8fb9")]


def test_samples_that_even_out_processes_are_not_written(tmp_path):
    samples = [sample_of(i, noise(i, 2, 6, 7)) for i in (1, 2, 3)]
    content = dumped(tmp_path / "masks.json", [samples, samples[:1]], 3)
    assert [p["image_id"] for p in content["predictions"]] == [1, 1, 2, 2, 3, 3]


def test_an_older_file_is_replaced(tmp_path):
    path = tmp_path / "masks.json"
    for image_id in (1, 2):
        content = dumped(path, [[sample_of(image_id, noise(4, 1, 5, 5))]], 1)
    assert [p["image_id"] for p in content["predictions"]] == [2]


@pytest.mark.parametrize("key", ["ref_ids", "expressions"])
def test_masks_and_expressions_that_do_not_match_are_refused(tmp_path, key):
    sample = sample_of(1, noise(5, 2, 5, 5), **{key: [1]})
    with pytest.raises(ValueError, match="zip"):
        DumpMasks(out_file=str(tmp_path / "masks.json")).process(None, [sample.to_dict()])


def test_beside_the_metric_in_an_evaluator(tmp_path):
    masks = noise(6, 2, 5, 5)
    sample = sample_of(1, masks, ann_ids=[(1,), (2,)])
    sample.gt_instances = InstanceData(masks=torch.from_numpy(masks))
    with DefaultScope.overwrite_default_scope("mmseg"):
        evaluator = Evaluator(
            [dict(type="RESMetric"), dict(type="DumpMasks", out_file=str(tmp_path / "masks.json"))]
        )
    evaluator.process(data_samples=[sample])
    assert evaluator.evaluate(1)["refcoco/val/cIoU"] == 100
    assert len(json.loads((tmp_path / "masks.json").read_text())["predictions"]) == 2
