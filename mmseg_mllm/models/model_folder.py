"""A whole model in one folder: a native transformers folder, and the mask decoder beside its weights."""

from pathlib import Path

from mmengine.config import ConfigDict
from safetensors import safe_open
from torch import Tensor

from mmseg_mllm.errors import CheckpointError
from mmseg_mllm.models.checkpoints import readable

DECODE_HEAD_FILE = "decode_head.safetensors"


def use_model_folder(model: ConfigDict, folder: str | Path) -> None:
    """Let a model config take all its weights from a folder made by ``tools/model_converters``.

    Nothing is left to train in it: no LoRA is added and no part is marked.

    Args:
        model: Config of an ``MLLMSegmentor``, changed in place.
        folder: Holds a native transformers checkpoint with its tokenizer, and ``decode_head.safetensors``.

    Raises:
        CheckpointError: the folder has no mask decoder.
    """
    check_model_folder(folder)
    model.backbone.update(pretrained=str(folder), lora=None, trainable=[], gradient_checkpointing=False)
    model.backbone.pop("tokenizer", None)
    model.decode_head.pretrained = str(Path(folder) / DECODE_HEAD_FILE)


def check_model_folder(folder: str | Path) -> None:
    """See that a folder is one of a model with its mask decoder.

    Raises:
        CheckpointError: it is not.
    """
    if not (Path(folder) / DECODE_HEAD_FILE).is_file():
        raise CheckpointError(
            f"{folder}: not a model folder (no {DECODE_HEAD_FILE}); make one from MLLMSeg's weights with "
            "tools/model_converters/mllmseg2mmseg.py"
        )


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file, on the CPU.

    Raises:
        CheckpointError: the file is absent or damaged.
    """
    with readable(str(path)), safe_open(path, framework="pt") as file:
        names = file.keys()
        return {name: file.get_tensor(name) for name in names}
