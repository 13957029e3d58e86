from mmseg_mllm.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    LoadRGBImage="loading",
    LoadReferringMasks="loading",
    PackReferringInputs="formatting",
    RandomJPEGQuality="processing",
    ResizeToInput="processing",
    SampleExpressions="processing",
)
