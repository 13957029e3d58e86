"""Referring segmentation with multimodal LLMs as a plugin of MMSegmentation.

Importing this package registers its datasets, transforms, models, metrics, hooks and visualiser with
``mmseg.registry``; a config does so with ``custom_imports = dict(imports=['mmseg_mllm'])``. It takes
milliseconds: torch and the parts themselves are imported when a registry is first asked.
"""

from importlib import import_module
from types import ModuleType

from mmseg_mllm import bitsandbytes_log, mmcv_lite, plugin
from mmseg_mllm.version import __version__

__all__ = ["__version__", "apis", "datasets", "engine", "evaluation", "models", "ops", "visualization"]

mmcv_lite.install()
bitsandbytes_log.quiet()
plugin.install()


def __getattr__(name: str) -> ModuleType:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.{name}")
