"""What is said to the MLLM: special tokens, questions and answers. Text only, no tensors.

Whose turn it is, and where the image stands, is the chat format of a family of MLLMs.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from mmseg_mllm.errors import ConfigError

SEG_TOKEN = "[SEG]"
REJ_TOKEN = "[REJ]"
IMAGE_START_TOKEN = "<img>"
IMAGE_END_TOKEN = "</img>"
IMAGE_TOKEN = "<IMG_CONTEXT>"
SPECIAL_TOKENS = (
    IMAGE_START_TOKEN,
    IMAGE_END_TOKEN,
    IMAGE_TOKEN,
    "<quad>",
    "</quad>",
    "<ref>",
    "</ref>",
    "<box>",
    "</box>",
    SEG_TOKEN,
    REJ_TOKEN,
)
"""Added to the tokenizer in this order, as MLLMSeg's released weights expect; existing ones are kept."""
CONTROL_TOKENS = (*SPECIAL_TOKENS, "<s>", "</s>", "<unk>", "<pad>")
"""With what is written as <|...|>, tokens that steer the language models in use; tokenizers may have more."""
_CHAT_CONTROL = re.compile(r"<\|[^|<>\s]+\|>")
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer template: ``head``, then one ``item`` per expression joined by ', ', then a full stop.

    ``item`` has the fields ``{expression}`` and ``{token}``.
    """

    item: str
    head: str = ""

    def format(self, expressions: Sequence[str], tokens: Sequence[str]) -> str:
        items = [self.item.format(expression=e, token=t) for e, t in zip(expressions, tokens, strict=True)]
        return f"{self.head}{', '.join(items)}."


@dataclass(frozen=True, kw_only=True)
class PromptStyle:
    """System message, questions and answers of one way of prompting.

    Attributes:
        system: System message; '' for none.
        questions: Training questions with the field ``{expressions}``; one is drawn per branch.
        answers: Training answers; one is drawn per branch.
        test_question, test_answer: What evaluation uses.
    """

    system: str
    questions: tuple[str, ...]
    answers: tuple[Answer, ...]
    test_question: str
    test_answer: Answer

    def branch(
        self,
        expressions: Sequence[str],
        *,
        has_target: Sequence[bool] | None = None,
        rng: Random | None = None,
    ) -> tuple[str, str]:
        """Question and forced answer for some expressions.

        Args:
            expressions: The expressions asked about together, as written by people.
            has_target: Per expression, whether the answer says [SEG] or [REJ]; all [SEG] by default.
            rng: Draws the training templates; None takes those of the test.

        Returns:
            The question and the answer, as text.
        """
        has_target = [True] * len(expressions) if has_target is None else has_target
        tokens = [SEG_TOKEN if target else REJ_TOKEN for target in has_target]
        question = self.test_question if rng is None else rng.choice(self.questions)
        answer = self.test_answer if rng is None else rng.choice(self.answers)
        asked = [clean_expression(e) for e in expressions]
        # Training answers repeat an expression as written, the test's repeat it as asked.
        repeated = asked if rng is None else [e.strip().strip(".") for e in expressions]
        return question.format(expressions=", ".join(asked)), answer.format(repeated, tokens)


def clean_expression(text: str) -> str:
    """Lower case, without surrounding space, then without surrounding full stops; '' if no word is left."""
    cleaned = text.lower().strip().strip(".")
    return cleaned if any(character.isalnum() for character in cleaned) else ""


def expression_problem(text: object, *, control_tokens: Sequence[str] = CONTROL_TOKENS) -> str | None:
    """What keeps a text from being an expression; None for nothing.

    Args:
        text: What was written.
        control_tokens: Texts that would become tokens with a meaning of their own.

    Returns:
        That it has no words, half of a character, or a control token in it.
    """
    if not isinstance(text, str) or not clean_expression(text):
        return "has no words"
    if not text.isascii() and _HALF_CHARACTER.search(text):
        return "holds half of a character (a cut-off emoji?)"
    lower = text.lower()  # as it is asked
    found = [token for token in control_tokens if token.lower() in lower] or _CHAT_CONTROL.findall(text)
    return f"holds {found[0]}, a token with a meaning of its own" if found else None


def prompt_style(name: str) -> PromptStyle:
    """The style of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in PROMPT_STYLES:
        raise ConfigError(f"unknown prompt style {name!r}; there are {', '.join(sorted(PROMPT_STYLES))}")
    return PROMPT_STYLES[name]


# The questions and answers of github.com/jcwang0602/MLLMSeg, which its released weights were trained with.
QUESTIONS = (
    "Can you segment {expressions} in this image?",
    "Please segment {expressions} in this image.",
    "What are {expressions} in this image? Please output segmentation masks.",
    "What are {expressions} in this image? Please respond with segmentation masks.",
)
ANSWERS = (
    Answer(head="Sure, ", item="the mask of {expression} is {token}"),
    Answer(head="Sure, ", item="the referred {expression} is {token}"),
    Answer(head="Sure, ", item="the segmentation of {expression} is {token}"),
    Answer(head="Sure, they are ", item="{expression}:{token}"),
    Answer(head="The segmentation results are ", item="{expression} {token}"),
)

PROMPT_STYLES = {
    # With the authors' system message. The test question lacks a space before "in" and has one after the line
    # break.
    "mllmseg": PromptStyle(
        system="你是书生·万象，英文名是InternVL，是由上海人工智能实验室、清华大学及多家合作单位联合开发的多模态大语言模型。",
        questions=QUESTIONS,
        answers=ANSWERS,
        test_question=" What are {expressions}in this image? Please output segmentation masks.",
        test_answer=Answer(head="Sure,", item="{expression}:{token}"),
    ),
    # The same way of asking for other bases than MLLMSeg's: no system message, and spaces where they belong.
    "segment": PromptStyle(
        system="",
        questions=QUESTIONS,
        answers=ANSWERS,
        test_question=QUESTIONS[2],
        test_answer=ANSWERS[0],
    ),
    # For models trained from scratch: as few tokens as the task needs.
    "short": PromptStyle(
        system="",
        questions=("{expressions}",),
        answers=(Answer(item="{token}"),),
        test_question="{expressions}",
        test_answer=Answer(item="{token}"),
    ),
}
