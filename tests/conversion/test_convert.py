import contextlib
import json
import os
import pickle
import random
import signal
import time

import pytest
import torch
from helpers.official_head import official_state
from helpers.original_folder import FAMILIES, as_one_file, tensors_of, write_original, write_tokenizer
from helpers.tiny_model import make_samples
from mmengine.config import ConfigDict
from mmseg.registry import MODELS
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, AutoTokenizer

import mmseg_mllm  # noqa: F401
from mmseg_mllm.conversion.convert import convert_internvl, convert_mllmseg
from mmseg_mllm.conversion.new_folder import new_folder
from mmseg_mllm.conversion.restore import restore_mllmseg
from mmseg_mllm.conversion.tensor_files import TensorFiles
from mmseg_mllm.errors import CheckpointError, ConfigError
from mmseg_mllm.models.decode_heads import DSFFHead
from mmseg_mllm.models.model_folder import use_model_folder
from mmseg_mllm.prompts import SPECIAL_TOKENS


def build(folder):
    """The segmentor of a converted folder."""
    arch = json.loads((folder / "config.json").read_text())
    arch = {key: arch[key] for key in ("model_type", "vision_config", "text_config", "tie_word_embeddings")}
    config = ConfigDict(
        type="MLLMSegmentor",
        backbone=dict(type="MLLMBackbone", arch=arch),
        decode_head=dict(type="DSFFHead", channels=32),
    )
    use_model_folder(config, folder)
    return MODELS.build(config).eval()


def masks(folder):
    images = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return build(folder)(images, make_samples([["word7 word9", "word30"]]), mode="tensor")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_base_loads_whole(family, tmp_path):
    source = write_original(tmp_path / "src", family=family, with_head=False, shard_bytes=20_000)
    assert len(list(source.glob("model-*.safetensors"))) > 3
    done = convert_internvl(source, tmp_path / "dst")
    model, report = AutoModelForImageTextToText.from_pretrained(tmp_path / "dst", output_loading_info=True)
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    original, native = tensors_of(source), model.state_dict()
    assert sum(tensor.numel() for tensor in native.values()) == done.parameters
    assert sum(tensor.numel() for tensor in original.values()) == done.parameters
    assert torch.equal(
        native["model.vision_tower.encoder.layer.1.attention.k_proj.weight"],
        original["vision_model.encoder.layers.1.attn.qkv.weight"][32:64],
    )
    head = "language_model.output.weight" if family == "internlm2" else "language_model.lm_head.weight"
    assert torch.equal(native["lm_head.weight"], original[head])
    assert (
        native["model.language_model.embed_tokens.weight"].data_ptr() != native["lm_head.weight"].data_ptr()
    )
    assert AutoTokenizer.from_pretrained(tmp_path / "dst").convert_tokens_to_ids("[REJ]") == 299
    if family == "phi3":
        assert model.config.text_config.rope_parameters["rope_type"] == "longrope"


@torch.no_grad()
@pytest.mark.parametrize("kind", ["qwen2", "qwen3"])
def test_a_language_model_computes_what_its_own_class_does(kind, tmp_path):
    """In the original layout it is transformers' class for text, name by name."""
    source = write_original(tmp_path / "src", family=kind, with_head=False)
    convert_internvl(source, tmp_path / "dst")
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "dst")
    text = json.loads((source / "config.json").read_text())["llm_config"]
    own = AutoModelForCausalLM.from_config(AutoConfig.for_model(**text))
    prefix = "language_model."
    own.load_state_dict(
        {name.removeprefix(prefix): x for name, x in tensors_of(source).items() if name.startswith(prefix)}
    )
    ids = torch.arange(1, 30)[None]
    torch.testing.assert_close(model(input_ids=ids).logits, own.eval()(input_ids=ids).logits)


@pytest.mark.parametrize("kind", ["safetensors", "bin", "old bin"])
def test_formats_of_weights_give_the_same_folder(kind, tmp_path):
    source = write_original(tmp_path / "src")
    convert_mllmseg(source, tmp_path / "dst")
    as_one_file(source, tensors_of(source), kind=kind)
    convert_mllmseg(source, tmp_path / "other")
    ours, others = tensors_of(tmp_path / "dst"), tensors_of(tmp_path / "other")
    assert ours.keys() == others.keys()
    assert all(torch.equal(ours[name], others[name]) for name in ours)


@pytest.mark.parametrize("family", FAMILIES)
def test_there_and_back_is_bitwise_the_same(family, tmp_path):
    source = write_original(tmp_path / "src", family=family, shard_bytes=50_000)
    convert_mllmseg(source, tmp_path / "ours")
    restore_mllmseg(tmp_path / "ours", tmp_path / "back")
    convert_mllmseg(tmp_path / "back", tmp_path / "again")
    first, back = tensors_of(source), tensors_of(tmp_path / "back")
    assert first.keys() == back.keys()
    assert all(torch.equal(first[name], back[name]) for name in first)
    for name in ("model.safetensors", "decode_head.safetensors", "config.json", "tokenizer.json"):
        assert (tmp_path / "ours" / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name
    wanted = json.loads((source / "config.json").read_text()) | dict(architectures=["MLLMSeg"])
    assert json.loads((tmp_path / "back" / "config.json").read_text()) == wanted


def tie(source):
    """Make a folder of one whose LM head is the embedding, as safetensors store it: once."""
    tensors = tensors_of(source)
    del tensors["language_model.lm_head.weight"]
    as_one_file(source, tensors)
    change_config(llm_config__tie_word_embeddings=True)(source)
    return tensors


@torch.no_grad()
@pytest.mark.parametrize("kind", ["qwen2", "qwen3"])
def test_a_tied_language_model_computes_what_its_own_class_does(kind, tmp_path):
    source = write_original(tmp_path / "src", family=kind, with_head=False)
    tensors = tie(source)
    convert_internvl(source, tmp_path / "dst")
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "dst")
    embedding = model.get_input_embeddings().weight
    assert torch.equal(model.lm_head.weight, embedding)
    assert model.lm_head.weight is not embedding
    text = json.loads((source / "config.json").read_text())["llm_config"]
    own = AutoModelForCausalLM.from_config(AutoConfig.for_model(**text))
    assert own.lm_head.weight is own.get_input_embeddings().weight
    prefix = "language_model."
    of_text = {name.removeprefix(prefix): x for name, x in tensors.items() if name.startswith(prefix)}
    assert own.load_state_dict(of_text, strict=False).missing_keys == ["lm_head.weight"]
    ids = torch.arange(1, 30)[None]
    torch.testing.assert_close(model(input_ids=ids).logits, own.eval()(input_ids=ids).logits)


def test_a_tied_model_goes_back_with_an_lm_head_of_its_own(tmp_path):
    source = write_original(tmp_path / "src", family="qwen2")
    tensors = tie(source)
    convert_mllmseg(source, tmp_path / "ours")
    restore_mllmseg(tmp_path / "ours", tmp_path / "back")
    back = tensors_of(tmp_path / "back")
    head = back.pop("language_model.lm_head.weight")
    assert torch.equal(head, tensors["language_model.model.embed_tokens.weight"])
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)
    config = json.loads((tmp_path / "back" / "config.json").read_text())
    assert config["llm_config"]["tie_word_embeddings"] is False


def with_lora(tensors, rank, seed):
    """The tensors as InternVL's training code saves them with LoRA, and the merged ones."""
    generator = torch.Generator().manual_seed(seed)
    adapted = ("wqkv.weight", "wo.weight", "w1.weight", "w2.weight", "w3.weight")
    saved, merged = {}, {}
    for name, tensor in tensors.items():
        if not name.startswith("language_model."):
            saved[name] = merged[name] = tensor
            continue
        wrapped = name.replace("language_model.", "language_model.base_model.model.", 1)
        if not name.endswith(adapted):
            saved[wrapped] = merged[name] = tensor
            continue
        stem = wrapped.removesuffix(".weight")
        a = torch.randn(rank, tensor.shape[1], generator=generator) * 0.2
        b = torch.randn(tensor.shape[0], rank, generator=generator) * 0.2
        saved |= {
            f"{stem}.base_layer.weight": tensor,
            f"{stem}.lora_A.default.weight": a,
            f"{stem}.lora_B.default.weight": b,
        }
        merged[name] = (tensor.double() + 2 * b.double() @ a.double()).float()
    return saved, merged


def test_lora_tensors_are_merged(tmp_path):
    source = write_original(tmp_path / "src")
    plain = masks_of_new(source, tmp_path / "plain")
    saved, merged = with_lora(tensors_of(source), rank=4, seed=3)
    as_one_file(source, merged)
    wanted = masks_of_new(source, tmp_path / "merged")
    as_one_file(source, saved)
    done = convert_mllmseg(source, tmp_path / "unmerged")
    assert done.merged_ranks == {4}
    assert not done.unused
    found = masks(tmp_path / "unmerged")
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
    assert (found - plain).abs().max() > 1e-3


def masks_of_new(source, target):
    convert_mllmseg(source, target)
    return masks(target)


def test_unused_tensors_are_listed(tmp_path):
    source = write_original(tmp_path / "src")
    extra = {f"language_model.model.layers.{i}.attention.rotary_emb.inv_freq": torch.ones(4) for i in (0, 1)}
    as_one_file(source, tensors_of(source) | extra)
    assert convert_mllmseg(source, tmp_path / "dst").unused == sorted(extra)


def test_original_files_come_along(tmp_path):
    source = write_original(tmp_path / "src")
    (source / "tokenization_internlm2.py").write_text("raise SystemExit('never run')")
    convert_mllmseg(source, tmp_path / "dst")
    restore_mllmseg(tmp_path / "dst", tmp_path / "back")
    kept = tmp_path / "back" / "tokenization_internlm2.py"
    assert kept.read_text() == "raise SystemExit('never run')"
    assert not (tmp_path / "dst" / "tokenization_internlm2.py").exists()


def truncate(source):
    shard = sorted(source.glob("model-*.safetensors"))[1]
    shard.write_bytes(shard.read_bytes()[:-100])


def truncate_bin(source):
    as_one_file(source, tensors_of(source), kind="bin")
    path = source / "pytorch_model.bin"
    path.write_bytes(path.read_bytes()[:-2000])


def lose_shard(source):
    sorted(source.glob("model-*.safetensors"))[2].unlink()


def lose_index(source):
    (source / "model.safetensors.index.json").unlink()


def break_index(source):
    (source / "model.safetensors.index.json").write_text("{")


def lose_tensor(source):
    tensors = tensors_of(source)
    del tensors["language_model.model.layers.1.feed_forward.w3.weight"]
    as_one_file(source, tensors)


def reshape_tensor(source):
    tensors = tensors_of(source)
    tensors["mlp1.1.weight"] = tensors["mlp1.1.weight"][:, :-1]
    as_one_file(source, tensors)


def reshape_head(source):
    tensors = tensors_of(source)
    tensors["res_decoder.text_down.weight"] = tensors["res_decoder.text_down.weight"][:, :-1]
    as_one_file(source, tensors)


class RunsCode:
    def __reduce__(self):
        return os.mkdir, ("it ran",)


def booby_trap(source):
    tensors = tensors_of(source)
    as_one_file(source, tensors)
    (source / "model.safetensors").unlink()
    with open(source / "pytorch_model.bin", "wb") as file:
        pickle.dump(dict(weight=RunsCode()), file, protocol=2)


def garbage(source):
    as_one_file(source, {})
    (source / "model.safetensors").unlink()
    (source / "pytorch_model.bin").write_bytes(b"garbage")


def booby_trap_in_a_zip(source):
    as_one_file(source, tensors_of(source) | dict(trap=RunsCode()), kind="bin")


def lose_tokenizer(source):
    (source / "tokenizer.json").unlink()


def lose_config(source):
    (source / "config.json").unlink()


def break_config(source):
    (source / "config.json").write_text("{'a': 1")


def change_config(**entries):
    def change(source):
        config = json.loads((source / "config.json").read_text())
        for key, value in entries.items():
            part = config
            *path, last = key.split("__")
            for name in path:
                part = part[name]
            part[last] = value
        (source / "config.json").write_text(json.dumps(config))

    return change


def half_an_adapter(source):
    saved, _ = with_lora(tensors_of(source), rank=4, seed=3)
    del saved["language_model.base_model.model.model.layers.0.attention.wo.lora_B.default.weight"]
    as_one_file(source, saved)


def quantise(source):
    tensors = tensors_of(source)
    name = "language_model.model.layers.0.attention.wo.weight"
    as_one_file(source, tensors | {name: tensors[name].to(torch.int8)})


def lose_added_tokens(source):
    write_tokenizer(source, special=[])


def lose_answers(source):
    """A tokenizer of fewer tokens, so that the authors' two would get other rows."""
    write_tokenizer(source, size=290, special=SPECIAL_TOKENS[:-2])


def two_adapters(source):
    saved, _ = with_lora(tensors_of(source), rank=4, seed=3)
    saved |= {name.replace("default", "zero"): t + 1 for name, t in saved.items() if "lora_A" in name}
    as_one_file(source, saved)


def adapter_of_four_dimensions(source):
    saved, _ = with_lora(tensors_of(source), rank=4, seed=3)
    saved = {name: t[..., None, None] if "wo.lora_A" in name else t for name, t in saved.items()}
    as_one_file(source, saved)


def narrow_head(source):
    base = {name: t for name, t in tensors_of(source).items() if not name.startswith("res_decoder.")}
    head = DSFFHead(in_channels=[16, 48], channels=16, mask_scale=8)
    as_one_file(source, base | official_state(head.state_dict()))


def name_outside(source):
    path = source / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["weight_map"] = {name: f"../{file}" for name, file in index["weight_map"].items()}
    path.write_text(json.dumps(index))


def more_tokens(source):
    write_tokenizer(source, size=310)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate, r"model-00002-of-\d+\.safetensors: not a checkpoint that can be read"),
        (truncate_bin, r"pytorch_model\.bin: not a checkpoint that can be read"),
        (lose_shard, r"model-00003-of-\d+\.safetensors is missing, named in model\.safetensors\.index\.json"),
        (lose_index, r"is one of several files, but model\.safetensors\.index\.json is missing"),
        (break_index, r"not an index of weights"),
        (lose_tensor, r"1 of \d+ tensors are missing, such as .*layers\.1\.feed_forward\.w3\.weight"),
        (
            reshape_tensor,
            r"mlp1\.1\.weight has shape \(48, 127\), by its config\.json it should be \(48, 128\)",
        ),
        (reshape_head, r"res_decoder\.text_down\.weight has shape \(32, 47\)"),
        (booby_trap, r"pytorch_model\.bin: .*asks to load \S*mkdir, which is no weight"),
        (garbage, r"pytorch_model\.bin: .*something else than weights, which could run code"),
        (booby_trap_in_a_zip, r"pytorch_model\.bin: .*asks to load \S*mkdir, which is no weight"),
        (lose_tokenizer, r"src: .*tokenizer"),
        (lose_config, r"no config\.json"),
        (break_config, r"not readable as JSON"),
        (
            change_config(model_type="llava", architectures=["LlavaModel"]),
            r"model_type 'llava' \(LlavaModel\)",
        ),
        (change_config(model_type="internvl"), r"converted already"),
        (change_config(llm_config__model_type="gemma"), r"language model is model_type 'gemma'"),
        (change_config(llm_config=None), r"no llm_config"),
        (change_config(llm_config__hidden_size=None), r"llm_config in config\.json has no hidden_size"),
        (change_config(llm_config__hidden_size="wide"), r"entry that can't be used"),
        (change_config(vision_config__qk_normalization=True), r"qk_normalization is True"),
        (change_config(llm_config__vocab_size=310), r"has shape \(300, 48\)"),
        (change_config(use_llm_lora=64), None),
        (
            change_config(llm_config__num_hidden_layers=1),
            r"\d+ tensors are more than its config\.json describes",
        ),
        (change_config(vision_config__num_hidden_layers=1), r"more than its config\.json describes"),
        (change_config(vision_config__qkv_bias=False), r"more than its .*attn\.qkv\.bias"),
        (change_config(llm_config__num_key_value_heads=1), r"wqkv\.weight has shape"),
        (change_config(llm_config__num_attention_heads=0), r"entry that can't be used"),
        (change_config(llm_config__num_attention_heads=5), r"entry that can't be used|has shape"),
        (change_config(llm_config__rope_scaling="dynamic"), r"entry that can't be used"),
        (change_config(llm_config__rope_theta=None), r"entry that can't be used"),
        (change_config(llm_config__hidden_act="loud"), r"entry that can't be used"),
        (change_config(llm_config__pad_token_id=400), r"entry that can't be used"),
        (change_config(llm_config__model_type=["qwen2"]), r"entry that can't be used"),
        (change_config(vision_config__image_size=[32, 32]), r"entry that can't be used"),
        (change_config(vision_config__patch_size=0), r"entry that can't be used"),
        (change_config(force_image_size=448), r"force_image_size is 448"),
        (change_config(quantization_config=dict(bits=8)), r"quantization_config is"),
        (quantise, r"attention\.wo\.weight is of dtype (int8|I8)"),
        (lose_added_tokens, r"its tokenizer lacks <img>"),
        (lose_answers, r"its tokenizer lacks \[SEG\], \[REJ\]"),
        (two_adapters, r"adapts the same weight"),
        (adapter_of_four_dimensions, r"LoRA of shapes .* does not fit"),
        (narrow_head, r"its mask decoder is 16 wide, MLLMSeg's is as wide as the vision tower \(32\)"),
        (name_outside, r"names '\.\./model-00001"),
        (half_an_adapter, r"LoRA adapter is incomplete"),
        (more_tokens, r"ids up to 309, the weights have 300 rows"),
    ],
)
def test_damage_is_told_and_leaves_nothing(damage, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = write_original(tmp_path / "src", shard_bytes=50_000)
    damage(source)
    if message is None:
        convert_mllmseg(source, tmp_path / "dst")
        return
    with pytest.raises(CheckpointError, match=message) as raised:
        convert_mllmseg(source, tmp_path / "dst")
    assert "\n" not in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["src"]


def test_the_other_converter_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"mllmseg2mmseg\.py"):
        convert_internvl(write_original(tmp_path / "a"), tmp_path / "dst")
    with pytest.raises(CheckpointError, match=r"internvl2hf\.py"):
        convert_mllmseg(write_original(tmp_path / "b", with_head=False), tmp_path / "dst")


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "dst").mkdir()
    (tmp_path / "dst" / "mine").touch()
    with pytest.raises(ConfigError, match="exists already"):
        convert_mllmseg(write_original(tmp_path / "src"), tmp_path / "dst")
    assert [path.name for path in (tmp_path / "dst").iterdir()] == ["mine"]


def test_a_disk_too_full(tmp_path, monkeypatch):
    usage = type("usage", (), dict(free=1000))
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(ConfigError, match=r"needs 0\.\d GB, its disk has 0\.0 GB free"):
        convert_mllmseg(write_original(tmp_path / "src"), tmp_path / "dst")
    assert not (tmp_path / "dst").exists()


def test_reverse_of_something_else(tmp_path):
    with pytest.raises(CheckpointError, match="not a model folder"):
        restore_mllmseg(write_original(tmp_path / "src"), tmp_path / "dst")


def change_tensors(file, change):
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda ours: change_config(llm_config__num_hidden_layers=1)(ours / "original"),
            r"more than its config",
        ),
        (lambda ours: change_config(llm_config__num_key_value_heads=1)(ours / "original"), r"has shape"),
        (lambda ours: change_config(llm_config=None)(ours / "original"), r"no llm_config"),
        (lambda ours: (ours / "tokenizer.json").unlink(), r"tokenizer\.json: not readable"),
        (lambda ours: (ours / "tokenizer.json").write_text("{}"), r"tokenizer\.json: lists no added tokens"),
        (
            lambda ours: change_tensors(
                ours / "decode_head.safetensors", lambda t: t.update({"mask_out.bias": torch.zeros(2)})
            ),
            r"res_decoder\.conv2\.bias|mask_out\.bias has shape \(2,\)",
        ),
        (
            lambda ours: change_tensors(
                ours / "decode_head.safetensors", lambda t: t.update(extra=torch.zeros(2))
            ),
            r"1 tensors have no place in the authors' layout, such as extra",
        ),
        (
            lambda ours: change_tensors(
                ours / "model.safetensors", lambda t: t.update({"lm_head.weight": t["lm_head.weight"][:-1]})
            ),
            r"embed_tokens\.weight has shape \(300, 48\)",
        ),
    ],
)
def test_damaged_model_folders_do_not_go_back(damage, message, tmp_path):
    convert_mllmseg(write_original(tmp_path / "src"), tmp_path / "ours")
    damage(tmp_path / "ours")
    with pytest.raises(CheckpointError, match=message):
        restore_mllmseg(tmp_path / "ours", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_merged_adapters_leave_no_order_to_make_new_ones(tmp_path):
    source = write_original(tmp_path / "src")
    saved, _ = with_lora(tensors_of(source), rank=4, seed=3)
    as_one_file(source, saved)
    change_config(use_llm_lora=4)(source)
    convert_mllmseg(source, tmp_path / "ours")
    restore_mllmseg(tmp_path / "ours", tmp_path / "back")
    assert json.loads((tmp_path / "back" / "config.json").read_text())["use_llm_lora"] == 0


def test_a_link_as_target(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "model")
    convert_mllmseg(write_original(tmp_path / "src"), tmp_path / "link")
    assert (tmp_path / "disk" / "model" / "config.json").is_file()
    assert (tmp_path / "link").is_symlink()


def test_being_told_to_end_cleans_up(tmp_path):
    target = tmp_path / "dst"
    before = signal.getsignal(signal.SIGTERM)

    def half_a_conversion():
        with new_folder(target) as folder:
            (folder / "half").touch()
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)

    with pytest.raises(SystemExit):
        half_a_conversion()
    assert not list(tmp_path.iterdir())
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("kind", ["safetensors", "bin", "old bin"])
def test_any_damaged_byte_is_told(kind, tmp_path):
    rng = random.Random(0)
    path = tmp_path / ("model.safetensors" if kind == "safetensors" else "pytorch_model.bin")
    tensors = {f"layer.{i}": torch.ones(2, 3) for i in range(3)}
    as_one_file(tmp_path, tensors, kind=kind)
    whole = path.read_bytes()
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(min(len(damaged), 600))] = rng.randrange(256)
        path.write_bytes(damaged)
        with contextlib.suppress(CheckpointError):  # and no other
            files = TensorFiles.of_folder(tmp_path)
            for name in files.shapes:
                files.get(name)


def test_a_folder_without_decoder_is_no_model(tmp_path):
    source = write_original(tmp_path / "src", with_head=False)
    convert_internvl(source, tmp_path / "dst")
    with pytest.raises(CheckpointError, match=r"not a model folder \(no decode_head\.safetensors\)"):
        use_model_folder(ConfigDict(backbone=dict(), decode_head=dict()), tmp_path / "dst")
