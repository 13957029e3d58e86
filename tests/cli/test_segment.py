import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from mmseg_mllm.apis import RESPredictor
from mmseg_mllm.batch import job
from mmseg_mllm.cli import main

TEXTS = ["left dog", "The Cat.", "a small red circle"]
ASK = [part for text in TEXTS for part in ("-q", text)]


def lines(folder: Path) -> dict[str, dict]:
    """Results by the name of the image; each is there once."""
    records = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    found = {Path(record["image"]).name: record for record in records}
    assert len(found) == len(records)
    return found


def alike(one: dict, other: dict) -> bool:
    """Two results that may differ by the rounding of a batch."""
    masks = [coco_mask.decode(result["rle"]) for result in (one, other)]
    return abs(one["score"] - other["score"]) < 1e-3 and (masks[0] != masks[1]).sum() <= 1


@pytest.fixture(scope="module")
def wanted(model, photos):
    """One image and one expression at a time."""
    predictor = RESPredictor.from_pretrained(model, device="cpu")
    found = {}
    for path in photos.iterdir():
        predictor.set_image(path)
        found[path.name] = [predictor.segment(text)[0] for text in TEXTS]
    return found


def test_it_writes_what_the_predictor_finds(command, model, photos, wanted, tmp_path):
    out = tmp_path / "out"
    saves = ["--save", "coco,mask,overlay,polygons"]
    code, said, _ = command(
        "segment", photos, *ASK, "--model", model, "--out", out, *saves, "--batch", 3, "--device", "cpu"
    )
    assert code == 0
    assert "7 of 7 images" in said
    found = lines(out)
    assert list(found) == sorted(wanted)
    for name, record in found.items():
        assert [result["expression"] for result in record["results"]] == TEXTS
        assert Image.open(out / record["overlay"]).width == 480
        for result, alone in zip(record["results"], wanted[name], strict=True):
            assert alike(result, dict(rle=alone.rle(), score=alone.score))
            assert result["exists"] == alone.exists
            mask = coco_mask.decode(result["rle"]).astype(bool)
            assert (record["height"], record["width"]) == mask.shape
            assert np.array_equal(np.array(Image.open(out / result["mask"])), mask * np.uint8(255))
            assert result["area"] == mask.sum()
            assert bool(result["polygons"]) == mask.any()
    coco = COCO(out / "coco.json")
    assert [image["file_name"] for image in coco.dataset["images"]] == sorted(wanted)
    there = [r for record in found.values() for r in record["results"] if r["exists"] and r["area"]]
    assert [annotation["segmentation"] for annotation in coco.dataset["annotations"]] == [
        r["rle"] for r in there
    ]
    names = {category["id"]: category["name"] for category in coco.dataset["categories"]}
    assert [names[a["category_id"]] for a in coco.dataset["annotations"]] == [r["expression"] for r in there]


def test_a_broken_image_is_told_at_the_end_and_done_once_it_is_mended(command, model, photos, tmp_path):
    folder, out = tmp_path / "photos", tmp_path / "out"
    shutil.copytree(photos, folder)
    good = (folder / "photo2.png").read_bytes()
    (folder / "photo2.png").write_bytes(good[:200])
    (folder / "list.txt").write_text("photo0.png\nphoto2.png\nabsent.png\nphoto3.png\n")
    arguments = ["segment", folder / "list.txt", *ASK, "--model", model, "--out", out, "--save", "coco"]
    code, said, error = command(*arguments)
    assert code == 1
    assert "2 of 4 images" in said
    assert re.search(
        r"2 images could not be read:\n.*photo2\.png: the image can't be decoded.*\n.*absent\.png", error
    )
    assert list(lines(out)) == ["photo0.png", "photo3.png"]
    assert len((out / "not_read.txt").read_text().splitlines()) == 2

    (folder / "photo2.png").write_bytes(good)
    shutil.copy(folder / "photo1.png", folder / "absent.png")
    before = (out / "results.jsonl").read_text()
    assert command(*arguments)[0] == 0
    assert (out / "results.jsonl").read_text().startswith(before)
    assert list(lines(out)) == ["photo0.png", "photo3.png", "photo2.png", "absent.png"]
    assert len(COCO(out / "coco.json").imgs) == 4
    assert not (out / "not_read.txt").exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that begin as a copy of this one")
def test_killed_and_run_again_it_is_complete_and_the_same(model, photos, tmp_path, monkeypatch):
    predictor = RESPredictor.from_pretrained(model, device="cpu")
    monkeypatch.setattr(job.RESPredictor, "from_pretrained", lambda *args, **kwargs: predictor)

    def slowly(self, answer, write=job.ImageWriter.write):
        time.sleep(0.05)
        write(self, answer)

    def run(out, *, then=None):
        arguments = ["segment", str(photos), *ASK, "--model", str(model), "--out", str(out), "--batch", "1"]
        process = multiprocessing.get_context("fork").Process(target=main, args=[arguments])
        process.start()
        if then is not None:
            results = out / "results.jsonl"
            end = time.monotonic() + 60
            while time.monotonic() < end and not (
                results.exists() and results.read_bytes().count(b"\n") >= then
            ):
                time.sleep(0.005)
            os.kill(process.pid, signal.SIGKILL)
        process.join()
        return process.exitcode

    monkeypatch.setattr(job.ImageWriter, "write", slowly)
    out, unbroken = tmp_path / "out", tmp_path / "unbroken"
    assert [run(out, then=done) for done in (1, 3, 5)] == [-signal.SIGKILL] * 3
    killed = (out / "results.jsonl").read_bytes()
    assert 5 <= killed.count(b"\n") < 7
    (out / "results.jsonl").write_bytes(killed + b'{"image":"/half a li')
    assert run(out) == run(unbroken) == 0
    for name in ("results.jsonl", "coco.json"):
        assert (out / name).read_bytes() == (unbroken / name).read_bytes()
    assert {p.name for p in (out / "masks").iterdir()} == {p.name for p in (unbroken / "masks").iterdir()}


def test_another_run_in_the_same_folder_is_refused(command, model, photos, tmp_path):
    image, out = photos / "photo0.png", tmp_path / "out"

    def run(*arguments):
        return command("segment", image, "--model", model, "--out", out, *arguments)

    code, said, _ = run("-q", "dog", "--save", "mask")
    assert code == 0
    (result,) = lines(out)["photo0.png"]["results"]
    there = f"{result['area']:,} pixels" if result["exists"] else "not there"
    assert f"  dog: {there}" in said
    before = (out / "results.jsonl").read_bytes()
    for arguments, message in (
        (["-q", "cat", "--save", "mask"], r'expressions was \["dog"\], now \["cat"\]'),
        (["-q", "dog", "--save", "mask", "--protocol", "joint"], 'protocol was "independent", now "joint"'),
        (["-q", "dog"], r'saves was \["mask"\]'),
    ):
        code, _, error = run(*arguments)
        assert code == 1
        assert re.search(message, error)
        assert "another --out" in error
    assert (out / "results.jsonl").read_bytes() == before
    assert run("-q", "dog", "--save", "mask,coco")[0] == 0  # made of what is there
    assert (out / "results.jsonl").read_bytes() == before
    assert (out / "coco.json").is_file()


def test_a_device_that_is_not_there_is_told(command, model, photos, tmp_path):
    for name in ("gpu", "cuda:77"):
        arguments = ["--model", model, "--out", tmp_path / "out", "--device", name]
        code, _, error = command("segment", photos, "-q", "dog", *arguments)
        assert code == 1
        assert f"error: --device {name}: can't be used" in error


def test_protocols_and_a_finer_input(command, model, photos, tmp_path):
    for name in ("joint", "paper", "generate"):
        out = tmp_path / name
        arguments = ["--model", model, "--out", out, "--protocol", name, "--save", ""]
        arguments += ["--image-size", "48x32"]
        for _ in range(2):  # the second goes on with the first
            assert command("segment", photos / "photo0.png", *ASK, *arguments)[0] == 0
        run = json.loads((out / "run.json").read_text())
        assert (run["protocol"], run["image_size"]) == (name, [48, 32])
        assert len(lines(out)["photo0.png"]["results"]) == 3
        assert not (out / "coco.json").exists()


def test_processes_of_torchrun_share_the_list(model, photos, wanted, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(photos, tmp_path / "photos")
    (tmp_path / "photos/broken.png").write_bytes(b"no image")
    result = subprocess.run(
        [
            *(sys.executable, "-W", "ignore", "-m", "torch.distributed.run"),
            *("--standalone", "--nproc_per_node=2", "-m", "mmseg_mllm", "segment", tmp_path / "photos"),
            *(*ASK, "--model", model, "--out", out, "--save", "coco", "--device", "cpu", "--batch", "2"),
        ],
        env=dict(os.environ, PYTHONPATH=str(Path(__file__).parents[2])),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 1
    assert "7 of 8 images" in result.stdout
    assert "broken.png" in result.stderr
    found = lines(out)
    assert sorted(found) == sorted(wanted)
    assert [path.name for path in out.glob("*.jsonl")] == ["results.jsonl"]
    for name, record in found.items():
        for one, alone in zip(record["results"], wanted[name], strict=True):
            assert alike(one, dict(rle=alone.rle(), score=alone.score))
    assert len(COCO(out / "coco.json").imgs) == 7
