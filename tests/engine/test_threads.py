import os
import subprocess
import sys

import psutil
import pytest
import torch

from mmseg_mllm.engine import threads


@pytest.fixture
def machine(monkeypatch):
    """A machine of some cores and percent of them at work, of which this process may use some."""

    def make(*, cores: int, busy: float, own: int) -> None:
        monkeypatch.setattr(os, "cpu_count", lambda: cores)
        monkeypatch.setattr(psutil, "cpu_percent", lambda interval: busy)
        monkeypatch.setattr(threads, "own_cores", lambda: own)

    return make


@pytest.mark.parametrize(
    ("cores", "busy", "own", "idle"),
    [(2, 10.0, 2, 2), (2, 55.0, 2, 1), (2, 100.0, 2, 1), (64, 47.0, 8, 8), (64, 94.0, 8, 4)],
)
def test_idle_cores(machine, cores, busy, own, idle):
    machine(cores=cores, busy=busy, own=own)
    assert threads.idle_cores() == idle


def test_chosen_and_told(machine, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS")
    chosen = []
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    machine(cores=4, busy=25.0, own=4)
    assert "threads: 3 (idle of 4 cores" in threads.choose_threads()
    assert chosen == [3]
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert "(OMP_NUM_THREADS)" in threads.choose_threads()
    assert chosen == [3]


def test_cores_at_work_are_not_idle(monkeypatch):
    monkeypatch.setattr(threads, "own_cores", lambda: 10_000)
    spinning = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)
    ]
    try:
        assert threads.idle_cores() == 1
    finally:
        for process in spinning:
            process.kill()
            process.wait()
