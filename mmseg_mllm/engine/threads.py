"""How many threads are worth having on a CPU."""

import os
from pathlib import Path

VARIABLE = "OMP_NUM_THREADS"
SECONDS = 0.3  # for which the machine is watched


def own_cores() -> int:
    """Cores that this process may use: its affinity, and the quota of its control group (containers)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cores = min(cores, max(1, int(quota) // int(period)))
    except (OSError, ValueError):  # no such file, or "max"
        pass
    return cores


def idle_cores() -> int:
    """Of those the ones that have nothing to do at this moment; at least one.

    Threads of a matrix product wait for one another: one that shares its core with another program holds up
    all the others, so that two on a busy machine with two cores take several times as long as one. The load
    average won't do: for minutes it counts what has ended, such as an installation or the making of data.
    """
    import psutil

    idle = 1 - psutil.cpu_percent(interval=SECONDS) / 100
    return max(1, min(own_cores(), round((os.cpu_count() or 1) * idle)))


def choose_threads() -> str:
    """Have torch use the idle cores, or what ``OMP_NUM_THREADS`` says; gives what to tell about it."""
    import torch

    if VARIABLE in os.environ:
        return f"threads: {torch.get_num_threads()} ({VARIABLE})"
    threads = idle_cores()
    torch.set_num_threads(threads)
    return f"threads: {threads} (idle of {own_cores()} cores; {VARIABLE} sets another number)"
