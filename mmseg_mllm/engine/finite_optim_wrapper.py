"""An optimiser that takes no step from numbers that are none."""

import torch
from mmengine.dist import all_reduce
from mmengine.optim import OptimWrapper
from mmseg.registry import OPTIM_WRAPPERS
from torch import Tensor
from torch.distributed.tensor import DTensor


@OPTIM_WRAPPERS.register_module()
class FiniteOptimWrapper(OptimWrapper):
    """mmengine's ``OptimWrapper``, which leaves out a step whose loss or gradient is not finite.

    All processes leave it out where one of them has to. Arguments are those of ``OptimWrapper``.

    Attributes:
        skipped: Whether the latest step was left out.
    """

    skipped = False
    _losses: Tensor | None = None

    def update_params(self, loss: Tensor, *args, **kwargs) -> None:
        """Take a batch's loss, and step where a step's batches are complete."""
        self._losses = loss.detach() if self._losses is None else self._losses + loss.detach()
        super().update_params(loss, *args, **kwargs)

    def step(self, **kwargs) -> None:
        """Clip and step, or neither."""
        gradients = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        norm = norm.full_tensor() if isinstance(norm, DTensor) else norm
        numbers = norm.to(self._losses.device) + self._losses
        finite = torch.isfinite(numbers).int()
        all_reduce(finite, op="min")
        self._losses = None
        self.skipped = not finite.item()
        if not self.skipped:
            super().step(**kwargs)
