"""Random images and samples."""

from collections.abc import Sequence

import torch
from mmengine.structures import InstanceData
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_mllm.analysis.benchmarks.way import Setting
from mmseg_mllm.input_size import InputSize, height_width

ORIGINAL_SIZE = (480, 640)
"""Height and width of most of COCO's images: what masks are resized to where a tool does so."""


def random_images(size: InputSize, setting: Setting) -> Tensor:
    """(B, 3, H, W) float32, as normalised images."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(setting.images, 3, *height_width(size), generator=generator).to(setting.device)


def samples_of(
    texts: Sequence[str], setting: Setting, *, mask_size: InputSize | None = None
) -> list[SegDataSample]:
    """B samples with the same expressions, and random masks of that size if one is given."""
    samples = []
    for _ in range(setting.images):
        sample = SegDataSample(
            metainfo=dict(expressions=list(texts), ann_ids=[(1,)] * len(texts), ori_shape=ORIGINAL_SIZE)
        )
        if mask_size is not None:
            masks = torch.rand(len(texts), *height_width(mask_size), device=setting.device) > 0.5
            sample.gt_instances = InstanceData(masks=masks)
        samples.append(sample)
    return samples
