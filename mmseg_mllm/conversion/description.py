"""What a model folder is, without loading its weights."""

from collections.abc import Mapping
from math import prod
from typing import Any

from mmseg_mllm.conversion.described_folder import folder_config
from mmseg_mllm.conversion.original_config import CONFIG_FILE
from mmseg_mllm.conversion.tensor_files import TensorFiles
from mmseg_mllm.hub.source import ModelSource
from mmseg_mllm.models.json_object import read_json
from mmseg_mllm.models.model_folder import DECODE_HEAD_FILE, base_folder
from mmseg_mllm.models.model_settings import ModelSettings

_LLM = ("model.language_model.", "lm_head.")
_VISION = ("model.vision_tower.",)


def describe_model(source: ModelSource) -> dict[str, str | int | None]:
    """Facts by name, in the order in which people read them; sizes in pixels, bytes and numbers.

    Raises:
        CheckpointError: the folder is no model folder, or damaged.
    """
    folder_config(source.folder)  # sees that all of it fits
    settings = ModelSettings.read(source.folder)
    folder = base_folder(source.folder)
    base = read_json(folder / CONFIG_FILE)
    files = TensorFiles.of_folder(folder)
    head = TensorFiles(files=[source.folder / DECODE_HEAD_FILE])
    counts = {name: prod(shape) for name, shape in files.shapes.items()}
    llm = sum(count for name, count in counts.items() if name.startswith(_LLM))
    vision = sum(count for name, count in counts.items() if name.startswith(_VISION))
    of_head = sum(map(prod, head.shapes.values()))
    patches = settings.image_size // base["vision_config"]["patch_size"][0]
    return dict(
        name=source.name,
        folder=str(source.folder),
        commit=source.revision,
        base=settings.base,
        vision_tower=_layers(base["vision_config"]),
        language_model=_layers(base["text_config"]),
        parameters=sum(counts.values()) + of_head,
        of_the_vision_tower=vision,
        of_the_language_model=llm,
        of_the_mask_decoder=of_head,
        weights=" and ".join(sorted(set(files.dtypes.values()))),
        bytes=files.total_bytes + head.total_bytes,
        prompt=settings.prompt,
        protocol=settings.protocol,
        input_size=settings.image_size,
        image_tokens=round((patches * base["downsample_ratio"]) ** 2),
        map_size=patches * settings.decode_head.mask_scale,
        fusion=settings.decode_head.fusion,
    )


def _layers(config: Mapping[str, Any]) -> str:
    return f"{config['model_type']}, {config['num_hidden_layers']} layers of width {config['hidden_size']}"
