"""``mmseg-mllm test``, also ``python tools/test.py``: test a model."""

import argparse
from pathlib import Path

from mmengine.config import Config

from mmseg_mllm.engine.cli import add_run_flags, check_checkpoint_path, check_run_flags, made_by
from mmseg_mllm.errors import ConfigError
from mmseg_mllm.evaluation.kinds import add_group_flag
from mmseg_mllm.evaluation.rejection import REJECTIONS
from mmseg_mllm.evaluation.report import tables
from mmseg_mllm.models.segmentors.protocols import PAPER_PROMPT, PROTOCOLS
from mmseg_mllm.tables.output import add_table_flags, check_table_flags, output_for_tables, write_tables


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_flags(parser)
    parser.add_argument("checkpoint", help="checkpoint file, or a folder made by tools/model_converters")
    parser.add_argument("--out", help="write the predicted masks to this JSON file, as COCO RLE")
    parser.add_argument("--show-dir", help="write pictures of some predictions to this folder")
    parser.add_argument("--show-num", type=int, default=12, help="how many pictures (default 12)")
    parser.add_argument(
        "--tta", action="store_true", help="test-time augmentation (not for referring models)"
    )
    parser.add_argument("--split", nargs="+", help="splits to test instead of the config's")
    parser.add_argument(
        "--protocol", help=f"how expressions are asked instead of the config's way: {', '.join(PROTOCOLS)}"
    )
    parser.add_argument(
        "--rejection",
        choices=REJECTIONS,
        help="GRES: a wrongly rejected target keeps its mask (paper, the default) or has none (strict); "
        "lisa: figures of masks alone, as on ReasonSeg",
    )
    parser.add_argument(
        "--shuffle-expressions",
        action="store_true",
        help="control: also score each mask against the target of the image's next object",
    )
    add_group_flag(parser)
    add_table_flags(parser)


def run(args: argparse.Namespace) -> None:
    check_run_flags(args)
    check_table_flags(args)
    check_checkpoint_path(args.checkpoint)
    # Torch is imported here, after the arguments were found right.
    from mmengine.dist import is_main_process

    from mmseg_mllm.engine.config import load_config
    from mmseg_mllm.engine.runner import build_runner
    from mmseg_mllm.engine.semseg import is_referring, spread_pictures
    from mmseg_mllm.models.model_folder import use_model_folder

    config = load_config(args.config, args.cfg_options)
    if Path(args.checkpoint).is_dir():
        use_model_folder(config.model, args.checkpoint)
    else:
        config.load_from = args.checkpoint
    config.launcher = args.launcher
    config.shard = args.shard or config.get("shard", False)
    config.work_dir = args.work_dir or config.get("work_dir") or f"work_dirs/{Path(args.config).stem}"
    if args.by and not args.out:
        args.out = f"{config.work_dir}/predictions.json"
    prepare = prepare_referring if is_referring(config) else prepare_classes
    prepare(config, args)
    with output_for_tables(args):
        runner = build_runner(config)
        spread_pictures(runner, count=args.show_num)
        runner.test()
    if is_main_process():
        report(runner, args)


def prepare_referring(config: Config, args: argparse.Namespace) -> None:
    """What the flags ask of a referring model."""
    from mmseg_mllm.engine.config import test_datasets
    from mmseg_mllm.evaluation.configured import configured_metrics

    if args.tta:
        raise ConfigError("--tta is for ordinary segmentation; a referring model has none")
    if args.protocol:
        config.model.protocol = args.protocol
    if args.split:
        for dataset in test_datasets(config):
            dataset.split = args.split
    config.test_evaluator = [
        *configured_metrics(config, rejection=args.rejection, rotate_expressions=args.shuffle_expressions),
        *([dict(type="DumpMasks", out_file=args.out)] if args.out else []),
    ]
    pictures = dict(type="ReferringVisualizationHook", out_dir=args.show_dir, num_images=args.show_num)
    config.custom_hooks = [*config.get("custom_hooks", []), pictures, dict(type="MergeAdaptersHook")]


def prepare_classes(config: Config, args: argparse.Namespace) -> None:
    """What the flags ask of an ordinary segmentor."""
    from mmseg_mllm.engine.semseg import check_data_roots, draw_predictions, tell_classes, use_tta

    for flag in ("by", "out", "split", "protocol", "rejection", "shuffle_expressions"):
        if getattr(args, flag):
            raise ConfigError(
                f"--{flag.replace('_', '-')} is for referring models; {args.config} has classes"
            )
    check_data_roots(config)
    tell_classes(config)
    if args.show_dir:
        draw_predictions(config, out_dir=args.show_dir)
    if args.tta:
        use_tta(config)


def report(runner, args: argparse.Namespace) -> None:
    """A table for each task, and where the files are."""
    from mmseg_mllm.engine.semseg import class_tables
    from mmseg_mllm.evaluation import RESMetric

    metric = next((m for m in runner.test_loop.evaluator.metrics if isinstance(m, RESMetric)), None)
    found = class_tables(runner) if metric is None else tables(metric.rows)
    if args.by:
        from mmseg_mllm.evaluation.grouping import score_predictions
        from mmseg_mllm.evaluation.groups import group_tables

        _, grouped = score_predictions(runner.cfg, args.out, by=args.by)
        found += group_tables(grouped, by=args.by, rejection=metric.rejection)
    console = write_tables(found, args, made_by=made_by())
    if args.shuffle_expressions:
        console.print(
            "cIoU rotated: a control, each mask scored against the target of the image's next object"
        )
    if (
        metric is not None
        and runner.cfg.model.protocol == "paper"
        and runner.cfg.model.prompt != PAPER_PROMPT
    ):
        console.print(
            f"note: protocol 'paper' asks with the prompt '{PAPER_PROMPT}', this model was trained with "
            f"'{runner.cfg.model.prompt}'"
        )
    for what, path in (("masks", args.out), ("pictures", args.show_dir)):
        if path:
            console.print(f"{what}: {path}", soft_wrap=True)
