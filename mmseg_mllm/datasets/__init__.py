from mmseg_mllm.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    GRefCOCODataset="grefcoco",
    LoadRGBImage="transforms.loading",
    LoadReferringMasks="transforms.loading",
    PackReferringInputs="transforms.formatting",
    RandomJPEGQuality="transforms.processing",
    RefCOCODataset="refcoco",
    ReferringJSONDataset="json_dataset",
    ResizeToInput="transforms.processing",
    SampleExpressions="transforms.processing",
    UniformDatasetSampler="samplers",
)
