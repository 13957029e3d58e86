"""Tokenizers of original InternVL and MLLMSeg folders, without running the code in these.

The authors load slow tokenizers (``use_fast=False`` with transformers 4.37), which transformers 5 no longer
has. The fast ones built here give the same ids.
"""

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, models
from transformers import PreTrainedTokenizerFast, Qwen2Tokenizer

from mmseg_mllm.conversion.sentencepiece_model import convert_sentencepiece
from mmseg_mllm.errors import CheckpointError
from mmseg_mllm.lfs import refuse_lfs_pointer

CONFIG_FILE, ADDED_FILE, MAP_FILE = "tokenizer_config.json", "added_tokens.json", "special_tokens_map.json"
SENTENCEPIECE_FILE, FAST_FILE = "tokenizer.model", "tokenizer.json"
BYTE_LEVEL_FILES = ("vocab.json", "merges.txt")

_ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
# What the authors' classes take where the folder says nothing.
_LLAMA = dict(bos_token="<s>", eos_token="</s>", unk_token="<unk>", add_bos_token=True)
_DEFAULTS = {
    "InternLM2Tokenizer": dict(**_LLAMA, pad_token="</s>"),
    "LlamaTokenizer": _LLAMA,
    "Qwen2Tokenizer": dict.fromkeys(("eos_token", "unk_token", "pad_token"), "<|endoftext|>"),
}


def load_tokenizer(folder: str | Path) -> PreTrainedTokenizerFast:
    """The fast tokenizer of an original folder; ``save_pretrained`` then writes one without foreign code.

    Ids are those of the slow tokenizers for ``tokenizer.model`` of InternLM2 and Llama, and for
    ``vocab.json`` with ``merges.txt`` of Qwen2. A folder with only ``tokenizer.json`` is taken as it is.
    Tokens that the folder lacks, as [SEG] in a plain InternVL2, are left to be added.

    Raises:
        ConfigError: sentencepiece or protobuf is not installed, and is needed.
        CheckpointError: files are missing, damaged, of an unknown kind, or state ids that they don't lead to.
    """
    folder = Path(folder)
    config = _read_json(folder / CONFIG_FILE)
    kind = str(config.get("tokenizer_class")).removesuffix("Fast")
    added = _added_tokens(folder, config)
    if kind in ("InternLM2Tokenizer", "LlamaTokenizer") and (folder / SENTENCEPIECE_FILE).is_file():
        backend = _sentencepiece(folder, config, kind, added)
    elif kind == "Qwen2Tokenizer" and all((folder / name).is_file() for name in BYTE_LEVEL_FILES):
        backend = _byte_level(folder)
    elif (folder / FAST_FILE).is_file():
        tokenizer = _fast(folder)
        _check_ids(folder, tokenizer.backend_tokenizer, added)
        return tokenizer
    else:
        raise _nothing_to_load(folder, kind)
    settings = _settings(folder, config, _DEFAULTS[kind])
    _add_tokens(folder, backend, added, settings)
    return PreTrainedTokenizerFast(tokenizer_object=backend, **settings)


def _sentencepiece(folder: Path, config: dict, kind: str, added: dict[int, AddedToken]) -> Tokenizer:
    # Llama's slow class puts its space before every stretch of text unless `legacy` is said to be false.
    prefix_each = kind != "LlamaTokenizer" or config.get("legacy") is not False
    renamed = {index: token.content for index, token in added.items()}
    return convert_sentencepiece(folder / SENTENCEPIECE_FILE, renamed=renamed, prefix_each=prefix_each)


def _byte_level(folder: Path) -> Tokenizer:
    vocab_file, merges_file = (folder / name for name in BYTE_LEVEL_FILES)
    _read_json(vocab_file)
    try:
        # Not transformers' own reader, which takes every merge of '#' for a comment.
        vocab, merges = models.BPE.read_file(str(vocab_file), str(merges_file))
        # Tokens with a role are added later, where their ids are known.
        roles = dict.fromkeys(("unk_token", "eos_token", "pad_token"))
        return Qwen2Tokenizer(vocab=vocab, merges=merges, **roles).backend_tokenizer
    except Exception as error:  # tokenizers raises bare ones
        reason = _first_line(error)
        raise CheckpointError(f"{vocab_file} and {merges_file.name} do not fit together ({reason})") from None


def _fast(folder: Path) -> PreTrainedTokenizerFast:
    _read_json(folder / FAST_FILE)
    try:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # tokenizers raises bare ones
        raise CheckpointError(f"{folder / FAST_FILE}: not a tokenizer ({_first_line(error)})") from None
    # Code that the folder names is not run here, and must not be where this is loaded again.
    tokenizer.init_kwargs.pop("auto_map", None)
    return tokenizer


def _nothing_to_load(folder: Path, kind: str) -> CheckpointError:
    if (folder / SENTENCEPIECE_FILE).is_file():
        return CheckpointError(
            f"{folder / CONFIG_FILE}: tokenizer_class is {kind}; {SENTENCEPIECE_FILE} can be read for "
            "InternLM2Tokenizer and LlamaTokenizer"
        )
    return CheckpointError(
        f"{folder}: no tokenizer; looked for {SENTENCEPIECE_FILE} (InternLM2, Llama), "
        f"{' with '.join(BYTE_LEVEL_FILES)} (Qwen2) and {FAST_FILE}; copy all small files of the checkpoint"
    )


def _read_json(path: Path) -> dict:
    """The object in a JSON file; an empty one if there is no file."""
    if not path.is_file():
        return {}
    refuse_lfs_pointer(path, CheckpointError)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path}: not JSON ({error})") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds {type(content).__name__}, not an object")
    return content


def _added_tokens(folder: Path, config: dict) -> dict[int, AddedToken]:
    """Added tokens by id, in the order of the ids, from the config and from the older list."""
    added: dict[int, AddedToken] = {}
    try:
        for index, token in config.get("added_tokens_decoder", {}).items():
            added[int(index)] = _added_token(**token)
        listed = {content: int(index) for content, index in _read_json(folder / ADDED_FILE).items()}
    except (AttributeError, TypeError, ValueError):
        raise CheckpointError(
            f"{folder}: {CONFIG_FILE} or {ADDED_FILE} lists added tokens unreadably"
        ) from None
    ids = {token.content: index for index, token in added.items()}
    for content, index in listed.items():
        if ids.get(content, index) != index or (index in added and added[index].content != content):
            raise CheckpointError(
                f"{folder}: {CONFIG_FILE} and {ADDED_FILE} disagree about {content} or {index}"
            )
        added.setdefault(index, _added_token(content))
    return dict(sorted(added.items()))


def _added_token(
    content: str, *, lstrip: bool = False, rstrip: bool = False, single_word: bool = False, **others: Any
) -> AddedToken:
    # Slow tokenizers look for added tokens in the text as it is, whatever `normalized` says.
    flags = dict(lstrip=lstrip, rstrip=rstrip, single_word=single_word, normalized=False)
    return AddedToken(content, **flags, special=bool(others.get("special")))


def _settings(folder: Path, config: dict, defaults: dict) -> dict[str, Any]:
    """What the tokenizer is made with: tokens with a role, as texts, and a few others."""
    known = defaults | _read_json(folder / MAP_FILE) | config
    try:
        settings = {role: _text(known[role]) for role in _ROLES if known.get(role) is not None}
        settings["additional_special_tokens"] = [
            _text(t) for t in known.get("additional_special_tokens") or []
        ]
    except (KeyError, TypeError):
        raise CheckpointError(
            f"{folder}: {CONFIG_FILE} or {MAP_FILE} has a special token without a text"
        ) from None
    for name in ("add_bos_token", "add_eos_token"):
        settings[name] = bool(known.get(name))
    kept = ("model_max_length", "chat_template")
    return settings | {name: known[name] for name in kept if known.get(name) is not None}


def _text(token: str | dict) -> str:
    text = token["content"] if isinstance(token, dict) else token
    if not isinstance(text, str):
        raise TypeError(text)
    return text


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _add_tokens(folder: Path, backend: Tokenizer, added: dict[int, AddedToken], settings: dict) -> None:
    tokens = {token.content: token for token in added.values()}
    roles = [settings[role] for role in _ROLES if role in settings]
    for text in [*roles, *settings.pop("additional_special_tokens")]:
        tokens.setdefault(text, _added_token(text)).special = True
    backend.add_tokens(list(tokens.values()))
    _check_ids(folder, backend, added)


def _check_ids(folder: Path, backend: Tokenizer, added: dict[int, AddedToken]) -> None:
    for index, token in added.items():
        got = backend.token_to_id(token.content)
        if got != index:
            raise CheckpointError(
                f"{folder}: the added token {token.content} is to have the id {index}, but gets {got}; "
                "tokens before it are missing, or the vocabulary is another model's"
            )
