"""Runs of quantised models (QLoRA): resumed, with and without quantisation, whole (DDP) and in shards."""

import json
from pathlib import Path

import pytest
import torch
from helpers.in_process import run_in_process
from helpers.shard_processes import two_processes

from mmseg_mllm.compat import allow_mmengine_checkpoint_classes
from mmseg_mllm.toy import write_toy_refcoco

CONFIG = "configs/mllmseg/internvl_tiny_toy.py"
NF4 = {"model.backbone.quantization": "nf4"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """Work dirs; each run validates after its third step, on CPUs too where bitsandbytes has another kernel
    for that."""
    pytest.importorskip("bitsandbytes")
    out = tmp_path_factory.mktemp("runs")
    write_toy_refcoco(out=out / "toy_refcoco", seed=1, counts=dict(train=12, val=3, testA=1, testB=1))

    def run(name: str, *, load: str | None = None, resume: bool = False, shard: bool = False, **options):
        where = dict(data_root=str(out / "toy_refcoco"), work_dir=str(out / name), shard=shard)
        return dict(where, load_from=load and str(out / load), resume=resume, options=options)

    two_processes(
        [
            run("nf4", **NF4),
            run("nf4_resumed", load="nf4/iter_2.pth", resume=True, **NF4),
            run("plain_of_nf4", load="nf4/iter_2.pth", resume=True),
            run("nf4_of_plain", load="plain_of_nf4/iter_3.pth", resume=True, **NF4),
            run("shards", shard=True, **NF4),
            run("test_whole", load="nf4/iter_4.pth", **NF4),
            run("test_shards", load="nf4/iter_4.pth", shard=True, **NF4),
        ]
    )
    allow_mmengine_checkpoint_classes()
    return out


def saved(path: Path) -> dict:
    return torch.load(path, weights_only=True)


def test_a_resumed_run_is_the_unbroken_one(runs):
    """A validation lies between what is compared and the checkpoint, in both."""
    begun, expected, found = (
        saved(runs / p) for p in ("nf4/iter_2.pth", "nf4/iter_4.pth", "nf4_resumed/iter_4.pth")
    )
    for part in ("state_dict", "optimizer"):
        torch.testing.assert_close(found[part], expected[part], rtol=0, atol=0)
    lora = [name for name in expected["state_dict"] if "lora_B" in name]
    assert len(lora) == 6 * 7  # layers, linears of each
    assert all((expected["state_dict"][n] != begun["state_dict"][n]).any() for n in lora)


def test_what_is_kept_is_what_was_trained_quantised_or_not(runs):
    nf4, plain = (saved(runs / run / "iter_4.pth") for run in ("nf4", "plain_of_nf4"))
    assert nf4["state_dict"].keys() == plain["state_dict"].keys()
    assert nf4["base"]["shapes"].keys() == plain["base"]["shapes"].keys()
    # The same batches on weights that differ a little: the runs part, but not by much.
    started = saved(runs / "nf4/iter_2.pth")["state_dict"]
    apart = moved = 0.0
    for name in (name for name in started if "lora_" in name):
        apart += (plain["state_dict"][name] - nf4["state_dict"][name]).square().sum()
        moved += (nf4["state_dict"][name] - started[name]).square().sum()
    assert 0 < apart < moved
    assert saved(runs / "nf4_of_plain/iter_4.pth")["meta"]["iter"] == 4


def test_shards_are_the_whole(runs):
    whole, shards = (saved(runs / run / "iter_4.pth") for run in ("nf4", "shards"))
    torch.testing.assert_close(dict(shards["state_dict"]), dict(whole["state_dict"]), rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(
        shards["optimizer"]["state"], whole["optimizer"]["state"], rtol=1e-3, atol=1e-6
    )
    masks = [json.loads((runs / run / "masks.json").read_text()) for run in ("test_shards", "test_whole")]
    found, expected = ([p["segmentation"] for p in masks["predictions"]] for masks in masks)
    assert len(found) > 3
    assert found == expected


@pytest.mark.parametrize("kind", ["nf4", "None"])
def test_the_test_tool_takes_it(kind, runs, monkeypatch, capsys, tmp_path):
    code, out, err = run_in_process(
        *(monkeypatch, capsys, "tools/test.py", CONFIG, runs / "nf4/iter_4.pth", "--split", "testA"),
        *("--work-dir", tmp_path, "--cfg-options", f"data_root={runs / 'toy_refcoco'}"),
        *("test_dataloader.num_workers=0", f"model.backbone.quantization={kind}"),
    )
    assert code == 0, err
    assert "testA" in out
