"""Text to token ids: a HuggingFace tokenizer with the special tokens, and branches cut from whole texts."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from mmseg.registry import MODELS
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from mmseg_mllm.compat import adds_bos
from mmseg_mllm.errors import ConfigError
from mmseg_mllm.models.backbones.chat_format import ChatFormat
from mmseg_mllm.models.backbones.sequence_layout import Branch
from mmseg_mllm.prompts import CONTROL_TOKENS, REJ_TOKEN, SEG_TOKEN


class ChatTokenizer:
    """A tokenizer that knows the special tokens and turns prompts into prefix and branches.

    Args:
        tokenizer: Any HuggingFace tokenizer; the missing ones of the format's special tokens are added in
            their order.
        chat: The chat format that texts are written in.
    """

    def __init__(self, *, tokenizer: PreTrainedTokenizerBase, chat: ChatFormat) -> None:
        tokenizer.add_tokens(list(chat.special_tokens), special_tokens=True)
        self.tokenizer = tokenizer
        self.chat = chat
        self._start = [tokenizer.bos_token_id] if adds_bos(tokenizer) else []
        self.image_id, self.seg_id, self.rej_id = (
            self._id(token) for token in (chat.image_token, SEG_TOKEN, REJ_TOKEN)
        )

    def __len__(self) -> int:
        return len(self.tokenizer)

    @cached_property
    def control_tokens(self) -> tuple[str, ...]:
        """Texts that this tokenizer turns into tokens with a meaning of their own, in a fixed order."""
        added = self.tokenizer.added_tokens_decoder.values()
        own = [token.content for token in added if token.special]
        return tuple(dict.fromkeys([*CONTROL_TOKENS, *self.tokenizer.all_special_tokens, *own]))

    @classmethod
    def from_pretrained(cls, name_or_path: str, *, chat: ChatFormat) -> "ChatTokenizer":
        """From a folder or hub name; no code of the repository is run.

        Raises:
            ConfigError: there is no readable tokenizer.
        """
        try:
            tokenizer = AutoTokenizer.from_pretrained(name_or_path, trust_remote_code=False)
        except (OSError, ValueError, ImportError) as error:
            reason = str(error).strip().splitlines()[0]
            raise ConfigError(f"{name_or_path}: no tokenizer can be loaded from here ({reason})") from None
        return cls(tokenizer=tokenizer, chat=chat)

    @property
    def turn_end_id(self) -> int:
        """Id of the token that ends a turn.

        Raises:
            ConfigError: the tokenizer has none.
        """
        return self._id(self.chat.turn_end)

    def prefix_ids(self, prefix: str, *, num_image_tokens: int) -> list[int]:
        """Ids of the prefix text with its one image token repeated ``num_image_tokens`` times."""
        ids = self._encode([prefix])[0]
        at = ids.index(self.image_id)
        return [*ids[:at], *[self.image_id] * num_image_tokens, *ids[at + 1 :]]

    def branches(self, prefix: str, turns: Sequence[tuple[str, str]], *, supervised: bool) -> list[Branch]:
        """Cut branches from the tokenised whole conversations.

        Args:
            prefix: Text of the prefix.
            turns: Per branch the question and the answer (see ``ChatFormat.branch``).
            supervised: Whether the answers are trained; otherwise each branch ends before its last slot.
        """
        whole = self._after_image([prefix + question + answer for question, answer in turns])
        asked = self.questions(prefix, [question for question, _ in turns])
        branches = []
        for branch_ids, asked_ids in zip(whole, asked, strict=True):
            answer_start = len(asked_ids)
            slots = [
                i
                for i, token in enumerate(branch_ids)
                if token in (self.seg_id, self.rej_id) and i >= answer_start
            ]
            branches.append(
                Branch(ids=branch_ids, slots=slots, answer_start=answer_start)
                if supervised
                else Branch(ids=branch_ids[: slots[-1]], slots=slots)
            )
        return branches

    def questions(self, prefix: str, questions: Sequence[str]) -> list[list[int]]:
        """Ids of what follows the prefix up to each answer."""
        return self._after_image([prefix + question for question in questions])

    def _after_image(self, texts: list[str]) -> list[list[int]]:
        return [ids[ids.index(self.image_id) + 2 :] for ids in self._encode(texts)]

    def _encode(self, texts: list[str]) -> list[list[int]]:
        if not texts:
            return []
        encoded = self.tokenizer(texts, add_special_tokens=False)["input_ids"]
        return [self._start + ids for ids in encoded]

    def _id(self, token: str) -> int:
        index = self.tokenizer.convert_tokens_to_ids(token)
        if index is None or index == self.tokenizer.unk_token_id:
            where = Path(self.tokenizer.name_or_path or "the tokenizer").name
            raise ConfigError(f"{where}: the token {token} is missing and could not be added")
        return index


def build_tokenizer(
    tokenizer: str | dict | None, pretrained: str | None, *, chat: ChatFormat
) -> ChatTokenizer | None:
    """The tokenizer of a backbone with these arguments; None where neither is given."""
    if isinstance(tokenizer, dict):
        return ChatTokenizer(tokenizer=MODELS.build(tokenizer), chat=chat)
    source = tokenizer or pretrained
    if source is None:
        return None
    return ChatTokenizer.from_pretrained(source, chat=chat)
