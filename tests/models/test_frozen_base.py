"""Checkpoints without their frozen base, against models that were never saved."""

import copy

import pytest
import torch
from helpers.in_process import ROOT
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from safetensors.torch import load_file, save_file

from mmseg_mllm.errors import CheckpointError
from mmseg_mllm.models.checkpoints import load_weights
from mmseg_mllm.models.frozen_base import base_record, kept_state
from mmseg_mllm.weights import packaged_folder


def build(**backbone):
    init_default_scope("mmseg")
    config = Config.fromfile(str(ROOT / "configs/mllmseg/internvl_tiny_toy.py"))
    config.model.backbone.update(backbone)
    return MODELS.build(config.model)


@pytest.fixture(scope="module")
def model():
    """All that is trained, and every buffer of the decoder, moved."""
    model = build()
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter))
    return model


@pytest.fixture(scope="module")
def trained(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("trained") / "iter_1.pth"
    torch.save(dict(meta={}, state_dict=kept_state(model), base=base_record(model)), path)
    return path


@pytest.fixture(scope="module")
def other_base(tmp_path_factory):
    """The same base, finetuned a little: every weight of one layer is another by one percent."""
    folder = tmp_path_factory.mktemp("bases") / "finetuned"
    folder.mkdir()
    for path in packaged_folder("internvl_tiny").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    tensors = load_file(folder / "model.safetensors")
    name = next(name for name in tensors if "layers.3.mlp.up_proj" in name)
    tensors[name] = tensors[name] * 1.01
    save_file(tensors, folder / "model.safetensors", metadata=dict(format="pt"))
    return folder


def test_it_holds_what_was_trained_alone(model, trained):
    held = torch.load(trained, weights_only=True)["state_dict"]
    wanted = {name for name, p in model.named_parameters() if p.requires_grad}
    wanted |= {name for name, _ in model.named_buffers() if name in model.state_dict()}
    assert held.keys() == wanted
    assert sum(tensor.nbytes for tensor in held.values()) < 0.4 * sum(
        tensor.nbytes for tensor in model.state_dict().values()
    )


def test_base_and_trained_make_the_whole(model, trained):
    loaded = build()
    load_weights(loaded, str(trained))
    expected = model.state_dict()
    assert loaded.state_dict().keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in loaded.state_dict().items())


def test_a_base_in_another_dtype_is_the_same(model, trained):
    load_weights(build(dtype="bfloat16"), str(trained))


def test_another_base_is_refused_with_both_names(trained, other_base):
    with pytest.raises(CheckpointError) as error:
        load_weights(build(pretrained=str(other_base)), str(trained))
    assert "'mmseg_mllm://internvl_tiny'" in str(error.value)
    assert str(other_base) in str(error.value)
    assert "1 of" in str(error.value)
    assert "layers.3.mlp.up_proj" in str(error.value)


def test_random_weights_are_no_base(trained):
    with pytest.raises(CheckpointError, match=r"trained on 'mmseg_mllm://internvl_tiny', without that"):
        load_weights(build(pretrained=None, tokenizer=dict(type="build_tiny_tokenizer")), str(trained))


def test_a_model_of_random_weights_is_kept_whole():
    model = build(pretrained=None, tokenizer=dict(type="build_tiny_tokenizer"))
    assert base_record(model) is None
    assert kept_state(model).keys() == model.state_dict().keys()


def test_whole_checkpoints_load(model, other_base, tmp_path):
    """After one of another base, checkpoints are whole: nothing else could give it back."""
    path = tmp_path / "whole.pth"
    torch.save(dict(state_dict=model.state_dict()), path)
    same, other = build(), build(pretrained=str(other_base))
    for loaded in (same, other):
        load_weights(loaded, str(path))
        assert all(torch.equal(t, model.state_dict()[name]) for name, t in loaded.state_dict().items())
    assert kept_state(same).keys() == kept_state(model).keys()
    assert kept_state(other).keys() == model.state_dict().keys()


def test_a_single_number_that_was_rounded_otherwise_is_no_other_base(trained, tmp_path):
    content = torch.load(trained, weights_only=True)
    changed = copy.deepcopy(content)
    changed["base"]["values"][:, 7] *= 1.01
    torch.save(changed, tmp_path / "noise.pth")
    load_weights(build(), str(tmp_path / "noise.pth"))


@pytest.mark.parametrize("record", [dict(name="x"), 3])
def test_a_record_that_is_none_is_told(trained, tmp_path, record):
    torch.save(torch.load(trained, weights_only=True) | dict(base=record), tmp_path / "odd.pth")
    with pytest.raises(CheckpointError, match="not a checkpoint that can be read"):
        load_weights(build(), str(tmp_path / "odd.pth"))
