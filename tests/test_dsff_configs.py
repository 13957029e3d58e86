"""Every experiment of configs/dsff is complete, fits its dataset, and differs from its peers in the head."""

import importlib.util
import textwrap
from pathlib import Path

import mmseg
import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS

from mmseg_mllm.engine.config import load_config
from mmseg_mllm.errors import ConfigError

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "configs" / "dsff"
NAMES = sorted(path.name for path in FOLDER.glob("*.py"))
TOY = [name for name in NAMES if name.startswith("toy-")]
CONVNEXT = [name for name in NAMES if name.startswith("convnext")]
HAS_MMPRETRAIN = importlib.util.find_spec("mmpretrain") is not None
needs_mmpretrain = pytest.mark.skipif(not HAS_MMPRETRAIN, reason="needs mmpretrain and torchvision")
MMSEG_BASES = Path(mmseg.__file__).parent / ".mim" / "configs" / "_base_"


def read(name):
    return load_config(str(FOLDER / name))


def build(config):
    """The model, without a download."""
    init_default_scope("mmseg")
    config.model.backbone.pop("init_cfg", None)
    return MODELS.build(config.model).eval()


def test_there_are_four_backbones_two_datasets_and_twelve_toys():
    full = [name for name in NAMES if name not in TOY]
    assert {name.split("_dsff_")[0] for name in full} == {"resnet50", "swin-t", "mit-b0", "convnext-t"}
    assert (len(full), len(TOY)) == (8, 12)


@pytest.mark.parametrize("name", NAMES)
def test_leaf_is_short(name):
    assert len((FOLDER / name).read_text().splitlines()) < 30


def marked(names):
    return [pytest.param(name, marks=needs_mmpretrain) if name in CONVNEXT else name for name in names]


@pytest.mark.parametrize("name", marked(NAMES))
def test_model_gives_a_logit_for_each_class_of_the_dataset(name):
    config = read(name)
    model = build(config)
    dataset = DATASETS.get(config.train_dataloader.dataset.type)
    classes = config.train_dataloader.dataset.get("metainfo", dataset.METAINFO)["classes"]
    with torch.no_grad():
        logits = model(torch.zeros(1, 3, 64, 64))
    detail_stride = 4 if name in TOY else 8
    assert logits.shape == (1, len(classes), 64 // detail_stride, 64 // detail_stride)


@pytest.mark.parametrize("name", marked([name for name in NAMES if name not in TOY]))
def test_names_say_what_the_config_does(name):
    config = read(name)
    _, head, schedule, dataset = name.removesuffix(".py").split("_")
    setting, iterations = schedule.split("-")
    processes, images = map(int, setting.split("xb"))
    assert config.train_dataloader.batch_size == images
    assert config.effective_batch_size == processes * images
    assert config.train_cfg.max_iters == config.param_scheduler[-1].end == int(iterations[:-1]) * 1000
    height, width = map(int, dataset.split("-")[1].split("x"))
    assert tuple(config.crop_size) == (height, width) == tuple(config.model.data_preprocessor.size)
    assert (head, config.model.decode_head.type) == ("dsff", "DSFFHead")


@pytest.mark.skipif(HAS_MMPRETRAIN, reason="mmpretrain is installed")
@pytest.mark.parametrize("name", CONVNEXT)
def test_a_missing_package_is_named(name):
    with pytest.raises(ConfigError, match=rf"{name}.*No module named 'mmpretrain'.*pip install"):
        read(name)


def test_toy_configs_of_a_backbone_differ_in_the_head_alone():
    for backbone in ("resnet", "swin", "mit"):
        configs = [read(name).to_dict() for name in TOY if name.startswith(f"toy-{backbone}_")]
        heads = {config["model"].pop("decode_head")["type"] for config in configs}
        assert heads == {"DSFFHead", "FCNHead", "UPerHead", "SegformerHead"}
        assert all(config == configs[0] for config in configs)


@pytest.mark.parametrize(
    ("dataset", "schedule", "classes"), [("cityscapes", "80k", 19), ("ade20k", "160k", 150)]
)
def test_head_in_mmsegs_own_bases(tmp_path, dataset, schedule, classes):
    text = f"""
        _base_ = [
            "{MMSEG_BASES}/models/segformer_mit-b0.py",
            "{MMSEG_BASES}/datasets/{dataset}.py",
            "{MMSEG_BASES}/schedules/schedule_{schedule}.py",
            "{MMSEG_BASES}/default_runtime.py",
        ]
        custom_imports = dict(imports=["mmseg_mllm"])
        model = dict(
            decode_head=dict(
                _delete_=True,
                type="DSFFHead",
                in_channels=[64, 256],
                in_index=[1, 3],
                channels=64,
                num_classes={classes},
                norm_cfg=dict(type="SyncBN"),
            ),
        )
    """
    path = tmp_path / "own.py"
    path.write_text(textwrap.dedent(text))
    config = load_config(str(path))
    assert len(DATASETS.get(config.train_dataloader.dataset.type).METAINFO["classes"]) == classes
    model = build(config)
    assert type(model.decode_head).__name__ == "DSFFHead"
    with torch.no_grad():
        assert model(torch.zeros(1, 3, 64, 64)).shape == (1, classes, 8, 8)
