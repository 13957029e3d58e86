"""Check datasets: check_refer.py ROOT [--images DIR] [--decode] [--json FILE].

Reads all datasets in the REFER layout below ROOT, or the referring JSON that it names, and compares counts
with the published ones. An error would end a run or make its figures wrong, and gives the exit code 1; a
warning is something to know of.
"""

import argparse
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mmseg_mllm.datasets.checks import check_refer
from mmseg_mllm.datasets.checks.report import count, counts_table, problems_table, write_json
from mmseg_mllm.engine.cli import run_tool
from mmseg_mllm.tables.console import plain_console


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "root", type=Path, metavar="ROOT", help="folder with refcoco/, ..., or a referring JSON"
    )
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder of the images (default: in ROOT)")
    parser.add_argument("--decode", action="store_true", help="decode every image: finds more, takes minutes")
    parser.add_argument("--json", metavar="FILE", help="also write what was found to this file")
    args = parser.parse_args()
    start = time.perf_counter()
    text = TextColumn("{task.description}", markup=False)
    columns = (text, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    shown = Console(stderr=True)
    with Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal) as progress:

        def track(items: Sequence, text: str) -> Iterator:
            return _track(progress, items, text)

        reports = check_refer(args.root, images=args.images, decode=args.decode, track=track)
    console = plain_console()
    console.print(counts_table(reports, title=f"Datasets in {args.root}"))
    if any(report.problems for report in reports):
        console.print(problems_table(reports))
    errors, warnings = count(reports, "error"), count(reports, "warning")
    console.print(
        f"errors: {errors:,}, warnings: {warnings:,}, checked in {time.perf_counter() - start:.0f} s"
    )
    if args.json:
        write_json(reports, args.json)
        console.print(f"written to {args.json}", soft_wrap=True)
    sys.exit(bool(errors))


def _track(progress: Progress, items: Sequence, text: str) -> Iterable:
    """The items, with a bar while it lasts."""
    task = progress.add_task(text, total=len(items))
    for item in items:
        yield item
        progress.advance(task)
    progress.remove_task(task)


if __name__ == "__main__":
    run_tool(main)
