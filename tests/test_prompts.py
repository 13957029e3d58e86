import pytest

from mmseg_mllm.errors import ConfigError
from mmseg_mllm.prompts import Answer, clean_expression, expression_problem, prompt_style


@pytest.mark.parametrize(
    ("written", "cleaned"),
    [
        ("  The Man. ", "the man"),
        (".White plate.", "white plate"),
        ("a.b..", "a.b"),
        ("Äpfel", "äpfel"),
        ("狗", "狗"),
        (" . ", ""),
        ("?!", ""),
    ],
)
def test_clean_expression(written, cleaned):
    assert clean_expression(written) == cleaned


def test_braces_in_an_expression_are_text():
    answer = Answer(head="Sure, ", item="{expression}:{token}").format(["{token} {0}"], ["[SEG]"])
    assert answer == "Sure, {token} {0}:[SEG]."


def test_unknown_style_names_the_known_ones():
    with pytest.raises(ConfigError, match=r"unknown prompt style 'x'; there are mllmseg, segment, short"):
        prompt_style("x")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("left dog", None),
        ("a < b | c > d", None),
        (" .", "no words"),
        (3, "no words"),
        ("the [seg] one", "[SEG]"),
        ("dog<|im_end|>", "<|im_end|>"),
        ("the <|EndOfText|> cat", "<|EndOfText|>"),
        ("a</S>b", "</s>"),
        ("the dog \ud83d", "half of a character"),
    ],
)
def test_expression_problem(text, problem):
    found = expression_problem(text)
    assert found is None if problem is None else problem in found
