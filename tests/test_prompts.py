import json
import random

import pytest

from mmseg_mllm.errors import ConfigError
from mmseg_mllm.prompts import Answer, clean_expression, expression_problem, prompt_style


@pytest.fixture
def prompts(shared_dir):
    return json.loads((shared_dir / "golden" / "prompts.json").read_text(encoding="utf-8"))


def has_target(case):
    """Whether each expression of a golden case has a target."""
    return [ann_id != [-1] for ann_id in case["ann_ids"]]


def test_test_prompt_to_the_letter(prompts):
    style = prompt_style("mllmseg")
    assert len(prompts["test"]) > 4
    for case in prompts["test"]:
        question, answer = style.branch(case["expressions"], has_target=has_target(case))
        whole = (style.prefix() + question + answer + "\n").replace("<IMG_CONTEXT>", "<IMG_CONTEXT>*256")
        assert whole == case["prompt_add_bos_False"]
        assert answer == case["supervised_text_add_bos_False"]


def test_training_prompts_are_the_same_set(prompts):
    style = prompt_style("mllmseg")
    rng = random.Random(0)
    for case in prompts["train"]:
        drawn = [style.branch(case["expressions"], has_target=has_target(case), rng=rng) for _ in range(300)]
        questions = {"<image>" + question.split("<|im_end|>")[0] for question, _ in drawn}
        answers = {answer.removesuffix("<|im_end|>") for _, answer in drawn}
        assert questions == set(case["questions"])
        assert answers == set(case["answers"])


@pytest.mark.parametrize(
    ("written", "cleaned"),
    [("  The Man. ", "the man"), ("a.b..", "a.b"), ("Äpfel", "äpfel"), ("狗", "狗"), (" . ", ""), ("?!", "")],
)
def test_clean_expression(written, cleaned):
    assert clean_expression(written) == cleaned


def test_braces_in_an_expression_are_text():
    answer = Answer(head="Sure, ", item="{expression}:{token}").format(["{token} {0}"], ["[SEG]"])
    assert answer == "Sure, {token} {0}:[SEG]."


def test_unknown_style_names_the_known_ones():
    with pytest.raises(ConfigError, match=r"unknown prompt style 'x'; there are mllmseg, short"):
        prompt_style("x")


@pytest.mark.parametrize(
    ("text", "problem"), [("left dog", None), (" .", "no words"), (3, "no words"), ("the [seg] one", "[SEG]")]
)
def test_expression_problem(text, problem):
    found = expression_problem(text)
    assert found is None if problem is None else problem in found
