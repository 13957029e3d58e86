from mmseg_mllm.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    RESInferencer="inferencer",
    RESPredictor="predictor",
    Segmentation="segmentation",
    Segmentations="segmentation",
)
