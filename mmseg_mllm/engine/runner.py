"""The Runner of the tools."""

import contextlib
import logging
import re

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_main_process
from mmengine.logging import MMLogger
from mmengine.model import convert_sync_batchnorm, is_model_wrapper
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from mmseg_mllm.compat import (
    drop_upstream_notices,
    init_cpu_process_group,
    quiet_upstream,
    without_prints,
    wrap_for_cpu_processes,
)
from mmseg_mllm.engine.config import check_vis_backends
from mmseg_mllm.engine.hooks import ClassCountHook, ShardsHook
from mmseg_mllm.engine.semseg import is_referring
from mmseg_mllm.engine.sharding import check_shard, is_sharded, shard, sharded_moments, whole_state
from mmseg_mllm.engine.threads import choose_threads
from mmseg_mllm.errors import ConfigError
from mmseg_mllm.models.checkpoints import mapped, readable


class QuietRunner(Runner):
    """mmengine's Runner whose log goes to the file; the console gets warnings only.

    A checkpoint that can't be read ends in a ``CheckpointError``, a head with another number of classes than
    the dataset in a ``ConfigError``.
    """

    def register_hooks(self, *args, **kwargs) -> None:
        super().register_hooks(*args, **kwargs)
        self.register_hook(ClassCountHook())
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

    def save_checkpoint(self, *args, **kwargs) -> None:
        """mmengine's; all processes gather what the first one writes of a sharded model."""
        if is_sharded(self.model):
            parts = dict(state_dict=self.model, optimizer=self.optim_wrapper)
            self.gathered = {name: whole_state(part.state_dict()) for name, part in parts.items()}
        super().save_checkpoint(*args, **kwargs)
        self.gathered = None

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

    def resume(self, filename: str, *args, map_location: str = "cpu", **kwargs) -> None:
        """As mmengine's, but by way of the host.

        On the device a full-size checkpoint with its optimiser state would stand beside the model.
        """
        super().resume(filename, *args, map_location=map_location, **kwargs)

    def load_checkpoint(self, filename: str, *args, **kwargs) -> dict:
        with readable(filename), mapped(filename), without_prints():
            checkpoint = super().load_checkpoint(filename, *args, **kwargs)
        if self._resume:
            self._check_same_stretch(filename, checkpoint)
            if is_sharded(self.model) and "optimizer" in checkpoint:
                moments = sharded_moments(checkpoint["optimizer"], self.optim_wrapper.optimizer)
                checkpoint["optimizer"] = moments
        return checkpoint

    def _check_same_stretch(self, filename: str, checkpoint: dict) -> None:
        """Iterations count accumulated batches: a schedule goes on only with as many of them."""
        begun = re.search(r"accumulative_counts=(\d+)", checkpoint.get("meta", {}).get("cfg", ""))
        before = int(begun[1]) if begun else 1
        now = self.cfg.optim_wrapper.get("accumulative_counts", 1)
        if before != now:
            raise ConfigError(
                f"{filename}: begun with {before} batches per optimiser step, this run has {now}; resume "
                "with as many processes as it was begun with"
            )


def build_runner(config: Config) -> QuietRunner:
    """Build the Runner of a config, also for several processes without GPUs."""
    check_vis_backends(config)
    check_shard(config)
    init_cpu_process_group(config.launcher)
    wrap_for_cpu_processes(config)
    threads = f", {choose_threads()}" if get_device() == "cpu" else ""
    with quiet_upstream():
        runner = QuietRunner.from_cfg(config)
    if is_main_process():
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        dtype = getattr(getattr(model, "backbone", None), "dtype", None)
        print(f"computing on {get_device()}{f' in {dtype}' if dtype else ''}{threads}".replace("torch.", ""))
    return runner
