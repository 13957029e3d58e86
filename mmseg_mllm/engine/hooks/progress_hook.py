"""Progress of training and testing on the console: how fast, and how long it will take."""

import datetime
import time
from collections.abc import Sequence
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmseg.registry import HOOKS
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from mmseg_mllm.tables.console import plain_console

BAR_INTERVAL = 0.5
"""Seconds between updates of a progress bar."""


@HOOKS.register_module()
class ProgressHook(Hook):
    """A progress bar on a terminal, a line now and then in a file or pipe; the main process only.

    Args:
        line_interval: Seconds between lines where the output is no terminal.
    """

    priority = "VERY_LOW"

    def __init__(self, *, line_interval: float = 20.0) -> None:
        self.line_interval = line_interval
        self.console = plain_console(quiet=not is_main_process())
        self._progress: Progress | None = None
        self._tasks: dict[str, int] = {}
        self._start: dict[str, tuple[float, int]] = {}
        self._last_line = 0.0

    def before_train(self, runner) -> None:
        self._print(f"log: {Path(runner.log_dir) / runner.timestamp}.log")
        self._print(f"checkpoints: {runner.work_dir}")
        self._begin("train", total=runner.max_iters, done=runner.iter)

    def before_train_iter(self, runner, batch_idx: int, data_batch: dict | None = None) -> None:
        if runner.iter == self._start["train"][1]:
            self._start["train"] = time.monotonic(), runner.iter  # what came before was no training

    def after_train_iter(
        self, runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        # Reading a tensor waits for the device: only when something is shown.
        if self._due("train", done=runner.iter + 1):
            loss = f"loss {outputs['loss'].item():.3f}" if outputs and "loss" in outputs else ""
            self._show("train", done=runner.iter + 1, total=runner.max_iters, note=loss)

    def after_train(self, runner) -> None:
        self._end("train")

    def before_val(self, runner) -> None:
        self._begin("val", total=len(runner.val_dataloader))

    def after_val_iter(
        self, runner, batch_idx: int, data_batch: dict | None = None, outputs: Sequence | None = None
    ) -> None:
        self._step("val", batch_idx + 1, len(runner.val_dataloader))

    def after_val_epoch(self, runner, metrics: dict[str, float] | None = None) -> None:
        metrics = metrics or {}
        # Of referring segmentation; mmseg's metric for classes has no cIoU.
        wanted = [key for key in metrics if key.endswith("cIoU")] or [key for key in metrics if key == "mIoU"]
        figures = [f"{key} {metrics[key]:.2f}" for key in wanted]
        self._print(f"val   after {runner.iter} iterations: {', '.join(figures)}")

    def after_val(self, runner) -> None:
        self._end("val")
        if "train" in self._start:  # whose time it was not
            since, first = self._start["train"]
            self._start["train"] = since + time.monotonic() - self._start["val"][0], first

    def before_test(self, runner) -> None:
        self._begin("test", total=len(runner.test_dataloader))

    def after_test_iter(
        self, runner, batch_idx: int, data_batch: dict | None = None, outputs: Sequence | None = None
    ) -> None:
        self._step("test", batch_idx + 1, len(runner.test_dataloader))

    def after_test(self, runner) -> None:
        self._end("test")

    def _step(self, name: str, done: int, total: int) -> None:
        if self._due(name, done=done):
            self._show(name, done=done, total=total, note="")

    def _begin(self, name: str, *, total: int, done: int = 0) -> None:
        self._start[name] = time.monotonic(), done
        self._last_line = time.monotonic()
        if not self.console.is_terminal:
            return
        if self._progress is None:
            self._progress = Progress(
                TextColumn("{task.description:5}"),
                BarColumn(bar_width=None),  # what the rest leaves of the line
                MofNCompleteColumn(),
                TextColumn("{task.fields[note]}"),
                console=self.console,
                expand=True,
            )
            self._progress.start()
        self._tasks[name] = self._progress.add_task(name, total=total, completed=done, note="")

    def _due(self, name: str, *, done: int) -> bool:
        interval = self.line_interval if self._progress is None else BAR_INTERVAL
        return time.monotonic() - self._last_line >= interval and done > self._start[name][1]

    def _show(self, name: str, *, done: int, total: int, note: str) -> None:
        self._last_line = time.monotonic()
        since, first = self._start[name]
        seconds = max(self._last_line - since, 1e-9) / (done - first)
        speed = f"{1 / seconds:.2f} it/s" if seconds < 1 else f"{seconds:.2f} s/it"
        left = datetime.timedelta(seconds=round(seconds * (total - done)))
        note = "  ".join(filter(None, (note, speed, f"{left} left")))
        if self._progress is not None:
            self._progress.update(self._tasks[name], completed=done, note=note)
        else:
            self._print(f"{name:5} {done}/{total}  {note}")

    def _print(self, line: str) -> None:
        self.console.print(line, highlight=False, markup=False, emoji=False, soft_wrap=True)

    def _end(self, name: str) -> None:
        if self._progress is None:
            return
        task = self._tasks.pop(name)
        self._progress.update(task, completed=self._progress.tasks[task].total)
        if name == "val":  # of many validations only the running one is of interest
            self._progress.remove_task(task)
        if not self._tasks:
            self._progress.stop()
            self._progress = None
