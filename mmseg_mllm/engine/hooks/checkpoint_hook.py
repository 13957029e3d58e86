"""Checkpoints that are whole, or not there."""

import os
import re
import shutil
from pathlib import Path

from mmengine.dist import barrier, is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from mmseg_mllm.engine import stop_signal
from mmseg_mllm.engine.checkpoints.content import bare_model, checkpoint_content, room_needed
from mmseg_mllm.engine.checkpoints.files import keep_others_out, remove_leftovers, write_whole
from mmseg_mllm.engine.checkpoints.writer import CheckpointWriter
from mmseg_mllm.errors import CheckpointError, ConfigError

FIGURES = ("cIoU", "gIoU", "P@", "Pr@", "acc")
"""What is the better the higher, besides mmengine's own."""


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook``, with which nothing is lost.

    A checkpoint is written beside training under another name, brought to the disk and renamed; only then is
    an older one removed, and ``last_checkpoint`` tells the new one's name within the work dir. A full disk is
    told when training begins, and survived. When the run is to stop (``stop_signal``), it is saved at once.

    Args:
        save_best: Figure of the validation, such as 'refcoco/val/cIoU', whose best checkpoint is kept as
            ``best_*.pth``, without the optimiser's state; 'auto' for the first one.
        kwargs: As of mmengine's.

    Raises:
        ConfigError: ``save_best`` is no single figure, or whether more of it is better is not known.
    """

    def __init__(self, *, save_best: str | None = None, **kwargs) -> None:
        kwargs.setdefault("greater_keys", [*self._default_greater_keys, *FIGURES])
        if not isinstance(save_best, str | None):
            raise ConfigError(f"default_hooks.checkpoint.save_best={save_best!r}: give one figure, as text")
        try:
            super().__init__(save_best=save_best, **kwargs)
        except ValueError as error:
            raise ConfigError(
                f"default_hooks.checkpoint.save_best={save_best!r}: {error}; add rule='greater' or "
                "rule='less'"
            ) from None
        self.written: list[int] = []
        self.last_tried: int | None = None

    def before_train(self, runner: Runner) -> None:
        super().before_train(runner)
        folder = Path(self.out_dir)
        self.written = [n for n in getattr(self, "keep_ckpt_ids", ()) if self._path(n).is_file()]
        self.writer = CheckpointWriter(folder=folder, logger=runner.logger)
        if is_main_process():
            folder.mkdir(parents=True, exist_ok=True)
            keep_others_out(folder)
            remove_leftovers(folder)
            self._tell_room(runner)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Save where it is due, or where the run stops."""
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        if stop_signal.agreed() and self.last_tried != runner.iter + 1:
            self._save_checkpoint(runner)

    def after_val(self, runner: Runner) -> None:
        """Save where the run stops within a validation, which is left out then."""
        if stop_signal.agreed() and self.last_tried != runner.iter:
            self._save_after_step(runner)

    def after_train(self, runner: Runner) -> None:
        """Wait for what is being written.

        Raises:
            CheckpointError: the last checkpoint could not be written.
        """
        self.writer.wait()
        if is_main_process() and self.last_tried is not None and self.last_tried not in self.written:
            kept = f"the newest is {self._path(self.written[-1])}" if self.written else "there is none"
            raise CheckpointError(
                f"{self._path(self.last_tried)}: the last checkpoint could not be written, {kept}; make "
                "room on the disk and go on with --resume"
            )
        barrier()
        super().after_train(runner)

    def _save_after_step(self, runner: Runner) -> None:
        """Save between two steps; mmengine's way is made for the end of one."""
        meta = dict(epoch=runner.epoch, iter=runner.iter)
        self._save_checkpoint_with_step(runner, runner.iter, meta=meta)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        self.last_tried = step
        if is_main_process():
            self.writer.wait()  # so that it is known which are there
        kept = [*(n for n in self.written if n != step), step]
        runner.message_hub.update_info("keep_ckpt_ids", kept)
        content = checkpoint_content(
            runner, optimizer=self.save_optimizer, schedulers=self.save_param_scheduler, meta=meta
        )
        if not is_main_process():
            return

        def done() -> None:
            self.written = kept
            name = os.path.relpath(self._path(step), runner.work_dir)
            write_whole(Path(runner.work_dir, "last_checkpoint"), lambda file: file.write(name.encode()))
            while 0 < self.max_keep_ckpts < len(self.written):
                self._path(self.written.pop(0)).unlink(missing_ok=True)

        self.writer.write(content, self._path(step).name, done=done)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict[str, float]) -> None:
        if not self.save_best:
            return
        if self.save_best == ["auto"]:
            self._init_rule(self.rules, [next(iter(metrics))])
        (figure,) = self.key_indicators
        if figure not in metrics:
            if self.last_tried != runner.iter:
                self._save_after_step(runner)
            self.writer.wait()
            raise ConfigError(
                f"default_hooks.checkpoint.save_best={figure!r}: the validation has no such figure; set one "
                f"of {', '.join(map(repr, metrics))}, and go on with --resume: nothing is lost"
            )
        best = runner.message_hub.runtime_info.get("best_score")
        if best is not None and not self.is_better_than[figure](metrics[figure], best):
            return
        before = runner.message_hub.runtime_info.get("best_ckpt")
        name = re.sub(r"[/\s]", "_", f"best_{figure}_{self._path(runner.iter).name}")
        runner.message_hub.update_info("best_score", metrics[figure])
        runner.message_hub.update_info("best_ckpt", name)
        self.best_ckpt_path = str(Path(self.out_dir, name))
        meta = dict(epoch=runner.epoch, iter=runner.iter)
        content = checkpoint_content(runner, optimizer=False, schedulers=False, meta=meta)
        if not is_main_process():
            return

        def done() -> None:
            if before is not None and Path(before).name != name:
                Path(self.out_dir, Path(before).name).unlink(missing_ok=True)

        self.writer.write(content, name, done=done)
        runner.logger.info(f"best {figure} so far: {metrics[figure]:.2f}, kept as {name}")

    def _path(self, step: int) -> Path:
        return Path(self.out_dir, self.filename_tmpl.format(step))

    def _tell_room(self, runner: Runner) -> None:
        """Warn where the disk will not hold what is to be kept."""
        model = bare_model(runner)
        one = room_needed(model, optimizer=self.save_optimizer)
        kept = self.max_keep_ckpts
        if kept < 1:
            kept = max(1, (runner.max_iters - runner.iter) // max(self.interval, 1))
        # One more stands beside them while it is written.
        needed = one * max(kept + 1 - len(self.written), 1)
        if self.save_best:
            needed += 2 * room_needed(model, optimizer=False)
        free = shutil.disk_usage(self.out_dir).free
        runner.logger.info(f"a checkpoint takes about {one / 1e9:.2f} GB; {kept} are kept")
        if free < needed:
            runner.logger.warning(
                f"{self.out_dir}: checkpoints will need about {needed / 1e9:.1f} GB more ({kept} of "
                f"{one / 1e9:.2f} GB are kept), the disk has {free / 1e9:.1f} GB free: make room, or those "
                "that do not fit will not be written"
            )
