"""The converters as a user runs them."""

import json
import runpy
import sys
from pathlib import Path

import pytest
from PIL import Image

TOOLS = Path(__file__).parents[3] / "tools" / "dataset_converters"


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a converter; gives what it says and, where it fails, its exit code."""

    def run_in_here(tool, *arguments):
        monkeypatch.setattr(sys, "argv", [tool, *map(str, arguments)])
        code = 0
        try:
            runpy.run_path(str(TOOLS / tool), run_name="__main__")
        except SystemExit as end:
            code = end.code
        said = capsys.readouterr()
        return code, said.out or said.err

    return run_in_here


def test_there_and_back_and_not_twice(run, refer_root, tmp_path):
    out, back = tmp_path / "out.json", tmp_path / "back"
    there = ("refer2json.py", refer_root / "grefcoco", "grefs(unc).json", out)
    counts = "3 images, 6 annotations, 6 expressions (val 5, train 1)"
    assert run(*there) == (0, f"{out}: {counts}\n")
    assert run("json2refer.py", out, back) == (
        0,
        f"{back}: instances.json and grefs(custom).json; {counts}\n",
    )
    for again in (there, ("json2refer.py", out, back)):
        code, said = run(*again)
        assert code == 1
        assert said.startswith(f"error: {again[-1]}: exists already")
        assert said.count("\n") == 1


def test_reasonseg(run, tmp_path):
    shape = dict(label="target", points=[[1, 1], [9, 1], [9, 9]])
    (tmp_path / "val").mkdir()
    Image.new("RGB", (20, 20)).save(tmp_path / "val" / "a.jpg")
    content = dict(shapes=[shape], text=["where to sit?", "a seat"], is_sentence=True)
    (tmp_path / "val" / "a.json").write_text(json.dumps(content))
    out = tmp_path / "reasonseg.json"
    assert run("reasonseg2json.py", tmp_path, out) == (
        0,
        f"{out}: 1 images, 1 annotations, 1 expressions (val 1)\n"
        "left out: 1 further sentences of val, LISA asks the first of each image\n",
    )


def test_parquet_that_is_not_there(run, tmp_path):
    code, said = run("parquet2json.py", tmp_path / "nothing", tmp_path / "out")
    assert code == 1
    assert said.startswith(f"error: {tmp_path / 'nothing'}: no parquet file")
