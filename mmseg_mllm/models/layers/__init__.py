from mmseg_mllm.models.layers.decoder_block import DecoderBlock
from mmseg_mllm.models.layers.dsff import FUSIONS, FeatureFusion

__all__ = ["FUSIONS", "DecoderBlock", "FeatureFusion"]
