"""What all tools share on the command line."""

import argparse
import os

from mmengine.config import DictAction


def config_parser(description: str) -> argparse.ArgumentParser:
    """Parser of a tool that reads a config."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("config", help="config file")
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        help="settings that override the config, as key=value; data_root=DIR moves all datasets",
    )
    return parser


def tool_parser(description: str) -> argparse.ArgumentParser:
    """Parser with the flags of MMSegmentation's tools that run a model."""
    parser = config_parser(description)
    parser.add_argument("--work-dir", help="where logs and checkpoints go; work_dirs/CONFIG by default")
    parser.add_argument("--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none")
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0)
    return parser


def parse_tool_args(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse, and leave the local rank where mmengine looks for it."""
    args = parser.parse_args()
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    return args
