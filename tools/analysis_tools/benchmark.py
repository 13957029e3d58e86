"""Speed and memory beside the plain way: python tools/analysis_tools/benchmark.py MODE CONFIG."""

import argparse
import json
from pathlib import Path

from mmseg_mllm.analysis.benchmarks import MODES
from mmseg_mllm.engine.cli import add_cfg_options, check_config_path, check_out_file, made_by, run_tool
from mmseg_mllm.tables.output import add_table_flags, check_table_flags, write_tables


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Measure a config's model of true size with random weights (nothing is downloaded), or "
        "its data pipelines."
    )
    parser.add_argument("mode", help=", ".join(MODES))
    parser.add_argument("config", help="config file")
    parser.add_argument("--device", help="cpu or cuda; cuda by default if there is one")
    parser.add_argument("--dtype", help="float32, bfloat16 or auto; the config's by default")
    parser.add_argument("--expressions", type=int, default=5, metavar="K", help="per image, 5 by default")
    parser.add_argument("--batch", type=int, default=1, metavar="B", help="images together, 1 by default")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="of each way, 5 by default")
    parser.add_argument(
        "--sentences", metavar="FILE", help="mode sentences: JSON with the sentences of images"
    )
    parser.add_argument("--json", metavar="FILE", help="also write all figures here")
    add_table_flags(parser, leave_out=["json"])
    add_cfg_options(parser)
    args = parser.parse_args()
    check_table_flags(args)
    check_config_path(args.config)
    check_out_file("--json", args.json)
    return args


def main() -> None:
    args = parse_args()
    # Torch is imported here, after the arguments were found right.
    from mmseg_mllm.analysis.benchmarks import as_json, make_setting, run_benchmark, tables
    from mmseg_mllm.engine.config import load_config

    config = load_config(args.config, args.cfg_options)
    setting = make_setting(
        device=args.device,
        dtype=args.dtype,
        images=args.batch,
        expressions=args.expressions,
        repeats=args.repeats,
        config=config,
        sentences=args.sentences,
    )
    benchmark, measured = run_benchmark(args.mode, config, setting)
    result = as_json(benchmark, measured, setting, mode=args.mode, config=args.config)
    result["cfg_options"] = args.cfg_options or {}
    write_tables(tables(result), args, made_by=made_by())
    if args.json:
        Path(args.json).write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    run_tool(main)
