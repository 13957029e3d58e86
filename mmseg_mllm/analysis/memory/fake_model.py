"""Tensors that have sizes and a device, and no memory."""

import torch
from torch import Tensor, nn


def fake_tensors(model: nn.Module) -> None:
    """Move a model from the meta device into the ``FakeTensorMode`` that is on.

    There, unlike on the meta device, autocast and the choice of kernels are those of a CPU.
    """
    made: dict[int, Tensor] = {}  # of parameters that modules share, once
    for module in model.modules():
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                if tensor is not None:
                    tensors[name] = made.setdefault(id(tensor), _fake(tensor))


def _fake(tensor: Tensor) -> Tensor:
    empty = torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu")
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(empty, requires_grad=tensor.requires_grad)
    return empty
