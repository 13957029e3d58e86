"""Referring segmentation with multimodal LLMs as a plugin of MMSegmentation.

Importing this package registers its datasets, transforms, models, metrics, hooks and visualiser with
``mmseg.registry``; a config does so with ``custom_imports = dict(imports=['mmseg_mllm'])``.
"""

from mmseg_mllm.compat import allow_mmengine_checkpoint_classes, import_mmcv_ops_without_binaries

import_mmcv_ops_without_binaries()
allow_mmengine_checkpoint_classes()

from mmseg_mllm import datasets, engine, evaluation, models, ops, visualization  # noqa: E402
from mmseg_mllm.version import __version__  # noqa: E402

__all__ = ["__version__", "datasets", "engine", "evaluation", "models", "ops", "visualization"]
