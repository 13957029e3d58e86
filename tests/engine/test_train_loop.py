"""A resumed training against one that was never broken."""

import multiprocessing
import os
import random
import signal

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from mmseg.registry import DATASETS, HOOKS, METRICS, MODELS

from mmseg_mllm.datasets.numbered import NumberedBatchSampler, NumberSeededDataset
from mmseg_mllm.engine.hooks import SafeCheckpointHook
from mmseg_mllm.engine.runner import build_runner
from mmseg_mllm.errors import ConfigError, TrainingError

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


@MODELS.register_module()
class PlainModel(BaseModel):
    """Its loss follows from the samples' indices alone; that of one of them may be no number."""

    def __init__(self, *, broken=-1):
        super().__init__()
        self.layer = torch.nn.Linear(1, 3)
        self.norm = torch.nn.BatchNorm1d(3)
        self.broken = broken

    def forward(self, inputs, mode, data_samples=None):
        index = torch.stack(inputs)[:, :1].float()
        if mode == "predict":
            return [BaseDataElement() for _ in index]
        shift = float("nan") if (index == self.broken).any() else 0.0
        channels = index[..., None].expand(-1, 3, 2)
        return dict(
            loss=self.layer(index + shift).square().mean(), loss_norm=self.norm(channels + shift).mean()
        )


@HOOKS.register_module()
class SignalHook(Hook):
    """Signals this process in the middle of an iteration, or of the validation after it."""

    def __init__(self, *, number, iteration, in_validation=False):
        self.number, self.iteration, self.in_validation = number, iteration, in_validation

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if batch_idx + 1 == self.iteration and not self.in_validation:
            os.kill(os.getpid(), self.number)

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        if (runner.iter, batch_idx) == (self.iteration, 1) and self.in_validation:
            os.kill(os.getpid(), self.number)


FIGURES = {2: 10.0, 4: 30.0, 5: 15.0, 6: 20.0, 8: 25.0, 9: 1.0, 10: 40.0}
"""What a validation finds after each iteration."""


@HOOKS.register_module()
class IterationHook(Hook):
    """Tells the metric below after which iteration it is asked."""

    def before_val(self, runner):
        GivenFigure.iteration = runner.iter


@METRICS.register_module()
class GivenFigure(BaseMetric):
    iteration = 0
    asked: list[tuple[int, int]] = []  # noqa: RUF012, iterations and how many samples were seen
    default_prefix = "toy/val"

    def process(self, data_batch, data_samples):
        self.results += data_samples

    def compute_metrics(self, results):
        self.asked.append((self.iteration, len(results)))
        return dict(cIoU=FIGURES[self.iteration])


VALIDATED = dict(
    val_dataloader=dict(dataset=dict(type="CountedNoise"), sampler=dict(type="DefaultSampler"), batch_size=2),
    val_evaluator=dict(type="GivenFigure"),
    val_cfg=dict(type="ValLoop"),
)


def train(
    work_dir,
    *,
    iterations,
    sampler,
    workers=0,
    resume=False,
    model=None,
    rounds=1,
    batch_size=2,
    hooks=(),
    max_skipped=3,
    validated=False,
    **loader,
):
    checkpoint = dict(type="SafeCheckpointHook", by_epoch=False, interval=5)
    if validated:
        checkpoint["save_best"] = "toy/val/cIoU"
    config = Config(
        dict(
            model=model or dict(type="NoisyModel"),
            train_dataloader=dict(
                dataset=dict(type="CountedNoise"),
                sampler=sampler,
                batch_size=batch_size,
                num_workers=workers,
                persistent_workers=workers > 0,
                **loader,
            ),
            train_cfg=dict(
                type="ResumableTrainLoop", max_iters=iterations, max_skipped=max_skipped, val_interval=2
            ),
            **(VALIDATED if validated else {}),
            optim_wrapper=dict(
                type="FiniteOptimWrapper", optimizer=dict(type="AdamW", lr=0.1), accumulative_counts=rounds
            ),
            param_scheduler=[dict(type="CosineAnnealingLR", T_max=10, end=10, by_epoch=False)],
            default_hooks=dict(checkpoint=checkpoint),
            custom_hooks=[dict(type="IterationHook"), *hooks],
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


ENDLESS = dict(type="InfiniteSampler", shuffle=True)


def test_it_goes_on_with_other_batches_at_the_same_step(tmp_path):
    """Four samples to a step: of one batch, or two of two, as on half as many processes."""
    whole, _ = train(
        tmp_path / "a", iterations=10, sampler=ENDLESS, model=dict(type="PlainModel"), batch_size=4
    )
    train(
        tmp_path / "b", iterations=5, sampler=ENDLESS, model=dict(type="PlainModel"), batch_size=2, rounds=2
    )
    assert torch.load(tmp_path / "b" / "iter_5.pth")["optimizer"]["state"][0]["step"] == 5
    changed, read = train(
        *(tmp_path / "b",),
        **dict(iterations=10, sampler=ENDLESS, model=dict(type="PlainModel"), batch_size=4, resume=True),
    )
    assert read == 5 * 4
    for name in ("layer.weight", "layer.bias"):
        assert torch.allclose(changed[name], whole[name], atol=1e-5)


@pytest.fixture
def _handlers():
    """Those of before: a run that stops leaves its own."""
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGUSR1)}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


def stopped_run(work_dir, *, hook, **run):
    with pytest.raises(SystemExit) as stopped:
        train(work_dir, hooks=[dict(type="SignalHook", **hook)], iterations=10, **run)
    assert stopped.value.code == 75


@pytest.mark.usefixtures("_handlers")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_stops_it_saved_after_the_step(tmp_path, number):
    before = signal.getsignal(number)
    unbroken, _ = train(tmp_path / "one", iterations=10, sampler=ENDLESS)
    assert signal.getsignal(number) == before
    stopped_run(tmp_path / "two", hook=dict(number=int(number), iteration=7), sampler=ENDLESS)
    assert (tmp_path / "two" / "last_checkpoint").read_text() == "iter_7.pth"
    resumed, read = train(tmp_path / "two", iterations=10, sampler=ENDLESS, resume=True)
    assert read == 3 * 2
    assert all(torch.equal(resumed[name], unbroken[name]) for name in unbroken)


PLAIN = dict(sampler=ENDLESS, model=dict(type="PlainModel"), validated=True)


@pytest.mark.usefixtures("_handlers")
@pytest.mark.parametrize("iteration", [4, 10])
def test_a_signal_within_a_validation_has_it_done_again(tmp_path, monkeypatch, iteration):
    """Also within the last one, after all steps."""
    asked = []
    monkeypatch.setattr(GivenFigure, "asked", asked)
    unbroken, _ = train(tmp_path / "one", iterations=10, **PLAIN)
    assert asked == [(2, 7), (4, 7), (6, 7), (8, 7), (10, 7)]
    before, asked[:] = list(asked), []
    hook = dict(number=int(signal.SIGTERM), iteration=iteration, in_validation=True)
    stopped_run(tmp_path / "two", hook=hook, **PLAIN)
    assert asked == [one for one in before if one[0] < iteration]
    assert (tmp_path / "two" / "last_checkpoint").read_text() == f"iter_{iteration}.pth"
    resumed, _ = train(tmp_path / "two", iterations=10, resume=True, **PLAIN)
    assert asked == before
    assert all(torch.equal(resumed[name], unbroken[name]) for name in unbroken)
    names = [{path.name for path in (tmp_path / run).glob("best_*")} for run in ("one", "two")]
    assert names == [{"best_toy_val_cIoU_iter_10.pth"}] * 2


def test_the_best_checkpoint_is_kept_until_there_is_a_better_one(tmp_path):
    """Also by runs that go on."""
    whole, _ = train(tmp_path / "to_4", iterations=4, sampler=ENDLESS, model=dict(type="PlainModel"))
    for iterations, best in [(5, 4), (9, 4), (10, 10)]:
        train(tmp_path / "run", iterations=iterations, resume=iterations > 5, **PLAIN)
        (path,) = (tmp_path / "run").glob("best_*")
        assert path.name == f"best_toy_val_cIoU_iter_{best}.pth"
        found = torch.load(path, weights_only=True)
        assert found["meta"]["iter"] == best
        assert "optimizer" not in found
        if best == 4:
            assert all(torch.equal(found["state_dict"][name], whole[name]) for name in whole)


def test_a_figure_that_there_is_none_of_is_told_after_the_step_is_saved(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(GivenFigure, "default_prefix", "GRES val")
        with pytest.raises(ConfigError, match=r"'toy/val/cIoU': the validation has no .* 'GRES val/cIoU'"):
            train(tmp_path, iterations=4, **PLAIN)
    assert (tmp_path / "last_checkpoint").read_text() == "iter_2.pth"
    monkeypatch.setattr(GivenFigure, "asked", [])
    train(tmp_path, iterations=4, resume=True, **PLAIN)
    assert [iteration for iteration, _ in GivenFigure.asked] == [2, 4]


@pytest.mark.parametrize(
    ("figure", "message"), [(["a/cIoU", "a/gIoU"], "give one figure"), ("a/speed", "add rule='greater'")]
)
def test_what_can_not_be_a_best_figure_is_told(figure, message):
    with pytest.raises(ConfigError, match=message):
        SafeCheckpointHook(save_best=figure)


@pytest.mark.parametrize("rounds", [1, 2])
def test_a_step_that_is_no_number_is_left_out(tmp_path, capfd, rounds):
    """One of seven samples spoils each step that it is in, and nothing else."""
    spoilt = dict(type="PlainModel", broken=3)
    state, _ = train(tmp_path, iterations=7, sampler=ENDLESS, model=spoilt, rounds=rounds, batch_size=1)
    assert all(tensor.isfinite().all() for tensor in state.values())
    # Every sample is drawn once in seven; the batch norm forgets all batches of a step that is left out.
    assert MessageHub.get_current_instance().get_info("skipped_steps") == rounds
    assert state["norm.num_batches_tracked"] == 7 * rounds - rounds * rounds
    assert "step left out" in capfd.readouterr().out
    assert "loss is nan" in (next(tmp_path.glob("*/*.log"))).read_text()


def test_it_ends_where_no_step_is_a_number(tmp_path):
    spoilt = dict(type="PlainModel", broken=3)
    fixed = dict(type="DefaultSampler", shuffle=False)
    with pytest.raises(TrainingError, match=r"iteration 3: 3 steps in a row .* process 0: loss is nan"):
        train(tmp_path, iterations=9, sampler=fixed, model=spoilt, batch_size=7)
