"""The dtype that a device computes fast in."""

import functools
import time

import torch
from mmengine.device import get_device
from mmengine.dist import broadcast_object_list

from mmseg_mllm.errors import ConfigError

DTYPES = ("float32", "bfloat16", "auto")
FASTER = 1.2
"""How much faster bfloat16 must be: what it costs in precision should not depend on a hair."""
_SIDE, _RUNS = 512, 3


def compute_dtype(name: str, *, device: str | None = None) -> torch.dtype:
    """The dtype of that name; 'auto' is bfloat16 where the device is fast at it, float32 elsewhere.

    Args:
        name: In ``DTYPES``.
        device: 'cpu', 'cuda', ...; the one that MMEngine's Runner takes by default.

    Raises:
        ConfigError: there is no such name.
    """
    if name not in DTYPES:
        raise ConfigError(f"dtype={name!r}: choose {', '.join(DTYPES)}")
    return _fast_dtype(device or get_device()) if name == "auto" else getattr(torch, name)


@functools.cache
def _fast_dtype(device: str) -> torch.dtype:
    """Known of CUDA devices. On others it is measured, once: what torch says of a CPU's instructions does
    not tell which of them its libraries use."""
    if device == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        try:
            fast = FASTER * _seconds(device, torch.bfloat16) < _seconds(device, torch.float32)
        except (RuntimeError, TypeError):  # the device has no bfloat16
            fast = False
        decided = [fast]
        broadcast_object_list(decided)  # processes of one training must not differ
        fast = decided[0]
    return torch.bfloat16 if fast else torch.float32


def _seconds(device: str, dtype: torch.dtype) -> float:
    """Of a matrix product: the shortest of several, since other programs can only lengthen it."""
    matrix = torch.ones(_SIDE, _SIDE, device=device, dtype=dtype)
    found = []
    for _ in range(_RUNS + 1):  # the first one also sets up
        start = time.perf_counter()
        (matrix @ matrix)[0, 0].item()  # waits for the device
        found.append(time.perf_counter() - start)
    return min(found[1:])
