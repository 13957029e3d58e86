from types import SimpleNamespace

import pytest
from mmengine.logging import MessageHub

from mmseg_mllm.analysis.training_flops import TrainingFlops
from mmseg_mllm.engine.config import load_config
from mmseg_mllm.engine.hooks import ThroughputHook
from mmseg_mllm.engine.hooks import throughput_hook as module


@pytest.fixture
def runner(monkeypatch):
    """On a machine of a million FLOPs a second; an image takes 1,000, an expression 100."""
    monkeypatch.setattr(module, "matmul_rate", lambda device, dtype: lambda: 1e6)
    monkeypatch.setattr(TrainingFlops, "of", lambda model: TrainingFlops(per_image=1000, per_expression=100))
    return SimpleNamespace(
        cfg=load_config("configs/mllmseg/internvl_tiny_toy.py"),
        model=SimpleNamespace(backbone=SimpleNamespace(dtype=None)),
        message_hub=MessageHub("of a test"),
    )


def step(hook, runner, *, seconds, waited, expressions):
    runner.message_hub.update_scalar("train/time", seconds)
    runner.message_hub.update_scalar("train/data_time", waited)
    samples = [SimpleNamespace(expressions=["a"] * count) for count in expressions]
    hook.after_train_iter(runner, 0, data_batch=dict(data_samples=samples))
    return {
        name: runner.message_hub.get_scalar(f"train/{name}").current()
        for name in ("samples_per_second", "data_share", "mfu", "peak_memory_gb")
    }


def test_figures_of_each_iteration_and_their_means(runner, capsys):
    hook = ThroughputHook()
    hook.before_train(runner)
    step(hook, runner, seconds=100.0, waited=99.0, expressions=[1])  # the first, which warms up
    first = step(hook, runner, seconds=0.01, waited=0.002, expressions=[2, 3])
    assert first["samples_per_second"] == pytest.approx(200)
    assert first["data_share"] == pytest.approx(0.2)
    assert first["mfu"] == pytest.approx(2500 / 0.01 / 1e6)
    assert 0.05 < first["peak_memory_gb"] < 100
    step(hook, runner, seconds=0.03, waited=0.0, expressions=[5, 0])
    hook.after_train(runner)
    printed = capsys.readouterr().out
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines()]
    table = dict(row for row in cells if len(row) == 2)
    assert "Throughput of 2 iterations" in printed
    # 4 images and 5,000 FLOPs in 0.04 s, of which 0.002 s waiting.
    assert (table["samples_per_second"], table["data_share"], table["mfu"]) == ("100.00", "0.05", "0.12")


def test_ordinary_segmentors_have_no_mfu(runner):
    runner.cfg = dict(model=dict(type="EncoderDecoder"))
    hook = ThroughputHook()
    hook.before_train(runner)
    for name, value in dict(time=0.5, data_time=0.1).items():
        runner.message_hub.update_scalar(f"train/{name}", value)
    hook.after_train_iter(runner, 0, data_batch=dict(data_samples=[SimpleNamespace()] * 4))
    assert runner.message_hub.get_scalar("train/samples_per_second").current() == 8
    assert "train/mfu" not in runner.message_hub.log_scalars
