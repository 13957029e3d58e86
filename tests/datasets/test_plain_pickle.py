import contextlib
import pickle
import struct
import time
from random import Random

import pytest
from helpers.memory import grows_by_less_than

from mmseg_mllm.datasets import plain_pickle
from mmseg_mllm.datasets.plain_pickle import read_plain_pickle
from mmseg_mllm.errors import DataError


def read(path, data):
    path.write_bytes(data)
    return read_plain_pickle(path)


def plain_data(rng: Random, depth: int = 4):
    scalars = [None, True, False, 0, -1, 255, 256, 65_536, -(2**31), 2**70, -(2**200), 1.5, -0.0, 1e300]
    texts = ["", "a", "caf\u00e9", "\u4eba", "\U0001f436", "x" * 300, "a\nb\\n'\"", "\x80"]
    if depth == 0 or rng.random() < 0.4:
        return rng.choice([*scalars, *texts])
    parts = [plain_data(rng, depth - 1) for _ in range(rng.randrange(6))]
    shared = [*parts, *parts[:1]]
    return rng.choice(
        [
            shared,
            tuple(shared),
            {str(i): part for i, part in enumerate(shared)},
            dict(same=parts, again=parts),
        ]
    )


@pytest.mark.parametrize("protocol", range(6))
def test_like_python_s_own(tmp_path, protocol):
    for seed in range(150):
        content = plain_data(Random(seed))
        assert read(tmp_path / "refs.p", pickle.dumps(content, protocol=protocol)) == content


def test_an_object_that_occurs_twice_stays_one(tmp_path):
    twice = ["a", "b"]
    first, second = read(tmp_path / "refs.p", pickle.dumps([twice, twice]))
    assert first is second


def test_strings_of_python_2(tmp_path):
    assert read(tmp_path / "a.p", b"(lp0\nS'caf\\xe9 \\'n\\''\np1\naVcaf\\u00e9\np2\naI01\naL5L\na.") == [
        "caf\u00e9 'n'",
        "caf\u00e9",
        True,
        5,
    ]
    assert read(tmp_path / "b.p", b"U\x04caf\xe9.") == "caf\u00e9"
    assert read(tmp_path / "c.p", b"T\x04\x00\x00\x00caf\xe9.") == "caf\u00e9"


BOMB = b"]q\x00" + b"".join(b"]q%c(h%ch%ch%ce" % (i + 1, i, i, i) for i in range(60))
LONG = struct.pack("<I", 2**31)
HUGE = struct.pack("<Q", 2**62)


@pytest.mark.parametrize(
    "data",
    [
        # What makes Python's own unpickler take all memory, wait for ever, or crash.
        b"\x80\x04]r\xff\xff\xff\x7f.",
        b"}(" + b")" + b"\x85" * 100_000 + b"Nu.",
        b"})" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(60)) + b"Ns.",
        b"}(" + b")" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(60)) + b"Nd.",
        b"\x8d" + HUGE + b"a.",
        b"\x95" + HUGE + b"X" + LONG + b"a.",
        b"\x8b" + LONG + b"a.",
        b"I" + b"9" * 100_000 + b"\n.",
        BOMB + b".",
        BOMB + b"\x8c\x01a\x93.",
        BOMB + b"Ns.",
        b"]" * 1000,
        b"0" * 10 + b".",
        b"(" * 1000 + b"t" * 1001 + b".",
        b"g99\n.",
        b"p-1\n.",
    ],
)
def test_crafted_files_end_soon_and_small(tmp_path, data):
    start = time.monotonic()
    with grows_by_less_than(100 * 2**20), contextlib.suppress(DataError):
        read(tmp_path / "refs.p", data)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"cos\nsystem\n(S'touch x'\ntR.", "os.system"),
        (b"(S'touch x'\nios\nsystem\n.", "os.system"),
        (b"\x8c\x02os\x8c\x06system\x93.", "os.system"),
        (b"](}\x8c\x08builtins\x8c\x04eval\x93e.", "builtins.eval"),
        (b"c__builtin__\neval\n.", "__builtin__.eval"),
        (b"c" + b"a" * 10_000 + b"\nb\n.", "aaa"),
        (b"c\x1b[31m\nb\n.", r"\x1b[31m.b"),
    ],
)
def test_what_is_asked_for_is_named(tmp_path, data, name):
    with pytest.raises(DataError) as caught:
        read(tmp_path / "refs.p", data)
    assert name in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "code", [b"R", b"o", b"b", b"P1\n", b"Q", b"\x81", b"\x82\x01", b"\x92", b"\x8f", b"\x96", b"\x97", b"2"]
)
def test_other_operations_are_refused(tmp_path, code):
    with pytest.raises(DataError, match="plain lists, dicts, strings and numbers"):
        read(tmp_path / "refs.p", b"]N" + code + b".")


@pytest.mark.parametrize(
    "data", [b"]" * 600, b"(" * 600, b"]" + b"\x94" * 600, b"N" * 600, b")" + b"\x85" * 600]
)
def test_objects_are_bounded(tmp_path, monkeypatch, data):
    monkeypatch.setattr(plain_pickle, "MAX_PICKLE_OBJECTS", 500)
    with pytest.raises(DataError, match=r"at least 501 objects.*MMSEG_MLLM_LIMITS=2"):
        read(tmp_path / "refs.p", data + b".")
    monkeypatch.setenv("MMSEG_MLLM_LIMITS", "2")
    read(tmp_path / "refs.p", b"N" * 600 + b".")


def test_bytes_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(plain_pickle, "MAX_PICKLE_BYTES", 500)
    with pytest.raises(DataError, match=r"refs\.p: the pickle has 602 bytes, the bound is 500.*LIMITS=2"):
        read(tmp_path / "refs.p", b"S'" + b"a" * 597 + b"'\n.")
