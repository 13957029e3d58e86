from mmseg_mllm.datasets.transforms.formatting import PackReferringInputs
from mmseg_mllm.datasets.transforms.loading import LoadReferringMasks, LoadRGBImage
from mmseg_mllm.datasets.transforms.processing import RandomJPEGQuality, ResizeToInput, SampleExpressions

__all__ = [
    "LoadRGBImage",
    "LoadReferringMasks",
    "PackReferringInputs",
    "RandomJPEGQuality",
    "ResizeToInput",
    "SampleExpressions",
]
