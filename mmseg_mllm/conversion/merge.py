"""A checkpoint that was trained here to a model folder."""

import math
import os
import shutil
from pathlib import Path

from mmengine.config import ConfigDict
from safetensors.torch import save_file
from transformers import PretrainedConfig

from mmseg_mllm.compat import quiet_upstream
from mmseg_mllm.conversion.describe import config_settings, weightless_model
from mmseg_mllm.conversion.folder_files import ORIGINAL_DIR
from mmseg_mllm.conversion.lora import MergedTensors
from mmseg_mllm.conversion.new_folder import new_folder
from mmseg_mllm.conversion.result import Conversion
from mmseg_mllm.conversion.stored import stored_tensors
from mmseg_mllm.conversion.tensor_files import ShardWriter, StateTensors, TensorFiles
from mmseg_mllm.conversion.trained import checkpoint_model
from mmseg_mllm.errors import CheckpointError, ConfigError
from mmseg_mllm.models import MLLMSegmentor
from mmseg_mllm.models.backbones.chat_tokenizer import build_tokenizer
from mmseg_mllm.models.backbones.families import family_of
from mmseg_mllm.models.checkpoints import trained_base
from mmseg_mllm.models.model_folder import DECODE_HEAD_FILE
from mmseg_mllm.weights import packaged

BACKBONE, HEAD = "backbone.model.", "decode_head."


def merge_checkpoint(model: ConfigDict, checkpoint: Path, target: Path) -> Conversion:
    """Merge LoRA and trained token rows of a checkpoint, and write a model folder.

    A whole checkpoint is read tensor by tensor, and the model is not built. One without its base is put on it
    in memory, in the dtype that the base had in training.

    Args:
        model: ``model`` of the config that it was trained with.
        checkpoint: ``.pth`` file.
        target: Folder to make.

    Raises:
        CheckpointError: the file is damaged, or belongs to another config or base.
        ConfigError: the target exists, the config names no tokenizer, or has what a folder can't hold.
    """
    if model.get("type") != MLLMSegmentor.__name__:
        raise ConfigError(
            f"model.type={model.get('type')!r}: only checkpoints of an MLLMSegmentor are merged"
        )
    backbone = model.backbone
    pretrained = packaged(os.path.expanduser(backbone.get("pretrained") or ""))
    chat = family_of(backbone.arch.get("model_type")).chat
    tokenizer = build_tokenizer(backbone.get("tokenizer"), pretrained or None, chat=chat)
    if tokenizer is None:
        raise ConfigError(
            "model.backbone has neither `pretrained` nor `tokenizer`: a folder needs a tokenizer"
        )
    if not checkpoint.is_file():
        raise CheckpointError(f"{checkpoint}: no such checkpoint")
    if trained_base(checkpoint) is None:
        files = TensorFiles(files=[checkpoint])
    else:
        files = StateTensors(checkpoint_model(model, checkpoint).state_dict())
    lora = backbone.get("lora") or {}
    tensors = MergedTensors(
        tensors=files, scaling=_scaling(lora), token_ids=[tokenizer.seg_id, tokenizer.rej_id]
    )
    _check_lora(lora, tensors.ranks, checkpoint)
    lm_head = tensors.shapes.get(f"{BACKBONE}lm_head.weight")
    if lm_head is None:
        raise CheckpointError(
            f"{checkpoint}: not a checkpoint of this config; it has no {BACKBONE}lm_head.weight"
        )
    native = weightless_model(model, rows=lm_head[0])
    settings = config_settings(model, native)
    _check_names(tensors, native, checkpoint)
    names = sorted(tensors.shapes, key=tensors.in_file_order)
    with new_folder(target, needed_bytes=files.total_bytes) as folder, quiet_upstream():
        tokenizer.tokenizer.save_pretrained(folder)
        writer = ShardWriter(folder=folder)
        for name in stored_tensors(native.backbone.model):
            writer.add(name, tensors.get(f"{BACKBONE}{name}"))
        writer.close()
        head = {n.removeprefix(HEAD): tensors.get(n).contiguous() for n in names if n.startswith(HEAD)}
        save_file(head, folder / DECODE_HEAD_FILE, metadata=dict(format="pt"))
        settings.write(folder)
        config: PretrainedConfig = native.backbone.model.config
        config.image_token_id = tokenizer.image_id
        config.save_pretrained(folder)
        original = Path(pretrained, ORIGINAL_DIR)
        if pretrained and original.is_dir():
            shutil.copytree(original, folder / ORIGINAL_DIR)
    return Conversion(
        tensors=len(names),
        parameters=writer.parameters + sum(tensor.numel() for tensor in head.values()),
        merged_ranks=tensors.ranks,
    )


def _check_lora(lora: dict, ranks: set[int], checkpoint: Path) -> None:
    odd = [name for name in ("rank_pattern", "alpha_pattern") if lora.get(name)]
    if odd:
        raise ConfigError(
            f"lora.{odd[0]}: adapters of several kinds can't be merged here; merge them with peft"
        )
    if ranks != ({lora.get("r", 8)} if lora else set()):
        raise CheckpointError(
            f"{checkpoint}: has LoRA of ranks {sorted(ranks)}, the config says {lora or None}; use the "
            "config that it was trained with"
        )


def _scaling(lora: dict) -> float:
    """Of peft.LoraConfig's arguments."""
    rank = lora.get("r", 8)
    return lora.get("lora_alpha", 8) / (math.sqrt(rank) if lora.get("use_rslora") else rank)


def _check_names(tensors: MergedTensors, native: MLLMSegmentor, checkpoint: Path) -> None:
    own = {name: tuple(tensor.shape) for name, tensor in native.state_dict().items()}
    different = [
        name for name in sorted({*own, *tensors.shapes}) if own.get(name) != tensors.shapes.get(name)
    ]
    if different:
        raise CheckpointError(
            f"{checkpoint}: not a checkpoint of this config; {len(different)} tensors differ, such as "
            f"{different[0]} ({tensors.shapes.get(different[0])}, by the config {own.get(different[0])})"
        )
