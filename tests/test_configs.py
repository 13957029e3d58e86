"""Every config builds from itself alone, at true size on the meta device."""

import functools
from pathlib import Path

import pytest
import torch
from mmseg.registry import DATASETS, MODELS

import mmseg_mllm  # noqa: F401
from mmseg_mllm.engine.config import fit_effective_batch, load_config

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(path.name for path in (ROOT / "configs" / "mllmseg").glob("*.py"))

# LLM widths and decoder parameters as published (MLLMSeg, Table 4), and as FLOP-free layer arithmetic gives.
SIZES = {
    "internvl2_5_1b_refcoco.py": (896, 27_831_942),
    "internvl2_5_2b_refcoco.py": (2048, 30_191_238),
    "internvl2_5_4b_refcoco.py": (2048, 30_191_238),
    "internvl2_5_8b_refcoco.py": (4096, 34_385_542),
    "internvl2_8b_refcoco.py": (4096, 34_385_542),
    "internvl2_5_8b_grefcoco.py": (4096, 34_385_542),
}
# Parameters of bases as their makers state them, in billions to two decimals; not read from their files.
STATED = {
    "internvl3_5_1b_refcoco.py": 1.06,
    "internvl3_5_8b_refcoco.py": 8.53,
    "qwen3vl_2b_refcoco.py": 2.13,
    "qwen3vl_4b_refcoco.py": 4.44,
    "qwen3vl_8b_refcoco.py": 8.77,
    "qwen2_5vl_3b_refcoco.py": 3.75,
    "qwen2_5vl_7b_refcoco.py": 8.29,
    "smolvlm2_256m_refcoco.py": 0.26,
    "smolvlm2_500m_refcoco.py": 0.51,
    "smolvlm2_2_2b_refcoco.py": 2.25,
    "gemma3_4b_refcoco.py": 4.30,
}
# Decoder parameters of the paper's Table 4, in millions to two decimals.
ABLATIONS = {
    "internvl2_5_8b_detail_refcoco.py": 17.56,
    "internvl2_5_8b_semantic_refcoco.py": 21.78,
    "internvl2_5_8b_concat_refcoco.py": 22.83,
    "internvl2_5_8b_refcoco.py": 34.39,
}


def read(name):
    return load_config(str(ROOT / "configs" / "mllmseg" / name))


@functools.cache
def build(name, *, lora=False):
    """On the meta device; making LoRA takes most of the time."""
    config = read(name)
    if not lora and "backbone" in config.model:
        config.model.backbone.lora = None
    with torch.device("meta"):
        return MODELS.build(config.model)


@pytest.mark.parametrize("name", CONFIGS)
def test_leaf_is_short_and_has_a_model(name):
    lines = (ROOT / "configs" / "mllmseg" / name).read_text().splitlines()
    assert len(lines) < 30 or "real" in name
    assert build(name).decode_head is not None


@pytest.mark.parametrize("name", SIZES)
def test_true_sizes(name):
    width, decoder = SIZES[name]
    model = build(name)
    assert model.backbone.out_channels == (1024, width)
    assert model.backbone.num_image_tokens(448) == 256
    assert sum(p.numel() for p in model.decode_head.parameters()) == decoder


@pytest.mark.parametrize("name", STATED)
def test_other_bases_have_their_stated_sizes(name):
    config = read(name)
    model = build(name).backbone
    assert round(sum(p.numel() for p in model.model.parameters()) / 1e9, 2) == STATED[name]
    sizes = {step.size for step in config.test_pipeline if step.type == "ResizeToInput"}
    assert sizes == {model.image_size}
    grid = model.image_size // model.patch_size
    assert model.num_image_tokens(model.image_size) == (grid // model.downsample) ** 2
    assert grid % model.downsample == 0


@pytest.mark.parametrize("name", ABLATIONS)
def test_ablations_have_the_papers_sizes(name):
    size = sum(p.numel() for p in build(name).decode_head.parameters())
    assert round(size / 1e6, 2) == ABLATIONS[name]


def test_ablations_differ_from_the_base_in_the_fusion_only():
    base = read("internvl2_5_8b_refcoco.py")
    for name in ABLATIONS:
        config = read(name)
        config.model.decode_head.fusion = base.model.decode_head.fusion
        assert config.to_dict() == base.to_dict()


def test_8b_trains_lora_two_token_rows_and_the_last_norm():
    model = build("internvl2_5_8b_refcoco.py", lora=True).backbone
    trained = {name: p.numel() for name, p in model.named_parameters() if p.requires_grad}
    lora = sum(count for name, count in trained.items() if "lora" in name)
    # Rank 64 on q, o (4096 -> 4096), k, v (4096 -> 1024), gate, up (4096 -> 14336), down, in 32 layers.
    per_layer = 64 * (2 * (4096 + 4096) + 2 * (4096 + 1024) + 3 * (4096 + 14336))
    assert lora == 32 * per_layer
    assert sum(trained.values()) == lora + 2 * 2 * 4096 + 4096
    assert not any("vision_tower" in name or "projector" in name for name in trained)


def test_8b_schedule_is_the_papers():
    config = read("internvl2_5_8b_refcoco.py")
    assert config.train_cfg.max_iters == 50_000
    assert config.effective_batch_size == 32
    assert config.optim_wrapper.optimizer.lr == 4e-5
    assert config.optim_wrapper.optimizer.weight_decay == 0.05
    assert config.param_scheduler[0].end == 0.03 * 50_000
    assert config.model.backbone.dtype == "auto"


def test_gres_schedule_is_the_papers():
    config, res = read("internvl2_5_8b_grefcoco.py"), read("internvl2_5_8b_refcoco.py")
    assert config.train_cfg.max_iters == 20_000
    warm_up, cosine = config.param_scheduler
    assert warm_up.end == cosine.begin == 0.03 * 20_000
    assert cosine.end == 20_000
    assert config.optim_wrapper == res.optim_wrapper
    assert config.effective_batch_size == res.effective_batch_size
    fit_effective_batch(config, processes=2)
    assert config.train_cfg.max_iters == cosine.end == 20_000


def test_gres_takes_grefcoco_through_the_pipelines_of_res(refer_root):
    config, res = read("internvl2_5_8b_grefcoco.py"), read("internvl2_5_8b_refcoco.py")
    here = dict(data_root=str(refer_root), data_prefix=dict(img_path="images"), pipeline=[])
    train, val = config.train_dataloader.dataset, config.val_dataloader.dataset
    assert train.pipeline == res.train_pipeline
    assert val.pipeline == config.test_dataloader.dataset.pipeline == res.test_pipeline
    assert config.test_dataloader.dataset.split == ["val", "testA", "testB"]
    # Images of the small set with expressions of that split.
    assert [len(DATASETS.build({**part, **here})) for part in (train, val)] == [1, 2]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("mllmseg/internvl2_5_8b_refcoco.py", False),
        ("dsff/resnet50_dsff_4xb4-160k_ade20k-512x512.py", True),
    ],
)
def test_kernels_are_timed_where_sizes_stay(name, wanted):
    assert load_config(str(ROOT / "configs" / name)).env_cfg.cudnn_benchmark is wanted
