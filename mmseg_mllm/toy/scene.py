"""Random layouts of coloured shapes: what is where, before any pixel or word is made."""

from dataclasses import dataclass

import numpy as np

from .shapes import outline_coverage, outline_window, shape_outline
from .vocabulary import (
    COLOURS,
    HELD_OUT_SORTED,
    ORDINARY,
    PLACED_CELLS,
    SIZES,
    place_holds,
    place_of,
    scene_rng,
)

_SIDES = (96, 112, 128)  # pixels
_DIAMETERS = {"small": (0.25, 0.28), "large": (0.40, 0.43)}  # shares of the shorter image side
_CELL_CENTRES = (0.24, 0.5, 0.76)  # shares of the image side, for the rows and the columns
_CELL_REACH = 0.05  # an object's centre stays this close to its cell's centre
_MAX_TURN = 0.14  # radians
_MIN_VISIBLE = 0.6  # share of an object's pixels that must not be hidden
_REPEATED_COLOURS_RATE = 0.25  # scenes whose colours are drawn with repetition; in the others all differ
_MAX_ATTEMPTS = 10_000


@dataclass(frozen=True, kw_only=True, eq=False)
class SceneObject:
    """One coloured shape of a scene.

    Attributes:
        shape, colour, size: words of ``vocabulary``.
        cell: (row, column) of the 3x3 grid of places that holds the centre.
        centre: (x, y) in pixels from the top left corner of the image.
        radius: nominal radius in pixels.
        angle: turn in radians.
        visible: bool (height, width), the pixels not hidden by objects in front.
        visible_share: visible pixels over all pixels of the object, in (0, 1].
    """

    shape: str
    colour: str
    size: str
    cell: tuple[int, int]
    centre: tuple[float, float]
    radius: float
    angle: float
    visible: np.ndarray
    visible_share: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """A layout; ``objects`` go from back to front, ``height`` and ``width`` are in pixels."""

    split: str
    height: int
    width: int
    objects: tuple[SceneObject, ...]


def sample_scene(*, seed: int, split: str, index: int) -> Scene:
    """The ``index``-th scene of ``split``; a pure function of its arguments.

    No two objects agree in everything that can be said about them, each shows at least 60 % of its
    pixels, and none touches the border. Only testB shows held-out pairs of colour and shape.
    """
    rng = scene_rng(seed=seed, split=split, index=index, stream="layout")
    height, width = (int(side) for side in rng.choice(_SIDES, size=2))
    for _ in range(_MAX_ATTEMPTS):
        attributes = _sample_attributes(rng=rng, split=split)
        if _confusable(attributes=attributes):
            continue
        objects = _place_objects(rng=rng, attributes=attributes, height=height, width=width)
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
    cells = [PLACED_CELLS[i] for i in rng.permutation(len(PLACED_CELLS))[:count]]
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


def _place_objects(
    *, rng: np.random.Generator, attributes: list[dict], height: int, width: int
) -> tuple[SceneObject, ...] | None:
    poses = []
    for entry in attributes:
        words = {key: entry[key] for key in ("shape", "size", "cell")}
        poses.append(_sample_pose(rng=rng, height=height, width=width, **words))
    free = np.ones((height, width), dtype=bool)
    objects = []
    for entry, pose in zip(reversed(attributes), reversed(poses), strict=True):
        outline = shape_outline(shape=entry["shape"], **pose)
        window = outline_window(outline=outline, height=height, width=width)
        whole = np.zeros_like(free)
        whole[window] = outline_coverage(outline=outline, window=window) >= 0.5
        visible = whole & free
        share = float(visible.sum() / whole.sum())
        if share < _MIN_VISIBLE:
            return None
        free &= ~whole
        objects.append(SceneObject(**entry, **pose, visible=visible, visible_share=share))
    return tuple(reversed(objects))


def _sample_pose(
    *, rng: np.random.Generator, height: int, width: int, shape: str, size: str, cell: tuple[int, int]
) -> dict:
    radius = float(rng.uniform(*_DIAMETERS[size])) * min(height, width) / 2
    angle = float(rng.uniform(-_MAX_TURN, _MAX_TURN))
    offsets = shape_outline(shape=shape, centre=(0.0, 0.0), radius=radius, angle=angle)
    low, high = offsets.min(axis=0), offsets.max(axis=0)
    centre = []
    for axis, (side, step) in enumerate(((width, cell[1]), (height, cell[0]))):
        middle = _CELL_CENTRES[step]
        first = max((middle - _CELL_REACH) * side, 1 - low[axis])
        last = min((middle + _CELL_REACH) * side, side - 1 - high[axis])
        centre.append(float(rng.uniform(first, last)))
    return dict(centre=(centre[0], centre[1]), radius=radius, angle=angle)
