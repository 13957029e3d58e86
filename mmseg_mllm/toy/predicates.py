"""What an expression claims about its objects, apart from how it is worded."""

from dataclasses import dataclass

from .scene import Scene, SceneObject
from .vocabulary import HELD_OUT, place_holds


@dataclass(frozen=True, kw_only=True)
class Predicate:
    """Conjunction of the attributes that are not None (words of ``vocabulary``)."""

    colour: str | None = None
    shape: str | None = None
    size: str | None = None
    place: str | None = None

    def holds(self, entry: SceneObject) -> bool:
        """Whether all that is claimed is true of ``entry``."""
        return (
            self.colour in (None, entry.colour)
            and self.shape in (None, entry.shape)
            and self.size in (None, entry.size)
            and (self.place is None or place_holds(place=self.place, cell=entry.cell))
        )

    def matches(self, scene: Scene) -> tuple[int, ...]:
        """Indices of the objects of ``scene`` that it holds of, in ascending order."""
        return tuple(i for i, entry in enumerate(scene.objects) if self.holds(entry))


def eligible_targets(*, scene: Scene) -> tuple[int, ...]:
    """Indices of the objects that expressions may target: in testB the held-out pairs, else all."""
    return tuple(
        i
        for i, entry in enumerate(scene.objects)
        if scene.split != "testB" or (entry.colour, entry.shape) in HELD_OUT
    )
