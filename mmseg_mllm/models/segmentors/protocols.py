"""Ways of asking for an image's expressions, by name."""

from dataclasses import dataclass

from mmseg_mllm.errors import ConfigError

PAPER_PROMPT = "mllmseg"
"""Prompt style of protocol 'paper'."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """One way of asking.

    Attributes:
        name: As in configs and ``tools/test.py --protocol``.
        says: What stands beside figures.
        joint: All expressions of an image in one conversation, in which they see one another; otherwise
            each alone.
        generated: The model writes its answers; otherwise they are forced: given, and [SEG] scored
            against [REJ].
        paper: As MLLMSeg's code tests: its prompt whatever the model's own is; the given answers hold the
            ground truth ([REJ] where there is no target); a verdict is [REJ] only where that is the likeliest
            of all tokens; masks come from a second run in which every answer is [SEG], so that a rejected
            expression has one too.
    """

    name: str
    says: str
    joint: bool = False
    generated: bool = False
    paper: bool = False


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(name="independent", says="independent, forced"),
        Protocol(name="joint", says="joint, forced", joint=True),
        Protocol(name="paper", says="paper (joint, forced)", joint=True, paper=True),
        Protocol(name="generate", says="generate (independent, generated)", generated=True),
    )
}


def protocol_of(name: str) -> Protocol:
    """The protocol of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in PROTOCOLS:
        raise ConfigError(f"unknown protocol {name!r}; there are {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]
