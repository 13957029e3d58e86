"""What sharded training gathers on each GPU."""

from mmseg_mllm.engine.sharding import sharded_layers
from mmseg_mllm.models.backbones.quantization import BYTES, llm_linears
from mmseg_mllm.models.segmentors import MLLMSegmentor

AHEAD = 2
"""Layers that are whole at a time: one computes while the next is fetched."""


def gathered_bytes(segmentor: MLLMSegmentor, quantization: str | None) -> int:
    """Bytes that are whole on each GPU while a step runs, with FSDP2 over each layer and the rest.

    A layer of language model and vision tower is gathered when it computes; all that is in no layer
    (embedding, LM head, projector, mask decoder) stays gathered through the step.

    Args:
        segmentor: With or without memory.
        quantization: In ``quantization.BYTES``, or None.
    """
    sizes = {parameter: parameter.nbytes for parameter in segmentor.parameters()}
    if quantization is not None:
        for _, linear in llm_linears(segmentor.backbone.text_model):
            sizes[linear.weight] = round(BYTES[quantization](linear))
    in_layers = [sum(sizes[p] for p in layer.parameters()) for layer in sharded_layers(segmentor)]
    return sum(sizes.values()) - sum(in_layers) + AHEAD * max(in_layers)
