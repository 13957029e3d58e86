"""What the tools do for configs of ordinary semantic segmentation."""

from pathlib import Path

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.runner import Runner
from mmseg.registry import MODELS

from mmseg_mllm.engine.config import dataset_configs
from mmseg_mllm.engine.hooks import SpreadSegVisualizationHook
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
