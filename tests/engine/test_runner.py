import contextlib

import pytest
import torch
from helpers.tiny_model import tiny_config
from mmengine.config import Config

from mmseg_mllm.engine.runner import QuietRunner, _check_counting, build_runner
from mmseg_mllm.errors import ConfigError


@pytest.mark.parametrize(
    ("optim_wrapper", "meta", "fits"),
    [
        (dict(), dict(), True),
        (dict(accumulative_counts=4), dict(), False),
        (dict(accumulative_counts=4), dict(counts_steps=True), True),
    ],
)
def test_a_run_that_counted_batches_is_not_taken_for_one_that_counts_steps(optim_wrapper, meta, fits):
    cfg = Config(dict(optim_wrapper=dict(type="OptimWrapper", **optim_wrapper))).pretty_text
    with contextlib.nullcontext() if fits else pytest.raises(ConfigError, match=r"last\.pth: .* 4 to"):
        _check_counting("last.pth", dict(meta=dict(cfg=cfg, **meta)))


def test_a_referring_model_is_built_on_its_device(monkeypatch):
    monkeypatch.setattr("mmseg_mllm.engine.runner.get_device", lambda: "meta")
    classes = dict(type="EncoderDecoder", backbone=dict(type="ResNet", depth=18, base_channels=1))
    classes["decode_head"] = dict(type="FCNHead", in_channels=8, channels=4, num_classes=3)
    for model, device in ((tiny_config(), "meta"), (classes, "cpu")):
        runner = QuietRunner.__new__(QuietRunner)
        runner.cfg = Config(dict(model=model))
        built = runner.build_model(runner.cfg.model)
        assert {parameter.device.type for parameter in built.parameters()} == {device}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("has_gpu", [False, True])
def test_batches_are_pinned_where_there_is_a_gpu(has_gpu, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    settings = dict(dataset=[1, 2], batch_size=1, sampler=dict(type="DefaultSampler", shuffle=False))
    loader = QuietRunner.build_dataloader(settings)
    assert loader.pin_memory is has_gpu
    assert QuietRunner.build_dataloader(dict(settings, pin_memory=False)).pin_memory is False
    if not has_gpu:
        assert len(list(loader)) == 2


def test_a_work_dir_that_can_not_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"can't be made .* --work-dir"):
        build_runner(Config(dict(work_dir=str(tmp_path / "file" / "run"))))
