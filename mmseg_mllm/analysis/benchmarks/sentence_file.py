"""The expressions of a real dataset: how many an image has, how long they are, and what they cost."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmseg_mllm.analysis.benchmarks.synthetic_tokenizer import SyntheticTokenizer
from mmseg_mllm.analysis.complexity import build_on_meta, count_flops
from mmseg_mllm.datasets.json_file import read_json
from mmseg_mllm.errors import DataError
from mmseg_mllm.prompts import expression_problem, prompt_style

LENGTHS = (8, 32, 64)
"""Tokens of a branch at which FLOPs are counted: they are a polynomial of second degree in the length."""


def read_sentences(path: str) -> list[list[str]]:
    """The sentences of each image, in the file's order.

    Args:
        path: JSON, ``{"items": [{"image": ..., "text": ...}, ...]}``; sentences without words are left out,
            as no model is asked them.

    Raises:
        DataError: the file is missing or of another form, or has no sentence.
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
    if not by_image:
        raise DataError(f"{path}: 0 images with sentences; one at least is wanted")
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
    turns = [segmentor.backbone.family.chat.branch(*style.branch([text])) for text in texts]
    lengths = [len(branch.ids) for branch in tokenizer.branches("", turns, supervised=False)]
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
