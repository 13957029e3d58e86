"""What a config's model costs, in one row beside those of others."""

from mmengine.config import Config

from mmseg_mllm.analysis.complexity import build_on_meta, count_flops, count_parameters
from mmseg_mllm.analysis.memory.inference import inference_memory
from mmseg_mllm.analysis.memory.plan import Planner, Way, way_of
from mmseg_mllm.input_size import size_text


def training_way(config: Config) -> Way:
    """The way that :func:`model_costs` plans a training in: one GPU, otherwise as the config says."""
    return way_of(config, gpus=1, shard=False, quantization=None)


def model_costs(config: Config, *, name: str) -> dict[str, str | int | float]:
    """Size, FLOPs and memory of a config's model, without weights or data.

    Args:
        config: As it is read from its file.
        name: Of the config.

    Returns:
        Column -> value. FLOPs, all parameters and the memory of inference are those of the model with LoRA
        merged; inference is one pass of one image with one expression.

    Raises:
        ConfigError: the config trains no referring segmentor.
    """
    way = training_way(config)
    trained = count_parameters(build_on_meta(config.model), trained_only=True)
    segmentor = build_on_meta(config.model, merged=True)
    parameters = count_parameters(segmentor)
    one, two = (sum(count_flops(segmentor, expressions=k).values()) for k in (1, 2))
    size = segmentor.backbone.image_size
    used = inference_memory(config.model, images=1, expressions=1, dtype=way.dtype)
    return {
        "config": name,
        "input": size_text(size),
        "image tokens": segmentor.backbone.num_image_tokens(size),
        "GFLOPs, 1 expression": one / 1e9,
        "GFLOPs, each further": (two - one) / 1e9,
        "all, M param.": sum(parameters.values()) / 1e6,
        "trained, M": sum(trained.values()) / 1e6,
        "decoder, M": parameters["decoder"] / 1e6,
        "GB, inference": used / 1e9,
        "GB, training": Planner(config).plan(way).total / 1e9,
    }
