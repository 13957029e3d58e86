"""Tells of steps that were left out since a number in them was not finite."""

from collections.abc import Sequence

import torch
from mmengine.dist import all_gather_object, get_rank
from mmengine.runner import Runner
from torch import Tensor, nn

from mmseg_mllm.errors import TrainingError

SHOWN = 4


class SkippedSteps:
    """Counts the steps that a ``FiniteOptimWrapper`` left out, and keeps what they would have spoilt.

    Args:
        runner: Of the run. Its message hub holds the count, which checkpoints keep.
        most: After how many in a row the run ends.
    """

    def __init__(self, *, runner: Runner, most: int) -> None:
        self._runner = runner
        self._most = most
        self._in_a_row = 0
        self._buffers: list[Tensor] = []
        self._before: list[Tensor] = []

    def begin(self, model: nn.Module) -> None:
        """Keep the running statistics of batch norms as they are before a step."""
        norms = (m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training)
        self._buffers = [buffer for norm in norms for buffer in norm.buffers()]
        self._before = [buffer.clone() for buffer in self._buffers]

    def end(self, batches: Sequence[dict], outputs: Sequence[dict[str, Tensor]]) -> None:
        """See whether the step was left out; called in every process.

        Args:
            batches: Of the step in this process.
            outputs: Their losses.

        Raises:
            TrainingError: so many in a row were.
        """
        if not getattr(self._runner.optim_wrapper, "skipped", False):
            self._in_a_row = 0
            return
        for buffer, before in zip(self._buffers, self._before, strict=True):
            buffer.copy_(before)
        self._in_a_row += 1
        hub = self._runner.message_hub
        count = hub.runtime_info.get("skipped_steps", 0) + 1
        hub.update_info("skipped_steps", count)
        hub.update_scalar("train/skipped_steps", count)
        found = "; ".join(filter(None, all_gather_object(_what(batches, outputs))))
        what = found or "all losses are finite, the gradient is not"
        where = f"iteration {self._runner.iter + 1}"
        if self._in_a_row >= self._most:
            raise TrainingError(
                f"{where}: {self._in_a_row} steps in a row had a loss or gradient that is not finite, the "
                f"last: {what}. Try a smaller learning rate (optim_wrapper.optimizer.lr), look at these "
                "images, or compute in float32 (model.backbone.dtype); go on from the last checkpoint with "
                "--resume"
            )
        self._runner.logger.warning(f"{where}: step left out ({count} in this run): {what}")


def _what(batches: Sequence[dict], outputs: Sequence[dict[str, Tensor]]) -> str:
    """The losses of this process that are not finite, and the images of their batches."""
    found = []
    for batch, losses in zip(batches, outputs, strict=True):
        odd = [
            f"{name} is {value.item()}" for name, value in losses.items() if not torch.isfinite(value).all()
        ]
        if odd:
            images = [
                str(path) for sample in batch.get("data_samples", ()) if (path := sample.get("img_path"))
            ]
            more = f" and {len(images) - SHOWN} more" if len(images) > SHOWN else ""
            where = f" for {', '.join(images[:SHOWN])}{more}" if images else ""
            found.append(f"process {get_rank()}: {', '.join(odd)}{where}")
    return "; ".join(found)
