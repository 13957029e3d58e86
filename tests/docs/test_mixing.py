"""docs/mixing.md does what it says, on a small toy set and for a few iterations."""

import importlib.util
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from mmseg_mllm.analysis import build_on_meta, count_parameters
from mmseg_mllm.engine.config import load_config
from mmseg_mllm.models.backbones.detail_backbone import DetailBackbone

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "mixing.md").read_text(encoding="utf-8")
SHORT_TRAINING = [
    "--cfg-options",
    "train_cfg.max_iters=2",
    "train_cfg.val_interval=2",
    "param_scheduler.0.end=1",
    "param_scheduler.1.begin=1",
    "param_scheduler.1.end=2",
    "default_hooks.checkpoint.interval=2",
    "train_dataloader.batch_size=2",
]
# What makes a command short; its words are otherwise those of the page.
MORE = {
    "make_toy_semseg.py": ["--num-train", "4", "--num-val", "2"],
    "train.py": SHORT_TRAINING,
    "test.py": [],
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_a_head_on_any_backbone(monkeypatch, tmp_path, capsys):
    for name in ("configs", "tools"):
        (tmp_path / name).symlink_to(ROOT / name)
    config = blocks("python")[0]
    path = tmp_path / re.match(r"# (\S+)", config)[1]
    path.parent.mkdir()
    path.write_text(config)
    monkeypatch.chdir(tmp_path)
    commands = blocks("bash")[0].splitlines()
    assert len(commands) == 3
    for command in commands:
        words = shlex.split(command.replace("iter_900", "iter_2"))[1:]
        monkeypatch.setattr(sys, "argv", [*words, *MORE[Path(words[0]).name]])
        with pytest.raises(SystemExit) if "make_toy" in words[0] else pytest.MonkeyPatch.context() as end:
            runpy.run_path(words[0], run_name="__main__")
        assert getattr(end, "value", SystemExit(0)).code == 0
    assert "mIoU" in capsys.readouterr().out


def test_dysample_in_a_neck_of_ones_own():
    init_default_scope("mmseg")
    exec(compile(blocks("python")[1], "docs/mixing.md", "exec"), {})
    said = re.search(r"`neck=dict\(type=\"DySampleNeck\", in_channels=\[([\d, ]+)\], channels=(\d+)\)`", PAGE)
    widths = [int(width) for width in said[1].split(",")]
    config = load_config(str(ROOT / "configs/dsff/mit-b0_dsff_4xb4-160k_ade20k-512x512.py"))
    config.model.backbone.init_cfg = None
    config.model.neck = dict(type="DySampleNeck", in_channels=widths, channels=int(said[2]))
    config.model.decode_head.in_channels = [int(said[2])] * 2
    model = MODELS.build(config.model)
    logits = model(torch.randn(2, 3, 64, 96))
    assert logits.shape == (2, 150, 8, 12)
    logits.sum().backward()
    # The head takes the maps at strides 8 and 32; what is above the finer one is not used.
    assert [layer.offset.weight.grad is not None for layer in model.neck.up] == [False, True, True]
    # "one 1 x 1 convolution to 32 channels per layer"
    assert {layer.offset.out_channels for layer in model.neck.up} == {32}


def test_a_detail_backbone_for_the_referring_model(tmp_path):
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    config = blocks("python")[2]
    path = tmp_path / re.match(r"# (\S+)", config)[1]
    path.parent.mkdir()
    path.write_text(config)
    init_default_scope("mmseg")
    model = MODELS.build(load_config(str(path)).model)
    plain = MODELS.build(load_config(str(ROOT / "configs/mllmseg/internvl_tiny_toy.py")).model)
    # Two stages of a quarter of ResNet-18's width: 32 channels at stride 8.
    assert (model.detail_backbone.out_channels, model.detail_backbone.stride) == (32, 8)
    assert model.decode_head.in_channels[0] == plain.decode_head.in_channels[0] + 32


@pytest.mark.skipif(importlib.util.find_spec("mmpretrain") is None, reason="needs mmpretrain and torchvision")
def test_a_detail_backbone_of_mmpretrain():
    config: dict = {}
    exec(compile(blocks("python")[3], "docs/mixing.md", "exec"), config)
    for name in config["custom_imports"]["imports"]:
        importlib.import_module(name)
    init_default_scope("mmseg")
    source = DetailBackbone(backbone=config["model"]["detail_backbone"], index=0, image_size=64)
    assert (source.out_channels, source.stride) == (192, 8)
    detail = source(torch.randn(2, 3, 64, 64), torch.zeros(2, 5, 4, 4))
    assert detail.shape == (2, 197, 8, 8)
    detail.sum().backward()
    assert [name for name, param in source.named_parameters() if param.grad is None] == []


def test_costs_of_the_detail_backbone_are_those_of_the_configs():
    counts = []
    for name in ("internvl2_5_8b_refcoco", "internvl2_5_8b_resnet_detail_refcoco"):
        model = build_on_meta(load_config(str(ROOT / "configs" / "mllmseg" / f"{name}.py")).model)
        counts.append(count_parameters(model))
    row = re.search(r"^\| parameters of the decoder \| ([\d,]+) \| ([\d,]+) \|$", PAGE, flags=re.MULTILINE)
    assert [int(n.replace(",", "")) for n in row.groups()] == [count["decoder"] for count in counts]
    extra = re.search(r"^\| parameters of the detail backbone \| +\| ([\d,]+) \|$", PAGE, flags=re.MULTILINE)
    assert int(extra[1].replace(",", "")) == counts[1]["detail backbone"]
