"""Results as tables: every figure with task, dataset, split, counts and protocol."""

from collections.abc import Sequence
from dataclasses import dataclass

from mmseg_mllm.tables.layout import as_text
from mmseg_mllm.tables.table import ResultTable, say_once

TASKS = {
    "RES": "Referring segmentation (RES)",
    "REC": "Referring comprehension (REC)",
    "GRES": "Generalised referring segmentation (GRES)",
    "ReasonSeg": "Reasoning segmentation (ReasonSeg)",
}


@dataclass(frozen=True, kw_only=True)
class ResultRow:
    """Figures of one dataset split in one task.

    Attributes:
        task: A key of ``TASKS``.
        dataset, split: What was tested.
        protocol: How it was asked and judged, such as 'independent, forced'.
        counts: Numbers of images, objects and expressions, for GRES and ReasonSeg also of those without
            a target.
        figures: Metrics in percent.
    """

    task: str
    dataset: str
    split: str
    protocol: str
    counts: dict[str, int]
    figures: dict[str, float]


def tables(rows: Sequence[ResultRow], *, caption: str | None = None) -> list[ResultTable]:
    """One table for each task that has rows; a task's rows have the same counts and figures."""
    by_task = {task: [row for row in rows if row.task == task] for task in TASKS}
    return [_table(own, caption=caption) for own in by_task.values() if own]


def table_text(rows: Sequence[ResultRow], *, caption: str | None = None) -> str:
    """The tables in full, as plain text for log files."""
    return as_text(tables(rows, caption=caption))


def _table(rows: Sequence[ResultRow], *, caption: str | None) -> ResultTable:
    """One task's rows; a protocol that all share stands in the title."""
    names = ["dataset", "split", "protocol"]
    table = ResultTable(
        title=f"{TASKS[rows[0].task]} in percent",
        names=names,
        rows=[{name: getattr(row, name) for name in names} | row.counts | row.figures for row in rows],
        shared=dict(task=rows[0].task),
        caption=caption,
    )
    return say_once(table, ["protocol"])
