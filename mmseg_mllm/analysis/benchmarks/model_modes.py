"""Modes that ask the whole model: inference, and what an interactive user waits for."""

import torch
from mmengine.config import Config
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_mllm.analysis.benchmarks.inputs import random_images, samples_of
from mmseg_mllm.analysis.benchmarks.random_weights import build_random
from mmseg_mllm.analysis.benchmarks.synthetic_tokenizer import expression_texts
from mmseg_mllm.analysis.benchmarks.way import Benchmark, Pair, Setting, Way
from mmseg_mllm.models import MLLMSegmentor
from mmseg_mllm.models.segmentors.protocols import protocol_of

SEEN = "expressions see one another in 'joint'"
"""Why masks of the protocols differ."""


def inference(config: Config, setting: Setting) -> Benchmark:
    """B images with K expressions each: masks at input size, images are on the device."""
    segmentor = build_random(config.model, setting, merged=True)
    images = random_images(segmentor.backbone.image_size, setting)
    texts = expression_texts(setting.expressions)

    def separate() -> Tensor:
        masks = [probabilities(segmentor, images, samples_of([text], setting)) for text in texts]
        return torch.stack(masks, dim=1).flatten(0, 1)  # image by image, as the others

    sizes = dict(images=setting.images, expressions=setting.images * setting.expressions)
    ways = {
        "independent": Way(run=lambda: probabilities(segmentor, images, samples_of(texts, setting)), **sizes),
        "joint": Way(
            run=lambda: probabilities(segmentor, images, samples_of(texts, setting), protocol="joint"),
            **sizes,
        ),
        "a full run for each expression": Way(run=separate, **sizes),
    }
    plain = "a full run for each expression"
    return Benchmark(
        ways=ways,
        pairs=[
            Pair(way="independent", plain=plain),
            Pair(way="joint", plain=plain, differ=SEEN if setting.expressions > 1 else ""),
            Pair(way="independent", plain="joint", differ=SEEN if setting.expressions > 1 else ""),
        ],
    )


def predictor(config: Config, setting: Setting) -> Benchmark:
    """The parts of ``RESPredictor``: masks at original size, images are on the device.

    A first question costs what a further one does, after the look at the image.
    """
    segmentor = build_random(config.model, setting, merged=True)
    images = random_images(segmentor.backbone.image_size, setting)
    texts = expression_texts(setting.expressions)
    seen = segmentor.look(images)

    def look() -> None:
        segmentor.look(images)

    def first() -> Tensor:
        return _found(segmentor.answer(segmentor.look(images), samples_of(texts[:1], setting)))

    def further(asked: list[str]) -> Tensor:
        return _found(segmentor.answer(seen, samples_of(asked, setting)))

    def full() -> Tensor:
        segmentor.protocol = protocol_of("independent")
        return _found(segmentor.predict(images, samples_of(texts[:1], setting)))

    one = dict(images=setting.images, expressions=setting.images)
    many = dict(images=setting.images, expressions=setting.images * setting.expressions)
    ways = {
        "set image": Way(run=look, images=setting.images),
        "set image, first expression": Way(run=first, **one),
        "further expression": Way(run=lambda: further(texts[:1]), **one),
        "full run for one expression": Way(run=full, **one),
    }
    if setting.expressions > 1:
        ways[f"{setting.expressions} further expressions together"] = Way(run=lambda: further(texts), **many)
    return Benchmark(
        ways=ways,
        pairs=[
            Pair(way=name, plain="full run for one expression")
            for name in ("set image, first expression", "further expression")
        ],
        figures={"kept of the image, MiB": seen.nbytes / 2**20},
    )


@torch.no_grad()
def probabilities(
    segmentor: MLLMSegmentor,
    images: Tensor,
    samples: list[SegDataSample],
    *,
    protocol: str = "independent",
) -> Tensor:
    """(N, 1, H, W) float32 in [0, 1] of all expressions in order."""
    segmentor.protocol = protocol_of(protocol)
    return segmentor.encode_decode(images, samples).float().sigmoid()


def _found(samples: list[SegDataSample]) -> Tensor:
    return torch.cat([sample.pred_instances.probabilities for sample in samples])
