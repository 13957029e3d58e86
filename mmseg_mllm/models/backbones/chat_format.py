"""How a family of MLLMs writes a conversation. What is said in it is in ``prompts.py``."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ChatFormat:
    """Whose turn it is, and where the image stands.

    Attributes:
        special_tokens: What a tokenizer must have; missing ones are added in this order.
        image_token: Stands for one of the image's tokens.
        turn_end: Token that ends a turn.
        system_turn: With the field ``{text}``; left out where there is no system message.
        image_turn: Start of the user's turn up to the image's end: ``image_token`` once, and one token after
            it.
        question, answer: What follows, each with the field ``{text}``; the answer with its end.
        start: Before everything.
    """

    special_tokens: tuple[str, ...]
    image_token: str
    turn_end: str
    system_turn: str
    image_turn: str
    question: str
    answer: str
    start: str = ""

    def prefix(self, system: str) -> str:
        """Everything up to and including the image, which all questions about it share.

        Args:
            system: System message; '' for none.
        """
        return self.start + (self.system_turn.format(text=system) if system else "") + self.image_turn

    def branch(self, question: str, answer: str) -> tuple[str, str]:
        """The text after the image up to the answer, and the answer with its end (what is supervised)."""
        return self.question.format(text=question), self.answer.format(text=answer)
