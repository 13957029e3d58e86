"""A training that is told to stop ends after a whole step, saved. Imports no torch before it is asked."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator

EXIT_CODE = 75
"""Of a run that was saved and is to go on: EX_TEMPFAIL of sysexits.h. tools/slurm_train.sh starts it
again."""

_received: list[int] = []
_agreed: list[int] = []


def leave_at_once(launcher: str) -> None:
    """Until there is something to save: end by the signals of :func:`listening` with the same exit code."""
    for number in _numbers(launcher):
        signal.signal(number, lambda number, frame: sys.exit(EXIT_CODE))


@contextlib.contextmanager
def listening(launcher: str) -> Iterator[None]:
    """Note signals to stop instead of ending by them.

    These are SIGTERM, which schedulers send before they kill, and SIGUSR1, Slurm's notice before a time
    limit. torchrun ends its processes with SIGTERM when one of them has failed, and there is nothing to wait
    for then: under it SIGUSR1 alone is noted, which tools/launch.py sends for both. Data workers inherit this
    and go on, where a scheduler signals all processes. Once all have agreed to stop, later signals don't
    matter any more.
    """
    _received.clear()
    _agreed.clear()
    numbers = _numbers(launcher)
    if threading.current_thread() is not threading.main_thread():
        numbers = []  # only the main thread may set handlers
    before = {number: signal.signal(number, lambda n, frame: _received.append(n)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items() if not _agreed else ():
            signal.signal(number, handler)


def _numbers(launcher: str) -> list[int]:
    return [signal.SIGUSR1] if launcher == "pytorch" else [signal.SIGUSR1, signal.SIGTERM]


def told() -> bool:
    """Whether this process was told to stop."""
    return bool(_received)


def ask_all() -> None:
    """See, in all processes at the same point, whether any of them was told to stop."""
    import torch
    from mmengine.dist import all_reduce

    told = torch.tensor([_received[0] if _received else 0])
    all_reduce(told, op="max")
    if told.item():
        _agreed[:] = [int(told)]


def agreed() -> str | None:
    """The signal's name, if all processes know that the run stops."""
    return signal.Signals(_agreed[0]).name if _agreed else None
