"""Model folders that are loaded by themselves."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers.original_folder import write_original
from helpers.tiny_model import tiny_config
from mmengine.config import Config
from mmseg.registry import MODELS
from safetensors.torch import load_file, save_file

from mmseg_mllm.apis import RESPredictor
from mmseg_mllm.conversion.convert import convert_mllmseg
from mmseg_mllm.conversion.describe import describe_folder
from mmseg_mllm.conversion.merge import merge_checkpoint
from mmseg_mllm.errors import CheckpointError, ConfigError, MMSegMLLMError

SETTINGS = "mmseg_mllm.json"


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("converted")
    convert_mllmseg(write_original(folder / "src"), folder / "dst")
    return folder / "dst"


@pytest.fixture
def copy(converted, tmp_path):
    return shutil.copytree(converted, tmp_path / "copy")


def unusual_config():
    """Nothing in it is the default."""
    config = tiny_config(lora=dict(r=4, lora_alpha=8), image_size=(32, 64))
    config.update(prompt="short", protocol="joint")
    config["data_preprocessor"] = dict(
        type="ImgDataPreprocessor", mean=[120.5, 110, 100], std=[60.25, 50, 40]
    )
    config["decode_head"] |= dict(
        fusion="concat", feedforward_channels=40, norm_cfg=dict(type="GN", num_groups=4), key_reduction=2
    )
    return config


@pytest.fixture
def trained(tmp_path):
    """A config, and a checkpoint of it whose LoRA does something."""
    torch.manual_seed(0)
    config = Config(dict(model=unusual_config()))
    model = MODELS.build(config.model)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.2 * torch.randn_like(parameter)
    torch.save(model.state_dict(), tmp_path / "model.pth")
    return config, tmp_path / "model.pth"


def load(folder, **kwargs):
    return RESPredictor.from_pretrained(folder, device="cpu", **kwargs)


def answers(predictor, texts=("word7 word9", "left dog")):
    predictor.set_image(np.random.default_rng(0).integers(0, 255, (20, 50, 3), dtype=np.uint8))
    found = predictor.segment(list(texts))
    return np.stack([f.probability for f in found])


def test_a_merged_checkpoint_needs_its_config_no_more(trained, tmp_path):
    config, checkpoint = trained
    wanted = RESPredictor.from_config(config, str(checkpoint), device="cpu")
    merge_checkpoint(config.model, checkpoint, tmp_path / "merged")
    found = load(tmp_path / "merged")
    np.testing.assert_allclose(answers(found), answers(wanted), atol=1e-5)
    assert (found.model.protocol, found.model.prompt) == (wanted.model.protocol, wanted.model.prompt)
    assert found.model.backbone.image_size == (32, 64)


def test_a_saved_predictor_is_the_same(trained, tmp_path):
    config, _ = trained
    torch.manual_seed(1)
    predictor = RESPredictor(model=MODELS.build(config.model))  # with its LoRA
    wanted = answers(predictor)
    predictor.save_pretrained(tmp_path / "saved", data=["refcoco"])
    np.testing.assert_allclose(answers(load(tmp_path / "saved")), wanted, atol=1e-5)
    names = {path.name for path in (tmp_path / "saved").iterdir()}
    assert {SETTINGS, "README.md", "model.safetensors", "decode_head.safetensors"} <= names
    assert not any("lora" in name for name in load_file(tmp_path / "saved" / "model.safetensors"))
    with pytest.raises(ConfigError, match="exists already"):
        predictor.save_pretrained(tmp_path / "saved")


def test_a_folder_of_an_earlier_version_is_told_and_described(trained, tmp_path):
    config, checkpoint = trained
    merge_checkpoint(config.model, checkpoint, tmp_path / "merged")
    settings = (tmp_path / "merged" / SETTINGS).read_text()
    (tmp_path / "merged" / SETTINGS).unlink()
    with pytest.raises(CheckpointError, match=r"merged: has no mmseg_mllm\.json.*describe_folder\.py CONFIG"):
        load(tmp_path / "merged")
    other = Config(dict(model=tiny_config()))
    with pytest.raises(CheckpointError, match="decode_head"):
        describe_folder(other.model, tmp_path / "merged")
    assert not (tmp_path / "merged" / SETTINGS).exists()
    describe_folder(config.model, tmp_path / "merged")
    assert (tmp_path / "merged" / SETTINGS).read_text() == settings


def test_a_larger_input_is_that_of_a_tower_with_more_positions(copy):
    """By hand: the 4 x 4 positions of 32 px made 6 x 6, and a config that says so."""
    found = answers(load(copy, image_size=48))
    assert (found != answers(load(copy))).any()
    tensors = load_file(copy / "model.safetensors")
    name = "model.vision_tower.embeddings.position_embeddings"
    cls, grid = tensors[name][:, :1], tensors[name][:, 1:].unflatten(1, (4, 4)).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, (6, 6), mode="bicubic").flatten(2).mT
    tensors[name] = torch.cat([cls, grid], dim=1).contiguous()
    save_file(tensors, copy / "model.safetensors", metadata=dict(format="pt"))
    for file, change in ((SETTINGS, lambda c: c.update(image_size=48)), ("config.json", _more_positions)):
        content = json.loads((copy / file).read_text())
        change(content)
        (copy / file).write_text(json.dumps(content))
    np.testing.assert_allclose(answers(load(copy)), found, atol=1e-6)


def _more_positions(config):
    config["vision_config"]["image_size"] = [48, 48]


def test_sizes_that_do_not_fit(converted):
    for size, message in (
        (50, "must be a multiple of 16, such as 48 or 64"),
        (-16, "must be a multiple of 16, such as 16 or 32"),
        (16 * 64, "takes 4,096 tokens, the language model reads 4,096"),
        ((16 * 32, 16 * 128), "takes 4,096 tokens, the language model reads 4,096"),
        ((48, 40), "40 must be a multiple of 16, such as 32 or 48"),
    ):
        with pytest.raises(ConfigError, match=re.escape(f"image_size={size}: ") + f".*{message}"):
            load(converted, image_size=size)
    assert load(converted, image_size=48, dtype=torch.bfloat16).model.backbone.dtype is torch.bfloat16
    assert answers(load(converted, image_size=48, dtype="bfloat16")).shape == (2, 20, 50)


def test_folders_of_something_else(tmp_path):
    source = write_original(tmp_path / "src")
    with pytest.raises(CheckpointError, match=r"src: not a model folder.*mllmseg2mmseg\.py"):
        load(source)


def change(path, **values):
    content = json.loads(path.read_text())
    for key, value in values.items():
        *parents, last = key.split("__")
        inner = content
        for parent in parents:
            inner = inner[parent]
        if value is None:
            del inner[last]
        else:
            inner[last] = value
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("file", "values", "message"),
    [
        (SETTINGS, dict(format=2), "not of format 1"),
        (SETTINGS, dict(hook=dict(type="os.system")), "unknown entries 'hook'"),
        (SETTINGS, dict(decode_head__type="Evil"), "decode_head: has unknown entries 'type'"),
        (SETTINGS, dict(prompt=None), "lacks 'prompt'"),
        (SETTINGS, dict(prompt="mine"), "prompt must be the name of a prompt style of this version"),
        (SETTINGS, dict(protocol=["paper"]), "protocol must be"),
        (SETTINGS, dict(base="evil"), "base must be one of gemma3, internvl"),
        (SETTINGS, dict(image_size=10**9), "image_size must be a whole number from 1 to 8192"),
        (SETTINGS, dict(image_size=True), "image_size must be"),
        (SETTINGS, dict(image_size=[32, 10**9]), "image_size must be .*, or two"),
        (SETTINGS, dict(image_size=[32]), "image_size must be .*, or two"),
        (SETTINGS, dict(image_size=33), "image_size=33: must be a multiple"),
        (SETTINGS, dict(pixel_std=[1, 0, 1]), "pixel_std must be three numbers"),
        (SETTINGS, dict(pixel_mean=[1, float("nan"), 1]), "pixel_mean must be three numbers"),
        (SETTINGS, dict(decode_head=[]), "decode_head must be an object"),
        (SETTINGS, dict(decode_head__channels=10**6), "decode_head: channels must be"),
        (SETTINGS, dict(decode_head__channels=64), r"decode_head\.safetensors: 2 of 60 tensors are missing"),
        (SETTINGS, dict(decode_head__num_heads=7), r"mmseg_mllm\.json has an entry that can't be used"),
        (SETTINGS, dict(decode_head__fusion="other"), "fusion must be one of"),
        ("config.json", dict(model_type="bert"), "is of model_type 'bert'"),
        ("config.json", dict(text_config__model_type="gpt2"), "text_config must be of one of"),
        ("config.json", dict(text_config__num_hidden_layers=10**9), "num_hidden_layers is 1000000000"),
        ("config.json", dict(text_config__hidden_size=48 * 10**6), "has shape|can't be used"),
        ("config.json", dict(text_config__vocab_size=10**9), "has shape"),
        ("config.json", dict(vision_config="x"), "vision_config must be"),
        (
            "config.json",
            dict(text_config__quantization_config=dict(load_in_4bit=True)),
            "quantization_config",
        ),
    ],
)
def test_what_a_folder_says_is_not_believed(file, values, message, copy):
    change(copy / file, **values)
    with pytest.raises(MMSegMLLMError, match=message) as told:
        load(copy)
    assert "\n" not in str(told.value)


def test_models_that_no_folder_can_hold(trained, tmp_path):
    config, _ = trained
    config.model.decode_head.norm_cfg = dict(type="IN")
    with pytest.raises(MMSegMLLMError, match="a model folder knows BN and GN"):
        RESPredictor(model=MODELS.build(config.model)).save_pretrained(tmp_path / "saved")
    config.model.decode_head.norm_cfg = dict(type="GN", num_groups=4)
    config.model.detail_backbone = dict(
        type="ResNet", depth=18, base_channels=8, stem_channels=8, num_stages=1, out_indices=(0,)
    )
    config.model.detail_backbone.update(strides=(1,), dilations=(1,))
    with pytest.raises(ConfigError, match="detail_backbone: a model folder holds the base"):
        RESPredictor(model=MODELS.build(config.model)).save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved").exists()
