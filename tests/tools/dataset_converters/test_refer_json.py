"""The two converters as a user runs them."""

import runpy
import sys
from pathlib import Path

import pytest

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
