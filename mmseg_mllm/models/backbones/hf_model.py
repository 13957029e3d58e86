"""Building the transformers model: random from a config, or from a folder or hub name."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForImageTextToText, PreTrainedModel

from mmseg_mllm.compat import quiet_upstream
from mmseg_mllm.errors import CheckpointError, ConfigError
from mmseg_mllm.lfs import refuse_lfs_pointer

COMPARED = ("hidden_size", "num_hidden_layers", "num_attention_heads")


def build_hf_model(
    *,
    arch: dict,
    pretrained: str | None,
    vocab_size: int | None,
    dtype: torch.dtype,
) -> PreTrainedModel:
    """Build a native vision-language model of transformers.

    Args:
        arch: Config of the model, as a dict with ``model_type``.
        pretrained: Where its weights are; None takes ``arch`` alone.
        vocab_size: Length of the tokenizer; missing rows of embedding and LM head are added, each the mean
            of the others, as MLLMSeg does.
        dtype: Of the weights.

    Raises:
        CheckpointError: nothing loadable is at ``pretrained``, or a model of another architecture.
        ConfigError: ``arch`` names no model, or its vocabulary is smaller than the tokenizer.
    """
    options = dict(dtype=dtype, attn_implementation="sdpa")
    with quiet_upstream():
        if pretrained is not None:
            model = _load(pretrained, arch, options)
            _tie_only_what_is_tied(model)
            if vocab_size is not None and vocab_size > model.config.text_config.vocab_size:
                _add_mean_rows(model, vocab_size)
            return model
        config = _config(arch)
        if vocab_size is not None and vocab_size > config.text_config.vocab_size:
            raise ConfigError(
                f"arch.text_config.vocab_size={config.text_config.vocab_size} is smaller than the tokenizer "
                f"({vocab_size} tokens with the special ones)"
            )
        return AutoModelForImageTextToText.from_config(config, **options)


def check_folder(pretrained: str) -> None:
    """Tell a missing folder at once: a name that is no path would be asked for on the hub.

    Raises:
        CheckpointError: ``pretrained`` starts as a path does ('.', '/', '~') and is no folder, or a file of
            the folder is a Git LFS pointer.
    """
    if pretrained.startswith((".", "/", "~")) and not Path(pretrained).is_dir():
        raise CheckpointError(f"{pretrained}: no such folder. {_advice(pretrained)}")
    for path in sorted(Path(pretrained).glob("*.*")):
        if path.is_file():
            refuse_lfs_pointer(path, CheckpointError)


def _advice(pretrained: str) -> str:
    return (
        f"model.backbone.pretrained='{pretrained}' must be a folder (or hub name) of a native transformers "
        "checkpoint; for random weights use --cfg-options model.backbone.pretrained=None"
    )


def _config(arch: dict):
    arch = dict(arch)
    try:
        return AutoConfig.for_model(arch.pop("model_type"), **arch)
    except (KeyError, ValueError, TypeError) as error:
        raise ConfigError(f"arch is not a config of a transformers model: {error}") from error


def _load(pretrained: str, arch: dict, options: dict) -> PreTrainedModel:
    try:
        found = AutoConfig.from_pretrained(pretrained, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{_advice(pretrained)} ({str(error).strip().splitlines()[0]})") from None
    wanted = _config(arch)
    for part in ("vision_config", "text_config"):
        for key in COMPARED:
            have, want = (getattr(getattr(c, part, None), key, None) for c in (found, wanted))
            if have != want:
                raise CheckpointError(f"{pretrained} holds another model: {part}.{key} is {have}, not {want}")
    # Some tie embedding and LM head where the folder does not say so; adding rows would then overwrite the
    # head that was loaded.
    found.tie_word_embeddings = wanted.tie_word_embeddings
    found.text_config.tie_word_embeddings = wanted.tie_word_embeddings
    try:
        model, report = AutoModelForImageTextToText.from_pretrained(
            pretrained, config=found, trust_remote_code=False, output_loading_info=True, **options
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{_advice(pretrained)} ({str(error).strip().splitlines()[0]})") from None
    lacking = sorted([*report["missing_keys"], *map(str, report["mismatched_keys"])])
    if lacking:
        raise CheckpointError(
            f"{pretrained}: {len(lacking)} tensors are missing or of another shape, such as {lacking[0]}; "
            "download or convert it again"
        )
    return model


def _tie_only_what_is_tied(model: PreTrainedModel) -> None:
    """Weights that came apart stay apart, whatever the config says; adding rows would tie them."""
    if model.get_input_embeddings().weight is not model.get_output_embeddings().weight:
        model.config.tie_word_embeddings = model.config.text_config.tie_word_embeddings = False


def _add_mean_rows(model: PreTrainedModel, vocab_size: int) -> None:
    old = model.config.text_config.vocab_size
    model.resize_token_embeddings(vocab_size, mean_resizing=False)
    with torch.no_grad():
        for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
            layer.weight[old:] = layer.weight[:old].mean(dim=0, dtype=torch.float32)
