"""Draw what benchmark.py growth wrote: python tools/analysis_tools/plot_growth.py growth.json growth.png."""

import argparse
from pathlib import Path

from mmseg_mllm.datasets.json_file import read_json
from mmseg_mllm.engine.cli import run_tool
from mmseg_mllm.errors import ConfigError, DataError


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Draw the time of an image against its expressions, beside what FLOPs predict."
    )
    parser.add_argument("json", help="written by benchmark.py growth --json")
    parser.add_argument("out", help="picture to write")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if not Path(args.json).is_file():
        raise DataError(f"{args.json}: no such file; benchmark.py growth ... --json {args.json} writes it")
    if not Path(args.out).resolve().parent.is_dir():
        raise ConfigError(f"{args.out}: there is no folder {Path(args.out).parent}")
    # After the arguments were found right: drawing takes time to import.
    import matplotlib as mpl

    from mmseg_mllm.analysis.benchmarks.growth_plot import plot_growth, slopes

    mpl.use("Agg")
    result = read_json(args.json)
    plot_growth(result, args.out)
    measured, predicted = slopes(result)
    print(f"{args.out}: a further expression costs {measured:.4g} s, {predicted:.4g} s predicted from FLOPs")


if __name__ == "__main__":
    run_tool(main)
