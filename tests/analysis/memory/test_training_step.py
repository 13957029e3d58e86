import pytest
import torch

from mmseg_mllm.analysis.memory.live_storages import WORKSPACE, LiveStorages
from mmseg_mllm.analysis.memory.measured import measured_step
from mmseg_mllm.analysis.memory.plan import stored
from mmseg_mllm.analysis.memory.training_step import step_memory
from mmseg_mllm.engine.config import load_config

TINY = "configs/mllmseg/internvl_tiny_toy.py"
FLAGSHIP = "configs/mllmseg/internvl2_5_8b_refcoco.py"


def test_storages_count_while_they_live_and_once():
    live = LiveStorages(workspace=lambda func, args: 1000 if func is torch.ops.aten.mm.default else 0)
    with live:
        live.part = "first"
        a = torch.ones(10, 10)
        view = a.t()
        live.part = "second"
        torch.mm(a, view)  # gone at once, with its workspace
        del a
        assert live.live == {"first": 400, "second": 0}
        del view
        assert live.live["first"] == 0
    assert live.peak == {"first": 400, "second": 400, WORKSPACE: 1000}


@pytest.mark.parametrize(
    ("dtype", "checkpointing", "images"),
    [("float32", False, 4), ("bfloat16", False, 2), ("float32", True, 2)],
)
def test_as_much_as_the_allocator_gives_out(dtype, checkpointing, images):
    model = load_config(TINY).model
    model.backbone.update(gradient_checkpointing=checkpointing)
    step = dict(images=images, expressions=3, dtype=dtype)
    planned = step_memory(model, gpu=False, **step)
    assert planned.total == pytest.approx(measured_step(model, device=torch.device("cpu"), **step), rel=0.05)


@pytest.mark.parametrize("quantization", ["nf4", "int8"])
def test_quantised_weights_take_what_the_allocator_gives_out(quantization):
    pytest.importorskip("bitsandbytes")
    model = load_config(TINY).model
    # Weights of some size beside the activations.
    model.backbone.arch.text_config.update(hidden_size=512, intermediate_size=1536)
    model.backbone.quantization = quantization
    sizes = dict(images=1, expressions=2, dtype="bfloat16")
    step = step_memory(model, gpu=False, **sizes)
    planned = step.total - step.frozen + sum(stored(step, quantization))
    assert planned < 0.9 * step.total
    assert planned == pytest.approx(measured_step(model, device=torch.device("cpu"), **sizes), rel=0.05)


def test_flagship_model():
    """8.08 G frozen weights of 2 bytes, 202 M trained ones of 4; Adam and DDP's buckets are
    three times these, and all of it is 23.6 GB by an independent count for eight images on an A100."""
    model = load_config(FLAGSHIP).model
    model.decode_head.with_cp = False  # as it was counted
    planned = step_memory(model, images=8, expressions=5, dtype="bfloat16", gpu=True)
    assert planned.frozen == pytest.approx(16.15e9, rel=0.001)
    assert planned.trained == planned.gradients == pytest.approx(0.809e9, rel=0.001)
    assert planned.total + 3 * planned.trained == pytest.approx(23.6e9, rel=0.05)
