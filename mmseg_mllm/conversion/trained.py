"""The model of a checkpoint, for the tools that write it in another form."""

import argparse
from pathlib import Path
from typing import Any

from mmseg_mllm.engine.cli import check_checkpoint_path, check_config_path, config_parser


def parse_export(description: str) -> argparse.Namespace:
    """``CONFIG CHECKPOINT OUT``."""
    parser = config_parser(description)
    parser.add_argument("checkpoint", help="checkpoint of tools/train.py with this config")
    parser.add_argument("out", type=Path, help="new folder")
    args = parser.parse_args()
    check_config_path(args.config)
    check_checkpoint_path(args.checkpoint)
    return args


def trained_model(args: argparse.Namespace) -> tuple[Any, Any]:
    """The config that the arguments name, and its model with the checkpoint's weights, on the CPU.

    Raises:
        CheckpointError: the checkpoint can't be read, or is of another config.
    """
    # Torch is imported here, after the arguments were found right.
    from mmengine.registry import init_default_scope
    from mmengine.runner import load_checkpoint
    from mmseg.registry import MODELS

    from mmseg_mllm.compat import quiet_upstream
    from mmseg_mllm.engine.config import load_config
    from mmseg_mllm.models.checkpoints import readable

    config = load_config(args.config, args.cfg_options)
    init_default_scope("mmseg")
    with quiet_upstream():
        model = MODELS.build(config.model)
    with readable(args.checkpoint):
        load_checkpoint(model, args.checkpoint, map_location="cpu", strict=True)
    return config, model
