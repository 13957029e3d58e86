"""DySample and the mask decoder, as they are and through ``torch.compile``."""

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from mmengine.config import Config
from torch import Tensor, nn

from mmseg_mllm.analysis.benchmarks.mask_decoder import autocast, build_mask_decoder
from mmseg_mllm.analysis.benchmarks.way import Benchmark, Pair, Setting, Way


def compiled(config: Config, setting: Setting) -> Benchmark:
    """Random features of true size. DySample is the decoder's own, beside bilinear interpolation.

    Raises:
        ConfigError: the head's fusion is not the whole one.
    """
    decoder = build_mask_decoder(config, setting)
    decoder.head.compiled = False
    upsample = decoder.head.fusion.upsample
    torch.nn.init.normal_(upsample.offset.weight, std=0.05)  # as after training: neighbours differ
    fused = replace(decoder, head=copy.deepcopy(decoder.head))
    fused.head.compiled = True

    channels, (height, width) = decoder.head.channels, decoder.semantic.shape[2:]
    like = dict(device=setting.device, dtype=decoder.semantic.dtype)
    feature_map = torch.randn(setting.images, channels, height, width, **like)

    @torch.no_grad()
    def upsampled(layer: Callable[[Tensor], Tensor]) -> Tensor:
        with autocast(setting):
            return layer(feature_map)

    upsamplers = {
        "DySample": upsample,
        "DySample, compiled": torch.compile(upsample.forward),
        "bilinear interpolation": nn.Upsample(scale_factor=upsample.scale_factor, mode="bilinear"),
    }
    decoders = {"mask decoder": decoder, "mask decoder, compiled": fused}
    B, K = setting.images, setting.expressions
    # Results are made here, which compiles: where FLOPs are counted, nothing is compiled.
    ways = {
        name: Way(run=partial(upsampled, layer), images=B, result=upsampled(layer))
        for name, layer in upsamplers.items()
    } | {
        name: Way(run=way.probabilities, images=B, expressions=B * K, result=way.probabilities())
        for name, way in decoders.items()
    }
    pairs = [
        Pair(way="DySample, compiled", plain="DySample"),
        Pair(way="bilinear interpolation", plain="DySample", differ="another function"),
        Pair(way="mask decoder, compiled", plain="mask decoder"),
    ]
    return Benchmark(ways=ways, pairs=pairs, result="what they give")
