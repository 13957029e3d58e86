"""Peak memory of one run."""

import contextlib
import ctypes
import gc
import resource
from pathlib import Path

import torch

STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")


class PeakMemory:
    """Most memory in use since :meth:`start`, weights included, in bytes.

    On CUDA that is what tensors took. On a CPU it is the process's resident memory; where the system does not
    let the peak be reset, it is that since the process began, and ``says`` tells so.

    Attributes:
        says: What is measured.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._resets = device.type == "cuda" or _reset_resident_peak()
        if device.type == "cuda":
            self.says = "CUDA tensors at their peak, weights included"
        elif self._resets:
            self.says = "the process's resident memory at its peak in the run, weights and libraries included"
        else:
            self.says = "the process's resident memory at its peak since it began"

    def start(self) -> None:
        """Forget earlier peaks, and give back what earlier runs left unused."""
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        elif self._resets:
            with contextlib.suppress(OSError, AttributeError):  # other C libraries don't have it
                ctypes.CDLL(None).malloc_trim(0)
            _reset_resident_peak()

    def peak(self) -> int:
        """Bytes at the peak."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        if self._resets:
            line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
            return int(line.split()[1]) * 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _reset_resident_peak() -> bool:
    """Whether the system lets this process reset its peak; it is then reset."""
    try:
        CLEAR.write_text("5")
        return "VmHWM:" in STATUS.read_text()
    except OSError:
        return False
