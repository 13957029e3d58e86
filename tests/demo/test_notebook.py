import ast
import json
from pathlib import Path

import numpy as np
from PIL import Image

FOLDER = Path(__file__).parents[2] / "demo"


def run(cell: str, names: dict) -> object:
    """Run a cell; gives the value of its last line where that is an expression, as a notebook shows it."""
    *lines, last = ast.parse(cell).body
    exec(compile(ast.Module(lines, []), "cell", "exec"), names)
    if isinstance(last, ast.Expr):
        return eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    return exec(compile(ast.Module([last], []), "cell", "exec"), names)


def test_its_cells_run_one_after_the_other(monkeypatch, tmp_path):
    monkeypatch.chdir(FOLDER)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    notebook = json.loads((FOLDER / "inference.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    names: dict = {}
    shown = [run("".join(cell["source"]), names) for cell in cells]
    # What it shows in a browser without being run is there as well.
    pictures = [any("image/jpeg" in out.get("data", {}) for out in cell["outputs"]) for cell in cells]
    assert pictures == [isinstance(value, Image.Image) for value in shown]
    assert sum(pictures) == 2
    pixels = np.array(Image.open("scene.png").convert("RGB")).astype(int)
    purple, cyan = (pixels[result.mask].mean(axis=0) for result in names["answer"])
    assert purple[2] > purple[1] < purple[0]
    assert cyan[0] < min(cyan[1:])
    saved = np.array(Image.open(names["folder"] / "triangle.png"))
    assert np.array_equal(saved, names["triangle"].mask * np.uint8(255))
    assert (names["folder"] / "results" / "coco.json").is_file()
