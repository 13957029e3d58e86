"""Memory of one training step, from sizes alone."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import nn

from mmseg_mllm.analysis.benchmarks.inputs import random_images, samples_of
from mmseg_mllm.analysis.benchmarks.synthetic_tokenizer import SyntheticTokenizer, expression_texts
from mmseg_mllm.analysis.benchmarks.way import Setting
from mmseg_mllm.analysis.complexity import build_on_meta
from mmseg_mllm.analysis.memory.fake_model import SizesOnly, fake_tensors
from mmseg_mllm.analysis.memory.kernels import cpu_workspace, kernels_of_gpus
from mmseg_mllm.analysis.memory.live_storages import LiveStorages
from mmseg_mllm.models.segmentors import MLLMSegmentor

FROZEN, TRAINED, GRADIENTS = "frozen weights, buffers", "trained weights", "gradients"


@dataclass(frozen=True, kw_only=True)
class StepMemory:
    """What one process holds in one training step, without optimiser and other processes.

    Attributes:
        frozen: Bytes of weights that are not trained, and of buffers.
        trained: Bytes of trained weights.
        gradients: Bytes of their gradients, all of them.
        peak: Bytes by part at the peak, the weights left out.
        segmentor: The model, without memory.
    """

    frozen: int
    trained: int
    gradients: int
    peak: Counter[str]
    segmentor: MLLMSegmentor

    @property
    def total(self) -> int:
        """Bytes at the peak with the weights."""
        return self.frozen + self.trained + self.peak.total()


def step_memory(
    model: dict, *, images: int, expressions: int, dtype: str, gpu: bool, accumulates: bool = False
) -> StepMemory:
    """Run a training step on tensors without memory, and see what would be in use.

    Args:
        model: Config of an ``MLLMSegmentor``.
        images: B, passing together.
        expressions: K, asked about each.
        dtype: 'float32' or 'bfloat16', as of ``MLLMBackbone``.
        gpu: Whether it would run on a CUDA device, or on a CPU.
        accumulates: Whether gradients of an earlier batch are there already.

    Raises:
        ConfigError: the config is of another segmentor.
    """
    live = LiveStorages(workspace=None if gpu else cpu_workspace)
    segmentor = build_on_meta(model, dtype=dtype).train()
    segmentor.backbone.tokenizer = SyntheticTokenizer(vocab_size=segmentor.backbone.vocab_size)
    size = segmentor.backbone.image_size
    with SizesOnly():
        fake_tensors(segmentor)
        setting = Setting(
            device=torch.device("cpu"), dtype=dtype, images=images, expressions=expressions, repeats=1
        )
        parameters = list(segmentor.parameters())
        _watch(segmentor, live)
        with live, kernels_of_gpus() if gpu else nullcontext():
            for part, tensors in (
                (FROZEN, [*(p for p in parameters if not p.requires_grad), *segmentor.buffers()]),
                (TRAINED, [p for p in parameters if p.requires_grad]),
            ):
                live.part = part
                for tensor in tensors:
                    live.count(tensor)
            if accumulates:
                live.part = GRADIENTS
                for tensor in tensors:
                    tensor.grad = torch.zeros_like(tensor)
            live.part = "images, masks"
            inputs = random_images(size, setting)
            samples = samples_of(expression_texts(expressions), setting, mask_size=size)
            sum(segmentor.loss(inputs, samples).values()).backward()
    held = {part: live.live[part] for part in (FROZEN, TRAINED, GRADIENTS)}
    return StepMemory(
        frozen=held[FROZEN],
        trained=held[TRAINED],
        gradients=held[GRADIENTS],
        peak=+Counter({part: size for part, size in live.peak.items() if part not in (FROZEN, TRAINED)}),
        segmentor=segmentor,
    )


def _watch(segmentor: MLLMSegmentor, live: LiveStorages) -> None:
    """Tell ``live`` what runs; layers are watched too, since some run again in the backward pass."""
    for part, roots in _parts(segmentor):
        for module in (module for root in roots for module in root.modules()):
            module.register_forward_pre_hook(_enter(live, part))
    for parameter in segmentor.parameters():
        if parameter.requires_grad:
            parameter.register_post_accumulate_grad_hook(_label(live))


def _parts(segmentor: MLLMSegmentor) -> Iterator[tuple[str, list[nn.Module]]]:
    """Activations by the module whose forward pass ran last; their gradients count there too."""
    family, mllm = segmentor.backbone.family, segmentor.backbone.model
    yield "vision tower", family.modules(mllm, family.vision)
    yield "projector", family.modules(mllm, family.projector)
    if segmentor.detail_backbone is not None:
        yield "detail backbone", [segmentor.detail_backbone]
    yield "language model", [segmentor.backbone.text_model]
    yield "LM head, logits", [mllm.lm_head]
    yield "mask decoder, losses", [segmentor.decode_head]


def _enter(live: LiveStorages, part: str) -> Callable[..., None]:
    def enter(module: nn.Module, inputs: tuple) -> None:
        live.part = part

    return enter


def _label(live: LiveStorages) -> Callable[[nn.Parameter], None]:
    def label(parameter: nn.Parameter) -> None:
        part, live.part = live.part, GRADIENTS
        live.count(parameter.grad)
        live.part = part

    return label
