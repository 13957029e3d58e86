"""``mmseg-mllm train``, also ``python tools/train.py``: train a model."""

import argparse
import os
from pathlib import Path

from mmseg_mllm.engine import stop_signal
from mmseg_mllm.engine.cli import add_run_flags, check_run_flags
from mmseg_mllm.errors import CheckpointError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_flags(parser)
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        help="go on from this checkpoint, or without a value from the work dir's newest that can be read",
    )
    parser.add_argument("--amp", action="store_true", help="compute in bfloat16, train in float32")


def run(args: argparse.Namespace) -> None:
    check_run_flags(args)
    if args.resume not in (None, "auto") and not Path(args.resume).is_file():
        raise CheckpointError(f"{args.resume}: no such checkpoint to resume from")
    stop_signal.leave_at_once(args.launcher)
    # Torch is imported here, after the arguments were found right.
    from mmseg_mllm.engine.config import fit_effective_batch, load_config, resume
    from mmseg_mllm.engine.runner import build_runner
    from mmseg_mllm.engine.semseg import check_data_roots, is_referring, use_amp

    config = load_config(args.config, args.cfg_options)
    config.launcher = args.launcher
    config.shard = args.shard or config.get("shard", False)
    config.work_dir = args.work_dir or config.get("work_dir") or f"work_dirs/{Path(args.config).stem}"
    if not is_referring(config):
        check_data_roots(config)
    if args.amp and is_referring(config):
        config.model.backbone.dtype = "bfloat16"
    elif args.amp:
        use_amp(config)
    if args.resume is not None:
        resume(config, None if args.resume == "auto" else args.resume)
    processes = int(os.environ.get("WORLD_SIZE", os.environ.get("SLURM_NTASKS", 1)))
    fit_effective_batch(config, processes=1 if args.launcher == "none" else processes)
    build_runner(config).train()
