"""Model folders back to the authors' layout."""

from pathlib import Path

from mmseg_mllm.conversion.convert import mask_decoder, shapes_of
from mmseg_mllm.conversion.folder_files import ORIGINAL_DIR, copy_small_files
from mmseg_mllm.conversion.head_names import HEAD_NAMES
from mmseg_mllm.conversion.links import LM_HEAD, internvl_links
from mmseg_mllm.conversion.new_folder import new_folder
from mmseg_mllm.conversion.original_config import (
    CONFIG_FILE,
    native_model,
    read_original_config,
)
from mmseg_mllm.conversion.result import Conversion, with_bar
from mmseg_mllm.conversion.tensor_check import check_tensors
from mmseg_mllm.conversion.tensor_files import ShardWriter, TensorFiles
from mmseg_mllm.errors import CheckpointError
from mmseg_mllm.models.json_object import read_json, write_json
from mmseg_mllm.models.model_folder import DECODE_HEAD_FILE


def restore_mllmseg(source: Path, target: Path) -> Conversion:
    """A model folder back to the authors' layout, bit by bit.

    Args:
        source: Folder made by ``convert_mllmseg`` or ``merge_checkpoint`` from a converted base.
        target: Folder to make.

    Raises:
        CheckpointError: the source is no such folder, incomplete, damaged, or has a decoder that the authors'
            code does not know.
        ConfigError: the target exists, or can't be written.
    """
    where, original = str(source), source / ORIGINAL_DIR
    if not (source / DECODE_HEAD_FILE).is_file():
        raise CheckpointError(f"{source}: not a model folder (no {DECODE_HEAD_FILE})")
    if not original.is_dir():
        raise CheckpointError(
            f"{source}: has no {ORIGINAL_DIR}/, so there is no authors' layout to go back to: the model was "
            "trained from random weights (as the toy ones) or from a native folder. Only models begun from a "
            "folder of internvl2hf.py or mllmseg2mmseg.py have one"
        )
    base = TensorFiles.of_folder(source)
    head = TensorFiles(files=[source / DECODE_HEAD_FILE])
    config = _original_config(original, rows=base.shapes.get(LM_HEAD, (0,))[0])
    native, shapes = native_model(config, where=where)
    _nothing_left(check_tensors(base, wanted=shapes, where=where), where)
    official = {HEAD_NAMES.get(name, name): shape for name, shape in head.shapes.items()}
    of_head = shapes_of(mask_decoder(official, config=native, where=where))
    _nothing_left(check_tensors(head, wanted=of_head, where=f"{source / DECODE_HEAD_FILE}"), where)
    links = internvl_links(shapes, config=native)
    with new_folder(target, needed_bytes=base.total_bytes + head.total_bytes) as folder:
        copy_small_files(original, folder)
        write_json(folder / CONFIG_FILE, config)
        _name_tokens(folder, source)
        writer = ShardWriter(folder=folder)
        for link in with_bar(sorted(links, key=lambda k: base.in_file_order(k.native[0]))):
            writer.add(link.original, link.to_original([base.get(name) for name in link.native]))
        for name in of_head:
            writer.add(HEAD_NAMES[name], head.get(name))
        writer.close()
    return Conversion(tensors=len(links) + len(of_head), parameters=writer.parameters)


def _original_config(folder: Path, *, rows: int) -> dict:
    """The config as the authors' code would have it for these weights."""
    config = read_original_config(folder)
    if isinstance(config.get("llm_config"), dict):
        config["llm_config"]["vocab_size"] = rows
    # Adapters are merged; InternVL's code would make new ones where these say so.
    merged = {key: 0 for key in ("use_llm_lora", "use_backbone_lora") if config.get(key)}
    for part in (config, config.get("llm_config")):
        if isinstance(part, dict) and part.get("tie_word_embeddings"):
            part["tie_word_embeddings"] = False  # a model folder has an LM head of its own
    return config | dict(architectures=["MLLMSeg"]) | merged


def _nothing_left(unused: list[str], where: str) -> None:
    if unused:
        raise CheckpointError(
            f"{where}: {len(unused)} tensors have no place in the authors' layout, such as {unused[0]}"
        )


def _name_tokens(folder: Path, source: Path) -> None:
    """Write tokens that our tokenizer has and the original files lack into these."""
    tokens = read_json(source / "tokenizer.json").get("added_tokens")
    if not isinstance(tokens, list) or not all(
        isinstance(t, dict) and {"id", "content"} <= t.keys() for t in tokens
    ):
        raise CheckpointError(f"{source / 'tokenizer.json'}: lists no added tokens; convert the source again")
    config_file, list_file = folder / "tokenizer_config.json", folder / "added_tokens.json"
    if config_file.is_file():
        config = read_json(config_file)
        known = config.setdefault("added_tokens_decoder", {})
        for token in tokens:
            known.setdefault(str(token["id"]), {key: token[key] for key in token if key != "id"})
        write_json(config_file, config)
    if list_file.is_file():
        write_json(list_file, {token["content"]: token["id"] for token in tokens} | read_json(list_file))
