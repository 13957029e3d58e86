"""Files of a reference set."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from mmseg_mllm.errors import DataError


def read_json(folder: Path, name: str) -> Any:
    """A JSON file of the set.

    Raises:
        DataError: it is absent or broken.
    """
    try:
        return json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{folder / name}: can't be read ({error}); the reference set is incomplete"
        ) from None


def read_arrays(folder: Path, name: str) -> dict[str, np.ndarray]:
    """All arrays of an ``.npz`` file; objects in it are refused, since they could run code.

    Raises:
        DataError: it is absent or broken.
    """
    try:
        with np.load(folder / name, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except Exception as error:  # zip and zlib have their own for damaged files
        raise DataError(
            f"{folder / name}: can't be read ({error}); the reference set is incomplete"
        ) from None


def set_prefix(folder: Path) -> str:
    """What the names of all draws of the set start with."""
    return read_json(folder, "manifest_qwen2.json").get("prefix", "")
