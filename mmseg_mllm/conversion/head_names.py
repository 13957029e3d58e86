"""Names of the mask decoder's tensors: the authors' (github.com/jcwang0602/MLLMSeg) and ``DSFFHead``'s."""

import math
from collections.abc import Mapping, Sequence

from torch import Tensor

from mmseg_mllm.errors import CheckpointError
from mmseg_mllm.models.decode_heads import DSFFHead

SHOWN = 3

_AFFINE = ("weight", "bias")
_ATTENTION = ("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias")
_BATCH_NORM = (*_AFFINE, "running_mean", "running_var", "num_batches_tracked")
_DYSAMPLE = ("offset.weight", "offset.bias", "init_pos")

_DECODER_BLOCK = {
    "decoder.layers.0.self_attn": ("self_attn", _ATTENTION),
    "decoder.layers.0.multihead_attn": ("cross_attn", _ATTENTION),
    "decoder.layers.0.linear1": ("linear1", _AFFINE),
    "decoder.layers.0.linear2": ("linear2", _AFFINE),
    "decoder.layers.0.norm1": ("norm1", _AFFINE),
    "decoder.layers.0.norm2": ("norm2", _AFFINE),
    "decoder.layers.0.norm3": ("norm3", _AFFINE),
    "decoder.norm": ("final_norm", _AFFINE),
}


def _decoder_block(official: str, ours: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {
        f"{official}.{theirs}": (f"{ours}.{name}", tensors)
        for theirs, (name, tensors) in _DECODER_BLOCK.items()
    }


OFFICIAL_MODULES = {
    "img_llm_down": ("semantic_proj", _AFFINE),
    "text_down": ("query_proj", _AFFINE),
    "text_out_adapter": ("fusion.proj", _AFFINE),
    **_decoder_block("ca_layer_v2l", "fusion.cross_attention"),
    "upsample_adapter_l": ("fusion.upsample", _DYSAMPLE),
    **_decoder_block("ca_layer_vl", "decoder"),
    "conv1.0": ("mask_conv", _AFFINE),
    "conv1.1": ("mask_norm", _BATCH_NORM),
    "conv2": ("mask_out", _AFFINE),
}
"""Module of the authors' decoder -> (module of ``DSFFHead``, names of its tensors in both)."""

OFFICIAL_PREFIX = "res_decoder."
HEAD_NAMES = {
    f"{ours}.{tensor}": f"{OFFICIAL_PREFIX}{official}.{tensor}"
    for official, (ours, tensors) in OFFICIAL_MODULES.items()
    for tensor in tensors
}
"""Tensor of a ``DSFFHead`` with ``fusion='dsff'``, batch norm and ``in_channels[0] == channels`` -> the
authors' name."""


def head_state_dict_from_official(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of the authors' mask decoder to those of ``DSFFHead``.

    Args:
        state_dict: The decoder's tensors and no others.

    Raises:
        CheckpointError: a tensor is unknown, or one is missing.
    """
    names = {official: ours for ours, official in HEAD_NAMES.items()}
    problems = [
        f"{len(found)} tensors {what}, such as {', '.join(found[:SHOWN])}"
        for what, found in (
            ("unknown", [name for name in state_dict if name not in names]),
            ("missing", [name for name in names if name not in state_dict]),
        )
        if found
    ]
    if problems:
        raise CheckpointError(f"not the tensors of MLLMSeg's mask decoder: {'. '.join(problems)}")
    return {names[name]: tensor for name, tensor in state_dict.items()}


def official_head(shapes: Mapping[str, Sequence[int]]) -> DSFFHead:
    """A ``DSFFHead`` with the sizes of the authors' decoder, and random weights.

    Args:
        shapes: Shapes of the authors' tensors by name.

    Raises:
        CheckpointError: tensors that tell the sizes are missing.
    """
    try:
        channels, width = shapes[f"{OFFICIAL_PREFIX}img_llm_down.weight"]
        cells = shapes[f"{OFFICIAL_PREFIX}conv1.0.weight"][0]
        hidden = shapes[f"{OFFICIAL_PREFIX}ca_layer_vl.decoder.layers.0.linear1.weight"][0]
        return DSFFHead(
            in_channels=[channels, width],
            channels=channels,
            mask_scale=math.isqrt(cells),
            feedforward_channels=hidden,
        )
    except Exception as error:  # torch has its own for each size that does not fit
        raise CheckpointError(f"not the tensors of MLLMSeg's mask decoder: {error!r}") from error
