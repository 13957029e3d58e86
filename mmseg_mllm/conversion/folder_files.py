"""The small files of a checkpoint folder: config, tokenizer, code."""

import json
import shutil
from pathlib import Path
from typing import Any

from mmseg_mllm.errors import CheckpointError
from mmseg_mllm.lfs import refuse_lfs_pointer

ORIGINAL_DIR = "original"
"""Subfolder of a converted folder that keeps its source's small files, for the way back."""
SMALL_FILES = ("*.json", "*.py", "*.txt", "*.model")


def copy_small_files(source: Path, target: Path) -> None:
    """Copy config, tokenizer and code files; none of them is run."""
    for pattern in SMALL_FILES:
        for path in source.glob(pattern):
            if path.is_file() and not path.name.endswith(".index.json"):
                shutil.copyfile(path, target / path.name)


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
