"""What a model folder is, without loading its weights."""

from math import prod

from transformers import AutoConfig, PretrainedConfig

from mmseg_mllm.conversion.described_folder import folder_config
from mmseg_mllm.conversion.tensor_files import TensorFiles
from mmseg_mllm.hub.source import ModelSource
from mmseg_mllm.input_size import InputSize, height_width, input_size
from mmseg_mllm.models.backbones.families import family_of
from mmseg_mllm.models.model_folder import DECODE_HEAD_FILE, base_folder
from mmseg_mllm.models.model_settings import ModelSettings


def describe_model(source: ModelSource) -> dict[str, str | InputSize | None]:
    """Facts by name, in the order in which people read them; sizes in pixels, bytes and numbers.

    Raises:
        CheckpointError: the folder is no model folder, or damaged.
    """
    config = AutoConfig.for_model(**folder_config(source.folder).backbone.arch)
    settings = ModelSettings.read(source.folder)
    folder = base_folder(source.folder)
    family = family_of(settings.base)
    llm_names = (f"model.{family.text_model}.", "lm_head.")
    vision_names = tuple(f"model.{path}." for path in family.vision)
    files = TensorFiles.of_folder(folder)
    head = TensorFiles(files=[source.folder / DECODE_HEAD_FILE])
    counts = {name: prod(shape) for name, shape in files.shapes.items()}
    llm = sum(count for name, count in counts.items() if name.startswith(llm_names))
    vision = sum(count for name, count in counts.items() if name.startswith(vision_names))
    of_head = sum(map(prod, head.shapes.values()))
    patches = [side // family.patch_size(config) for side in height_width(settings.image_size)]
    return dict(
        name=source.name,
        folder=str(source.folder),
        commit=source.revision,
        base=settings.base,
        vision_tower=_layers(config.vision_config),
        language_model=_layers(config.text_config),
        parameters=sum(counts.values()) + of_head,
        of_the_vision_tower=vision,
        of_the_language_model=llm,
        of_the_mask_decoder=of_head,
        weights=" and ".join(sorted(set(files.dtypes.values()))),
        bytes=files.total_bytes + head.total_bytes,
        prompt=settings.prompt,
        protocol=settings.protocol,
        input_size=settings.image_size,
        image_tokens=prod(side // family.downsample(config) for side in patches),
        map_size=input_size([side * settings.decode_head.mask_scale for side in patches]),
        fusion=settings.decode_head.fusion,
    )


def _layers(config: PretrainedConfig) -> str:
    return f"{config.model_type}, {config.num_hidden_layers} layers of width {config.hidden_size}"
