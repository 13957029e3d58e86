"""What the values in a file from elsewhere may be."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mmseg_mllm.errors import CheckpointError, MMSegMLLMError


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What one value may be.

    Attributes:
        wanted: For people.
        fits: Whether a value is that.
    """

    wanted: str
    fits: Callable[[Any], bool]


def whole(low: int, high: int, *, or_none: bool = False) -> Rule:
    """A whole number with bounds."""
    return Rule(
        wanted=f"a whole number from {low} to {high}" + (" or null" if or_none else ""),
        fits=lambda value: (or_none and value is None) or (type(value) is int and low <= value <= high),
    )


def one_or_two(rule: Rule) -> Rule:
    """A value that fits a rule, or a list of two."""

    def fits(value: Any) -> bool:
        values = value if isinstance(value, list) and len(value) == 2 else [value]
        return all(map(rule.fits, values))

    return Rule(wanted=f"{rule.wanted}, or two", fits=fits)


def one_of(*values: Any) -> Rule:
    """One of these, and of their type."""
    return Rule(
        wanted=f"one of {', '.join(map(str, values))}",
        fits=lambda value: any(type(value) is type(known) and value == known for known in values),
    )


def three_numbers(low: float, high: float) -> Rule:
    """A list of three finite numbers with bounds."""

    def is_number(value: Any) -> bool:
        return type(value) in (int, float) and math.isfinite(value) and low <= value <= high

    return Rule(
        wanted=f"three numbers from {low:g} to {high:g}",
        fits=lambda value: isinstance(value, list) and len(value) == 3 and all(map(is_number, value)),
    )


def known_by(find: Callable[[str], Any], what: str) -> Rule:
    """A name that ``find`` takes without a ConfigError."""

    def fits(value: Any) -> bool:
        try:
            return isinstance(value, str) and find(value) is not None
        except MMSegMLLMError:
            return False

    return Rule(wanted=f"the name of a {what} of this version", fits=fits)


def check(content: Mapping[str, Any], rules: Mapping[str, Rule], *, where: str) -> None:
    """See that an object has the entries of the rules, no others, and that each fits.

    Raises:
        CheckpointError: it does not.
    """
    unknown, missing = sorted(set(content) - set(rules)), sorted(set(rules) - set(content))
    if unknown or missing:
        names = ", ".join(f"{name!r:.60}" for name in (unknown or missing)[:3])
        raise CheckpointError(
            f"{where}: {'has unknown entries' if unknown else 'lacks'} {names}; it was changed by hand or "
            "made by another version: convert the model again"
        )
    for name, rule in rules.items():
        if not rule.fits(content[name]):
            raise CheckpointError(f"{where}: {name} must be {rule.wanted}, not {content[name]!r:.60}")
