import os

import pytest
import torch

from mmseg_mllm.engine import threads


@pytest.fixture
def machine(monkeypatch):
    """A machine of some cores and a load, of which this process may use some."""

    def make(*, cores: int, load: float, own: int) -> None:
        monkeypatch.setattr(os, "cpu_count", lambda: cores)
        monkeypatch.setattr(os, "getloadavg", lambda: (load, 0, 0))
        monkeypatch.setattr(threads, "own_cores", lambda: own)

    return make


@pytest.mark.parametrize(
    ("cores", "load", "own", "idle"),
    [(2, 0.2, 2, 2), (2, 1.1, 2, 1), (2, 7.0, 2, 1), (64, 30.0, 8, 8), (64, 60.0, 8, 4)],
)
def test_idle_cores(machine, cores, load, own, idle):
    machine(cores=cores, load=load, own=own)
    assert threads.idle_cores() == idle


def test_chosen_and_told(machine, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS")
    chosen = []
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    machine(cores=4, load=1.0, own=4)
    assert "threads: 3 (idle of 4 cores" in threads.choose_threads()
    assert chosen == [3]
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert "(OMP_NUM_THREADS)" in threads.choose_threads()
    assert chosen == [3]
