"""Progress of a run over images on the console, with the time left."""

import datetime
import sys
import time

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from mmseg_mllm.tables.console import plain_console

LINE_INTERVAL = 20.0
"""Seconds between lines where the output is no terminal."""


class ImageProgress:
    """A bar on a terminal, a line now and then in a file or pipe, on the error output.

    Args:
        total: Images of the run.
        done: Of them before it began.
        quiet: Show nothing.
    """

    def __init__(self, *, total: int, done: int = 0, quiet: bool = False) -> None:
        self.total, self.done, self._first = total, done, done
        self._start = self._last_line = time.monotonic()
        self.console = plain_console(unlimited=not sys.stderr.isatty(), stderr=True, quiet=quiet)
        self._bar = Progress(
            TextColumn("segment"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            console=self.console,
            expand=True,
            disable=quiet or not self.console.is_terminal,
        )
        self._task = self._bar.add_task("", total=total, completed=done, note="")

    def __enter__(self) -> "ImageProgress":
        self._bar.start()
        return self

    def __exit__(self, *error) -> None:
        self._bar.stop()

    def advance(self, images: int) -> None:
        """Some more images are done."""
        self.done += images
        now = time.monotonic()
        seconds = (now - self._start) / max(1, self.done - self._first)
        left = datetime.timedelta(seconds=round(seconds * (self.total - self.done)))
        speed = f"{1 / seconds:.1f} images/s" if 0 < seconds < 1 else f"{seconds:.1f} s/image"
        note = f"{speed}  {left} left"
        self._bar.update(self._task, completed=self.done, note=note)
        if self._bar.disable and now - self._last_line >= LINE_INTERVAL:
            self._last_line = now
            self.console.print(f"segment {self.done}/{self.total}  {note}")
