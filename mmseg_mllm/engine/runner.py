"""The Runner of the tools, and how their errors end."""

import logging
import re
import sys
from collections.abc import Callable

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import get_dist_info
from mmengine.logging import MMLogger
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmseg_mllm.compat import (
    drop_upstream_notices,
    init_cpu_process_group,
    quiet_upstream,
    wrap_for_cpu_processes,
)
from mmseg_mllm.engine.hooks import ClassCountHook
from mmseg_mllm.errors import ConfigError, MMSegMLLMError
from mmseg_mllm.models.checkpoints import mapped, readable


class QuietRunner(Runner):
    """mmengine's Runner whose log goes to the file; the console gets warnings only.

    A checkpoint that can't be read ends in a ``CheckpointError``, a head with another number of classes than
    the dataset in a ``ConfigError``.
    """

    def register_hooks(self, *args, **kwargs) -> None:
        super().register_hooks(*args, **kwargs)
        self.register_hook(ClassCountHook())

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

    def load_checkpoint(self, filename: str, *args, **kwargs) -> dict:
        with readable(filename):
            checkpoint = super().load_checkpoint(filename, *args, **kwargs)
        if self._resume:
            self._check_same_stretch(filename, checkpoint)
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
    init_cpu_process_group(config.launcher)
    wrap_for_cpu_processes(config)
    with quiet_upstream():
        return QuietRunner.from_cfg(config)


def run_tool(main: Callable[[], None]) -> None:
    """Run a tool's main function; an error meant for people ends it with its message and exit code 1."""
    try:
        main()
    except MMSegMLLMError as error:
        rank, world_size = get_dist_info()
        where = f" (process {rank} of {world_size})" if world_size > 1 else ""
        print(f"error{where}: {_plain_message(error)}", file=sys.stderr, flush=True)
        # Other processes may wait in a collective call that this one will never join.
        sys.exit(1)


def _plain_message(error: MMSegMLLMError) -> str:
    """The message alone, also where a data worker has wrapped it into its traceback."""
    return str(error).rsplit(f"{type(error).__name__}: ", maxsplit=1)[-1].strip()
