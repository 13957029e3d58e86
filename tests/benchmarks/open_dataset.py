"""Time and memory of opening a dataset of RefCOCO's size, and memory of the processes that load its samples.

python tests/benchmarks/open_dataset.py [--scale 1.0] [--workers 4]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from full_size import write_full_size

ROOT = Path(__file__).parents[2]
MIB = 2**20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", type=float, default=1.0, help="part of the full size (default 1.0)")
    parser.add_argument("--workers", type=int, default=4, help="data workers (default 4)")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.measure, workers=args.workers)))
        return
    with tempfile.TemporaryDirectory() as folder:
        root = write_full_size(Path(folder, "refer"), scale=args.scale)
        sizes = [f"{path.name} {path.stat().st_size / 1e6:.0f} MB" for path in sorted(root.rglob("*.*"))]
        print(", ".join(sizes))
        # In a process of its own: this one has held the whole set to write it.
        command = [sys.executable, __file__, "--measure", str(root), "--workers", str(args.workers)]
        environment = dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1")
        found = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    for name, figure in json.loads(found.splitlines()[-1]).items():
        print(f"{name}: {figure}")


def measure(root: str, *, workers: int) -> dict[str, str]:
    """Figures of one process that opens all splits and loads their samples with some workers."""
    from torch.utils.data import DataLoader

    from mmseg_mllm.datasets import RefCOCODataset

    before = _status("VmRSS")
    start, cpu_start = time.perf_counter(), time.process_time()
    dataset = RefCOCODataset(
        data_root=root,
        ann_file="refcoco/instances.json",
        split_file="refcoco/refs(unc).p",
        data_prefix=dict(img_path="train2014"),
        split=["train", "val", "testA", "testB"],
    )
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    figures = {
        "samples": f"{len(dataset):,}",
        "opened in": f"{seconds:.1f} s ({cpu_seconds:.1f} s on the CPU)",
        "peak memory": f"{_status('VmHWM') / MIB:.0f} MiB, of which {before / MIB:.0f} before opening",
        "held afterwards": f"{_status('VmRSS') / MIB:.0f} MiB",
    }
    loader = DataLoader(dataset, num_workers=workers, batch_size=8, collate_fn=len, persistent_workers=True)
    alone = _own_memory(os.getpid())
    batches = iter(loader)
    for _ in range(len(loader) - 1):
        next(batches)
    own = [_own_memory(process.pid) for process in batches._workers]
    figures["main process alone"] = f"{alone / MIB:.0f} MiB of its own"
    figures[f"{workers} workers after all samples"] = (
        f"{[round(memory / MIB) for memory in own]} MiB of their own"
    )
    return figures


def _status(name: str) -> int:
    """Bytes, from the kernel's account of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def _own_memory(pid: int) -> int:
    """Bytes that the process shares with no other."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


if __name__ == "__main__":
    main()
