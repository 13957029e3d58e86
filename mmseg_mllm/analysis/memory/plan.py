"""What a training takes: memory of each GPU and of the host, and disk."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope

from mmseg_mllm.analysis.memory.shards import gathered_bytes
from mmseg_mllm.analysis.memory.training_step import FROZEN, GRADIENTS, TRAINED, StepMemory, step_memory
from mmseg_mllm.engine.config import fit_effective_batch
from mmseg_mllm.engine.sharding import INT8
from mmseg_mllm.errors import ConfigError
from mmseg_mllm.models.backbones.quantization import BYTES, llm_linears
from mmseg_mllm.models.segmentors import MLLMSegmentor

CONTEXT = 800_000_000
"""Of CUDA and its libraries on a GPU, assumed."""
PROCESS = 1_500_000_000
"""Of Python, torch and CUDA in a process's host memory, assumed."""
OPTIMIZER, LIBRARIES = "optimiser", "CUDA and its libraries"
BUCKETS, GATHERED = "gradients on their way (DDP)", "gathered for use (FSDP)"
DEQUANTISED, UPDATE = "weight in use, dequantised", "update of the weights"


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a config is trained.

    Attributes:
        images: Most images that pass together on a GPU; ``train_dataloader.batch_size``.
        expressions: Asked about each.
        checkpointing: ``model.backbone.gradient_checkpointing``.
        dtype: 'float32' or 'bfloat16'.
        gpus: Processes, one per GPU.
        shard: Whether weights are spread over the GPUs (FSDP) instead of copied to each (DDP).
        quantization: ``model.backbone.quantization``.
    """

    images: int
    expressions: int
    checkpointing: bool
    dtype: str
    gpus: int = 1
    shard: bool = False
    quantization: str | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Bytes.

    Attributes:
        way: What it is for, with the images that really pass together.
        rounds: Batches per optimiser step.
        held: On each GPU all along, by part.
        peak: On each GPU at the peak besides, by part.
        gradients: On each GPU after the backward pass.
        host: Of each process while it starts.
        checkpoint: File of what was trained, with the optimiser; as much is in the main process's
            memory while it is saved.
    """

    way: Way
    rounds: int
    held: Mapping[str, int]
    peak: Mapping[str, int]
    gradients: int
    host: int
    checkpoint: int

    @property
    def total(self) -> int:
        """On each GPU at the peak."""
        return sum(self.held.values()) + sum(self.peak.values())


def way_of(config: Config, *, gpus: int, shard: bool, quantization: str | None) -> Way:
    """How a config is trained by itself; ``dtype='auto'`` is bfloat16, as on GPUs since 2020."""
    backbone = config.model.backbone
    dtype = backbone.get("dtype", "float32")
    return Way(
        images=config.train_dataloader.batch_size,
        expressions=_most_expressions(config.train_dataloader),
        checkpointing=backbone.get("gradient_checkpointing", False),
        dtype="bfloat16" if dtype == "auto" else dtype,
        gpus=gpus,
        shard=shard and gpus > 1,
        quantization=quantization or backbone.get("quantization"),
    )


class Planner:
    """Counts what a config takes that is trained in one way or another.

    Args:
        config: As it is read from its file.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._steps: dict[tuple, StepMemory] = {}  # which ways share

    def plan(self, way: Way) -> Plan:
        """What it takes in this way.

        Raises:
            ConfigError: the config trains no referring segmentor, or its batch can't be shared by the GPUs.
        """
        if way.quantization not in (None, *BYTES):
            raise ConfigError(f"quantization={way.quantization!r}: choose {', '.join(BYTES)} or None")
        if way.shard and way.quantization == "int8":
            raise ConfigError(INT8)
        config = deepcopy(self._config)
        config.train_dataloader.batch_size = way.images
        fit_effective_batch(config, processes=way.gpus)
        way = replace(way, images=config.train_dataloader.batch_size)
        rounds = config.optim_wrapper.get("accumulative_counts", 1)
        step = self._step(way, accumulates=rounds > 1)
        states = _state_bytes(config.optim_wrapper, step.segmentor)
        frozen, dequantised = stored(step, way.quantization)
        shards = way.gpus if way.shard else 1
        held = {
            FROZEN: frozen // shards,
            TRAINED: step.trained // shards,
            OPTIMIZER: states // shards,
            BUCKETS: step.gradients if way.gpus > 1 and not way.shard else 0,
            GATHERED: gathered_bytes(step.segmentor, way.quantization) if way.shard else 0,
            LIBRARIES: CONTEXT,
        }
        peak = {part: size // shards if part == GRADIENTS else size for part, size in step.peak.items()}
        if dequantised:
            peak[DEQUANTISED] = dequantised
        # An update of all weights together holds one more copy of them.
        update = {GRADIENTS: step.gradients // shards, UPDATE: step.trained // shards}
        return Plan(
            way=way,
            rounds=rounds,
            held={part: size for part, size in held.items() if size},
            peak=max(peak, update, key=lambda parts: sum(parts.values())),
            gradients=step.gradients // shards,
            host=PROCESS + (step.frozen if way.quantization else 0),
            checkpoint=step.trained + states,
        )

    def _step(self, way: Way, *, accumulates: bool) -> StepMemory:
        key = (way.images, way.checkpointing, accumulates)
        if key not in self._steps:
            backbone = dict(self._config.model.backbone, gradient_checkpointing=way.checkpointing)
            self._steps[key] = step_memory(
                dict(self._config.model, backbone=backbone),
                images=way.images,
                expressions=way.expressions,
                dtype=way.dtype,
                gpu=True,
                accumulates=accumulates,
            )
        return self._steps[key]


def stored(step: StepMemory, quantization: str | None) -> tuple[int, int]:
    """Bytes of the frozen weights as they are kept, and of the largest that is dequantised for use."""
    if quantization is None:
        return step.frozen, 0
    linears = [linear for _, linear in llm_linears(step.segmentor.backbone.text_model)]
    saved = sum(linear.weight.nbytes - BYTES[quantization](linear) for linear in linears)
    return round(step.frozen - saved), max(linear.weight.nbytes for linear in linears)


def _state_bytes(optim_wrapper: dict, segmentor: MLLMSegmentor) -> int:
    """Bytes of an optimiser's state for all that is trained: those of a step without memory."""
    with DefaultScope.overwrite_default_scope("mmseg"):
        made = build_optim_wrapper(segmentor, dict(optim_wrapper)).optimizer
    made.step()
    states = (x for state in made.state.values() for x in state.values())
    return sum(x.nbytes for x in states if isinstance(x, torch.Tensor) and x.ndim)


def _most_expressions(dataloader: dict) -> int:
    """Most expressions of an image that a training batch holds."""
    found = list(_sampled(dataloader))
    if not found:
        raise ConfigError(
            "train_dataloader: no pipeline has SampleExpressions, so that nothing bounds the expressions of "
            "an image, nor the memory"
        )
    return max(found)


def _sampled(node: object) -> list[int]:
    if isinstance(node, dict):
        own = [node.get("max_expressions", 5)] if node.get("type") == "SampleExpressions" else []
        return own + [n for child in node.values() for n in _sampled(child)]
    return [n for child in node for n in _sampled(child)] if isinstance(node, list | tuple) else []
