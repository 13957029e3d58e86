"""Putting shapes into an image, from front to back."""

from dataclasses import dataclass

import numpy as np

from .shapes import outline_coverage, outline_window, shape_outline

MAX_TURN = 0.14  # radians
MIN_VISIBLE = 0.6  # share of an object's pixels that must not be hidden


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


@dataclass(frozen=True, kw_only=True)
class Spacing:
    """How big objects are and where in their cells they stand; all in shares of an image side.

    Attributes:
        diameters: size word -> smallest and largest nominal diameter, of the shorter side.
        cell_centres: of the three rows and columns.
        reach: how far an object's centre may be from its cell's.
    """

    diameters: dict[str, tuple[float, float]]
    cell_centres: tuple[float, float, float]
    reach: float


def place_objects(
    *, rng: np.random.Generator, attributes: list[dict], height: int, width: int, spacing: Spacing
) -> tuple[SceneObject, ...] | None:
    """Draw a pose for each object; None where one hides too much of another.

    Args:
        rng: Decides centres, radii and turns.
        attributes: From back to front; ``shape``, ``colour``, ``size`` and ``cell`` of each.
        height, width: of the image in pixels.
        spacing: Bounds of the poses.
    """
    poses = []
    for entry in attributes:
        words = {key: entry[key] for key in ("shape", "size", "cell")}
        poses.append(_sample_pose(rng=rng, height=height, width=width, spacing=spacing, **words))
    free = np.ones((height, width), dtype=bool)
    objects = []
    for entry, pose in zip(reversed(attributes), reversed(poses), strict=True):
        outline = shape_outline(shape=entry["shape"], **pose)
        window = outline_window(outline=outline, height=height, width=width)
        whole = np.zeros_like(free)
        whole[window] = outline_coverage(outline=outline, window=window) >= 0.5
        visible = whole & free
        share = float(visible.sum() / whole.sum())
        if share < MIN_VISIBLE:
            return None
        free &= ~whole
        objects.append(SceneObject(**entry, **pose, visible=visible, visible_share=share))
    return tuple(reversed(objects))


def _sample_pose(
    *,
    rng: np.random.Generator,
    height: int,
    width: int,
    spacing: Spacing,
    shape: str,
    size: str,
    cell: tuple[int, int],
) -> dict:
    """``centre``, ``radius`` and ``angle`` of an object that doesn't touch the border."""
    radius = float(rng.uniform(*spacing.diameters[size])) * min(height, width) / 2
    angle = float(rng.uniform(-MAX_TURN, MAX_TURN))
    offsets = shape_outline(shape=shape, centre=(0.0, 0.0), radius=radius, angle=angle)
    low, high = offsets.min(axis=0), offsets.max(axis=0)
    centre = []
    for axis, (side, step) in enumerate(((width, cell[1]), (height, cell[0]))):
        middle = spacing.cell_centres[step]
        first = max((middle - spacing.reach) * side, 1 - low[axis])
        last = min((middle + spacing.reach) * side, side - 1 - high[axis])
        centre.append(float(rng.uniform(first, last)))
    return dict(centre=(centre[0], centre[1]), radius=radius, angle=angle)
