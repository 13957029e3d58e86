"""The character rules of a sentencepiece model, as normalizers of ``tokenizers``.

Sentencepiece applies the longest rule that matches, left to right. ``normalizers.Precompiled`` reads the same
rules but looks them up grapheme by grapheme: of 'ﬁ' with an accent it drops the accent, and a Korean syllable
in parts stays in parts. So it is given single characters alone here. The rules for several characters, nearly
all of which compose a letter, are left to NFC, which separators keep from composing what no rule composes.
"""

import re
import struct
from collections import defaultdict
from collections.abc import Iterable

from tokenizers import Regex, normalizers

from mmseg_mllm.errors import CheckpointError

# Two unassigned characters that no text holds, end a grapheme and compose with nothing.
_BETWEEN, _STOP = "\ufff0", "\ufff1"
_MAX_LEFT_OVER = 100


def charsmap_normalizers(charsmap: bytes) -> list[normalizers.Normalizer]:
    """Normalizers that together do what sentencepiece does with its ``precompiled_charsmap``.

    Raises:
        CheckpointError: the rules cannot be read, or more than some single ones are unlike Unicode's.
    """
    try:
        rules = read_rules(charsmap)
    except (struct.error, IndexError, ValueError):
        raise CheckpointError("the character rules (precompiled_charsmap) cannot be read") from None
    single = {source: target for source, target in rules.items() if len(source) == 1}
    # Rules from compatibility forms, as of full-width letters, follow from these and the single ones.
    several = {s: t for s, t in rules.items() if len(s) > 1 and all(single.get(c, c) == c for c in s)}
    steps = _steps(charsmap, single, several, [])
    sequence = normalizers.Sequence(steps)
    # Left over are letters that are newer than the Unicode tables of ``tokenizers``, and rules of one's own.
    left_over = [s for s, t in (single | several).items() if sequence.normalize_str(s) != t]
    if len(left_over) > _MAX_LEFT_OVER:
        raise CheckpointError(
            f"{len(left_over)} of its character rules are not those of Unicode NFKC, as {left_over[0]!r} to "
            f"{rules[left_over[0]]!r}"
        )
    left_over.sort(key=len, reverse=True)
    return _steps(charsmap, single, several, [normalizers.Replace(s, rules[s]) for s in left_over])


def read_rules(charsmap: bytes) -> dict[str, str]:
    """All rules of a ``precompiled_charsmap``: a double-array trie of sources, then the targets."""
    (size,) = struct.unpack_from("<I", charsmap)
    units = struct.unpack_from(f"<{size // 4}I", charsmap, 4)
    targets = charsmap[4 + size :]
    children = defaultdict(list)
    for at, unit in enumerate(units):
        if unit & 0xFF and not unit >> 31:
            children[at ^ (unit & 0xFF)].append(at)
    rules = {}
    stack = [(_offset(units[0]), b"")]
    while stack:
        base, source = stack.pop()
        for at in children[base]:
            below, found = at ^ _offset(units[at]), source + bytes([units[at] & 0xFF])
            if units[at] >> 8 & 1:
                start = units[below] & 0x7FFFFFFF
                rules[found.decode()] = targets[start : targets.index(b"\0", start)].decode()
            stack.append((below, found))
    return rules


def _offset(unit: int) -> int:
    return unit >> 10 << ((unit & 0x200) >> 6)


def _steps(
    charsmap: bytes, single: dict[str, str], several: dict[str, str], left_over: list[normalizers.Normalizer]
) -> list[normalizers.Normalizer]:
    steps = [
        normalizers.Replace(Regex(r"(?!\A)(?!\z)"), _BETWEEN),
        normalizers.Precompiled(charsmap),
        normalizers.Replace(_BETWEEN, ""),
    ]
    resized = _characters(s for s, t in single.items() if len(t) != 1)
    if resized:
        # What a ligature or a removed character leaves does not compose with its neighbours.
        border = Regex(rf"(?!\A)(?!\z)(?:(?<={resized})|(?={resized}))")
        steps.insert(0, normalizers.Replace(border, _STOP))
    if several:
        steps.append(normalizers.Replace(Regex(_uncomposed(several)), _STOP))
    steps += left_over
    if several:
        steps.append(normalizers.NFC())
    return [*steps, normalizers.Replace(_STOP, "")]


def _uncomposed(several: dict[str, str]) -> str:
    """Regex of the places before a mark which no rule joins to what is before it.

    Not at the very start: an insertion there breaks the alignments of tokenizers 0.23, and NFC panics.
    """
    lefts = defaultdict(set)
    for source in several:
        lefts[source[-1]].add(source[:-1])
    marks = defaultdict(list)
    for mark, left in lefts.items():
        marks[frozenset(left)].append(mark)
    places = [rf"(?=\p{{M}})(?!{_characters(lefts)})"]
    for left, joined in marks.items():
        longer = sorted(re.escape(text) for text in left if len(text) > 1)
        one = [text for text in left if len(text) == 1]
        behind = "|".join([_characters(one), *longer] if one else longer)
        places.append(f"(?={_characters(joined)})(?<!{behind})")
    return rf"(?!\A)(?:{'|'.join(places)})"


def _characters(characters: Iterable[str]) -> str:
    """Regex class of these characters; '' for none."""
    inside = "".join(re.escape(c) for c in sorted(characters))
    return f"[{inside}]" if inside else ""
