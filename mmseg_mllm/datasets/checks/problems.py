"""What can be wrong with a dataset, and collecting what is."""

from dataclasses import dataclass, field
from enum import Enum

NUM_EXAMPLES = 3


class Kind(Enum):
    """A kind of problem: whether it is an error, and what it is.

    An error ends a run or makes its figures wrong. A warning is something to know of: published datasets have
    some of them, and a part of a dataset differs in its counts.
    """

    FILE = "error", "file can't be used"
    NO_IMAGES = "error", "images not found"
    IMAGE_ID = "error", "image id without a record"
    ANNOTATION_ID = "error", "annotation id without a record"
    OTHER_IMAGE = "error", "annotation of another image"
    NO_TARGET = "error", "no target, in a dataset where each has one"
    EXPRESSION = "error", "expression that can't be asked"
    IMAGE_MISSING = "error", "image missing"
    IMAGE_BROKEN = "error", "image can't be read"
    IMAGE_SIZE = "error", "image of another size than stated"
    MASK = "error", "mask can't be read or is of another size"
    NO_PIXEL = "error", "mask covers no pixel"
    COUNTS = "warning", "counts differ from the published ones"
    NO_SENTENCES = "warning", "ref without sentences, which is skipped"
    EMPTY_MASK = "warning", "mask covers no pixel, as some of gRefCOCO"
    BOX = "warning", "box is not the one around its mask"
    FEW_POINTS = "warning", "polygon with fewer than 3 points"
    DUPLICATE = "warning", "same expression for different targets of an image"
    SENT_ID = "warning", "sentence id twice in a split"

    @property
    def severity(self) -> str:
        return self.value[0]

    @property
    def text(self) -> str:
        return self.value[1]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Problems of one kind in one split.

    Attributes:
        severity: 'error' or 'warning'.
        split: '' for the file as a whole.
        count: How often it was found.
        examples: Where, the first few.
    """

    severity: str
    what: str
    split: str
    count: int
    examples: tuple[str, ...]


@dataclass(kw_only=True)
class Problems:
    """Collects problems by kind and split."""

    found: dict[tuple[Kind, str], list[str]] = field(default_factory=dict)

    def add(self, kind: Kind, split: str, where: str) -> None:
        self.found.setdefault((kind, split), []).append(where)

    def summary(self) -> list[Problem]:
        """Errors first."""
        return [
            Problem(
                severity=kind.severity,
                what=kind.text,
                split=split,
                count=len(places),
                examples=tuple(places[:NUM_EXAMPLES]),
            )
            for (kind, split), places in sorted(self.found.items(), key=lambda item: item[0][0].severity)
        ]
