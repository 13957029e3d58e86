import json

from helpers.in_process import run_in_process

from mmseg_mllm.toy import write_toy_semseg

TOOL = "tools/analysis_tools/compare_training.py"
CONFIGS = [f"configs/dsff/toy-mit_{head}_1xb16-900_toy-64x64.py" for head in ("dsff", "segformer")]


def test_trains_what_is_missing_and_shows_the_mean(monkeypatch, capsys, tmp_path):
    root = write_toy_semseg(out=tmp_path / "toy", seed=1, counts=dict(train=4, val=2))
    options = ["--cfg-options", f"data_root={root}", "train_cfg.max_iters=1", "train_cfg.val_interval=1"]
    options += ["train_dataloader.batch_size=2"]
    file = tmp_path / "runs.json"
    command = [*CONFIGS, "--json", file, "--markdown"]
    code, out, err = run_in_process(monkeypatch, capsys, TOOL, *command, "--seeds", 0, *options)
    assert code == 0, err
    first = json.loads(file.read_text())["runs"]
    assert [run["seed"] for run in first] == [0, 0]
    code, out, err = run_in_process(monkeypatch, capsys, TOOL, *command, "--seeds", 0, 1, *options)
    assert code == 0, err
    assert "run 1 of 2" in err
    assert "run" not in out.partition("made by:")[0]
    runs = json.loads(file.read_text())["runs"]
    assert runs[:2] == first
    assert [run["seed"] for run in runs] == [0, 0, 1, 1]
    rows = {
        cells[1].strip().replace("\\", ""): cells
        for cells in (line.split("|") for line in out.splitlines())
        if len(cells) > 2 and "toy-" in cells[1]
    }
    assert len(rows) == 2
    for k, name in enumerate(rows):
        figures = [run["metrics"]["mIoU"] for run in runs if run["name"] == name]
        assert CONFIGS[k].endswith(f"{name}.py")
        assert rows[name][2].strip() == f"{sum(figures) / 2:.2f}"
        assert [cell.strip() for cell in rows[name][4:6]] == [f"{figure:.2f}" for figure in figures]


def test_a_folder_that_is_not_there_is_named(monkeypatch, capsys):
    code, _, err = run_in_process(monkeypatch, capsys, TOOL, *CONFIGS, "--json", "/nowhere/runs.json")
    assert code == 1
    assert "there is no folder /nowhere" in err
