"""Memory of inference, from sizes alone."""

import torch

from mmseg_mllm.analysis.benchmarks.inputs import random_images, samples_of
from mmseg_mllm.analysis.benchmarks.synthetic_tokenizer import SyntheticTokenizer, expression_texts
from mmseg_mllm.analysis.benchmarks.way import Setting
from mmseg_mllm.analysis.complexity import build_on_meta
from mmseg_mllm.analysis.memory.fake_model import SizesOnly, fake_tensors
from mmseg_mllm.analysis.memory.kernels import kernels_of_gpus
from mmseg_mllm.analysis.memory.live_storages import LiveStorages


@torch.no_grad()
def inference_memory(model: dict, *, images: int, expressions: int, dtype: str) -> int:
    """Bytes that a GPU holds at the peak of one pass, weights included, from images to mask logits.

    Args:
        model: Config of an ``MLLMSegmentor``; LoRA is merged.
        images: B, passing together.
        expressions: K, asked about each.
        dtype: 'float32' or 'bfloat16', as of ``MLLMBackbone``.

    Raises:
        ConfigError: the config is of another segmentor.
    """
    live = LiveStorages()
    segmentor = build_on_meta(model, merged=True, dtype=dtype)
    segmentor.backbone.tokenizer = SyntheticTokenizer(vocab_size=segmentor.backbone.vocab_size)
    setting = Setting(
        device=torch.device("cpu"), dtype=dtype, images=images, expressions=expressions, repeats=1
    )
    with SizesOnly():
        fake_tensors(segmentor)
        with live, kernels_of_gpus():
            for tensor in (*segmentor.parameters(), *segmentor.buffers()):
                live.count(tensor)
            inputs = random_images(segmentor.backbone.image_size, setting)
            segmentor(inputs, samples_of(expression_texts(expressions), setting), mode="tensor")
    return live.peak.total()
