"""A description of one object that holds of no other: by attributes, by order, or by a relation."""

import itertools
from dataclasses import replace

import numpy as np

from .layout import Scene, SceneObject
from .predicates import Order, Predicate, Relation
from .vocabulary import DIRECTIONS, ORDINALS, RELATIONS, place_of

_ATTRIBUTES = ("colour", "shape", "size", "place")
_SPARE_RATE = 0.35  # how often an attribute is said that isn't needed
_SIDE_RATE = 0.5  # corner objects called by one of their sides
_WAY_RATES = {"attributes": 0.45, "order": 0.25, "relation": 0.3}  # what is tried first
_TRIES = 24


def describe(*, scene: Scene, target: int, rng: np.random.Generator) -> Predicate | None:
    """A clear description of ``scene.objects[target]`` alone; None for one of the few that have none."""
    ways = {"attributes": _by_attributes, "order": _by_order, "relation": _by_relation}
    first = rng.choice(len(ways), p=list(_WAY_RATES.values()))
    names = [tuple(ways)[first], *(name for i, name in enumerate(ways) if i != first)]
    for name in names:
        found = ways[name](scene=scene, target=target, rng=rng)
        if found is not None:
            return found
    return None


def _by_attributes(*, scene: Scene, target: int, rng: np.random.Generator) -> Predicate | None:
    """One of the smallest sets of attributes that tell the target, and now and then a word more."""
    exact = _exact(entry=scene.objects[target], rng=rng)
    telling = _telling_sets(scene=scene, exact=exact, target=target, names=_ATTRIBUTES)
    if not telling:
        return None
    names = telling[int(rng.integers(len(telling)))]
    return _only(exact, (*names, *(name for name in _ATTRIBUTES if rng.random() < _SPARE_RATE)))


def _telling_sets(
    *, scene: Scene, exact: Predicate, target: int, names: tuple[str, ...]
) -> list[tuple[str, ...]]:
    """The sets of attributes that tell the target and can't do without any of them."""
    telling: list[tuple[str, ...]] = []
    for number in range(1, len(names) + 1):
        for chosen in itertools.combinations(names, number):
            larger = any(set(told) < set(chosen) for told in telling)
            if not larger and _only(exact, chosen).matches(scene) == (target,):
                telling.append(chosen)
    return telling


def _by_order(*, scene: Scene, target: int, rng: np.random.Generator) -> Predicate | None:
    """Its place in the row of the objects that share some of its attributes."""
    for _ in range(_TRIES):
        head = _head(entry=scene.objects[target], rng=rng)
        if len(head.matches(scene)) < 2:
            continue
        side = tuple(DIRECTIONS)[int(rng.integers(len(DIRECTIONS)))]
        for rank in range(1, len(ORDINALS) + 1):
            found = replace(head, order=Order(rank=rank, side=side))
            if _tells(found, scene=scene, target=target, claim="order"):
                return found
    return None


def _by_relation(*, scene: Scene, target: int, rng: np.random.Generator) -> Predicate | None:
    """On which side it is of another object, one that its attributes tell."""
    anchors = _anchors(scene=scene, target=target, rng=rng)
    for _ in range(_TRIES if anchors else 0):
        head = _head(entry=scene.objects[target], rng=rng)
        anchor = anchors[int(rng.integers(len(anchors)))]
        side = tuple(RELATIONS)[int(rng.integers(len(RELATIONS)))]
        found = replace(head, relation=Relation(side=side, anchor=anchor))
        if _tells(found, scene=scene, target=target, claim="relation"):
            return found
    return None


def _anchors(*, scene: Scene, target: int, rng: np.random.Generator) -> list[Predicate]:
    """Descriptions of the other objects by shape and, where that isn't enough, colour or size."""
    found = []
    for i, entry in enumerate(scene.objects):
        exact = Predicate(colour=entry.colour, shape=entry.shape, size=entry.size)
        telling = _telling_sets(scene=scene, exact=exact, target=i, names=_ATTRIBUTES[:3])
        if telling and i != target:
            found.append(_only(exact, ("shape", *telling[int(rng.integers(len(telling)))])))
    return found


def _tells(predicate: Predicate, *, scene: Scene, target: int, claim: str) -> bool:
    """Whether it clearly means the target alone, and would not without that claim."""
    only = predicate.matches(scene) == (target,) and predicate.is_clear(scene)
    return only and claim in predicate.need(scene)


def _exact(*, entry: SceneObject, rng: np.random.Generator) -> Predicate:
    place = place_of(cell=entry.cell)
    if " " in place and rng.random() < _SIDE_RATE:
        place = place.split()[int(rng.integers(2))]
    return Predicate(colour=entry.colour, shape=entry.shape, size=entry.size, place=place)


def _head(*, entry: SceneObject, rng: np.random.Generator) -> Predicate:
    """Some of colour, shape and size: mostly the shape, often the colour, now and then the size."""
    said = rng.random(3) < (0.6, 0.85, 0.2)
    return Predicate(
        colour=entry.colour if said[0] else None,
        shape=entry.shape if said[1] else None,
        size=entry.size if said[2] else None,
    )


def _only(predicate: Predicate, names: tuple[str, ...]) -> Predicate:
    return Predicate(**{name: getattr(predicate, name) for name in names})
