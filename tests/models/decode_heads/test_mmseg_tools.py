"""DSFFHead through mmseg's configs and interfaces, unchanged."""

from pathlib import Path

import mmseg
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.apis import MMSegInferencer, inference_model, init_model
from mmseg.registry import DATASETS, MODELS

import mmseg_mllm  # noqa: F401
from mmseg_mllm.models.decode_heads import DSFFHead

BASES = Path(mmseg.__file__).parent / ".mim" / "configs" / "_base_"
PIPELINE = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(96, 64), keep_ratio=True),
    dict(type="PackSegInputs"),
]
SMALL = dict(
    default_scope="mmseg",
    model=dict(
        type="EncoderDecoder",
        data_preprocessor=dict(
            type="SegDataPreProcessor",
            mean=[123.675, 116.28, 103.53],
            std=[58.395, 57.12, 57.375],
            bgr_to_rgb=True,
        ),
        backbone=dict(type="ResNet", depth=18, stem_channels=8, base_channels=8),
        decode_head=dict(type="DSFFHead", in_channels=[16, 64], in_index=[1, 3], channels=32, num_classes=4),
        test_cfg=dict(mode="whole"),
    ),
    test_pipeline=PIPELINE,
    visualizer=dict(type="SegLocalVisualizer", vis_backends=[]),
    test_dataloader=dict(dataset=dict(type="BaseSegDataset", pipeline=PIPELINE)),
)
CLASSES = dict(classes=("a", "b", "c", "d"), palette=[[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]])


@pytest.mark.skipif(not BASES.exists(), reason="this mmsegmentation was installed without its configs")
@pytest.mark.parametrize(
    ("dataset", "schedule", "classes"),
    [("ade20k", "schedule_160k", 150), ("cityscapes", "schedule_80k", 19)],
)
def test_bases_of_mmseg(dataset, schedule, classes, tmp_path):
    bases = ["models/segformer_mit-b0.py", f"datasets/{dataset}.py", f"schedules/{schedule}.py"]
    path = tmp_path / "config.py"
    path.write_text(
        f"_base_ = {[str(BASES / base) for base in (*bases, 'default_runtime.py')]}\n"
        "model = dict(data_preprocessor=dict(size=(64, 64)), decode_head=dict(_delete_=True, "
        f"type='DSFFHead', in_channels=[64, 256], in_index=[1, 3], channels=64, num_classes={classes}, "
        "norm_cfg=dict(type='SyncBN', requires_grad=True)))\n"
    )
    config = Config.fromfile(path)
    init_default_scope(config.default_scope)
    model = MODELS.build(config.model)
    assert type(model.decode_head) is DSFFHead
    assert len(build_optim_wrapper(model, config.optim_wrapper).param_groups) == 1
    for loader in (config.train_dataloader, config.val_dataloader):
        data = DATASETS.build(dict(loader.dataset, lazy_init=True))
        assert len(data.metainfo["classes"]) == model.decode_head.num_classes


def test_init_model_and_inference_model(tmp_path):
    config = Config(SMALL)
    model = init_model(config, device="cpu")
    torch.save(dict(state_dict=model.state_dict(), meta=dict(dataset_meta=CLASSES)), tmp_path / "model.pth")
    again = init_model(Config(SMALL), str(tmp_path / "model.pth"), device="cpu")
    image = np.random.default_rng(0).integers(0, 255, (50, 70, 3), dtype=np.uint8)
    first, second = (inference_model(made, image).seg_logits.data for made in (model, again))
    assert first.shape == (4, 50, 70)
    torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_inferencer(tmp_path):
    model = init_model(Config(SMALL), device="cpu")
    torch.save(dict(state_dict=model.state_dict(), meta=dict(dataset_meta=CLASSES)), tmp_path / "model.pth")
    Config(SMALL).dump(tmp_path / "config.py")
    inferencer = MMSegInferencer(str(tmp_path / "config.py"), str(tmp_path / "model.pth"), device="cpu")
    image = np.random.default_rng(0).integers(0, 255, (50, 70, 3), dtype=np.uint8)
    found = inferencer(image, return_vis=True)
    expected = inference_model(model, image).pred_sem_seg.data[0]
    assert np.array_equal(found["predictions"], expected.numpy())
    assert found["visualization"].shape == image.shape
