import gc

import pytest
import torch

from mmseg_mllm.analysis.benchmarks.synthetic_tokenizer import expression_texts
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


def test_quantised_weights_take_what_the_allocator_gives_out():
    pytest.importorskip("bitsandbytes")
    model = load_config(TINY).model
    # Weights of some size beside the activations.
    model.backbone.arch.text_config.update(hidden_size=512, intermediate_size=1536)
    model.backbone.quantization = "nf4"
    sizes = dict(images=1, expressions=2, dtype="bfloat16")
    step = step_memory(model, gpu=False, **sizes)
    planned = step.total - step.frozen + sum(stored(step, "nf4"))
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


@pytest.fixture
def eager_gc():
    """Cycles that wait to be collected count as in use: here none waits long."""
    before = gc.get_threshold()
    gc.freeze()  # what is there already would put full collections off
    gc.collect()
    gc.set_threshold(50, 2, 2)
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.usefixtures("eager_gc")
def test_a_layer_keeps_what_is_counted_by_hand():
    """Without checkpointing, for each token of a Llama layer of width h, MLP 3.5 h: both norms keep their
    input in float32 (8 h bytes); LoRA beside each linear its input in bfloat16 and a byte of dropout's mask
    (3 bytes of 9.5 h numbers: six inputs of h, one of 3.5 h); attention its queries, its keys and values of
    all heads, and what comes out (8 h); the MLP three maps (21 h). For all tokens: LoRA's weights in 16 bit.
    """
    kept = {}
    for layers in (2, 4):
        model = load_config(FLAGSHIP).model
        model.backbone.gradient_checkpointing = False
        model.backbone.arch.vision_config.num_hidden_layers = 1
        model.backbone.arch.text_config.num_hidden_layers = layers
        step = step_memory(model, images=1, expressions=5, dtype="bfloat16", gpu=True)
        kept[layers] = step.peak["language model"]
    segmentor = step.segmentor
    style, backbone = segmentor.prompt, segmentor.backbone
    turns = [[style.branch([text]) for text in expression_texts(5)]]
    layout = backbone.layout(style.system, turns, image_size=backbone.image_size, supervised=True)
    width, tokens = 4096, layout.input_ids.numel()
    lora = sum(p.numel() for n, p in backbone.text_model.layers[0].named_parameters() if "lora_" in n)
    by_hand = (8 + 3 * 9.5 + 8 + 21) * width * tokens + 2 * lora
    assert (kept[4] - kept[2]) / 2 == pytest.approx(by_hand, rel=0.05)
