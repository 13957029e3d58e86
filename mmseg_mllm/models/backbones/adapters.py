"""What of the model is trained: LoRA through peft, and named parts."""

from collections.abc import Callable, Sequence

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn
from transformers import PreTrainedModel

from mmseg_mllm.errors import ConfigError

LLM_LINEARS = r".*language_model\..*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"

PARTS: dict[str, Callable[[PreTrainedModel], nn.Module]] = {
    "vision": lambda model: model.model.vision_tower,
    "projector": lambda model: model.model.multi_modal_projector,
    "llm": lambda model: model.model.language_model,
    "llm_norm": lambda model: model.model.language_model.norm,
    "lm_head": lambda model: model.lm_head,
}
"""Names for the ``trainable`` argument of :class:`MLLMBackbone`."""


def inject_lora(model: PreTrainedModel, lora: dict, *, token_ids: list[int]) -> None:
    """Put LoRA into the LLM's attention and MLP linears and make some tokens' rows trainable.

    Args:
        model: Changed in place.
        lora: Arguments of ``peft.LoraConfig``.
        token_ids: Tokens whose rows in embedding and LM head are trained.
    """
    try:
        config = LoraConfig(
            target_modules=LLM_LINEARS,
            trainable_token_indices={"embed_tokens": token_ids, "lm_head": token_ids},
            **lora,
        )
    except TypeError as error:
        raise ConfigError(f"lora is not a set of arguments of peft.LoraConfig: {error}") from None
    inject_adapter_in_model(config, model)
    _keep_trained_in_float32(model)


def set_trainable(model: PreTrainedModel, parts: Sequence[str]) -> None:
    """Train these parts besides what is trained already.

    Raises:
        ConfigError: a part does not exist.
    """
    for part in parts:
        if part not in PARTS:
            raise ConfigError(f"trainable={part!r}: no such part; there are {', '.join(PARTS)}")
        PARTS[part](model).requires_grad_(True)
    _keep_trained_in_float32(model)


def _keep_trained_in_float32(model: nn.Module) -> None:
    """An optimiser's small steps vanish in bfloat16."""
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.dtype is torch.bfloat16:
            parameter.data = parameter.data.float()
