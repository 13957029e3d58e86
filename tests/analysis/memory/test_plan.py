from dataclasses import replace

import pytest

from mmseg_mllm.analysis.memory.advice import changes
from mmseg_mllm.analysis.memory.plan import BUCKETS, OPTIMIZER, Planner, way_of
from mmseg_mllm.analysis.memory.shards import gathered_bytes
from mmseg_mllm.analysis.memory.tables import verdict
from mmseg_mllm.analysis.memory.training_step import FROZEN, GRADIENTS, TRAINED
from mmseg_mllm.engine.config import load_config
from mmseg_mllm.errors import ConfigError

TINY = "configs/mllmseg/internvl_tiny_toy.py"


@pytest.fixture(scope="module")
def config():
    return load_config(TINY)


@pytest.fixture(scope="module")
def planner(config):
    return Planner(config)


@pytest.fixture(scope="module")
def one(config):
    return replace(way_of(config, gpus=1, shard=False, quantization=None), images=2)


def test_copies_on_each_gpu(planner, one):
    """The effective batch of 16 takes 8 batches of 2 on one GPU, 4 on each of two."""
    alone, copied = planner.plan(one), planner.plan(replace(one, gpus=2))
    assert (alone.rounds, copied.rounds) == (8, 4)
    # Two moments of AdamW for 1,403,450 numbers, of which 1,044,480 are in matrices that Muon has one for.
    assert alone.held[OPTIMIZER] == 4 * (2 * 1_403_450 - 1_044_480)
    assert BUCKETS not in alone.held
    assert copied.held[BUCKETS] == alone.held[TRAINED] == alone.peak[GRADIENTS] == alone.gradients
    assert copied.total - alone.total == copied.held[BUCKETS]


def test_spread_over_gpus(planner, one):
    copied, spread = planner.plan(replace(one, gpus=2)), planner.plan(replace(one, gpus=2, shard=True))
    for part in (FROZEN, TRAINED, OPTIMIZER):
        assert spread.held[part] == copied.held[part] // 2
    assert spread.peak[GRADIENTS] == copied.peak[GRADIENTS] // 2
    assert BUCKETS not in spread.held


def test_quantised_weights(planner, one):
    """Six layers of 128 wide: per layer 2 x 128 x 128 + 2 x 64 x 128 + 3 x 384 x 128 weights."""
    plain = planner.plan(one).held[FROZEN]
    weights = 6 * (2 * 128 * 128 + 2 * 64 * 128 + 3 * 384 * 128)
    four = planner.plan(replace(one, quantization="nf4")).held[FROZEN]
    assert plain - four == pytest.approx(weights * (4 - 0.5 - 1 / 64), rel=0.001)
    eight = planner.plan(replace(one, quantization="int8")).held[FROZEN]
    rows = 6 * (128 + 128 + 2 * 64 + 2 * 384 + 128)
    assert plain - eight == weights * 3 - rows * 4


def test_whole_layers_at_a_time(planner, one):
    """Two layers and all that is in none, but not all of the model."""
    segmentor = planner._step(replace(one, images=2), accumulates=True).segmentor
    core = segmentor.backbone.model.model
    layers = [*core.language_model.layers, *core.vision_tower.encoder.layer]
    sizes = [sum(p.nbytes for p in layer.parameters()) for layer in layers]
    whole = sum(p.nbytes for p in segmentor.parameters())
    assert gathered_bytes(segmentor, None) == whole - sum(sizes) + 2 * max(sizes)


def test_what_makes_it_smaller(planner, one):
    plan = planner.plan(replace(one, gpus=2))
    found = list(changes(planner, plan))
    assert [change.says.split("=")[0] for change in found] == [
        "model.backbone.gradient_checkpointing",
        "train_dataloader.batch_size",
        "--shard",
        "model.backbone.quantization",
        "all of these",
    ]
    assert found[-1].plan.total == min(change.plan.total for change in found) < plan.total
    smallest = found[-1].plan.total / 1e9
    assert verdict(plan, found, gpu_memory=smallest).endswith("with all of these")
    assert verdict(plan, found, gpu_memory=smallest / 2).startswith("It does not fit")
    assert verdict(plan, found, gpu_memory=80).startswith("It fits")


def test_shards_are_not_advised_with_int8(planner, one):
    way = replace(one, gpus=2, images=1, checkpointing=True, quantization="int8")
    assert list(changes(planner, planner.plan(way))) == []


def test_refusals(config, planner, one):
    with pytest.raises(ConfigError, match="effective_batch_size=16 can't be shared"):
        planner.plan(replace(one, gpus=3))
    with pytest.raises(ConfigError, match="nf4, int8"):
        planner.plan(replace(one, quantization="int3"))
    with pytest.raises(ConfigError, match="not go together"):
        planner.plan(replace(one, gpus=2, shard=True, quantization="int8"))
    with pytest.raises(ConfigError, match="MLLMSegmentor"):
        Planner(load_config(TINY, {"model.type": "EncoderDecoder"})).plan(one)
