"""Attention of sequences in one row: work and memory grow with the branches, not with their square."""

import torch
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
    **kwargs,
) -> tuple[Tensor, None]:
    """An attention function of transformers: scaled_dot_product_attention over prefixes and branches.

    Prefixes attend causally to themselves. Branches, as rows of their own, attend to their prefix and
    themselves; only there are shorter ones padded.

    Args:
        module: transformers' attention layer.
        query: (1, heads, L or L - B * P, D): all tokens, or the branches' alone.
        key, value: (1, kv_heads, L, D), rotated; of all tokens.
        attention_mask: ``grid.mask()``; without a grid whatever scaled_dot_product_attention takes.
        grid: What sees what; None attends as 'sdpa' does.
        kwargs: ``scaling``, ``dropout``.

    Returns:
        (1, query length, heads, D).
    """
    sdpa = ALL_ATTENTION_FUNCTIONS["sdpa"]
    if grid is None:
        return sdpa(module, query, key, value, attention_mask, **kwargs)
    prefix_key, prefix_value = (_prefixes(x, grid) for x in (key, value))
    parts = []
    if query.shape[2] == key.shape[2]:
        attended, _ = sdpa(module, _prefixes(query, grid), prefix_key, prefix_value, None, **kwargs)
        parts.append(attended.flatten(0, 1))
    if len(grid.tokens):
        keys = torch.cat([prefix_key[grid.image], _rows(key, grid)], dim=2)
        values = torch.cat([prefix_value[grid.image], _rows(value, grid)], dim=2)
        attended, _ = sdpa(module, _rows(query, grid), keys, values, attention_mask, **kwargs)
        parts.append(attended.flatten(0, 1)[grid.cells])
    return torch.cat(parts)[None], None


def use_branch_attention(language_model: PreTrainedModel) -> None:
    """Let a language model attend as :func:`branch_attention` does where it is given a ``grid``."""
    language_model.set_attn_implementation(NAME)


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
