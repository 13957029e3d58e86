"""A console that prints names, paths and commands as they are."""

import sys
from typing import Any

from rich.console import Console

UNLIMITED = 100_000
"""Columns where nothing is wrapped."""


def plain_console(*, unlimited: bool | None = None, **options: Any) -> Console:
    """A Console that takes nothing for markup or an emoji, and colours no numbers.

    Args:
        unlimited: Wrap nothing; by default where the output is no terminal, for a pipe has no width.
        options: Of rich's ``Console``.
    """
    if unlimited is None:
        unlimited = not sys.stdout.isatty()
    width = dict(width=UNLIMITED) if unlimited else {}
    return Console(markup=False, emoji=False, highlight=False, **width, **options)
