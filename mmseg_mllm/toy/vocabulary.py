"""The closed world of the toy scenes: attribute names, cells of the image, splits, random streams."""

import numpy as np

COLOURS = {
    "red": (208, 40, 44),
    "green": (44, 158, 62),
    "blue": (44, 76, 206),
    "yellow": (238, 212, 44),
    "purple": (150, 50, 178),
    "cyan": (58, 204, 218),
}
SHAPES = ("circle", "square", "triangle", "star", "cross", "diamond")
SIZES = ("small", "large")

# One shape per colour and one colour per shape, so that no word on its own gives the split away.
HELD_OUT_SHAPE = {
    "red": "star",
    "green": "triangle",
    "blue": "circle",
    "yellow": "cross",
    "purple": "square",
    "cyan": "diamond",
}
HELD_OUT = frozenset(HELD_OUT_SHAPE.items())
ORDINARY = tuple((c, s) for c in COLOURS for s in SHAPES if (c, s) not in HELD_OUT)
HELD_OUT_SORTED = tuple(sorted(HELD_OUT))

PLACES = (
    ("top left", "top", "top right"),
    ("left", "middle", "right"),
    ("bottom left", "bottom", "bottom right"),
)
DIRECTIONS = {"left": (0, 1), "right": (0, -1), "top": (1, 1), "bottom": (1, -1)}
"""Sides that objects are counted from: axis of the centre (0 is x), and the sign of counting."""
RELATIONS = {"left of": (0, -1), "right of": (0, 1), "above": (1, -1), "below": (1, 1)}
"""Relations: axis, and the sign of the way from the other object."""
ORDINALS = ("first", "second", "third")
NEEDS = ("colour", "shape", "size", "place", "order", "relation")
"""Kinds of words that can tell a target from the other objects."""

SPLITS = ("train", "val", "testA", "testB")
DEFAULT_COUNTS = {"train": 2000, "val": 200, "testA": 100, "testB": 100}


def place_of(*, cell: tuple[int, int]) -> str:
    """Name of the cell (row, column) of the 3x3 grid, such as "top left"."""
    return PLACES[cell[0]][cell[1]]


def place_holds(*, place: str, cell: tuple[int, int]) -> bool:
    """Whether ``place`` is true of an object in ``cell`` (row, column).

    A side word holds of its whole row or column: an object at the top left is also "on the left" and
    "at the top". "middle" is the centre cell alone.
    """
    row, column = cell
    facts = {
        "top": row == 0,
        "bottom": row == 2,
        "left": column == 0,
        "right": column == 2,
        "middle": row == 1 and column == 1,
    }
    return all(facts[word] for word in place.split())


def scene_rng(*, seed: int, split: str, index: int, stream: str) -> np.random.Generator:
    """Random generator of one aspect of one scene, independent of every other scene and aspect.

    ``stream`` is "layout", "picture", "refs", "grefs", "chat" or "grey".
    """
    streams = ("layout", "picture", "refs", "grefs", "chat", "grey")
    return np.random.default_rng([seed, SPLITS.index(split), index, streams.index(stream)])
