"""The losses of the authors' code, which differ from the paper's; for comparison with their numbers only."""

import torch
import torch.nn.functional as F
from torch import Tensor

ALPHA, GAMMA = 0.25, 2.0


def official_mask_losses(logits: Tensor, masks: Tensor, *, n_expressions: int) -> dict[str, Tensor]:
    """Mask losses of one image.

    The probability stands where focal loss expects a logit, so its cross-entropy sees a second sigmoid. An
    expression without a target adds nothing, and 1 to the IoU, but counts in the mean.

    Args:
        logits: (n, 1, H, W) of the n expressions that were answered with [SEG].
        masks: (n, H', W') bool, their targets.
        n_expressions: Of the image, those without a target included.

    Returns:
        ``mask_focal_loss``, ``mask_dice_loss`` and the soft ``iou``, each summed over the expressions.
    """
    target = masks.float().flatten(1)
    probability = F.interpolate(
        logits.sigmoid(), size=masks.shape[1:], mode="bilinear", align_corners=False
    ).flatten(1)
    entropy = F.binary_cross_entropy_with_logits(probability, target, reduction="none")
    missed = torch.where(target > 0, 1 - probability, probability)
    weight = torch.where(target > 0, ALPHA, 1 - ALPHA)
    shared = (probability * target).sum(1)
    both = probability.sum(1) + target.sum(1)
    return dict(
        mask_focal_loss=(weight * entropy * missed**GAMMA).mean(1).sum(),
        mask_dice_loss=(1 - (2 * shared + 1) / (both + 1)).sum(),
        iou=(shared / (both - shared)).sum() + n_expressions - len(masks),
    )
