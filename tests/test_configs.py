"""Every config builds from itself alone, at true size on the meta device."""

from pathlib import Path

import pytest
import torch
from mmseg.registry import MODELS

import mmseg_mllm  # noqa: F401
from mmseg_mllm.engine.config import load_config

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(path.name for path in (ROOT / "configs" / "mllmseg").glob("*.py"))

# LLM widths and decoder parameters as published (MLLMSeg, Table 4), and as FLOP-free layer arithmetic gives.
SIZES = {
    "internvl2_5_1b_refcoco.py": (896, 27_831_942),
    "internvl2_5_2b_refcoco.py": (2048, 30_191_238),
    "internvl2_5_4b_refcoco.py": (2048, 30_191_238),
    "internvl2_5_8b_refcoco.py": (4096, 34_385_542),
    "internvl2_8b_refcoco.py": (4096, 34_385_542),
}


def build(name, **changes):
    config = load_config(str(ROOT / "configs" / "mllmseg" / name), changes)
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


def test_8b_trains_lora_two_token_rows_and_the_last_norm():
    model = build("internvl2_5_8b_refcoco.py").backbone
    trained = {name: p.numel() for name, p in model.named_parameters() if p.requires_grad}
    lora = sum(count for name, count in trained.items() if "lora" in name)
    # Rank 64 on q, o (4096 -> 4096), k, v (4096 -> 1024), gate, up (4096 -> 14336), down, in 32 layers.
    per_layer = 64 * (2 * (4096 + 4096) + 2 * (4096 + 1024) + 3 * (4096 + 14336))
    assert lora == 32 * per_layer
    assert sum(trained.values()) == lora + 2 * 2 * 4096 + 4096
    assert not any("vision_tower" in name or "projector" in name for name in trained)


def test_8b_schedule_is_the_papers():
    config = load_config(str(ROOT / "configs" / "mllmseg" / "internvl2_5_8b_refcoco.py"))
    assert config.train_cfg.max_iters == 50_000
    assert config.effective_batch_size == 32
    assert config.optim_wrapper.optimizer.lr == 4e-5
    assert config.optim_wrapper.optimizer.weight_decay == 0.05
    assert config.param_scheduler[0].end == 0.03 * 50_000
    assert config.model.backbone.dtype == "bfloat16"
