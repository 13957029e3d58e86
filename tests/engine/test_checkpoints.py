"""Writing and finding checkpoints where disks and files fail."""

import logging
import subprocess
import sys
import threading

import pytest
import torch

from mmseg_mllm.engine.checkpoints.content import on_host, tensor_bytes
from mmseg_mllm.engine.checkpoints.files import (
    keep_others_out,
    remove_leftovers,
    write_checkpoint,
    write_whole,
)
from mmseg_mllm.engine.checkpoints.newest import newest_checkpoint
from mmseg_mllm.engine.checkpoints.writer import CheckpointWriter
from mmseg_mllm.errors import CheckpointError


def save(path, *, iteration, time="20260101_000000", optimizer=True):
    content = dict(meta=dict(iter=iteration, time=time), state_dict=dict(w=torch.arange(5000.0)))
    torch.save(content | (dict(optimizer={}) if optimizer else {}), path)
    return path


def test_a_file_is_the_old_one_or_the_new_one(tmp_path):
    path = save(tmp_path / "iter_1.pth", iteration=1)
    before = path.read_bytes()

    def fails(file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_whole(path, fails)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["iter_1.pth"]
    (tmp_path / ".iter_2.pth.tmp").write_bytes(b"half")
    (tmp_path / "notes.tmp").touch()
    remove_leftovers(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"iter_1.pth", "notes.tmp"}


def test_two_runs_do_not_write_to_one_folder(tmp_path):
    code = f"""
import fcntl
file = open({str(tmp_path / ".lock")!r}, "w")
fcntl.lockf(file, fcntl.LOCK_EX)
print(flush=True)
input()
"""
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as other:
        other.stdout.readline()
        with pytest.raises(CheckpointError, match="another run writes its checkpoints there"):
            keep_others_out(tmp_path)
        other.communicate(b"\n")
    keep_others_out(tmp_path)
    keep_others_out(tmp_path)


def test_what_the_disk_says_is_passed_on(tmp_path):
    """torch's writer hides it behind an error of its own. Here: as with a disk that is full from the first
    byte."""
    with pytest.raises(OSError, match="No such file"):
        write_checkpoint(dict(w=torch.ones(3)), tmp_path / "absent" / "iter_1.pth")


def test_the_newest_is_found_by_what_is_written_in_it(tmp_path):
    """Not by name or date of the file: of an earlier, longer run in the same folder, or after copying."""
    assert newest_checkpoint(tmp_path) == (None, [])
    newest = save(tmp_path / "iter_20.pth", iteration=20, time="20260202_000000")
    save(tmp_path / "iter_10.pth", iteration=10, time="20260202_000000")
    save(tmp_path / "iter_900.pth", iteration=900, time="20260101_000000")
    save(tmp_path / "best_cIoU_iter_30.pth", iteration=30, time="20260303_000000", optimizer=False)
    (tmp_path / "last_checkpoint").touch()
    assert newest_checkpoint(tmp_path) == (newest, [])


def test_broken_ones_are_passed_over_and_named(tmp_path):
    good = save(tmp_path / "iter_10.pth", iteration=10)
    cut = save(tmp_path / "iter_20.pth", iteration=20)
    cut.write_bytes(cut.read_bytes()[:-500])
    flipped = save(tmp_path / "iter_30.pth", iteration=30)
    content = bytearray(flipped.read_bytes())
    content[len(content) // 2] ^= 1  # in the midst of a tensor
    flipped.write_bytes(content)
    found, reasons = newest_checkpoint(tmp_path)
    assert found == good
    assert "iter_20.pth" in reasons[0]
    assert "iter_30.pth: damaged" in reasons[1]
    good.unlink()
    with pytest.raises(CheckpointError, match="no checkpoint in it can be read") as error:
        newest_checkpoint(tmp_path)
    assert "iter_20.pth" in str(error.value)
    assert "iter_30.pth" in str(error.value)


def test_checkpoints_of_another_folder_are_found(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").mkdir()
    path = save(tmp_path / "elsewhere" / "iter_1.pth", iteration=1)
    (tmp_path / "run" / "last_checkpoint").write_text("../elsewhere/iter_1.pth")
    found, _ = newest_checkpoint(tmp_path / "run")
    assert found.samefile(path)


def test_training_may_go_on_while_it_is_written(tmp_path, monkeypatch):
    begin = threading.Event()
    weights = torch.zeros(1000)

    def slow(content, path):
        begin.wait()
        torch.save(content, path)

    monkeypatch.setattr("mmseg_mllm.engine.checkpoints.writer.write_checkpoint", slow)
    writer = CheckpointWriter(folder=tmp_path, logger=logging.getLogger())
    done = []
    writer.write(dict(state_dict=dict(w=weights)), "a.pth", done=lambda: done.append(1))
    weights += 1
    assert not done
    begin.set()
    writer.wait()
    assert done
    assert torch.load(tmp_path / "a.pth")["state_dict"]["w"].max() == 0


def test_a_full_disk_is_told_and_survived(tmp_path, monkeypatch, caplog):
    writer = CheckpointWriter(folder=tmp_path, logger=logging.getLogger("disk"))
    done = []

    def write(name):
        writer.write(dict(w=torch.ones(1000)), name, done=lambda: done.append(name))
        writer.wait()

    room = "mmseg_mllm.engine.checkpoints.writer.shutil.disk_usage"
    with monkeypatch.context() as patch:
        patch.setattr(room, lambda folder: type("Usage", (), dict(free=2000)))
        write("a.pth")
    assert "a.pth was not written: it takes 0.00 GB, the disk has 0.00 GB free" in caplog.text
    write("b.pth")
    assert done == ["b.pth"]
    assert [path.name for path in tmp_path.iterdir()] == ["b.pth"]


def test_a_view_is_written_without_what_it_is_a_view_of(tmp_path):
    content = on_host(dict(a=torch.zeros(10**6)[:10], b=[torch.ones(2)], c="x"), copied=False)
    assert tensor_bytes(content) == 48
    torch.save(content, tmp_path / "a.pth")
    assert (tmp_path / "a.pth").stat().st_size < 10_000
