"""All parts of a reference set."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from mmseg_mllm.errors import ConfigError, DataError, MMSegMLLMError
from mmseg_mllm.golden.checks import Check
from mmseg_mllm.golden.decoder_part import check_decoder
from mmseg_mllm.golden.dysample_part import check_dysample
from mmseg_mllm.golden.metrics_part import check_metrics
from mmseg_mllm.golden.mllm_part import check_mllm
from mmseg_mllm.golden.prompts_part import check_prompts

PARTS: dict[str, Callable[[Path], list[Check]]] = {
    "decoder": check_decoder,
    "dysample": check_dysample,
    "qwen2": partial(check_mllm, name="qwen2"),
    "internlm2": partial(check_mllm, name="internlm2"),
    "metrics": check_metrics,
    "prompts": check_prompts,
}


def verify(folder: Path, parts: Sequence[str] = ()) -> Iterator[tuple[str, list[Check]]]:
    """Compare part after part.

    Args:
        folder: A reference set.
        parts: Names in ``PARTS``; all by default.

    Yields:
        Name of the part and its checks.

    Raises:
        ConfigError: there is no such part.
        DataError: the set lacks a file or an entry.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    for part in parts:
        if part not in PARTS:
            raise ConfigError(f"unknown part {part!r}; there are {', '.join(PARTS)}")
    for part in parts or PARTS:
        try:
            yield part, PARTS[part](folder)
        except MMSegMLLMError:
            raise
        except Exception as error:  # arrays of any other shape or kind
            raise DataError(
                f"{folder}: part {part!r} is not in the layout of a reference set ({error!r})"
            ) from error
