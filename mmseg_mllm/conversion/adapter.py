"""What was trained on a frozen base to a folder without the base."""

import copy
from pathlib import Path

import torch
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file
from torch import Tensor

from mmseg_mllm.conversion.new_folder import new_folder
from mmseg_mllm.errors import ConfigError
from mmseg_mllm.models.model_folder import DECODE_HEAD_FILE
from mmseg_mllm.models.model_settings import ModelSettings
from mmseg_mllm.models.segmentors import MLLMSegmentor

NORM = "model.language_model.norm"
"""The only module that may be trained as a whole: that of 'llm_norm'."""


def save_adapter(model: MLLMSegmentor, target: Path, *, base: str) -> int:
    """Write LoRA and trained rows in peft's own format, the mask decoder, and settings, in 16 bit.

    ``peft.PeftModel.from_pretrained`` loads the adapter on the plain base.

    Args:
        model: As it was trained, LoRA not merged.
        target: Folder to make.
        base: Where the base is loaded from, for ``adapter_config.json``.

    Returns:
        How many numbers were written.

    Raises:
        ConfigError: the target exists, the model has no LoRA, or more of its base was trained.
    """
    mllm = model.backbone.model
    config = getattr(mllm, "peft_config", {}).get("default")
    if config is None:
        raise ConfigError("model.backbone.lora is None: there is no adapter; use merge_checkpoint.py")
    trained = [name for name, parameter in mllm.named_parameters() if parameter.requires_grad]
    whole = [name for name in trained if ".lora_" not in name and ".token_adapter." not in name]
    more = sorted(set(whole) - {f"{NORM}.weight"})
    if more:
        raise ConfigError(
            f"model.backbone.trainable: {len(more)} tensors of the base were trained besides LoRA, such as "
            f"{more[0]}; an adapter holds LoRA, token rows and 'llm_norm': use merge_checkpoint.py"
        )
    config = copy.copy(config)
    config.base_model_name_or_path = base
    config.inference_mode = True
    config.modules_to_save = [NORM] if whole else None
    tensors = get_peft_model_state_dict(mllm, save_embedding_layers=False)
    tensors |= {name: mllm.get_parameter(name) for name in whole}
    adapter = _half({f"base_model.model.{name}": tensor for name, tensor in tensors.items()})
    head = _half(model.decode_head.state_dict())
    settings = ModelSettings.of(model, preprocessor=model.data_preprocessor)
    needed = sum(tensor.nbytes for tensor in (*adapter.values(), *head.values()))
    with new_folder(target, needed_bytes=needed) as folder:
        config.save_pretrained(folder)
        save_file(adapter, folder / "adapter_model.safetensors", metadata=dict(format="pt"))
        save_file(head, folder / DECODE_HEAD_FILE, metadata=dict(format="pt"))
        settings.write(folder)
    return sum(tensor.numel() for tensor in (*adapter.values(), *head.values()))


def _half(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().to("cpu", torch.float16).contiguous() for name, tensor in tensors.items()}
