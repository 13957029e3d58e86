"""Running a mode by its name."""

from pkgutil import resolve_name

import torch
from mmengine.config import Config

from mmseg_mllm.analysis.benchmarks import MODES
from mmseg_mllm.analysis.benchmarks.measure import Measurements, measure
from mmseg_mllm.analysis.benchmarks.way import Benchmark, Setting
from mmseg_mllm.errors import ConfigError
from mmseg_mllm.models.backbones.compute_dtype import DTYPES, compute_dtype


def run_benchmark(mode: str, config: Config, setting: Setting) -> tuple[Benchmark, Measurements]:
    """Build what a mode needs and measure it.

    Args:
        mode: A key of ``MODES``.
        config: Of an ``MLLMSegmentor``; weights are random, so none are read.
        setting: From :func:`make_setting`.

    Raises:
        ConfigError: there is no such mode, or the config is of another model.
        DataError: data of mode 'pipeline' or 'sentences' is missing or broken.
    """
    if mode not in MODES:
        raise ConfigError(f"unknown mode {mode!r}; there are {', '.join(MODES)}")
    torch.manual_seed(0)
    benchmark = resolve_name(f"{__package__}.{MODES[mode]}:{mode}")(config, setting)
    return benchmark, measure(benchmark, setting)


def make_setting(
    *,
    device: str | None,
    dtype: str | None,
    images: int,
    expressions: int,
    repeats: int,
    config: Config,
    sentences: str | None = None,
) -> Setting:
    """Check the arguments.

    Args:
        device: 'cpu' or 'cuda'; None takes 'cuda' if there is one.
        dtype: 'float32', 'bfloat16' or 'auto'; None takes the config's.
        images, expressions, repeats, sentences: As in :class:`Setting`.
        config: Where the dtype is.

    Raises:
        ConfigError: a device or dtype does not exist, or a number is below 1.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    dtype = dtype or config.get("model", {}).get("backbone", {}).get("dtype", "float32")
    for name, value, known in (
        ("device", device, ("cpu", "cuda")),
        ("dtype", dtype, DTYPES),
    ):
        if value not in known:
            raise ConfigError(f"{name} {value!r}: choose {' or '.join(known)}")
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device 'cuda': torch finds no CUDA device; choose cpu")
    for name, value in dict(batch=images, expressions=expressions, repeats=repeats).items():
        if value < 1:
            raise ConfigError(f"{name}={value} must be at least 1")
    return Setting(
        device=torch.device(device),
        dtype=str(compute_dtype(dtype, device=device)).removeprefix("torch."),
        images=images,
        expressions=expressions,
        repeats=repeats,
        sentences=sentences,
    )
