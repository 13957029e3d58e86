"""Feature maps beside one another, as token sequences, and back."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def to_tokens(feature_map: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H * W, C), in row order."""
    return feature_map.flatten(2).transpose(1, 2)


def to_map(tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, H * W, C) and (H, W) -> (B, C, H, W)."""
    return tokens.transpose(1, 2).unflatten(2, size)


def pooled_tokens(feature_map: Tensor, factor: int) -> Tensor:
    """Means of squares of ``factor`` x ``factor`` pixels, of what is there at the borders.

    (B, C, H, W) -> (B, ceil(H / factor) * ceil(W / factor), C).
    """
    return to_tokens(F.avg_pool2d(feature_map, factor, ceil_mode=True, count_include_pad=False))


def resize_concat(maps: Sequence[Tensor], *, size: tuple[int, int], align_corners: bool = False) -> Tensor:
    """mmseg's ``resize_concat`` to a given size: (B, C_i, H_i, W_i), bilinearly, -> (B, sum of C_i, H, W)."""
    resized = [
        x
        if x.shape[2:] == size
        else F.interpolate(x, size=size, mode="bilinear", align_corners=align_corners)
        for x in maps
    ]
    return resized[0] if len(resized) == 1 else torch.cat(resized, dim=1)
