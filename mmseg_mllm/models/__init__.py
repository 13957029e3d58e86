from mmseg_mllm.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    DSFFHead="decode_heads.dsff_head",
    MLLMBackbone="backbones.mllm_backbone",
    MLLMFeatures="features",
    MLLMSegmentor="segmentors.mllm_segmentor",
)
