"""A folder that appears when it is whole, or not at all."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mmseg_mllm.errors import ConfigError


@contextlib.contextmanager
def new_folder(path: Path, *, needed_bytes: int = 0) -> Iterator[Path]:
    """Give a scratch folder beside ``path``; it takes that name if the block ends well, and goes if not.

    Args:
        path: Must not exist yet, or be empty.
        needed_bytes: Room that the disk must have.

    Raises:
        ConfigError: something is there already, the place can't be written to, or the disk is too full.
    """
    path = path.absolute()
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise ConfigError(f"{path}: exists already; name a new folder, or remove it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    except OSError as error:
        raise ConfigError(f"{path}: can't be made ({error.strerror})") from None
    try:
        free = shutil.disk_usage(scratch).free
        if free < needed_bytes:
            raise ConfigError(
                f"{path}: needs {needed_bytes / 1e9:.1f} GB, its disk has {free / 1e9:.1f} GB free"
            )
        try:
            yield scratch
        except OSError as error:
            raise ConfigError(f"{path}: could not be written ({error})") from error
        _open_to_all(scratch)
        if path.exists():
            path.rmdir()
        scratch.rename(path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _open_to_all(folder: Path) -> None:
    """What mkdtemp and safetensors make is for its owner alone; a model is shared like other files."""
    umask = os.umask(0)
    os.umask(umask)
    for path in [folder, *folder.rglob("*")]:
        path.chmod((0o777 if path.is_dir() else 0o666) & ~umask)
