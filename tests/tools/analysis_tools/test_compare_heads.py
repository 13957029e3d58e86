import json
from pathlib import Path

from helpers.in_process import run_in_process
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from mmseg_mllm.analysis.head_costs import heads
from mmseg_mllm.engine.config import load_config

TOOL = "tools/analysis_tools/compare_heads.py"
CONFIG = "configs/dsff/toy-mit_dsff_1xb16-900_toy-64x64.py"


def test_heads_stand_side_by_side(monkeypatch, capsys, tmp_path):
    file, picture = tmp_path / "costs.json", tmp_path / "costs.png"
    arguments = [CONFIG, "--size", 32, 64, "--batch", 2, "--classes", 5, "--repeats", 1, "--device", "cpu"]
    arguments += ["--heads", "DSFFHead", "SegformerHead", "--json", file, "--plot", picture, "--markdown"]
    code, out, err = run_in_process(monkeypatch, capsys, TOOL, *arguments)
    assert code == 0, err
    (table,) = json.loads(file.read_text())["tables"]
    costs = table["rows"]
    assert [(cost["head"], cost["size"]) for cost in costs] == [
        ("DSFFHead", 32),
        ("DSFFHead", 64),
        ("SegformerHead", 32),
        ("SegformerHead", 64),
    ]
    init_default_scope("mmseg")
    config = load_config(CONFIG)
    for cost in costs:
        head = MODELS.build(heads(config, classes=5)[cost["head"]])
        assert round(1e6 * cost["head, M param."]) == sum(p.numel() for p in head.parameters())
        assert cost["model, M param."] > cost["head, M param."]
        assert cost["training, ms"] > 0
        assert (cost["config"], cost["images"], cost["classes"]) == (Path(CONFIG).stem, 2, 5)
    small, large = costs[2]["GFLOPs / image"], costs[3]["GFLOPs / image"]
    assert 3.9 < large / small < 4.5
    assert (out.count("| DSFFHead |"), out.count("| SegformerHead |")) == (2, 2)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_every_backbone_is_taken():
    init_default_scope("mmseg")
    for backbone in ("resnet", "swin", "mit"):
        config = load_config(CONFIG.replace("toy-mit", f"toy-{backbone}"))
        assert heads(config, classes=5)["FCNHead"]["in_channels"] == 128


def test_peers_have_mmsegs_usual_widths():
    init_default_scope("mmseg")
    config = load_config("configs/dsff/mit-b0_dsff_4xb4-160k_ade20k-512x512.py")
    found = heads(config, classes=150)
    assert {name: head["channels"] for name, head in found.items()} == {
        "DSFFHead": 256,
        "FCNHead": 512,
        "UPerHead": 512,
        "SegformerHead": 256,
        "SegformerHead, maps 1 to 3": 256,
    }
    assert found["SegformerHead, maps 1 to 3"]["in_channels"] == [64, 160, 256]
    assert found["FCNHead"]["in_channels"] == 256


def test_one_image_is_too_few_for_uperhead(monkeypatch, capsys):
    code, _, err = run_in_process(monkeypatch, capsys, TOOL, CONFIG, "--batch", 1)
    assert code == 1
    assert "batch 1: UPerHead's batch norm needs two images" in err


def test_a_referring_config_is_refused(monkeypatch, capsys):
    code, _, err = run_in_process(monkeypatch, capsys, TOOL, "configs/mllmseg/internvl_tiny_toy.py")
    assert code == 1
    assert "an EncoderDecoder whose decode_head has an in_index is needed" in err


def test_a_head_that_is_not_there_is_named(monkeypatch, capsys):
    code, _, err = run_in_process(monkeypatch, capsys, TOOL, CONFIG, "--heads", "SegFormerHead")
    assert code == 1
    assert "no head 'SegFormerHead'; there are 'DSFFHead', 'FCNHead'" in err
