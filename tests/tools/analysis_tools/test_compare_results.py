import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from helpers.in_process import run_in_process
from helpers.saved_predictions import dump, guessed, refer_dataset
from PIL import Image

TOOL = "tools/analysis_tools/compare_results.py"


@pytest.fixture
def runs(refer_root, tmp_path) -> list[Path]:
    """Predictions of two runs on RES and GRES."""
    datasets = [refer_dataset(refer_root, name) for name in ("refcoco", "grefcoco")]
    return [
        dump(tmp_path / f"{name}.json", [s for dataset in datasets for s in guessed(dataset, seed=seed)])
        for seed, name in enumerate("ab")
    ]


@pytest.fixture
def run(monkeypatch, capsys):
    return partial(run_in_process, monkeypatch, capsys, TOOL)


def cells(output: str) -> list[list[str]]:
    lines = [line for line in output.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines]


def change(path: Path, **fields) -> Path:
    """Give a file's first prediction other fields."""
    content = json.loads(path.read_text())
    content["predictions"][0] |= fields
    path.write_text(json.dumps(content))
    return path


def test_lists_and_draws_what_differs_most(runs, run_tool, tmp_path):
    result = run_tool(TOOL, *runs, "--out", tmp_path / "pictures", "--num", "3")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    a, b = (json.loads(path.read_text())["predictions"] for path in runs)
    ious = np.array([[p["iou"], q["iou"]] for p, q in zip(a, b, strict=True)])
    gains = ious[:, 1] - ious[:, 0]
    found = cells(result.stdout)
    for row, own in zip(found[:2], (slice(0, 6), slice(6, None)), strict=True):
        numbers = [f"{100 * ious[own, k].mean():.2f}" for k in (0, 1)]
        counts = [(gains[own] > 0).sum(), (gains[own] < 0).sum(), (gains[own] == 0).sum()]
        assert row[2:5] == [str(len(gains[own])), *numbers]
        assert row[6:] == [str(count) for count in counts]
    assert [row[0] for row in found[:2]] == ["refcoco", "grefcoco"]
    most = np.argsort(-abs(gains), kind="stable")[:3]
    assert [row[-4] for row in found[2:]] == [a[k]["expression"] for k in most]
    assert [row[-1] for row in found[2:]] == [f"{100 * gains[k]:.2f}" for k in most]
    names = [
        f"{n}_{a[k]['dataset']}_val_{a[k]['image_id']}_{a[k]['sent_id']}.png"
        for n, k in zip(("001", "002", "003"), most, strict=True)
    ]
    pictures = sorted((tmp_path / "pictures").iterdir())
    assert [path.name for path in pictures] == names
    for path in pictures:
        with Image.open(path) as picture:
            assert picture.width > 3 * picture.height / 2


def test_the_same_run_twice_differs_nowhere(runs, run, tmp_path):
    code, printed, _ = run(runs[0], runs[0], "--out", tmp_path / "pictures")
    assert code == 0
    assert "no expression differs" in printed
    assert [row[6:] for row in cells(printed)] == [["0", "0", "6"], ["0", "0", "5"]]
    assert not list((tmp_path / "pictures").iterdir())


def test_different_protocols_are_noted(runs, run):
    runs[1].write_text(runs[1].read_text().replace("independent, forced", "joint, forced", 1))
    code, printed, _ = run(*runs)
    assert code == 0
    assert "note: the protocols differ" in printed
    assert "b.json, protocol: joint, forced" in printed


def test_expressions_are_no_markup(runs, run):
    for path in runs:
        change(path, expression="the [red] one :smile:", iou=float(path.stem == "b"))
    assert "the [red] one :smile:" in run(*runs)[1]


def test_mistakes_end_with_one_line(runs, run, tmp_path):
    def message(*arguments) -> str:
        code, _, said = run(*arguments)
        assert code == 1
        (line,) = said.splitlines()
        assert line.startswith("error: ")
        return line

    a, b = runs
    assert "--num must be at least 1, got 0" in message(a, b, "--num", "0")
    assert "no such file" in message(a, tmp_path / "c.json")
    (tmp_path / "file").write_text("")
    assert "pictures can't be written there" in message(a, b, "--out", tmp_path / "file")
    for file in runs:
        change(file, iou=float(file is a), image_path="images/gone.jpg")
    assert "images/gone.jpg: no such image" in message(a, b, "--out", tmp_path / "pictures")
    for file in runs:
        change(file, image_path=str(next((tmp_path / "refer" / "images").glob("*_000000000007.jpg"))))
    assert "the mask has size" in message(a, b, "--out", tmp_path / "pictures")
    change(b, split="train")
    assert "not the same test set: 1 of 11 expressions" in message(a, b)
