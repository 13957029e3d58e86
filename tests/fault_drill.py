"""Fault drill: break a training in every way, and see that it ends as the unbroken one.

python tests/fault_drill.py [--kills 20] [--seed 0] [--short]

The tiny model is trained on a toy set by the command itself, in forks of this process.
"""

import argparse
import os
import random
import resource
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import torch

from mmseg_mllm.cli import main as command
from mmseg_mllm.engine.hooks import SafeCheckpointHook
from mmseg_mllm.engine.runner import QuietRunner
from mmseg_mllm.toy import write_toy_refcoco

CONFIG = str(Path(__file__).parents[1] / "configs/mllmseg/internvl_tiny_toy.py")
LIMIT = 120
"""Seconds that a run may take at most."""
SAVED = 75


class Drill:
    """Runs of one training of ``steps`` steps, saved after each.

    Args:
        root: Of data and work dirs.
        steps: Of the optimiser.
        workers: Data workers.
    """

    def __init__(self, root: Path, *, steps: int, workers: int = 0) -> None:
        self.root, self.steps, self.workers = root, steps, workers
        self.data = root / "toy"
        if not self.data.exists():
            write_toy_refcoco(out=self.data, seed=1, counts=dict(train=12, val=1, testA=1, testB=1))

    def run(
        self,
        name: str,
        *,
        processes: int = 1,
        after: int | None = None,
        act: Callable[[list[int]], None] = lambda pids: None,
        in_save: bool = False,
        prepare: Callable[[], None] = lambda: None,
    ) -> list[int]:
        """Train or go on in work dir ``name``; exit codes of the processes, -9 for one that was killed.

        Args:
            name: Work dir.
            processes: How many.
            after: Call ``act`` with the pids when so many steps were begun, or so many saves with
            ``in_save``:
                the run waits there.
            act: What is done to it.
            in_save: Count saves whose temporary file is written and has not got its name.
            prepare: Called in each process before.
        """
        told, tell = os.pipe()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        pids = [self._fork(name, rank, processes, port, tell, in_save, prepare) for rank in range(processes)]
        os.close(tell)
        count = 0
        while after is not None and count < after and os.read(told, 1):
            count += 1
        if count and count == after:
            act(pids)
        deadline, codes = time.monotonic() + LIMIT, {}
        while len(codes) < processes:
            for pid in set(pids) - codes.keys():
                done, status = os.waitpid(pid, os.WNOHANG)
                if done:
                    codes[pid] = os.waitstatus_to_exitcode(status)
            time.sleep(0.01)
            if time.monotonic() > deadline:
                for pid in set(pids) - codes.keys():
                    os.kill(pid, signal.SIGKILL)
        os.close(told)
        return [codes[pid] for pid in pids]

    def _fork(self, name, rank, processes, port, tell, in_save, prepare) -> int:
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            # A forked pool of threads is renewed where it is first asked for: in threads that load weights at
            # the same time, one could find none.
            torch.set_num_threads(torch.get_num_threads())
            with (self.root / f"{name}.log").open("ab") as log:
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)
            if processes > 1:
                os.environ |= dict(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(processes))
                os.environ |= dict(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
            if rank == 0:
                _tell(tell, in_save)
            prepare()
            command(self._arguments(name, processes))
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        finally:
            sys.stdout.flush()
            os._exit(code)

    def _arguments(self, name: str, processes: int) -> list[str]:
        return [
            *("train", CONFIG, "--work-dir", str(self.root / name), "--resume"),
            *("--launcher", "pytorch" if processes > 1 else "none"),
            *("--cfg-options", f"data_root={self.data}", f"train_cfg.max_iters={self.steps}"),
            *("param_scheduler.0.end=2", "param_scheduler.1.begin=2", f"param_scheduler.1.end={self.steps}"),
            *("default_hooks.checkpoint.interval=1", f"train_dataloader.num_workers={self.workers}"),
            *("val_dataloader.num_workers=0", "effective_batch_size=2", "train_dataloader.batch_size=1"),
        ]

    def last(self, name: str) -> dict:
        """All numbers of the last checkpoint."""
        content = torch.load(self.root / name / f"iter_{self.steps}.pth", weights_only=True)
        state = {f"{k}.{n}": t for k, s in content["optimizer"]["state"].items() for n, t in s.items()}
        return content["state_dict"] | state


def _tell(pipe: int, in_save: bool) -> None:
    """Write a byte for each step begun, or for each save in its middle, and dawdle there."""
    if in_save:
        sync = os.fsync

        def slow_sync(file: int) -> None:
            if os.readlink(f"/proc/self/fd/{file}").endswith(".pth.tmp"):
                os.write(pipe, b".")
                time.sleep(0.3)
            sync(file)

        os.fsync = slow_sync
        return
    begin = SafeCheckpointHook.before_train_iter

    def tell(self, runner: QuietRunner, *args, **kwargs) -> None:
        os.write(pipe, b".")
        begin(self, runner, *args, **kwargs)

    SafeCheckpointHook.before_train_iter = tell


def check(what: str, is_right: bool) -> None:
    """Print it, and end where it is wrong."""
    print(f"{'ok' if is_right else 'WRONG'}  {what}", flush=True)
    if not is_right:
        sys.exit(1)


def equal(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def signals(number: int, *, which: slice = slice(None)) -> Callable[[list[int]], None]:
    def send(pids: list[int]) -> None:
        for pid in pids[which]:
            os.kill(pid, number)

    return send


def one_process(root: Path, *, kills: int, draw: random.Random) -> None:
    """All faults of a single run, one after another."""
    drill = Drill(root, steps=kills + 6)
    check("the unbroken run ends", drill.run("whole") == [0])
    work_dir = root / "broken"
    for kill in range(kills):
        in_save = kill % 3 == 0

        def at_random(pids: list[int], in_save: bool = in_save) -> None:
            time.sleep(0 if in_save else draw.uniform(0, 0.3))
            signals(signal.SIGKILL)(pids)

        codes = drill.run("broken", after=draw.choice([1, 2]), act=at_random, in_save=in_save)
        left = len(list(work_dir.glob(".*.tmp")))
        check(f"SIGKILL {kill + 1} {'in the middle of a save' if in_save else 'at random'}", codes == [-9])
        if in_save:
            check("its temporary file is left", left == 1)
    check("SIGTERM is answered", drill.run("broken", after=2, act=signals(signal.SIGTERM)) == [SAVED])
    newest = max(work_dir.glob("iter_*.pth"), key=lambda path: int(path.stem[5:]))
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    (work_dir / "last_checkpoint").write_text("")
    moved = root / "moved"
    work_dir.rename(moved)
    full = resource.RLIMIT_FSIZE, (10**6, resource.RLIM_INFINITY)
    codes = drill.run(
        "moved", after=2, act=signals(signal.SIGTERM), prepare=lambda: resource.setrlimit(*full)
    )
    text = (root / "moved.log").read_text()
    check("a disk that takes no more is told at the end", codes == [1] and "was not written" in text)
    check("a cut off checkpoint is passed over", f"passed over: {moved / newest.name}" in text)
    check("the run ends", drill.run("moved") == [0])
    check(
        "its weights and optimiser are those of the unbroken run", equal(*map(drill.last, ("whole", "moved")))
    )


def killed_worker(root: Path) -> None:
    drill = Drill(root, steps=4, workers=1)

    def kill_child(pids: list[int]) -> None:
        psutil.Process(pids[0]).children()[0].kill()

    codes = drill.run("worker", after=2, act=kill_child)
    said = "a data worker was ended from outside" in (root / "worker.log").read_text()
    check("a killed data worker is told", codes == [1] and said)
    check("and the run goes on", drill.run("worker") == [0])


def killed_processes(root: Path) -> None:
    drill = Drill(root, steps=5)
    check("two processes end", drill.run("two", processes=2) == [0, 0])
    codes = drill.run("two_broken", processes=2, after=3, act=signals(signal.SIGKILL))
    check("both are killed", codes == [-9, -9])
    check("and go on", drill.run("two_broken", processes=2) == [0, 0])
    check("to the same numbers", equal(*map(drill.last, ("two", "two_broken"))))


def other_processes(root: Path) -> None:
    drill = Drill(root, steps=5)
    stop = signals(signal.SIGUSR1, which=slice(1))
    check("told to one, both stop", drill.run("changing", processes=2, after=2, act=stop) == [SAVED] * 2)
    check("one goes on", drill.run("changing", after=2, act=stop) == [SAVED])
    check("and two again", drill.run("changing", processes=2) == [0, 0])
    steps = {value.item() for name, value in drill.last("changing").items() if name.endswith(".step")}
    check("at the same step of the optimiser", steps == {drill.steps})


def run_drill(*, kills: int, seed: int, short: bool) -> None:
    """The whole drill, or its first parts."""
    folder = Path(tempfile.mkdtemp(prefix="drill-"))
    torch.set_num_threads(1)
    try:
        one_process(folder, kills=kills, draw=random.Random(seed))
        other_processes(folder)
        if not short:
            killed_processes(folder)
            killed_worker(folder)
    except SystemExit:
        for log in folder.glob("*.log"):
            print(f"--- {log.name}", log.read_text()[-3000:], sep="\n")
        raise
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--short", action="store_true", help="no killed workers, no killed pairs")
    run_drill(**vars(parser.parse_args()))
