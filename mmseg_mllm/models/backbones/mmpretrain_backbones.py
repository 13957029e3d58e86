"""Importing this module registers MMPretrain's backbones, as ``mmpretrain.ConvNeXt`` and so on.

``mmseg_mllm`` does not import it: a config asks for it in ``custom_imports``.
"""

from mmseg_mllm.compat import import_mmpretrain_models

import_mmpretrain_models()
