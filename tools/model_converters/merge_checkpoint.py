"""A checkpoint trained here to a model folder, LoRA merged: merge_checkpoint.py CONFIG CHECKPOINT DST."""

import argparse
from pathlib import Path

from mmengine.config import DictAction

import mmseg_mllm  # noqa: F401
from mmseg_mllm.conversion.merge import merge_checkpoint
from mmseg_mllm.engine.config import load_config
from mmseg_mllm.engine.runner import run_tool


def main() -> None:
    parser = argparse.ArgumentParser(description="Merge a checkpoint's LoRA and write a model folder.")
    parser.add_argument("config", help="config that it was trained with")
    parser.add_argument("checkpoint", type=Path, help="checkpoint file")
    parser.add_argument("target", type=Path, metavar="DST", help="folder to make")
    parser.add_argument(
        "--cfg-options", nargs="+", action=DictAction, help="settings that override the config"
    )
    args = parser.parse_args()
    config = load_config(args.config, args.cfg_options)
    print(merge_checkpoint(config.model, args.checkpoint, args.target).report(args.target))


if __name__ == "__main__":
    run_tool(main)
