"""Reading JSON files within bounds."""

import contextlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mmseg_mllm.datasets.limits import MAX_JSON_BYTES, MAX_JSON_MEMORY, check_limit
from mmseg_mllm.errors import DataError
from mmseg_mllm.lfs import refuse_lfs_pointer

# What json makes of a file, counted before it does: bytes of an object for each character that begins one.
_COSTS = {",": 40, '"': 12, "[": 72, "{": 200}


def read_json(
    path: str | Path,
    *,
    object_hook: Callable[[dict], Any] | None = None,
    encodings: Sequence[str] = ("utf-8-sig",),  # some editors begin a file with a mark
) -> Any:
    """Decode a JSON file.

    Args:
        path: The file, which exists.
        object_hook: Takes each object as it is decoded and gives what to keep in its place, so that a large
            file need not be held as a whole.
        encodings: Tried one after the other.

    Raises:
        DataError: not JSON, or above the bounds.
    """
    path = Path(path)
    refuse_lfs_pointer(path, DataError)
    check_limit(f"{path}: the file has", path.stat().st_size, MAX_JSON_BYTES, unit="bytes")
    try:
        text = _decoded(path.read_bytes(), encodings)
        memory = sum(text.count(character) * cost for character, cost in _COSTS.items())
        check_limit(f"{path}: decoded, the file takes about", memory, MAX_JSON_MEMORY, unit="bytes")
        return json.loads(text, object_hook=object_hook)
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        raise DataError(f"{path}: can't be read as JSON ({error}); mend or download it again") from None


def _decoded(content: bytes, encodings: Sequence[str]) -> str:
    *others, last = encodings
    for encoding in others:
        with contextlib.suppress(UnicodeDecodeError):
            return content.decode(encoding)
    return content.decode(last)
