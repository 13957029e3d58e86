"""What a wheel brings."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
USE = """
import json
from pathlib import Path
import mmseg_mllm
from mmengine.config import Config
from mmseg_mllm.packaged_configs import config_names
base = '_base_ = "mmseg_mllm::mllmseg/internvl_tiny_toy.py"'
Path("own.py").write_text(base + '\\ntrain_cfg = dict(max_iters=3)')
config = Config.fromfile("own.py")
print(json.dumps([mmseg_mllm.__file__, config_names(), config.model.type, config.train_cfg.max_iters]))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Folder with what is in the wheel."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("mmseg_mllm", "configs"):
        shutil.copytree(
            ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    result = subprocess.run([*build, "-w", out, source], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(out / "site")
    return out / "site"


def test_configs_are_in_it_and_are_inherited(installed, tmp_path):
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", USE],
        cwd=tmp_path,
        env=dict(os.environ, PYTHONPATH=str(installed)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    place, names, kind, iterations = json.loads(result.stdout)
    assert Path(place).is_relative_to(installed)
    configs = ROOT / "configs"
    assert names == sorted(path.relative_to(configs).as_posix() for path in configs.glob("[!_]*/*.py"))
    assert (kind, iterations) == ("MLLMSegmentor", 3)


def test_it_brings_the_command(installed):
    (entries,) = installed.glob("*.dist-info/entry_points.txt")
    assert "mmseg-mllm = mmseg_mllm.cli:main" in entries.read_text()
