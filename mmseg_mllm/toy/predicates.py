"""What an expression claims about its objects, apart from how it is worded."""

import itertools
from dataclasses import dataclass, fields, replace

from .layout import Scene, SceneObject
from .vocabulary import DIRECTIONS, HELD_OUT, NEEDS, RELATIONS, place_holds

_MARGIN = 0.08  # of the image side: centres closer than this are not told apart by order and relations


@dataclass(frozen=True, kw_only=True)
class Order:
    """The ``rank``-th (from 1) of what is described, counted from a side of ``vocabulary.DIRECTIONS``."""

    rank: int
    side: str


@dataclass(frozen=True, kw_only=True)
class Relation:
    """On one side (a key of ``vocabulary.RELATIONS``) of the only object that ``anchor`` holds of."""

    side: str
    anchor: "Predicate"


@dataclass(frozen=True, kw_only=True)
class Predicate:
    """Conjunction of the claims that are not None (words of ``vocabulary``)."""

    colour: str | None = None
    shape: str | None = None
    size: str | None = None
    place: str | None = None
    order: Order | None = None
    relation: Relation | None = None

    def holds(self, entry: SceneObject) -> bool:
        """Whether the object's own attributes (all but order and relation) are as claimed."""
        return (
            self.colour in (None, entry.colour)
            and self.shape in (None, entry.shape)
            and self.size in (None, entry.size)
            and (self.place is None or place_holds(place=self.place, cell=entry.cell))
        )

    def matches(self, scene: Scene) -> tuple[int, ...]:
        """Indices of the objects of ``scene`` that it holds of, in ascending order."""
        hits = [i for i, entry in enumerate(scene.objects) if self.holds(entry)]
        if self.relation is not None:
            anchors = self.relation.anchor.matches(scene)
            if len(anchors) != 1:
                return ()
            hits = [i for i in hits if _shift(scene, anchors[0], i, RELATIONS[self.relation.side]) > _MARGIN]
        if self.order is not None:
            axis, sign = DIRECTIONS[self.order.side]
            hits.sort(key=lambda i: sign * scene.objects[i].centre[axis])
            hits = hits[self.order.rank - 1 : self.order.rank]
        return tuple(hits)

    def is_clear(self, scene: Scene) -> bool:
        """Whether nobody could be in doubt: no two centres that order or relation compare are close."""
        hits = [i for i, entry in enumerate(scene.objects) if self.holds(entry)]
        if self.relation is not None:
            (anchor,) = self.relation.anchor.matches(scene)
            shifts = (_shift(scene, anchor, i, RELATIONS[self.relation.side]) for i in hits if i != anchor)
            if any(0 < shift <= _MARGIN for shift in shifts):
                return False
        if self.order is not None:
            way = DIRECTIONS[self.order.side]
            pairs = itertools.combinations(hits, 2)
            return all(abs(_shift(scene, one, other, way)) > _MARGIN for one, other in pairs)
        return True

    def claims(self) -> tuple[str, ...]:
        """Names of what it claims, in the order of ``vocabulary.NEEDS``."""
        return tuple(name for name in NEEDS if getattr(self, name) is not None)

    def need(self, scene: Scene) -> tuple[str, ...]:
        """The smallest part of its claims that holds of the same objects; of equally small ones the first."""
        targets, claims = self.matches(scene), self.claims()
        for number in range(len(claims) + 1):
            for kept in itertools.combinations(claims, number):
                dropped = {field.name: None for field in fields(self) if field.name not in kept}
                if replace(self, **dropped).matches(scene) == targets:
                    return kept
        raise AssertionError("all claims together hold of what they hold of")


def eligible_targets(*, scene: Scene) -> tuple[int, ...]:
    """Indices of the objects that expressions may target: in testB the held-out pairs, else all."""
    return tuple(
        i
        for i, entry in enumerate(scene.objects)
        if scene.split != "testB" or (entry.colour, entry.shape) in HELD_OUT
    )


def _shift(scene: Scene, start: int, end: int, way: tuple[int, int]) -> float:
    """How far the centre of object ``end`` is from that of ``start`` along a way, in shares of the side."""
    axis, sign = way
    distance = scene.objects[end].centre[axis] - scene.objects[start].centre[axis]
    return sign * distance / (scene.width, scene.height)[axis]
