"""Detail-enhanced and semantic-consistent feature fusion (DSFF) and simpler fusions to compare it with."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_mllm.errors import ConfigError
from mmseg_mllm.models.layers.decoder_block import DecoderBlock
from mmseg_mllm.models.layers.tokens import pooled_tokens, to_map, to_tokens
from mmseg_mllm.ops import DySample

FUSIONS = ("dsff", "concat", "detail", "semantic")


class FeatureFusion(nn.Module):
    """Fuse a detail map and a coarser semantic map of the same width (Eq. 9 to 13, arXiv 2508.04107).

    The four modes are the rows of the paper's Table 4: ``dsff`` concatenates cross-attention of the detail
    map to the semantic map, the detail map and the upsampled semantic map; ``concat`` leaves the
    cross-attention out; ``detail`` and ``semantic`` take one map alone. A linear layer follows in all.

    The maps may be of any sizes. DySample enlarges the semantic map by ``scale`` as many times as comes
    closest to the detail map, at least once, with the same weights; what does not fit then is resized
    bilinearly. So a ratio of 8 is three steps of 2, and one of 3.5 is two steps and a resize from 4 to 3.5.

    Args:
        channels: Width C of both maps and of the result.
        mode: One of ``FUSIONS``.
        scale: Integer factor of one DySample step.
        num_heads, feedforward_channels, dropout: Of the cross-attention block.
        key_reduction: Side of the squares of detail pixels whose mean is one key of self-attention; 1 keeps
            all pixels.
        align_corners: Of the resize, as in ``torch.nn.functional.interpolate``.
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
        key_reduction: int = 1,
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        if mode not in FUSIONS:
            raise ConfigError(f"unknown fusion {mode!r}; there are {', '.join(FUSIONS)}")
        self.mode = mode
        self.key_reduction = key_reduction
        self.align_corners = align_corners
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
        size = detail.shape[2:]
        parts = []
        tokens = to_tokens(detail)
        if self.mode == "dsff":
            keys = pooled_tokens(detail, self.key_reduction) if self.key_reduction > 1 else None
            parts.append(self.cross_attention(tokens, to_tokens(semantic), keys=keys))
        if self.mode != "semantic":
            parts.append(tokens)
        if self.mode != "detail":
            parts.append(to_tokens(self._upsampled(semantic, size)))
        return to_map(self.proj(torch.cat(parts, dim=-1)), size)

    def _upsampled(self, semantic: Tensor, size: tuple[int, int]) -> Tensor:
        """(B, C, h, w) -> (B, C, *size)."""
        ratio = math.sqrt(size[0] * size[1] / (semantic.shape[2] * semantic.shape[3]))
        scale = self.upsample.scale_factor
        # Once at least, also for maps of the same size: parameters that no step uses stop DDP.
        steps = max(1, round(math.log(ratio, scale))) if scale > 1 else 1
        for _ in range(steps):
            semantic = self.upsample(semantic)
        if semantic.shape[2:] == size:
            return semantic
        return F.interpolate(semantic, size=size, mode="bilinear", align_corners=self.align_corners)
