"""Training in steps of the optimiser, which resumes without reading what it has seen."""

import sys
from collections.abc import Iterator, Sequence

import torch
from mmengine.dist import get_rank
from mmengine.runner import IterBasedTrainLoop, Runner
from mmseg.registry import LOOPS
from torch import Tensor, nn
from torch.utils.data import DataLoader

from mmseg_mllm.datasets.numbered import numbered_loader, seed_random
from mmseg_mllm.engine import stop_signal
from mmseg_mllm.engine.skipped_steps import SkippedSteps
from mmseg_mllm.engine.validation import validate
from mmseg_mllm.errors import TrainingError

STEP = 1
"""Keeps a step's random numbers apart from those of its batch, which is seeded with the same numbers."""


@LOOPS.register_module()
class ResumableTrainLoop(IterBasedTrainLoop):
    """mmengine's ``IterBasedTrainLoop``, whose resumed run does what the unbroken one would have done.

    mmengine reads all earlier batches again before it goes on. Here the sampler skips them, and the random
    numbers of a batch and of its pass follow from the seed, the process and the batch's number alone. Seed,
    number of processes and batch size must be those of the run before for the same numbers, bit by bit.

    An iteration is a step of the optimiser: where gradients are accumulated, it takes as many batches. So a
    run may go on with another number of processes at the same step, with the same images in each (of an
    endless sampler).

    A checkpoint is of before the validation that is due at its step: a run that goes on from there begins
    with it.

    Args:
        runner: The runner.
        dataloader: Config of the training dataloader.
        max_skipped: How many steps in a row may be left out since a loss is not finite.
        kwargs: As of ``IterBasedTrainLoop``.
    """

    def __init__(self, runner: Runner, dataloader: dict, *, max_skipped: int = 10, **kwargs) -> None:
        loader = runner.build_dataloader(
            numbered_loader(dataloader, seed=runner.seed),
            seed=runner.seed,
            diff_rank_seed=runner._randomness_cfg.get("diff_rank_seed", False),
        )
        super().__init__(runner, _NotStarted(loader), **kwargs)
        self.dataloader = loader
        self.rounds = runner.cfg.optim_wrapper.get("accumulative_counts", 1)
        self._skipped = SkippedSteps(runner=runner, most=max_skipped)

    def run(self) -> nn.Module:
        """Train from the current iteration to the last; returns the model.

        Raises:
            TrainingError: a data worker was killed, or too many steps in a row were left out.
            SystemExit: the run was told to stop, and is saved.
        """
        try:
            with stop_signal.listening(self.runner._launcher):
                self._run()
        except RuntimeError as error:  # torch raises it wherever the main process is at that moment
            if "DataLoader worker" not in str(error):
                raise
            raise TrainingError(
                f"a data worker was ended from outside after iteration {self._iter} "
                f"({str(error).splitlines()[0]}). Mostly the machine had no memory left: a smaller "
                "train_dataloader.num_workers needs less. Go on with --resume"
            ) from error
        if stop_signal.agreed() and (self._iter < self._max_iters or self._is_validation_due()):
            self.runner.logger.warning(
                f"stopped by {stop_signal.agreed()} after iteration {self._iter} of {self._max_iters}, "
                "saved; go on with --resume"
            )
            sys.exit(stop_signal.EXIT_CODE)
        return self.runner.model

    def _run(self) -> None:
        runner = self.runner
        runner.optim_wrapper.initialize_count_status(
            runner.model, self._iter * self.rounds, self._max_iters * self.rounds
        )
        runner.call_hook("before_train")
        runner.call_hook("before_train_epoch")
        self.dataloader.batch_sampler.start = self._iter * self.rounds
        self.dataloader_iterator = iter(self.dataloader)
        if self._iter and self._is_validation_due():
            validate(runner)
        while self._iter < self._max_iters and not (self.stop_training or stop_signal.agreed()):
            runner.model.train()
            self.run_iter([next(self.dataloader_iterator) for _ in range(self.rounds)])
            if self._is_validation_due() and not stop_signal.agreed():
                validate(runner)
        runner.call_hook("after_train_epoch")
        runner.call_hook("after_train")

    def _is_validation_due(self) -> bool:
        if self.runner.val_loop is None:
            return False
        self._decide_current_val_interval()
        last = self._iter == self._max_iters
        return self._iter >= self.val_begin and (self._iter % self.val_interval == 0 or last)

    def run_iter(self, data_batch: Sequence[dict]) -> None:
        """Train on the batches of a step."""
        runner = self.runner
        runner.call_hook("before_train_iter", batch_idx=self._iter, data_batch=data_batch[-1])
        self._skipped.begin(runner.model)
        outputs = []
        for number, batch in enumerate(data_batch, start=self._iter * self.rounds):
            torch.manual_seed(seed_random(runner.seed, get_rank(), number, STEP))
            outputs.append(runner.model.train_step(batch, optim_wrapper=runner.optim_wrapper))
        self._skipped.end(data_batch, outputs)
        stop_signal.ask_all()
        runner.call_hook(
            "after_train_iter", batch_idx=self._iter, data_batch=data_batch[-1], outputs=_means(outputs)
        )
        self._iter += 1


def _means(outputs: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Losses of a step: the mean of each over its batches."""
    if len(outputs) == 1:
        return outputs[0]
    return {name: torch.stack([one[name] for one in outputs]).mean(dim=0) for name in outputs[0]}


class _NotStarted:
    """Stands for a DataLoader while mmengine builds its loop, which begins to read at once."""

    def __init__(self, loader: DataLoader) -> None:
        self.dataset = loader.dataset

    def __iter__(self) -> Iterator:
        return iter(())
