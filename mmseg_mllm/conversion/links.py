"""Which tensors of InternVL's original layout hold the numbers of which native ones."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from transformers import PretrainedConfig


class Rows(Protocol):
    """How the rows (axis 0) of one original tensor are those of several native ones."""

    def split(self, tensor: Tensor) -> list[Tensor]:
        """Original to native."""

    def join(self, tensors: Sequence[Tensor]) -> Tensor:
        """Inverse of :meth:`split`."""


@dataclass(frozen=True)
class StackedRows:
    """Queries, keys and values one after another: the vision tower's ``qkv``."""

    def split(self, tensor: Tensor) -> list[Tensor]:
        """(3 C, ...) -> three (C, ...)."""
        return list(tensor.chunk(3))

    def join(self, tensors: Sequence[Tensor]) -> Tensor:
        """Inverse of :meth:`split`."""
        return torch.cat(list(tensors))


@dataclass(frozen=True, kw_only=True)
class GroupedRows:
    """InternLM2's ``wqkv``: per key-value head its query heads, then the key, then the value."""

    kv_heads: int
    queries_per_group: int
    head_dim: int

    def split(self, tensor: Tensor) -> list[Tensor]:
        """(kv_heads * (queries_per_group + 2) * head_dim, ...) -> queries, keys, values."""
        blocks = tensor.unflatten(0, (self.kv_heads, self.queries_per_group + 2, self.head_dim))
        parts = blocks.split([self.queries_per_group, 1, 1], dim=1)
        return [part.flatten(0, 2) for part in parts]

    def join(self, tensors: Sequence[Tensor]) -> Tensor:
        """Inverse of :meth:`split`."""
        blocks = [tensor.unflatten(0, (self.kv_heads, -1, self.head_dim)) for tensor in tensors]
        return torch.cat(blocks, dim=1).flatten(0, 2)


@dataclass(frozen=True, kw_only=True)
class Link:
    """One original tensor and the native ones with the same numbers.

    Attributes:
        original: Name in the original layout.
        native: Names in transformers' layout; several only with ``rows``.
        rows: How one becomes several; None for a change of name alone.
    """

    original: str
    native: tuple[str, ...]
    rows: Rows | None = None

    def to_native(self, tensor: Tensor) -> list[Tensor]:
        """One tensor for each name in ``native``."""
        return self.rows.split(tensor) if self.rows else [tensor]

    def to_original(self, tensors: Sequence[Tensor]) -> Tensor:
        """Inverse of :meth:`to_native`."""
        return self.rows.join(tensors) if self.rows else tensors[0]


LM_HEAD, EMBEDDING = "lm_head.weight", "model.language_model.embed_tokens.weight"
_VISION = {
    "model.vision_tower.": "vision_model.",
    ".cls_token": ".class_embedding",
    ".position_embeddings": ".position_embedding",
    ".patch_embeddings.projection.": ".patch_embedding.",
    ".encoder.layer.": ".encoder.layers.",
    ".lambda_": ".ls",
    ".attention.q_proj.": ".attn.qkv.",
    ".attention.projection_layer.": ".attn.proj.",
    ".layernorm_before.": ".norm1.",
    ".layernorm_after.": ".norm2.",
}
_PROJECTOR = {
    "model.multi_modal_projector.": "mlp1.",
    ".layer_norm.": ".0.",
    ".linear_1.": ".1.",
    ".linear_2.": ".3.",
}
_SAME_LLM = {"model.language_model.": "language_model.model.", "lm_head.": "language_model.lm_head."}
_INTERNLM2 = {
    "model.language_model.": "language_model.model.",
    "lm_head.": "language_model.output.",
    ".embed_tokens.": ".tok_embeddings.",
    ".self_attn.q_proj.": ".attention.wqkv.",
    ".self_attn.o_proj.": ".attention.wo.",
    ".mlp.gate_proj.": ".feed_forward.w1.",
    ".mlp.down_proj.": ".feed_forward.w2.",
    ".mlp.up_proj.": ".feed_forward.w3.",
    ".input_layernorm.": ".attention_norm.",
    ".post_attention_layernorm.": ".ffn_norm.",
}


def internvl_links(names: Iterable[str], *, config: PretrainedConfig, tied: bool = False) -> list[Link]:
    """Links of a whole InternVL.

    Args:
        names: Names of the native model's tensors.
        config: Its ``InternVLConfig``; a Llama in it is InternLM2 in the original layout.
        tied: The original layout has no LM head; its numbers are the embedding's.
    """
    text = config.text_config
    is_internlm2 = text.model_type == "llama"
    grouped = GroupedRows(
        kv_heads=text.num_key_value_heads,
        queries_per_group=text.num_attention_heads // text.num_key_value_heads,
        head_dim=text.hidden_size // text.num_attention_heads,
    )
    links = []
    for name in names:
        in_vision = name.startswith("model.vision_tower.")
        fused = in_vision or (is_internlm2 and ".self_attn." in name)
        if fused and (".k_proj." in name or ".v_proj." in name):
            continue  # with the query's
        if in_vision:
            table, rows = _VISION, StackedRows()
        elif name.startswith("model.multi_modal_projector."):
            table, rows = _PROJECTOR, None
        else:
            table, rows = _INTERNLM2 if is_internlm2 else _SAME_LLM, grouped
        if fused and ".q_proj." in name:
            native = tuple(name.replace(".q_proj.", f".{part}_proj.") for part in "qkv")
            links.append(Link(original=_renamed(name, table), native=native, rows=rows))
        else:
            source = EMBEDDING if tied and name == LM_HEAD else name
            links.append(Link(original=_renamed(source, table), native=(name,)))
    return links


def original_shapes(
    links: Iterable[Link], *, native: Mapping[str, Sequence[int]]
) -> dict[str, tuple[int, ...]]:
    """Shapes that the original tensors must have, from those of the native ones."""
    shapes = {}
    for link in links:
        parts = [tuple(native[name]) for name in link.native]
        shapes[link.original] = (sum(p[0] for p in parts), *parts[0][1:]) if link.rows else parts[0]
    return shapes


def _renamed(name: str, table: Mapping[str, str]) -> str:
    for native, original in table.items():
        name = name.replace(native, original)
    return name
