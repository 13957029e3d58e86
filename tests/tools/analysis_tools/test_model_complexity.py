import json
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TOOL = "tools/analysis_tools/model_complexity.py"
CONFIG = "configs/mllmseg/internvl_tiny_toy.py"


def test_prints_parameters_and_flops_of_each_part(run_tool):
    result = run_tool(TOOL, CONFIG, "--cfg-options", "model.decode_head.fusion=concat")
    assert result.returncode == 0, result.stderr
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.stdout.splitlines()]
    rows = {row[0]: row[1:] for row in cells if len(row) == 5}
    # The projector's norm and two linears: 4 x 192 -> 128 -> 128.
    assert rows["projector"] == ["0.12", "116,480", "0.00", "0"]
    assert rows["total"][1] == f"{sum(int(row[1].replace(',', '')) for row in rows.values()) // 2:,}"
    # All of LoRA is trained, and of the language model its last norm.
    assert rows["LoRA"][1] == rows["LoRA"][3] != "0"
    assert rows["language model"][3] == "128"
    flops = {row[0]: row[1:] for row in cells if len(row) == 3}
    assert list(flops)[-1] == "total"
    # 145 tokens: 4 layers of 344,064 weights and their attention, and the patches: 0.399 + 0.065 + 0.011.
    assert flops["vision tower"] == ["0.47", "0.00"]
    assert "1 multiply-add = 2 FLOPs" in result.stdout


def test_expressions_of_a_dataset(run_tool, tmp_path):
    """50 images with two sentences each: FLOPs are one run of two, against two runs of one."""
    sentences = tmp_path / "sentences.json"
    items = [dict(image=f"{k // 2}.jpg", text="the thing number 1") for k in range(100)]
    sentences.write_text(json.dumps(dict(items=items)))
    result = run_tool(TOOL, CONFIG, "--sentences", str(sentences), "--json")
    assert result.returncode == 0, result.stderr
    found = {row["figure"]: row["value"] for row in json.loads(result.stdout)["tables"][2]["rows"]}
    assert (found["images"], found["expressions"]) == (50, 100)
    assert found["tokens of a question and its answer, mean"] == 28
    assert 1.5 < found["their ratio"] < 2


def test_models_side_by_side_at_several_sizes(run_tool):
    """Twice the side is four times the image tokens; parameters stay."""
    result = run_tool(TOOL, CONFIG, "--image-sizes", "48", "96", "--json")
    assert result.returncode == 0, result.stderr
    (table,) = json.loads(result.stdout)["tables"]
    small, large = table["rows"]
    assert (small["config"], small["input"], large["input"]) == ("internvl_tiny_toy", "48 x 48", "96 x 96")
    assert (small["image tokens"], large["image tokens"]) == (9, 36)
    same = ("all, M param.", "trained, M", "decoder, M")
    assert [small[name] for name in same] == [large[name] for name in same]
    by_part = json.loads(run_tool(TOOL, CONFIG, "--json").stdout)["tables"]
    (total,) = [row for row in by_part[1]["rows"] if row["part"] == "total"]
    assert large["GFLOPs, 1 expression"] == total["image with 1 expression"]
    assert large["GFLOPs, each further"] == total["each further expression"]
    assert large["GB, training"] > small["GB, training"] > large["GB, inference"]


def test_config_absent(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [TOOL, "configs/nothing.py"])
    with pytest.raises(SystemExit) as exit_info:
        runpy.run_path(str(ROOT / TOOL), run_name="__main__")
    assert exit_info.value.code == 1
    assert capsys.readouterr().err.startswith("error: configs/nothing.py: no such config")
