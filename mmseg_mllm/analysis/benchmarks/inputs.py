"""Random images and samples."""

from collections.abc import Sequence

import torch
from mmengine.structures import InstanceData
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_mllm.analysis.benchmarks.way import Setting

ORIGINAL_SIZE = (480, 640)
"""Height and width of most of COCO's images: what masks are resized to where a tool does so."""


def random_images(side: int, setting: Setting) -> Tensor:
    """(B, 3, side, side) float32, as normalised images."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(setting.images, 3, side, side, generator=generator).to(setting.device)


def samples_of(
    texts: Sequence[str], setting: Setting, *, mask_side: int | None = None
) -> list[SegDataSample]:
    """B samples with the same expressions, and random masks of that side if one is given."""
    samples = []
    for _ in range(setting.images):
        sample = SegDataSample(
            metainfo=dict(expressions=list(texts), ann_ids=[(1,)] * len(texts), ori_shape=ORIGINAL_SIZE)
        )
        if mask_side is not None:
            masks = torch.rand(len(texts), mask_side, mask_side, device=setting.device) > 0.5
            sample.gt_instances = InstanceData(masks=masks)
        samples.append(sample)
    return samples
