"""Fast tokenizers against sentencepiece itself, and against byte-level BPE, on models trained here."""

import functools
import io
import json
import random
import re
import socket
import sys
import unicodedata

import pytest
import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from mmseg_mllm.conversion.tokenizers import load_tokenizer
from mmseg_mllm.errors import CheckpointError, ConfigError
from mmseg_mllm.models.backbones.chat_tokenizer import ChatTokenizer
from mmseg_mllm.models.backbones.families import family_of
from mmseg_mllm.prompts import SPECIAL_TOKENS, prompt_style

# As in InternVL2-2B: these take the ids of the last pieces, SPECIAL_TOKENS follow after the last.
CHAT_TOKENS = (
    "<|plugin|>",
    "<|interpreter|>",
    "<|action_end|>",
    "<|action_start|>",
    "<|im_end|>",
    "<|im_start|>",
)
TEXT = """
the left man in a red shirt zebra behind umbrella's don't 'quoted' "double" “curly” naïve café Köln señor
左边 穿红衣服 的人 右侧第二个，。 カメラ ｶﾞﾗｽ 한국어 2nd 10:45 007 1234567890 3.14 x²½ ... --- == ?! a b
ab ba aab aaaaaa aaaaaaaaaaaaa bbbb abababa lllll <0x0A> <s> </s> <unk> [UNUSED_TOKEN_1] ▁ ﬁ Ａ ① ㍿ İ
"""
WORDS = TEXT.split()
WORDS += [
    "😀",
    "👍🏽",
    "👨\u200d👩\u200d👧",
    "❤\ufe0f",
    "1\ufe0f\u20e3",
    "\u00a0",
    "\u3000",
    "\u200b",
    "\u0301",
    "\x07",
]
# In Unicode's order and in others, of which sentencepiece composes only some.
WORDS += ["e\u0301", "n\u0303o", "a\u0323\u0302", "a\u0302\u0323", "â\u0301", "ﬁ\u0301", "\u0634\u0651\u064e"]
WORDS += [unicodedata.normalize("NFD", word) for word in ("Việt", "ấm", "각각", "Ångström")]
GAPS = (" ", " ", " ", "  ", "", "", "\n", "\t", "\r\n", "     ", " " * 17)
SPECS = {
    "llama": dict(byte_fallback=True, split_digits=True),
    "internlm2": dict(byte_fallback=True, add_dummy_prefix=False),
    "no bytes": dict(add_dummy_prefix=False, split_digits=True),
    "squeezed": dict(byte_fallback=True, remove_extra_whitespaces=True),
    "nmt_nfkc": dict(normalization_rule_name="nmt_nfkc", remove_extra_whitespaces=True),
    "nmt_nfkc loose": dict(normalization_rule_name="nmt_nfkc", byte_fallback=True),
    "nmt_nfkc bytes": dict(normalization_rule_name="nmt_nfkc", byte_fallback=True, add_dummy_prefix=False),
}
FLAGS = dict(lstrip=False, normalized=False, rstrip=False, single_word=False, special=True)
CHAT, STYLE = family_of("internvl").chat, prompt_style("mllmseg")
TURN = STYLE.branch(["Left man 2, é\u0301.", "穿红衣服 的人"], has_target=[True, False])
PROMPT = "".join([CHAT.prefix(STYLE.system), *CHAT.branch(*TURN)])


def expressions(n, *, seed=0):
    rng = random.Random(seed)
    texts = []
    for _ in range(n):
        pairs = [rng.choice(WORDS) + rng.choice(GAPS) for _ in range(rng.randrange(1, 9))]
        texts.append(rng.choice(["", "", " ", "  ", "\n"]) + "".join(pairs))
    return texts


@functools.cache
def trained(spec, model_type="bpe"):
    options = dict(normalization_rule_name="identity", remove_extra_whitespaces=False) | SPECS[spec]
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(expressions(800, seed=1)),
        model_writer=out,
        model_type=model_type,
        vocab_size=700,
        hard_vocab_limit=False,
        minloglevel=2,
        **options,
    )
    return out.getvalue()


def with_unused(content, *, kind):
    """The model with 8 more pieces, [UNUSED_TOKEN_0] to [UNUSED_TOKEN_7]."""
    model = sentencepiece_model_pb2.ModelProto.FromString(content)
    for i in range(8):
        model.pieces.add(piece=f"[UNUSED_TOKEN_{i}]", score=-1e5 - i, type=getattr(model.SentencePiece, kind))
    return model.SerializeToString()


def write_json(path, content):
    path.write_text(json.dumps(content), encoding="utf-8")


def write_config(folder, ids, **entries):
    decoder = {str(i): dict(content=token, **FLAGS) for token, i in ids.items()}
    write_json(folder / "tokenizer_config.json", dict(added_tokens_decoder=decoder, **entries))


def internlm2_folder(folder, *, spec="internlm2", kind="USER_DEFINED", **entries):
    """An MLLMSeg folder; returns it, sentencepiece, and the added tokens' ids."""
    content = with_unused(trained(spec), kind=kind)
    processor = sentencepiece.SentencePieceProcessor(model_proto=content)
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.model").write_bytes(content)
    n = processor.get_piece_size()
    ids = {"<unk>": 0, "<s>": 1, "</s>": 2}
    ids |= {token: n - len(CHAT_TOKENS) + i for i, token in enumerate([*CHAT_TOKENS, *SPECIAL_TOKENS])}
    code = {"AutoTokenizer": ["tokenization_internlm2.InternLM2Tokenizer", None]}
    write_config(folder, ids, **(dict(tokenizer_class="InternLM2Tokenizer", auto_map=code) | entries))
    return folder, processor, ids


def slow_ids(text, encode, ids):
    """What a slow tokenizer does: cut the text at added tokens, and encode what is between."""
    parts = re.split("(" + "|".join(map(re.escape, sorted(ids, key=len, reverse=True))) + ")", text)
    return [i for part in parts if part for i in ([ids[part]] if part in ids else encode(part))]


def assert_same(tokenizer, texts, want):
    got = tokenizer(texts, add_special_tokens=False)["input_ids"]
    unlike = [(text, g, w) for text, g, w in zip(texts, got, map(want, texts), strict=True) if g != w]
    assert unlike == []


def reloaded(tokenizer, folder):
    tokenizer.save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    def refuse(*args):
        raise AssertionError("a tokenizer asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


class TestSentencePiece:
    @pytest.mark.parametrize("spec", SPECS)
    def test_a_thousand_expressions_have_sentencepiece_s_ids_also_after_saving(self, spec, tmp_path):
        folder, processor, ids = internlm2_folder(tmp_path / "source", spec=spec)
        tokenizer = load_tokenizer(folder)
        texts = [
            *expressions(1000),
            "",
            " ",
            "   ",
            "\n",
            "\x07",
            "▁",
            "a▁",
            "[UNUSED_TOKEN_1][UNUSED_TOKEN_0] x",
        ]
        assert_same(tokenizer, texts, lambda text: slow_ids(text, processor.encode, ids))
        again = reloaded(tokenizer, tmp_path / "saved")
        assert_same(again, texts, lambda text: slow_ids(text, processor.encode, ids))

    @pytest.mark.parametrize("spec", SPECS)
    def test_chats_are_encoded_piece_by_piece(self, spec, tmp_path):
        folder, processor, ids = internlm2_folder(tmp_path, spec=spec)
        rng = random.Random(0)
        chats = [PROMPT] + [
            "".join(text + rng.choice([*CHAT_TOKENS, *SPECIAL_TOKENS]) for text in expressions(6, seed=i))
            for i in range(50)
        ]
        assert_same(load_tokenizer(folder), chats, lambda text: slow_ids(text, processor.encode, ids))

    def test_prompt_ids_by_hand(self, tmp_path):
        folder, processor, _ = internlm2_folder(tmp_path)
        got = load_tokenizer(folder)("<|im_start|>user\n<img><IMG_CONTEXT></img>\na[SEG].<|im_end|>")[
            "input_ids"
        ]
        n = processor.get_piece_size()
        want = [1, n - 1, *processor.encode("user\n"), n, n + 2, n + 1, *processor.encode("\na"), n + 9]
        assert got == [*want, *processor.encode("."), n - 2]
        assert len(load_tokenizer(folder)) == n + len(SPECIAL_TOKENS)

    @pytest.mark.parametrize("kind", ["USER_DEFINED", "NORMAL", "UNUSED"])
    def test_replaced_pieces_keep_their_ids(self, kind, tmp_path):
        folder, processor, ids = internlm2_folder(tmp_path, kind=kind)
        tokenizer = load_tokenizer(folder)
        for token, index in ids.items():
            assert tokenizer.convert_tokens_to_ids(token) == index
            assert tokenizer(token, add_special_tokens=False)["input_ids"] == [index]
        typed = "[UNUSED_TOKEN_0] and [UNUSED_TOKEN_7]"
        assert tokenizer(typed, add_special_tokens=False)["input_ids"] == processor.encode(typed)
        assert (ids["<|im_start|>"] in processor.encode(typed)) == (kind == "USER_DEFINED")

    def test_runs_of_two_letters(self, tmp_path):
        out = io.BytesIO()
        rng = random.Random(0)
        runs = ["".join(rng.choices("aab", k=rng.randrange(1, 40))) for _ in range(2000)]
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(runs[:200]),
            model_writer=out,
            model_type="bpe",
            vocab_size=300,
            hard_vocab_limit=False,
            minloglevel=2,
        )
        (tmp_path / "tokenizer.model").write_bytes(out.getvalue())
        write_config(tmp_path, {}, tokenizer_class="InternLM2Tokenizer")
        processor = sentencepiece.SentencePieceProcessor(model_proto=out.getvalue())
        assert_same(load_tokenizer(tmp_path), [*runs, "a" * 300, "ab" * 150], processor.encode)

    def test_pieces_of_one_score_merge_from_the_left(self, tmp_path):
        model = sentencepiece_model_pb2.ModelProto.FromString(trained("internlm2"))
        known = {piece.piece for piece in model.pieces}
        # As in Llama's own model.
        for piece in ("▁" * n for n in range(16, 1, -1)):
            if piece not in known:
                model.pieces.add(piece=piece, score=-1e9)
        (tmp_path / "tokenizer.model").write_bytes(model.SerializeToString())
        write_config(tmp_path, {}, tokenizer_class="InternLM2Tokenizer")
        processor = sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())
        assert_same(load_tokenizer(tmp_path), ["a" + " " * n + "b" for n in range(60)], processor.encode)

    def test_older_list_of_added_tokens(self, tmp_path):
        folder, processor, ids = internlm2_folder(tmp_path)
        write_json(folder / "tokenizer_config.json", dict(tokenizer_class="InternLM2Tokenizer"))
        write_json(folder / "added_tokens.json", {token: i for token, i in reversed(ids.items()) if i > 2})
        write_json(
            folder / "special_tokens_map.json", dict(additional_special_tokens=["<|im_end|>", "<img>"])
        )
        tokenizer = load_tokenizer(folder)
        assert_same(tokenizer, [PROMPT], lambda text: slow_ids(text, processor.encode, ids))
        assert tokenizer.added_tokens_decoder[ids["<img>"]].special
        tail = [ids["[SEG]"], ids["<|im_end|>"], 2]
        assert tokenizer.decode(tail, skip_special_tokens=True) == "[SEG]"

    def test_plain_internvl_gets_answer_tokens_after_its_own(self, tmp_path):
        folder, processor, ids = internlm2_folder(tmp_path)
        del ids["[SEG]"], ids["[REJ]"]
        write_config(folder, ids, tokenizer_class="InternLM2Tokenizer")
        tokenizer = load_tokenizer(folder)
        n = processor.get_piece_size() + len(SPECIAL_TOKENS)
        assert len(tokenizer) == n - 2
        chat = ChatTokenizer(tokenizer=tokenizer, chat=CHAT)
        assert (chat.seg_id, chat.rej_id, len(chat)) == (n - 2, n - 1, n)

    def test_bos_is_prepended_once_and_only_where_the_authors_do(self, tmp_path):
        folder, processor, ids = internlm2_folder(tmp_path / "source")
        tokenizer = load_tokenizer(folder)
        want = [ids["<|im_start|>"], *processor.encode("a"), *[ids["<IMG_CONTEXT>"]] * 3]
        chat = ChatTokenizer(tokenizer=tokenizer, chat=CHAT)
        assert chat.prefix_ids("<|im_start|>a<IMG_CONTEXT>", num_image_tokens=3) == [1, *want]
        assert tokenizer("", add_special_tokens=False)["input_ids"] == []
        assert reloaded(tokenizer, tmp_path / "saved")("")["input_ids"] == [1]
        prefix = "<|im_start|>user\n<img><IMG_CONTEXT></img>"
        in_use = ChatTokenizer.from_pretrained(str(tmp_path / "saved"), chat=CHAT)
        ids = in_use.prefix_ids(prefix, num_image_tokens=3)
        assert ids[0] == 1
        assert 1 not in ids[1:]
        assert in_use.questions(prefix, ["dog"]) == [tokenizer("dog", add_special_tokens=False)["input_ids"]]
        internlm2_folder(tmp_path / "source", add_bos_token=False)
        chat = ChatTokenizer(tokenizer=load_tokenizer(folder), chat=CHAT)
        assert chat.prefix_ids("<|im_start|>a<IMG_CONTEXT>", num_image_tokens=3) == want
        assert chat.tokenizer("")["input_ids"] == []

    def test_saved_folder_names_no_code_and_keeps_roles(self, tmp_path):
        folder, _, _ = internlm2_folder(tmp_path / "source", eos_token="<|im_end|>", chat_template="{{ x }}")
        again = reloaded(load_tokenizer(folder), tmp_path / "saved")
        saved = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "saved").iterdir()}
        assert "tokenizer.json" in saved
        assert not any("auto_map" in text or "InternLM2Tokenizer" in text for text in saved.values())
        assert (again.bos_token, again.eos_token, again.pad_token) == ("<s>", "<|im_end|>", "</s>")
        assert again.chat_template == "{{ x }}"

    @pytest.mark.parametrize("spec", ["internlm2", "llama"])
    def test_text_comes_back(self, spec, tmp_path):
        folder, _, _ = internlm2_folder(tmp_path, spec=spec)
        tokenizer = load_tokenizer(folder)
        text = "the left man, 左边 😀\n 2"
        assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text


class TestLlama:
    @pytest.fixture
    def phi3(self, tmp_path):
        (tmp_path / "tokenizer.model").write_bytes(trained("llama"))
        processor = sentencepiece.SentencePieceProcessor(model_proto=trained("llama"))
        n = processor.get_piece_size()
        ids = {"</s>": 2, "<|endoftext|>": n, "<|assistant|>": n + 1, "<|end|>": n + 2}
        greedy = ("</s>", "<|assistant|>")
        decoder = {str(i): dict(FLAGS, content=t, rstrip=t in greedy) for t, i in ids.items()}

        def load(**entries):
            config = dict(added_tokens_decoder=decoder, tokenizer_class="LlamaTokenizer", **entries)
            write_json(tmp_path / "tokenizer_config.json", config)
            return load_tokenizer(tmp_path)

        return load, processor, ids

    def test_legacy_puts_a_space_before_each_stretch(self, phi3):
        load, processor, ids = phi3
        texts = [text for text in expressions(200) if "</s>" not in text]
        texts += ["<|end|>the<|assistant|>man", "<|end|><|assistant|>2"]
        ids = ids | {"<unk>": 0, "<s>": 1}
        assert_same(load(), texts, lambda text: slow_ids(text, processor.encode, ids))

    def test_otherwise_only_before_the_first(self, phi3):
        load, processor, ids = phi3
        bare = sentencepiece_model_pb2.ModelProto.FromString(trained("llama"))
        bare.normalizer_spec.add_dummy_prefix = False
        plain = sentencepiece.SentencePieceProcessor(model_proto=bare.SerializeToString())
        want = [*processor.encode("the man"), ids["<|end|>"], *plain.encode("the man")]
        assert want[0] != want[-len(plain.encode("the man"))]
        assert load(legacy=False)("the man<|end|>the man", add_special_tokens=False)["input_ids"] == want

    @pytest.mark.parametrize("token", ["</s>", "<|assistant|>"])
    def test_a_token_takes_the_spaces_behind_it_also_after_saving(self, token, phi3, tmp_path):
        load, processor, ids = phi3
        for tokenizer in (load(), reloaded(load(), tmp_path / "saved")):
            got = tokenizer(f"{token} \n man", add_special_tokens=False)["input_ids"]
            assert got == [ids[token], *processor.encode("man")]


class TestQwen2:
    @pytest.fixture
    def qwen2(self, tmp_path):
        """Folder, the BPE it was written from, and the added tokens' ids."""
        bpe = Tokenizer(models.BPE())
        bpe.normalizer = normalizers.NFC()
        pattern = (
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
            r"|\s*[\r\n]+|\s+(?!\S)|\s+"
        )
        bpe.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(pattern), "isolated"),
                pre_tokenizers.ByteLevel(False, use_regex=False),
            ]
        )
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, show_progress=False)
        bpe.train_from_iterator([*expressions(300, seed=1), "### ## ####" * 50], trainer)
        source = tmp_path / "source"
        source.mkdir()
        bpe.model.save(str(source))
        added = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *SPECIAL_TOKENS]
        ids = {token: bpe.get_vocab_size() + i for i, token in enumerate(added)}
        write_json(source / "added_tokens.json", dict(sorted(ids.items())))
        write_config(source, ids, tokenizer_class="Qwen2Tokenizer", eos_token="<|im_end|>", bos_token=None)
        return source, bpe, ids

    def test_ids_are_the_stated_ones_also_after_saving(self, qwen2, tmp_path):
        source, bpe, ids = qwen2
        tokenizer = load_tokenizer(source)
        texts = [PROMPT, *expressions(500), "### # ##", "'LL don't\r\n\r\n x", "Zwo\u0308lf"]
        want = functools.partial(slow_ids, encode=lambda text: bpe.encode(text).ids, ids=ids)
        for candidate in (tokenizer, reloaded(tokenizer, tmp_path / "saved")):
            assert_same(candidate, texts, want)
            assert {token: candidate.convert_tokens_to_ids(token) for token in ids} == ids
            assert len(candidate) == bpe.get_vocab_size() + len(ids)
            assert candidate("a")["input_ids"] == bpe.encode("a").ids
            assert (candidate.bos_token, candidate.eos_token) == (None, "<|im_end|>")

    def test_merges_of_number_signs_are_no_comments(self, qwen2):
        source, bpe, _ = qwen2
        assert "# #" in (source / "merges.txt").read_text(encoding="utf-8").splitlines()
        got = load_tokenizer(source)("####")["input_ids"]
        assert got == bpe.encode("####").ids
        assert len(got) < 4

    def test_ids_also_hold_beside_a_model_config(self, qwen2, tmp_path):
        source, bpe, ids = qwen2
        saved = tmp_path / "saved"
        saved.mkdir()
        write_json(saved / "config.json", dict(model_type="internvl"))
        again = reloaded(load_tokenizer(source), saved)
        assert_same(again, [PROMPT], lambda text: slow_ids(text, lambda part: bpe.encode(part).ids, ids))

    def test_composed_and_decomposed_letters_are_one(self, qwen2):
        tokenizer = load_tokenizer(qwen2[0])
        assert tokenizer("cafe\u0301")["input_ids"] == tokenizer("caf\u00e9")["input_ids"]

    def test_no_bos(self, qwen2):
        chat = ChatTokenizer(tokenizer=load_tokenizer(qwen2[0]), chat=CHAT)
        assert chat.prefix_ids("<IMG_CONTEXT>", num_image_tokens=2) == [chat.image_id] * 2

    def test_only_the_list_of_added_tokens(self, qwen2):
        source, _, ids = qwen2
        write_json(source / "tokenizer_config.json", dict(tokenizer_class="Qwen2Tokenizer"))
        tokenizer = load_tokenizer(source)
        assert tokenizer("<|im_end|>[SEG]")["input_ids"] == [ids["<|im_end|>"], ids["[SEG]"]]

    def test_vocabulary_and_merges_of_two_models(self, qwen2):
        source, _, _ = qwen2
        (source / "merges.txt").write_text("#version: 0.2\nnone such\n", encoding="utf-8")
        with pytest.raises(CheckpointError, match=r"vocab\.json and merges\.txt do not fit together"):
            load_tokenizer(source)

    def test_fast_file_alone_is_taken_as_it_is_without_its_code(self, qwen2, tmp_path):
        source, bpe, ids = qwen2
        alone = tmp_path / "alone"
        load_tokenizer(source).save_pretrained(alone)
        (alone / "evil.py").write_text("raise SystemExit", encoding="utf-8")
        config = json.loads((alone / "tokenizer_config.json").read_text())
        config["auto_map"] = {"AutoTokenizer": [None, "evil.Tokenizer"]}
        write_json(alone / "tokenizer_config.json", config)
        tokenizer = load_tokenizer(alone)
        assert isinstance(tokenizer, PreTrainedTokenizerFast)
        assert_same(tokenizer, [PROMPT], lambda text: slow_ids(text, lambda part: bpe.encode(part).ids, ids))
        tokenizer.save_pretrained(tmp_path / "saved")
        assert "auto_map" not in (tmp_path / "saved" / "tokenizer_config.json").read_text()


class TestDamaged:
    def test_nothing_there(self, tmp_path):
        with pytest.raises(
            CheckpointError, match=r"no tokenizer; looked for tokenizer\.model .* tokenizer\.json"
        ):
            load_tokenizer(tmp_path)

    @pytest.mark.parametrize("content", ["half", b"", b"\xff" * 99])
    def test_model_file_that_is_none(self, content, tmp_path):
        folder, _, _ = internlm2_folder(tmp_path)
        path = folder / "tokenizer.model"
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if content == "half" else content)
        with pytest.raises(
            CheckpointError, match=r"tokenizer\.model: not a sentencepiece model, or a part of one"
        ):
            load_tokenizer(folder)

    @pytest.mark.parametrize("model_type", ["unigram", "char"])
    def test_other_model_types(self, model_type, tmp_path):
        folder, _, _ = internlm2_folder(tmp_path)
        (folder / "tokenizer.model").write_bytes(trained("internlm2", model_type))
        with pytest.raises(CheckpointError, match=r"tokenizer\.model: .* another type than BPE"):
            load_tokenizer(folder)

    def test_rules_of_its_own(self, tmp_path):
        rules = tmp_path / "rules.tsv"
        lines = [f"{ord('a') + i:X} {ord('a') + j:X}\t7A\n" for i in range(11) for j in range(11)]
        rules.write_text("".join(lines))
        out = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(["left man"] * 9),
            model_writer=out,
            model_type="bpe",
            vocab_size=20,
            hard_vocab_limit=False,
            minloglevel=2,
            normalization_rule_tsv=str(rules),
        )
        (tmp_path / "tokenizer.model").write_bytes(out.getvalue())
        write_config(tmp_path, {}, tokenizer_class="InternLM2Tokenizer")
        with pytest.raises(CheckpointError, match=r"tokenizer\.model: 121 of its character rules"):
            load_tokenizer(tmp_path)

    @pytest.mark.parametrize(
        "name", ["tokenizer_config.json", "added_tokens.json", "special_tokens_map.json"]
    )
    @pytest.mark.parametrize(
        ("content", "reason"), [('{"a": ', "not JSON"), ("[1]", "holds list, not an object")]
    )
    def test_broken_json(self, name, content, reason, tmp_path):
        folder, _, _ = internlm2_folder(tmp_path)
        (folder / name).write_text(content)
        with pytest.raises(CheckpointError, match=rf"{re.escape(name)}: {reason}"):
            load_tokenizer(folder)

    @pytest.mark.parametrize("content", ["{}", "{", '{"model": {"type": "BPE"}}'])
    def test_broken_fast_file(self, content, tmp_path):
        (tmp_path / "tokenizer.json").write_text(content)
        with pytest.raises(CheckpointError, match=r"tokenizer\.json: not (JSON|a tokenizer) \("):
            load_tokenizer(tmp_path)

    def test_gap_in_ids(self, tmp_path):
        folder, processor, ids = internlm2_folder(tmp_path)
        n = processor.get_piece_size()
        del ids["<quad>"]
        write_config(folder, ids, tokenizer_class="InternLM2Tokenizer")
        with pytest.raises(
            CheckpointError, match=rf"the added token </quad> is to have the id {n + 4}, but gets {n + 3}"
        ):
            load_tokenizer(folder)

    def test_added_token_that_is_another_piece(self, tmp_path):
        folder, processor, ids = internlm2_folder(tmp_path)
        piece = processor.id_to_piece(400)
        write_config(folder, ids | {piece: ids["<|plugin|>"]}, tokenizer_class="InternLM2Tokenizer")
        with pytest.raises(
            CheckpointError, match=rf"{re.escape(piece)} is to have the id \d+, but has 400 here"
        ):
            load_tokenizer(folder)

    def test_two_lists_that_disagree(self, tmp_path):
        folder, _, ids = internlm2_folder(tmp_path)
        write_json(folder / "added_tokens.json", {"<box>": ids["<box>"] + 1})
        with pytest.raises(CheckpointError, match="disagree about <box>"):
            load_tokenizer(folder)

    @pytest.mark.parametrize("entry", [dict(added_tokens_decoder=[1]), dict(added_tokens_decoder={"x": {}})])
    def test_unreadable_added_tokens(self, entry, tmp_path):
        folder, _, _ = internlm2_folder(tmp_path)
        write_json(folder / "tokenizer_config.json", dict(tokenizer_class="InternLM2Tokenizer", **entry))
        with pytest.raises(CheckpointError, match="lists added tokens unreadably"):
            load_tokenizer(folder)

    def test_special_token_without_text(self, tmp_path):
        folder, _, _ = internlm2_folder(tmp_path, bos_token={"lstrip": True})
        with pytest.raises(CheckpointError, match="a special token without a text"):
            load_tokenizer(folder)

    def test_unknown_class(self, tmp_path):
        folder, _, _ = internlm2_folder(tmp_path, tokenizer_class="T5Tokenizer")
        with pytest.raises(CheckpointError, match="tokenizer_class is T5Tokenizer"):
            load_tokenizer(folder)

    @pytest.mark.parametrize("module", ["sentencepiece", "sentencepiece.sentencepiece_model_pb2"])
    def test_packages_are_not_installed(self, module, tmp_path, monkeypatch):
        folder, _, _ = internlm2_folder(tmp_path)
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(ConfigError, match="pip install sentencepiece protobuf"):
            load_tokenizer(folder)
