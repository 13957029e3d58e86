"""Start a tool in several processes with torchrun: on GPUs with nccl, without any on the CPU with gloo.

Called by dist_train.sh and dist_test.sh; the tool's own options: python tools/train.py --help.
"""

import argparse
import logging
import os
import signal
import sys
from pathlib import Path

import psutil

from mmseg_mllm.engine.cli import COMMAND, check_checkpoint_path, check_config_path, made_by, run_tool
from mmseg_mllm.engine.stop_signal import EXIT_CODE
from mmseg_mllm.engine.threads import VARIABLE, idle_cores
from mmseg_mllm.errors import ConfigError, MMSegMLLMError


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("script", help="tools/train.py or tools/test.py")
    parser.add_argument("config", help="config file; all that follows is passed on")
    parser.add_argument("--processes", type=int, required=True)
    args, rest = parser.parse_known_args()
    check_config_path(args.config)
    if Path(args.script).name == "test.py" and rest:
        check_checkpoint_path(rest[0])
    if args.processes < 1:
        raise ConfigError(f"{args.processes} processes can't be started; ask for at least one")
    # Torch is imported here, after the arguments were found right.
    import torch
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import get_args_parser, run

    devices = torch.cuda.device_count()
    if 0 < devices < args.processes:
        raise ConfigError(
            f"{args.processes} GPUs were asked for, this machine has {devices}; ask for at most {devices}"
        )
    if not devices:
        os.environ.setdefault(VARIABLE, str(max(1, idle_cores() // args.processes)))
        print(
            f"no GPU here: {args.processes} CPU processes instead, threads of each: {os.environ[VARIABLE]}",
            flush=True,
        )
    command = os.environ.setdefault(COMMAND, made_by())
    # The processes tell their errors themselves; torchrun's report of them would bury the message.
    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)
    pass_on_stop_signals()
    start = [f"--nproc_per_node={args.processes}", *rendezvous(), args.script, args.config, *rest]
    try:
        run(get_args_parser().parse_args([*start, "--launcher=pytorch"]))
    except SignalException as end:
        if end.sigval == signal.SIGINT:
            raise KeyboardInterrupt from None
        sys.exit(128 + end.sigval)
    except ChildFailedError as error:
        codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
        # Stopped and saved, or told before they could listen; the others are ended meanwhile.
        if {EXIT_CODE, -signal.SIGUSR1} & set(codes.values()):
            sys.exit(EXIT_CODE)
        killed = {rank: -code for rank, code in codes.items() if code < 0}
        # Those that torchrun itself ends, after another's error, get SIGTERM.
        if killed and (set(killed.values()) != {signal.SIGTERM} or len(killed) == len(codes)):
            raise ProcessKilledError(killed_message(killed, args.processes, command)) from None
        sys.exit(1)


def pass_on_stop_signals() -> None:
    """Let the processes save when this one is told to stop; torchrun would end them at once.

    They take SIGUSR1 for that: SIGTERM is what torchrun ends them with when one has failed.
    """
    os.environ["PET_SIGNALS_TO_HANDLE"] = "SIGINT,SIGHUP,SIGQUIT"  # torchrun's own, without SIGTERM

    def pass_on(number: int, frame: object) -> None:
        for process in psutil.Process().children():
            process.send_signal(signal.SIGUSR1)

    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, pass_on)


class ProcessKilledError(MMSegMLLMError):
    """A process was ended from outside, and could say nothing itself."""


def killed_message(killed: dict[int, int], processes: int, command: str) -> str:
    """Which process (rank -> signal), by which signal, what that may mean, and how to go on."""
    rank, number = min(killed.items(), key=lambda one: one[1] == signal.SIGTERM)
    why = {
        signal.SIGKILL: "Mostly the machine had no memory left (dmesg or the cluster's job log tell): fewer "
        "processes, a smaller train_dataloader.batch_size and fewer num_workers need less.",
        signal.SIGTERM: "Somebody stopped it, or a scheduler at its time limit.",
        signal.SIGBUS: "Mostly there was too little shared memory for data workers: give a container more "
        "with --shm-size.",
    }.get(number, "A library crashed in it.")
    name = signal.strsignal(number) or "unknown"
    if "train.sh" in command and "--resume" not in command:
        command += " --resume"
    return f"process {rank} of {processes} was ended by signal {number} ({name}). {why} Go on with: {command}"


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


if __name__ == "__main__":
    run_tool(main)
