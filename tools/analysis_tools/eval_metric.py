"""Figures of saved predictions, without the model: eval_metric.py CONFIG PRED.json [--by WHAT]."""

import argparse
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from rich.progress import track

from mmseg_mllm.engine.cli import check_config_path, config_parser, made_by, run_tool
from mmseg_mllm.errors import DataError
from mmseg_mllm.evaluation.needs import read_needs
from mmseg_mllm.evaluation.predictions import read_predictions
from mmseg_mllm.evaluation.rejection import REJECTIONS
from mmseg_mllm.evaluation.report import tables
from mmseg_mllm.tables.console import plain_console
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
        help="GRES: a wrongly rejected target keeps its mask (paper, the default) or has none (strict)",
    )
    parser.add_argument(
        "--by",
        choices=["category", "size", "need"],
        help="also a table per split by the target's category or size, or (toy data) by the kinds of words "
        "that an expression needs",
    )
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
    from mmseg.registry import METRICS

    from mmseg_mllm.engine.config import load_config
    from mmseg_mllm.evaluation.configured import configured_metrics, is_res_metric
    from mmseg_mllm.evaluation.counts import count_image
    from mmseg_mllm.evaluation.groups import (
        GroupedImage,
        category_groups,
        category_names,
        group_tables,
        need_groups,
        size_groups,
    )
    from mmseg_mllm.evaluation.saved import saved_samples

    MMLogger.get_instance("eval_metric", log_level="WARNING")  # the metric logs tables of its own
    bar = plain_console(stderr=True)
    init_default_scope("mmseg")
    config = load_config(args.config, args.cfg_options)
    metric = METRICS.build(next(filter(is_res_metric, configured_metrics(config, rejection=args.rejection))))
    file = read_predictions(args.predictions)
    datasets = annotations_only(config, splits=args.split)
    names = {part.dataset_name: category_names(part.ann_file) for part in datasets if args.by == "category"}
    needs = {part.dataset_name: read_needs(part.ann_file) for part in datasets if args.by == "need"}
    grouped = []
    total = sum(map(len, datasets))
    for sample in track(
        saved_samples(datasets, file),
        "images",
        total=total,
        console=bar,
        transient=True,
        disable=not bar.is_terminal,
    ):
        counts = count_image(sample, rotate=metric.rotate_expressions)
        metric.add(counts)
        if args.by == "category":
            grouped.append(
                GroupedImage(counts=counts, groups=category_groups(sample, names[sample["dataset"]]))
            )
        elif args.by == "size":
            grouped.append(GroupedImage(counts=counts, groups=size_groups(counts)))
        elif args.by == "need":
            grouped.append(GroupedImage(counts=counts, groups=need_groups(sample, needs[sample["dataset"]])))
    metric.evaluate(total)
    found = [*tables(metric.rows), *group_tables(grouped, by=args.by, rejection=metric.rejection)]
    write_tables(found, args, made_by=made_by())


def annotations_only(config: Config, *, splits: list[str] | None) -> list:
    """The test sets of a config, without what they do to an image."""
    from mmseg.registry import DATASETS

    from mmseg_mllm.engine.config import test_datasets

    parts = [dict(part, pipeline=[]) for part in test_datasets(config)]
    return [DATASETS.build(dict(part, split=splits) if splits else part) for part in parts]


if __name__ == "__main__":
    run_tool(main)
