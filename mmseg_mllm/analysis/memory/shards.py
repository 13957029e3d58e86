"""What sharded training gathers on each GPU."""

from torch import nn

from mmseg_mllm.models.backbones.quantization import BYTES, llm_linears

AHEAD = 2
"""Layers that are whole at a time: one computes while the next is fetched."""


def gathered_bytes(segmentor: nn.Module, quantization: str | None) -> int:
    """Bytes that are whole on each GPU while a step runs, with FSDP2 over each layer and the rest.

    A layer of language model and vision tower is gathered when it computes; all that is in no layer
    (embedding, LM head, projector, mask decoder) stays gathered through the step.

    Args:
        segmentor: With or without memory.
        quantization: In ``quantization.BYTES``, or None.
    """
    sizes = {name: parameter.nbytes for name, parameter in segmentor.named_parameters()}
    if quantization is not None:
        for name, linear in llm_linears(segmentor):
            sizes[f"{name}.weight"] = round(BYTES[quantization](linear))
    core = segmentor.backbone.model.model
    layers = [
        layer for stack in (core.language_model.layers, core.vision_tower.encoder.layer) for layer in stack
    ]
    names = {id(module): name for name, module in segmentor.named_modules()}
    in_layers = [
        sum(size for name, size in sizes.items() if name.startswith(names[id(layer)] + "."))
        for layer in layers
    ]
    return sum(sizes.values()) - sum(in_layers) + AHEAD * max(in_layers)
