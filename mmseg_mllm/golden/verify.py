"""All parts of a reference set."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from pkgutil import resolve_name

from mmseg_mllm.errors import DataError, MMSegMLLMError
from mmseg_mllm.golden import PARTS, check_arguments
from mmseg_mllm.golden.checks import Check


def verify(folder: Path, parts: Sequence[str] = ()) -> Iterator[tuple[str, list[Check]]]:
    """Compare part after part, each with what the set has of it.

    Args:
        folder: A reference set, whole or slim.
        parts: Names in ``PARTS``; all by default.

    Yields:
        Name of the part and its checks.

    Raises:
        ConfigError: there is no such part.
        DataError: the set lacks a file or an entry, or has nothing to compare for a part.
    """
    check_arguments(folder, parts)
    for part in parts or PARTS:
        try:
            check, more = PARTS[part]
            checks = resolve_name(f"{__package__}.{check}")(folder, **more)
        except MMSegMLLMError:
            raise
        except Exception as error:  # arrays of any other shape or kind
            raise DataError(
                f"{folder}: part {part!r} is not in the layout of a reference set ({error!r})"
            ) from error
        if all(check.passed is None for check in checks):
            raise DataError(f"{folder}: nothing to compare for part {part!r}; the set is incomplete")
        yield part, checks
