"""The console of the tools."""

import sys

from rich.console import Console


def plain_console(*, width: int = 160) -> Console:
    """A console that prints names, paths and commands as they are: brackets and colons are no markup.

    Args:
        width: Characters of a line where the output is no terminal: a pipe has no width of its own, and a
            table must not be squeezed into 80 columns.
    """
    return Console(width=None if sys.stdout.isatty() else width, highlight=False, markup=False, emoji=False)
