"""The expressions of a real dataset: how many an image has, and how long they are."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor

from mmseg_mllm.analysis.benchmarks.inputs import random_images, samples_of
from mmseg_mllm.analysis.benchmarks.model_modes import probabilities
from mmseg_mllm.analysis.benchmarks.random_weights import build_random
from mmseg_mllm.analysis.benchmarks.synthetic_tokenizer import SyntheticTokenizer
from mmseg_mllm.analysis.benchmarks.way import Benchmark, Pair, Setting, Way
from mmseg_mllm.analysis.complexity import build_on_meta, count_flops
from mmseg_mllm.datasets.json_file import read_json
from mmseg_mllm.errors import ConfigError, DataError
from mmseg_mllm.prompts import expression_problem, prompt_style

SAMPLE = 50
"""Images that are measured, from all over the file; FLOPs are of all."""
LENGTHS = (8, 32, 64)
"""Tokens of a branch at which FLOPs are counted: they are a polynomial of second degree in the length."""


def sentences(config: Config, setting: Setting) -> Benchmark:
    """Each expression alone after one look at its image, against a full run for each expression.

    Raises:
        ConfigError: no file of sentences was given.
        DataError: it is broken.
    """
    if setting.sentences is None:
        raise ConfigError("mode 'sentences' needs --sentences FILE, a JSON with the sentences of images")
    by_image = read_sentences(setting.sentences)
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


def read_sentences(path: str) -> list[list[str]]:
    """The sentences of each image, in the file's order.

    Args:
        path: JSON, ``{"items": [{"image": ..., "text": ...}, ...]}``; sentences without words are left out,
            as no model is asked them.

    Raises:
        DataError: the file is missing or of another form, or has fewer images than are measured.
    """
    if not Path(path).is_file():
        raise DataError(f"--sentences {path}: no such file")
    items = read_json(path)
    items = items.get("items") if isinstance(items, dict) else None
    if not isinstance(items, list):
        raise DataError(f'{path}: a list of {{"image", "text"}} is wanted under "items"')
    by_image: dict[str, list[str]] = {}
    for number, item in enumerate(items):
        if not isinstance(item, dict) or not {"image", "text"} <= item.keys():
            raise DataError(f'{path}: items[{number}] has no "image" and "text"')
        if not expression_problem(item["text"]):
            by_image.setdefault(str(item["image"]), []).append(item["text"])
    if len(by_image) < SAMPLE:
        raise DataError(f"{path}: {len(by_image)} images with sentences; {SAMPLE} are measured")
    return list(by_image.values())


def sentence_flops(model: dict, by_image: Sequence[Sequence[str]]) -> dict[str, float]:
    """TFLOPs of all sentences; attention among the padding of shorter branches is not counted.

    Args:
        model: Config of an ``MLLMSegmentor``; it is built on the meta device.
        by_image: From :func:`read_sentences`.
    """
    segmentor = build_on_meta(model, merged=True)
    style, tokenizer = prompt_style("mllmseg"), SyntheticTokenizer(vocab_size=1024)
    texts = [text for image in by_image for text in image]
    lengths = [
        len(branch.ids)
        for branch in tokenizer.branches("", [style.branch([text]) for text in texts], supervised=False)
    ]
    one, two = (
        [sum(count_flops(segmentor, expressions=k, branch_tokens=n).values()) for n in LENGTHS]
        for k in (1, 2)
    )
    further = np.polynomial.Polynomial.fit(LENGTHS, np.subtract(two, one), deg=2)
    image = 2 * one[0] - two[0]
    expressions = float(further(np.array(lengths)).sum())
    together, alone = image * len(by_image) + expressions, image * len(texts) + expressions
    return {
        "images": len(by_image),
        "expressions": len(texts),
        "tokens of a question and its answer, mean": float(np.mean(lengths)),
        "TFLOPs, independent": together / 1e12,
        "TFLOPs, a full run for each expression": alone / 1e12,
        "their ratio": alone / together,
    }
