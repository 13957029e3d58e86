"""``mmseg-mllm convert``: weights of others, or trained here, to a folder that is used by its name."""

import argparse
from pathlib import Path

from mmseg_mllm.engine.cli import check_config_path
from mmseg_mllm.errors import CheckpointError, ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source",
        type=Path,
        metavar="SRC",
        help="folder of MLLMSeg's authors or of InternVL, as downloaded from the hub; or a checkpoint file",
    )
    parser.add_argument("target", type=Path, metavar="DST", help="folder to make")
    parser.add_argument("--config", help="config file that the checkpoint file was trained with")


def run(args: argparse.Namespace) -> None:
    if not args.source.exists():
        raise CheckpointError(f"{args.source}: no such folder or checkpoint file")
    if args.source.is_dir() == bool(args.config):
        raise ConfigError(
            f"{args.source}: a checkpoint file needs --config with the config it was trained with, a folder "
            "must have none"
        )
    if args.config:
        check_config_path(args.config)
    # Torch is imported here, after the arguments were found right.
    from mmseg_mllm.conversion.convert import convert_folder
    from mmseg_mllm.conversion.merge import merge_checkpoint
    from mmseg_mllm.engine.config import load_config
    from mmseg_mllm.models.model_folder import DECODE_HEAD_FILE

    if args.config:
        done = merge_checkpoint(load_config(args.config).model, args.source, args.target)
    else:
        done = convert_folder(args.source, args.target)
    print(done.report(args.target))
    if (args.target / DECODE_HEAD_FILE).is_file():
        print(f"use it with mmseg-mllm segment IMAGES -q TEXT --model {args.target}")
    else:
        print(f"train on it with --cfg-options model.backbone.pretrained={args.target}")
