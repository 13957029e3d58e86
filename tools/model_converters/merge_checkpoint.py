"""A checkpoint trained here to a model folder, LoRA merged: merge_checkpoint.py CONFIG CHECKPOINT DST."""

from pathlib import Path

import mmseg_mllm  # noqa: F401
from mmseg_mllm.conversion.merge import merge_checkpoint
from mmseg_mllm.engine.cli import config_parser
from mmseg_mllm.engine.config import load_config
from mmseg_mllm.engine.runner import run_tool


def main() -> None:
    parser = config_parser("Merge a checkpoint's LoRA and write a model folder.")
    parser.add_argument("checkpoint", type=Path, help="checkpoint file")
    parser.add_argument("target", type=Path, metavar="DST", help="folder to make")
    args = parser.parse_args()
    config = load_config(args.config, args.cfg_options)
    print(merge_checkpoint(config.model, args.checkpoint, args.target).report(args.target))


if __name__ == "__main__":
    run_tool(main)
