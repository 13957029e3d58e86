"""Start a tool in several processes with torchrun: on GPUs with nccl, without any on the CPU with gloo."""

import argparse
import logging
import os
import sys

import torch
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import get_args_parser, run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, add_help=False, allow_abbrev=False)
    parser.add_argument("script")
    parser.add_argument("--processes", type=int, required=True)
    args, rest = parser.parse_known_args()
    devices = torch.cuda.device_count()
    if args.processes < 1:
        return fail(f"{args.processes} processes can't be started; ask for at least one")
    if 0 < devices < args.processes:
        return fail(
            f"{args.processes} GPUs were asked for, this machine has {devices}; ask for at most {devices}"
        )
    if not devices:
        print(f"no GPU here: {args.processes} CPU processes instead", flush=True)
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // args.processes)))
    # The processes tell their errors themselves; torchrun's report of them would bury the message.
    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)
    options = [f"--nproc_per_node={args.processes}", *rendezvous(), args.script, *rest, "--launcher=pytorch"]
    try:
        run(get_args_parser().parse_args(options))
    except ChildFailedError:
        return 1
    return 0


def rendezvous() -> list[str]:
    """A free port on one machine; the usual variables for several."""
    if "NNODES" not in os.environ:
        return ["--standalone"]
    return [
        f"--nnodes={os.environ['NNODES']}",
        f"--node_rank={os.environ.get('NODE_RANK', 0)}",
        f"--master_addr={os.environ.get('MASTER_ADDR', '127.0.0.1')}",
        f"--master_port={os.environ.get('PORT', 29500)}",
    ]


def fail(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
