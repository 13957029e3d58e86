"""A segmentor of true size with random weights, built in seconds."""

import random

import torch
from mmseg.registry import MODELS
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from mmseg_mllm.analysis.benchmarks.synthetic_tokenizer import SyntheticTokenizer
from mmseg_mllm.analysis.benchmarks.way import Setting
from mmseg_mllm.compat import quiet_upstream
from mmseg_mllm.errors import ConfigError
from mmseg_mllm.models.segmentors import MLLMSegmentor

PERIOD = 1_000_003
"""Random numbers drawn; larger tensors repeat them. A prime, so that no two rows of a matrix are the same."""


def build_random(model: dict, setting: Setting, *, merged: bool) -> MLLMSegmentor:
    """Build a config's ``model`` on the device, with random weights and made-up tokens.

    Args:
        model: Config of an ``MLLMSegmentor``; its weights and tokenizer are not read.
        setting: Device and dtype.
        merged: Leave LoRA out, as when it is merged into the language model's weights.

    Raises:
        ConfigError: the config is of another segmentor.
    """
    if model.get("type") != MLLMSegmentor.__name__:
        raise ConfigError(f"model.type={model.get('type')!r}: an MLLMSegmentor is measured")
    backbone = dict(model["backbone"], pretrained=None, tokenizer=None, dtype=setting.dtype)
    if merged:
        backbone["lora"] = None
    with torch.device(setting.device), RepeatedRandom(), quiet_upstream():
        segmentor = MODELS.build(
            dict(model, backbone=backbone, decode_head=dict(model["decode_head"], pretrained=None))
        )
    segmentor.backbone.tokenizer = SyntheticTokenizer(vocab_size=segmentor.backbone.vocab_size)
    return segmentor.eval()


class RepeatedRandom(TorchDispatchMode):
    """Fills large tensors with the same random numbers over and over.

    A core draws a number in 4 to 5 ns, and most weights are drawn twice: over a minute for 8 billion. This
    takes a tenth of it. Only random fills are changed; what a layer sets to a constant, and its buffers, are
    as always.
    """

    def __init__(self) -> None:
        super().__init__()
        self._blocks: dict[tuple, Tensor] = {}
        self._starts = random.Random(0)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        fills = (torch.ops.aten.normal_.default, torch.ops.aten.uniform_.default)
        if func not in fills or args[0].numel() <= PERIOD or not args[0].is_contiguous():
            return func(*args, **kwargs)
        return self._fill(func, *args, **kwargs)

    def _fill(self, func, tensor: Tensor, *args, **kwargs) -> Tensor:
        key = (func, tensor.device, args)
        if key not in self._blocks:
            empty = torch.empty(PERIOD, device=tensor.device, dtype=torch.float32)
            self._blocks[key] = func(empty, *args, **{k: v for k, v in kwargs.items() if v is not None})
        # Layers that started with the same numbers would agree with one another.
        block = self._blocks[key].roll(self._starts.randrange(PERIOD))
        flat = tensor.view(-1)
        whole = len(flat) // PERIOD
        flat[: whole * PERIOD].view(whole, PERIOD).copy_(block)
        flat[whole * PERIOD :].copy_(block[: len(flat) - whole * PERIOD])
        return tensor
