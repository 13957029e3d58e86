"""Random scenes of a few, mostly unlike objects, for semantic segmentation."""

import numpy as np

from .layout import Scene, Spacing, place_objects
from .vocabulary import COLOURS, HELD_OUT_SORTED, ORDINARY, SIZES, place_holds, place_of, scene_rng

_SIDES = (96, 112, 128)  # pixels
_SPACING = Spacing(
    diameters={"small": (0.25, 0.28), "large": (0.40, 0.43)}, cell_centres=(0.24, 0.5, 0.76), reach=0.05
)
_PLACED_CELLS = ((0, 0), (0, 2), (1, 1), (2, 0), (2, 2))
_REPEATED_COLOURS_RATE = 0.25  # scenes whose colours are drawn with repetition; in the others all differ
_MAX_ATTEMPTS = 10_000


def sample_sparse_scene(*, seed: int, split: str, index: int) -> Scene:
    """The ``index``-th scene of ``split``; a pure function of its arguments.

    Three to five objects in the corners and the middle. Each shows at least 60 % of its pixels, and none
    touches the border. Only testB shows held-out pairs of colour and shape.
    """
    rng = scene_rng(seed=seed, split=split, index=index, stream="layout")
    height, width = (int(side) for side in rng.choice(_SIDES, size=2))
    for _ in range(_MAX_ATTEMPTS):
        attributes = _sample_attributes(rng=rng, split=split)
        if _confusable(attributes=attributes):
            continue
        objects = place_objects(rng=rng, attributes=attributes, height=height, width=width, spacing=_SPACING)
        if objects is not None:
            return Scene(split=split, height=height, width=width, objects=objects)
    raise RuntimeError(f"no valid layout in {_MAX_ATTEMPTS} attempts (seed {seed}, {split} {index})")


def _sample_attributes(*, rng: np.random.Generator, split: str) -> list[dict]:
    count = int(rng.choice([3, 4, 5], p=[0.2, 0.6, 0.2]))
    held_out = (4 if count == 5 else 3) if split == "testB" else 0
    colours = rng.permutation(len(COLOURS))[:count]
    if rng.random() < _REPEATED_COLOURS_RATE:
        colours = rng.integers(len(COLOURS), size=count)
    pairs = [
        _sample_pair(rng=rng, colour=tuple(COLOURS)[c], held_out=i < held_out) for i, c in enumerate(colours)
    ]
    cells = [_PLACED_CELLS[i] for i in rng.permutation(len(_PLACED_CELLS))[:count]]
    sizes = [SIZES[i] for i in rng.integers(2, size=count)]
    return [
        dict(colour=pairs[i][0], shape=pairs[i][1], size=sizes[i], cell=cells[i])
        for i in rng.permutation(count)
    ]


def _sample_pair(*, rng: np.random.Generator, colour: str, held_out: bool) -> tuple[str, str]:
    pairs = [pair for pair in (HELD_OUT_SORTED if held_out else ORDINARY) if pair[0] == colour]
    return pairs[int(rng.integers(len(pairs)))]


def _confusable(*, attributes: list[dict]) -> bool:
    """Whether some object's full description is also true of another one."""
    for one in attributes:
        for other in attributes:
            same = all(one[key] == other[key] for key in ("colour", "shape", "size"))
            if (
                one is not other
                and same
                and place_holds(place=place_of(cell=one["cell"]), cell=other["cell"])
            ):
                return True
    return False
