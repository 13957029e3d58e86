"""Writing on after a text, the likeliest token each time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedModel

from mmseg_mllm.compat import cache_argument


@dataclass(frozen=True, kw_only=True)
class Asked:
    """K texts of up to L tokens, shorter ones padded on the left.

    Attributes:
        embeds: (K, L, C).
        mask: (K, L) bool, what is no padding.
        text_mask: What the language model takes as mask for these tokens (see ``Family.text_mask``).
        positions: (R, K, L) int64.
        arguments: Further ones of the language model, for these tokens alone.
    """

    embeds: Tensor
    mask: Tensor
    text_mask: Tensor | dict[str, Tensor]
    positions: Tensor
    arguments: dict[str, Any]


@torch.no_grad()
def write_on(
    asked: Asked,
    *,
    text_model: PreTrainedModel,
    lm_head: nn.Module,
    position_argument: Callable[[Tensor], Tensor],
    ends: Sequence[int],
    max_new_tokens: int,
) -> Tensor:
    """(K, N) ids that follow each text; N is ``max_new_tokens``, or less where all have ended.

    What follows one of ``ends`` in a row has no meaning.

    Args:
        asked: The texts.
        text_model, lm_head: Of the MLLM.
        position_argument: (R, K, L) positions -> what the language model takes.
        ends: Tokens that end an answer.
        max_new_tokens: At least 1.
    """
    embed = text_model.get_input_embeddings()
    cache = DynamicCache()
    stop = torch.tensor(ends, device=asked.mask.device)
    embeds, mask, positions, arguments = asked.embeds, asked.mask, asked.positions, asked.arguments
    text_mask = asked.text_mask
    next_position = positions.amax(dim=(0, 2))[None, :, None]
    ended = torch.zeros_like(mask[:, 0])
    written: list[Tensor] = []
    while True:
        hidden = text_model(
            inputs_embeds=embeds,
            attention_mask=text_mask,
            position_ids=position_argument(positions),
            use_cache=True,
            **cache_argument(text_model, cache),
            **arguments,
        ).last_hidden_state
        ids = lm_head(hidden[:, -1]).argmax(dim=-1)
        written.append(ids)
        ended = ended | torch.isin(ids, stop)
        if len(written) == max_new_tokens or ended.all():
            return torch.stack(written, dim=1)
        embeds, arguments = embed(ids)[:, None], {}
        mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
        text_mask = mask.long()
        next_position = next_position + 1
        positions = next_position.expand(len(positions), -1, -1)


def up_to_first(ids: list[int], ends: Sequence[int]) -> list[int]:
    """The ids up to and with the first of ``ends``."""
    for i, token in enumerate(ids):
        if token in ends:
            return ids[: i + 1]
    return ids
