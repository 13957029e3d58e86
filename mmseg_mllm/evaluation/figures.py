"""Figures in percent from counts. Integers and exact sums: the order of images changes no digit."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from math import fsum

from mmseg_mllm.evaluation.counts import ExpressionCounts, ImageCounts

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)


def res_figures(images: Sequence[ImageCounts]) -> dict[str, float]:
    """Referring segmentation; verdicts play no part."""
    expressions = flat(images)
    return {
        "cIoU": _ciou(expressions),
        "mIoU": 100 * _mean([e.iou for e in expressions]),
        "gIoU per image": 100 * _mean([_mean([e.iou for e in image.expressions]) for image in images]),
        **_precisions(expressions),
    }


def rec_figures(images: Sequence[ImageCounts]) -> dict[str, float]:
    """Referring comprehension: the boxes of the masks. Every expression must have a box IoU."""
    ious = [e.box_iou for e in flat(images)]
    return {"Acc@0.5": percent(sum(iou > 0.5 for iou in ious), len(ious)), "mean box IoU": 100 * _mean(ious)}


def gres_figures(images: Sequence[ImageCounts], *, strict: bool) -> dict[str, float]:
    """Generalised referring segmentation.

    Args:
        images: Counts of images.
        strict: A wrongly rejected target has no mask; otherwise the mask counts that was drawn all the same.
    """
    expressions = flat(images)
    targets = [e for e in expressions if e.has_target]
    if strict:
        targets = [replace(e, intersection=0, predicted=0) if e.rejected else e for e in targets]
    without = [e for e in expressions if not e.has_target]
    made_up = [e for e in without if not e.rejected]
    return {
        "gIoU": 100 * _mean([*(e.iou for e in targets), *(float(e.rejected) for e in without)]),
        "cIoU": _ciou([*targets, *made_up]),
        "N-acc": percent(sum(e.rejected for e in without), len(without)),
        "T-acc": percent(sum(not e.rejected for e in targets), len(targets)),
        **_precisions(targets),
    }


def rotated_figure(images: Iterable[ImageCounts]) -> dict[str, float]:
    """The control: masks against the target of the next object."""
    sums = [(image.rotated_intersection, image.rotated_union) for image in images]
    return {"cIoU rotated": percent(sum(i for i, _ in sums), sum(u for _, u in sums))}


def flat(images: Iterable[ImageCounts]) -> list[ExpressionCounts]:
    """The expressions of all images."""
    return [expression for image in images for expression in image.expressions]


def percent(part: int, whole: int) -> float:
    """NaN of nothing."""
    return 100 * part / whole if whole else float("nan")


def _ciou(expressions: Sequence[ExpressionCounts]) -> float:
    return percent(sum(e.intersection for e in expressions), sum(e.union for e in expressions))


def _precisions(expressions: Collection[ExpressionCounts]) -> dict[str, float]:
    ious = [e.iou for e in expressions]
    return {f"Pr@{x}": percent(sum(iou > x for iou in ious), len(ious)) for x in THRESHOLDS}


def _mean(values: Collection[float]) -> float:
    return fsum(values) / len(values) if values else float("nan")
