"""From a config: the model without weights, and the settings that a folder of it has."""

from pathlib import Path

import torch
from mmengine.config import ConfigDict
from mmengine.model import ImgDataPreprocessor
from mmseg.registry import MODELS

from mmseg_mllm.conversion.described_folder import folder_config
from mmseg_mllm.conversion.tensor_check import check_tensors
from mmseg_mllm.conversion.tensor_files import TensorFiles
from mmseg_mllm.errors import ConfigError, MMSegMLLMError
from mmseg_mllm.models import MLLMSegmentor
from mmseg_mllm.models.model_folder import DECODE_HEAD_FILE
from mmseg_mllm.models.model_settings import SETTINGS_FILE, ModelSettings


def weightless_model(model: ConfigDict, *, rows: int | None = None) -> MLLMSegmentor:
    """The model of a config on the meta device, without LoRA.

    Args:
        model: Config of an ``MLLMSegmentor``.
        rows: Of the vocabulary; the config's by default.

    Raises:
        ConfigError: it is the config of something else.
    """
    if model.get("type") != MLLMSegmentor.__name__:
        raise ConfigError(f"model.type={model.get('type')!r}: only an MLLMSegmentor has a model folder")
    text = dict(model.backbone.arch.text_config)
    text["vocab_size"] = text["vocab_size"] if rows is None else rows
    backbone = {**model.backbone, "lora": None, "arch": {**model.backbone.arch, "text_config": text}}
    with torch.device("meta"):
        return MODELS.build({**model, "backbone": backbone})


def config_settings(model: ConfigDict, native: MLLMSegmentor) -> ModelSettings:
    """Settings of a config, whose model was built without weights.

    Raises:
        ConfigError: the model has what a folder can't hold.
    """
    preprocessor = model.get("data_preprocessor")
    preprocessor = MODELS.build(preprocessor) if preprocessor else ImgDataPreprocessor()
    return ModelSettings.of(native, preprocessor=preprocessor)


def describe_folder(model: ConfigDict, folder: Path) -> None:
    """Give a model folder of an earlier version the file that says how its model is used.

    Args:
        model: ``model`` of the config that it was used with.
        folder: Gets the file.

    Raises:
        CheckpointError: the folder is none, or its weights are not of this config.
        ConfigError: the config can't be that of a folder, or the folder is described already.
    """
    path = folder / SETTINGS_FILE
    if path.exists():
        raise ConfigError(f"{path}: exists already")
    native = weightless_model(model)
    settings = config_settings(model, native)
    head = TensorFiles(files=[folder / DECODE_HEAD_FILE])
    wanted = {name: tuple(tensor.shape) for name, tensor in native.decode_head.state_dict().items()}
    check_tensors(head, wanted=wanted, where=str(folder / DECODE_HEAD_FILE))
    try:
        settings.write(folder)
        folder_config(folder)
    except (OSError, MMSegMLLMError) as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise ConfigError(f"{path}: could not be written ({error.strerror})") from None
        raise
