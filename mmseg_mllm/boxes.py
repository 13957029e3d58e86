"""Boxes around masks, and how well two boxes agree."""

import torch
from torch import Tensor


def mask_boxes(masks: Tensor) -> Tensor:
    """The smallest box around each mask, on the masks' device and without waiting for it.

    Args:
        masks: (K, H, W) bool.

    Returns:
        (K, 4) float32, x1, y1, x2, y2 in pixels. As in MLLMSeg, x2 and y2 are the last column and row of the
        mask itself, and an empty mask gives zeros.
    """
    columns, rows = masks.any(dim=1), masks.any(dim=2)
    (x1, x2), (y1, y2) = _first_and_last(columns), _first_and_last(rows)
    boxes = torch.stack([x1, y1, x2, y2], dim=1) * rows.any(dim=1, keepdim=True)
    return boxes.float()


def box_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU of each box with its counterpart.

    Args:
        a, b: (K, 4), x1, y1, x2, y2 with x2 - x1 as the width, whatever is inclusive.

    Returns:
        (K,), 0 where both boxes have no area.
    """
    shared = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0)
    intersection = shared.prod(dim=1)
    union = (a[:, 2:] - a[:, :2]).prod(dim=1) + (b[:, 2:] - b[:, :2]).prod(dim=1) - intersection
    return torch.where(union > 0, intersection / union, 0.0)


def _first_and_last(hit: Tensor) -> tuple[Tensor, Tensor]:
    """Index of the first and of the last True in each row of (K, L) bool."""
    hit = hit.byte()  # argmax takes no bool; of equal values it names the first
    return hit.argmax(dim=1), hit.shape[1] - 1 - hit.flip(1).argmax(dim=1)
