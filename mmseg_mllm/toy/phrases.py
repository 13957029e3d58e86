"""Wording of predicates: lower case, no punctuation, words separated by one space."""

import numpy as np

from .predicates import Order, Predicate
from .vocabulary import ORDINALS

_PLACE_PHRASES = {
    "left": ("on the left", "on the left side"),
    "right": ("on the right", "on the right side"),
    "top": ("at the top",),
    "bottom": ("at the bottom",),
    "middle": ("in the middle",),
}
_CORNER_PHRASES = ("on the {}", "at the {}", "in the {} corner")
_RELATION_PHRASES = {
    "left of": ("left of", "to the left of"),
    "right of": ("right of", "to the right of"),
    "above": ("above",),
    "below": ("below",),
}


def single_phrase(*, predicate: Predicate, rng: np.random.Generator) -> str:
    """A noun phrase for one object, such as "the small red circle on the left"."""
    noun = predicate.shape or _pick(("shape", "object"), rng=rng)
    head = _join(predicate.size, predicate.colour, noun)
    if predicate.order is not None:
        return _join(_pick(("the", None), rng=rng), _ordered(head=head, order=predicate.order, rng=rng))
    if predicate.relation is not None:
        anchor = predicate.relation.anchor
        other = _join(anchor.size, anchor.colour, anchor.shape or "object")
        side = _pick(_RELATION_PHRASES[predicate.relation.side], rng=rng)
        return _join(_pick(("the", None), rng=rng), head, side, "the", other)
    if predicate.place is None:
        return _pick((f"the {head}", head), rng=rng)
    where = place_phrase(place=predicate.place, rng=rng)
    forms = [f"the {head} {where}", f"{head} {where}", f"{head} {predicate.place}"]
    weights = [0.4, 0.25, 0.15]
    if predicate.size is None:
        forms.append(f"{predicate.place} {head}")
        weights.append(0.15)
    if predicate.colour is not None:
        forms.append(f"the {_join(predicate.size, noun)} {where} that is {predicate.colour}")
        weights.append(0.1)
    total = sum(weights)
    return forms[int(rng.choice(len(forms), p=[weight / total for weight in weights]))]


def plural_phrase(*, predicate: Predicate, count: int, rng: np.random.Generator) -> str:
    """A noun phrase for ``count`` >= 2 objects, such as "all circles on the left"."""
    noun = plural(predicate.shape or _pick(("shape", "object"), rng=rng))
    head = _join(predicate.size, predicate.colour, noun)
    where = None if predicate.place is None else place_phrase(place=predicate.place, rng=rng)
    determiners = ("the", "all", "all the", None) + (("both",) if count == 2 else ())
    return _join(_pick(determiners, rng=rng), head, where)


def pair_phrase(*, predicates: tuple[Predicate, Predicate], rng: np.random.Generator) -> str:
    """Two one-object phrases joined by "and"."""
    return " and ".join(single_phrase(predicate=predicate, rng=rng) for predicate in predicates)


def place_phrase(*, place: str, rng: np.random.Generator) -> str:
    """A place with its preposition, such as "in the top left corner"."""
    if place in _PLACE_PHRASES:
        return _pick(_PLACE_PHRASES[place], rng=rng)
    return _pick(_CORNER_PHRASES, rng=rng).format(place)


def plural(noun: str) -> str:
    """Its plural."""
    return noun + ("es" if noun.endswith("s") else "s")


def _ordered(*, head: str, order: Order, rng: np.random.Generator) -> str:
    counted = f"{ORDINALS[order.rank - 1]} {head} from the {order.side}"
    return counted if order.rank > 1 else _pick((f"{order.side}most {head}", counted), rng=rng)


def _pick(options: tuple, *, rng: np.random.Generator):
    return options[int(rng.integers(len(options)))]


def _join(*words: str | None) -> str:
    return " ".join(word for word in words if word)
