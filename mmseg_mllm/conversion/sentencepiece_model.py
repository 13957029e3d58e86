"""A sentencepiece BPE model (tokenizer.model) as a fast tokenizer that gives the same ids.

``transformers`` has converters too, but they keep only parts of the model's normalisation, put a space after
each user-defined symbol, and let byte pieces be typed.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from mmseg_mllm.conversion.sentencepiece_charsmap import charsmap_normalizers
from mmseg_mllm.errors import CheckpointError, ConfigError
from mmseg_mllm.lfs import refuse_lfs_pointer

_SPACE = "▁"
# Types of pieces in sentencepiece_model.proto.
_NORMAL, _USER_DEFINED, _UNUSED = 1, 4, 5
_BPE = 2
# Read both ways before a conversion is handed out.
_SAMPLES = (
    "What are the left man in a red shirt in this image? Please output segmentation masks.",
    "user\n2nd-largest dog, at 10:45  (1234567890)\tassistant\n",
    "你是书生·万象，左边穿红衣服的人。",
    "naïve café — it's “zebra” №½ 👍🏽 aaaaaaa",
)


def convert_sentencepiece(path: Path, *, renamed: Mapping[int, str], prefix_each: bool = True) -> Tokenizer:
    """Build the fast tokenizer, without added tokens.

    Args:
        path: The ``tokenizer.model``.
        renamed: Added tokens that take the ids of pieces; ids past the last piece are ignored.
        prefix_each: Whether the model's leading space is put before each stretch of text between added
            tokens, or only before the first.

    Raises:
        ConfigError: sentencepiece or protobuf is not installed.
        CheckpointError: the file is damaged, or not a model that can be converted.
    """
    processor, proto = _read(path)
    pieces = [piece.piece for piece in proto.pieces]
    names = [renamed.get(index, piece) for index, piece in enumerate(pieces)]
    for index, name in renamed.items():
        if names.count(name) > 1:
            raise CheckpointError(
                f"{path}: the added token {name} is to have the id {index}, but has {pieces.index(name)} here"
            )
    # Symbols are never cut nor merged. One whose id an added token has taken still leads to that id.
    symbols = {p.piece: n for p, n in zip(proto.pieces, names, strict=True) if p.type == _USER_DEFINED}
    cut_out = sorted((name for name in symbols.values() if len(name) > 1), key=len, reverse=True)
    tokenizer = Tokenizer(
        models.BPE(
            vocab={name: index for index, name in enumerate(names)},
            merges=_merges(path, proto, names),
            unk_token=names[proto.trainer_spec.unk_id],
            fuse_unk=True,
            byte_fallback=proto.trainer_spec.byte_fallback,
            # Finds what is cut out, into which nothing merges.
            ignore_merges=bool(cut_out),
        )
    )
    if not prefix_each:
        proto.normalizer_spec.add_dummy_prefix = False
        processor.LoadFromSerializedProto(proto.SerializeToString())
    steps = _normalizers(path, proto)
    steps += [normalizers.Replace(piece, name) for piece, name in symbols.items() if piece != name]
    tokenizer.normalizer = normalizers.Sequence(steps)
    cuts = [] if prefix_each else [pre_tokenizers.Metaspace(prepend_scheme="first", split=False)]
    if cut_out:
        cuts.append(pre_tokenizers.Split(Regex("|".join(map(re.escape, cut_out))), "isolated"))
    if cuts:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(cuts)
    strip = [decoders.Strip(" ", 1, 0)] if proto.normalizer_spec.add_dummy_prefix or not prefix_each else []
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
    )
    _compare(path, tokenizer, processor, before="" if prefix_each else _SPACE)
    return tokenizer


def _libraries() -> tuple[ModuleType, ModuleType]:
    try:
        import sentencepiece
        import sentencepiece.sentencepiece_model_pb2 as model_pb2
    except Exception as error:  # protobuf has an error of its own for releases that do not fit
        raise ConfigError(
            "reading a tokenizer.model needs two more packages, in releases that fit each other: "
            f"pip install sentencepiece protobuf ({error})"
        ) from None
    return sentencepiece, model_pb2


def _read(path: Path) -> tuple[Any, Any]:
    sentencepiece, model_pb2 = _libraries()
    refuse_lfs_pointer(path, CheckpointError)
    content = path.read_bytes()
    proto = model_pb2.ModelProto()
    try:
        # Protobuf's own error class differs between its releases.
        proto.ParseFromString(content)
        processor = sentencepiece.SentencePieceProcessor(model_proto=content)
        if not (proto.pieces and proto.HasField("trainer_spec") and proto.HasField("normalizer_spec")):
            raise ValueError("cut off between two parts, or empty")
    except Exception:
        raise CheckpointError(
            f"{path}: not a sentencepiece model, or a part of one ({len(content)} bytes); download it again"
        ) from None
    if proto.trainer_spec.model_type != _BPE:
        raise CheckpointError(f"{path}: a sentencepiece model of another type than BPE cannot be converted")
    if proto.trainer_spec.treat_whitespace_as_suffix or not proto.normalizer_spec.escape_whitespaces:
        raise CheckpointError(
            f"{path}: a model that keeps spaces, or puts them behind words, cannot be converted"
        )
    return processor, proto


def _merges(path: Path, proto: Any, names: list[str]) -> list[tuple[str, str]]:
    """Pairs in the order in which sentencepiece merges them, which is by the score of the merged piece.

    Of equal ones it takes the leftmost, whichever way the piece is cut. That the ways have an order here
    makes no difference: where they overlap ('a|aa' and 'aa|a' in 'a aa a'), an earlier merge has settled it.
    """
    parts = {p.piece for p, n in zip(proto.pieces, names, strict=True) if p.type == _NORMAL and p.piece == n}
    ranked = []
    for piece, name in zip(proto.pieces, names, strict=True):
        text = piece.piece
        if piece.type not in (_NORMAL, _UNUSED) or text != name:
            continue
        cuts = [(text[:i], text[i:]) for i in range(1, len(text))]
        cuts = [(left, right) for left, right in cuts if left in parts and right in parts]
        if cuts and piece.type == _UNUSED:
            raise CheckpointError(f"{path}: a model with disabled pieces ({text}) cannot be converted")
        ranked += [(piece.score, cut) for cut in cuts]
    ranked.sort(key=lambda merge: -merge[0])
    return [cut for _, cut in ranked]


def _normalizers(path: Path, proto: Any) -> list[normalizers.Normalizer]:
    spec, steps = proto.normalizer_spec, []
    if spec.precompiled_charsmap:
        try:
            steps = charsmap_normalizers(spec.precompiled_charsmap)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from None
        for piece in (p.piece.replace(_SPACE, " ") for p in proto.pieces if p.type == _USER_DEFINED):
            # Sentencepiece leaves such symbols as they are; here they would be gone.
            if normalizers.Sequence(steps).normalize_str(piece) != piece:
                raise CheckpointError(
                    f"{path}: its rules change its own symbol {piece!r}; it cannot be converted"
                )
    prefix = [normalizers.Prepend(_SPACE)] if spec.add_dummy_prefix else []
    if spec.remove_extra_whitespaces:
        steps += [
            normalizers.Replace(Regex(r"\A +"), ""),
            normalizers.Replace(Regex(" {2,}"), " "),
            normalizers.Replace(Regex(rf"[ {_SPACE}]+\z"), ""),
            *prefix,
        ]
    else:
        steps = prefix + steps
    return [*steps, normalizers.Replace(" ", _SPACE)]


def _compare(path: Path, tokenizer: Tokenizer, processor: Any, *, before: str) -> None:
    for text in _SAMPLES:
        want, got = processor.encode(before + text), tokenizer.encode(text, add_special_tokens=False).ids
        if want != got:
            raise CheckpointError(
                f"{path}: cannot be converted; {text!r} would be {got}, where sentencepiece has {want}"
            )
