"""What was trained, kept without its base, gives the trained model's masks."""

import json
import shutil

import numpy as np
import pytest
import torch
from helpers.in_process import ROOT
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from peft import PeftModel
from transformers import AutoModelForImageTextToText

from mmseg_mllm.apis import RESPredictor
from mmseg_mllm.conversion.adapter import save_adapter
from mmseg_mllm.errors import CheckpointError, ConfigError
from mmseg_mllm.weights import packaged

BASE = "mmseg_mllm://internvl_tiny"


@pytest.fixture(scope="module")
def model():
    """All that is trained moved far, to numbers that 16 bit hold."""
    init_default_scope("mmseg")
    torch.manual_seed(0)
    config = Config.fromfile(str(ROOT / "configs/mllmseg/internvl_tiny_toy.py"))
    model = MODELS.build(config.model).eval()
    for parameter in model.parameters():
        if parameter.requires_grad:
            moved = parameter.data + 0.1 * torch.randn_like(parameter)
            parameter.data = moved.half().float()
    return model


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapter") / "adapter"
    save_adapter(model, folder, base=BASE)
    return folder


def probabilities(predictor: RESPredictor) -> np.ndarray:
    predictor.set_image(np.random.default_rng(0).integers(256, size=(80, 96, 3), dtype=np.uint8))
    found = predictor.segment(["the red circle", "star on the left"])
    return np.stack([one.probability for one in found])


def test_masks_are_those_of_the_trained_model(model, folder):
    loaded = RESPredictor.from_pretrained(folder, device="cpu")
    assert loaded.model.backbone.dtype is torch.float32
    expected = probabilities(RESPredictor(model=model))
    assert expected.std() > 0.01
    assert np.abs(probabilities(loaded) - expected).max() < 1e-5
    assert sum(path.stat().st_size for path in folder.iterdir()) < 4e6


@torch.no_grad()
def test_peft_itself_loads_it(model, folder):
    plain = AutoModelForImageTextToText.from_pretrained(packaged(BASE), dtype=torch.float32)
    adapted = PeftModel.from_pretrained(plain, folder).eval()
    ids = torch.tensor([[300, 869, 12, 870, 5]])
    expected, found = (
        net.model.language_model(input_ids=ids).last_hidden_state
        for net in (model.backbone.model, adapted.base_model.model)
    )
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()
    heads = (model.backbone.model.lm_head, adapted.base_model.model.lm_head)
    logits, own = (head(expected) for head in heads)
    assert (own - logits).abs().max() < 1e-4 * logits.abs().max()


def test_what_does_not_fit_is_told(folder, tmp_path):
    def changed(**entries):
        copy = tmp_path / str(len(list(tmp_path.iterdir())))
        shutil.copytree(folder, copy)
        path = copy / "adapter_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | entries))
        return copy

    with pytest.raises(CheckpointError, match=r"an adapter of 'someone/model'"):
        RESPredictor.from_pretrained(changed(base_model_name_or_path="someone/model"))
    with pytest.raises(CheckpointError, match="no such weights in this installation"):
        RESPredictor.from_pretrained(changed(base_model_name_or_path="mmseg_mllm://../weights/internvl_tiny"))
    for entries in (dict(r=8), dict(target_modules=r".*q_proj"), dict(r="many"), dict(modules_to_save=None)):
        with pytest.raises(CheckpointError, match="not an adapter for this base"):
            RESPredictor.from_pretrained(changed(**entries))
    broken = changed()
    (broken / "adapter_model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(CheckpointError, match="not an adapter for this base"):
        RESPredictor.from_pretrained(broken)


def test_only_what_an_adapter_holds(tmp_path):
    config = Config.fromfile(str(ROOT / "configs/mllmseg/internvl_tiny_toy.py"))
    config.model.backbone.trainable = ["projector"]
    with pytest.raises(ConfigError, match="trained besides LoRA, such as"):
        save_adapter(MODELS.build(config.model), tmp_path / "x", base=BASE)
    config.model.backbone.lora = None
    with pytest.raises(ConfigError, match="there is no adapter"):
        save_adapter(MODELS.build(config.model), tmp_path / "x", base=BASE)
