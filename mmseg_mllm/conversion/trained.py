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
        CheckpointError: the checkpoint can't be read, or is of another config or base.
    """
    # Torch is imported here, after the arguments were found right.
    from mmseg_mllm.engine.config import load_config

    config = load_config(args.config, args.cfg_options)
    return config, checkpoint_model(config.model, args.checkpoint)


def checkpoint_model(model: Any, checkpoint: str | Path) -> Any:
    """A model on the CPU with the weights of a checkpoint, whole or without its base.

    Args:
        model: Config that it was trained with. Its base is loaded in the dtype that it was trained in.
        checkpoint: File.

    Raises:
        CheckpointError: the checkpoint can't be read, or is of another config or base.
    """
    from mmengine.registry import init_default_scope
    from mmseg.registry import MODELS

    from mmseg_mllm.compat import quiet_upstream
    from mmseg_mllm.models.checkpoints import load_weights, trained_base

    init_default_scope("mmseg")
    base = trained_base(checkpoint)
    if base is not None:
        model = {**model, "backbone": {**model["backbone"], "dtype": base["dtype"]}}
    with quiet_upstream():
        built = MODELS.build(model)
    load_weights(built, str(checkpoint))
    return built
