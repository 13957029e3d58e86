"""Attention of sequences in one row: work and memory grow with the branches, not with their square."""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from mmseg_mllm.models.backbones.sequence_layout import BranchGrid

NAME = "branches"
"""Of the attention implementation in transformers' registry."""


def branch_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    grid: BranchGrid | None = None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    **kwargs,
) -> tuple[Tensor, None]:
    """An attention function of transformers: scaled_dot_product_attention over prefixes and branches.

    Prefixes attend to themselves as ``grid.prefix_mask`` says. Branches, as rows of their own, attend to
    their prefix and themselves; only there are shorter ones padded.

    Args:
        module: transformers' attention layer.
        query: (1, heads, L or L - B * P, D): all tokens, or the branches' alone.
        key, value: (1, kv_heads, L, D), rotated; of all tokens.
        attention_mask: ``grid.mask()``; without a grid whatever scaled_dot_product_attention takes.
        grid: What sees what; None attends as 'sdpa' does.
        scaling: Of the products of query and key; None for 1 / sqrt(D).
        dropout: Of the attention weights.
        sliding_window: How many tokens a token sees at most, in this layer; None for all. Without a grid the
            mask holds it.
        kwargs: What 'sdpa' takes besides.

    Returns:
        (1, query length, heads, D).
    """
    numbers = dict(scaling=scaling, dropout=dropout)
    sdpa = functools.partial(ALL_ATTENTION_FUNCTIONS["sdpa"], module, **numbers, **kwargs)
    if grid is None:
        return sdpa(query, key, value, attention_mask)
    prefix_key, prefix_value = (_prefixes(x, grid) for x in (key, value))
    parts = []
    if query.shape[2] == key.shape[2]:
        mask = grid.prefix_mask(sliding_window)
        attended, _ = sdpa(_prefixes(query, grid), prefix_key, prefix_value, mask)
        parts.append(attended.flatten(0, 1))
    if len(grid.tokens):
        keys = torch.cat([prefix_key[grid.image], _rows(key, grid)], dim=2)
        values = torch.cat([prefix_value[grid.image], _rows(value, grid)], dim=2)
        short = sliding_window is not None and sliding_window < keys.shape[2]
        mask = grid.mask(sliding_window) if short else attention_mask
        attended = _grouped(_rows(query, grid), keys, values, mask, **numbers)
        parts.append(attended.transpose(1, 2).flatten(0, 1)[grid.cells])
    return torch.cat(parts)[None], None


def use_branch_attention(language_model: PreTrainedModel) -> None:
    """Let a language model attend as :func:`branch_attention` does where it is given a ``grid``."""
    language_model.set_attn_implementation(NAME)


def _grouped(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor,
    *,
    scaling: float | None,
    dropout: float,
) -> Tensor:
    """scaled_dot_product_attention without a copy of keys and values for each query head that shares them.

    Query heads of one group are further rows of one query; under a mask, kernels of GPUs have no such option.

    Args:
        query: (N, kv_heads * G, S, D), the G heads of a group side by side.
        key, value: (N, kv_heads, T, D).
        mask: (1, 1, S, T) bool.

    Returns:
        (N, kv_heads * G, S, D).
    """
    heads, kv_heads = query.shape[1], key.shape[1]
    attended = F.scaled_dot_product_attention(
        query.unflatten(1, (kv_heads, -1)).flatten(2, 3),
        key,
        value,
        attn_mask=mask.repeat(1, 1, heads // kv_heads, 1),
        dropout_p=dropout,
        scale=scaling,
    )
    return attended.reshape(query.shape)


def _prefixes(x: Tensor, grid: BranchGrid) -> Tensor:
    """(1, heads, L, D) -> (B, heads, P, D)."""
    return x[0, :, : grid.start].unflatten(1, (grid.images, grid.prefix_length)).transpose(0, 1)


def _rows(x: Tensor, grid: BranchGrid) -> Tensor:
    """(1, heads, L, D) or without prefixes -> (N, heads, S, D)."""
    first = grid.start if x.shape[2] == len(grid.cells) else 0
    return x[0][:, grid.tokens - first].transpose(0, 1)


AttentionInterface.register(NAME, branch_attention)
# Without a grid, as when transformers generates, the masks are those of 'sdpa'.
AttentionMaskInterface.register(NAME, sdpa_mask)
