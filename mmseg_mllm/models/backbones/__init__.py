from mmseg_mllm.models.backbones.mllm_backbone import MLLMBackbone
from mmseg_mllm.models.backbones.tiny_tokenizer import build_tiny_tokenizer

__all__ = ["MLLMBackbone", "build_tiny_tokenizer"]
