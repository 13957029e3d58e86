"""Running a tool without a process of its own, which takes seconds to import all it needs."""

import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_in_process(monkeypatch, capsys, tool: str, *arguments: str | Path) -> tuple[int, str, str]:
    """Run a tool from the root of the checkout; gives its exit code and what it said on both outputs."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", [tool, *map(str, arguments)])
    code = 0
    capsys.readouterr()
    try:
        runpy.run_path(tool, run_name="__main__")
    except SystemExit as end:
        code = end.code
    said = capsys.readouterr()
    return code, said.out, said.err
