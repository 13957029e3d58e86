"""Expressions about a scene, each checked to hold of exactly the objects it is for."""

import itertools
from dataclasses import dataclass, replace

import numpy as np

from .descriptions import describe
from .layout import Scene
from .phrases import pair_phrase, plural_phrase, single_phrase
from .predicates import Predicate, Relation, eligible_targets
from .vocabulary import COLOURS, HELD_OUT_SORTED, NEEDS, ORDINARY, PLACES, RELATIONS, SHAPES, SIZES

_PAIR_RATE = 0.4  # several-target expressions of the form "A and B"
_NEAR_RATE = 0.5  # expressions without a target that are near misses; of the others nothing has the colour
_MAX_SENTENCES = 8
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
NEAR_MISS, FAR = "near miss", "nothing of that colour"
"""What stands for the need of an expression without a target."""


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """An expression's words, and the kinds of words that it needs (see ``Predicate.need``)."""

    text: str
    need: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Expression:
    """Sentences that all mean the same objects: indices into ``Scene.objects``, none for no target."""

    targets: tuple[int, ...]
    sentences: tuple[Sentence, ...]


def refcoco_expressions(*, scene: Scene, rng: np.random.Generator) -> tuple[Expression, ...]:
    """One expression of 1 or 2 sentences for every object that can be told; at most 8 sentences in all."""
    targets = eligible_targets(scene=scene)
    spare = _MAX_SENTENCES - len(targets)
    doubled = {targets[i] for i in rng.permutation(len(targets))[: min(spare, len(targets) // 2)]}
    expressions = []
    for target in targets:
        found: dict[str, Sentence] = {}
        for _ in range(2 if target in doubled else 1):
            predicate = describe(scene=scene, target=target, rng=rng)
            if predicate is not None:
                sentence = _sentence(predicate=predicate, scene=scene, rng=rng)
                found[sentence.text] = sentence
        if found:
            expressions.append(Expression(targets=(target,), sentences=tuple(found.values())))
    return tuple(expressions)


def grefcoco_expressions(*, scene: Scene, rng: np.random.Generator) -> tuple[Expression, ...]:
    """Three one-sentence expressions: one target, several targets, no target."""
    (target,), (predicate,) = _described(scene=scene, count=1, rng=rng)
    one = Expression(targets=(target,), sentences=(_sentence(predicate=predicate, scene=scene, rng=rng),))
    return (one, _several(scene=scene, rng=rng), no_target(scene=scene, rng=rng))


def _described(*, scene: Scene, count: int, rng: np.random.Generator) -> tuple[list[int], list[Predicate]]:
    """``count`` objects in random order, each with a description; scenes have two that can be told."""
    targets, predicates = [], []
    while len(targets) < count:
        for i in rng.permutation(eligible_targets(scene=scene)):
            predicate = None if i in targets else describe(scene=scene, target=int(i), rng=rng)
            if predicate is not None and len(targets) < count:
                targets.append(int(i))
                predicates.append(predicate)
    return targets, predicates


def _sentence(*, predicate: Predicate, scene: Scene, rng: np.random.Generator) -> Sentence:
    return Sentence(text=single_phrase(predicate=predicate, rng=rng), need=predicate.need(scene))


def _several(*, scene: Scene, rng: np.random.Generator) -> Expression:
    if rng.random() >= _PAIR_RATE:
        for i in rng.permutation(len(_GROUP_FORMS)):
            groups = _groups(scene=scene, form=_GROUP_FORMS[i])
            if groups:
                predicate = groups[int(rng.integers(len(groups)))]
                targets = predicate.matches(scene)
                text = plural_phrase(predicate=predicate, count=len(targets), rng=rng)
                sentence = Sentence(text=text, need=predicate.need(scene))
                return Expression(targets=targets, sentences=(sentence,))
    pair, (first, second) = _described(scene=scene, count=2, rng=rng)
    needed = {*first.need(scene), *second.need(scene)}
    sentence = Sentence(
        text=pair_phrase(predicates=(first, second), rng=rng),
        need=tuple(name for name in NEEDS if name in needed),
    )
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


def no_target(*, scene: Scene, rng: np.random.Generator) -> Expression:
    """A description of some object, changed so that it is true of none; worded as those with a target are."""
    pairs = HELD_OUT_SORTED if scene.split == "testB" else ORDINARY
    near = rng.random() < _NEAR_RATE
    while True:
        if near:
            _, (predicate,) = _described(scene=scene, count=1, rng=rng)
            changed = _near_miss(predicate=predicate, rng=rng)
        else:
            changed = _far(scene=scene, rng=rng)
        named = (changed.colour, changed.shape)
        if None not in named and named not in pairs:
            continue
        if not changed.matches(scene) and changed.is_clear(scene):
            need = (NEAR_MISS if near else FAR,)
            sentence = Sentence(text=single_phrase(predicate=changed, rng=rng), need=need)
            return Expression(targets=(), sentences=(sentence,))


def _near_miss(*, predicate: Predicate, rng: np.random.Generator) -> Predicate:
    """The same but for one claim."""
    names = [name for name in predicate.claims() if name != "order"]
    if not names:
        return predicate
    name = names[int(rng.integers(len(names)))]
    if name == "relation":
        side = tuple(RELATIONS)[int(rng.integers(len(RELATIONS)))]
        return replace(predicate, relation=Relation(side=side, anchor=predicate.relation.anchor))
    words = _ATTRIBUTE_WORDS[name]
    return replace(predicate, **{name: words[int(rng.integers(len(words)))]})


def _far(*, scene: Scene, rng: np.random.Generator) -> Predicate:
    """A description whose colour nothing in the scene has."""
    there = {entry.colour for entry in scene.objects}
    pairs = [p for p in (HELD_OUT_SORTED if scene.split == "testB" else ORDINARY) if p[0] not in there]
    colour, shape = pairs[int(rng.integers(len(pairs)))]
    places = _ATTRIBUTE_WORDS["place"]
    return Predicate(
        colour=colour,
        shape=shape if rng.random() < 0.8 else None,
        size=SIZES[int(rng.integers(2))] if rng.random() < 0.3 else None,
        place=places[int(rng.integers(len(places)))] if rng.random() < 0.5 else None,
    )
