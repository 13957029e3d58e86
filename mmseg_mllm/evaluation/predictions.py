"""Reading the files that DumpMasks writes."""

import reprlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmseg_mllm.datasets.json_file import read_json
from mmseg_mllm.datasets.masks import union_mask
from mmseg_mllm.errors import DataError

BETWEEN_PROTOCOLS = "; "
"""Separates the protocols of a file that has several."""

LARGEST_COORDINATE = 2**24
"""Up to here float32, in which boxes are compared, holds every whole number."""


class ExpressionKey(NamedTuple):
    """What tells one expression of a test from all others."""

    dataset: str
    split: str
    image_id: int | str
    ref_id: int | str | None
    sent_id: int | str | None
    expression: str

    def __str__(self) -> str:
        return (
            f"{self.dataset} {self.split} image {self.image_id}, ref {self.ref_id}, "
            f"sentence {self.sent_id} ({self.expression!r})"
        )


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a model said of one expression, and how well that agrees.

    Attributes:
        dataset, split, image_id, ref_id, sent_id, expression: What was asked.
        image_path: The image file, as the test found it.
        score: log p([SEG]) - log p([REJ]).
        rejected: The model holds that there is no target.
        bbox: x1, y1, x2, y2 in pixels of the predicted box.
        segmentation: COCO RLE of the predicted mask, ``size`` (height, width) and ``counts``.
        target: COCO RLE of the annotated mask; None where there is no target, or none is known.
        iou: IoU of both masks in [0, 1], without a target 1 if that was said and else 0; None where the test
            set had no annotations.
        upright: The image was turned as its EXIF orientation says.
    """

    dataset: str
    split: str
    image_id: int | str
    ref_id: int | str | None
    sent_id: int | str | None
    expression: str
    image_path: str
    score: float
    rejected: bool
    bbox: list[float]
    segmentation: dict
    target: dict | None = None
    iou: float | None = None
    upright: bool = False

    @property
    def key(self) -> ExpressionKey:
        """What was asked."""
        return ExpressionKey(*(getattr(self, name) for name in ExpressionKey._fields))


@dataclass(frozen=True, kw_only=True)
class PredictionFile:
    """A whole file in memory, some kilobytes per expression: masks stay encoded.

    Attributes:
        path: Where it was read.
        protocol: How all expressions were asked.
        predictions: In the order of the file.
    """

    path: Path
    protocol: str
    predictions: list[Prediction]

    def by_key(self) -> dict[ExpressionKey, list[Prediction]]:
        """Predictions of each expression in the order of the file; several where it was tested repeatedly."""
        result: dict[ExpressionKey, list[Prediction]] = {}
        for prediction in self.predictions:
            result.setdefault(prediction.key, []).append(prediction)
        return result


def read_predictions(path: str | Path) -> PredictionFile:
    """Read a file of :class:`DumpMasks`.

    Raises:
        DataError: the file is missing, damaged or above the bounds of :func:`read_json`, another kind of
            file, or made with several protocols.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file; tools/test.py --out writes one")
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("predictions"), list):
        raise DataError(f"{path}: not a file of tools/test.py --out: it has no list of predictions")
    protocol = content.get("protocol")
    if not isinstance(protocol, str):
        raise DataError(
            f"{path}: does not say with which protocol it was made; write it with tools/test.py --out"
        )
    if BETWEEN_PROTOCOLS in protocol:
        raise DataError(
            f"{path}: made with several protocols ({protocol}); a figure is of one, test with one"
        )
    predictions = [
        _prediction(entry, place=f"{path}: prediction {index} (from 0)")
        for index, entry in enumerate(content["predictions"])
    ]
    return PredictionFile(path=path, protocol=protocol, predictions=predictions)


def mismatch(
    first: Iterable[ExpressionKey], second: Iterable[ExpressionKey], *, names: tuple[str, str]
) -> str | None:
    """How the expressions of two tests differ, with their numbers and one of them; None if they do not.

    Args:
        first, second: Keys of the expressions; one that was tested twice comes twice.
        names: What they are called in the text.
    """
    counts = Counter(first), Counter(second)
    parts = []
    for here, there in ((0, 1), (1, 0)):
        alone = counts[here] - counts[there]
        if alone:
            parts.append(
                f"{alone.total():,} of {counts[here].total():,} expressions of {names[here]} are not in "
                f"{names[there]}, such as {next(iter(alone))}"
            )
    return "; ".join(parts) or None


def mask_of(rle: dict, *, height: int, width: int, place: str) -> np.ndarray:
    """Decode one RLE of a prediction.

    Args:
        rle: ``size`` and ``counts``, checked before pycocotools sees them.
        height, width: Size of the image in pixels.
        place: Named in errors.

    Returns:
        (height, width) bool.

    Raises:
        DataError: the mask is of another size than the image, or its counts are damaged.
    """
    if rle["size"] != [height, width]:
        raise DataError(
            f"{place}: the mask has size (height, width) {reprlib.repr(rle['size'])}, the image "
            f"{[height, width]}; they don't belong together"
        )
    try:
        return union_mask({0: rle}, height=height, width=width)
    except DataError as error:
        # Without the number that stands for an annotation's id there.
        raise DataError(f"{place}: {str(error).removeprefix('annotation 0: ')}") from None


def _prediction(entry: object, *, place: str) -> Prediction:
    """Check one entry: what is wrong here could crash pycocotools, or end in a wrong figure, later."""
    if not isinstance(entry, dict):
        raise DataError(f"{place} is damaged: it is no dict")
    missing = [name for name in _NEEDED if name not in entry]
    if missing:
        raise DataError(
            f"{place} has no {missing[0]}: an older or another kind of file; test again with --out"
        )
    known = {name: entry[name] for name in _NEEDED}
    known |= {name: entry[name] for name in _OPTIONAL if entry.get(name) is not None}
    for name, value in known.items():
        if not (_NEEDED | _OPTIONAL)[name](value):
            raise DataError(f"{place} is damaged: {name} can't be {reprlib.repr(value)}")
    return Prediction(**known)


def _is_text(value: object) -> bool:
    # Half of a character pair can't be printed.
    return isinstance(value, str) and value.encode(errors="ignore").decode() == value


def _is_id(value: object) -> bool:
    return value is None or isinstance(value, int | str)


def _is_verdict(value: object) -> bool:
    return isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, Real)


def _is_share(value: object) -> bool:
    return _is_number(value) and 0 <= value <= 1


def _is_box(value: object) -> bool:
    """Not a number fails the comparison."""
    return (
        isinstance(value, list)
        and len(value) == 4
        and all(_is_number(number) and 0 <= number <= LARGEST_COORDINATE for number in value)
    )


def _is_rle(value: object) -> bool:
    """The counts are checked when the mask is decoded."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("size"), list)
        and isinstance(value.get("counts"), str)
    )


_NEEDED = dict(
    dataset=_is_text,
    split=_is_text,
    image_id=_is_id,
    ref_id=_is_id,
    sent_id=_is_id,
    expression=_is_text,
    image_path=_is_text,
    score=_is_number,
    rejected=_is_verdict,
    bbox=_is_box,
    segmentation=_is_rle,
)
_OPTIONAL = dict(target=_is_rle, iou=_is_share, upright=_is_verdict)
