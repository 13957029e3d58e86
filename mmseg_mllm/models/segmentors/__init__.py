from mmseg_mllm.models.segmentors.mllm_segmentor import MLLMSegmentor

__all__ = ["MLLMSegmentor"]
