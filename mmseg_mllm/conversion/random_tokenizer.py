"""Tokenizer files in the original layout with a vocabulary of any size, most of it unused."""

import io
import json
from pathlib import Path

from tokenizers.pre_tokenizers import ByteLevel

from mmseg_mllm.models.backbones.tiny_tokenizer import WORDS
from mmseg_mllm.prompts import SPECIAL_TOKENS

CHAT_TOKENS = ("<|im_end|>", "<|im_start|>")


def write_internlm2_tokenizer(folder: Path, *, size: int, with_answers: bool) -> None:
    """``tokenizer.model`` and its config as in InternVL2.5-2B and 8B.

    Args:
        folder: Must exist.
        size: Of the vocabulary with all added tokens.
        with_answers: [SEG] and [REJ] are among them, as in MLLMSeg.
    """
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2

    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(WORDS.split()),
        model_writer=trained,
        model_type="bpe",
        vocab_size=420,
        byte_fallback=True,
        add_dummy_prefix=False,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        minloglevel=2,
    )
    model = sentencepiece_model_pb2.ModelProto.FromString(trained.getvalue())
    added = list(SPECIAL_TOKENS if with_answers else SPECIAL_TOKENS[:-2])
    n_pieces = size - len(added)
    for i in range(n_pieces - len(model.pieces)):
        model.pieces.add(piece=f"[UNUSED_TOKEN_{i}]", score=-1e6 - i, type=model.SentencePiece.UNUSED)
    (folder / "tokenizer.model").write_bytes(model.SerializeToString())
    # The chat's tokens take the place of the last unused pieces.
    first = n_pieces - len(CHAT_TOKENS)
    ids = {"<unk>": 0, "<s>": 1, "</s>": 2} | {
        token: first + i for i, token in enumerate([*CHAT_TOKENS, *added])
    }
    _write_config(folder, ids, tokenizer_class="InternLM2Tokenizer", add_bos_token=True)


def write_qwen2_tokenizer(folder: Path, *, size: int, with_answers: bool) -> None:
    """``vocab.json`` and ``merges.txt`` as in InternVL2.5-1B and 4B; arguments as above."""
    added = ["<|endoftext|>", *reversed(CHAT_TOKENS)]
    added += SPECIAL_TOKENS if with_answers else SPECIAL_TOKENS[:-2]
    words = sorted(ByteLevel.alphabet())
    n_words = size - len(added)
    words += [f"Ġunused{i}" for i in range(n_words - len(words))]
    vocab = {word: i for i, word in enumerate(words)}
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    ids = {token: n_words + i for i, token in enumerate(added)}
    (folder / "added_tokens.json").write_text(json.dumps(ids), encoding="utf-8")
    _write_config(folder, ids, tokenizer_class="Qwen2Tokenizer", add_bos_token=False)


def _write_config(folder: Path, ids: dict[str, int], **entries) -> None:
    flags = dict(lstrip=False, normalized=False, rstrip=False, single_word=False, special=True)
    decoder = {str(i): dict(content=token, **flags) for token, i in ids.items()}
    config = dict(added_tokens_decoder=decoder, **entries)
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
