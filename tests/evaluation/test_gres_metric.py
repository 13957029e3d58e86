import math

import numpy as np
import pytest
from helpers.metric_samples import row, sample_of, scores

from mmseg_mllm.errors import ConfigError
from mmseg_mllm.evaluation import RESMetric

EMPTY = row(10)


def gres(*samples: dict, **arguments) -> dict[str, float]:
    """Figures of grefcoco val without their common prefix."""
    found = scores(*samples, **arguments)
    prefix = "grefcoco/val/GRES "
    return {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}


def image(*expressions: tuple, **changes) -> dict:
    """A sample from (predicted mask, target mask or None for no target, rejected)."""
    pred, gt, rejected = zip(*expressions, strict=True)
    return sample_of(
        pred,
        [EMPTY if mask is None else mask for mask in gt],
        rejected=rejected,
        ann_ids=[() if mask is None else (k,) for k, mask in enumerate(gt)],
        **dict(dataset="grefcoco") | changes,
    )


def random_image(rng: np.random.Generator) -> tuple[dict, list[tuple]]:
    """A sample, and (predicted, target, no target, rejected) of its expressions."""
    count, height, width = rng.integers(1, 6), rng.integers(5, 40), rng.integers(5, 40)
    gt = rng.random((count, height, width)) < rng.uniform(0.2, 0.8)
    pred = gt ^ (rng.random(gt.shape) < rng.choice([0.02, 0.1, 0.3], (count, 1, 1)))
    none, rejected = rng.random(count) < 0.4, rng.random(count) < 0.4
    gt[none] = False
    ann_ids = [() if empty else (k,) for k, empty in enumerate(none)]
    sample = sample_of(pred, gt, rejected=rejected, ann_ids=ann_ids, dataset="grefcoco")
    return sample, list(zip(pred, gt, none, rejected, strict=True))


@pytest.mark.parametrize("rejection", ["paper", "strict"])
def test_figures_are_those_of_a_plain_count(rejection):
    rng = np.random.default_rng(5)
    images = [random_image(rng) for _ in range(40)]
    found = gres(*(sample for sample, _ in images), rejection=rejection)

    ious, target_ious, intersections, unions = [], [], [], []
    verdicts = dict.fromkeys([(False, False), (False, True), (True, False), (True, True)], 0)
    for pred, gt, none, rejected in (expression for _, own in images for expression in own):
        verdicts[bool(none), bool(rejected)] += 1
        if none:
            ious.append(1 if rejected else 0)
            unions.append(0 if rejected else np.count_nonzero(pred))
            continue
        drawn = np.zeros_like(pred) if rejected and rejection == "strict" else pred
        intersections.append(np.count_nonzero(drawn & gt))
        unions.append(np.count_nonzero(drawn | gt))
        target_ious.append(intersections[-1] / unions[-1])
        ious.append(target_ious[-1])
    assert min(verdicts.values()) > 10
    assert found["gIoU"] == pytest.approx(100 * np.mean(ious), rel=1e-12)
    assert found["cIoU"] == pytest.approx(100 * sum(intersections) / sum(unions), rel=1e-12)
    assert found["N-acc"] == pytest.approx(
        100 * verdicts[True, True] / (verdicts[True, True] + verdicts[True, False]), rel=1e-12
    )
    assert found["T-acc"] == pytest.approx(
        100 * verdicts[False, False] / (verdicts[False, False] + verdicts[False, True]), rel=1e-12
    )
    for threshold in (0.5, 0.6, 0.7, 0.8, 0.9):
        share = np.mean(np.array(target_ious) > threshold)
        assert found[f"Pr@{threshold}"] == pytest.approx(100 * share, rel=1e-12)
    assert (found["images"], found["objects"]) == (40, len(target_ious))
    assert (found["expressions"], found["no target"]) == (len(ious), len(ious) - len(target_ious))


def test_expressions_without_a_target():
    drawn = row(10, 0, 1, 2, 3)
    hit = (row(10, 0, 1), row(10, 0, 1), False)
    rejected = gres(image(hit, (drawn, None, True)))
    assert (rejected["gIoU"], rejected["cIoU"], rejected["N-acc"], rejected["T-acc"]) == (100, 100, 100, 100)
    missed = gres(image(hit, (drawn, None, False)))
    assert missed["gIoU"] == 50
    assert missed["cIoU"] == pytest.approx(100 * 2 / (2 + 4))
    assert (missed["N-acc"], missed["T-acc"], missed["Pr@0.9"]) == (0, 100, 100)


def test_an_empty_mask_is_no_verdict():
    found = gres(image((EMPTY, None, False)))
    assert (found["gIoU"], found["N-acc"]) == (0, 0)


def test_wrongly_rejected_target_keeps_its_mask_as_in_the_paper():
    # IoU 3/4 and 1/2, the former rejected.
    sample = image(
        (row(10, 0, 1, 2), row(10, 0, 1, 2, 3), True),
        (row(10, 5), row(10, 5, 6), False),
        (EMPTY, None, True),
    )
    paper, strict = gres(sample), gres(sample, rejection="strict")
    assert paper["gIoU"] == pytest.approx(100 * (3 / 4 + 1 / 2 + 1) / 3)
    assert paper["cIoU"] == pytest.approx(100 * (3 + 1) / (4 + 2))
    assert strict["gIoU"] == pytest.approx(100 * (0 + 1 / 2 + 1) / 3)
    assert strict["cIoU"] == pytest.approx(100 * 1 / (4 + 2))
    assert (paper["Pr@0.5"], paper["Pr@0.7"], paper["Pr@0.8"]) == (50, 50, 0)
    assert (strict["Pr@0.5"], strict["Pr@0.7"], strict["Pr@0.8"]) == (0, 0, 0)
    assert paper["T-acc"] == strict["T-acc"] == 50


def test_both_empty():
    # A target whose annotation covers no pixel is a target all the same.
    found = gres(image((EMPTY, EMPTY, False), (EMPTY, None, True)))
    assert (found["gIoU"], found["T-acc"], found["Pr@0.9"]) == (100, 100, 100)
    assert math.isnan(found["cIoU"])


def test_one_expression_per_image_and_many_give_the_same():
    rng = np.random.default_rng(7)
    masks = rng.random((2, 9, 1, 10)) < 0.5
    targets = [None if k % 3 == 0 else masks[1, k] for k in range(9)]
    expressions = list(zip(masks[0], targets, (rng.random(9) < 0.5).tolist(), strict=True))
    many, single = gres(image(*expressions)), gres(*(image(expression) for expression in expressions))
    assert (many.pop("images"), single.pop("images")) == (1, 9)
    assert many == single


def test_one_expression_without_a_target_makes_a_split_gres():
    hit = (row(10, 0), row(10, 0), False)
    found = scores(
        image(hit), image((EMPTY, None, True)), image(hit, split="testA"), image(hit, dataset="refcoco")
    )
    assert found["grefcoco/val/GRES expressions"] == 2
    assert {name.rsplit("/", 1)[0] for name in found if "GRES" in name} == {"grefcoco/val"}
    assert found["grefcoco/testA/cIoU"] == found["refcoco/val/cIoU"] == 100
    assert "grefcoco/val/cIoU" not in found


def test_no_boxes_are_scored_where_there_may_be_no_target():
    box = [[0, 0, 1, 1]]
    sample = sample_of(
        [EMPTY], [EMPTY], ann_ids=[()], rejected=[True], boxes=box, gt_boxes=box, dataset="grefcoco"
    )
    assert all(name.startswith("grefcoco/val/GRES ") for name in scores(sample))


def test_a_model_without_verdicts_rejects_nothing():
    sample = sample_of([row(10, 0), row(10, 1)], [row(10, 0), EMPTY], ann_ids=[(1,), ()], dataset="grefcoco")
    found = gres(sample)
    assert (found["gIoU"], found["N-acc"], found["T-acc"]) == (50, 0, 100)


def test_rotated_control_passes_over_expressions_without_a_target():
    sample = image(
        (row(10, 0, 1), row(10, 0, 1), False),
        (row(10, 8), None, False),
        (row(10, 1, 2), row(10, 2, 3), True),
    )
    # The first mask against the third target, and the other way round: nothing shared, and one of three.
    expected = pytest.approx(100 * (0 + 1) / (4 + 3))
    for rejection in ("paper", "strict"):
        assert gres(sample, rotate_expressions=True, rejection=rejection)["cIoU rotated"] == expected
    one_target = image((row(10, 0), row(10, 0), False), (row(10, 8), None, False))
    assert math.isnan(gres(one_target, rotate_expressions=True)["cIoU rotated"])


def test_row_says_how_rejection_was_judged():
    metric = RESMetric(rejection="strict")
    metric.process(None, [image((EMPTY, None, True))])
    metric.evaluate(1)
    (found,) = metric.rows
    assert (found.task, found.protocol) == ("GRES", "independent, forced, rejection: strict")
    assert found.counts == {"images": 1, "objects": 0, "expressions": 1, "no target": 1}


def test_unknown_rejection_is_refused():
    with pytest.raises(ConfigError, match=r"unknown rejection 'lenient'.*paper, strict"):
        RESMetric(rejection="lenient")
