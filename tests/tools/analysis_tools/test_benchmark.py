import json

import pytest
from helpers.in_process import run_in_process

TOOL = "tools/analysis_tools/benchmark.py"
CONFIG = "configs/mllmseg/internvl_tiny_toy.py"


@pytest.mark.parametrize("mode", ["inference", "predictor", "training", "head"])
def test_prints_what_it_writes(monkeypatch, capsys, tmp_path, mode):
    file = tmp_path / "figures.json"
    arguments = [mode, CONFIG, "--device=cpu", "--expressions=2", "--repeats=1", f"--json={file}"]
    code, out, err = run_in_process(monkeypatch, capsys, TOOL, *arguments)
    assert (code, err) == (0, "")
    result = json.loads(file.read_text())
    assert (result["mode"], result["config"], result["dtype"]) == (mode, CONFIG, "float32")
    assert (result["images"], result["expressions"], result["repeats"]) == (1, 2, 1)
    assert result["device"]
    assert result["torch"]
    assert result["threads"] > 0
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines() if "│" in line]
    assert [row[0] for row in rows[: len(result["ways"])]] == list(result["ways"])
    for row, way in zip(rows, result["ways"].values(), strict=False):
        assert row[1] == f"{way['seconds']['median'] * 1e3:,.2f}"
    pairs = rows[len(result["ways"]) :][: len(result["compared"])]
    assert [row[:2] for row in pairs] == [[pair["way"], pair["plain"]] for pair in result["compared"]]
    assert f"{mode} of internvl_tiny_toy: B=1 images, K=2 expressions each, float32" in out
    assert "Random weights" in out
    for name in result["figures"]:
        assert name in out


def test_pipeline_beside_bare_decoding(monkeypatch, capsys, tmp_path, small_toy):
    file = tmp_path / "figures.json"
    code, out, err = run_in_process(
        monkeypatch,
        capsys,
        TOOL,
        "pipeline",
        CONFIG,
        "--repeats=1",
        f"--json={file}",
        "--cfg-options",
        f"data_root={small_toy}",
    )
    assert (code, err) == (0, "")
    result = json.loads(file.read_text())
    assert result["clock"] == "processor time"
    assert result["cfg_options"] == dict(data_root=str(small_toy))
    assert [(p["way"], p["largest_difference"]) for p in result["compared"]] == [
        ("test pipeline", 0.0),
        ("train pipeline", None),
    ]
    assert all(way["images_per_second"] > 0 for way in result["ways"].values())
    assert "pipeline of internvl_tiny_toy" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["speed", CONFIG], "unknown mode 'speed'"),
        (["head", "configs/nothing.py"], "configs/nothing.py: no such config"),
        (["head", CONFIG, "--device=tpu"], "device 'tpu': choose cpu or cuda"),
        (["head", CONFIG, "--json=/nowhere/file.json"], "there is no folder /nowhere"),
        (["pipeline", CONFIG, "--cfg-options", "data_root=/nowhere"], "/nowhere"),
    ],
)
def test_errors_are_told(monkeypatch, capsys, arguments, message):
    code, _, err = run_in_process(monkeypatch, capsys, TOOL, *arguments)
    assert code == 1
    assert err.startswith("error: ")
    assert message in err
    assert "Traceback" not in err
