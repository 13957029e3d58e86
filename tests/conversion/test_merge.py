import json

import pytest
import torch
from helpers.in_process import ROOT
from helpers.original_folder import write_tokenizer
from helpers.tiny_model import make_samples, tiny_config
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

import mmseg_mllm  # noqa: F401
from mmseg_mllm.conversion.merge import merge_checkpoint
from mmseg_mllm.errors import CheckpointError, ConfigError
from mmseg_mllm.models.frozen_base import base_record, kept_state
from mmseg_mllm.models.model_folder import use_model_folder

EXPRESSIONS = [["red circle on the left", "the dog"], ["zebra"]]


def lora_config(**lora):
    return ConfigDict(tiny_config(lora=dict(r=4, lora_alpha=12, **lora), trainable=["llm_norm"]))


def trained_like(config, seed=0):
    """A segmentor whose trained parts are away from where they started."""
    torch.manual_seed(seed)
    segmentor = MODELS.build(config).eval()
    with torch.no_grad():
        for parameter in segmentor.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    return segmentor


def save(segmentor, path):
    """As mmengine's checkpoint hook does."""
    torch.save(dict(meta=dict(iter=3), state_dict=segmentor.state_dict()), path)
    return path


def outputs(segmentor, images):
    with torch.no_grad():
        samples = segmentor(images, make_samples(EXPRESSIONS), mode="predict")
        scores = torch.cat([sample.pred_instances.scores for sample in samples])
        return segmentor(images, make_samples(EXPRESSIONS), mode="tensor"), scores


@pytest.fixture
def images():
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("lora", [dict(), dict(use_rslora=True)])
def test_merged_gives_the_unmerged_outputs(lora, images, tmp_path):
    config = lora_config(**lora)
    unmerged = trained_like(config)
    done = merge_checkpoint(config, save(unmerged, tmp_path / "iter_3.pth"), tmp_path / "dst")
    assert done.merged_ranks == {4}
    merged_config = lora_config()
    use_model_folder(merged_config, tmp_path / "dst")
    merged = MODELS.build(merged_config).eval()
    assert not any("lora" in name for name in merged.state_dict())
    for found, wanted in zip(outputs(merged, images), outputs(unmerged, images), strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    fresh = trained_like(lora_config(), seed=1)
    assert (outputs(fresh, images)[0] - outputs(unmerged, images)[0]).abs().max() > 0.01


def test_the_source_of_the_base_comes_along(tmp_path):
    base = tmp_path / "base"
    (base / "original").mkdir(parents=True)
    (base / "original" / "config.json").write_text("{}")
    write_tokenizer(base, size=600)
    config = lora_config()
    segmentor = trained_like(config)
    config.backbone.update(tokenizer=None, pretrained=str(base))
    config.backbone.arch.text_config.vocab_size = 1024
    merge_checkpoint(config, save(segmentor, tmp_path / "a.pth"), tmp_path / "dst")
    assert (tmp_path / "dst" / "original" / "config.json").read_text() == "{}"
    written = json.loads((tmp_path / "dst" / "config.json").read_text())
    assert written["text_config"]["vocab_size"] == 1024


def test_a_checkpoint_of_another_config(tmp_path):
    path = save(trained_like(lora_config()), tmp_path / "a.pth")
    other = lora_config()
    other.decode_head.channels = 32
    with pytest.raises(CheckpointError, match=r"a\.pth: not a checkpoint of this config; \d+ tensors differ"):
        merge_checkpoint(other, path, tmp_path / "dst")
    assert not (tmp_path / "dst").exists()


def test_lora_that_contradicts_the_config(tmp_path):
    path = save(trained_like(lora_config()), tmp_path / "a.pth")
    for lora, message in ((dict(r=8, lora_alpha=12), r"LoRA of ranks \[4\]"), (None, r"LoRA of ranks \[4\]")):
        config = lora_config()
        config.backbone.lora = lora
        with pytest.raises(CheckpointError, match=message):
            merge_checkpoint(config, path, tmp_path / "dst")
    config = lora_config(alpha_pattern={"q_proj": 3})
    with pytest.raises(ConfigError, match="alpha_pattern"):
        merge_checkpoint(config, path, tmp_path / "dst")
    assert not (tmp_path / "dst").exists()


def test_a_checkpoint_of_something_else(tmp_path):
    torch.save(dict(state_dict=dict(weight=torch.ones(2))), tmp_path / "a.pth")
    config = lora_config()
    config.backbone.lora = None
    with pytest.raises(CheckpointError, match="not a checkpoint of this config"):
        merge_checkpoint(config, tmp_path / "a.pth", tmp_path / "dst")
    with pytest.raises(ConfigError, match="only checkpoints of an MLLMSegmentor"):
        merge_checkpoint(ConfigDict(type="EncoderDecoder"), tmp_path / "a.pth", tmp_path / "dst")


def test_no_checkpoint_and_no_tokenizer(tmp_path):
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        merge_checkpoint(lora_config(), tmp_path / "a.pth", tmp_path / "dst")
    config = lora_config()
    config.backbone.tokenizer = None
    with pytest.raises(ConfigError, match="needs a tokenizer"):
        merge_checkpoint(config, tmp_path / "a.pth", tmp_path / "dst")


def test_with_and_without_its_base_a_checkpoint_makes_the_same_folder(tmp_path):
    init_default_scope("mmseg")
    config = Config.fromfile(str(ROOT / "configs/mllmseg/internvl_tiny_toy.py")).model
    segmentor = trained_like(config)
    trained = dict(state_dict=kept_state(segmentor), base=base_record(segmentor))
    torch.save(trained, tmp_path / "trained.pth")
    whole = merge_checkpoint(config, save(segmentor, tmp_path / "whole.pth"), tmp_path / "a")
    assert merge_checkpoint(config, tmp_path / "trained.pth", tmp_path / "b") == whole
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "b").iterdir())
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
