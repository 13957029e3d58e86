from types import SimpleNamespace

import torch
from rich.console import Console

from mmseg_mllm.engine.hooks import ProgressHook


def run(hook, *, total, monkeypatch, seconds_per_iter, first=0, begin=0.0):
    """Drive a training from step ``first`` to ``total`` on a clock of our own; it begins to train late."""
    clock = iter(range(10**6))
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    runner = SimpleNamespace(
        max_iters=total, iter=first, log_dir="work/then", timestamp="then", work_dir="work"
    )
    hook.before_train(runner)
    now[0] = begin
    for step in range(first, total):
        runner.iter = step
        hook.before_train_iter(runner, step)
        now[0] = begin + (next(clock) + 1) * seconds_per_iter
        hook.after_train_iter(runner, step, outputs=dict(loss=torch.tensor(0.5)))
    hook.after_train(runner)


def test_lines_with_the_time_left_where_there_is_no_terminal(monkeypatch):
    hook = ProgressHook(line_interval=10)
    hook.console = Console(width=80, force_terminal=False)
    with hook.console.capture() as captured:
        run(hook, total=40, monkeypatch=monkeypatch, seconds_per_iter=2.0)
    lines = captured.get().splitlines()
    assert lines[:2] == ["log: work/then/then.log", "checkpoints: work"]
    assert lines[2] == "train 5/40  loss 0.500  2.00 s/it  0:01:10 left"
    assert len(lines) == 10
    assert lines[-1].endswith("0:00:00 left")


def test_a_resumed_run_counts_from_its_first_step(monkeypatch):
    hook = ProgressHook(line_interval=200)
    hook.console = Console(width=80, force_terminal=False)
    with hook.console.capture() as captured:
        settings = dict(total=1000, first=600, begin=130.0, seconds_per_iter=0.5)
        run(hook, monkeypatch=monkeypatch, **settings)
    assert captured.get().splitlines()[2] == "train 740/1000  loss 0.500  2.00 it/s  0:02:10 left"


def test_a_bar_on_a_terminal(monkeypatch):
    hook = ProgressHook()
    hook.console = Console(width=80, force_terminal=True, force_interactive=False)
    with hook.console.capture() as captured:
        run(hook, total=5, monkeypatch=monkeypatch, seconds_per_iter=1.0)
    assert "5/5" in captured.get()


def test_only_the_main_process_speaks(monkeypatch):
    monkeypatch.setattr("mmseg_mllm.engine.hooks.progress_hook.is_main_process", lambda: False)
    assert ProgressHook().console.quiet


def test_validation_is_told_by_its_own_figure():
    hook = ProgressHook()
    hook.console = Console(width=80, force_terminal=False)
    runner, progress = SimpleNamespace(iter=7, val_dataloader=[0]), []
    for metrics in ({"val/cIoU": 1.0, "val/mIoU": 2.0}, dict(aAcc=3.0, mIoU=4.0)):
        hook.before_val(runner)
        with hook.console.capture() as captured:
            hook.after_val_epoch(runner, metrics)
        progress.append(captured.get())
    assert progress == ["val   after 7 iterations: val/cIoU 1.00\n", "val   after 7 iterations: mIoU 4.00\n"]


def test_names_are_no_markup():
    hook = ProgressHook()
    hook.console = Console(width=80, force_terminal=False)
    runner = SimpleNamespace(iter=7, val_dataloader=[0])
    with hook.console.capture() as captured:
        hook.after_val_epoch(runner, metrics={"mine[v2][/b]:dog:/val/cIoU": 50.0})
    assert captured.get() == "val   after 7 iterations: mine[v2][/b]:dog:/val/cIoU 50.00\n"
