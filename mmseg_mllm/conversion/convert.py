"""Checkpoint folders from the original layout of InternVL and MLLMSeg to the native one."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from mmseg_mllm.compat import quiet_upstream
from mmseg_mllm.conversion.folder_files import ORIGINAL_DIR, copy_small_files
from mmseg_mllm.conversion.head_names import HEAD_NAMES, OFFICIAL_PREFIX, official_head
from mmseg_mllm.conversion.links import LM_HEAD, Link, internvl_links, original_shapes
from mmseg_mllm.conversion.lora import MergedTensors
from mmseg_mllm.conversion.new_folder import new_folder
from mmseg_mllm.conversion.original_config import has_tied_embedding, native_model, read_original_config
from mmseg_mllm.conversion.result import Conversion, with_bar
from mmseg_mllm.conversion.tensor_check import check_tensors
from mmseg_mllm.conversion.tensor_files import ShardWriter, TensorFiles
from mmseg_mllm.conversion.tokenizers import load_tokenizer
from mmseg_mllm.errors import CheckpointError
from mmseg_mllm.models.decode_heads import DSFFHead
from mmseg_mllm.models.model_folder import DECODE_HEAD_FILE
from mmseg_mllm.models.model_settings import HeadSettings, ModelSettings
from mmseg_mllm.models.segmentors.protocols import PAPER_PROMPT
from mmseg_mllm.prompts import IMAGE_TOKEN, REJ_TOKEN, SEG_TOKEN, SPECIAL_TOKENS

LORA_SCALING = 2.0
"""InternVL's training code sets lora_alpha to 2 r."""
IMAGENET_MEAN, IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def convert_internvl(source: Path, target: Path) -> Conversion:
    """An original InternVL 2, 2.5, 3 or 3.5 folder to a native transformers folder with a fast tokenizer.

    Args:
        source: Folder with config.json, weights (safetensors or .bin, sharded or not) and tokenizer files.
        target: Folder to make.

    Raises:
        CheckpointError: the source is something else, incomplete or damaged. Nothing is left behind.
        ConfigError: the target exists, or can't be written.
    """
    config = read_original_config(source)
    files = TensorFiles.of_folder(source)
    if _has_head(files):
        raise CheckpointError(
            f"{source}: holds a mask decoder ({OFFICIAL_PREFIX}*), so it is MLLMSeg's; convert it with "
            "tools/model_converters/mllmseg2mmseg.py"
        )
    return _convert(source, target, config, files)


def convert_mllmseg(source: Path, target: Path) -> Conversion:
    """A released MLLMSeg folder to a model folder: native base, merged weights, and the mask decoder.

    LoRA adapters in it are merged. See :func:`convert_internvl` for arguments and errors.
    """
    config = read_original_config(source)
    files = TensorFiles.of_folder(source)
    if not _has_head(files):
        raise CheckpointError(
            f"{source}: holds no mask decoder ({OFFICIAL_PREFIX}*), so it is not MLLMSeg's; a plain InternVL "
            "is converted with tools/model_converters/internvl2hf.py"
        )
    return _convert(source, target, config, files)


def convert_folder(source: Path, target: Path) -> Conversion:
    """A folder as downloaded from the hub to whichever of the two it can become.

    See :func:`convert_internvl` for arguments and errors.
    """
    return _convert(source, target, read_original_config(source), TensorFiles.of_folder(source))


def mask_decoder(official: dict[str, tuple[int, ...]], *, config: PretrainedConfig, where: str) -> DSFFHead:
    """The mask decoder that the authors' tensors are of, without weights.

    Args:
        official: Shapes by the authors' names, which tell the decoder's sizes.
        config: Of the base.
        where: Named in errors.

    Raises:
        CheckpointError: it is no decoder of MLLMSeg for this base.
    """
    with torch.device("meta"), quiet_upstream():
        head = official_head(official)
    if head.channels != config.vision_config.hidden_size:
        raise CheckpointError(
            f"{where}: its mask decoder is {head.channels} wide, MLLMSeg's is as wide as the vision tower "
            f"({config.vision_config.hidden_size})"
        )
    return head


def shapes_of(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """Shapes of a module's tensors by name."""
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def _has_head(files: TensorFiles) -> bool:
    return any(name.startswith(OFFICIAL_PREFIX) for name in files.shapes)


def _convert(source: Path, target: Path, original: dict, files: TensorFiles) -> Conversion:
    where = str(source)
    tensors = MergedTensors(tensors=files, scaling=LORA_SCALING)
    config, shapes = native_model(original, where=where)
    links = internvl_links(shapes, config=config)
    if has_tied_embedding(original) and _of_lm_head(links) not in tensors.shapes:
        links = internvl_links(shapes, config=config, tied=True)
    of_head: dict[str, tuple[int, ...]] = {}
    settings = None
    if _has_head(files):
        decoder = mask_decoder(tensors.shapes, config=config, where=where)
        of_head, settings = shapes_of(decoder), _settings(decoder, config)
        links += [Link(original=official, native=(ours,)) for ours, official in HEAD_NAMES.items()]
    wanted = original_shapes(links, native=shapes | of_head)
    unused = check_tensors(tensors, wanted=wanted, where=where)
    tokenizer = load_tokenizer(source)
    _check_tokens(tokenizer, rows=config.text_config.vocab_size, with_answers=bool(of_head), where=where)
    config.image_token_id = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
    config.dtype = getattr(torch, tensors.dtypes[_of_lm_head(links)])
    with new_folder(target, needed_bytes=files.total_bytes) as folder, quiet_upstream():
        (folder / ORIGINAL_DIR).mkdir()
        copy_small_files(source, folder / ORIGINAL_DIR)
        tokenizer.save_pretrained(folder)
        config.save_pretrained(folder)
        writer, head = ShardWriter(folder=folder), {}
        for link in with_bar(sorted(links, key=lambda k: tensors.in_file_order(k.original))):
            parts = link.to_native(tensors.get(link.original))
            for name, part in zip(link.native, parts, strict=True):
                if name in of_head:
                    head[name] = part.clone(memory_format=torch.contiguous_format)
                else:
                    writer.add(name, part)
        writer.close()
        if head:
            save_file(head, folder / DECODE_HEAD_FILE, metadata=dict(format="pt"))
            settings.write(folder)
    return Conversion(
        tensors=len(shapes) + len(of_head),
        parameters=writer.parameters + sum(tensor.numel() for tensor in head.values()),
        merged_ranks=tensors.ranks,
        unused=unused,
    )


def _of_lm_head(links: list[Link]) -> str:
    """The original tensor that the LM head comes from."""
    return next(link.original for link in links if link.native == (LM_HEAD,))


def _settings(decoder: DSFFHead, config: PretrainedConfig) -> ModelSettings:
    """As MLLMSeg is used; each expression is asked alone."""
    return ModelSettings(
        base=config.model_type,
        prompt=PAPER_PROMPT,
        protocol="independent",
        image_size=config.vision_config.image_size[0],
        pixel_mean=IMAGENET_MEAN,
        pixel_std=IMAGENET_STD,
        decode_head=HeadSettings.of(decoder),
    )


def _check_tokens(tokenizer: PreTrainedTokenizerBase, *, rows: int, with_answers: bool, where: str) -> None:
    """See that tokenizer and weights speak of the same tokens; add the authors' two where only they lack."""
    ids = tokenizer.get_vocab()
    needed = [token for token in SPECIAL_TOKENS if token not in (SEG_TOKEN, REJ_TOKEN)]
    lost = [token for token in needed if token not in ids]
    if with_answers and (SEG_TOKEN not in ids or REJ_TOKEN not in ids):
        # MLLMSeg's code adds them to InternVL's tokenizer, and two rows to the weights.
        tokenizer.add_tokens([SEG_TOKEN, REJ_TOKEN], special_tokens=True)
        ids = tokenizer.get_vocab()
        lost += [SEG_TOKEN, REJ_TOKEN] if len(ids) != rows else []
    if lost:
        raise CheckpointError(
            f"{where}: its tokenizer lacks {', '.join(lost)}; tokenizer_config.json or added_tokens.json is "
            "missing or of another model"
        )
    largest = max(ids.values())
    if largest >= rows:
        raise CheckpointError(
            f"{where}: its tokenizer has ids up to {largest}, the weights have {rows} rows; they don't "
            "belong together"
        )
