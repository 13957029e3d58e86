"""How well a training uses its machine."""

import resource

import torch
from mmengine.device import get_device
from mmengine.dist import get_world_size, master_only
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from mmseg_mllm.analysis.benchmarks.measure import matmul_rate
from mmseg_mllm.analysis.training_flops import TrainingFlops
from mmseg_mllm.engine.semseg import is_referring
from mmseg_mllm.tables.console import plain_console
from mmseg_mllm.tables.layout import print_tables
from mmseg_mllm.tables.table import ResultTable


@HOOKS.register_module()
class ThroughputHook(Hook):
    """Log speed and use of the machine with the losses, and print their means when training ends.

    In the log are ``samples_per_second`` (images of all processes), ``data_share`` (of the time, spent
    waiting for a batch), ``peak_memory_gb`` (10^9 bytes: of CUDA tensors on a GPU, else of the main process)
    and, for referring models, ``mfu``: FLOPs that the model must compute per second, as a share of those of a
    large matrix product in the same dtype on the same device. The main process counts, of a step with several
    batches the last one for all; the first iteration of a run is left out of the means.
    """

    priority = 55  # after mmengine's timer, before its logger

    def __init__(self) -> None:
        self._iterations = self._images = self._flops = 0
        self._seconds = self._waited = self._rate = 0.0
        self._counts: TrainingFlops | None = None

    @master_only
    def before_train(self, runner: Runner) -> None:
        if is_referring(runner.cfg):
            self._counts = TrainingFlops.of(runner.cfg.model)
            model = runner.model.module if is_model_wrapper(runner.model) else runner.model
            self._rate = matmul_rate(torch.device(get_device()), model.backbone.dtype)()

    @master_only
    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        hub = runner.message_hub
        seconds, waited = (hub.get_scalar(f"train/{name}").current() for name in ("time", "data_time"))
        samples = data_batch["data_samples"]
        rounds = runner.cfg.get("optim_wrapper", {}).get("accumulative_counts", 1)  # batches of an iteration
        images, flops = len(samples) * get_world_size() * rounds, 0
        if self._counts is not None:
            expressions = sum(len(sample.expressions) for sample in samples)
            flops = self._counts.step(images=len(samples), expressions=expressions) * rounds
        for name, value in self._figures(seconds, waited, images, flops).items():
            hub.update_scalar(f"train/{name}", value)
        self._iterations += 1
        if self._iterations > 1:
            self._seconds, self._waited = self._seconds + seconds, self._waited + waited
            self._images, self._flops = self._images + images, self._flops + flops

    @master_only
    def after_train(self, runner: Runner) -> None:
        if self._seconds:
            figures = self._figures(self._seconds, self._waited, self._images, self._flops)
            rows = [{"figure": name, "value": value} for name, value in figures.items()]
            title = f"Throughput of {self._iterations - 1} iterations"
            print_tables(plain_console(), [ResultTable(title=title, names=["figure"], rows=rows)])

    def _figures(self, seconds: float, waited: float, images: int, flops: int) -> dict[str, float]:
        figures = {
            "samples_per_second": images / seconds,
            "data_share": waited / seconds,
            "peak_memory_gb": _peak_memory() / 1e9,
        }
        if self._rate:
            figures["mfu"] = flops / seconds / self._rate
        return figures


def _peak_memory() -> int:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
