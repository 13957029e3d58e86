"""Token sequences of true length without a tokenizer's files."""

import re
import zlib
from collections.abc import Sequence

from mmseg_mllm.analysis.complexity import PREFIX_TOKENS
from mmseg_mllm.models.backbones.sequence_layout import Branch
from mmseg_mllm.prompts import CONTROL_TOKENS, REJ_TOKEN, SEG_TOKEN

TOKEN = re.compile(r"<\|\w+\|>|\[SEG\]|\[REJ\]|\n|\d+|[^\W\d]+|[^\w\s]")
"""A word, number, sign or special token. Questions and answers about the expressions of RefCOCO val, testA
and testB have 26.1 of these on average; Qwen's tokenizer gives 27.4."""


class SyntheticTokenizer:
    """Stands in for a ``ChatTokenizer``: a word is a token, its number follows from its letters.

    The last three tokens of the vocabulary are those of the image, [SEG] and [REJ].
    """

    control_tokens = CONTROL_TOKENS

    def __init__(self, *, vocab_size: int) -> None:
        self.image_id, self.seg_id, self.rej_id = range(vocab_size - 3, vocab_size)

    def prefix_ids(self, prefix: str, *, num_image_tokens: int) -> list[int]:
        """As of ``ChatTokenizer``; of the text nothing is used but its length with Qwen's tokenizer."""
        return [*range(PREFIX_TOKENS), *[self.image_id] * num_image_tokens]

    def branches(self, prefix: str, turns: Sequence[tuple[str, str]], *, supervised: bool) -> list[Branch]:
        """As of ``ChatTokenizer``."""
        branches = []
        for question, answer in turns:
            asked, answered = self._ids(question), self._ids(answer)
            slots = [
                len(asked) + i for i, token in enumerate(answered) if token in (self.seg_id, self.rej_id)
            ]
            ids = asked + answered
            branches.append(
                Branch(ids=ids, slots=slots, answer_start=len(asked))
                if supervised
                else Branch(ids=ids[: slots[-1]], slots=slots)
            )
        return branches

    def _ids(self, text: str) -> list[int]:
        special = {SEG_TOKEN: self.seg_id, REJ_TOKEN: self.rej_id}
        return [
            special[word] if word in special else zlib.crc32(word.encode()) % self.image_id
            for word in TOKEN.findall(text)
        ]


def expression_texts(count: int) -> list[str]:
    """Different expressions of four words: with their questions and answers ``BRANCH_TOKENS`` tokens each."""
    return [f"the thing number {number}" for number in range(count)]
