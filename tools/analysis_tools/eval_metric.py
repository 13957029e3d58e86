"""Figures of saved predictions, without the model: eval_metric.py CONFIG PRED.json [--by WHAT]."""

import argparse
from pathlib import Path

from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

from mmseg_mllm.engine.cli import check_config_path, config_parser, made_by, run_tool
from mmseg_mllm.errors import DataError
from mmseg_mllm.evaluation.kinds import add_group_flag
from mmseg_mllm.evaluation.rejection import REJECTIONS
from mmseg_mllm.evaluation.report import tables
from mmseg_mllm.tables.output import add_table_flags, check_table_flags, write_tables


def parse_args() -> argparse.Namespace:
    parser = config_parser(
        "Figures of predictions that tools/test.py --out wrote, the same as it printed; only "
        "annotations are read, no images and no weights."
    )
    parser.add_argument("predictions", help="JSON file of tools/test.py --out")
    parser.add_argument("--split", nargs="+", help="splits that were tested instead of the config's")
    parser.add_argument(
        "--rejection",
        choices=REJECTIONS,
        help="GRES: a wrongly rejected target keeps its mask (paper, the default) or has none (strict); "
        "lisa: figures of masks alone, as on ReasonSeg",
    )
    add_group_flag(parser)
    add_table_flags(parser)
    args = parser.parse_args()
    check_table_flags(args)
    check_config_path(args.config)
    if not Path(args.predictions).is_file():
        raise DataError(f"{args.predictions}: no such file; tools/test.py --out writes one")
    return args


def main() -> None:
    args = parse_args()
    # Torch is imported here, after the arguments were found right.
    from mmseg_mllm.engine.config import load_config
    from mmseg_mllm.evaluation.grouping import score_predictions
    from mmseg_mllm.evaluation.groups import group_tables

    MMLogger.get_instance("eval_metric", log_level="WARNING")  # the metric logs tables of its own
    init_default_scope("mmseg")
    metric, grouped = score_predictions(
        load_config(args.config, args.cfg_options),
        args.predictions,
        by=args.by,
        rejection=args.rejection,
        splits=args.split,
    )
    found = [*tables(metric.rows), *group_tables(grouped, by=args.by, rejection=metric.rejection)]
    write_tables(found, args, made_by=made_by())


if __name__ == "__main__":
    run_tool(main)
