"""Part 'prompts': questions and answers to the letter."""

import random
from pathlib import Path

from mmseg_mllm.golden.checks import Check, same_text
from mmseg_mllm.golden.reference import read_json
from mmseg_mllm.models.backbones.families import family_of
from mmseg_mllm.prompts import IMAGE_TOKEN, prompt_style

PART = "prompts"
DRAWS = 300


def check_prompts(folder: Path) -> list[Check]:
    """Compare ``prompts.json`` with the style 'mllmseg'."""
    style, chat = prompt_style("mllmseg"), family_of("internvl").chat
    prompts = read_json(folder, "prompts.json")
    whole, supervised, questions, answers = [], [], [], []
    for case in prompts["test"]:
        turn = style.branch(case["expressions"], has_target=_has_target(case))
        question, answer = chat.branch(*turn)
        text = chat.prefix(style.system) + question + answer + "\n"
        # InternLM2's tokenizers prepend <s>; that is a token id here, no text.
        for bos, key in (("", "prompt_add_bos_False"), ("<s>", "prompt_add_bos_True")):
            if key in case:
                whole.append((bos + text.replace(IMAGE_TOKEN, f"{IMAGE_TOKEN}*256"), case[key]))
        supervised += [(answer, case[key]) for key in case if key.startswith("supervised_text")]
    for case in prompts["train"]:
        rng = random.Random(0)
        drawn = [
            style.branch(case["expressions"], has_target=_has_target(case), rng=rng) for _ in range(DRAWS)
        ]
        asked = sorted({f"<image>\n{question}" for question, _ in drawn})
        said = sorted({answer for _, answer in drawn})
        questions.append(("\n".join(asked), "\n".join(sorted(case["questions"]))))
        answers.append(("\n".join(said), "\n".join(sorted(case["answers"]))))
    return [
        same_text(PART, "test: whole prompt", whole),
        same_text(PART, "test: supervised text", supervised),
        same_text(PART, "train: set of questions", questions),
        same_text(PART, "train: set of answers", answers),
    ]


def _has_target(case: dict) -> list[bool]:
    return [ann_id != [-1] for ann_id in case["ann_ids"]]
