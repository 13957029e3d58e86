import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from mmseg_mllm.analysis.benchmarks.inputs import random_images, samples_of
from mmseg_mllm.analysis.benchmarks.random_weights import build_random
from mmseg_mllm.analysis.benchmarks.synthetic_tokenizer import expression_texts
from mmseg_mllm.analysis.benchmarks.way import Setting
from mmseg_mllm.analysis.memory.fake_model import SizesOnly
from mmseg_mllm.analysis.memory.inference import inference_memory
from mmseg_mllm.analysis.memory.training_step import step_memory
from mmseg_mllm.engine.config import load_config

CONFIGS = "configs/mllmseg"
ARCH = "model.backbone.arch"
SMALL = {
    f"{ARCH}.vision_config.depth": 2,
    f"{ARCH}.vision_config.hidden_size": 64,
    f"{ARCH}.vision_config.num_heads": 4,
    f"{ARCH}.vision_config.out_hidden_size": 128,
    f"{ARCH}.text_config.hidden_size": 128,
    f"{ARCH}.text_config.num_hidden_layers": 2,
    f"{ARCH}.text_config.num_attention_heads": 4,
    f"{ARCH}.text_config.num_key_value_heads": 2,
    f"{ARCH}.text_config.intermediate_size": 256,
    f"{ARCH}.text_config.vocab_size": 1024,
    "model.decode_head.channels": 64,
    "model.backbone.image_size": 112,
}
QWEN = {
    "qwen2_5vl_3b_refcoco.py": {f"{ARCH}.text_config.rope_parameters.mrope_section": [4, 6, 6]},
    "qwen3vl_2b_refcoco.py": {
        f"{ARCH}.vision_config.deepstack_visual_indexes": [0, 1],
        f"{ARCH}.text_config.head_dim": 32,
        f"{ARCH}.text_config.rope_parameters.mrope_section": [6, 5, 5],
        "model.backbone.image_size": 128,
    },
}


@torch.no_grad()
def test_as_much_as_the_allocator_gives_out():
    """On a CPU, whose kernels need work space besides: less than a tenth of the whole here."""
    model = load_config(f"{CONFIGS}/internvl_tiny_toy.py").model
    planned = inference_memory(model, images=2, expressions=3, dtype="float32")
    setting = Setting(device=torch.device("cpu"), dtype="float32", images=2, expressions=3, repeats=1)
    segmentor = build_random(model, setting, merged=True)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        inputs = random_images(segmentor.backbone.image_size, setting)
        segmentor(inputs, samples_of(expression_texts(3), setting), mode="tensor")
    events = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    live = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    weights = sum(x.nbytes for x in (*segmentor.parameters(), *segmentor.buffers()))
    assert 0.9 * (weights + peak) < planned <= weights + peak


@pytest.mark.parametrize("name", QWEN)
def test_towers_that_make_sizes_of_tensors(name):
    model = load_config(f"{CONFIGS}/{name}", {**SMALL, **QWEN[name]}).model
    weights = inference_memory(model, images=1, expressions=1, dtype="bfloat16")
    step = step_memory(model, images=2, expressions=2, dtype="bfloat16", gpu=True)
    assert step.frozen + step.trained < step.total
    assert weights < step.total


def test_sizes_may_depend_on_numbers_alone():
    with SizesOnly():
        counts = torch.tensor([2, 3])
        assert torch.repeat_interleave(torch.arange(2), counts).tolist() == [0, 0, 1, 1, 1]
        data = torch.randn(5, 4)
        mask = torch.arange(5) > 1
        assert data[mask].shape == (3, 4)
        assert (counts * torch.randn(2)).device.type == "cpu"
