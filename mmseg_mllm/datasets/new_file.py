"""A file that appears when it is whole, or not at all."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from mmseg_mllm.errors import DataError


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Give a scratch path beside ``path``; it takes that name if the block ends well, and goes if not."""
    if path.exists():
        raise DataError(f"{path}: exists already; name a new file, or remove it")
    scratch = path.with_name(f".{path.name}.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield scratch
        scratch.rename(path)
    except OSError as error:
        raise DataError(f"{path}: can't be written ({error.strerror})") from None
    finally:
        with contextlib.suppress(OSError):
            scratch.unlink()
