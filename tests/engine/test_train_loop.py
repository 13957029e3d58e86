"""A resumed training against one that was never broken."""

import multiprocessing
import random

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmseg.registry import DATASETS, MODELS

from mmseg_mllm.datasets.numbered import NumberedBatchSampler, NumberSeededDataset
from mmseg_mllm.engine.runner import build_runner
from mmseg_mllm.errors import ConfigError

READ = multiprocessing.Value("i", 0)


@DATASETS.register_module()
class CountedNoise(torch.utils.data.Dataset):
    """Samples of all three generators, each reading counted also in workers."""

    def __len__(self):
        return 7

    def __getitem__(self, index):
        with READ.get_lock():
            READ.value += 1
        return dict(inputs=torch.tensor([index, random.random(), np.random.rand(), torch.rand(()).item()]))


@MODELS.register_module()
class NoisyModel(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)

    def forward(self, inputs, mode):
        seen = torch.nn.functional.dropout(torch.stack(inputs).float(), 0.3)
        return dict(loss=self.layer(seen).mul(random.random()).square().mean())


def train(work_dir, *, iterations, sampler, workers, resume=False, **loader):
    config = Config(
        dict(
            model=dict(type="NoisyModel"),
            train_dataloader=dict(
                dataset=dict(type="CountedNoise"),
                sampler=sampler,
                batch_size=2,
                num_workers=workers,
                persistent_workers=workers > 0,
                **loader,
            ),
            train_cfg=dict(type="ResumableTrainLoop", max_iters=iterations),
            optim_wrapper=dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=0.1)),
            default_hooks=dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=5)),
            work_dir=str(work_dir),
            launcher="none",
            default_scope="mmseg",
            experiment_name=str(work_dir),
            visualizer=dict(type="Visualizer", name=f"{work_dir}{iterations}"),
            log_processor=dict(by_epoch=False),
            randomness=dict(seed=3),
            resume=resume,
        )
    )
    READ.value = 0
    runner = build_runner(config)
    runner.train()
    return {name: tensor.clone() for name, tensor in runner.model.state_dict().items()}, READ.value


@pytest.mark.parametrize(
    ("sampler", "workers"),
    [
        (dict(type="InfiniteSampler", shuffle=True), 0),
        (dict(type="DefaultSampler", shuffle=True), 0),
        (dict(type="UniformDatasetSampler"), 0),
        (dict(type="DefaultSampler", shuffle=True), 2),
    ],
)
def test_it_does_what_the_unbroken_one_would_have_done(tmp_path, sampler, workers):
    """Also in the midst of an epoch: seven samples are four batches."""
    unbroken, _ = train(tmp_path / "one", iterations=10, sampler=sampler, workers=0)
    train(tmp_path / "two", iterations=5, sampler=sampler, workers=workers)
    resumed, read = train(tmp_path / "two", iterations=10, sampler=sampler, workers=workers, resume=True)
    assert all(torch.equal(resumed[name], unbroken[name]) for name in unbroken)
    if workers == 0:
        # Five batches of two; of four batches of an epoch the last has one sample.
        assert read == (9 if sampler["type"] == "DefaultSampler" else 10)
    else:  # each of the two has two batches waiting
        assert read <= 2 * (5 + 2 * workers)


def test_a_set_smaller_than_its_batch_is_told(tmp_path):
    sampler = dict(type="DefaultSampler", shuffle=True)
    with pytest.raises(ConfigError, match="7 samples and batch_size=8 make no batch"):
        NumberedBatchSampler(sampler=range(7), batch_size=8, drop_last=True)
    _, read = train(tmp_path, iterations=4, sampler=sampler, workers=0, drop_last=True)
    assert read == 8


def test_processes_draw_apart(monkeypatch):
    def drawn(rank, number):
        monkeypatch.setattr("mmseg_mllm.datasets.numbered.get_rank", lambda: rank)
        dataset = NumberSeededDataset(dataset=dict(type="CountedNoise"), seed=0)
        return dataset.__getitems__((number, [1]))[0]["inputs"].tolist()

    assert drawn(0, 4) == drawn(0, 4)
    assert len({tuple(drawn(rank, number)) for rank in (0, 1) for number in (4, 5)}) == 4
