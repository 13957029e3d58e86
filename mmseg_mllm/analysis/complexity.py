"""Parameters and FLOPs of a referring segmentor by part, without weights or data."""

from collections.abc import Iterator, Sequence
from math import prod

import torch
from mmseg.registry import MODELS
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mmseg_mllm.errors import ConfigError
from mmseg_mllm.input_size import height_width
from mmseg_mllm.models.backbones.mllm_backbone import MLLMBackbone
from mmseg_mllm.models.backbones.sequence_layout import Branch, SequenceLayout, pack
from mmseg_mllm.models.segmentors import MLLMSegmentor

PREFIX_TOKENS = 42
"""Text tokens of the 'mllmseg' prompt up to and including the image, counted with Qwen's tokenizer."""
BRANCH_TOKENS = 28
"""Tokens of the 'mllmseg' test question and answer up to [SEG]: for the expressions of RefCOCO val, testA and
testB, 3.5 words each, Qwen's tokenizer gives 27.4 on average."""

DETAIL_BACKBONE = "detail backbone"
NAME_PARTS = {
    "lora_": "LoRA",
    "trainable_tokens": "rows of [SEG], [REJ]",
    "detail_backbone": DETAIL_BACKBONE,
    "decode_head": "decoder",
}
"""Which part a parameter belongs to, by a piece of its name, besides the base's own parts; all others are the
language model's."""


def build_on_meta(model: dict, *, merged: bool = False, dtype: str = "float32") -> MLLMSegmentor:
    """Build a config's ``model`` at true size on the meta device, in evaluation mode.

    Args:
        model: Config of an ``MLLMSegmentor``.
        merged: Leave LoRA out, as when it is merged into the language model's weights.
        dtype: As of ``MLLMBackbone``. Only float32 runs there: the meta device has no autocast.

    Raises:
        ConfigError: the config is of another segmentor.
    """
    if model.get("type") != MLLMSegmentor.__name__:
        raise ConfigError(f"model.type={model.get('type')!r}: an MLLMSegmentor is wanted")
    changes = dict(dtype=dtype, **(dict(lora=None) if merged else {}))
    with torch.device("meta"):
        return MODELS.build({**model, "backbone": {**model["backbone"], **changes}}).eval()


def count_parameters(segmentor: MLLMSegmentor, *, trained_only: bool = False) -> dict[str, int]:
    """Number of parameters of each part; the parts add up to the whole.

    Args:
        segmentor: On any device.
        trained_only: Count only what is trained.
    """
    family = segmentor.backbone.family
    pieces = dict.fromkeys((f"model.{path}." for path in family.vision), "vision tower")
    pieces |= dict.fromkeys((f"model.{path}." for path in family.projector), "projector") | NAME_PARTS
    counts = dict.fromkeys(["vision tower", "projector", "language model", *NAME_PARTS.values()], 0)
    for name, parameter in segmentor.named_parameters():
        part = next((part for piece, part in pieces.items() if piece in name), "language model")
        counts[part] += parameter.numel() if parameter.requires_grad or not trained_only else 0
    return counts


@torch.no_grad()
def count_flops(
    segmentor: MLLMSegmentor,
    *,
    expressions: int = 1,
    branch_tokens: int = BRANCH_TOKENS,
) -> dict[str, int]:
    """FLOPs of each part for one image, all expressions in one sequence as in protocol 'independent'.

    One multiply-add is 2 FLOPs. Counted are matrix products, convolutions and attention; attention over all
    pairs of tokens, also those that the mask hides.

    Args:
        segmentor: From :func:`build_on_meta`.
        expressions: How many are asked about the image.
        branch_tokens: Tokens of each expression's question and forced answer.
    """
    backbone, head = segmentor.backbone, segmentor.decode_head
    images = torch.empty(1, 3, *height_width(backbone.image_size), device="meta")
    layout = _layout(backbone.token_grid(backbone.image_size), expressions, branch_tokens)
    with FlopCounterMode(display=False) as in_backbone:
        features = backbone(images, layout)
    detail, detail_flops = features.detail, {}
    if segmentor.detail_backbone is not None:
        with FlopCounterMode(display=False) as in_detail:
            detail = segmentor.detail_backbone(images, detail)
        detail_flops = {DETAIL_BACKBONE: in_detail.get_total_flops()}
    with FlopCounterMode(display=False) as in_encode:
        encoded = head.encode(detail, features.semantic)
    with FlopCounterMode(display=False) as in_decode:
        head.decode(encoded, features.queries, features.image_index)
    modules, family = in_backbone.get_flop_counts(), backbone.family
    root = f"{type(backbone).__name__}.model.model"
    vision, projector = (
        sum(sum(modules.get(f"{root}.{path}", {}).values()) for path in _called(backbone, paths))
        for paths in (family.vision, family.projector)
    )
    return {
        "vision tower": vision,
        "projector": projector,
        **detail_flops,
        "language model": in_backbone.get_total_flops() - vision - projector,
        "decoder, per image": in_encode.get_total_flops(),
        "decoder, per expression": in_decode.get_total_flops(),
    }


def _called(backbone: MLLMBackbone, paths: Sequence[str]) -> Iterator[str]:
    """The modules at paths below the base; for a list of modules its own, since a list is never called.

    Those without products, such as tables, have no count.
    """
    for path in paths:
        module = backbone.model.model.get_submodule(path)
        if isinstance(module, nn.ModuleList):
            yield from (f"{path}.{i}" for i in range(len(module)))
        else:
            yield path


def _layout(grid: tuple[int, int], expressions: int, branch_tokens: int) -> SequenceLayout:
    """Sequence of one image; all text is token 0, the image token is 1."""
    branch = Branch(ids=[0] * branch_tokens, slots=[branch_tokens])
    prefix = [0] * PREFIX_TOKENS + [1] * prod(grid)
    return pack(prefix=prefix, branches=[[branch] * expressions], image_token_id=1, image_grid=grid)
