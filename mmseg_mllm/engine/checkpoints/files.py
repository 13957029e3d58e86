"""Files that are there whole or not at all."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import torch

from mmseg_mllm.errors import CheckpointError

SUFFIX = ".tmp"
_kept: dict[Path, int] = {}
"""Open lock files of this process; closing one would release its lock."""


def keep_others_out(folder: Path) -> None:
    """Refuse a folder that a run of another process writes to, and keep others out until this process ends.

    On Windows and file systems without locks nothing is seen. Data workers that outlive a killed run do not
    hold its lock, as they would that of ``flock``.

    Raises:
        CheckpointError: another process is at it.
    """
    try:
        import fcntl
    except ImportError:
        return
    folder = folder.resolve()
    if folder in _kept:
        return
    file = os.open(folder / ".lock", os.O_WRONLY | os.O_CREAT, 0o666)
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        os.close(file)
        raise CheckpointError(
            f"{folder}: another run writes its checkpoints there; give this one another --work-dir, or end "
            "the other one first"
        ) from None
    except OSError:
        os.close(file)
        return
    _kept[folder] = file


def write_checkpoint(content: dict, path: Path) -> None:
    """Write a checkpoint in torch's format. An older file of that name stays until the new one is safe.

    Raises:
        OSError: it can't be written; nothing is left behind.
    """
    try:
        write_whole(path, lambda file: torch.save(content, file))
    except RuntimeError as error:  # torch's writer says no more than that it failed
        cause = error.__context__
        raise cause if isinstance(cause, OSError) else OSError(str(error)) from error


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write to a temporary file beside ``path``, bring it to the disk, and give it the name.

    Whoever is killed at any moment leaves the old file or the new one. What is left of the temporary one is
    removed by :func:`remove_leftovers`.
    """
    scratch = path.with_name(f".{path.name}{SUFFIX}")
    try:
        with scratch.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files of runs that were killed while they wrote."""
    for name in ("*.pth", "last_checkpoint"):
        for path in folder.glob(f".{name}{SUFFIX}"):
            path.unlink(missing_ok=True)
