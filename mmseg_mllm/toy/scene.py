"""Random scenes of objects that share colours and shapes: what is where, before any pixel or word is made."""

import numpy as np

from .layout import Scene, Spacing, place_objects
from .vocabulary import COLOURS, HELD_OUT, HELD_OUT_SHAPE, SHAPES, SIZES, scene_rng

_SIDES = (96, 112, 128)  # pixels
_SPACING = Spacing(
    diameters={"small": (0.20, 0.23), "large": (0.32, 0.36)}, cell_centres=(0.19, 0.5, 0.81), reach=0.08
)
_COUNTS = (3, 4, 5, 6, 7, 8)
_COUNT_RATES = (0.1, 0.2, 0.25, 0.2, 0.15, 0.1)
_MIN_TARGETS = 2
_MAX_ATTEMPTS = 10_000


def sample_scene(*, seed: int, split: str, index: int) -> Scene:
    """The ``index``-th scene of ``split``; a pure function of its arguments.

    Three to eight objects in two to four colours and shapes, so that most of them share their colour, and
    most their shape, with another one. Each shows at least 60 % of its pixels, and none touches the border.
    Only testB shows held-out pairs of colour and shape.
    """
    rng = scene_rng(seed=seed, split=split, index=index, stream="layout")
    height, width = (int(side) for side in rng.choice(_SIDES, size=2))
    for _ in range(_MAX_ATTEMPTS):
        attributes = _sample_attributes(rng=rng, split=split)
        objects = place_objects(rng=rng, attributes=attributes, height=height, width=width, spacing=_SPACING)
        if objects is not None:
            return Scene(split=split, height=height, width=width, objects=objects)
    raise RuntimeError(f"no valid layout in {_MAX_ATTEMPTS} attempts (seed {seed}, {split} {index})")


def _sample_attributes(*, rng: np.random.Generator, split: str) -> list[dict]:
    """Words and cells of the objects, from back to front."""
    count = int(rng.choice(_COUNTS, p=_COUNT_RATES))
    most = 2 + (count > 4) + (count > 6)
    pairs = _sample_pairs(rng=rng, split=split, count=count, colours=int(rng.integers(2, most + 1)))
    cells = rng.permutation(9)[:count]
    sizes = rng.integers(2, size=count)
    return [
        dict(colour=colour, shape=shape, size=SIZES[size], cell=(int(cell) // 3, int(cell) % 3))
        for (colour, shape), size, cell in zip(pairs, sizes, cells, strict=True)
    ]


def _sample_pairs(*, rng: np.random.Generator, split: str, count: int, colours: int) -> list[tuple[str, str]]:
    """Colour and shape of each object, drawn from a few of each."""
    palette = [tuple(COLOURS)[i] for i in rng.permutation(len(COLOURS))[:colours]]
    if split == "testB":
        shapes = [HELD_OUT_SHAPE[colour] for colour in palette]
    else:
        shapes = [SHAPES[i] for i in rng.permutation(len(SHAPES))[: int(rng.integers(2, colours + 1))]]
    pool = [(c, s) for c in palette for s in shapes if split == "testB" or (c, s) not in HELD_OUT]
    held_out = [pair for pair in pool if pair in HELD_OUT]
    drawn = [pool[i] for i in rng.integers(len(pool), size=count)]
    for i in range(_MIN_TARGETS if held_out else 0):
        drawn[i] = held_out[int(rng.integers(len(held_out)))]
    return [drawn[i] for i in rng.permutation(count)]
