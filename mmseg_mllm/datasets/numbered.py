"""Batches that know their number: all in them follows from it, so that training can go on anywhere."""

import itertools
import random
from collections.abc import Iterator

import numpy as np
import torch
from mmengine.dist import get_rank
from mmseg.registry import DATASETS
from torch.utils.data import BatchSampler, Dataset, Sampler

from mmseg_mllm.errors import ConfigError

NumberedBatch = tuple[int, list[int]]


def numbered_loader(dataloader: dict, *, seed: int) -> dict:
    """Config of a DataLoader with numbered batches, of any dataset and sampler.

    Args:
        dataloader: As mmengine's ``Runner`` takes it; it stays as it is.
        seed: Of the samples' randomness.

    Raises:
        ConfigError: it groups its batches by a ``batch_sampler`` of its own.
    """
    if dataloader.get("batch_sampler"):
        raise ConfigError(
            "train_dataloader.batch_sampler: ResumableTrainLoop groups the batches itself; leave it out"
        )
    result = dict(dataloader)
    drop_last = result.pop("drop_last", False)
    result["batch_sampler"] = dict(type=NumberedBatchSampler, drop_last=drop_last)
    result["dataset"] = dict(type=NumberSeededDataset, dataset=dataloader["dataset"], seed=seed)
    return result


def seed_random(*numbers: int) -> int:
    """Seed Python's and NumPy's generators with a mixture of ``numbers``; returns it for those of torch."""
    seed = int(np.random.SeedSequence(numbers).generate_state(1)[0])
    random.seed(seed)
    np.random.seed(seed)
    return seed


class NumberedBatchSampler(Sampler):
    """Endless (number, indices) of batches, beginning at any number without reading what comes before.

    A sampler that ends is begun again with the next ``set_epoch``.

    Args:
        sampler: Indices of samples, endless or of one epoch.
        batch_size: Indices in a batch.
        drop_last: Leave out an epoch's last batch where it is not full.

    Attributes:
        start: Number of the first batch.

    Raises:
        ConfigError: an epoch has no full batch.
    """

    def __init__(self, *, sampler: Sampler, batch_size: int, drop_last: bool) -> None:
        self.sampler = sampler
        self.batches = BatchSampler(sampler, batch_size=batch_size, drop_last=drop_last)
        self.start = 0
        if not len(self.batches):
            raise ConfigError(
                f"train_dataloader: {len(sampler)} samples and batch_size={batch_size} make no batch"
            )

    def __iter__(self) -> Iterator[NumberedBatch]:
        endless = itertools.chain.from_iterable(self._epochs())
        yield from itertools.islice(enumerate(endless), self.start, None)

    def __len__(self) -> int:
        """Batches of an epoch."""
        return len(self.batches)

    def _epochs(self) -> Iterator[BatchSampler]:
        for epoch in itertools.count():
            if hasattr(self.sampler, "set_epoch"):
                self.sampler.set_epoch(epoch)
            yield self.batches


class NumberSeededDataset(Dataset):
    """A dataset read by numbered batches, each with random numbers of its own.

    Transforms draw from the generators of Python, NumPy and torch; these are seeded with seed, process and
    number of the batch, so what they draw depends neither on earlier batches nor on the number of workers.
    All other attributes are those of the dataset.

    Args:
        dataset: Config of the dataset.
        seed: The same in each run that shall draw the same.
    """

    def __init__(self, *, dataset: dict, seed: int) -> None:
        self.dataset = DATASETS.build(dataset)
        if hasattr(self.dataset, "full_init"):
            self.dataset.full_init()
        self.seed = seed
        self.rank = get_rank()  # workers are not in the process group

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitems__(self, batch: NumberedBatch) -> list[dict]:
        """The samples of a batch; torch's DataLoader reads by this method."""
        number, indices = batch
        # Not torch.manual_seed: a worker has no business with the accelerator.
        torch.default_generator.manual_seed(seed_random(self.seed, self.rank, number))
        return [self.dataset[index] for index in indices]

    def __getattr__(self, name: str):
        if name == "dataset":  # not there yet, when a worker unpickles this
            raise AttributeError(name)
        return getattr(self.dataset, name)
