"""Tensors that have sizes and a device, and no memory."""

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten
_RANGES = (aten.arange.default, aten.arange.start, aten.arange.start_step)


class SizesOnly(FakeTensorMode):
    """New tensors have no memory, but for those that sizes may depend on.

    These are ranges, numbers that come from Python (``torch.tensor``), and what is computed of such alone.
    """

    def __init__(self) -> None:
        super().__init__(allow_non_fake_inputs=True)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if func in _RANGES or (tensors and not any(isinstance(tensor, FakeTensor) for tensor in tensors)):
            return func(*args, **kwargs)
        if func in (aten.index.Tensor, aten.index_put.default, aten.index_put_.default):
            args = (args[0], _numbered(args[1]), *args[2:])
        return super().__torch_dispatch__(func, types, args, kwargs)


def _numbered(indices: list[Tensor | None]) -> list[Tensor | None]:
    """The same indices without masks: how many places a mask has is no question of sizes."""
    found = []
    for index in indices:
        is_mask = index is not None and index.dtype is torch.bool and not isinstance(index, FakeTensor)
        found += index.nonzero().unbind(1) if is_mask else [index]
    return found


def fake_tensors(model: nn.Module) -> None:
    """Move a model from the meta device into the ``SizesOnly`` that is on.

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
