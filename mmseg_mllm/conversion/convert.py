"""Checkpoint folders from the original layout of InternVL and MLLMSeg to the native one, and back."""

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from safetensors.torch import save_file
from transformers import AutoModelForImageTextToText, PretrainedConfig

from mmseg_mllm.compat import quiet_upstream
from mmseg_mllm.conversion.head_names import HEAD_NAMES, OFFICIAL_PREFIX, official_head
from mmseg_mllm.conversion.links import Link, check_links, internvl_links
from mmseg_mllm.conversion.lora import MergedTensors
from mmseg_mllm.conversion.new_folder import new_folder
from mmseg_mllm.conversion.original_config import CONFIG_FILE, native_config, read_original_config
from mmseg_mllm.conversion.tensor_files import ShardWriter, TensorFiles
from mmseg_mllm.conversion.tokenizers import load_tokenizer
from mmseg_mllm.errors import CheckpointError
from mmseg_mllm.models.model_folder import DECODE_HEAD_FILE
from mmseg_mllm.prompts import IMAGE_TOKEN, SPECIAL_TOKENS

ORIGINAL_DIR = "original"
"""Subfolder that keeps the source's config and tokenizer files, for the way back."""
SMALL_FILES = ("*.json", "*.py", "*.txt", "*.model")
LORA_SCALING = 2.0
"""InternVL's training code sets lora_alpha to 2 r."""


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What was done.

    Attributes:
        tensors, parameters: Written.
        merged_ranks: LoRA ranks that were merged into the weights; empty for none.
        unused: Names of source tensors that have no place in the result.
    """

    tensors: int
    parameters: int
    merged_ranks: set[int] = field(default_factory=set)
    unused: list[str] = field(default_factory=list)


def convert_internvl(source: Path, target: Path) -> Conversion:
    """An original InternVL2 or InternVL2.5 folder to a native transformers folder with a fast tokenizer.

    Args:
        source: Folder with config.json, weights (safetensors or .bin, sharded or not) and tokenizer files.
        target: Folder to make.

    Raises:
        CheckpointError: the source is something else, incomplete or damaged. Nothing is left behind.
        ConfigError: the target exists, or its disk is full.
    """
    config = read_original_config(source)
    files = TensorFiles.of_folder(source)
    if any(name.startswith(OFFICIAL_PREFIX) for name in files.shapes):
        raise CheckpointError(
            f"{source}: holds a mask decoder ({OFFICIAL_PREFIX}*), so it is MLLMSeg's; convert it with "
            "tools/model_converters/mllmseg2mmseg.py"
        )
    return _to_native(source, target, config, files, with_head=False)


def convert_mllmseg(source: Path, target: Path) -> Conversion:
    """A released MLLMSeg folder to a model folder: native base, merged weights, and the mask decoder.

    LoRA adapters in it are merged. See :func:`convert_internvl` for arguments and errors.
    """
    config = read_original_config(source)
    files = TensorFiles.of_folder(source)
    if not any(name.startswith(OFFICIAL_PREFIX) for name in files.shapes):
        raise CheckpointError(
            f"{source}: holds no mask decoder ({OFFICIAL_PREFIX}*), so it is a plain InternVL; convert it "
            "with tools/model_converters/internvl2hf.py"
        )
    return _to_native(source, target, config, files, with_head=True)


def restore_mllmseg(source: Path, target: Path) -> Conversion:
    """A model folder of ours back to the authors' layout, bit by bit.

    Args:
        source: Folder made by :func:`convert_mllmseg` or ``merge_checkpoint.py``.
        target: Folder to make.

    Raises:
        CheckpointError: the source is no model folder, incomplete or damaged.
        ConfigError: the target exists, or its disk is full.
    """
    original = source / ORIGINAL_DIR
    if not (source / DECODE_HEAD_FILE).is_file() or not original.is_dir():
        raise CheckpointError(
            f"{source}: not a model folder of this package (no {DECODE_HEAD_FILE} or no {ORIGINAL_DIR}/)"
        )
    config = read_original_config(original)
    base = TensorFiles.of_folder(source)
    head = TensorFiles(files=[source / DECODE_HEAD_FILE])
    vocab_size = base.shapes.get("lm_head.weight", (config["llm_config"].get("vocab_size"),))[0]
    config["llm_config"]["vocab_size"] = vocab_size
    config["architectures"] = ["MLLMSeg"]
    native = native_config(config, where=str(source))
    names = _native_shapes(native)
    lacking = [name for name in names if name not in base.shapes]
    lacking += [name for name in HEAD_NAMES if name not in head.shapes]
    if lacking:
        raise CheckpointError(f"{source}: {len(lacking)} tensors are missing, such as {lacking[0]}")
    links = internvl_links(names, config=native)
    with new_folder(target, needed_bytes=base.total_bytes + head.total_bytes) as folder:
        _copy_small_files(original, folder)
        _write_json(folder / CONFIG_FILE, config)
        _name_tokens(folder, source)
        writer = ShardWriter(folder=folder)
        for link in _with_bar(sorted(links, key=lambda k: base.in_file_order(k.native[0]))):
            writer.add(link.original, link.to_original([base.get(name) for name in link.native]))
        for ours, official in HEAD_NAMES.items():
            writer.add(official, head.get(ours))
        writer.close()
    return Conversion(tensors=len(links) + len(HEAD_NAMES), parameters=writer.parameters)


def _to_native(
    source: Path, target: Path, original: dict, files: TensorFiles, *, with_head: bool
) -> Conversion:
    tensors = MergedTensors(tensors=files, scaling=LORA_SCALING)
    stated = original.get("use_llm_lora") or 0
    if stated and tensors.ranks - {stated}:
        raise CheckpointError(f"{source}: LoRA of rank {tensors.ranks}, but use_llm_lora is {stated}")
    config = native_config(original, where=str(source))
    shapes = _native_shapes(config)
    links = internvl_links(shapes, config=config)
    head_shapes = {}
    if with_head:
        links += [Link(original=official, native=(ours,)) for ours, official in HEAD_NAMES.items()]
        head_shapes = _head_shapes(tensors.shapes, config)
    unused = check_links(links, original=tensors.shapes, native=shapes | head_shapes, where=str(source))
    tokenizer = load_tokenizer(source)
    if with_head:
        tokenizer.add_tokens(list(SPECIAL_TOKENS), special_tokens=True)
    if len(tokenizer) > config.text_config.vocab_size:
        raise CheckpointError(
            f"{source}: its tokenizer has {len(tokenizer)} tokens, the weights "
            f"{config.text_config.vocab_size} rows; they don't belong together"
        )
    config.image_token_id = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
    with new_folder(target, needed_bytes=files.total_bytes) as folder, quiet_upstream():
        (folder / ORIGINAL_DIR).mkdir()
        _copy_small_files(source, folder / ORIGINAL_DIR)
        tokenizer.save_pretrained(folder)
        writer, head = ShardWriter(folder=folder), {}
        for link in _with_bar(sorted(links, key=lambda k: tensors.in_file_order(k.original))):
            parts = link.to_native(tensors.get(link.original))
            for name, part in zip(link.native, parts, strict=True):
                if name in head_shapes:
                    head[name] = part.clone(memory_format=torch.contiguous_format)
                else:
                    writer.add(name, part)
        writer.close()
        config.dtype = tensors.get(links[0].original).dtype
        config.save_pretrained(folder)
        if head:
            save_file(head, folder / DECODE_HEAD_FILE, metadata=dict(format="pt"))
    return Conversion(
        tensors=len(shapes) + len(head_shapes),
        parameters=writer.parameters + sum(tensor.numel() for tensor in head.values()),
        merged_ranks=tensors.ranks,
        unused=unused,
    )


def _native_shapes(config: PretrainedConfig) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"), quiet_upstream():
        model = AutoModelForImageTextToText.from_config(config)
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def _head_shapes(original: Mapping[str, tuple[int, ...]], config: PretrainedConfig) -> dict:
    with torch.device("meta"), quiet_upstream():
        head = official_head(original)
    return {name: tuple(tensor.shape) for name, tensor in head.state_dict().items()}


def _with_bar(links: list[Link]) -> Iterator[Link]:
    """The links, with a bar and a time estimate where someone watches."""
    console = Console(stderr=True)
    yield from track(links, "converting", console=console, transient=True, disable=not console.is_terminal)


def _copy_small_files(source: Path, target: Path) -> None:
    """Config, tokenizer and code files; they are copied and never run."""
    for pattern in SMALL_FILES:
        for path in source.glob(pattern):
            if not path.name.endswith(".index.json"):
                shutil.copyfile(path, target / path.name)


def _name_tokens(folder: Path, source: Path) -> None:
    """Write tokens that our tokenizer has and the original files lack into these."""
    added = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))["added_tokens"]
    config_file, list_file = folder / "tokenizer_config.json", folder / "added_tokens.json"
    if config_file.is_file():
        config = json.loads(config_file.read_text(encoding="utf-8"))
        known = config.setdefault("added_tokens_decoder", {})
        for token in added:
            known.setdefault(str(token["id"]), {key: token[key] for key in token if key != "id"})
        _write_json(config_file, config)
    if list_file.is_file():
        listed = json.loads(list_file.read_text(encoding="utf-8"))
        _write_json(list_file, {token["content"]: token["id"] for token in added} | listed)


def _write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
