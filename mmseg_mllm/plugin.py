"""Registers the package's parts and configs with MMEngine and MMSegmentation, imported before or after it."""

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

from mmseg_mllm.packaged_configs import let_configs_inherit

PARTS = {
    "DATASETS": ("datasets.refcoco", "datasets.grefcoco", "datasets.json_dataset", "pretraining.dataset"),
    "DATA_SAMPLERS": ("datasets.samplers",),
    "TRANSFORMS": (
        "datasets.transforms.loading",
        "datasets.transforms.processing",
        "datasets.transforms.formatting",
    ),
    "MODELS": (
        "models.segmentors.mllm_segmentor",
        "models.backbones.mllm_backbone",
        "models.backbones.tiny_tokenizer",
        "models.decode_heads.dsff_head",
        "pretraining.model",
    ),
    "METRICS": (
        "evaluation.res_metric",
        "evaluation.class_iou",
        "evaluation.dump_masks",
        "pretraining.metric",
    ),
    "HOOKS": (
        "engine.hooks.progress_hook",
        "engine.hooks.checkpoint_hook",
        "engine.hooks.class_count_hook",
        "engine.hooks.loss_curve_hook",
        "engine.hooks.merge_adapters_hook",
        "engine.hooks.shards_hook",
        "engine.hooks.throughput_hook",
        "engine.hooks.referring_visualization_hook",
        "engine.hooks.spread_seg_visualization_hook",
        "pretraining.standardise",
    ),
    "LOOPS": ("engine.train_loop",),
    "OPTIM_WRAPPERS": ("engine.finite_optim_wrapper",),
    "OPTIM_WRAPPER_CONSTRUCTORS": ("engine.optimizer",),
    "VISUALIZERS": ("visualization.referring_visualizer",),
}
"""Modules that register something, by the registry of mmseg that they register it with."""


# MMEngine's registries import their "locations" when they are first asked for a name, so it is enough to add
# ours. That can't wait for someone to call a function (``import mmseg_mllm`` must do, in either order), and
# importing mmseg here for it would cost seconds where nobody needs it; so it happens right after mmseg.
# DySample is in MMEngine's own registry, whose children look there without importing its locations: so it is
# imported with mmengine.model, which all that builds a layer needs.
def install() -> None:
    """Register now with what is imported already, and with the rest when it is."""
    for name, act in _WATCHED.items():
        if name in sys.modules:
            act()
        else:
            sys.meta_path.insert(0, _AfterImport(name, act))


def _add_locations() -> None:
    from mmseg import registry

    from mmseg_mllm.compat import allow_mmengine_checkpoint_classes

    allow_mmengine_checkpoint_classes()
    for name, modules in PARTS.items():
        own = getattr(registry, name)
        own._locations = [*own._locations, *(f"{__package__}.{module}" for module in modules)]
        own._imported = False


def _register_layers() -> None:
    import_module(f"{__package__}.ops")


def _add_configs() -> None:
    let_configs_inherit(sys.modules["mmengine.config.config"])


_WATCHED: dict[str, Callable[[], None]] = {
    "mmengine.config.config": _add_configs,
    "mmengine.model": _register_layers,
    "mmseg.registry": _add_locations,
}


class _AfterImport:
    """Finder that does something once, right after a module was imported."""

    def __init__(self, name: str, act: Callable[[], None]) -> None:
        self._name, self._act, self._asked = name, act, False

    def find_spec(self, name: str, path=None, target=None) -> ModuleSpec | None:
        if name != self._name or self._asked:
            return None
        self._asked = True
        try:
            spec = find_spec(name)  # of the finders after this one
        finally:
            self._asked = False
        if spec is None:
            return None
        run = spec.loader.exec_module

        def run_and_act(module: ModuleType) -> None:
            run(module)
            if self in sys.meta_path:
                sys.meta_path.remove(self)
                self._act()

        spec.loader.exec_module = run_and_act
        return spec
