"""FLOPs of a run, counted while it runs."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

T = TypeVar("T")


def count(run: Callable[[], T]) -> tuple[T, int]:
    """What a run returns, and its FLOPs as :func:`mmseg_mllm.analysis.count_flops` counts them."""
    counter = FlopCounterMode(display=False, custom_mapping=UNKNOWN_TO_TORCH)
    # What torch.compile meets under a counter it would never compile afterwards.
    with torch.compiler.set_stance("force_eager"), counter:
        result = run()
    return result, counter.get_total_flops()


def _attention(query, key, value, *args, out_shape=None, **kwargs) -> int:
    return sdpa_flop_count(query, key, value)


def _attention_backward(grad_out, query, key, value, *args, out_shape=None, **kwargs) -> int:
    return sdpa_backward_flop_count(grad_out, query, key, value)


def _self_attention(query, *args, out_shape=None, **kwargs) -> int:
    """The fast path of ``nn.MultiheadAttention``: (B, N, C) with four C x C products per token."""
    B, N, C = query
    return 2 * B * N * C * 4 * C + sdpa_flop_count(*[(B, 1, N, C)] * 3)


UNKNOWN_TO_TORCH = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
    torch.ops.aten._native_multi_head_attention: _self_attention,
}
"""torch 2.13 itself counts scaled_dot_product_attention on GPUs alone."""
