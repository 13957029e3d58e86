import itertools

import pytest
from mmengine.dataset import ConcatDataset
from mmseg.registry import DATA_SAMPLERS
from torch.utils.data import Dataset

from mmseg_mllm.datasets.samplers import UniformDatasetSampler


class Numbers(Dataset):
    def __init__(self, size):
        self.size = size

    def __len__(self):
        return self.size


def joined(*sizes):
    dataset = ConcatDataset.__new__(ConcatDataset)
    dataset.cumulative_sizes = list(itertools.accumulate(sizes))
    dataset.datasets = [Numbers(size) for size in sizes]
    dataset._fully_initialized = True
    return dataset


def test_small_and_large_datasets_are_drawn_alike():
    sampler = UniformDatasetSampler(dataset=joined(10, 1000, 30), seed=0)
    draws = list(itertools.islice(sampler, 9000))
    shares = [
        sum(start <= i < end for i in draws) / 9000 for start, end in ((0, 10), (10, 1010), (1010, 1040))
    ]
    assert shares == pytest.approx([1 / 3] * 3, abs=0.02)
    assert len(sampler) == 1040
    # Inside a dataset each image is as likely: 300 draws of each of the first ten.
    assert all(230 < draws.count(i) < 370 for i in range(10))
    assert {0, 9, 1010, 1039} <= set(draws)
    assert max(draws) < 1040


def test_same_seed_same_draws_and_fresh_ones_per_iterator():
    sampler = UniformDatasetSampler(dataset=joined(5, 50), seed=3)
    first = list(itertools.islice(sampler, 20))
    assert first == list(itertools.islice(sampler, 20))
    other = UniformDatasetSampler(dataset=joined(5, 50), seed=4)
    assert first != list(itertools.islice(other, 20))


def test_processes_share_the_draws_out(monkeypatch):
    alone = list(itertools.islice(UniformDatasetSampler(dataset=joined(5, 50), seed=3), 30))
    shares = []
    for rank in range(3):
        monkeypatch.setattr("mmseg_mllm.datasets.samplers.get_dist_info", lambda rank=rank: (rank, 3))
        shares.append(list(itertools.islice(UniformDatasetSampler(dataset=joined(5, 50), seed=3), 10)))
    assert [i for together in zip(*shares, strict=True) for i in together] == alone


def test_one_dataset_alone_and_registered():
    sampler = DATA_SAMPLERS.build(dict(type="UniformDatasetSampler", dataset=Numbers(4), seed=0))
    assert set(itertools.islice(sampler, 100)) == {0, 1, 2, 3}
