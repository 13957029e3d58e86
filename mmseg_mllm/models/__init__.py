from mmseg_mllm.models.backbones import MLLMBackbone
from mmseg_mllm.models.decode_heads import DSFFHead
from mmseg_mllm.models.features import MLLMFeatures
from mmseg_mllm.models.segmentors import MLLMSegmentor

__all__ = ["DSFFHead", "MLLMBackbone", "MLLMFeatures", "MLLMSegmentor"]
