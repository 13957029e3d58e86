"""The small files of a checkpoint folder: config, tokenizer, code."""

import shutil
from pathlib import Path

ORIGINAL_DIR = "original"
"""Subfolder of a converted folder that keeps its source's small files, for the way back."""
SMALL_FILES = ("*.json", "*.py", "*.txt", "*.model")


def copy_small_files(source: Path, target: Path) -> None:
    """Copy config, tokenizer and code files; none of them is run."""
    for pattern in SMALL_FILES:
        for path in source.glob(pattern):
            if path.is_file() and not path.name.endswith(".index.json"):
                shutil.copyfile(path, target / path.name)
