"""Training configs several times each, and what the seeds' results are together."""

import copy
import hashlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from mmengine.config import Config

from mmseg_mllm.engine.runner import build_runner
from mmseg_mllm.errors import DataError


def digest(config: Config) -> str:
    """Short hash of all that a config says but where its files go."""
    content = {key: value for key, value in config.to_dict().items() if key != "work_dir"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]


def read_runs(path: Path) -> list[dict]:
    """Runs in a file of :func:`write_runs`; none if there is no file.

    Raises:
        DataError: it is another file.
    """
    if not path.exists():
        return []
    try:
        runs = json.loads(path.read_text(encoding="utf-8"))["runs"]
        return [dict(run, seed=int(run["seed"]), metrics=dict(run["metrics"])) for run in runs]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} holds no training runs ({error!r}); give another --json") from None


def write_runs(path: Path, runs: Sequence[dict]) -> None:
    """Write in one step, so that a stopped tool leaves the runs it has finished."""
    scratch = path.with_name(path.name + ".part")
    scratch.write_text(json.dumps(dict(runs=list(runs)), indent=1) + "\n", encoding="utf-8")
    os.replace(scratch, path)


def missing(configs: dict[str, Config], seeds: Sequence[int], runs: Sequence[dict]) -> Iterator[tuple]:
    """(name, config, seed) of the runs still to do, seed by seed; a changed config counts as another one."""
    done = {(run["name"], run["digest"], run["seed"]) for run in runs}
    for seed in seeds:
        for name, config in configs.items():
            if (name, digest(config), seed) not in done:
                yield name, config, seed


def train_once(name: str, config: Config, seed: int) -> dict:
    """Train and validate; what :func:`write_runs` takes. Nothing is kept but the figures.

    Returns:
        ``name``, ``digest``, ``seed``, ``seconds`` of wall and ``cpu_seconds`` of processor time,
        ``metrics`` of the last validation, and ``first loss`` and ``last loss``, each a mean
        of ten steps.
    """
    own = copy.deepcopy(config)
    own.launcher = "none"
    own.randomness = dict(seed=seed)
    own.default_hooks.checkpoint = None
    own.default_hooks.pop("loss_curve", None)
    with tempfile.TemporaryDirectory() as folder:
        # One of the same name would be that of the run before, with its folder.
        own.visualizer = dict(type="Visualizer", name=folder)
        own.work_dir = folder
        start, cpu_start = time.perf_counter(), time.process_time()
        runner = build_runner(own)
        runner.train()
        scalars = runner.message_hub.log_scalars
    metrics = {
        key.removeprefix("val/"): float(buffer.current())
        for key, buffer in scalars.items()
        if key.startswith("val/") and not key.endswith("time")
    }
    losses, _ = scalars["train/loss"].data
    metrics["first loss"], metrics["last loss"] = float(losses[:10].mean()), float(losses[-10:].mean())
    return dict(
        name=name,
        digest=digest(config),
        seed=seed,
        seconds=round(time.perf_counter() - start, 1),
        cpu_seconds=round(time.process_time() - cpu_start, 1),
        metrics=metrics,
    )


def summarise(
    configs: dict[str, Config], seeds: Sequence[int], runs: Sequence[dict], metric: str
) -> dict[str, dict]:
    """Of each config with all its seeds: figures per seed, their mean and standard deviation (n - 1)."""
    result = {}
    for name, config in configs.items():
        own = {r["seed"]: r for r in runs if r["name"] == name and r["digest"] == digest(config)}
        if not own.keys() >= set(seeds):
            continue
        figures = [own[seed]["metrics"][metric] for seed in seeds]
        result[name] = dict(
            figures=figures,
            mean=statistics.mean(figures),
            deviation=statistics.stdev(figures) if len(figures) > 1 else 0.0,
            cpu_seconds=statistics.median(own[seed]["cpu_seconds"] for seed in seeds),
        )
    return result
