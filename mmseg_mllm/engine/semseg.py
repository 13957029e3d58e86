"""What the tools do for configs of ordinary semantic segmentation."""

from collections.abc import Sequence
from pathlib import Path

import mmcv
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS, MODELS

from mmseg_mllm.engine.config import dataset_configs
from mmseg_mllm.engine.hooks.referring_visualization_hook import spread_samples
from mmseg_mllm.errors import ConfigError
from mmseg_mllm.evaluation.class_iou import ClassIoUMetric
from mmseg_mllm.models.segmentors import MLLMSegmentor


def is_referring(config: Config) -> bool:
    """Whether a config's model answers expressions; all others are ordinary segmentors."""
    kind = config.get("model", {}).get("type")
    return (MODELS.get(kind) if isinstance(kind, str) else kind) is MLLMSegmentor


def check_data_roots(config: Config) -> None:
    """See that the folders of all datasets are there; mmseg's datasets end in a traceback.

    Raises:
        ConfigError: one is not.
    """
    for dataset in dataset_configs(config):
        if not Path(dataset.data_root).is_dir():
            raise ConfigError(
                f"data_root={dataset.data_root}: there is no such folder; give yours with --cfg-options "
                "data_root=DIR"
            )


def use_amp(config: Config) -> None:
    """Compute in bfloat16, train in float32.

    Raises:
        ConfigError: there is no accelerator; mmengine's wrapper refuses to run without one.
    """
    if get_device() == "cpu":
        raise ConfigError("--amp: ordinary segmentation needs a GPU for it, and there is none; leave it out")
    config.optim_wrapper.type = "AmpOptimWrapper"
    config.optim_wrapper.dtype = "bfloat16"


def use_tta(config: Config) -> None:
    """Test with the config's ``tta_model`` and ``tta_pipeline``.

    Raises:
        ConfigError: it has none.
    """
    for key in ("tta_model", "tta_pipeline"):
        if key not in config:
            raise ConfigError(f"--tta: the config has no {key}")
    config.test_dataloader.dataset.pipeline = config.tta_pipeline
    config.model = dict(config.tta_model, module=config.model)


def tell_classes(config: Config) -> None:
    """Have every ``IoUMetric`` of the test keep its figures per class."""
    given = config.test_evaluator
    for metric in given if isinstance(given, list | tuple) else [given]:
        if metric.type == "IoUMetric":
            metric.type = "ClassIoUMetric"


@HOOKS.register_module()
class SpreadSegVisualizationHook(Hook):
    """Draws test samples beside their ground truth, as mmseg's hook does, but spread over the test set.

    Pictures are named by the sample's place in the test set and its file, of which others may have the name.

    Attributes:
        num_images: How many are drawn; None draws all.
    """

    num_images: int | None = None

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: Sequence | None = None
    ) -> None:
        for index, sample in spread_samples(runner, batch_idx, outputs or (), count=self.num_images):
            image = mmcv.imread(sample.img_path, channel_order="rgb")
            runner.visualizer.add_datasample(f"{index:05}_{Path(sample.img_path).stem}", image, sample)


def draw_predictions(config: Config, *, out_dir: str) -> None:
    """Draw test samples beside their ground truth into ``out_dir``."""
    config.default_hooks.visualization = dict(type="SpreadSegVisualizationHook")
    config.visualizer = dict(
        type="SegLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")], save_dir=out_dir
    )


def spread_pictures(runner: Runner, *, count: int) -> None:
    """Have ``count`` samples drawn, spread over the test set."""
    for hook in runner.hooks:
        if isinstance(hook, SpreadSegVisualizationHook):
            hook.num_images = count


def class_tables(runner: Runner) -> list:
    """Tables of the test that has run, one for each metric that can tell."""
    metrics = runner.test_loop.evaluator.metrics
    return [metric.table() for metric in metrics if isinstance(metric, ClassIoUMetric)]
