"""Results as tables: every figure with task, dataset, split, counts and protocol."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

TASKS = {
    "RES": "Referring segmentation (RES)",
    "REC": "Referring comprehension (REC)",
    "GRES": "Generalised referring segmentation (GRES)",
}


@dataclass(frozen=True, kw_only=True)
class ResultRow:
    """Figures of one dataset split in one task.

    Attributes:
        task: A key of ``TASKS``.
        dataset, split: What was tested.
        protocol: How it was asked and judged, such as 'independent, forced'.
        counts: Numbers of images, objects and expressions, for GRES also of those without a target.
        figures: Metrics in percent.
    """

    task: str
    dataset: str
    split: str
    protocol: str
    counts: dict[str, int]
    figures: dict[str, float]


def tables(rows: Sequence[ResultRow], *, caption: str | None = None) -> list[Table]:
    """One table for each task that has rows; a task's rows have the same counts and figures."""
    by_task = {task: [row for row in rows if row.task == task] for task in TASKS}
    return [_table(own, caption=caption) for own in by_task.values() if own]


def table_text(rows: Sequence[ResultRow], *, caption: str | None = None) -> str:
    """The tables as plain text, for log files."""
    console = Console(width=160, no_color=True, force_terminal=False)
    with console.capture() as capture:
        console.print(*tables(rows, caption=caption), sep="\n")
    return capture.get()


def _table(rows: Sequence[ResultRow], *, caption: str | None) -> Table:
    """Lay out one task's rows; a protocol that all share stands in the title."""
    protocols = sorted({row.protocol for row in rows})
    shared = len(protocols) == 1
    title = f"{TASKS[rows[0].task]} in percent" + (f", protocol: {protocols[0]}" if shared else "")
    result = Table(title=title, caption=caption, title_justify="left", caption_justify="left")
    for name in ("dataset", "split") if shared else ("dataset", "split", "protocol"):
        result.add_column(name)
    for name in [*rows[0].counts, *rows[0].figures]:
        result.add_column(name, justify="right")
    for row in rows:
        names = [row.dataset, row.split] if shared else [row.dataset, row.split, row.protocol]
        counts = [f"{count:,}" for count in row.counts.values()]
        result.add_row(*names, *counts, *(f"{figure:.2f}" for figure in row.figures.values()))
    return result
