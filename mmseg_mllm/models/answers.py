"""What a model answers about one image, before anything has the image's own size."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from mmengine.structures import InstanceData
from torch import Tensor

from mmseg_mllm.boxes import mask_boxes

THRESHOLD = 0.5
"""A pixel is foreground from this probability on, which is resized bilinearly first."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Of K expressions about one image.

    Attributes:
        maps: (K, h, w) float32 in [0, 1], the mask decoder's probabilities.
        scores: (K,) float32, log p([SEG]) - log p([REJ]).
        rejected: (K,) bool, the model holds that there is no target.
        protocol: How was asked, to stand beside figures.
    """

    maps: Tensor
    scores: Tensor
    rejected: Tensor
    protocol: str

    @classmethod
    def cat(cls, parts: Sequence["Answers"]) -> "Answers":
        """Those of several parts of an image's expressions, one part or more."""
        return cls(
            maps=torch.cat([part.maps for part in parts]),
            scores=torch.cat([part.scores for part in parts]),
            rejected=torch.cat([part.rejected for part in parts]),
            protocol=parts[0].protocol,
        )

    def at_size(self, size: tuple[int, int]) -> InstanceData:
        """All of them at (H, W), as ``MLLMSegmentor.predict`` gives them; 5 bytes for each pixel of each."""
        resized = resized_maps(self.maps, size)
        return InstanceData(
            masks=resized >= THRESHOLD,
            probabilities=resized,
            bboxes=mask_boxes(resized > THRESHOLD),
            scores=self.scores,
            rejected=self.rejected,
        )


def resized_maps(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(K, h, w) -> (K, *size), bilinear; torch takes no empty batch."""
    if not len(maps):
        return maps.new_zeros(0, *size)
    return F.interpolate(maps[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]
