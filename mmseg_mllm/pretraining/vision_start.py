"""A start for a small vision tower that lets it learn shapes and places early."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_FREQUENCIES = 8
_SHARPNESS = 2.5  # of the first attention maps
_NEIGHBOURS = (
    (0, 1),
    (0, -1),
    (1, 0),
    (-1, 0),
    (0, 0),
)  # rows and columns to where a head looks


@torch.no_grad()
def start_like_convolutions(vision_tower: nn.Module) -> None:
    """Let the heads of a fresh InternVL vision tower begin by looking at neighbouring patches.

    transformers starts position embeddings at zero and attention as a mean over the image, from where shapes
    and places are learned late. Here the first channels hold sines and cosines of row and column, kept free
    of all else, and in each layer the first heads' keys are their queries moved by one patch, the way
    convolutions see. Everything is trained afterwards.

    Args:
        vision_tower: Changed in place; heads of 32 channels or more.
    """
    embeddings = vision_tower.embeddings
    positions = embeddings.position_embeddings
    side = round((positions.shape[1] - 1) ** 0.5)
    waves = _waves(torch.arange(side))
    width = 2 * waves.shape[1]
    rows, columns = waves[:, None].expand(-1, side, -1), waves[None].expand(side, -1, -1)
    positions.zero_()
    positions[0, 1:, :width] = torch.cat([rows, columns], dim=2).flatten(0, 1)
    embeddings.patch_embeddings.projection.weight[:width] = 0
    for layer in vision_tower.encoder.layer:
        attention = layer.attention
        attention.projection_layer.weight[:width] = 0
        layer.mlp.fc2.weight[:width] = 0
        for head, (down, right) in zip(range(attention.num_heads), _NEIGHBOURS, strict=False):
            own = slice(head * attention.head_dim, head * attention.head_dim + width)
            for projection, turn in (
                (attention.q_proj, torch.eye(width)),
                (attention.k_proj, torch.block_diag(_turn(-down), _turn(-right))),
            ):
                weight = F.pad(turn, (0, projection.in_features - width))
                projection.weight[own] = _SHARPNESS * weight


def _frequencies() -> Tensor:
    """Radians per patch, from two thirds of a half turn downwards."""
    return 2.1 * 0.7 ** torch.arange(_FREQUENCIES)


def _waves(places: Tensor) -> Tensor:
    """(N,) -> (N, 2 * frequencies): sines, then cosines."""
    angles = places[:, None] * _frequencies()
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def _turn(step: int) -> Tensor:
    """The matrix that turns the waves of a place into those of the place ``step`` patches on."""
    angles = _frequencies() * step
    sine, cosine = torch.diag(angles.sin()), torch.diag(angles.cos())
    return torch.cat([torch.cat([cosine, sine], dim=1), torch.cat([-sine, cosine], dim=1)])
