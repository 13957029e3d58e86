"""A folder that appears when it is whole, or not at all."""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError

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
    try:
        path = path.expanduser().resolve()
        if path.exists() and not (path.is_dir() and not any(path.iterdir())):
            raise ConfigError(f"{path}: exists already; name a new folder, or remove it")
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
            with _unwinding_on_signals():
                yield scratch
            _open_to_all(scratch)
            if path.exists():
                path.rmdir()
            scratch.rename(path)
        except (OSError, SafetensorError) as error:
            raise ConfigError(f"{path}: could not be written ({error})") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def _unwinding_on_signals() -> Iterator[None]:
    """End by an exception where the process is told to end, so that what was begun is cleaned up."""
    signals = [signal.SIGTERM, signal.SIGHUP]
    if threading.current_thread() is not threading.main_thread():
        signals = []  # only the main thread may set handlers
    before = {number: signal.signal(number, lambda n, frame: sys.exit(128 + n)) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _open_to_all(folder: Path) -> None:
    """What mkdtemp and safetensors make is for its owner alone; a model is shared like other files."""
    umask = os.umask(0)
    os.umask(umask)
    for path in [folder, *folder.rglob("*")]:
        path.chmod((0o777 if path.is_dir() else 0o666) & ~umask)
