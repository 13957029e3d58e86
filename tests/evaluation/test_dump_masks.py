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
from mmseg_mllm.evaluation.predictions import read_predictions


def sample_of(image_id: int, masks: np.ndarray, **changes) -> SegDataSample:
    count = len(masks)
    sample = SegDataSample(
        metainfo=dict(
            dataset="refcoco",
            split="val",
            img_id=image_id,
            img_path=f"images/{image_id}.jpg",
            protocol="independent, forced",
            expressions=[f"thing {i} of {image_id}" for i in range(count)],
            ref_ids=[10 * image_id + i for i in range(count)],
            sent_ids=[100 * image_id + i for i in range(count)],
        )
        | changes
    )
    sample.pred_instances = InstanceData(
        masks=torch.from_numpy(masks),
        bboxes=torch.arange(4 * count, dtype=torch.float32).reshape(count, 4) / 3,
        scores=torch.arange(count) - 0.5,
        rejected=torch.arange(count) < 1,
    )
    return sample


def with_targets(sample: SegDataSample, targets: np.ndarray, ann_ids: list[tuple]) -> SegDataSample:
    sample.set_metainfo(dict(ann_ids=ann_ids))
    sample.gt_instances = InstanceData(masks=torch.from_numpy(targets), bboxes=torch.zeros(len(targets), 4))
    return sample


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) < 0.4


def dumped(path, batches: list[list[SegDataSample]], size: int) -> dict:
    metric = DumpMasks(out_file=str(path))
    for batch in batches:
        metric.process(None, [sample.to_dict() for sample in batch])
    assert metric.evaluate(size) == {}
    return json.loads(path.read_text())


def decoded(segmentation: dict) -> np.ndarray:
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
        assert np.array_equal(decoded(prediction["segmentation"]), mask)
    assert [(p["score"], p["rejected"]) for p in content["predictions"][:3]] == [
        (-0.5, True),
        (0.5, False),
        (1.5, False),
    ]


def test_boxes_and_images_are_told_exactly(tmp_path):
    (prediction,) = dumped(tmp_path / "masks.json", [[sample_of(5, noise(1, 1, 4, 4))]], 1)["predictions"]
    assert prediction["image_path"] == "images/5.jpg"
    boxes = torch.tensor([prediction["bbox"]], dtype=torch.float32)
    assert torch.equal(boxes, torch.arange(4, dtype=torch.float32)[None] / 3)


def test_targets_and_ious_stand_beside_the_masks(tmp_path):
    masks, targets = noise(7, 4, 12, 9), noise(8, 4, 12, 9)
    targets[2:] = False
    sample = with_targets(sample_of(1, masks), targets, [(4,), (4, 5), (6,), ()])
    found = dumped(tmp_path / "masks.json", [[sample]], 1)["predictions"]
    for prediction, mask, target in zip(found[:3], masks, targets, strict=False):
        assert np.array_equal(decoded(prediction["target"]), target)
        assert prediction["iou"] == np.count_nonzero(mask & target) / np.count_nonzero(mask | target)
    # A target whose annotation covers no pixel is a target all the same.
    assert found[2]["target"] is not None
    assert (found[3]["target"], found[3]["rejected"], found[3]["iou"]) == (None, False, 0)


def test_a_missing_target_that_was_recognised_counts_as_hit(tmp_path):
    sample = with_targets(sample_of(1, noise(9, 1, 5, 5)), np.zeros((1, 5, 5), bool), [()])
    (found,) = dumped(tmp_path / "masks.json", [[sample]], 1)["predictions"]
    assert (found["target"], found["rejected"], found["iou"]) == (None, True, 1)


def test_no_targets_are_told_where_the_test_set_has_none(tmp_path):
    (found,) = dumped(tmp_path / "masks.json", [[sample_of(1, noise(9, 1, 5, 5))]], 1)["predictions"]
    assert "target" not in found
    assert "iou" not in found


def test_one_line_for_each_prediction_and_it_reads_back(tmp_path):
    samples = [with_targets(sample_of(i, noise(i, 2, 6, 7)), noise(i, 2, 6, 7), [(1,), (2,)]) for i in (1, 2)]
    content = dumped(tmp_path / "masks.json", [samples], 2)
    assert (tmp_path / "masks.json").read_text().count("\n") == 4 + 2
    file = read_predictions(tmp_path / "masks.json")
    assert file.protocol == "independent, forced"
    assert [vars(prediction) for prediction in file.predictions] == content["predictions"]


def test_no_predictions_are_a_file_as_well(tmp_path):
    assert dumped(tmp_path / "masks.json", [], 0) == {"protocol": "", "predictions": []}


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
    sample = with_targets(sample_of(1, masks), masks, [(1,), (2,)])
    with DefaultScope.overwrite_default_scope("mmseg"):
        evaluator = Evaluator(
            [dict(type="RESMetric"), dict(type="DumpMasks", out_file=str(tmp_path / "masks.json"))]
        )
    evaluator.process(data_samples=[sample])
    assert evaluator.evaluate(1)["refcoco/val/cIoU"] == 100
    assert len(json.loads((tmp_path / "masks.json").read_text())["predictions"]) == 2
