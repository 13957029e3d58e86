import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mmseg_mllm.analysis.benchmarks.flops import UNKNOWN_TO_TORCH
from mmseg_mllm.analysis.benchmarks.inputs import random_images, samples_of
from mmseg_mllm.analysis.benchmarks.random_weights import build_random
from mmseg_mllm.analysis.benchmarks.synthetic_tokenizer import expression_texts
from mmseg_mllm.analysis.benchmarks.way import Setting
from mmseg_mllm.analysis.training_flops import TrainingFlops
from mmseg_mllm.engine.config import load_config


@pytest.mark.parametrize("name", ["internvl_tiny_toy", "internvl_tiny_scratch_toy"])
def test_what_torch_counts_in_a_step(name):
    """With a frozen base, and with everything trained. LoRA's share and answers after [SEG] are the rest."""
    model = load_config(f"configs/mllmseg/{name}.py").model
    setting = Setting(device=torch.device("cpu"), dtype="float32", images=2, expressions=3, repeats=1)
    segmentor = build_random(model, setting, merged=False).train()
    size = segmentor.backbone.image_size
    inputs, samples = random_images(size, setting), samples_of(expression_texts(3), setting, mask_size=size)
    with FlopCounterMode(display=False, custom_mapping=UNKNOWN_TO_TORCH) as counter:
        sum(segmentor.loss(inputs, samples).values()).backward()
    counted = TrainingFlops.of(model).step(images=2, expressions=6)
    assert counted == pytest.approx(counter.get_total_flops(), rel=0.15)
