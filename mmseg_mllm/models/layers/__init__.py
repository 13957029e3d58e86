from mmseg_mllm.models.layers.decoder_block import DecoderBlock
from mmseg_mllm.models.layers.dsff import FUSIONS, FeatureFusion
from mmseg_mllm.models.layers.tokens import pooled_tokens, resize_concat, to_map, to_tokens

__all__ = [
    "FUSIONS",
    "DecoderBlock",
    "FeatureFusion",
    "pooled_tokens",
    "resize_concat",
    "to_map",
    "to_tokens",
]
