"""Each mistake ends with one clear message and a non-zero exit."""

import json
import os
import pickle
import runpy
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
CONFIG = "configs/mllmseg/internvl_tiny_toy.py"


@pytest.fixture
def fails(monkeypatch, capsys, tmp_path):
    """Run a tool that must fail; gives the one line it says."""

    def run(tool: str, *arguments: str | Path) -> str:
        monkeypatch.chdir(ROOT)
        argv = [tool, *map(str, arguments), "--work-dir", str(tmp_path / "work")]
        monkeypatch.setattr(sys, "argv", argv)
        monkeypatch.setenv("LOCAL_RANK", "0")
        with pytest.raises(SystemExit) as exit_info:
            runpy.run_path(tool, run_name="__main__")
        assert exit_info.value.code == 1
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
        assert len(lines) == 1
        return lines[0]

    return run


@pytest.fixture
def broken_toy(small_toy, tmp_path):
    """A copy of the toy set to break."""
    return Path(shutil.copytree(small_toy, tmp_path / "broken"))


def with_root(options, root, **changes):
    changed = [f"data_root={root}" if option.startswith("data_root") else option for option in options]
    return [*changed, *(f"{key}={value}" for key, value in changes.items())]


def test_config_absent(fails):
    assert "configs/nothing.py: no such config" in fails("tools/train.py", "configs/nothing.py")


def test_data_folder_absent(fails, options, tmp_path):
    message = fails("tools/train.py", CONFIG, *with_root(options, tmp_path / "nowhere"))
    assert "nowhere" in message
    assert "data_root" in message


def test_split_wrong(fails, options, trained):
    message = fails("tools/test.py", CONFIG, trained / "iter_6.pth", "--split", "dev", *options)
    assert "no split 'dev'; it has train, val, testA, testB" in message


@pytest.mark.parametrize("workers", [0, 1])
def test_image_missing(fails, options, broken_toy, workers):
    for image in (broken_toy / "train2014").glob("*.jpg"):
        image.unlink()
    more = {"train_dataloader.num_workers": workers}
    message = fails("tools/train.py", CONFIG, *with_root(options, broken_toy, **more))
    assert "COCO_train2014" in message
    assert "missing" in message


def test_image_broken(fails, options, broken_toy):
    for image in (broken_toy / "train2014").glob("*.jpg"):
        image.write_bytes(image.read_bytes()[:200])
    assert "can't be decoded" in fails("tools/train.py", CONFIG, *with_root(options, broken_toy))


def test_mask_of_another_size(fails, options, broken_toy):
    path = broken_toy / "refcoco" / "instances.json"
    content = json.loads(path.read_text())
    for image in content["images"]:
        image["height"] += 1
    path.write_text(json.dumps(content))
    assert "don't belong together" in fails("tools/train.py", CONFIG, *with_root(options, broken_toy))


def test_expression_empty(fails, options, broken_toy):
    path = broken_toy / "refcoco" / "refs(unc).p"
    refs = pickle.loads(path.read_bytes())
    refs[0]["sentences"][0]["sent"] = " ."
    path.write_bytes(pickle.dumps(refs, protocol=2))
    message = fails("tools/train.py", CONFIG, *with_root(options, broken_toy))
    assert f"sentence {refs[0]['sentences'][0]['sent_id']}" in message
    assert "no words" in message


def test_checkpoint_of_another_config(fails, options, trained):
    other = "model.backbone.lora.r=8"
    message = fails("tools/test.py", CONFIG, trained / "iter_6.pth", *options, other)
    assert "not one of this config" in message


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut off"])
def test_checkpoint_broken(fails, options, tmp_path, content):
    path = tmp_path / "broken.pth"
    path.write_bytes(content)
    assert "broken.pth" in fails("tools/test.py", CONFIG, path, *options)


def test_checkpoint_that_would_run_code(fails, options, tmp_path):
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    torch.save(dict(state_dict=Evil()), tmp_path / "evil.pth")
    assert "evil.pth" in fails("tools/test.py", CONFIG, tmp_path / "evil.pth", *options)
    assert not (tmp_path / "ran").exists()


def test_checkpoint_absent(fails, options):
    assert "no such checkpoint" in fails("tools/test.py", CONFIG, "nothing.pth", *options)
    assert "no such checkpoint" in fails("tools/train.py", CONFIG, "--resume", "nothing.pth", *options)


def test_protocol_unknown(fails, options, trained):
    message = fails("tools/test.py", CONFIG, trained / "iter_6.pth", "--protocol", "both", *options)
    assert "unknown protocol 'both'; there are independent, joint, paper, generate" in message


def test_pretrained_absent(fails, options):
    config = "configs/mllmseg/internvl2_5_1b_refcoco.py"
    assert "pretrained/InternVL2_5-1B-hf" in fails("tools/train.py", config, *options)


def test_processes_that_cant_be(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tools/launch.py", "tools/train.py", CONFIG, "--processes", "3"])
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit) as exit_info:
        runpy.run_path(str(ROOT / "tools" / "launch.py"), run_name="__main__")
    assert exit_info.value.code == 1
    assert "3 GPUs were asked for, this machine has 2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("ends", "first", "last"),
    [
        (
            f"os.kill(os.getpid(), {int(signal.SIGKILL)})",
            "error: process 1 of 2 was ended by signal 9 (Killed). Mostly the machine had no memory left",
            "Go on with: tools/dist_train.sh my.py 2 --resume\n",
        ),
        ("sys.exit('error: told')", "error: told", "error: told\n"),
    ],
)
def test_a_process_that_ends(tmp_path, ends, first, last):
    """The second of two; the first one would wait for it."""
    script = tmp_path / "train.py"
    script.write_text(f"import os, sys, time\nif os.environ['RANK'] == '1':\n    {ends}\ntime.sleep(60)\n")
    result = subprocess.run(
        [sys.executable, "tools/launch.py", script, CONFIG, "--processes", "2"],
        cwd=ROOT,
        env=dict(os.environ, MMSEG_MLLM_COMMAND="tools/dist_train.sh my.py 2"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith(first)
    assert result.stderr.endswith(last)
    assert result.stderr.count("\n") == 1
