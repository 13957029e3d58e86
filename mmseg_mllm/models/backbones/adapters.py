"""What of the model is trained: LoRA through peft, and named parts."""

from collections.abc import Callable, Sequence

import torch
from peft import LoraConfig, get_peft_model, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from peft.utils import get_peft_model_state_dict, load_peft_weights, set_peft_model_state_dict
from peft.utils.other import TrainableTokensWrapper
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import PreTrainedModel

from mmseg_mllm.compat import quiet_upstream
from mmseg_mllm.errors import CheckpointError, ConfigError
from mmseg_mllm.models.backbones.family import Family

LLM_LINEARS = "(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"

PARTS: dict[str, Callable[[PreTrainedModel, Family], list[nn.Module]]] = {
    "vision": lambda model, family: family.modules(model, family.vision),
    "projector": lambda model, family: family.modules(model, family.projector),
    "llm": lambda model, family: family.modules(model, [family.text_model]),
    "llm_norm": lambda model, family: family.modules(model, [f"{family.text_model}.norm"]),
    "lm_head": lambda model, family: [model.get_output_embeddings()],
}
"""Names for the ``trainable`` argument of :class:`MLLMBackbone`."""


def inject_lora(model: PreTrainedModel, lora: dict, *, family: Family, token_ids: list[int]) -> None:
    """Put LoRA into the LLM's attention and MLP linears and make some tokens' rows trainable.

    Args:
        model: Changed in place.
        lora: Arguments of ``peft.LoraConfig``.
        family: Of the model.
        token_ids: Tokens whose rows in embedding and LM head are trained.
    """
    try:
        config = LoraConfig(
            target_modules=rf".*{family.text_model}\..*\.{LLM_LINEARS}",
            trainable_token_indices={"embed_tokens": token_ids, "lm_head": token_ids},
            **lora,
        )
    except TypeError as error:
        raise ConfigError(f"lora is not a set of arguments of peft.LoraConfig: {error}") from None
    inject_adapter_in_model(config, model)
    _keep_trained_in_float32(model)


def merge_adapters(model: PreTrainedModel) -> None:
    """Merge what :func:`inject_lora` put in, and take its layers out; without any nothing happens.

    peft adds the product to a weight in float32, the dtype of LoRA here, and rounds once. LoRA beside a
    quantised weight stays: its values are mostly smaller than a step of 4 or 8 bits.
    """
    for name, module in list(model.named_modules()):
        if isinstance(module, TrainableTokensWrapper):
            merged = module.unload_and_optionally_merge_module(
                merge=True, safe_merge=False, adapter_names=None
            )
        elif isinstance(module, LoraLayer) and module.get_base_layer().weight.is_floating_point():
            module.merge()
            merged = module.get_base_layer()
        else:
            continue
        parent, _, own_name = name.rpartition(".")
        setattr(model.get_submodule(parent), own_name, merged)


def merge_saved_adapter(model: PreTrainedModel, folder: str) -> None:
    """Merge a saved adapter, in peft's own format, into the weights.

    Args:
        model: Changed in place; of the base that the adapter was trained on.
        folder: With ``adapter_config.json`` and ``adapter_model.safetensors``.

    Raises:
        CheckpointError: the adapter can't be read, or is of another base.
    """
    try:
        with quiet_upstream():
            tensors = load_peft_weights(folder, device="cpu")
            config = LoraConfig.from_pretrained(folder)
            config.base_model_name_or_path = None  # or peft warns of a base by another name
            adapted = get_peft_model(model, config)
            set_peft_model_state_dict(adapted, tensors)
            different = (
                get_peft_model_state_dict(adapted, save_embedding_layers=False).keys() ^ tensors.keys()
            )
            adapted.merge_and_unload()
    except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"{folder}: not an adapter for this base ({reason})") from error
    if different:
        raise CheckpointError(
            f"{folder}: not an adapter for this base; {len(different)} tensors differ, such as "
            f"{min(different)}"
        )


def output_rows(model: PreTrainedModel, token_ids: Sequence[int]) -> Tensor:
    """(len(token_ids), C) rows of the LM head as they are in force, without a copy of the whole.

    Args:
        model: The tokens of a trained LM head's rows must be ``token_ids``, as :func:`inject_lora` got them.
        token_ids: Rows to take.
    """
    head = model.get_output_embeddings()
    if isinstance(head, TrainableTokensWrapper):
        (rows,) = head.token_adapter.trainable_tokens_delta.values()  # rows themselves, for all their name
        return rows
    return head.weight[list(token_ids)]


def set_trainable(model: PreTrainedModel, parts: Sequence[str], *, family: Family) -> None:
    """Train these parts besides what is trained already.

    Raises:
        ConfigError: a part does not exist.
    """
    for part in parts:
        if part not in PARTS:
            raise ConfigError(f"trainable={part!r}: no such part; there are {', '.join(PARTS)}")
        for module in PARTS[part](model, family):
            module.requires_grad_(True)
    _keep_trained_in_float32(model)


def _keep_trained_in_float32(model: nn.Module) -> None:
    """An optimiser's small steps vanish in bfloat16."""
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.dtype is torch.bfloat16:
            parameter.data = parameter.data.float()
