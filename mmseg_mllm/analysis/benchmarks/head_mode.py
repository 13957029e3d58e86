"""The mask decoder alone."""

import contextlib

import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_mllm.analysis.benchmarks.plain_head import PlainHead
from mmseg_mllm.analysis.benchmarks.way import Benchmark, Pair, Setting, Way
from mmseg_mllm.analysis.complexity import build_on_meta
from mmseg_mllm.compat import quiet_upstream
from mmseg_mllm.errors import ConfigError


def head(config: Config, setting: Setting) -> Benchmark:
    """Random features of true size; the plain way, MLLMSeg's, runs all of the head for each expression.

    Raises:
        ConfigError: the head has no cross-attention to compare with.
    """
    backbone = build_on_meta(config.model).backbone
    if config.model.decode_head.get("fusion", "dsff") != "dsff":
        raise ConfigError("mode 'head' compares with MLLMSeg's decoder: it needs decode_head.fusion='dsff'")
    sizes = dict(
        in_channels=backbone.out_channels,
        mask_scale=backbone.patch_size,
        semantic_scale=backbone.downsample,
    )
    with torch.device(setting.device), quiet_upstream():
        module = MODELS.build({**sizes, **config.model.decode_head, "pretrained": None}).eval()
    side = backbone.image_size // backbone.patch_size
    B, K, (C_v, C_l) = setting.images, setting.expressions, backbone.out_channels
    # What the backbone hands over is in its dtype.
    like = dict(device=setting.device, dtype=getattr(torch, setting.dtype))
    detail = torch.randn(B, C_v, side, side, **like)
    semantic = torch.randn(B, C_l, side // backbone.downsample, side // backbone.downsample, **like)
    queries = torch.randn(B, K, C_l, **like)
    images = torch.arange(B, device=setting.device)
    plain = PlainHead(module)

    @torch.no_grad()
    def once() -> Tensor:
        with _autocast(setting):
            encoded = module.encode(detail, semantic)
            logits = module.decode(encoded, queries.flatten(0, 1), images.repeat_interleave(K))
        return logits.float().sigmoid()

    @torch.no_grad()
    def each() -> Tensor:
        masks = []
        for k in range(K):
            with _autocast(setting):
                logits = plain(detail, semantic, queries[:, k])
            masks.append(logits.float().sigmoid())
        return torch.stack(masks, dim=1).flatten(0, 1)

    counts = dict(images=B, expressions=B * K)
    ways = {
        "encode once, decode each": Way(run=once, **counts),
        "all of it for each": Way(run=each, **counts),
    }
    return Benchmark(ways=ways, pairs=[Pair(way="encode once, decode each", plain="all of it for each")])


def _autocast(setting: Setting) -> contextlib.AbstractContextManager:
    """As ``MLLMBackbone.autocast``."""
    if setting.dtype == "float32":
        return contextlib.nullcontext()
    return torch.autocast(setting.device.type, dtype=getattr(torch, setting.dtype))
