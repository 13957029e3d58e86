"""Memory of the test's own process."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

PROCESS = Path("/proc/self")


@contextlib.contextmanager
def grows_by_less_than(size: int) -> Iterator[None]:
    """Check that the block's peak is less than ``size`` bytes above what the process had; on Linux only."""
    if not (PROCESS / "clear_refs").exists():
        yield
        return
    (PROCESS / "clear_refs").write_text("5")  # the peak starts anew
    before = _status("VmRSS")
    yield
    assert _status("VmHWM") - before < size


def _status(name: str) -> int:
    """Bytes, from the kernel's account."""
    lines = (PROCESS / "status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))
