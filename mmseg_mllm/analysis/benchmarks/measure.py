"""Measuring ways in turn, so that what slows the machine down slows all of them."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from mmseg_mllm.analysis.benchmarks.flops import count
from mmseg_mllm.analysis.benchmarks.memory import PeakMemory
from mmseg_mllm.analysis.benchmarks.way import Benchmark, Pair, Setting

MATMUL_SIDE = {"cpu": 1024, "cuda": 8192}
"""Side of the square matrices whose product tells what the device can do."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Median and extremes of some numbers."""

    median: float
    min: float
    max: float

    @classmethod
    def of(cls, numbers: list[float]) -> "Spread":
        return cls(median=statistics.median(numbers), min=min(numbers), max=max(numbers))


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One way, measured.

    Attributes:
        seconds: Of each repeat.
        flops: Of one run, as it runs: with what is computed again in a backward pass.
        peak_bytes: Most memory in use in any repeat; see :class:`PeakMemory`.
    """

    seconds: list[float]
    flops: int
    peak_bytes: int


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Two ways, compared.

    Attributes:
        pair: Which.
        ratio: Seconds of the plain way by those of the other, repeat by repeat.
        difference: Largest absolute difference of the results; None where none is compared.
    """

    pair: Pair
    ratio: Spread
    difference: float | None


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """A benchmark, measured.

    Attributes:
        ways: By name.
        compared: In the order of the benchmark's pairs.
        finite: Whether all results were.
        matmul_rate: FLOPs per second of a large matrix product in the same dtype, measured before each run of
            a way; None for processor time.
        memory: What ``peak_bytes`` counts.
    """

    ways: dict[str, Measured]
    compared: list[Compared]
    finite: bool
    matmul_rate: Spread | None
    memory: str


def measure(benchmark: Benchmark, setting: Setting) -> Measurements:
    """Warm up, then measure all ways in turn."""
    memory = PeakMemory(setting.device)
    rate = None if benchmark.cpu_time else matmul_rate(setting.device, getattr(torch, setting.dtype))
    ways, clock = benchmark.ways, time.process_time if benchmark.cpu_time else time.perf_counter
    results, flops = {}, {}
    for name, way in ways.items():
        result, flops[name] = count(way.run)
        results[name] = _kept(result if way.result is None else way.result)
        if setting.device.type == "cuda":
            way.run()  # while FLOPs are counted, some kernels are others
    seconds = {name: [] for name in ways}
    peaks = dict.fromkeys(ways, 0)
    rates = []
    for _ in range(setting.repeats):
        for name, way in ways.items():
            if rate is not None:
                rates.append(rate())
            memory.start()
            seconds[name].append(_timed(way.run, setting.device, clock))
            peaks[name] = max(peaks[name], memory.peak())
    return Measurements(
        ways={
            name: Measured(seconds=seconds[name], flops=flops[name], peak_bytes=peaks[name]) for name in ways
        },
        compared=[_compare(pair, seconds, results) for pair in benchmark.pairs],
        finite=all(r is None or bool(r.isfinite().all()) for r in results.values()),
        matmul_rate=Spread.of(rates) if rates else None,
        memory=memory.says,
    )


def matmul_rate(device: torch.device, dtype: torch.dtype) -> Callable[[], float]:
    """Measures FLOPs per second of a large matrix product, warmed up."""
    side = MATMUL_SIDE[device.type]

    def rate() -> float:
        # Made anew, so that it is gone when the memory of a way is measured.
        factor = torch.randn(side, side, device=device, dtype=dtype)
        run = partial(torch.mm, factor, factor, out=torch.empty_like(factor))
        return 2 * side**3 / _timed(run, device, time.perf_counter)

    rate()
    return rate


def _timed(run: Callable[[], object], device: torch.device, clock: Callable[[], float]) -> float:
    _wait(device)
    start = clock()
    run()
    _wait(device)
    return clock() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _kept(result: Tensor | None) -> Tensor | None:
    """Off the device, so that it adds nothing to the peak."""
    return None if result is None else result.detach().float().cpu()


def _compare(pair: Pair, seconds: dict[str, list[float]], results: dict[str, Tensor]) -> Compared:
    ratios = [p / w for p, w in zip(seconds[pair.plain], seconds[pair.way], strict=True)]
    difference = None
    if pair.differ is not None:
        difference = (results[pair.way] - results[pair.plain]).abs().max().item()
    return Compared(pair=pair, ratio=Spread.of(ratios), difference=difference)
