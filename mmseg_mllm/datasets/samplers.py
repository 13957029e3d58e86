"""Which samples a training step gets."""

import itertools
from collections.abc import Iterator

import torch
from mmengine.dataset import BaseDataset, ConcatDataset
from mmengine.dist import get_dist_info, sync_random_seed
from mmseg.registry import DATA_SAMPLERS
from torch.utils.data import Sampler

BLOCK = 4096
"""Draws made together."""


@DATA_SAMPLERS.register_module()
class UniformDatasetSampler(Sampler):
    """Draws a dataset, each equally often, then one of its images: the joined training of MLLMSeg.

    A small dataset is thus seen as often as a large one. mmengine's ``InfiniteSampler`` draws from the plain
    concatenation instead, in which each image is equally likely. Endless; with replacement.

    Args:
        dataset: A ``ConcatDataset``, or one dataset alone.
        seed: The same in all processes; drawn and shared where None.
    """

    def __init__(self, *, dataset: BaseDataset | ConcatDataset, seed: int | None = None) -> None:
        ends = getattr(dataset, "cumulative_sizes", [len(dataset)])
        self.spans = list(zip([0, *ends[:-1]], ends, strict=True))
        self.seed = sync_random_seed() if seed is None else seed
        self.rank, self.world_size = get_dist_info()

    def __iter__(self) -> Iterator[int]:
        yield from itertools.islice(self._draws(), self.rank, None, self.world_size)

    def __len__(self) -> int:
        return self.spans[-1][1]

    def set_epoch(self, epoch: int) -> None:
        """Not needed by an endless sampler."""

    def _draws(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed)
        starts, ends = torch.tensor(self.spans).T
        while True:
            # Many at once: a resumed run passes over millions.
            chosen = torch.randint(len(self.spans), (BLOCK,), generator=generator)
            places = torch.rand(BLOCK, dtype=torch.float64, generator=generator)
            sizes = (ends - starts)[chosen]
            yield from (starts[chosen] + (places * sizes).long()).tolist()
