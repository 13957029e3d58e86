"""Detail-enhanced and semantic-consistent feature fusion (DSFF) and simpler fusions to compare it with."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_mllm.errors import ConfigError
from mmseg_mllm.models.layers.decoder_block import DecoderBlock
from mmseg_mllm.ops import DySample

FUSIONS = ("dsff", "concat", "detail", "semantic")


class FeatureFusion(nn.Module):
    """Fuse a detail map and a coarser semantic map of the same width (Eq. 9 to 13, arXiv 2508.04107).

    The four modes are the rows of the paper's Table 4: ``dsff`` concatenates cross-attention of the detail
    map to the semantic map, the detail map and the upsampled semantic map; ``concat`` leaves the
    cross-attention out; ``detail`` and ``semantic`` take one map alone. A linear layer follows in all.

    Args:
        channels: Width C of both maps and of the result.
        mode: One of ``FUSIONS``.
        scale: Integer ratio of the two maps' sides, for DySample.
        num_heads, feedforward_channels, dropout: Of the cross-attention block.
    """

    def __init__(
        self,
        *,
        channels: int,
        mode: str = "dsff",
        scale: int = 2,
        num_heads: int = 8,
        feedforward_channels: int = 1024,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if mode not in FUSIONS:
            raise ConfigError(f"unknown fusion {mode!r}; there are {', '.join(FUSIONS)}")
        self.mode = mode
        if mode == "dsff":
            self.cross_attention = DecoderBlock(
                channels=channels,
                num_heads=num_heads,
                feedforward_channels=feedforward_channels,
                dropout=dropout,
            )
        if mode != "detail":
            self.upsample = DySample(channels, scale_factor=scale, groups=4)
        parts = {"dsff": 3, "concat": 2}.get(mode, 1)
        self.proj = nn.Linear(parts * channels, channels)

    def forward(self, detail: Tensor, semantic: Tensor | None) -> Tensor:
        """detail (B, C, H, W) and semantic (B, C, h, w) -> (B, C, H, W); semantic is unused for 'detail'."""
        parts = []
        if self.mode == "dsff":
            attended = self.cross_attention(_tokens(detail), _tokens(semantic))
            parts.append(attended.transpose(1, 2).unflatten(2, detail.shape[2:]))
        if self.mode != "semantic":
            parts.append(detail)
        if self.mode != "detail":
            upsampled = self.upsample(semantic)
            if upsampled.shape[2:] != detail.shape[2:]:
                upsampled = F.interpolate(
                    upsampled, size=detail.shape[2:], mode="bilinear", align_corners=False
                )
            parts.append(upsampled)
        fused = self.proj(torch.cat(parts, dim=1).permute(0, 2, 3, 1))
        return fused.permute(0, 3, 1, 2)


def _tokens(feature_map: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H * W, C)."""
    return feature_map.flatten(2).transpose(1, 2)
