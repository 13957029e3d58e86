"""Running the tools as a user does, on a small toy set and for a few iterations."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mmseg_mllm.toy import write_toy_refcoco

ROOT = Path(__file__).parents[2]
CONFIG = "configs/mllmseg/internvl_tiny_toy.py"


@pytest.fixture(scope="session")
def small_toy(tmp_path_factory) -> Path:
    """Toy set with an odd number of test images."""
    counts = dict(train=24, val=3, testA=2, testB=2)
    return write_toy_refcoco(out=tmp_path_factory.mktemp("toy") / "toy_refcoco", seed=1, counts=counts)


@pytest.fixture(scope="session")
def run_tool() -> Callable[..., subprocess.CompletedProcess]:
    def run(*command: str | Path) -> subprocess.CompletedProcess:
        first = [sys.executable] if str(command[0]).endswith(".py") else []
        return subprocess.run(
            [*first, *map(str, command)],
            cwd=ROOT,
            env=dict(os.environ, PYTHON=sys.executable, PYTHONWARNINGS="ignore"),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def options(small_toy) -> list[str]:
    """Six short iterations with a checkpoint after every second one."""
    return [
        "--cfg-options",
        f"data_root={small_toy}",
        "train_cfg.max_iters=6",
        "train_cfg.val_interval=6",
        "param_scheduler.0.end=1",
        "param_scheduler.1.begin=1",
        "param_scheduler.1.end=6",
        "default_hooks.checkpoint.interval=2",
        "default_hooks.logger.interval=1",
        "train_dataloader.num_workers=0",
        "val_dataloader.num_workers=0",
        "test_dataloader.num_workers=0",
        "test_dataloader.batch_size=2",
    ]


@pytest.fixture(scope="session")
def trained(run_tool, options, tmp_path_factory) -> Path:
    """Work dir of a short training."""
    work_dir = tmp_path_factory.mktemp("trained")
    result = run_tool("tools/train.py", CONFIG, "--work-dir", work_dir, *options)
    assert result.returncode == 0, result.stderr
    return work_dir
