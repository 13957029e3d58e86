"""Train with several seeds: python tools/analysis_tools/compare_training.py CONFIG... --json FILE."""

import argparse
from pathlib import Path

from rich import box
from rich.table import Table

from mmseg_mllm.engine.cli import add_cfg_options, check_config_path, check_out_file, run_tool
from mmseg_mllm.tables.console import plain_console


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Train every config with every seed, one after the other, and show mean and spread of "
        "the last validation. Runs that the file holds already are not repeated."
    )
    parser.add_argument("configs", nargs="+", help="config files")
    parser.add_argument("--json", required=True, type=Path, metavar="FILE", help="all runs, read and written")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="0 1 2 by default")
    parser.add_argument("--metric", default="mIoU", help="what is compared, mIoU by default")
    parser.add_argument("--table-only", action="store_true", help="train nothing, show what the file holds")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    add_cfg_options(parser)
    args = parser.parse_args()
    for path in args.configs:
        check_config_path(path)
    check_out_file("--json", args.json)
    return args


def main() -> None:
    args = parse_args()
    # Torch is imported here, after the arguments were found right.
    from mmseg_mllm.analysis.training_runs import missing, read_runs, summarise, train_once, write_runs
    from mmseg_mllm.engine.config import load_config

    configs = {Path(path).stem: load_config(path, args.cfg_options) for path in args.configs}
    console = plain_console()
    runs = read_runs(args.json)
    todo = [] if args.table_only else list(missing(configs, args.seeds, runs))
    for k, (name, config, seed) in enumerate(todo, start=1):
        console.print(f"run {k} of {len(todo)}: {name}, seed {seed}")
        runs.append(train_once(name, config, seed))
        write_runs(args.json, runs)
    console.print(table(args, summarise(configs, args.seeds, runs, args.metric)))


def table(args: argparse.Namespace, summary: dict[str, dict]) -> Table:
    """A row per config whose seeds are all done."""
    result = Table(box=box.MARKDOWN if args.markdown else box.HEAVY_HEAD)
    result.add_column("config", overflow="fold")
    for column in (f"{args.metric}, mean", "deviation", *(f"seed {seed}" for seed in args.seeds), "CPU s"):
        result.add_column(column, justify="right")
    for name, row in summary.items():
        figures = (row["mean"], row["deviation"], *row["figures"])
        result.add_row(name, *(f"{figure:.2f}" for figure in figures), f"{row['cpu_seconds']:.0f}")
    return result


if __name__ == "__main__":
    run_tool(main)
