"""Names of the mask decoder's tensors: the authors' (github.com/jcwang0602/MLLMSeg) and ``DSFFHead``'s."""

from collections.abc import Mapping

from torch import Tensor

from mmseg_mllm.errors import CheckpointError

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

_HEAD_NAMES = {
    f"{official}.{tensor}": f"{ours}.{tensor}"
    for official, (ours, tensors) in OFFICIAL_MODULES.items()
    for tensor in tensors
}


def head_state_dict_from_official(
    state_dict: Mapping[str, Tensor], *, prefix: str = "res_decoder."
) -> dict[str, Tensor]:
    """Rename the tensors of the authors' mask decoder to those of ``DSFFHead``.

    The head is one with ``fusion='dsff'``, batch norm and ``in_channels[0] == channels``.

    Args:
        state_dict: The decoder's tensors and no others.
        prefix: What every name in ``state_dict`` starts with.

    Raises:
        CheckpointError: a tensor is unknown, or one is missing.
    """
    return _renamed(state_dict, {prefix + official: ours for official, ours in _HEAD_NAMES.items()})


def head_state_dict_to_official(
    state_dict: Mapping[str, Tensor], *, prefix: str = "res_decoder."
) -> dict[str, Tensor]:
    """Inverse of :func:`head_state_dict_from_official`.

    Args:
        state_dict: ``state_dict()`` of a ``DSFFHead``.
        prefix: What every name in the result starts with.

    Raises:
        CheckpointError: the authors' decoder has no such tensor, or has one that is missing here.
    """
    return _renamed(state_dict, {ours: prefix + official for official, ours in _HEAD_NAMES.items()})


def _renamed(state_dict: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
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
