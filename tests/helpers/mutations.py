"""Damage to data files, drawn from a seed."""

import copy
import os
from random import Random
from typing import Any

ODD_NUMBERS = [
    -1,
    0,
    1,
    255,
    2**31,
    2**53 + 1,
    2**63,
    2**70,
    -(2**64),
    10**400,
    1.5,
    1e300,
    float("nan"),
    float("inf"),
]
ODD_TEXTS = [
    "",
    " .",
    "x" * 20_000,
    "[SEG] dog",
    "\ud800",
    "a\0b",
    "../../x",
    "5",
    "caf\u00e9",
    "\U0001f436" * 50,
    "testAB",
]


class Command:
    """Runs a shell command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple:
        return os.system, (self.command,)


def odd_value(rng: Random, *, for_json: bool, witness: str) -> Any:
    """Something that does not belong there; unpickling some of them creates the file ``witness``."""
    plain = [None, True, False, [], {}, [[]], [-1], [1, [2]], {"id": 1}, _nested(rng.choice([3, 50, 400]))]
    if for_json:
        return rng.choice([*plain, *ODD_NUMBERS, *ODD_TEXTS])
    others = [
        (),
        (1, 2),
        {1, 2},
        b"bytes",
        1j,
        eval,
        Command(f"touch {witness}"),
        bytearray(3),
        {(1,): 2},
        {5: 6},
    ]
    return rng.choice([*plain, *ODD_NUMBERS, *ODD_TEXTS, *others])


def damaged_structure(content: Any, rng: Random, *, for_json: bool, witness: str) -> Any:
    """A copy of nested lists and dicts with one to three places replaced, removed, doubled or swapped."""
    content = copy.deepcopy(content)
    for _ in range(rng.randint(1, 3)):
        places = list(_places(content))
        if not places:
            return content
        parent, key = rng.choice(places)
        action = rng.choice(["replace", "replace", "replace", "remove", "double", "swap"])
        if action == "replace":
            parent[key] = odd_value(rng, for_json=for_json, witness=witness)
        elif action == "remove":
            del parent[key]
        elif action == "double" and isinstance(parent, list):
            parent.insert(key, parent[key])
        else:
            other, other_key = rng.choice(places)
            parent[key] = copy.deepcopy(other[other_key])
    return content


def damaged_bytes(data: bytes, rng: Random) -> bytes:
    """The bytes with one to four cuts and insertions, biased to what pickles and JSON are made of."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(len(data) + 1)
        stop = start + rng.choice([0, 1, 1, 2, 20])
        new = rng.choice(
            [
                b"",
                bytes([rng.randrange(256)]),
                rng.choice(
                    [
                        b"(",
                        b"]",
                        b"}",
                        b")",
                        b"2",
                        b"N",
                        b"R",
                        b"o",
                        b"b",
                        b"\x81",
                        b"\x92",
                        b"P",
                        b"Q",
                        b"0",
                        b"1",
                    ]
                ),
                b"r" + bytes([rng.randrange(256) for _ in range(4)]),
                b"X\xff\xff\xff\xff",
                b"\x8d" + b"\xff" * 8,
                b"\x95" + bytes([rng.randrange(256) for _ in range(8)]),
                b"\x8b\xff\xff\xff\x7f",
                b"p99999999999999\n",
                b"cos\nsystem\n",
                b"\x8c\x02os\x8c\x06system\x93",
                b"\x85" * rng.randint(1, 9),
                b"[" * rng.choice([1, 5000]),
                b"1e999",
                b"9" * 5000,
                b"\\ud800",
                b"NaN",
                bytes(data[rng.randrange(len(data) + 1) :][:40]),
            ]
        )
        data[start:stop] = new
    return bytes(data[: rng.randrange(len(data) + 1)] if rng.random() < 0.1 else data)


def _nested(depth: int) -> list:
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


def _places(content: Any, *, depth: int = 8) -> Any:
    """Every (container, key) below."""
    if depth == 0 or not isinstance(content, list | dict):
        return
    for key, value in list(content.items() if isinstance(content, dict) else enumerate(content)):
        yield content, key
        yield from _places(value, depth=depth - 1)
