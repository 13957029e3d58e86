"""Comparison with numbers that the authors' code produced (tools/analysis_tools/verify_golden.py)."""

from collections.abc import Sequence
from pathlib import Path

from mmseg_mllm.errors import ConfigError, DataError

PARTS: dict[str, tuple[str, dict]] = {
    "decoder": ("decoder_part:check_decoder", {}),
    "dysample": ("dysample_part:check_dysample", {}),
    "qwen2": ("mllm_part:check_mllm", dict(name="qwen2")),
    "internlm2": ("mllm_part:check_mllm", dict(name="internlm2")),
    "metrics": ("metrics_part:check_metrics", {}),
    "prompts": ("prompts_part:check_prompts", {}),
}
"""Parts of a reference set: what compares each, imported when it runs, and what it gets beside the folder."""


def check_arguments(folder: Path, parts: Sequence[str]) -> None:
    """See that there is such a folder, and that there are such parts.

    Raises:
        ConfigError: there is no such part.
        DataError: there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    for part in parts:
        if part not in PARTS:
            raise ConfigError(f"unknown part {part!r}; there are {', '.join(PARTS)}")
