import numpy as np
import pytest
from helpers.metric_processes import random_sample
from mmengine.dataset import DefaultSampler

from mmseg_mllm.errors import ConfigError
from mmseg_mllm.evaluation.counts import count_image
from mmseg_mllm.evaluation.sums import Sums
from mmseg_mllm.evaluation.tally import Tally, merged


@pytest.fixture(scope="module")
def images():
    """Eleven images of four splits, one of them with a single image."""
    rng = np.random.default_rng(2)
    splits = ["val"] * 4 + ["testA"] + ["testB"] * 4 + ["val"] + ["test"]
    return [count_image(random_sample(rng, split=split), rotate=True) for split in splits]


def dealt(images: list, *, world_size: int, round_up: bool, monkeypatch) -> list[Tally]:
    """What the processes have seen, each through mmengine's own sampler."""
    tallies = []
    for rank in range(world_size):
        monkeypatch.setattr("mmengine.dataset.sampler.get_dist_info", lambda rank=rank: (rank, world_size))
        tally = Tally()
        for index in DefaultSampler(images, shuffle=False, seed=0, round_up=round_up):
            tally.add(images[index])
        tallies.append(tally)
    return tallies


@pytest.mark.parametrize("round_up", [True, False])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 10, 11])
def test_each_image_counts_once(images, size, round_up, monkeypatch):
    images = images[:size]
    expected = {}
    for image in images:
        group = image.dataset, image.split, image.protocol
        expected[group] = expected.get(group, Sums()) + Sums.of(image)
    for world_size in (1, 2, 3, 4, 16):
        tallies = dealt(images, world_size=world_size, round_up=round_up, monkeypatch=monkeypatch)
        assert (sum(tally.seen for tally in tallies) > size) == (round_up and size % world_size != 0)
        found = merged(tallies, size=size)
        assert found == expected
        assert list(found) == list(expected)


def test_nothing_seen():
    assert merged([Tally(), Tally()], size=0) == {}


def test_other_shares_are_refused(images):
    tallies = [Tally(), Tally()]
    for tally, number in zip(tallies, (3, 1), strict=True):
        for image in images[:number]:
            tally.add(image)
    with pytest.raises(ConfigError, match=r"process 2 of 2 was given 1 images of a test set of 6, .* is 3"):
        merged(tallies, size=6)
