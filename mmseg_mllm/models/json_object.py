"""JSON objects in the folder of a model."""

import json
from pathlib import Path
from typing import Any

from mmseg_mllm.errors import CheckpointError
from mmseg_mllm.lfs import refuse_lfs_pointer


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        CheckpointError: the file is absent or holds something else.
    """
    if path.is_file():
        refuse_lfs_pointer(path, CheckpointError)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not readable as JSON ({error}); download it again") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds a {type(content).__name__}, no object; download it again")
    return content


def write_json(path: Path, content: dict) -> None:
    """Write a JSON object for people to read."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
