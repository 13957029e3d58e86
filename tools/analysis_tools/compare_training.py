"""Train with several seeds: python tools/analysis_tools/compare_training.py CONFIG... --json FILE."""

import argparse
from pathlib import Path

from mmseg_mllm.engine.cli import add_cfg_options, check_config_path, check_out_file, made_by, run_tool
from mmseg_mllm.tables.output import add_table_flags, check_table_flags, output_for_tables, write_tables
from mmseg_mllm.tables.table import ResultTable


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
    add_table_flags(parser, leave_out=["json"])
    add_cfg_options(parser)
    args = parser.parse_args()
    check_table_flags(args)
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
    runs = read_runs(args.json)
    todo = [] if args.table_only else list(missing(configs, args.seeds, runs))
    with output_for_tables(args):
        for k, (name, config, seed) in enumerate(todo, start=1):
            print(f"run {k} of {len(todo)}: {name}, seed {seed}")
            runs.append(train_once(name, config, seed))
            write_runs(args.json, runs)
    found = table(args, summarise(configs, args.seeds, runs, args.metric))
    write_tables([found], args, made_by=made_by())


def table(args: argparse.Namespace, summary: dict[str, dict]) -> ResultTable:
    """A row per config whose seeds are all done."""
    rows = [
        dict(config=name, mean=row["mean"], deviation=row["deviation"])
        | {f"seed {seed}": figure for seed, figure in zip(args.seeds, row["figures"], strict=True)}
        | {"CPU s": round(row["cpu_seconds"])}
        for name, row in summary.items()
    ]
    return ResultTable(title=f"{args.metric} of the last validation", names=["config"], rows=rows)


if __name__ == "__main__":
    run_tool(main)
