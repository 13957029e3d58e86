"""Writes checkpoints beside training, and outlives a full disk."""

import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import psutil
from mmengine.logging import MMLogger

from mmseg_mllm.engine.checkpoints.content import on_host, tensor_bytes
from mmseg_mllm.engine.checkpoints.files import write_checkpoint

SPARE = 16 * 2**20
"""Bytes that a disk must have free besides the tensors: names, curves, what others write in the meantime."""


class CheckpointWriter:
    """Writes one checkpoint at a time, in a thread from a copy in the host's memory.

    Where twice the copy would not fit into what memory is free, training waits for the writing instead. What
    can't be written is told in the log, and nothing else happens: the run goes on.

    Args:
        folder: Where checkpoints go.
        logger: Of the run.
    """

    def __init__(self, *, folder: Path, logger: MMLogger) -> None:
        self.folder = folder
        self._logger = logger
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._running: Future | None = None

    def write(self, content: dict, name: str, *, done: Callable[[], None]) -> None:
        """Write a checkpoint; ``done`` is called after it is safely on the disk, and only then."""
        self.wait()
        size = tensor_bytes(content)
        beside = psutil.virtual_memory().available > 2 * size
        content = on_host(content, copied=beside)
        if beside:
            self._running = self._threads.submit(self._write, content, size, name, done)
        else:
            self._write(content, size, name, done)

    def wait(self) -> None:
        """Wait until all is written; errors other than of the disk are raised here."""
        if self._running is not None:
            self._running.result()
            self._running = None

    def _write(self, content: dict, size: int, name: str, done: Callable[[], None]) -> None:
        path = self.folder / name
        try:
            free = shutil.disk_usage(self.folder).free
            if free < size + SPARE:
                raise OSError(f"it takes {size / 1e9:.2f} GB, the disk has {free / 1e9:.2f} GB free")
            write_checkpoint(content, path)
            done()
        except OSError as error:
            self._logger.warning(
                "%s was not written: %s. Training goes on, older checkpoints are whole, the next one is "
                "tried in time; make room on the disk",
                path,
                error,
            )
