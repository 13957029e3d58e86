"""The Runner of the tools."""

import contextlib
import logging
import re
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.model import convert_sync_batchnorm
from mmengine.runner import Runner
from mmengine.visualization import Visualizer
from torch import nn
from torch.utils.data import DataLoader

from mmseg_mllm.compat import (
    drop_upstream_notices,
    init_cpu_process_group,
    quiet_upstream,
    without_prints,
    wrap_for_cpu_processes,
)
from mmseg_mllm.engine.checkpoints.content import STEPS, bare_model, checkpoint_content, on_host
from mmseg_mllm.engine.checkpoints.files import write_checkpoint
from mmseg_mllm.engine.checkpoints.newest import newest_checkpoint
from mmseg_mllm.engine.config import check_vis_backends
from mmseg_mllm.engine.hooks import ClassCountHook, ShardsHook
from mmseg_mllm.engine.semseg import is_referring
from mmseg_mllm.engine.sharding import check_shard, is_sharded, shard, sharded_moments
from mmseg_mllm.engine.threads import choose_threads
from mmseg_mllm.errors import ConfigError
from mmseg_mllm.models.checkpoints import mapped, readable
from mmseg_mllm.models.frozen_base import add_base


class QuietRunner(Runner):
    """mmengine's Runner whose log goes to the file; the console gets warnings only.

    A checkpoint that can't be read ends in a ``CheckpointError``, a head with another number of classes than
    the dataset in a ``ConfigError``.
    """

    def register_hooks(self, *args, **kwargs) -> None:
        super().register_hooks(*args, **kwargs)
        self.register_hook(ClassCountHook())
        self.register_hook(_BaseHook())
        if self.cfg.get("shard"):
            self.register_hook(ShardsHook())

    def build_model(self, model: nn.Module | dict) -> nn.Module:
        """mmengine's, but a referring model is built where it runs.

        Its weights go from the mapped files to the device; in the host's memory each process would hold
        another copy of them all. One that is sharded stays in the mapped files until it is cut: on no
        device it would be whole.
        """
        on_device = is_referring(self.cfg) and not self.cfg.get("shard")
        with torch.device(get_device()) if on_device else contextlib.nullcontext():
            return super().build_model(model)

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """mmengine's, but one that is to be cut stays as and where it is until it runs."""
        return model if self.cfg.get("shard") else super().wrap_model(model_wrapper_cfg, model)

    def train(self) -> nn.Module:
        if self.cfg.get("shard"):
            self.model.init_weights()
            self._shard()
        return super().train()

    def test(self) -> dict:
        if self.cfg.get("shard"):
            self._shard()
        return super().test()

    def _shard(self) -> None:
        if self.cfg.get("sync_bn"):
            self.model = convert_sync_batchnorm(self.model, self.cfg.sync_bn)
        shard(self.model, device=get_device())

    def _init_model_weights(self) -> None:
        """mmengine's; shards got their weights before they were cut."""
        if not is_sharded(self.model):
            super()._init_model_weights()

    @staticmethod
    def build_dataloader(dataloader: DataLoader | dict, *args, **kwargs) -> DataLoader:
        """mmengine's, from memory that GPUs copy from without the CPU, where there are any."""
        if isinstance(dataloader, dict):
            dataloader = dict(dict(pin_memory=torch.cuda.is_available()), **dataloader)
        return Runner.build_dataloader(dataloader, *args, **kwargs)

    def build_logger(self, *args, **kwargs) -> MMLogger:
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if type(handler) is logging.StreamHandler:
                handler.setLevel(logging.WARNING)
                handler.addFilter(drop_upstream_notices)
        return logger

    def build_visualizer(self, *args, **kwargs) -> Visualizer:
        """mmengine's, whose curves are not worth a run: a disk too full for them is told in the log."""
        visualizer = super().build_visualizer(*args, **kwargs)
        add = visualizer.add_scalars

        def add_scalars(*args, **kwargs) -> None:
            try:
                add(*args, **kwargs)
            except OSError as error:
                self.logger.warning(f"{visualizer.name}: curves were not written ({error})")

        visualizer.add_scalars = add_scalars
        return visualizer

    def resume(self, filename: str, *args, map_location: str = "cpu", **kwargs) -> None:
        """As mmengine's, but by way of the host.

        On the device a full-size checkpoint with its optimiser state would stand beside the model.
        """
        super().resume(filename, *args, map_location=map_location, **kwargs)

    def load_checkpoint(self, filename: str, *args, **kwargs) -> dict:
        with readable(filename), mapped(filename), without_prints():
            checkpoint = super().load_checkpoint(filename, *args, **kwargs)
        if self._resume:
            _check_counting(filename, checkpoint)
            if is_sharded(self.model) and "optimizer" in checkpoint:
                moments = sharded_moments(checkpoint["optimizer"], self.optim_wrapper.optimizer)
                checkpoint["optimizer"] = moments
        return checkpoint

    def load_or_resume(self) -> None:
        """mmengine's; without a given checkpoint, from the newest of the work dir that can be read.

        mmengine would take what the config's ``load_from`` begins with, where it has one.
        """
        if self._resume == "newest" or (self._resume and self._load_from is None):
            found = [None]
            if is_main_process():
                found[0], passed_over = newest_checkpoint(Path(self.work_dir))
                for reason in passed_over:
                    self.logger.warning(f"passed over: {reason}")
                going_on = f"going on from {found[0]}" if found[0] else "no checkpoint yet: beginning anew"
                print(f"--resume: {going_on}")
            broadcast_object_list(found)
            self._resume = found[0] is not None
            self._load_from = str(found[0]) if self._resume else self._load_from
        super().load_or_resume()

    def save_checkpoint(
        self,
        out_dir: str,
        filename: str,
        file_client_args: dict | None = None,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        meta: dict | None = None,
        by_epoch: bool = True,
        backend_args: dict | None = None,
    ) -> None:
        """mmengine's, but without the model's frozen base, and written whole or not at all.

        Called in every process; arguments are mmengine's, of which those of file backends are not used.

        Raises:
            OSError: it can't be written; nothing is left behind.
        """
        done = dict(epoch=self.epoch + by_epoch, iter=self.iter + (not by_epoch)) | (meta or {})
        content = checkpoint_content(
            self, optimizer=save_optimizer, schedulers=save_param_scheduler, meta=done
        )
        if is_main_process():
            write_checkpoint(on_host(content, copied=False), Path(out_dir, filename))


class _BaseHook(Hook):
    """Completes a checkpoint that holds what was trained by the base that the model was built on."""

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        add_base(checkpoint, bare_model(runner), where=str(runner._load_from))


def _check_counting(filename: str, checkpoint: dict) -> None:
    """Iterations of earlier versions counted batches where gradients were accumulated."""
    meta = checkpoint.get("meta", {})
    begun = re.search(r"accumulative_counts=(\d+)", meta.get("cfg", ""))
    if begun and int(begun[1]) > 1 and not meta.get(STEPS):
        raise ConfigError(
            f"{filename}: a version that counted batches wrote it, {begun[1]} to a step of the optimiser; "
            "this one counts steps and can't resume it. Go on with that version, or begin anew from its "
            "weights with load_from"
        )


def _check_work_dir(path: str) -> None:
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"work dir {path} can't be made ({error.strerror}); give another with --work-dir"
        ) from None


def build_runner(config: Config) -> QuietRunner:
    """Build the Runner of a config, also for several processes without GPUs."""
    check_vis_backends(config)
    check_shard(config)
    _check_work_dir(config.work_dir)
    init_cpu_process_group(config.launcher)
    wrap_for_cpu_processes(config)
    threads = f", {choose_threads()}" if get_device() == "cpu" else ""
    with quiet_upstream():
        runner = QuietRunner.from_cfg(config)
    if is_main_process():
        dtype = getattr(getattr(bare_model(runner), "backbone", None), "dtype", None)
        print(f"computing on {get_device()}{f' in {dtype}' if dtype else ''}{threads}".replace("torch.", ""))
    return runner
