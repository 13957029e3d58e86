"""Marks a toy folder as being written or as finished, and with which arguments."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from mmseg_mllm.errors import ConfigError, DataError

from .vocabulary import DEFAULT_COUNTS, SPLITS

IMAGES_PER_SPLIT = 100_000  # the range of image ids that a split owns
_FORMAT = 3  # raise when the same arguments give other files
_STAMP = "toy.json"
_UNFINISHED = "toy.json.unfinished"


@dataclass(frozen=True, kw_only=True)
class ToyArguments:
    """All that decides the files of a toy set: seed >= 0 and images per split.

    A split that ``counts`` leaves out gets no images; ``counts=None`` stands for the default counts.

    Raises:
        ConfigError: negative seed, unknown split, or a count outside 0 .. 99999.
    """

    seed: int = 0
    counts: dict[str, int] | None = None

    def __post_init__(self) -> None:
        given = DEFAULT_COUNTS if self.counts is None else self.counts
        if self.seed < 0:
            raise ConfigError(f"the seed of the toy set must not be negative: {self.seed}")
        unknown = sorted(set(given) - set(SPLITS))
        if unknown:
            raise ConfigError(f"the toy set has no split {', '.join(unknown)}; it has {', '.join(SPLITS)}")
        for split, count in given.items():
            if not 0 <= count < IMAGES_PER_SPLIT:
                raise ConfigError(f"toy split {split}: {count} images, not in 0 .. {IMAGES_PER_SPLIT - 1}")
        object.__setattr__(self, "counts", {split: int(given.get(split, 0)) for split in SPLITS})

    def as_json(self) -> str:
        """Text of the stamp file."""
        return json.dumps({"format": _FORMAT, **asdict(self)}, indent=2) + "\n"


def is_finished(*, out: Path, arguments: ToyArguments) -> bool:
    """Whether ``out`` holds a complete toy set made with exactly these arguments."""
    stamp = out / _STAMP
    return stamp.is_file() and stamp.read_text(encoding="utf-8") == arguments.as_json()


def begin(*, out: Path, arguments: ToyArguments) -> None:
    """Make ``out`` if needed and mark it as being written.

    Raises:
        DataError: ``out`` is not a folder, or holds something other than an unfinished toy set.
    """
    if out.exists() and not out.is_dir():
        raise DataError(f"{out} is not a folder; give another --out for the toy set")
    out.mkdir(parents=True, exist_ok=True)
    marker = out / _UNFINISHED
    if (out / _STAMP).exists():
        raise DataError(f"{out} holds a toy set made with other arguments; remove it or give another --out")
    if not marker.exists() and any(out.iterdir()):
        raise DataError(f"{out} is not empty and holds no toy set; give an empty or new folder as --out")
    marker.write_text(arguments.as_json(), encoding="utf-8")


def finish(*, out: Path) -> None:
    """Turn the mark of ``begin`` into the stamp of a finished set, in one step."""
    os.replace(out / _UNFINISHED, out / _STAMP)
