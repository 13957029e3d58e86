"""The expressions of a real dataset, measured."""

from collections.abc import Callable, Sequence

import torch
from mmengine.config import Config
from torch import Tensor

from mmseg_mllm.analysis.benchmarks.inputs import random_images, samples_of
from mmseg_mllm.analysis.benchmarks.model_modes import probabilities
from mmseg_mllm.analysis.benchmarks.random_weights import build_random
from mmseg_mllm.analysis.benchmarks.sentence_file import read_sentences, sentence_flops
from mmseg_mllm.analysis.benchmarks.way import Benchmark, Pair, Setting, Way
from mmseg_mllm.errors import ConfigError, DataError

SAMPLE = 50
"""Images that are measured, from all over the file; FLOPs are of all."""


def sentences(config: Config, setting: Setting) -> Benchmark:
    """Each expression alone after one look at its image, against a full run for each expression.

    Raises:
        ConfigError: no file of sentences was given.
        DataError: it is broken.
    """
    if setting.sentences is None:
        raise ConfigError("mode 'sentences' needs --sentences FILE, a JSON with the sentences of images")
    by_image = read_sentences(setting.sentences)
    if len(by_image) < SAMPLE:
        raise DataError(f"{setting.sentences}: {len(by_image)} images with sentences; {SAMPLE} are measured")
    figures = sentence_flops(config.model, by_image)
    segmentor = build_random(config.model, setting, merged=True)
    image = random_images(segmentor.backbone.image_size, setting)
    sample = [by_image[i * len(by_image) // SAMPLE] for i in range(SAMPLE)]

    def over(parts: Callable[[Sequence[str]], Sequence[Sequence[str]]]) -> Callable[[], Tensor]:
        def run() -> Tensor:
            # Every 16th pixel: all of them would be hundreds of megabytes.
            masks = [
                probabilities(segmentor, image, samples_of(part, setting))[..., ::16, ::16]
                for texts in sample
                for part in parts(texts)
            ]
            return torch.cat(masks)

        return run

    counts = dict(
        images=SAMPLE * setting.images, expressions=setting.images * sum(len(texts) for texts in sample)
    )
    ways = {
        "independent": Way(run=over(lambda texts: [texts]), **counts),
        "a full run for each expression": Way(run=over(lambda texts: [[text] for text in texts]), **counts),
    }
    pair = Pair(way="independent", plain="a full run for each expression")
    return Benchmark(ways=ways, pairs=[pair], figures=figures, result="mask probabilities, every 16th pixel")
