from functools import reduce
from math import fsum
from operator import add

import numpy as np
import pytest
from helpers.metric_processes import mixed_samples

from mmseg_mllm.evaluation.counts import ExpressionCounts, count_image
from mmseg_mllm.evaluation.figures import gres_figures, rec_figures, res_figures, rotated_figure
from mmseg_mllm.evaluation.sums import Overlaps, Sums


def expression(**changes) -> ExpressionCounts:
    plain = dict(intersection=1, predicted=2, target=3, has_target=True, rejected=False, box_iou=None)
    return ExpressionCounts(**plain | changes)


def mean(values: list[float]) -> float:
    return 100 * (fsum(values) / len(values))


def test_sum_of_ious_is_that_of_fsum_in_any_parts():
    rng = np.random.default_rng(0)
    intersections = rng.integers(0, 10**6, 3000).tolist()
    # IoUs from 1e-15 to 1: a running float sum would lose digits of the small ones.
    targets = (10 ** rng.uniform(6, 15, 3000)).astype(int).tolist()
    expressions = [
        expression(intersection=i, predicted=i, target=t) for i, t in zip(intersections, targets, strict=True)
    ]
    ious = [e.iou for e in expressions]
    assert reduce(add, ious) != fsum(ious)  # since Python 3.12, sum() rounds less
    for parts in (1, 2, 7):
        total = Overlaps()
        for part in range(parts):
            total += Overlaps.of(expressions[part::parts])
        assert float(total.iou) == fsum(ious)
        assert total == Overlaps.of(expressions[::-1])


@pytest.mark.parametrize("dataset", ["refcoco", "grefcoco"])
def test_figures_of_sums_are_those_of_the_expressions(dataset):
    images = [count_image(s, rotate=True) for s in mixed_samples() if s["dataset"] == dataset]
    sums = sum(map(Sums.of, images), Sums())
    expressions = [e for image in images for e in image.expressions]
    targets = [e for e in expressions if e.has_target]
    assert (sums.images, sums.expressions) == (len(images), len(expressions))
    rotated = (sum(i.rotated_intersection for i in images), sum(i.rotated_union for i in images))
    assert rotated_figure(sums) == {"cIoU rotated": 100 * rotated[0] / rotated[1]}
    if dataset == "refcoco":
        found = res_figures(sums) | rec_figures(sums)
        assert found["mIoU"] == mean([e.iou for e in expressions])
        assert found["gIoU per image"] == mean(
            [fsum(e.iou for e in image.expressions) / len(image.expressions) for image in images]
        )
        assert found["mean box IoU"] == mean([e.box_iou for e in expressions])
        assert found["Acc@0.5"] == 100 * sum(e.box_iou > 0.5 for e in expressions) / len(expressions)
        return
    rejections = [float(e.rejected) for e in expressions if not e.has_target]
    assert 0 < sum(rejections) < len(rejections)
    assert any(e.rejected for e in targets)
    kept = [0.0 if e.rejected else e.iou for e in targets]
    assert gres_figures(sums, strict=False)["gIoU"] == mean([e.iou for e in targets] + rejections)
    assert gres_figures(sums, strict=True)["gIoU"] == mean(kept + rejections)
    for strict, ious in ((False, [e.iou for e in targets]), (True, kept)):
        share = 100 * sum(iou > 0.7 for iou in ious) / len(targets)
        assert gres_figures(sums, strict=strict)["Pr@0.7"] == share
