"""Writes a toy set for semantic segmentation in the layout of MMSegmentation."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from .layout import Scene
from .sparse_scene import sample_sparse_scene
from .stamp import ToyArguments, begin, finish, is_finished
from .vocabulary import SHAPES
from .writing import each_scene, save_picture

SEMSEG_COUNTS = {"train": 1000, "val": 200}
SEMSEG_CLASSES = ("background", *SHAPES)
SEMSEG_PALETTE = (
    *((64, 64, 64), (230, 60, 60), (60, 180, 75), (60, 100, 230)),
    *((245, 200, 60), (170, 70, 190), (70, 210, 220)),
)


@dataclass(frozen=True, kw_only=True)
class ToySemsegArguments(ToyArguments):
    """All that decides the files of a toy semantic-segmentation set; see ``ToyArguments``."""

    kind: str = "semseg"

    def __post_init__(self) -> None:
        if self.counts is None:
            object.__setattr__(self, "counts", SEMSEG_COUNTS)
        super().__post_init__()


def write_toy_semseg(
    *, out: str | Path, seed: int = 0, counts: dict[str, int] | None = None, show_progress: bool = False
) -> Path:
    """Write a toy semantic-segmentation set; the same arguments give the same bytes.

    Classes are the background and six shapes. Colours say next to nothing of the class: each shape comes in
    five of six. Writes ``img_dir/{split}/*.jpg``, ``ann_dir/{split}/*.png`` (class ids as 8-bit palette
    images) and last the stamp ``toy.json``. Does nothing if ``out`` is a finished set made with the same
    arguments; starts afresh if it is an unfinished one.

    Args:
        out: new, empty or toy folder.
        seed: 0 or more.
        counts: images per split of the toy scenes, 0 for those left out; None for ``SEMSEG_COUNTS``.
        show_progress: draw a progress bar.

    Returns:
        ``out`` as a path.

    Raises:
        ConfigError: see ``ToyArguments``.
        DataError: ``out`` is not a folder, or holds anything else.
    """
    out = Path(out)
    arguments = ToySemsegArguments(seed=seed, counts=counts)
    if is_finished(out=out, arguments=arguments):
        return out
    begin(out=out, arguments=arguments)
    for name in ("img_dir", "ann_dir"):
        shutil.rmtree(out / name, ignore_errors=True)
        for split in arguments.counts:
            (out / name / split).mkdir(parents=True)
    for index, scene in each_scene(
        arguments=arguments, sample=sample_sparse_scene, show_progress=show_progress
    ):
        stem = f"{scene.split}/{index:06d}"
        save_picture(scene=scene, seed=seed, index=index, path=out / "img_dir" / f"{stem}.jpg")
        label = Image.fromarray(class_map(scene=scene)).convert("P")
        label.putpalette([value for colour in SEMSEG_PALETTE for value in colour])
        label.save(out / "ann_dir" / f"{stem}.png")
    finish(out=out)
    return out


def class_map(*, scene: Scene) -> np.ndarray:
    """Class ids, positions in ``SEMSEG_CLASSES``: uint8 (height, width)."""
    ids = np.zeros((scene.height, scene.width), dtype=np.uint8)
    for entry in scene.objects:
        ids[entry.visible] = SEMSEG_CLASSES.index(entry.shape)
    return ids
