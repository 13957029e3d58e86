"""Figures in percent from sums. Integers and exact sums: the order of images changes no digit."""

from fractions import Fraction

from mmseg_mllm.evaluation.sums import THRESHOLDS, Overlaps, Sums


def res_figures(sums: Sums) -> dict[str, float]:
    """Referring segmentation; verdicts play no part. Every expression must have a target."""
    return {
        "cIoU": _ciou(sums.targets),
        "mIoU": _mean(sums.targets.iou, sums.targets.number),
        "gIoU per image": _mean(sums.image_iou, sums.images),
        **_precisions(sums.targets),
    }


def rec_figures(sums: Sums) -> dict[str, float]:
    """Referring comprehension: the boxes of the masks. Every expression must have a box IoU."""
    return {
        "Acc@0.5": percent(sums.boxes_above_half, sums.boxes),
        "mean box IoU": _mean(sums.box_iou, sums.boxes),
    }


def gres_figures(sums: Sums, *, strict: bool) -> dict[str, float]:
    """Generalised referring segmentation.

    Args:
        sums: Of images.
        strict: A wrongly rejected target has no mask; otherwise the mask counts that was drawn all the same.
    """
    targets = sums.kept_targets if strict else sums.targets
    return {
        "gIoU": _mean(targets.iou + sums.rejected_without_target, sums.expressions),
        "cIoU": _ciou(targets + sums.made_up),
        "N-acc": percent(sums.rejected_without_target, sums.without_target),
        "T-acc": percent(targets.number - sums.rejected_targets, targets.number),
        **_precisions(targets),
    }


def reasoning_figures(sums: Sums) -> dict[str, float]:
    """ReasonSeg, as LISA counts it: masks alone, whether there is a target or not; verdicts play no part."""
    every = sums.targets + sums.without
    return {"gIoU": _mean(every.iou, every.number), "cIoU": _ciou(every), **_precisions(every)}


def rotated_figure(sums: Sums) -> dict[str, float]:
    """The control: masks against the target of the next object."""
    return {"cIoU rotated": percent(sums.rotated_intersection, sums.rotated_union)}


def percent(part: int, whole: int) -> float:
    """NaN of nothing."""
    return 100 * part / whole if whole else float("nan")


def _ciou(overlaps: Overlaps) -> float:
    return percent(overlaps.intersection, overlaps.union)


def _precisions(overlaps: Overlaps) -> dict[str, float]:
    return {f"Pr@{x}": percent(overlaps.above[x], overlaps.number) for x in THRESHOLDS}


def _mean(total: Fraction, number: int) -> float:
    """Mean of shares of 1, in percent; NaN of nothing."""
    return 100 * (float(total) / number) if number else float("nan")
