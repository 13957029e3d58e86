"""Questions and answers about a scene, for pretraining a small MLLM with text alone."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from .descriptions import describe
from .expressions import no_target
from .layout import Scene, SceneObject
from .phrases import plural, single_phrase
from .predicates import Predicate
from .vocabulary import COLOURS, HELD_OUT, SHAPES, SIZES, place_of

SQUARES = 6
"""Rows and columns of squares that an image is divided into: "a1" is the top left, "f6" the bottom right."""
MARKS = 24
"""Steps that an image's side has in boxes written as text."""
UNTOLD = -2
"""In place of the index of a word that an image does not show, such as a colour in grey."""

KINDS = ("list", "count", "at", "box", "colour", "shape", "size", "place", "exists")


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One question and its answer.

    Attributes:
        kind: One of ``KINDS``.
        square: Of a box, the number of the square that it begins with, in row order; -1 for other kinds.
    """

    kind: str
    question: str
    answer: str
    square: int = -1


def scene_turns(*, scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """Questions about a scene: boxes of expressions, one of three rows of objects, what is where, attributes.

    Args:
        scene: What is asked about.
        rng: Draws the questions.
    """
    asked = [_list, _count, _at, *[_box] * 10, *[_attribute] * 2, *[_exists] * 2]
    return [turn for ask in asked for turn in ask(scene=scene, rng=rng)]


def square_labels(*, scene: Scene) -> dict[str, np.ndarray]:
    """What each of the squares shows, in row order.

    Returns:
        ``words`` int64 (SQUARES², 3): indices into ``COLOURS``, ``SHAPES`` and ``SIZES`` of the object that
        takes most of the square, -1 where it takes less than an eighth. ``boxes`` float32 (SQUARES², 4): the
        left, top, right and bottom of its visible part in shares of the image, zeros for none.
    """
    words = np.full((SQUARES, SQUARES, 3), -1, dtype=np.int64)
    boxes = np.zeros((SQUARES, SQUARES, 4), dtype=np.float32)
    most = np.full((SQUARES, SQUARES), 1 / 8)
    for entry in scene.objects:
        shown = Image.fromarray(entry.visible.astype(np.float32))
        share = np.asarray(shown.resize((SQUARES, SQUARES), Image.Resampling.BOX))
        chosen = share > most
        most = np.maximum(most, share)
        words[chosen] = (
            tuple(COLOURS).index(entry.colour),
            SHAPES.index(entry.shape),
            SIZES.index(entry.size),
        )
        boxes[chosen] = _box_shares(scene=scene, entry=entry)
    return dict(words=words.reshape(-1, 3), boxes=boxes.reshape(-1, 4))


def _box_shares(*, scene: Scene, entry: SceneObject) -> np.ndarray:
    """Left, top, right and bottom of the visible part, in shares of the image."""
    ys, xs = np.nonzero(entry.visible)
    edges = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
    return edges / (scene.width, scene.height, scene.width, scene.height)


def box_text(*, scene: Scene, entry: SceneObject) -> str:
    """Square of an object's visible middle, then left, top, right and bottom in marks: "c2 8 3 13 8"."""
    column, row = _middle_square(scene=scene, entry=entry)
    marks = np.rint(_box_shares(scene=scene, entry=entry) * MARKS).astype(int)
    return " ".join([square_name(row=row, column=column), *map(str, marks)])


def _middle_square(*, scene: Scene, entry: SceneObject) -> tuple[int, int]:
    """Column and row of the square that the middle of the visible part is in."""
    shares = _box_shares(scene=scene, entry=entry)
    column, row = ((shares[:2] + shares[2:]) / 2 * SQUARES).astype(int).tolist()
    return column, row


def square_name(*, row: int, column: int) -> str:
    """Name of a square, such as "c2": rows and columns count from 0."""
    return f"{'abcdef'[column]}{row + 1}"


def _name(entry: SceneObject) -> str:
    return f"{entry.size} {entry.colour} {entry.shape}"


def _list(*, scene: Scene, rng: np.random.Generator) -> Iterator[Turn]:
    """The objects of one of the three rows of places, from the left."""
    row = int(rng.integers(3))
    own = sorted((entry for entry in scene.objects if entry.cell[0] == row), key=lambda entry: entry.cell[1])
    items = (f"{_name(entry)} {box_text(scene=scene, entry=entry)}" for entry in own)
    question = f"list the {('top', 'middle', 'bottom')[row]}"
    yield Turn(kind="list", question=question, answer=" and ".join(items) or "nothing")


def _count(*, scene: Scene, rng: np.random.Generator) -> Iterator[Turn]:
    entry = scene.objects[int(rng.integers(len(scene.objects)))]
    colour, shape = ((entry.colour, None), (None, entry.shape), (entry.colour, entry.shape))[
        int(rng.integers(3))
    ]
    if rng.random() < 0.25:
        colour = tuple(COLOURS)[int(rng.integers(len(COLOURS)))]
    if scene.split == "testB" or (colour, shape) not in HELD_OUT:
        predicate = Predicate(colour=colour, shape=shape)
        noun = " ".join(word for word in (colour, plural(shape or "object")) if word)
        yield Turn(
            kind="count", question=f"how many {noun} are there", answer=str(len(predicate.matches(scene)))
        )


def _at(*, scene: Scene, rng: np.random.Generator) -> Iterator[Turn]:
    """What the middle of a square shows; half of the time one that shows something."""
    row, column = (int(i) for i in rng.integers(SQUARES, size=2))
    if rng.random() < 0.5:
        entry = scene.objects[int(rng.integers(len(scene.objects)))]
        row, column = (
            int(entry.centre[axis] / side * SQUARES) for axis, side in ((1, scene.height), (0, scene.width))
        )
    y, x = (int((i + 0.5) / SQUARES * side) for i, side in ((row, scene.height), (column, scene.width)))
    shown = [_name(entry) for entry in scene.objects if entry.visible[y, x]]
    question = f"what is at {square_name(row=row, column=column)}"
    yield Turn(kind="at", question=question, answer=shown[0] if shown else "nothing")


def _described(*, scene: Scene, rng: np.random.Generator) -> tuple[SceneObject, Predicate] | None:
    target = int(rng.integers(len(scene.objects)))
    predicate = describe(scene=scene, target=target, rng=rng)
    return None if predicate is None else (scene.objects[target], predicate)


def _box(*, scene: Scene, rng: np.random.Generator) -> Iterator[Turn]:
    """An expression as the question; the box is the answer."""
    if found := _described(scene=scene, rng=rng):
        entry, predicate = found
        question = single_phrase(predicate=predicate, rng=rng)
        column, row = _middle_square(scene=scene, entry=entry)
        answer = box_text(scene=scene, entry=entry)
        yield Turn(kind="box", question=question, answer=answer, square=row * SQUARES + column)


def _attribute(*, scene: Scene, rng: np.random.Generator) -> Iterator[Turn]:
    """A word that an expression doesn't say of its object."""
    if found := _described(scene=scene, rng=rng):
        entry, predicate = found
        kinds = [kind for kind in ("colour", "shape", "size") if kind not in predicate.claims()]
        kinds += ["place"] if predicate.place is None else []
        if kinds:
            kind = kinds[int(rng.integers(len(kinds)))]
            text = single_phrase(predicate=predicate, rng=rng).removeprefix("the ")
            question = f"where is the {text}" if kind == "place" else f"what {kind} is the {text}"
            answer = place_of(cell=entry.cell) if kind == "place" else getattr(entry, kind)
            yield Turn(kind=kind, question=question, answer=answer)


def _exists(*, scene: Scene, rng: np.random.Generator) -> Iterator[Turn]:
    """Whether there is what an expression says; half of the time there isn't."""
    found = _described(scene=scene, rng=rng)
    if found is None:
        return
    there = rng.random() < 0.5
    text = (
        single_phrase(predicate=found[1], rng=rng)
        if there
        else no_target(scene=scene, rng=rng).sentences[0].text
    )
    question = f"is there the {text.removeprefix('the ')}"
    yield Turn(kind="exists", question=question, answer="yes" if there else "no")
