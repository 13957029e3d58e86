"""The mask decoder alone."""

import torch
from mmengine.config import Config
from torch import Tensor

from mmseg_mllm.analysis.benchmarks.mask_decoder import autocast, build_mask_decoder
from mmseg_mllm.analysis.benchmarks.plain_head import PlainHead
from mmseg_mllm.analysis.benchmarks.way import Benchmark, Pair, Setting, Way


def head(config: Config, setting: Setting) -> Benchmark:
    """Random features of true size; the plain way, MLLMSeg's, runs all of the head for each expression.

    Raises:
        ConfigError: the head has no cross-attention to compare with.
    """
    decoder = build_mask_decoder(config, setting)
    plain = PlainHead(decoder.head)

    @torch.no_grad()
    def each() -> Tensor:
        masks = []
        for k in range(setting.expressions):
            with autocast(setting):
                logits = plain(decoder.detail, decoder.semantic, decoder.queries[:, k])
            masks.append(logits.float().sigmoid())
        return torch.stack(masks, dim=1).flatten(0, 1)

    counts = dict(images=setting.images, expressions=setting.images * setting.expressions)
    ways = {
        "encode once, decode each": Way(run=decoder.probabilities, **counts),
        "all of it for each": Way(run=each, **counts),
    }
    return Benchmark(ways=ways, pairs=[Pair(way="encode once, decode each", plain="all of it for each")])
