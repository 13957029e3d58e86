"""Expressions about a scene, each checked to hold of exactly the objects it is for."""

import itertools
from dataclasses import dataclass, replace

import numpy as np

from .phrases import pair_phrase, plural_phrase, single_phrase
from .predicates import Predicate, eligible_targets
from .scene import Scene
from .vocabulary import COLOURS, HELD_OUT_SORTED, ORDINARY, PLACES, SHAPES, SIZES, place_of

_SIZE_RATE = 0.25  # sentences that give the size although it is not needed
_SIDE_RATE = 0.3  # corner objects called by one of their sides
_DROP_RATE = 0.05  # sentences that leave out colour, shape or place
_PAIR_RATE = 0.4  # several-target expressions of the form "A and B"
_ABSENT_COLOUR_RATE = 0.8  # expressions without a target whose colour nothing has; the others are near misses
# What a several-target expression names, and how often that form is tried first.
_GROUP_FORMS = (
    ("colour",),
    ("shape",),
    ("colour", "shape"),
    ("colour", "place"),
    ("shape", "place"),
    ("size", "shape"),
    ("size", "colour"),
    ("size", "place"),
    ("place",),
)
_ATTRIBUTE_WORDS = {
    "colour": tuple(COLOURS),
    "shape": SHAPES,
    "size": SIZES,
    "place": tuple(itertools.chain(*PLACES)),
}


@dataclass(frozen=True, kw_only=True)
class Expression:
    """Sentences that all mean the same objects: indices into ``Scene.objects``, none for no target."""

    targets: tuple[int, ...]
    sentences: tuple[str, ...]


def refcoco_expressions(*, scene: Scene, rng: np.random.Generator) -> tuple[Expression, ...]:
    """One expression of 1 or 2 sentences for every eligible object; 4 to 6 sentences in all."""
    targets = eligible_targets(scene=scene)
    total = int(rng.integers(max(4, len(targets)), min(6, 2 * len(targets)) + 1))
    doubled = {targets[i] for i in rng.permutation(len(targets))[: total - len(targets)]}
    expressions = []
    for target in targets:
        sentences: list[str] = []
        while len(sentences) < (2 if target in doubled else 1):
            predicate = _single_predicate(scene=scene, target=target, rng=rng)
            sentence = single_phrase(predicate=predicate, rng=rng)
            if sentence not in sentences:
                sentences.append(sentence)
        expressions.append(Expression(targets=(target,), sentences=tuple(sentences)))
    return tuple(expressions)


def grefcoco_expressions(*, scene: Scene, rng: np.random.Generator) -> tuple[Expression, ...]:
    """Three one-sentence expressions: one target, several targets, no target."""
    targets = eligible_targets(scene=scene)
    target = targets[int(rng.integers(len(targets)))]
    predicate = _single_predicate(scene=scene, target=target, rng=rng)
    one = Expression(targets=(target,), sentences=(single_phrase(predicate=predicate, rng=rng),))
    return (one, _several(scene=scene, rng=rng), _none(scene=scene, rng=rng))


def _single_predicate(*, scene: Scene, target: int, rng: np.random.Generator) -> Predicate:
    entry = scene.objects[target]
    exact = Predicate(colour=entry.colour, shape=entry.shape, place=place_of(cell=entry.cell))
    wanted = _varied(exact=exact, size=entry.size, rng=rng)
    # The last one is unique in every scene: layouts with confusable objects are not sampled.
    ladder = (wanted, exact, replace(exact, size=entry.size))
    return next(predicate for predicate in ladder if predicate.matches(scene) == (target,))


def _varied(*, exact: Predicate, size: str, rng: np.random.Generator) -> Predicate:
    """A description of colour, shape and place, said with a little more or less."""
    wanted = exact
    sides = wanted.place.split()
    if len(sides) == 2 and rng.random() < _SIDE_RATE:
        wanted = replace(wanted, place=sides[int(rng.integers(2))])
    if rng.random() < _SIZE_RATE:
        wanted = replace(wanted, size=size)
    if rng.random() < _DROP_RATE:
        wanted = replace(wanted, **{("colour", "shape", "place")[int(rng.integers(3))]: None})
    return wanted


def _several(*, scene: Scene, rng: np.random.Generator) -> Expression:
    if rng.random() >= _PAIR_RATE:
        for i in rng.permutation(len(_GROUP_FORMS)):
            groups = _groups(scene=scene, form=_GROUP_FORMS[i])
            if groups:
                predicate = groups[int(rng.integers(len(groups)))]
                targets = predicate.matches(scene)
                sentence = plural_phrase(predicate=predicate, count=len(targets), rng=rng)
                return Expression(targets=targets, sentences=(sentence,))
    pair = [int(i) for i in rng.permutation(eligible_targets(scene=scene))[:2]]
    first, second = (_single_predicate(scene=scene, target=target, rng=rng) for target in pair)
    sentence = pair_phrase(predicates=(first, second), rng=rng)
    return Expression(targets=tuple(sorted(pair)), sentences=(sentence,))


def _groups(*, scene: Scene, form: tuple[str, ...]) -> list[Predicate]:
    """Predicates over the attributes in ``form`` that hold of two or more objects, all eligible."""
    eligible = set(eligible_targets(scene=scene))
    groups = []
    for words in itertools.product(*(_ATTRIBUTE_WORDS[name] for name in form)):
        predicate = Predicate(**dict(zip(form, words, strict=True)))
        matches = predicate.matches(scene)
        if len(matches) >= 2 and eligible.issuperset(matches):
            groups.append(predicate)
    return groups


def _none(*, scene: Scene, rng: np.random.Generator) -> Expression:
    """Some object's description, changed so that it is true of none; worded as those with a target are."""
    pairs = HELD_OUT_SORTED if scene.split == "testB" else ORDINARY
    there = {entry.colour for entry in scene.objects}
    absent = [pair for pair in pairs if pair[0] not in there]
    far = rng.random() < _ABSENT_COLOUR_RATE
    while True:
        entry = scene.objects[int(rng.integers(len(scene.objects)))]
        exact = Predicate(colour=entry.colour, shape=entry.shape, place=place_of(cell=entry.cell))
        if far:
            colour, shape = absent[int(rng.integers(len(absent)))]
            exact = replace(exact, colour=colour, shape=shape)
        else:
            name = ("colour", "shape", "place")[int(rng.integers(3))]
            words = _ATTRIBUTE_WORDS[name]
            exact = replace(exact, **{name: words[int(rng.integers(len(words)))]})
        predicate = _varied(exact=exact, size=entry.size, rng=rng)
        if (exact.colour, exact.shape) in pairs and not predicate.matches(scene):
            return Expression(targets=(), sentences=(single_phrase(predicate=predicate, rng=rng),))
