"""--help and a wrong path are answered without torch, which takes seconds to import."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = "configs/mllmseg/internvl_tiny_toy.py"
TOOLS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tools").rglob("*.py"))
RUN = """
import atexit, runpy, sys
sys.argv = sys.argv[1:]
atexit.register(lambda: print("torch" in sys.modules))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run(*command: str) -> tuple[int, str, str, bool]:
    """Exit code, both outputs, and whether torch was imported."""
    result = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore",
            "-c",
            RUN,
            *command,
        ],
        cwd=ROOT,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        check=False,
    )
    *out, torch = result.stdout.splitlines()
    return result.returncode, "\n".join(out), result.stderr, torch == "True"


@pytest.mark.parametrize("tool", TOOLS)
def test_help(tool):
    code, out, _, torch = run(tool, "--help")
    assert code == 0
    assert out.startswith("usage:")
    assert not torch


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("tools/train.py absent.py", "absent.py: no such config"),
        (f"tools/train.py {CONFIG} --resume absent.pth", "absent.pth: no such checkpoint"),
        ("tools/test.py absent.py absent.pth", "absent.py: no such config"),
        (f"tools/test.py {CONFIG} absent.pth", "absent.pth: no such checkpoint"),
        ("tools/launch.py tools/train.py absent.py --processes 2", "absent.py: no such config"),
        (
            f"tools/launch.py tools/test.py {CONFIG} absent.pth --processes 2",
            "absent.pth: no such checkpoint",
        ),
        ("tools/analysis_tools/benchmark.py inference absent.py", "absent.py: no such config"),
        ("tools/analysis_tools/browse_dataset.py absent.py --out x", "absent.py: no such config"),
        (f"tools/analysis_tools/compare_heads.py {CONFIG} absent.py", "absent.py: no such config"),
        ("tools/analysis_tools/compare_results.py a.json b.json", "a.json: no such file"),
        ("tools/analysis_tools/compare_training.py absent.py --json x", "absent.py: no such config"),
        (f"tools/analysis_tools/eval_metric.py {CONFIG} absent.json", "absent.json: no such file"),
        ("tools/analysis_tools/model_complexity.py absent.py", "absent.py: no such config"),
        ("tools/analysis_tools/plot_growth.py absent.json x.png", "absent.json: no such file"),
        ("tools/analysis_tools/verify_golden.py absent", "absent: no such folder"),
        ("tools/dataset_converters/check_refer.py absent", "absent: no such folder"),
        ("tools/dataset_converters/json2refer.py absent.json x", "absent.json"),
        ("tools/dataset_converters/refer2json.py absent refs x.json", "absent"),
        ("tools/model_converters/internvl2hf.py absent x", "absent: no such folder"),
        ("tools/model_converters/mllmseg2mmseg.py absent x", "absent: no such folder"),
        (
            f"tools/model_converters/merge_checkpoint.py {CONFIG} absent.pth x",
            "absent.pth: no such checkpoint",
        ),
    ],
)
def test_wrong_path(command, message):
    code, _, error, torch = run(*command.split())
    assert code == 1
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1
    assert not torch
