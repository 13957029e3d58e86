"""What a check found, as tables and as JSON."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from mmseg_mllm.datasets.checks.check import RefsReport
from mmseg_mllm.datasets.checks.counts import SplitCounts
from mmseg_mllm.errors import DataError

_COLOURS = {"error": "bold red", "warning": "yellow"}


def counts_table(reports: Sequence[RefsReport], *, title: str) -> Table:
    """Each split with what it holds; '5 of 10' where another number was published."""
    table = Table(title=Text(title), title_justify="left")
    for name in ("dataset", "refs file", "split"):
        table.add_column(name, no_wrap=True)
    for name in ("images", "refs", "sentences", "errors", "warnings"):
        table.add_column(name, justify="right")
    table.add_column("published counts")
    for report in reports:
        for index, counts in enumerate(report.splits or [None]):
            split = counts.split if counts else ""
            names = [report.dataset, report.refs_file, split]
            figures = [_figure(counts, name) for name in ("images", "refs", "sentences")]
            problems = [_number_of(report, severity, split, is_first=index == 0) for severity in _COLOURS]
            table.add_row(*map(Text, names), *figures, *problems, _verdict(counts))
    return table


def problems_table(reports: Sequence[RefsReport]) -> Table:
    """Each kind of problem of each split, with its first example."""
    table = Table(title="Problems", title_justify="left")
    for name in ("", "dataset", "refs file", "split"):
        table.add_column(name, no_wrap=True)
    table.add_column("what")
    table.add_column("number", justify="right")
    table.add_column("such as", overflow="fold")
    for severity, colour in _COLOURS.items():
        for report in reports:
            for problem in report.problems:
                if problem.severity == severity:
                    names = (report.dataset, report.refs_file, problem.split, problem.what)
                    texts = [*map(Text, names), f"{problem.count:,}", Text(problem.examples[0])]
                    table.add_row(Text(severity, style=colour), *texts)
    return table


def write_json(reports: Sequence[RefsReport], path: str | Path) -> None:
    """Write the content of both tables, with some more examples.

    Raises:
        DataError: the file can't be written.
    """
    try:
        Path(path).write_text(json.dumps(_as_dict(reports), indent=2), encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path}: can't be written ({error.strerror}); name another file") from None


def count(reports: Sequence[RefsReport], severity: str) -> int:
    """Number of all problems of a severity."""
    return sum(report.count(severity) for report in reports)


def _as_dict(reports: Sequence[RefsReport]) -> dict[str, Any]:
    return dict(
        errors=count(reports, "error"),
        warnings=count(reports, "warning"),
        refs_files=[dataclasses.asdict(report) for report in reports],
    )


def _figure(counts: SplitCounts | None, name: str) -> str:
    if counts is None:
        return ""
    found, official = getattr(counts.found, name), getattr(counts.official, name, None)
    return f"{found:,}" if official in (None, found) else f"{found:,} of {official:,}"


def _verdict(counts: SplitCounts | None) -> str:
    if counts is None:
        return ""
    if counts.official is None:
        return "not known"
    return "differ" if counts.differences() else "same"


def _number_of(report: RefsReport, severity: str, split: str, *, is_first: bool) -> Text:
    """Of a split's problems; with the first one, those of the file as a whole."""
    splits = (split, "") if is_first else (split,)
    own = [problem for problem in report.problems if problem.split in splits]
    number = sum(problem.count for problem in own if problem.severity == severity)
    return Text(f"{number:,}", style=_COLOURS[severity] if number else "")
