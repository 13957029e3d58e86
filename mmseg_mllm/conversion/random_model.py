"""Model folders with random weights, of any family and size: to try what a size takes without a download."""

from pathlib import Path

import torch
from mmengine.config import ConfigDict
from safetensors.torch import save_file

from mmseg_mllm.compat import quiet_upstream
from mmseg_mllm.conversion.describe import config_settings, weightless_model
from mmseg_mllm.conversion.new_folder import new_folder
from mmseg_mllm.conversion.random_folder import random_tensor
from mmseg_mllm.conversion.stored import stored_tensors
from mmseg_mllm.conversion.tensor_files import ShardWriter
from mmseg_mllm.models.backbones.chat_tokenizer import ChatTokenizer
from mmseg_mllm.models.backbones.tiny_tokenizer import build_tiny_tokenizer
from mmseg_mllm.models.model_folder import DECODE_HEAD_FILE


def write_random_model(model: ConfigDict, target: Path, *, dtype: torch.dtype) -> int:
    """Write base, mask decoder, settings and the tiny tokenizer, one tensor at a time.

    Args:
        model: Config of an ``MLLMSegmentor``.
        target: Folder to make.
        dtype: Of the weights.

    Returns:
        How many numbers they are.

    Raises:
        ConfigError: it is the config of something else, or the folder can't be made.
    """
    native = weightless_model(model)
    settings = config_settings(model, native)
    backbone, head = native.backbone, native.decode_head
    tokenizer = ChatTokenizer(tokenizer=build_tiny_tokenizer(), chat=backbone.family.chat)
    config = backbone.model.config
    config.image_token_id = tokenizer.image_id
    config.dtype = dtype
    of_base = {name: tensor.shape for name, tensor in stored_tensors(backbone.model).items()}
    of_head = {name: tensor.shape for name, tensor in head.state_dict().items()}
    numbers = sum(shape.numel() for shapes in (of_base, of_head) for shape in shapes.values())
    with new_folder(target, needed_bytes=numbers * dtype.itemsize) as folder:
        with quiet_upstream():
            tokenizer.tokenizer.save_pretrained(folder)
            config.save_pretrained(folder)
        writer = ShardWriter(folder=folder)
        for seed, (name, shape) in enumerate(of_base.items()):
            writer.add(name, random_tensor(name, shape, dtype=dtype, seed=seed))
        writer.close()
        made = {
            name: random_tensor(name, shape, dtype=dtype, seed=seed)
            for seed, (name, shape) in enumerate(of_head.items(), start=len(of_base))
        }
        save_file(made, folder / DECODE_HEAD_FILE, metadata=dict(format="pt"))
        settings.write(folder)
    return numbers
