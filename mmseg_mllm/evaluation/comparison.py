"""Two runs on the same test set, expression by expression."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum

from mmseg_mllm.errors import DataError
from mmseg_mllm.evaluation.predictions import Prediction, PredictionFile, mismatch


@dataclass(frozen=True, kw_only=True)
class Pair:
    """What two runs said of one expression; both know its target."""

    a: Prediction
    b: Prediction

    @property
    def gain(self) -> float:
        """How much closer B comes to the target, as a difference of IoUs."""
        return self.b.iou - self.a.iou


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Two runs on some expressions.

    Attributes:
        expressions: Number of them.
        mean_a, mean_b: Mean IoU in percent.
        better, worse, equal: Number of expressions on which B's IoU is above, below and exactly A's.
    """

    expressions: int
    mean_a: float
    mean_b: float
    better: int
    worse: int
    equal: int


def paired(a: PredictionFile, b: PredictionFile) -> list[Pair]:
    """The predictions of two files for each expression, in the order of ``a``.

    Raises:
        DataError: the files are not of the same expressions, their targets are different, or a file knows
            none.
    """
    different = mismatch(
        (prediction.key for prediction in a.predictions),
        (prediction.key for prediction in b.predictions),
        names=(str(a.path), str(b.path)),
    )
    if different:
        raise DataError(f"not the same test set: {different}")
    for file in (a, b):
        if any(prediction.iou is None for prediction in file.predictions):
            raise DataError(f"{file.path}: has no targets to compare with; its test set had no annotations")
    others = b.by_key()
    pairs = [Pair(a=prediction, b=others[prediction.key].pop(0)) for prediction in a.predictions]
    for pair in pairs:
        if pair.a.target != pair.b.target:
            raise DataError(
                f"{a.path} and {b.path} were measured against different masks of {pair.a.key}; test "
                "both with the same annotations"
            )
    return pairs


def summary(pairs: Sequence[Pair]) -> Summary:
    """Numbers of some pairs, at least one."""
    better, worse = sum(pair.gain > 0 for pair in pairs), sum(pair.gain < 0 for pair in pairs)
    return Summary(
        expressions=len(pairs),
        mean_a=100 * fsum(pair.a.iou for pair in pairs) / len(pairs),
        mean_b=100 * fsum(pair.b.iou for pair in pairs) / len(pairs),
        better=better,
        worse=worse,
        equal=len(pairs) - better - worse,
    )


def most_different(pairs: Sequence[Pair], *, count: int) -> list[Pair]:
    """The pairs that differ most, in either direction, at most ``count``; none that are equal."""
    different = [pair for pair in pairs if pair.gain]
    return sorted(different, key=lambda pair: -abs(pair.gain))[:count]
