"""What a training step really holds on this machine."""

import torch
from torch.profiler import ProfilerActivity, profile

from mmseg_mllm.analysis.benchmarks.inputs import random_images, samples_of
from mmseg_mllm.analysis.benchmarks.random_weights import build_random
from mmseg_mllm.analysis.benchmarks.synthetic_tokenizer import expression_texts
from mmseg_mllm.analysis.benchmarks.way import Setting


def measured_step(model: dict, *, images: int, expressions: int, dtype: str, device: torch.device) -> int:
    """Bytes in use at the peak of a training step with random weights, weights included.

    By torch's allocator: of CUDA its own count, on a CPU the allocations that the profiler sees.

    Args:
        model: Config of an ``MLLMSegmentor``.
        images: B, passing together.
        expressions: K, asked about each.
        dtype: 'float32' or 'bfloat16', as of ``MLLMBackbone``.
        device: Where.
    """
    setting = Setting(device=device, dtype=dtype, images=images, expressions=expressions, repeats=1)
    segmentor = build_random(model, setting, merged=False).train()
    size = segmentor.backbone.image_size

    def step() -> None:
        inputs = random_images(size, setting)
        samples = samples_of(expression_texts(expressions), setting, mask_size=size)
        sum(segmentor.loss(inputs, samples).values()).backward()

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        step()
        return torch.cuda.max_memory_allocated(device)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        step()
    events = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    live = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    # The scales of quantised weights are in the state alone.
    held = (*segmentor.parameters(), *segmentor.buffers(), *segmentor.state_dict().values())
    storages = [tensor.untyped_storage() for tensor in held]
    return peak + sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())
