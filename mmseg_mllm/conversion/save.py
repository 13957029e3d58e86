"""A segmentor in memory to a model folder."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from mmseg_mllm.compat import quiet_upstream
from mmseg_mllm.conversion.new_folder import new_folder
from mmseg_mllm.conversion.stored import stored_tensors
from mmseg_mllm.conversion.tensor_files import ShardWriter
from mmseg_mllm.errors import ConfigError
from mmseg_mllm.models.backbones.mllm_backbone import MLLMBackbone
from mmseg_mllm.models.model_folder import DECODE_HEAD_FILE
from mmseg_mllm.models.model_settings import ModelSettings
from mmseg_mllm.models.segmentors import MLLMSegmentor


def save_model(model: MLLMSegmentor, target: Path, *, readme: str) -> None:
    """Write base, tokenizer, mask decoder and settings, as ``tools/model_converters`` do.

    Args:
        model: With its weights; LoRA in it is merged, for good.
        target: Folder to make.
        readme: The model card, for README.md.

    Raises:
        ConfigError: the target exists or can't be written, the model has no tokenizer, or has what a folder
            can't hold.
    """
    settings = ModelSettings.of(model, preprocessor=model.data_preprocessor)
    backbone, head = model.backbone, model.decode_head
    if backbone.tokenizer is None:
        raise ConfigError("the model has no tokenizer: a folder needs one")
    if backbone.quantization is not None:
        raise ConfigError(
            f"the model's weights are quantised ({backbone.quantization}): a folder holds whole ones; load "
            "it without quantization"
        )
    backbone.merge_adapters()
    tensors = (*stored_tensors(backbone.model).values(), *head.state_dict().values())
    with new_folder(target, needed_bytes=sum(tensor.nbytes for tensor in tensors)) as folder:
        save_base(backbone, folder)
        of_head = {name: tensor.cpu().contiguous() for name, tensor in head.state_dict().items()}
        save_file(of_head, folder / DECODE_HEAD_FILE, metadata=dict(format="pt"))
        settings.write(folder)
        (folder / "README.md").write_text(readme, encoding="utf-8")


def save_base(backbone: MLLMBackbone, folder: Path, *, dtype: torch.dtype | None = None) -> None:
    """Write a backbone without LoRA, with its tokenizer, into a folder that is there.

    Args:
        backbone: With a tokenizer.
        folder: Gets a native transformers checkpoint.
        dtype: What the weights are rounded to; ``config.json`` goes on naming what they are computed in.
    """
    config = backbone.model.config
    config.image_token_id = backbone.tokenizer.image_id
    with quiet_upstream():
        backbone.tokenizer.tokenizer.save_pretrained(folder)
        config.save_pretrained(folder)
        writer = ShardWriter(folder=folder)
        for name, tensor in stored_tensors(backbone.model).items():
            writer.add(name, tensor.to("cpu", dtype).contiguous())
        writer.close()


@torch.no_grad()
def start_answer_tokens(backbone: MLLMBackbone) -> None:
    """Give [SEG] and [REJ] the mean of the other rows, as tokens get that are added to a trained model.

    Pretraining that never asks for them makes them all but impossible, which takes training long to undo.
    """
    rows = list(backbone.answer_token_ids)
    for layer in (backbone.model.get_input_embeddings(), backbone.model.get_output_embeddings()):
        others = torch.ones(len(layer.weight), dtype=torch.bool, device=layer.weight.device)
        others[rows] = False
        layer.weight[rows] = layer.weight[others].mean(dim=0)
