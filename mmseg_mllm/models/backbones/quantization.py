"""The LLM's linears in 8 or 4 bit, for LoRA on top (QLoRA) and for inference: by bitsandbytes."""

import re
from collections.abc import Callable, Iterator

import torch
from torch import nn

from mmseg_mllm.compat import keep_4bit_layout
from mmseg_mllm.errors import ConfigError
from mmseg_mllm.models.backbones.adapters import LLM_LINEARS

BLOCK, OUTER_BLOCK = 64, 256
"""Weights that share a scale, and scales that share one, in bitsandbytes' NF4 with double quantisation."""
BYTES: dict[str, Callable[[nn.Linear], float]] = {
    "nf4": lambda linear: linear.weight.numel() * (1 / 2 + (1 + 4 / OUTER_BLOCK) / BLOCK),
    "int8": lambda linear: linear.weight.numel() + 4 * linear.out_features,
}
"""Size of a quantised weight, by ``MLLMBackbone.quantization``."""


def check_quantization(kind: str | None) -> None:
    """See that there is such a kind, and what it needs.

    Raises:
        ConfigError: there is not.
    """
    if kind is None:
        return
    if kind not in BYTES:
        raise ConfigError(f"quantization={kind!r}: choose {', '.join(BYTES)} or None")
    try:
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"quantization={kind!r} needs bitsandbytes ({error}): pip install 'mmseg_mllm[quantization]'"
        ) from None


def llm_linears(text_model: nn.Module) -> Iterator[tuple[str, nn.Linear]]:
    """Names and linears of a language model's attention and MLPs, without what LoRA adds to them.

    What is not among them is never quantised: embedding, LM head, norms, vision tower, projector.
    """
    for name, module in text_model.named_modules():
        own_name = name.removesuffix(".base_layer").rpartition(".")[2]
        if isinstance(module, nn.Linear) and re.fullmatch(LLM_LINEARS, own_name):
            yield name, module


def quantize(
    model: nn.Module, kind: str, *, text_model: nn.Module, device: torch.device, dtype: torch.dtype
) -> None:
    """Quantise the LLM's linears, one by one on the device, and move all else there.

    Args:
        model: Changed in place; before LoRA is put in.
        kind: In ``BYTES``.
        text_model: The part of it whose linears are quantised.
        device: Where the model will run.
        dtype: Of the computation.
    """
    from bitsandbytes.nn import Int8Params, Linear4bit, Linear8bitLt, Params4bit

    for name, linear in list(llm_linears(text_model)):
        sizes = (linear.in_features, linear.out_features, linear.bias is not None)
        with torch.device("meta"):
            if kind == "nf4":
                quantised = Linear4bit(*sizes, compute_dtype=dtype, quant_type="nf4")
                keep_4bit_layout(quantised)
            else:
                quantised = Linear8bitLt(*sizes, has_fp16_weights=False)
        # bitsandbytes quantises a weight when it is moved to a device.
        if kind == "nf4":
            weight = Params4bit(
                linear.weight.detach(), requires_grad=False, quant_type="nf4", module=quantised
            )
        else:
            weight = Int8Params(linear.weight.detach(), requires_grad=False, has_fp16_weights=False)
        quantised.weight = weight.to(device)
        quantised.bias = linear.bias
        parent, _, own_name = name.rpartition(".")
        setattr(text_model.get_submodule(parent), own_name, quantised)
    setattr(model, {"nf4": "is_loaded_in_4bit", "int8": "is_loaded_in_8bit"}[kind], True)  # read by peft
    model.to(device)


def move_scales(model: nn.Module, *, device: str) -> None:
    """Move what 4 bit weights are multiplied by, which is no parameter, in place.

    bitsandbytes moves it with a weight; one that is cut knows it no more.
    """
    for module in model.modules():
        state = getattr(module, "quant_state", None)
        if state is not None:
            state.to(device)
