"""Shards against whole models under DDP, two processes each."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers import shard_processes
from helpers.tiny_model import tiny_config
from mmengine.config import Config
from mmseg.registry import MODELS

from mmseg_mllm.engine.config import load_config
from mmseg_mllm.engine.runner import QuietRunner
from mmseg_mllm.engine.sharding import check_shard
from mmseg_mllm.errors import ConfigError
from mmseg_mllm.models.frozen_base import add_base
from mmseg_mllm.toy import write_toy_refcoco

CONFIG = shard_processes.ROOT / "configs/mllmseg/internvl_tiny_toy.py"

MIXED = {
    "model.backbone.dtype": "bfloat16",
    "model.backbone.arch.tie_word_embeddings": True,
    "model.backbone.arch.text_config.tie_word_embeddings": True,
    "optim_wrapper.accumulative_counts": 2,
}
"""Frozen weights of another dtype than what is trained in the same layers, and one in two places."""

SECOND = {"custom_hooks": [dict(type="SecondProcessHook")], "default_hooks.checkpoint.interval": 2}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """Work dirs of: whole; shards; each gone on with from the other's second step; a test of shards."""
    out = tmp_path_factory.mktemp("runs")
    counts = dict(train=12, val=3, testA=1, testB=1)
    data = str(write_toy_refcoco(out=out / "toy_refcoco", seed=1, counts=counts))

    def run(
        name: str, *, shard: bool, load_from: Path | None = None, resume: bool = False, **options
    ) -> dict:
        path, where = str(load_from) if load_from else None, dict(data_root=data, work_dir=str(out / name))
        return dict(where, shard=shard, load_from=path, resume=resume, options=options)

    whole, shards = out / "whole", out / "shards"
    asked = [
        run("whole", shard=False),
        run("shards", shard=True),
        run("shards_of_whole", shard=True, load_from=whole / "iter_2.pth", resume=True),
        run("whole_of_shards", shard=False, load_from=shards / "iter_2.pth", resume=True),
        run("test_whole", shard=False, load_from=whole / "iter_4.pth"),
        run("test_shards", shard=True, load_from=whole / "iter_4.pth"),
        run("mixed_whole", shard=False, **MIXED),
        run("mixed_shards", shard=True, **MIXED),
        run("second_whole", shard=False, **SECOND),
        run("second_shards", shard=True, **SECOND),
    ]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    result = subprocess.run(
        [sys.executable, shard_processes.__file__, str(port), json.dumps(asked)],
        env=dict(os.environ, PYTHONWARNINGS="ignore", OMP_NUM_THREADS="1"),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return out


def saved(path: Path) -> dict:
    return torch.load(path, weights_only=True)


def logged(work_dir: Path, name: str) -> list[float]:
    (log,) = work_dir.glob("*/vis_data/scalars.json")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [line[name] for line in lines if name in line]


@pytest.mark.parametrize("name", ["loss", "grad_norm"])
def test_losses_and_gradients_are_those_of_whole_models(runs, name):
    expected = logged(runs / "whole", name)
    assert len(set(expected)) == 4
    assert logged(runs / "shards", name) == pytest.approx(expected, rel=1e-4)
    for run in ("shards_of_whole", "whole_of_shards"):
        assert logged(runs / run, name) == pytest.approx(expected[2:], rel=1e-4)


@pytest.mark.parametrize("run", ["shards", "shards_of_whole", "whole_of_shards"])
def test_a_checkpoint_is_the_one_of_a_whole_model(runs, run):
    begun, expected, found = (
        saved(runs / p) for p in ("whole/iter_1.pth", "whole/iter_4.pth", f"{run}/iter_4.pth")
    )
    assert list(found["state_dict"]) == list(expected["state_dict"])
    torch.testing.assert_close(dict(found["state_dict"]), dict(expected["state_dict"]), rtol=1e-3, atol=1e-5)
    moments = found["optimizer"]["state"]
    assert moments.keys() == expected["optimizer"]["state"].keys()
    torch.testing.assert_close(moments, expected["optimizer"]["state"], rtol=1e-3, atol=1e-6)
    # What would be lost with a shard: every row of what is trained moves, and rows differ.
    trained = [name for name in found["state_dict"] if "lora_" in name or "trainable_tokens" in name]
    assert trained
    for name in trained:
        rows = found["state_dict"][name]
        assert (rows != begun["state_dict"][name]).flatten(1).any(dim=1).all(), name
        assert len(rows.flatten(1).unique(dim=0)) == len(rows), name


def test_one_gradient_is_the_one_of_the_whole_model(runs):
    """After one step Adam's first moment is a tenth of the clipped gradient."""
    whole, shards = (saved(runs / run / "iter_1.pth")["optimizer"]["state"] for run in ("whole", "shards"))
    torch.testing.assert_close(shards, whole, rtol=1e-4, atol=1e-9)
    assert sum(bool(state["exp_avg"].any()) for state in whole.values()) > 10


def test_mixed_dtypes_tied_weights_and_accumulation(runs):
    whole, shards = (saved(runs / run / "iter_4.pth") for run in ("mixed_whole", "mixed_shards"))
    assert whole["base"]["dtype"] == shards["base"]["dtype"] == "bfloat16"
    assert torch.float32 in {tensor.dtype for tensor in shards["state_dict"].values()}
    torch.testing.assert_close(dict(shards["state_dict"]), dict(whole["state_dict"]), rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(
        shards["optimizer"]["state"], whole["optimizer"]["state"], rtol=1e-3, atol=1e-6
    )


def test_a_step_that_is_no_number_in_one_process_is_left_out_in_all(runs):
    """So that what there is after step 2 is what the run without it had after step 1."""
    before = saved(runs / "whole/iter_1.pth")["state_dict"]
    for run in ("second_whole", "second_shards"):
        after = saved(runs / run / "iter_2.pth")["state_dict"]
        torch.testing.assert_close(dict(after), dict(before), rtol=1e-3, atol=1e-5)
        last = saved(runs / run / "iter_3.pth")
        assert last["message_hub"]["runtime_info"]["skipped_steps"] == 1
        assert {state["step"].item() for state in last["optimizer"]["state"].values()} == {2}


def test_all_are_stopped_and_saved_within_a_validation_that_one_was_told_in(runs):
    whole, shards = (saved(runs / run / "iter_3.pth") for run in ("second_whole", "second_shards"))
    torch.testing.assert_close(dict(shards["state_dict"]), dict(whole["state_dict"]), rtol=1e-3, atol=1e-5)
    for run in ("second_whole", "second_shards"):
        assert (runs / run / "last_checkpoint").read_text() == "iter_3.pth"
        assert not (runs / run / "iter_4.pth").exists()


def test_one_process_loads_what_shards_saved(runs):
    model = MODELS.build(load_config(str(CONFIG)).model)
    checkpoint = saved(runs / "shards/iter_4.pth")
    add_base(checkpoint, model, where="shards")
    model.load_state_dict(checkpoint["state_dict"])
    torch.testing.assert_close(dict(model.state_dict()), dict(checkpoint["state_dict"]), rtol=0, atol=0)


def test_shards_answer_as_the_whole_model(runs):
    found, expected = (
        json.loads((runs / run / "masks.json").read_text()) for run in ("test_shards", "test_whole")
    )
    assert len(expected["predictions"]) > 3
    assert [p["segmentation"] for p in found["predictions"]] == [
        p["segmentation"] for p in expected["predictions"]
    ]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="asks Linux what is mapped")
def test_the_base_stays_in_its_file_until_it_is_cut(tmp_path):
    whole = MODELS.build(tiny_config()).backbone.model
    whole.save_pretrained(tmp_path)
    runner = QuietRunner.__new__(QuietRunner)
    model = dict(tiny_config(pretrained=str(tmp_path)), _scope_="mmseg")
    runner.cfg = Config(dict(model=model, shard=True))
    base = runner.build_model(runner.cfg.model).backbone.model
    lines = [line for line in Path("/proc/self/maps").read_text().splitlines() if str(tmp_path) in line]
    mapped = [range(*(int(end, 16) for end in line.split()[0].split("-"))) for line in lines]
    outside = [n for n, p in base.named_parameters() if not any(p.data_ptr() in part for part in mapped)]
    assert outside == []
    torch.testing.assert_close(dict(base.state_dict()), dict(whole.state_dict()), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(launcher="none"), "start with tools/dist_train.sh"),
        (dict(model=dict(type="EncoderDecoder")), "for referring models"),
        (dict(custom_hooks=[dict(type="EMAHook")]), "EMAHook"),
        (dict(model=dict(type="MLLMSegmentor", backbone=dict(quantization="nf4"))), "not go together"),
    ],
)
def test_what_can_not_be_cut_is_told(change, message):
    config = dict(shard=True, launcher="pytorch", model=dict(type="MLLMSegmentor"))
    check_shard(Config(config))
    check_shard(Config(dict(config, **change, shard=False)))
    with pytest.raises(ConfigError, match=message):
        check_shard(Config(dict(config, **change)))
