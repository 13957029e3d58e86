"""A config's mask decoder with random weights, and random features of true size for it."""

import contextlib
from dataclasses import dataclass

import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_mllm.analysis.benchmarks.way import Setting
from mmseg_mllm.analysis.complexity import build_on_meta
from mmseg_mllm.compat import quiet_upstream
from mmseg_mllm.errors import ConfigError
from mmseg_mllm.input_size import height_width
from mmseg_mllm.models.decode_heads import DSFFHead


@dataclass(frozen=True, kw_only=True)
class MaskDecoder:
    """What a ``DSFFHead`` needs to run.

    Attributes:
        head: In evaluation mode, on the setting's device.
        detail: (B, C_v, H, W).
        semantic: (B, C_l, h, w).
        queries: (B, K, C_l).
        setting: What it was made for.
    """

    head: DSFFHead
    detail: Tensor
    semantic: Tensor
    queries: Tensor
    setting: Setting

    @torch.no_grad()
    def probabilities(self) -> Tensor:
        """(B * K, 1, H', W'): encode once, decode for each expression."""
        B, K = self.queries.shape[:2]
        images = torch.arange(B, device=self.queries.device).repeat_interleave(K)
        with autocast(self.setting):
            encoded = self.head.encode(self.detail, self.semantic)
            logits = self.head.decode(encoded, self.queries.flatten(0, 1), images)
        return logits.float().sigmoid()


def build_mask_decoder(config: Config, setting: Setting) -> MaskDecoder:
    """Build it.

    Raises:
        ConfigError: the head's fusion is not the whole one.
    """
    backbone = build_on_meta(config.model).backbone
    if config.model.decode_head.get("fusion", "dsff") != "dsff":
        raise ConfigError("this mode measures MLLMSeg's decoder: it needs decode_head.fusion='dsff'")
    sizes = dict(
        in_channels=backbone.out_channels,
        mask_scale=backbone.patch_size,
        semantic_scale=backbone.downsample,
    )
    with torch.device(setting.device), quiet_upstream():
        head = MODELS.build({**sizes, **config.model.decode_head, "pretrained": None}).eval()
    cells = [side // backbone.patch_size for side in height_width(backbone.image_size)]
    tokens = backbone.token_grid(backbone.image_size)
    B, K, (C_v, C_l) = setting.images, setting.expressions, backbone.out_channels
    # What the backbone hands over is in its dtype.
    like = dict(device=setting.device, dtype=getattr(torch, setting.dtype))
    return MaskDecoder(
        head=head,
        detail=torch.randn(B, C_v, *cells, **like),
        semantic=torch.randn(B, C_l, *tokens, **like),
        queries=torch.randn(B, K, C_l, **like),
        setting=setting,
    )


def autocast(setting: Setting) -> contextlib.AbstractContextManager:
    """As ``MLLMBackbone.autocast``."""
    if setting.dtype == "float32":
        return contextlib.nullcontext()
    return torch.autocast(setting.device.type, dtype=getattr(torch, setting.dtype))
