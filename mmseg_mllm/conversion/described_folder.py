"""A model folder by itself to the config of its model: nothing that it says is believed unseen."""

from pathlib import Path
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmseg.registry import MODELS
from transformers import AutoConfig, AutoModelForImageTextToText

from mmseg_mllm.compat import quiet_upstream
from mmseg_mllm.conversion.original_config import CONFIG_FILE
from mmseg_mllm.conversion.stored import stored_tensors
from mmseg_mllm.conversion.tensor_check import check_tensors
from mmseg_mllm.conversion.tensor_files import TensorFiles
from mmseg_mllm.errors import CheckpointError
from mmseg_mllm.input_size import InputSize
from mmseg_mllm.models.backbones.families import family_of
from mmseg_mllm.models.json_object import read_json
from mmseg_mllm.models.model_folder import DECODE_HEAD_FILE, base_folder, check_model_folder, use_model_folder
from mmseg_mllm.models.model_settings import SETTINGS_FILE, ModelSettings

MAX_LAYERS = 1000
_OF_THE_FILE = ("architectures", "transformers_version")
_REFUSED = ("quantization_config", "auto_map")


def folder_config(
    folder: str | Path,
    *,
    dtype: str | None = None,
    image_size: InputSize | None = None,
    quantization: str | None = None,
) -> ConfigDict:
    """Config of the ``MLLMSegmentor`` in a folder made by ``tools/model_converters`` or ``save_pretrained``.

    Args:
        folder: Describes itself in ``mmseg_mllm.json`` and ``config.json``.
        dtype: As for ``MLLMBackbone``; by default 'float32' where the weights are, otherwise 'auto'.
        image_size: Of the input; the folder's own by default.
        quantization: As for ``MLLMBackbone``.

    Raises:
        CheckpointError: the folder is none, is not described, or what it says does not fit its weights.
    """
    folder = Path(folder)
    check_model_folder(folder)
    settings = ModelSettings.read(folder)
    base = base_folder(folder)
    content = read_json(base / CONFIG_FILE)
    arch = _arch(content, settings, folder=folder, base=base)
    stored = content.get("dtype") or content.get("torch_dtype")
    config = ConfigDict(
        type="MLLMSegmentor",
        data_preprocessor=dict(
            type="ImgDataPreprocessor", mean=list(settings.pixel_mean), std=list(settings.pixel_std)
        ),
        prompt=settings.prompt,
        protocol=settings.protocol,
        backbone=dict(
            type="MLLMBackbone",
            arch=arch,
            dtype=dtype or ("float32" if stored == "float32" else "auto"),
            image_size=image_size or settings.image_size,
            quantization=quantization,
        ),
        decode_head=settings.decode_head.config(),
    )
    use_model_folder(config, folder)
    return config


def _arch(content: dict[str, Any], settings: ModelSettings, *, folder: Path, base: Path) -> dict[str, Any]:
    """The transformers config, seen to be of a kind that is known and to describe the weights beside it.

    Weights of a model are made before they are read: a config of a larger one could fill the memory.
    """
    path, head = base / CONFIG_FILE, folder / DECODE_HEAD_FILE
    if content.get("model_type") != settings.base:
        raise CheckpointError(
            f"{path}: is of model_type {content.get('model_type')!r:.60}, not {settings.base!r}"
        )
    family = family_of(settings.base)
    for part, kinds in (("vision_config", family.vision_types), ("text_config", family.text_types)):
        config = content.get(part)
        if not isinstance(config, dict) or config.get("model_type") not in kinds:
            raise CheckpointError(f"{path}: {part} must be of one of {', '.join(kinds)}")
        layers = config.get("num_hidden_layers", config.get("depth"))
        if type(layers) is not int or not 0 < layers <= MAX_LAYERS:
            raise CheckpointError(f"{path}: {part}.num_hidden_layers is {layers!r:.60}")
    parts = (content, content["vision_config"], content["text_config"])
    odd = [name for name in _REFUSED for part in parts if part.get(name)]
    if odd:
        raise CheckpointError(f"{path}: has {odd[0]}, which is not taken; convert the model again")
    arch = {key: value for key, value in content.items() if key not in _OF_THE_FILE}
    try:
        with quiet_upstream(), torch.device("meta"):
            config = AutoConfig.for_model(**arch)
            whole = AutoModelForImageTextToText.from_config(config)
            widths = (config.vision_config.hidden_size, config.text_config.hidden_size)
            decoder = MODELS.build(dict(settings.decode_head.config(), in_channels=widths))
    except Exception as error:  # transformers and torch raise all sorts
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(
            f"{folder}: {CONFIG_FILE} or {SETTINGS_FILE} has an entry that can't be used ({reason})"
        ) from error
    for tensors, files, where in (
        (stored_tensors(whole), TensorFiles.of_folder(base), base),
        (decoder.state_dict(), TensorFiles(files=[head]), head),
    ):
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        check_tensors(files, wanted=shapes, where=str(where))
    return arch
