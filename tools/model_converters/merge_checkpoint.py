"""A checkpoint trained here to a model folder, LoRA merged: merge_checkpoint.py CONFIG CHECKPOINT DST."""

from pathlib import Path

from mmseg_mllm.engine.cli import check_config_path, config_parser, run_tool
from mmseg_mllm.errors import CheckpointError


def main() -> None:
    parser = config_parser("Merge a checkpoint's LoRA and write a model folder.")
    parser.add_argument("checkpoint", type=Path, help="checkpoint file")
    parser.add_argument("target", type=Path, metavar="DST", help="folder to make")
    args = parser.parse_args()
    check_config_path(args.config)
    if not args.checkpoint.is_file():
        raise CheckpointError(f"{args.checkpoint}: no such checkpoint")
    # Torch is imported here, after the arguments were found right.
    from mmseg_mllm.conversion.merge import merge_checkpoint
    from mmseg_mllm.engine.config import load_config

    config = load_config(args.config, args.cfg_options)
    print(merge_checkpoint(config.model, args.checkpoint, args.target).report(args.target))


if __name__ == "__main__":
    run_tool(main)
