"""MMSegmentation's own machinery and the tools here, with DSFFHead in an ordinary config on the toy set."""

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.in_process import run_in_process
from mmengine.analysis import get_model_complexity_info
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.apis import MMSegInferencer, inference_model, init_model
from mmseg.registry import DATASETS, MODELS

from mmseg_mllm.engine.config import load_config
from mmseg_mllm.toy import SEMSEG_CLASSES, write_toy_semseg

ROOT = Path(__file__).parents[2]
CONFIG = "configs/dsff/toy-mit_dsff_1xb16-900_toy-64x64.py"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy") / "toy_semseg"
    return write_toy_semseg(out=folder, seed=1, counts=dict(train=8, val=3))


@pytest.fixture(scope="module")
def options(root):
    return [
        "--cfg-options",
        f"data_root={root}",
        "train_cfg.max_iters=2",
        "train_cfg.val_interval=2",
        "param_scheduler.0.end=1",
        "param_scheduler.1.begin=1",
        "param_scheduler.1.end=2",
        "default_hooks.checkpoint.interval=2",
        "train_dataloader.batch_size=4",
        "test_dataloader.batch_size=1",
    ]


@pytest.fixture(scope="module")
def checkpoint(root, options, tmp_path_factory):
    """A model that ``tools/train.py`` has trained for two iterations."""
    work = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setattr(sys, "argv", ["tools/train.py", CONFIG, "--work-dir", str(work), *options])
        runpy.run_path("tools/train.py", run_name="__main__")
    return work / "iter_2.pth"


@pytest.fixture
def run_test(checkpoint, options, monkeypatch, capsys, tmp_path):
    def run(*arguments, settings=()):
        command = [CONFIG, checkpoint, "--work-dir", tmp_path, *arguments, *options, *settings]
        return run_in_process(monkeypatch, capsys, "tools/test.py", *command)

    return run


def rows(out: str) -> dict[str, list[str]]:
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines() if "│" in line]
    return {row[0]: row[1:] for row in cells}


def plain_iou(config, checkpoint) -> list[float]:
    """IoU of each class in percent, image by image with mmseg's ``inference_model``."""
    model = init_model(config, str(checkpoint), device="cpu")
    init_default_scope("mmseg")
    dataset = DATASETS.build(config.val_dataloader.dataset)
    shared, either = np.zeros(7), np.zeros(7)
    for k in range(len(dataset)):
        sample = dataset[k]["data_samples"]
        predicted = inference_model(model, sample.img_path).pred_sem_seg.data[0].numpy()
        truth = sample.gt_sem_seg.data[0].numpy()
        for c in range(7):
            shared[c] += ((predicted == c) & (truth == c)).sum()
            either[c] += ((predicted == c) | (truth == c)).sum()
    return [100 * s / e if e else float("nan") for s, e in zip(shared, either, strict=True)]


def test_table_has_the_iou_of_every_class(run_test, checkpoint, root):
    code, out, err = run_test()
    assert code == 0, err
    table = rows(out)
    assert list(table) == [*SEMSEG_CLASSES, "mean"]
    expected = plain_iou(load_config(CONFIG, dict(data_root=str(root))), checkpoint)
    shown = [table[name][0] for name in SEMSEG_CLASSES]
    assert shown == ["absent" if np.isnan(value) else f"{value:.2f}" for value in expected]
    assert table["mean"][0] == f"{np.nanmean(expected):.2f}"
    assert "made by: python tools/test.py" in out
    titles = [line.strip() for line in out.splitlines() if "aAcc" in line]
    assert len(titles) == 1
    assert re.fullmatch(r"aAcc \d+\.\d\d; all in percent", titles[0])
    assert "WARNING" not in out + err


def test_slide_equals_whole_where_one_window_covers_the_image(run_test):
    whole = rows(run_test()[1])
    one = ["model.test_cfg.mode=slide", "model.test_cfg.crop_size=64,64", "model.test_cfg.stride=64,64"]
    assert rows(run_test(settings=one)[1]) == whole


def test_tta_in_windows_and_pictures(run_test, tmp_path):
    windows = ["model.test_cfg.mode=slide", "model.test_cfg.crop_size=48,48", "model.test_cfg.stride=32,32"]
    pictures = ("--show-dir", tmp_path / "pictures", "--show-num", "2")
    code, out, err = run_test("--tta", *pictures, settings=windows)
    assert code == 0, err
    assert list(rows(out)) == [*SEMSEG_CLASSES, "mean"]
    assert len(list((tmp_path / "pictures").rglob("*.png"))) == 2


@pytest.mark.parametrize("flag", [["--protocol", "paper"], ["--out", "x.json"], ["--split", "val"]])
def test_flags_of_referring_models_are_refused(run_test, flag):
    code, _, err = run_test(*flag)
    assert code == 1
    assert f"error: {flag[0]} is for referring models" in err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_amp_without_a_gpu_is_refused(options, monkeypatch, capsys, tmp_path):
    command = [CONFIG, "--amp", "--work-dir", tmp_path, *options]
    code, _, err = run_in_process(monkeypatch, capsys, "tools/train.py", *command)
    assert code == 1
    assert "error: --amp: ordinary segmentation needs a GPU" in err


def test_missing_data_is_named(run_test):
    code, _, err = run_test(settings=["data_root=/nowhere/toy"])
    assert code == 1
    assert "error: data_root=/nowhere/toy: there is no such folder" in err


def test_wrong_number_of_classes_is_named(root, options, monkeypatch, capsys, tmp_path):
    wrong = ["--work-dir", tmp_path, *options, "model.decode_head.num_classes=4"]
    code, _, err = run_in_process(monkeypatch, capsys, "tools/train.py", CONFIG, *wrong)
    assert code == 1
    assert "num_classes=4" in err.splitlines()[-1]


def test_mmsegs_inferencer_gives_what_inference_model_does(checkpoint, root):
    image = str(root / "img_dir" / "val" / "000000.jpg")
    config = load_config(CONFIG, dict(data_root=str(root)))
    inferencer = MMSegInferencer(
        config, str(checkpoint), device="cpu", classes=list(SEMSEG_CLASSES), palette=[[0, 0, 0]] * 7
    )
    predicted = inferencer(image, show=False)["predictions"]
    expected = inference_model(init_model(config, str(checkpoint), device="cpu"), image)
    assert (predicted == expected.pred_sem_seg.data[0].numpy()).all()


def test_mmengines_complexity_info_counts_it():
    """What mmseg's get_flops.py asks; that script itself passes two inputs, which mmengine 0.10.7 refuses."""
    init_default_scope("mmseg")
    model = MODELS.build(load_config(CONFIG).model).eval()
    info = get_model_complexity_info(model, (3, 64, 64), show_table=False, show_arch=False)
    assert info["params"] == sum(p.numel() for p in model.parameters())
    assert info["flops"] > 0


def test_a_stock_runner_trains_it(root, tmp_path):
    config = load_config(CONFIG, dict(data_root=str(root)))
    config.work_dir = str(tmp_path)
    config.train_cfg.update(max_iters=2, val_interval=2)
    config.train_dataloader.batch_size = 2
    runner = Runner.from_cfg(config)
    before = {name: p.detach().clone() for name, p in runner.model.decode_head.named_parameters()}
    runner.train()
    changed = [not torch.equal(p, before[name]) for name, p in runner.model.decode_head.named_parameters()]
    assert all(changed)
