from mmseg_mllm.datasets.grefcoco import GRefCOCODataset
from mmseg_mllm.datasets.json_dataset import ReferringJSONDataset
from mmseg_mllm.datasets.refcoco import RefCOCODataset
from mmseg_mllm.datasets.samplers import UniformDatasetSampler
from mmseg_mllm.datasets.transforms import (
    LoadReferringMasks,
    LoadRGBImage,
    PackReferringInputs,
    RandomJPEGQuality,
    ResizeToInput,
    SampleExpressions,
)

__all__ = [
    "GRefCOCODataset",
    "LoadRGBImage",
    "LoadReferringMasks",
    "PackReferringInputs",
    "RandomJPEGQuality",
    "RefCOCODataset",
    "ReferringJSONDataset",
    "ResizeToInput",
    "SampleExpressions",
    "UniformDatasetSampler",
]
