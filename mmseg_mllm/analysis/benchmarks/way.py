"""What a mode of the benchmark hands over to be measured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is measured at.

    Attributes:
        device: Where the model is.
        dtype: 'float32' or 'bfloat16', as ``MLLMBackbone.dtype``.
        images: B, images that pass together.
        expressions: K, expressions asked about each.
        repeats: Times each way is measured.
        sentences: File with the sentences of images, for mode 'sentences'.
    """

    device: torch.device
    dtype: str
    images: int
    expressions: int
    repeats: int
    sentences: str | None = None


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to do something.

    Attributes:
        run: Does it once.
        images, expressions: How many of them one run answers; no expressions where there is no question.
        result: What ways are compared by; what ``run`` returns by default.
    """

    run: Callable[[], Tensor | None]
    images: int
    expressions: int | None = None
    result: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two ways to compare.

    Attributes:
        way, plain: Their names; the ratio is how many times as fast as ``plain`` the way is.
        differ: What differs in their results, where something must: '' for ways that compute the same.
            None where there is nothing to compare.
    """

    way: str
    plain: str
    differ: str | None = ""


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """The ways of a mode.

    Attributes:
        ways: By name.
        pairs: Which of them are compared.
        figures: Numbers that follow from sizes alone, by name with the unit.
        result: What ``Pair`` compares, with its unit.
        cpu_time: Whether the time of the processor counts, not that of the clock.
    """

    ways: dict[str, Way]
    pairs: Sequence[Pair]
    figures: dict[str, float] = field(default_factory=dict)
    result: str = "mask probabilities"
    cpu_time: bool = False
