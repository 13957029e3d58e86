"""docs/custom_data.md does what it says, command by command, on a small toy set and for a few iterations."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from PIL import Image

from mmseg_mllm.datasets import ReferringJSONDataset
from mmseg_mllm.engine.config import load_config

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "custom_data.md").read_text(encoding="utf-8")
LEAF = "configs/mllmseg/internvl_tiny_custom.py"
# What makes a command short; its words are otherwise those of the page.
FEW_IMAGES = ["--num-train", "12", "--num-val", "3", "--num-testA", "0", "--num-testB", "0"]
SHORT_TRAINING = [
    "--cfg-options",
    "train_cfg.max_iters=3",
    "train_cfg.val_interval=3",
    "param_scheduler.0.end=1",
    "param_scheduler.1.begin=1",
    "param_scheduler.1.end=3",
    "default_hooks.checkpoint.interval=3",
    *(f"{part}_dataloader.num_workers=0" for part in ("train", "val")),
    *(f"{part}_dataloader.persistent_workers=False" for part in ("train", "val")),
]
MORE = {
    "make_toy_refcoco.py": FEW_IMAGES,
    "train.py": SHORT_TRAINING,
    "test.py": ["--cfg-options", "test_dataloader.num_workers=0"],
    "browse_dataset.py": ["--num", "2"],
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def config_blocks() -> list[str]:
    return [block for block in blocks("python") if "import" not in block]


def commands() -> list[str]:
    return [line for block in blocks("bash") for line in block.splitlines()]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Path:
    """A folder with the repository's tools and configs, but with data and work_dirs of its own."""
    folder = tmp_path_factory.mktemp("workspace")
    shutil.copytree(ROOT / "configs", folder / "configs")
    (folder / "tools").symlink_to(ROOT / "tools")
    return folder


def run(command: str, workspace: Path) -> None:
    program, *words = shlex.split(command.replace("iter_800", "iter_3"))
    if program == "python":
        program, words = sys.executable, [*words, *MORE.get(Path(words[0]).name, [])]
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    result = subprocess.run(
        [program, *words],
        cwd=workspace,
        env=dict(os.environ, PYTHONPATH=paths, PYTHONWARNINGS="ignore"),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"


def test_the_steps_of_the_page(workspace, monkeypatch, capsys):
    for command in commands():
        tool = shlex.split(command)[1]
        if "browse_dataset" not in tool or (ROOT / tool).exists():
            run(command, workspace)
    work = workspace / "work_dirs" / "internvl_tiny_custom"
    content = json.loads((workspace / "data/mine/annotations.json").read_text())
    predictions = json.loads((work / "pred.json").read_text())["predictions"]
    val = {image["id"] for image in content["images"] if image.get("split") == "val"}
    assert {p["image_id"] for p in predictions} == val
    assert {(p["dataset"], p["split"]) for p in predictions} == {("mine", "val")}
    assert len(list((work / "pictures").glob("*.png"))) == len(val) == 3
    assert (workspace / "data/mine_refer/refs(custom).p").exists()

    (ask,) = [block for block in blocks("python") if "RESPredictor" in block]
    monkeypatch.chdir(workspace)
    capsys.readouterr()
    exec(ask.replace("iter_800", "iter_3"), {})
    assert [line.rsplit(" (", 1)[0] for line in capsys.readouterr().out.splitlines()][-2:] == [
        "the red circle on the left",
        "star at the top",
    ]


def test_the_config_of_the_page_is_the_one_that_is_there():
    head, rest = (ROOT / LEAF).read_text().split("\n", 1)
    assert head.startswith("#")
    assert rest == config_blocks()[0]


def test_the_json_of_the_page_is_whole(tmp_path):
    (text,) = blocks("json")
    (tmp_path / "annotations.json").write_text(text)
    for image in json.loads(text)["images"]:
        path = tmp_path / "images" / image["file_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((image["height"], image["width"], 3), dtype=np.uint8)).save(path)
    init_default_scope("mmseg")
    config = load_config(str(ROOT / LEAF), dict(data_root=str(tmp_path)))
    # Testing keeps all expressions and the masks' own size.
    dataset = DATASETS.build({**config.val_dataloader.dataset, "split": ["train", "val"]})
    assert isinstance(dataset, ReferringJSONDataset)
    street, kitchen = (sample["data_samples"] for sample in dataset)
    pixels = dict(zip(street.expressions, street.gt_instances.masks.sum(dim=(1, 2)).tolist(), strict=True))
    man, dog = pixels["the man on the left"], pixels["dog"]
    assert dog == 40 + 42
    assert man == pixels["guy in a grey coat"] > 30_000
    assert (pixels["the man and his dog"], pixels["a red car"]) == (man + dog, 0)
    assert kitchen.gt_instances.bboxes.tolist() == [[90, 100, 160, 190]]


def test_the_8b_model_takes_the_same_data(workspace):
    tiny, base, *additions = config_blocks()
    assert len(additions) == 2
    path = workspace / "configs" / "mllmseg" / "internvl2_5_8b_custom.py"
    path.write_text("\n".join([tiny.replace(tiny.splitlines()[0], base), *additions]))
    config = load_config(str(path))
    own = load_config(str(ROOT / LEAF))
    paper = load_config(str(ROOT / "configs/mllmseg/internvl2_5_8b_refcoco.py"))
    for part, pipeline in [("train", "train"), ("val", "test"), ("test", "test")]:
        dataset = config[f"{part}_dataloader"].dataset
        expected = own[f"{part}_dataloader"].dataset
        expected.pipeline = paper[f"{pipeline}_pipeline"]
        assert dataset == expected
    assert config.model.backbone.arch == paper.model.backbone.arch
    gres = load_config(str(ROOT / "configs/mllmseg/internvl2_5_8b_grefcoco.py"))
    assert config.model.decode_head == gres.model.decode_head
    assert config.model.backbone.pretrained == gres.model.backbone.pretrained
    assert config.param_scheduler[-1].end == config.train_cfg.max_iters == 2000
    assert config.default_hooks.checkpoint.interval == config.train_cfg.val_interval == 500
