"""Token sequences of true length without a tokenizer."""

import random
import re
from collections.abc import Sequence

from mmseg_mllm.analysis.complexity import BRANCH_TOKENS, PREFIX_TOKENS
from mmseg_mllm.models.backbones.sequence_layout import Branch

ANSWER_TOKENS = 10
"""How many of a branch's tokens are the answer's, up to [SEG]."""
END_TOKENS = 3
"""[SEG], the full stop and the end of the turn: trained, and left out where masks are asked for."""


class SyntheticTokenizer:
    """Stands in for a ``ChatTokenizer``: random tokens, as many as the prompt 'mllmseg' has on average.

    An expression is a text of :func:`expression_texts`; its tokens depend on its number alone. Asked in one
    branch, all questions come first, then all answers; there are as many tokens as in branches of their own.
    The last three tokens of the vocabulary are those of the image, [SEG] and [REJ].
    """

    def __init__(self, *, vocab_size: int) -> None:
        self.image_id, self.seg_id, self.rej_id = range(vocab_size - 3, vocab_size)

    def prefix_ids(self, prefix: str, *, num_image_tokens: int) -> list[int]:
        """As of ``ChatTokenizer``; of the text nothing is used."""
        return [*self._draw(PREFIX_TOKENS, seed=-1), *[self.image_id] * num_image_tokens]

    def branches(self, prefix: str, turns: Sequence[tuple[str, str]], *, supervised: bool) -> list[Branch]:
        """As of ``ChatTokenizer``; of the texts only the expressions' numbers are used."""
        return [
            self._branch([int(number) for number in re.findall(r"thing (\d+)", question)], supervised)
            for question, _ in turns
        ]

    def _branch(self, numbers: list[int], supervised: bool) -> Branch:
        drawn = [self._draw(BRANCH_TOKENS, seed=number) for number in numbers]
        asked = [token for ids in drawn for token in ids[:-ANSWER_TOKENS]]
        ids = asked + [token for ids in drawn for token in ids[-ANSWER_TOKENS:]]
        slots = [len(asked) + (k + 1) * ANSWER_TOKENS for k in range(len(numbers))]
        if supervised:
            ids += [self.seg_id] * END_TOKENS
        return Branch(ids=ids, slots=slots, answer_start=len(asked) if supervised else None)

    def _draw(self, count: int, *, seed: int) -> list[int]:
        drawn = random.Random(seed)
        return [drawn.randrange(self.image_id) for _ in range(count)]


def expression_texts(count: int) -> list[str]:
    """Expressions that a :class:`SyntheticTokenizer` understands."""
    return [f"thing {number}" for number in range(count)]
