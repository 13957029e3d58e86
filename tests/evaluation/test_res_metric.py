import math
import multiprocessing
import pickle

import numpy as np
import pytest
import torch
from helpers.metric_processes import evaluate_in_process, mixed_samples, random_sample
from helpers.metric_samples import row, sample_of, scores
from pycocotools import mask as coco_mask

from mmseg_mllm.errors import ConfigError
from mmseg_mllm.evaluation import RESMetric
from mmseg_mllm.evaluation.counts import count_image
from mmseg_mllm.evaluation.report import table_text


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
    assert len(found) == 3 * 11
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
        ends = np.cumsum([len(s["ann_ids"]) for s in own])
        means = [own_ious.mean() for own_ious in np.split(ious, ends[:-1])]
        assert found[f"{dataset}/{split}/gIoU per image"] == pytest.approx(100 * np.mean(means), rel=1e-12)
        assert abs(ious.mean() - np.mean(means)) > 0.001
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


def test_giou_per_image_weighs_images():
    many = sample_of([row(4, 0, 1)] * 4, [row(4, 0, 1), row(4, 0), row(4, 3), row(4, 2)])
    single = sample_of([row(4, 0)], [row(4, 0)])
    found = scores(many, single)
    assert found["refcoco/val/gIoU per image"] == pytest.approx(100 * ((1 + 0.5) / 4 + 1) / 2)
    assert found["refcoco/val/mIoU"] == pytest.approx(100 * 2.5 / 5)


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


def test_rotated_control_with_objects_of_other_sizes_and_numbers_of_expressions():
    drawn = [row(9, 0, 1), row(9, 0), row(9, 1, 2, 3, 4)]
    one, other = row(9, 0), row(9, 1, 2, 3)
    sample = sample_of(drawn, [one, one, other], ann_ids=[(7,), (7,), (3,)])
    found = scores(sample, rotate_expressions=True)
    # {0, 1} and {0} against {1, 2, 3}, and {1, 2, 3, 4} against {0}.
    assert found["refcoco/val/cIoU rotated"] == pytest.approx(100 * (1 + 0 + 0) / (4 + 4 + 5))


def test_large_masks_are_counted_to_the_pixel():
    """Above 2 ** 24 a float32 skips every other number."""
    sides = 4097, 4097
    whole = torch.ones(1, 1, dtype=torch.bool).expand(sides)[None]
    sample = sample_of([row(1, 0)], [row(1, 0)])
    sample["pred_instances"]["masks"] = sample["gt_instances"]["masks"] = whole
    (counts,) = count_image(sample, rotate=False).expressions
    assert (counts.intersection, counts.predicted, counts.target) == (4097**2,) * 3


def test_boxes_of_some_images_alone_make_no_rec():
    mask, box = [row(4, 0, 1)], [[0, 0, 1, 1]]
    found = scores(sample_of(mask, mask, boxes=box, gt_boxes=box), sample_of(mask, mask))
    assert found["refcoco/val/cIoU"] == 100
    assert not any("REC" in name for name in found)


def test_rotated_control_leaves_out_images_with_one_target():
    one_target = sample_of([FIRST, SECOND], [FIRST, FIRST], ann_ids=[(7,), (7,)])
    found = scores(one_target, THREE_OBJECTS, rotate_expressions=True)
    assert found["refcoco/val/cIoU"] == pytest.approx(100 * (14 + 4 + 0) / (21 + 4 + 8))
    assert found["refcoco/val/cIoU rotated"] == pytest.approx(100 * 5 / 30)
    assert math.isnan(scores(one_target, rotate_expressions=True)["refcoco/val/cIoU rotated"])
    assert "refcoco/val/cIoU rotated" not in scores(THREE_OBJECTS)


def test_state_does_not_grow_with_the_test_set(samples):
    metric, sizes = RESMetric(), []
    for _ in range(3):
        for _ in range(50):
            metric.process(None, samples)
        sizes.append(len(pickle.dumps(metric.tally)))
    # Integers get a digit longer.
    assert sizes[2] < sizes[0] + 50 < 3000
    assert metric.evaluate(150 * len(samples))["refcoco/val/expressions"] > 5000


def test_images_dealt_out_otherwise_are_refused(samples):
    metric = RESMetric()
    metric.process(None, [*samples, samples[0]])
    with pytest.raises(ConfigError, match=r"process 1 of 1 was given \d+ images .*DefaultSampler"):
        metric.evaluate(len(samples))


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
    assert cells[5:] == ["66.67", "70.00", "70.00", "75.00", "75.00", "50.00", "25.00", "25.00", "16.67"]
    (head,) = [line for line in text.splitlines() if "cIoU rotated" in line]
    names = [name.strip() for name in head.replace("\u2503", "|").strip("| ").split("|")]
    assert names[:7] == ["dataset", "split", "images", "objects", "expressions", "cIoU", "mIoU"]
    assert names[7:] == ["gIoU per image", "Pr@0.5", "Pr@0.6", "Pr@0.7", "Pr@0.8", "Pr@0.9", "cIoU rotated"]


def test_each_task_has_its_table():
    mask = row(4, 0)
    box = [[0, 0, 1, 1]]
    metric = RESMetric()
    metric.process(None, [sample_of([mask], [mask], boxes=box, gt_boxes=box)])
    nothing = sample_of([mask], [row(4)], rejected=[True], ann_ids=[()], dataset="grefcoco")
    metric.process(None, [nothing])
    metric.evaluate(2)
    assert [(r.task, r.dataset) for r in metric.rows] == [
        ("RES", "refcoco"),
        ("REC", "refcoco"),
        ("GRES", "grefcoco"),
    ]
    lines = table_text(metric.rows).splitlines()
    titles = [line.strip() for line in lines if "in percent" in line]
    assert titles == [
        "Referring segmentation (RES) in percent, protocol: independent, forced",
        "Referring comprehension (REC) in percent, protocol: independent, forced",
        "Generalised referring segmentation (GRES) in percent, "
        "protocol: independent, forced, rejection: paper",
    ]
    assert sum("refcoco" in line for line in lines) == 3


BOX = [0, 0, 10, 10]


def boxed(boxes, gt_boxes, **changes) -> dict:
    masks = [row(4, 0)] * len(boxes)
    return sample_of(masks, masks, boxes=boxes, gt_boxes=gt_boxes, **changes)


def test_boxes_are_scored():
    # IoUs 1, 1/2, 51/100 and 0.
    found = scores(
        boxed([BOX, [0, 0, 10, 5], [0, 0, 10, 5.1]], [BOX] * 3), boxed([BOX], [[20, 20, 30, 30]], split="val")
    )
    assert found["refcoco/val/REC Acc@0.5"] == 50
    assert found["refcoco/val/REC mean box IoU"] == pytest.approx(100 * (1 + 0.5 + 0.51) / 4)
    counts = [found[f"refcoco/val/REC {name}"] for name in ("images", "objects", "expressions")]
    assert counts == [2, 4, 4]


@pytest.mark.parametrize("absent", [dict(boxes=None), dict(gt_boxes=None)])
def test_no_boxes_no_rec(absent):
    mask = [row(4, 0)]
    without = sample_of(mask, mask, **{**dict(boxes=[BOX], gt_boxes=[BOX]), **absent})
    found = scores(without, boxed([BOX], [BOX], split="testA"))
    assert {name.split("/")[1] for name in found if "REC" in name} == {"testA"}
    assert found["refcoco/val/cIoU"] == 100


def test_verdicts_do_not_touch_res():
    pred, gt = [row(4, 0, 1), row(4, 2)], [row(4, 0), row(4, 2)]
    plain = scores(sample_of(pred, gt))
    for rejection in ("paper", "strict"):
        assert scores(sample_of(pred, gt, rejected=[True, False]), rejection=rejection) == plain


@pytest.mark.parametrize("world_size", [2, 3])
def test_any_number_of_processes_gives_the_same_digits(world_size, tmp_path):
    # Not forked from here: threads that other tests have started would be missing in the children.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["helpers.metric_processes"])  # imported once for all of them
    results = context.SimpleQueue()
    arguments = (world_size, str(tmp_path / "store"), results)
    processes = [
        context.Process(target=evaluate_in_process, args=(rank, *arguments)) for rank in range(world_size)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=120)
    assert [process.exitcode for process in processes] == [0] * world_size
    expected = scores(*mixed_samples(), rotate_expressions=True)
    assert {name.split("/")[2].split(" ")[0] for name in expected} >= {"cIoU", "REC", "GRES"}
    for _ in range(world_size):
        assert results.get() == expected


def test_the_order_of_images_changes_no_digit():
    samples = mixed_samples()
    assert scores(*reversed(samples)) == scores(*samples)


def test_ignored_pixels_are_in_no_count_and_leave_no_box_figure():
    pred, gt, ignored = row(10, 0, 1, 2, 3, 8), row(10, 2, 3, 4, 5), row(10, 0, 1, 5)
    boxes = [[0.0, 0.0, 5.0, 1.0]] * 2
    sample = sample_of([pred, pred], [gt, gt], boxes=boxes, gt_boxes=boxes)
    plain = scores(sample)
    assert plain["refcoco/val/mIoU"] == pytest.approx(100 * 2 / 7)
    assert plain["refcoco/val/REC Acc@0.5"] == 100
    # Of pixels 2 to 4 and 6 to 9: both have 2 and 3, the target 4 too, the prediction 8.
    sample["gt_instances"]["ignored"] = torch.from_numpy(np.stack([ignored, row(10)]))
    found = scores(sample, rotate_expressions=True)
    assert found["refcoco/val/mIoU"] == pytest.approx(100 * (2 / 4 + 2 / 7) / 2)
    assert found["refcoco/val/cIoU"] == pytest.approx(100 * 4 / 11)
    assert not any("REC" in name for name in found)
