"""What a process has seen of a test set, and the whole test set from what all have seen."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mmseg_mllm.errors import ConfigError
from mmseg_mllm.evaluation.counts import ImageCounts
from mmseg_mllm.evaluation.sums import Sums

Group = tuple[str, str, str]
"""Dataset, split and protocol."""


@dataclass(kw_only=True)
class Tally:
    """Sums of the images that a process has seen, apart from the last one.

    To even out processes, a sampler may end a process's share with an image that another one has too.
    Whether the last image is one is known at the end.

    Attributes:
        seen: Number of images.
        last: The last of them; None of none.
        sums: Sums of the others.
        first: Place of each group's first image among this process's.
    """

    seen: int = 0
    last: ImageCounts | None = None
    sums: dict[Group, Sums] = field(default_factory=dict)
    first: dict[Group, int] = field(default_factory=dict)

    def add(self, image: ImageCounts) -> None:
        """Count one more image."""
        self._close()
        self.last = image
        self.seen += 1

    def share(self, number: int) -> dict[Group, Sums]:
        """Sums of the first ``number`` images: all, or all but the last."""
        if number == self.seen:
            self._close()
        return self.sums

    def _close(self) -> None:
        if self.last is not None:
            group = self.last.dataset, self.last.split, self.last.protocol
            self.first.setdefault(group, self.seen - 1)
            self.sums[group] = self.sums.get(group, Sums()) + Sums.of(self.last)
            self.last = None


def merged(tallies: Sequence[Tally], *, size: int) -> dict[Group, Sums]:
    """Sums of a whole test set, each image once, by group in the order in which these first occur.

    Args:
        tallies: Of all processes, by rank; they are used up.
        size: Images of the test set.

    Raises:
        ConfigError: the images were not dealt out as mmengine's ``DefaultSampler`` does: of W processes the
            r-th gets image r, r + W and so on, and then perhaps one more, so that all have equally many.
    """
    world_size = len(tallies)
    sums: dict[Group, Sums] = {}
    first: dict[Group, int] = {}
    for rank, tally in enumerate(tallies):
        own, padded = len(range(rank, size, world_size)), -(-size // world_size)
        if tally.seen not in (own, padded):
            raise ConfigError(
                f"RESMetric: process {rank + 1} of {world_size} was given {tally.seen} images of a test set "
                f"of {size}, where its share is {own}; the test dataloader needs "
                "sampler=dict(type='DefaultSampler')"
            )
        for group, part in tally.share(own).items():
            sums[group] = sums.get(group, Sums()) + part
            first[group] = min(first.get(group, size), tally.first[group] * world_size + rank)
    return {group: sums[group] for group in sorted(sums, key=first.__getitem__)}
