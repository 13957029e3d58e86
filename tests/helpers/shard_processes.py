"""Runs of the toy config in two processes, whole (DDP) and in shards; arguments: a free port, and the runs
as JSON."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmseg.registry import HOOKS

from mmseg_mllm.engine.config import load_config
from mmseg_mllm.engine.runner import QuietRunner, build_runner
from mmseg_mllm.engine.sharding import is_sharded

ROOT = Path(__file__).parents[2]


def two_processes(asked: list[dict]) -> None:
    """Carry out these runs, arguments of :func:`build`, by two processes."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    result = subprocess.run(
        [sys.executable, __file__, str(port), json.dumps(asked)],
        env=dict(os.environ, PYTHONWARNINGS="ignore", OMP_NUM_THREADS="1"),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert result.returncode == 0, result.stderr


@HOOKS.register_module()
class SecondProcessHook(Hook):
    """The second process alone has a loss that is no number in step 2, where its gradients are, and is
    told to stop in the validation after step 3."""

    def before_train(self, runner: QuietRunner) -> None:
        update = runner.optim_wrapper.update_params

        def spoilt(loss: torch.Tensor, **kwargs) -> None:
            update(loss + (float("nan") if (get_rank(), runner.iter) == (1, 1) else 0), **kwargs)

        runner.optim_wrapper.update_params = spoilt

    def before_val_iter(self, runner: QuietRunner, batch_idx: int, data_batch: dict | None = None) -> None:
        if (get_rank(), runner.iter) == (1, 3):
            os.kill(os.getpid(), signal.SIGUSR1)


def build(
    *, data_root: str, work_dir: str, shard: bool, load_from: str | None, resume: bool, options: dict
) -> QuietRunner:
    short = {
        "data_root": data_root,
        "effective_batch_size": 4,
        "randomness.seed": 5,
        "train_cfg.max_iters": 4,
        "train_cfg.val_interval": 3,
        "param_scheduler.0.end": 1,
        "param_scheduler.1.begin": 1,
        "param_scheduler.1.end": 4,
        "default_hooks.checkpoint.interval": 1,
        "default_hooks.checkpoint.max_keep_ckpts": 9,
        "default_hooks.logger.interval": 1,
        "train_dataloader.batch_size": 2,
        "train_dataloader.num_workers": 0,
        "val_dataloader.num_workers": 0,
        "test_dataloader.num_workers": 0,
        "model.backbone.gradient_checkpointing": True,
    }
    config = load_config(str(ROOT / "configs/mllmseg/internvl_tiny_toy.py"), short | options)
    # That of the full-size configs.
    counts = config.optim_wrapper.get("accumulative_counts", 1)
    adamw = dict(type="AdamW", lr=2e-3, betas=(0.9, 0.999), weight_decay=0.05)
    config.optim_wrapper = dict(
        type="FiniteOptimWrapper",
        optimizer=adamw,
        clip_grad=dict(max_norm=1.0),
        accumulative_counts=counts,
    )
    config.launcher = "pytorch"
    config.work_dir, config.shard, config.load_from, config.resume = work_dir, shard, load_from, resume
    config.experiment_name = Path(work_dir).name
    if load_from and not resume:
        config.test_evaluator = [
            dict(type="RESMetric"),
            dict(type="DumpMasks", out_file=f"{work_dir}/masks.json"),
        ]
    return build_runner(config)


def main() -> None:
    for run in json.loads(sys.argv[2]):
        runner = build(**run)
        if run["load_from"] and not run["resume"]:
            runner.test()
        else:
            with contextlib.suppress(SystemExit):  # told to stop
                runner.train()
        assert is_sharded(runner.model) is run["shard"]
        if run["shard"] and run["resume"]:
            rows = sum(p.to_local().numel() for p in runner.model.parameters())
            assert rows < 0.6 * sum(p.numel() for p in runner.model.parameters())
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    second = os.fork()  # all is imported once
    torch.set_num_threads(1)  # renews a forked pool of threads before several ask for it
    rank = "0" if second else "1"
    os.environ |= dict(RANK=rank, LOCAL_RANK=rank, WORLD_SIZE="2", MASTER_ADDR="127.0.0.1")
    os.environ["MASTER_PORT"] = sys.argv[1]
    main()
    if second:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(second, 0)[1]))
