"""Training in iterations, which resumes without reading what it has seen."""

from collections.abc import Iterator

import torch
from mmengine.dist import get_rank
from mmengine.runner import IterBasedTrainLoop, Runner
from mmseg.registry import LOOPS
from torch import nn
from torch.utils.data import DataLoader

from mmseg_mllm.datasets.numbered import numbered_loader, seed_random

STEP = 1
"""Keeps a step's random numbers apart from those of its batch, which is seeded with the same numbers."""


@LOOPS.register_module()
class ResumableTrainLoop(IterBasedTrainLoop):
    """mmengine's ``IterBasedTrainLoop``, whose resumed run does what the unbroken one would have done.

    mmengine reads all earlier batches again before it goes on. Here the sampler skips them, and the random
    numbers of a batch and of a step follow from the seed, the process and the iteration alone. Seed, number
    of processes and batch size must be those of the run before.

    Args:
        runner: The runner.
        dataloader: Config of the training dataloader.
        kwargs: As of ``IterBasedTrainLoop``.
    """

    def __init__(self, runner: Runner, dataloader: dict, **kwargs) -> None:
        loader = runner.build_dataloader(
            numbered_loader(dataloader, seed=runner.seed),
            seed=runner.seed,
            diff_rank_seed=runner._randomness_cfg.get("diff_rank_seed", False),
        )
        super().__init__(runner, _NotStarted(loader), **kwargs)
        self.dataloader = loader

    def run(self) -> nn.Module:
        """Train from the current iteration to the last; returns the model."""
        self.runner.call_hook("before_train")
        self.runner.call_hook("before_train_epoch")
        self.dataloader.batch_sampler.start = self._iter
        self.dataloader_iterator = iter(self.dataloader)
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            self.run_iter(next(self.dataloader_iterator))
            self._decide_current_val_interval()
            last = self._iter == self._max_iters
            due = self._iter >= self.val_begin and (self._iter % self.val_interval == 0 or last)
            if self.runner.val_loop is not None and due:
                self.runner.val_loop.run()
        self.runner.call_hook("after_train_epoch")
        self.runner.call_hook("after_train")
        return self.runner.model

    def run_iter(self, data_batch: dict) -> None:
        """Train on one batch."""
        torch.manual_seed(seed_random(self.runner.seed, get_rank(), self._iter, STEP))
        super().run_iter(data_batch)


class _NotStarted:
    """Stands for a DataLoader while mmengine builds its loop, which begins to read at once."""

    def __init__(self, loader: DataLoader) -> None:
        self.dataset = loader.dataset

    def __iter__(self) -> Iterator:
        return iter(())
