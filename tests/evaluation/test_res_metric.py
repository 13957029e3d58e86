import importlib.util
import json
import math

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from mmseg.structures import SegDataSample
from pycocotools import mask as coco_mask

from mmseg_mllm.evaluation import RESMetric
from mmseg_mllm.evaluation.report import table_text


def sample_of(pred, gt, **changes) -> dict:
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
    return sample.to_dict()


def scores(*samples: dict, size: int | None = None, **arguments) -> dict[str, float]:
    metric = RESMetric(**arguments)
    for sample in samples:
        metric.process(None, [sample])
    return metric.evaluate(len(samples) if size is None else size)


def row(pixels: int, *on: int) -> np.ndarray:
    """A mask (1, pixels) with these pixels on."""
    mask = np.zeros((1, pixels), dtype=bool)
    mask[0, list(on)] = True
    return mask


def random_sample(rng: np.random.Generator, **changes) -> dict:
    """Masks of one image that agree more or less."""
    count, height, width = rng.integers(1, 6), rng.integers(5, 40), rng.integers(5, 40)
    gt = rng.random((count, height, width)) < rng.uniform(0.2, 0.8)
    gt[:, 0, 0] = True
    noise = rng.random(gt.shape) < rng.choice([0.02, 0.1, 0.2, 0.4], (count, 1, 1))
    return sample_of(gt ^ noise, gt, **changes)


def masks_of(samples: list[dict]) -> list[tuple[np.ndarray, np.ndarray]]:
    return [
        (pred, gt)
        for sample in samples
        for pred, gt in zip(
            sample["pred_instances"]["masks"].numpy(), sample["gt_instances"]["masks"].numpy(), strict=True
        )
    ]


@pytest.fixture
def samples():
    rng = np.random.default_rng(0)
    kinds = [("refcoco", "val"), ("refcoco", "testA"), ("refcoco+", "val")]
    return [
        random_sample(rng, dataset=dataset, split=split)
        for _ in range(12)
        for dataset, split in kinds[: rng.integers(1, 4)]
    ]


def test_figures_are_those_of_a_plain_count(samples):
    found = scores(*samples)
    groups = {(sample["dataset"], sample["split"]) for sample in samples}
    assert len(groups) == 3
    assert len(found) == 3 * 10
    for dataset, split in groups:
        own = [s for s in samples if (s["dataset"], s["split"]) == (dataset, split)]
        pairs = masks_of(own)
        intersections = [np.count_nonzero(pred & gt) for pred, gt in pairs]
        unions = [np.count_nonzero(pred | gt) for pred, gt in pairs]
        ious = np.divide(intersections, unions)
        expected = dict(images=len(own), objects=len(pairs), expressions=len(pairs))
        expected["cIoU"] = 100 * sum(intersections) / sum(unions)
        for threshold in (0.5, 0.6, 0.7, 0.8, 0.9):
            expected[f"Pr@{threshold}"] = 100 * np.count_nonzero(ious > threshold) / len(pairs)
        for name, value in expected.items():
            assert found[f"{dataset}/{split}/{name}"] == value, name
        assert found[f"{dataset}/{split}/mIoU"] == pytest.approx(100 * ious.mean(), rel=1e-12)
        assert 0 < expected["Pr@0.8"] < expected["Pr@0.5"] < 100


def test_figures_are_those_of_pycocotools(samples):
    found = scores(*(s for s in samples if s["dataset"] == "refcoco+"))
    ious = []
    for pred, gt in masks_of([s for s in samples if s["dataset"] == "refcoco+"]):
        rles = [[coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))] for mask in (pred, gt)]
        ious.append(coco_mask.iou(*rles, [0]).item())
    assert found["refcoco+/val/mIoU"] == pytest.approx(100 * np.mean(ious), rel=1e-12)
    for threshold in (0.5, 0.6, 0.7, 0.8, 0.9):
        share = np.mean([iou > threshold for iou in ious])
        assert found[f"refcoco+/val/Pr@{threshold}"] == pytest.approx(100 * share, rel=1e-12)


def test_ciou_weighs_pixels_and_miou_expressions():
    large = sample_of([np.ones((10, 10))], [np.ones((10, 10))])
    small = sample_of([row(4, 0), row(4, 0, 1)], [row(4, 3), row(4, 1)])
    found = scores(large, small)
    assert found["refcoco/val/cIoU"] == pytest.approx(100 * 101 / 104)
    assert found["refcoco/val/mIoU"] == pytest.approx(100 * (1 + 0 + 0.5) / 3)


def test_precision_counts_what_is_strictly_above():
    # IoUs 5/10, 6/10, 7/10, 8/10, 9/10 and 1.
    gt = [row(10, *range(10))] * 6
    found = scores(sample_of([row(10, *range(k)) for k in (5, 6, 7, 8, 9, 10)], gt))
    precisions = [found[f"refcoco/val/Pr@{x}"] for x in (0.5, 0.6, 0.7, 0.8, 0.9)]
    assert precisions == pytest.approx([500 / 6, 400 / 6, 300 / 6, 200 / 6, 100 / 6])


def test_empty_masks():
    empty, some = row(5), row(5, 1, 2)
    found = scores(sample_of([empty, empty, some], [empty, some, empty]))
    assert found["refcoco/val/mIoU"] == pytest.approx(100 / 3)
    assert found["refcoco/val/cIoU"] == 0
    assert found["refcoco/val/Pr@0.9"] == pytest.approx(100 / 3)
    found = scores(sample_of([empty], [empty]))
    assert found["refcoco/val/mIoU"] == 100
    assert math.isnan(found["refcoco/val/cIoU"])


def test_counts():
    one = row(3, 0)
    both = sample_of([one] * 4, [one] * 4, ann_ids=[(5,), (6,), (5,), (5, 6)])
    found = scores(both, sample_of([one] * 2, [one] * 2, ann_ids=[(9,), (9,)]), sample_of([one], [one]))
    assert {name: found[f"refcoco/val/{name}"] for name in ("images", "objects", "expressions")} == {
        "images": 3,
        "objects": 5,
        "expressions": 7,
    }


FIRST, SECOND, THIRD = row(12, 0, 1, 2, 3), row(12, 4, 5, 6, 7), row(12, 8, 9, 10, 11)
THREE_OBJECTS = sample_of(
    [FIRST, row(12, 4, 5, 6, 7, 8, 9), row(12, 2, 3, 4, 5), row(12, 0, 8, 9, 10, 11)],
    [FIRST, SECOND, FIRST, THIRD],
    ann_ids=[(7,), (3,), (7,), (5,)],
)


def test_rotated_control_scores_the_next_object_s_target():
    found = scores(THREE_OBJECTS, rotate_expressions=True)
    assert found["refcoco/val/cIoU"] == pytest.approx(100 * (4 + 4 + 2 + 4) / (4 + 6 + 6 + 5))
    # Against SECOND, THIRD, SECOND, FIRST.
    assert found["refcoco/val/cIoU rotated"] == pytest.approx(100 * (0 + 2 + 2 + 1) / (8 + 8 + 6 + 8))


def test_rotated_control_leaves_out_images_with_one_target():
    one_target = sample_of([FIRST, SECOND], [FIRST, FIRST], ann_ids=[(7,), (7,)])
    found = scores(one_target, THREE_OBJECTS, rotate_expressions=True)
    assert found["refcoco/val/cIoU"] == pytest.approx(100 * (14 + 4 + 0) / (21 + 4 + 8))
    assert found["refcoco/val/cIoU rotated"] == pytest.approx(100 * 5 / 30)
    assert math.isnan(scores(one_target, rotate_expressions=True)["refcoco/val/cIoU rotated"])
    assert "refcoco/val/cIoU rotated" not in scores(THREE_OBJECTS)


def test_samples_that_even_out_processes_are_not_counted(samples):
    own = [sample for sample in samples if sample["dataset"] == "refcoco+"]
    assert scores(*own, *own[:2], size=len(own)) == scores(*own)
    assert scores(*own, *own[:2]) != scores(*own)


def test_batches_and_repeated_evaluation_change_nothing(samples):
    metric = RESMetric()
    for _ in range(2):
        metric.process(None, samples)
        assert metric.evaluate(len(samples)) == scores(*samples)


def test_nothing_tested():
    metric = RESMetric(rotate_expressions=True)
    assert metric.evaluate(0) == {}
    assert metric.rows == []


def test_datasets_splits_and_protocols_are_kept_apart():
    mask = row(4, 0, 1)
    metric = RESMetric()
    kinds = [
        dict(dataset="refcoco", split="val"),
        dict(dataset="refcoco", split="testA"),
        dict(dataset="refcocog", split="val"),
        dict(dataset="refcoco", split="val", protocol="joint, forced"),
    ]
    for number, kind in enumerate(kinds):
        metric.process(None, [sample_of([row(4, *range(number + 1))], [mask], **kind)])
    metric.evaluate(4)
    assert [(r.dataset, r.split, r.protocol, r.figures["cIoU"]) for r in metric.rows] == [
        ("refcoco", "val", "independent, forced", pytest.approx(50)),
        ("refcoco", "testA", "independent, forced", pytest.approx(100)),
        ("refcocog", "val", "independent, forced", pytest.approx(200 / 3)),
        ("refcoco", "val", "joint, forced", pytest.approx(50)),
    ]
    text = table_text(metric.rows)
    assert text.count("independent, forced") == 3
    assert text.count("joint, forced") == 1


def test_table_says_what_was_measured():
    metric = RESMetric(rotate_expressions=True)
    metric.process(None, [THREE_OBJECTS] * 1100)
    metric.evaluate(1100)
    text = table_text(metric.rows, caption="seen at iteration 7")
    assert "protocol: independent, forced" in text
    assert "seen at iteration 7" in text
    (line,) = [line for line in text.splitlines() if "refcoco" in line]
    cells = [cell.strip() for cell in line.replace("\u2502", "|").strip("| ").split("|")]
    assert cells[:5] == ["refcoco", "val", "1,100", "3,300", "4,400"]
    # IoUs 1, 2/3, 1/3 and 4/5.
    assert cells[5:] == ["66.67", "70.00", "75.00", "75.00", "50.00", "25.00", "25.00", "16.67"]
    (head,) = [line for line in text.splitlines() if "cIoU rotated" in line]
    names = [name.strip() for name in head.replace("\u2503", "|").strip("| ").split("|")]
    assert names[:7] == ["dataset", "split", "images", "objects", "expressions", "cIoU", "mIoU"]
    assert names[7:] == ["Pr@0.5", "Pr@0.6", "Pr@0.7", "Pr@0.8", "Pr@0.9", "cIoU rotated"]


def test_mllmseg_s_own_evaluation_gives_the_same(shared_dir):
    golden = shared_dir / "golden"
    spec = importlib.util.spec_from_file_location("golden_inputs", golden / "golden_inputs.py")
    inputs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(inputs)
    expected = json.loads((golden / "metrics.json").read_text())["res"]
    with np.load(golden / "metrics.npz") as file:
        arrays = {name: file[name] for name in file.files if name.startswith("res_")}

    pairs = []
    offsets = arrays["res_gt_packed_offsets"]
    for i, (height, width) in enumerate(arrays["res_hw"].tolist()):
        gt = inputs.unpack_mask(arrays["res_gt_packed"][offsets[i] : offsets[i + 1]], (height, width))
        probability = torch.from_numpy(inputs.metric_prediction(arrays["res_grid"][i]))[None, None]
        resized = torch.nn.functional.interpolate(
            probability, size=(height, width), mode="bilinear", align_corners=False
        )
        pairs.append(((resized[0, 0] >= 0.5).numpy(), gt))

    few = 5
    for pair, official in zip(pairs, expected["per_pair"], strict=True):
        found = scores(sample_of([pair[0]], [pair[1]]))["refcoco/val/mIoU"] / 100
        intersection, union = official["intersection"][1], official["union"][1]
        assert found == pytest.approx(intersection / union if union else 1, abs=few / max(union, 1))

    data_samples, first = [], 0
    for count in arrays["res_expressions_per_image"]:
        pred, gt = zip(*pairs[first : first + count], strict=True)
        data_samples.append(sample_of(pred, gt))
        first += count
    assert first == len(pairs) == 40
    with DefaultScope.overwrite_default_scope("mmseg"):
        evaluator = Evaluator([dict(type="RESMetric")])
    evaluator.process(data_samples=data_samples)
    found = evaluator.evaluate(len(data_samples))
    assert (found["refcoco/val/images"], found["refcoco/val/expressions"]) == (12, 40)
    union = sum(pair["union"][1] for pair in expected["per_pair"])
    assert found["refcoco/val/cIoU"] == pytest.approx(
        100 * expected["unrounded"]["ciou"], abs=100 * few / union
    )
    assert found["refcoco/val/mIoU"] == pytest.approx(
        100 * expected["unrounded"]["mean_per_expression_iou"], abs=0.01
    )
