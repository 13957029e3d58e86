"""DySample: upsampling by sampling the input at learned positions.

Liu et al., "Learning to Upsample by Learning to Sample", ICCV 2023, arXiv 2308.15085.
Upstream: https://github.com/tiny-smart/dysample. It needs nothing but ``grid_sample``, so no compiled op.
"""

from typing import Literal

import torch
from mmengine.model import constant_init, normal_init
from mmengine.registry import MODELS
from torch import Tensor, nn


def _at_least_fp32(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


def _initial_positions(scale_factor: int, groups: int) -> Tensor:
    """Centres of the s x s sub-pixels relative to the centre of their pixel, in pixels.

    Returns:
        Tensor: (1, 2 * groups * s * s, 1, 1), channel order [x, y][group][sub-row][sub-col].
    """
    s = scale_factor
    centres = (torch.arange(s, dtype=torch.float32) - (s - 1) / 2) / s
    x = centres.expand(groups, s, s)
    return torch.stack((x, x.transpose(1, 2))).reshape(1, -1, 1, 1)


def dysample(input: Tensor, offset: Tensor, *, scale_factor: int = 2, groups: int = 4) -> Tensor:
    """Sample ``input`` bilinearly at the given positions (the sampling of DySample, Eq. 1 and 3).

    Coordinates outside the image are clamped to its border. The interpolation and its coordinates are
    computed in at least float32: in bfloat16 a normalised coordinate is off by up to 1/512, which is a
    quarter of a pixel at width 256.

    Args:
        input (Tensor): (B, C, H, W), any floating dtype.
        offset (Tensor): (B, 2 * groups * s * s, H, W), distance of each of the s x s sampling points of a
            pixel from the pixel's centre, in input pixels, initial positions included.
            Channel order [x, y][group][sub-row][sub-col], x runs along the width.
        scale_factor (int): The integer s.
        groups (int): Number of channel groups with sampling points of their own.

    Returns:
        Tensor: (B, C, s * H, s * W) in the dtype of ``input``.
    """
    B, C, H, W = input.shape
    s = scale_factor
    if C % groups:
        raise ValueError(f"channels of input ({C}) must be divisible by groups ({groups})")
    if offset.shape != (B, 2 * groups * s * s, H, W):
        raise ValueError(
            f"offset must be of shape {(B, 2 * groups * s * s, H, W)} for input {tuple(input.shape)}, "
            f"scale_factor={s} and groups={groups}, but got {tuple(offset.shape)}"
        )

    dtype = _at_least_fp32(torch.promote_types(input.dtype, offset.dtype))
    dx, dy = offset.to(dtype).reshape(B, 2, groups, s, s, H, W).unbind(1)
    centre_x = torch.arange(W, dtype=dtype, device=input.device) + 0.5
    centre_y = torch.arange(H, dtype=dtype, device=input.device)[:, None] + 0.5
    grid = torch.stack(((centre_x + dx) * (2 / W) - 1, (centre_y + dy) * (2 / H) - 1), dim=-1)
    # (B, groups, sub-row, sub-col, H, W, 2) -> rows (H, sub-row), columns (W, sub-col)
    grid = grid.permute(0, 1, 4, 2, 5, 3, 6).reshape(B * groups, s * H, s * W, 2)
    out = nn.functional.grid_sample(
        input.to(dtype).reshape(B * groups, C // groups, H, W),
        grid,
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    )
    return out.reshape(B, C, s * H, s * W).to(input.dtype)


@MODELS.register_module()
class DySample(nn.Module):
    """DySample upsampler, also ``build_upsample_layer(dict(type='DySample', ...))`` of mmcv.

    Registered in MMEngine's root registry, where the registries of all OpenMMLab packages look it up.

    Args:
        in_channels (int): Channels of the input; the output has as many.
        scale_factor (int): Upsample ratio s.
        style (str): ``'lp'`` predicts all s * s offsets of a pixel from its features (linear, then shuffle);
            ``'pl'`` pixel-shuffles the features first, which takes s^4 times fewer weights.
        groups (int): Number of channel groups with sampling points of their own.
        dyscope (bool): Scale the offsets by ``0.5 * sigmoid(scope(x))`` (Eq. 5) instead of 0.25 (Eq. 4).

    Shapes of the state, with F = 2 * groups * s * s and D = in_channels for 'lp', F = 2 * groups and
    D = in_channels / s^2 for 'pl': ``offset.weight`` and ``scope.weight`` (dyscope only) (F, D, 1, 1),
    ``offset.bias`` (F,), buffer ``init_pos`` (1, 2 * groups * s * s, 1, 1).
    """

    def __init__(
        self,
        in_channels: int,
        *,
        scale_factor: int = 2,
        style: Literal["lp", "pl"] = "lp",
        groups: int = 4,
        dyscope: bool = False,
    ) -> None:
        super().__init__()
        if style not in ("lp", "pl"):
            raise ValueError(f"style must be 'lp' or 'pl', but got {style!r}")
        for name, value in dict(in_channels=in_channels, scale_factor=scale_factor, groups=groups).items():
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive integer, but got {value!r}")
        if in_channels % groups:
            raise ValueError(f"in_channels ({in_channels}) must be divisible by groups ({groups})")
        if style == "pl" and in_channels % scale_factor**2:
            raise ValueError(
                f"in_channels ({in_channels}) must be divisible by scale_factor^2 ({scale_factor**2}) "
                "for style 'pl'"
            )
        self.in_channels = in_channels
        self.scale_factor = scale_factor
        self.style = style
        self.groups = groups
        self.dyscope = dyscope

        if style == "lp":
            feat_channels, offset_channels = in_channels, 2 * groups * scale_factor**2
        else:
            feat_channels, offset_channels = in_channels // scale_factor**2, 2 * groups
        self.offset = nn.Conv2d(feat_channels, offset_channels, 1)
        if dyscope:
            self.scope = nn.Conv2d(feat_channels, offset_channels, 1, bias=False)
        self.register_buffer("init_pos", _initial_positions(scale_factor, groups))
        self.init_weights()

    def init_weights(self) -> None:
        """Start next to bilinear interpolation."""
        normal_init(self.offset, std=0.001)
        if self.dyscope:
            constant_init(self.scope, val=0)

    def predict_offset(self, x: Tensor) -> Tensor:
        """Offsets in pixels, initial positions included, for :func:`dysample`.

        Args:
            x (Tensor): (B, C, H, W).

        Returns:
            Tensor: (B, 2 * groups * s * s, H, W), at least float32 even where the convolutions ran in less.
        """
        feats = nn.functional.pixel_shuffle(x, self.scale_factor) if self.style == "pl" else x
        dtype = _at_least_fp32(x.dtype)
        scope = 0.5 * self.scope(feats).to(dtype).sigmoid() if self.dyscope else 0.25
        offset = self.offset(feats).to(dtype) * scope
        if self.style == "pl":
            offset = nn.functional.pixel_unshuffle(offset, self.scale_factor)
        return offset + self.init_pos

    def forward(self, x: Tensor) -> Tensor:
        """Upsample.

        Args:
            x (Tensor): (B, C, H, W).

        Returns:
            Tensor: (B, C, s * H, s * W) in the dtype of ``x``.
        """
        return dysample(x, self.predict_offset(x), scale_factor=self.scale_factor, groups=self.groups)

    def extra_repr(self) -> str:
        return (
            f"in_channels={self.in_channels}, scale_factor={self.scale_factor}, style={self.style!r}, "
            f"groups={self.groups}, dyscope={self.dyscope}"
        )
