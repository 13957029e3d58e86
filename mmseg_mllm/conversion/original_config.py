"""The config.json of an original InternVL folder, and what it is to transformers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageTextToText, PretrainedConfig

from mmseg_mllm.compat import quiet_upstream
from mmseg_mllm.errors import CheckpointError
from mmseg_mllm.models.json_object import read_json

CONFIG_FILE = "config.json"
Shapes = dict[str, tuple[int, ...]]
FAMILIES = {"qwen2": "qwen2", "qwen3": "qwen3", "internlm2": "llama", "phi3": "phi3"}
"""Language models of the original layout -> their ``model_type`` in transformers."""

_TEXT_KEYS = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "vocab_size",
    "max_position_embeddings",
    "rms_norm_eps",
    "hidden_act",
)
_VISION_KEYS = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "hidden_act",
    "layer_norm_eps",
    "image_size",
    "patch_size",
)


def read_original_config(folder: Path) -> dict[str, Any]:
    """Read ``config.json`` of an InternVL 2, 2.5, 3, 3.5 or MLLMSeg folder.

    Raises:
        CheckpointError: there is none, or it is of something else; the message names what was found.
    """
    path = folder / CONFIG_FILE
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder")
    if not path.is_file():
        raise CheckpointError(f"{folder}: no config.json in it; name the folder of a downloaded checkpoint")
    config = read_json(path)
    found = config.get("model_type")
    if found == "internvl":
        raise CheckpointError(f"{folder}: converted already, it is a native transformers InternVL folder")
    if found != "internvl_chat":
        raise CheckpointError(
            f"{folder}: not an original InternVL (2, 2.5, 3, 3.5) or MLLMSeg folder; its config.json is of "
            f"{_describe(config)}"
        )
    return config


def has_tied_embedding(original: Mapping[str, Any]) -> bool:
    """Whether the LM head is the embedding, so that files need not hold it."""
    return any(
        isinstance(part, dict) and part.get("tie_word_embeddings") is True
        for part in (original, original.get("llm_config"))
    )


def native_model(original: Mapping[str, Any], *, where: str) -> tuple[PretrainedConfig, Shapes]:
    """transformers' ``InternVLConfig`` of an original config, and the shapes of its model's tensors by name.

    InternLM2 becomes a Llama, and a tied LM head one of its own: rows of new tokens are trained apart. Rotary
    embedding with 'dynamic' scaling becomes plain: they differ beyond ``max_position_embeddings`` tokens
    alone.

    Args:
        original: From :func:`read_original_config`.
        where: Named in errors.

    Raises:
        CheckpointError: a part of the model is of a kind that is not known here, or an entry is missing.
    """
    try:
        return _native_model(original, where)
    except CheckpointError:
        raise
    except Exception as error:  # transformers and arithmetic on what is no number raise all sorts
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{where}: config.json has an entry that can't be used ({reason})") from error


def _native_model(original: Mapping[str, Any], where: str) -> tuple[PretrainedConfig, Shapes]:
    vision, text = (_part(original, name, where) for name in ("vision_config", "llm_config"))
    family = text.get("model_type")
    if family not in FAMILIES:
        raise CheckpointError(
            f"{where}: its language model is {_describe(text)}; {', '.join(FAMILIES)} can be converted"
        )
    for config, key, wanted in (
        (vision, "norm_type", "layer_norm"),
        (vision, "qk_normalization", False),
        (original, "select_layer", -1),
        (original, "ps_version", "v2"),
        (original, "quantization_config", None),
        (text, "quantization_config", None),
        (original, "force_image_size", vision.get("image_size")),
    ):
        if config.get(key, wanted) not in (wanted, None):
            raise CheckpointError(
                f"{where}: {key} is {config[key]!r} in its config.json; only {wanted!r} can be converted"
            )
    ratio = original.get("downsample_ratio", 0.5)
    grid = _needed(vision, ("image_size", "patch_size"), f"{where}: vision_config")
    side = grid["image_size"] // grid["patch_size"]
    with quiet_upstream():
        config = AutoConfig.for_model(
            "internvl",
            vision_config=dict(
                _needed(vision, _VISION_KEYS, f"{where}: vision_config"),
                attention_bias=vision.get("qkv_bias", True),
            ),
            text_config=_text(text, family, where),
            downsample_ratio=ratio,
            image_seq_length=round(side * ratio) ** 2,
            tie_word_embeddings=False,
            architectures=["InternVLForConditionalGeneration"],
        )
        with torch.device("meta"):  # entries that contradict one another show here
            model = AutoModelForImageTextToText.from_config(config)
    return config, {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def _text(text: Mapping[str, Any], family: str, where: str) -> dict[str, Any]:
    config = _needed(text, _TEXT_KEYS, f"{where}: llm_config")
    config |= dict(
        model_type=FAMILIES[family],
        num_key_value_heads=text.get("num_key_value_heads") or text["num_attention_heads"],
        tie_word_embeddings=False,
        **{key: text[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id") if key in text},
    )
    scaling = text.get("rope_scaling")
    theta = text.get("rope_theta", 10000.0)
    kind = (scaling or {}).get("rope_type") or (scaling or {}).get("type")
    plain = kind in (None, "default", "dynamic")
    if not plain and family != "phi3":
        raise CheckpointError(f"{where}: rope_scaling {scaling} of its language model can't be converted")
    if plain:
        config["rope_parameters"] = dict(rope_type="default", rope_theta=theta)
    if family == "internlm2":
        config["attention_bias"] = text.get("bias", False)
    else:
        config["sliding_window"] = text.get("sliding_window")
    if family == "qwen3":
        config |= {key: text[key] for key in ("head_dim", "attention_bias") if key in text}
    if family in ("qwen2", "qwen3"):
        config |= {k: text[k] for k in ("use_sliding_window", "max_window_layers") if k in text}
    if family == "phi3":
        trained_length = text.get("original_max_position_embeddings", 4096)
        config["original_max_position_embeddings"] = trained_length
        if not plain:
            config["rope_parameters"] = dict(
                scaling, rope_theta=theta, original_max_position_embeddings=trained_length
            )
    return config


def _part(original: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
    part = original.get(name)
    if not isinstance(part, dict):
        raise CheckpointError(f"{where}: config.json has no {name}; download it again")
    return part


def _needed(config: Mapping[str, Any], keys: tuple[str, ...], where: str) -> dict[str, Any]:
    missing = [key for key in keys if config.get(key) is None]
    if missing:
        raise CheckpointError(f"{where} in config.json has no {', '.join(missing)}")
    return {key: config[key] for key in keys}


def _describe(config: Mapping[str, Any]) -> str:
    architectures = config.get("architectures") or []
    names = ", ".join(map(str, architectures)) if isinstance(architectures, list) else str(architectures)
    kind = f"model_type {config.get('model_type')!r}"
    return f"{kind} ({names})" if names else kind
