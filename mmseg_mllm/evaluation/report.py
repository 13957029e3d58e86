"""Results as a table: every figure with dataset, split, counts and protocol."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, kw_only=True)
class ResultRow:
    """Figures of one dataset split.

    Attributes:
        dataset, split: What was tested.
        protocol: How it was asked, such as 'independent, forced'.
        counts: Numbers of images, objects and expressions.
        figures: Metrics in percent.
    """

    dataset: str
    split: str
    protocol: str
    counts: dict[str, int]
    figures: dict[str, float]


def table(rows: Sequence[ResultRow], *, caption: str | None = None) -> Table:
    """Lay out rows with the same counts and figures; a protocol that all share stands in the title."""
    protocols = sorted({row.protocol for row in rows})
    shared = len(protocols) == 1
    title = f"Referring segmentation in percent, protocol: {protocols[0]}" if shared else None
    result = Table(title=title, caption=caption, title_justify="left", caption_justify="left")
    for name in ("dataset", "split") if shared else ("dataset", "split", "protocol"):
        result.add_column(name)
    for name in [*rows[0].counts, *rows[0].figures] if rows else []:
        result.add_column(name, justify="right")
    for row in rows:
        names = [row.dataset, row.split] if shared else [row.dataset, row.split, row.protocol]
        counts = [f"{count:,}" for count in row.counts.values()]
        result.add_row(*names, *counts, *(f"{figure:.2f}" for figure in row.figures.values()))
    return result


def table_text(rows: Sequence[ResultRow], *, caption: str | None = None) -> str:
    """The table as plain text, for log files."""
    console = Console(width=160, no_color=True, force_terminal=False)
    with console.capture() as capture:
        console.print(table(rows, caption=caption))
    return capture.get()
