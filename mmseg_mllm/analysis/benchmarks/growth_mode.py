"""How the cost of an image grows with its expressions."""

from functools import partial

from mmengine.config import Config

from mmseg_mllm.analysis.benchmarks.inputs import random_images, samples_of
from mmseg_mllm.analysis.benchmarks.model_modes import probabilities
from mmseg_mllm.analysis.benchmarks.random_weights import build_random
from mmseg_mllm.analysis.benchmarks.synthetic_tokenizer import expression_texts
from mmseg_mllm.analysis.benchmarks.way import Benchmark, Setting, Way


def growth(config: Config, setting: Setting) -> Benchmark:
    """1, 2, 4, ... up to K expressions, each alone; ``tools/analysis_tools/plot_growth.py`` draws it."""
    segmentor = build_random(config.model, setting, merged=True)
    images = random_images(segmentor.backbone.image_size, setting)
    counts = [2**power for power in range(setting.expressions.bit_length())]
    ways = {
        f"K = {count}": Way(
            run=partial(probabilities, segmentor, images, samples_of(expression_texts(count), setting)),
            images=setting.images,
            expressions=setting.images * count,
        )
        for count in counts
    }
    return Benchmark(ways=ways, pairs=[])
