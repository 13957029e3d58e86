"""Sums over images, from which all figures follow; of constant size, and the same in any order."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from math import fsum
from typing import TypeVar

from mmseg_mllm.evaluation.counts import ExpressionCounts, ImageCounts

T = TypeVar("T", bound="_Addable")
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)


class _Addable:
    """Dataclasses whose sum is that of each field."""

    def __add__(self: T, other: T) -> T:
        return type(self)(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})


@dataclass(frozen=True, kw_only=True)
class Overlaps(_Addable):
    """Of some expressions' masks.

    IoUs are floats and their sum is exact: a fraction whose denominator is a power of two. As a float it is
    what ``math.fsum`` makes of them, in any order and in any parts.

    Attributes:
        number: Of expressions.
        intersection, union: Pixels.
        iou: Sum of the IoUs.
        above: Threshold -> number of IoUs above it.
    """

    number: int = 0
    intersection: int = 0
    union: int = 0
    iou: Fraction = Fraction(0)
    above: Counter[float] = field(default_factory=Counter)

    @classmethod
    def of(cls, expressions: Sequence[ExpressionCounts]) -> "Overlaps":
        ious = [e.iou for e in expressions]
        return cls(
            number=len(expressions),
            intersection=sum(e.intersection for e in expressions),
            union=sum(e.union for e in expressions),
            iou=_exact(ious),
            above=Counter(x for iou in ious for x in THRESHOLDS if iou > x),
        )


@dataclass(frozen=True, kw_only=True)
class Sums(_Addable):
    """Of some images.

    Attributes:
        images, objects: Numbers.
        targets: Expressions with a target, with the masks that were drawn.
        kept_targets: The same, where a rejected one has no mask.
        rejected_targets: Number of those that were rejected.
        without: Expressions without a target, with the masks that were drawn.
        rejected_without_target: Number of those that were rejected.
        made_up: Those that were not rejected.
        image_iou: Sum over images of the mean IoU of the image's targets; exact as that of the IoUs.
        boxes, boxes_above_half, box_iou: Expressions with boxes: number, number of box IoUs above 0.5, and
            their exact sum.
        rotated_intersection, rotated_union: Pixels of all masks against the next object's target.
    """

    images: int = 0
    objects: int = 0
    targets: Overlaps = Overlaps()
    kept_targets: Overlaps = Overlaps()
    rejected_targets: int = 0
    without: Overlaps = Overlaps()
    rejected_without_target: int = 0
    made_up: Overlaps = Overlaps()
    image_iou: Fraction = Fraction(0)
    boxes: int = 0
    boxes_above_half: int = 0
    box_iou: Fraction = Fraction(0)
    rotated_intersection: int = 0
    rotated_union: int = 0

    @classmethod
    def of(cls, image: ImageCounts) -> "Sums":
        """Sums of one image."""
        targets = [e for e in image.expressions if e.has_target]
        without = [e for e in image.expressions if not e.has_target]
        ious = [e.iou for e in targets]
        box_ious = [e.box_iou for e in image.expressions if e.box_iou is not None]
        return cls(
            images=1,
            objects=image.objects,
            targets=Overlaps.of(targets),
            kept_targets=Overlaps.of(
                [replace(e, intersection=0, predicted=0) if e.rejected else e for e in targets]
            ),
            rejected_targets=sum(e.rejected for e in targets),
            without=Overlaps.of(without),
            rejected_without_target=sum(e.rejected for e in without),
            made_up=Overlaps.of([e for e in without if not e.rejected]),
            image_iou=Fraction(fsum(ious) / len(ious)) if ious else Fraction(0),
            boxes=len(box_ious),
            boxes_above_half=sum(iou > 0.5 for iou in box_ious),
            box_iou=_exact(box_ious),
            rotated_intersection=image.rotated_intersection,
            rotated_union=image.rotated_union,
        )

    @property
    def without_target(self) -> int:
        """Number of expressions without a target."""
        return self.without.number

    @property
    def expressions(self) -> int:
        """Number of expressions."""
        return self.targets.number + self.without_target


def _exact(values: Iterable[float]) -> Fraction:
    return sum(map(Fraction, values), Fraction(0))
