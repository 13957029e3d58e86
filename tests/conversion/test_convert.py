import json
import os
import pickle

import pytest
import torch
from helpers.original_folder import FAMILIES, as_one_file, tensors_of, write_original, write_tokenizer
from helpers.tiny_model import make_samples
from mmengine.config import ConfigDict
from mmseg.registry import MODELS
from transformers import AutoModelForImageTextToText, AutoTokenizer

import mmseg_mllm  # noqa: F401
from mmseg_mllm.conversion.convert import convert_internvl, convert_mllmseg, restore_mllmseg
from mmseg_mllm.errors import CheckpointError, ConfigError
from mmseg_mllm.models.model_folder import use_model_folder


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
        (half_an_adapter, r"LoRA adapter is incomplete"),
        (more_tokens, r"tokenizer has 310 tokens, the weights 300 rows"),
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


def test_rank_that_contradicts_the_config(tmp_path):
    source = write_original(tmp_path / "src")
    saved, _ = with_lora(tensors_of(source), rank=4, seed=3)
    as_one_file(source, saved)
    change_config(use_llm_lora=64)(source)
    with pytest.raises(CheckpointError, match=r"rank \{4\}, but use_llm_lora is 64"):
        convert_mllmseg(source, tmp_path / "dst")


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
    with pytest.raises(CheckpointError, match="not a model folder of this package"):
        restore_mllmseg(write_original(tmp_path / "src"), tmp_path / "dst")


def test_a_folder_without_decoder_is_no_model(tmp_path):
    source = write_original(tmp_path / "src", with_head=False)
    convert_internvl(source, tmp_path / "dst")
    with pytest.raises(CheckpointError, match=r"not a model folder \(no decode_head\.safetensors\)"):
        use_model_folder(ConfigDict(backbone=dict(), decode_head=dict()), tmp_path / "dst")
