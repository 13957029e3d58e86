"""What kernels of a device allocate, where tensors without memory do not show it."""

import contextlib
import functools
import math
from collections.abc import Callable, Iterator
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 16
"""Channels that oneDNN's convolutions take at a time."""
aten = torch.ops.aten


def cpu_workspace(func, args: tuple) -> int:
    """Bytes that an operator of a CPU allocates for itself.

    oneDNN pads the channels of maps to whole blocks, if they are not last: much for those that have one.
    """
    if func is not aten.convolution_backward.default or args[1].stride(1) == 1:
        return 0
    return sum(_padded(tensor) for tensor in args[:2])


def _padded(feature_map: Tensor) -> int:
    channels = feature_map.shape[1]
    if channels % BLOCK == 0:
        return 0
    return feature_map.nbytes // channels * math.ceil(channels / BLOCK) * BLOCK


@contextlib.contextmanager
def kernels_of_gpus() -> Iterator[None]:
    """Compute tensors of a CPU by the operators that a CUDA device would choose.

    Attention keeps no weights of pairs there, with dropout too; dropout keeps a byte for each number, where a
    CPU keeps a number; autocast runs layer norms in float32. The functions are replaced, since a
    ``TorchFunctionMode`` is off while a backward pass computes layers again.
    """
    with (
        mock.patch.object(F, "scaled_dot_product_attention", _attention),
        mock.patch.object(F, "dropout", _dropout),
        mock.patch.object(F, "layer_norm", functools.partial(_layer_norm, F.layer_norm)),
    ):
        yield


def _dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    return aten.native_dropout(input, p, training)[0] if training and p else input


def _layer_norm(layer_norm: Callable[..., Tensor], *args, **kwargs) -> Tensor:
    if torch.is_autocast_enabled("cpu"):
        args = [x.float() if isinstance(x, Tensor) else x for x in args]
    return layer_norm(*args, **kwargs)


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """``scaled_dot_product_attention`` by the flash kernel where it can run, else the efficient one."""
    if torch.is_autocast_enabled("cpu"):
        query, key, value = (x.to(torch.get_autocast_dtype("cpu")) for x in (query, key, value))
    if attn_mask is None and query.dtype is not torch.float32:
        attend = aten._scaled_dot_product_flash_attention
        return attend(query, key, value, dropout_p, is_causal, scale=scale)[0]
    if enable_gqa:
        groups = query.shape[1] // key.shape[1]
        key, value = (x.repeat_interleave(groups, dim=1) for x in (key, value))
    bias = None
    if attn_mask is not None:
        bias = attn_mask.to(query.dtype).expand(*query.shape[:3], key.shape[2])
    attend = aten._scaled_dot_product_efficient_attention
    return attend(query, key, value, bias, True, dropout_p, is_causal, scale=scale)[0]
