"""Several processes that share a list, as torchrun starts them."""

import datetime
import os
from collections.abc import Sequence
from typing import TypeVar

import torch
import torch.distributed as dist

from mmseg_mllm.errors import ConfigError

Item = TypeVar("Item")
_LONGEST = datetime.timedelta(days=30)
"""That a process waits for the slowest one."""


class Processes:
    """This process among those of torchrun; a single one without it."""

    def __init__(self) -> None:
        self.rank = int(os.environ.get("RANK", 0))
        self.count = int(os.environ.get("WORLD_SIZE", 1))
        if self.count > 1 and not dist.is_initialized():
            # Numbers don't pass between them, only "ready": no need of the GPUs' own network.
            dist.init_process_group("gloo", timeout=_LONGEST)

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def device(self, name: str | None = None) -> str:
        """The device of this process: the one of that name, or a GPU of its own, or the CPU.

        Raises:
            ConfigError: there is no device of that name.
        """
        count = torch.cuda.device_count()
        if name is None:
            return f"cuda:{int(os.environ.get('LOCAL_RANK', 0)) % count}" if count else "cpu"
        try:
            torch.empty(0, device=name)
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(f"--device {name}: can't be used ({reason}); {count} GPUs are there") from None
        return name

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """What of a list is this process's."""
        return items[self.rank :: self.count]

    def wait(self) -> None:
        """Wait for all others."""
        if self.count > 1:
            dist.barrier()

    def gather(self, items: list[Item]) -> list[Item]:
        """The items of all processes, for each of them."""
        if self.count == 1:
            return items
        found: list[list[Item]] = [[] for _ in range(self.count)]
        dist.all_gather_object(found, items)
        return [item for own in found for item in own]

    def end(self) -> None:
        """Leave the group."""
        if self.count > 1:
            dist.destroy_process_group()
