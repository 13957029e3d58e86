"""Reading pickles of plain lists, dicts, strings and numbers.

Python's own unpickler runs what a file asks for, takes 16 bytes times the largest memo index, and hashes any
dict key: a few bytes of a crafted file become all memory, a crash or an endless wait. Plain data needs few of
a pickle's operations; they are here, and nothing else is.
"""

import codecs
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from mmseg_mllm.datasets.limits import MAX_PICKLE_BYTES, MAX_PICKLE_OBJECTS, check_limit
from mmseg_mllm.errors import DataError
from mmseg_mllm.lfs import refuse_lfs_pointer


def read_plain_pickle(path: str | Path) -> Any:
    """Read a pickle of any protocol; byte strings of Python 2 become strings by latin-1.

    Args:
        path: The file, which exists.

    Raises:
        DataError: broken, above the bounds, or more than plain lists, tuples, dicts with string keys, strings
            and numbers.
    """
    path = Path(path)
    refuse_lfs_pointer(path, DataError)
    check_limit(f"{path}: the pickle has", path.stat().st_size, MAX_PICKLE_BYTES, unit="bytes")
    try:
        return _Machine(path.read_bytes()).run()
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except Exception as error:  # broken bytes lead to all sorts of errors
        reason = f"{type(error).__name__}: {error}"
        raise DataError(f"{path}: can't be read as a pickle ({reason:.100}); download it again") from None


class _Machine:
    """A pickle is a program for a machine with a stack and a memo.

    Attributes:
        marks: Positions on the stack where the items of a container begin.
    """

    def __init__(self, program: bytes) -> None:
        self.program = program
        self.position = 0
        self.stack: list = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.objects = 0

    def run(self) -> Any:
        while (code := self.program[self.position]) != _STOP:
            self.position += 1
            operation = _OPERATIONS.get(code)
            if operation is None:
                raise DataError(
                    f"no pickle, or one with operation {bytes([code])!r}, which plain lists, dicts, strings "
                    "and numbers don't need; download it again"
                )
            operation(self)
        return self.stack.pop()

    def count(self) -> None:
        """Count what takes more memory than it has bytes in the file."""
        self.objects += 1
        if self.objects > MAX_PICKLE_OBJECTS:
            check_limit("the pickle has at least", self.objects, MAX_PICKLE_OBJECTS, unit="objects")

    def take(self, size: int) -> bytes:
        """The next bytes; fewer at the end, after which the next operation is missing."""
        start = self.position
        self.position = start + size
        return self.program[start : self.position]

    def number(self, size: int) -> int:
        start = self.position
        self.position = start + size
        return int.from_bytes(self.program[start : self.position], "little")

    def signed(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little", signed=True)

    def text(self, size: int) -> str:
        """Halves of characters, which Python writes too, are left to who uses the text."""
        return self.take(size).decode("utf-8", "surrogatepass")

    def line(self) -> bytes:
        start = self.position
        end = self.program.index(b"\n", start)
        self.position = end + 1
        return self.program[start:end]

    def push(self, value: Any) -> None:
        self.count()
        self.stack.append(value)

    def mark(self) -> None:
        self.count()
        self.marks.append(len(self.stack))

    def items(self) -> list:
        """Take from the stack what is above the last mark."""
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def remember(self, index: int) -> None:
        self.count()
        self.memo[index] = self.stack[-1]

    def recall(self, index: int) -> None:
        self.stack.append(self.memo[index])


def _integer(line: bytes) -> int | bool:
    return line == b"01" if line in (b"00", b"01") else int(line)


def _quoted(line: bytes) -> str:
    return codecs.escape_decode(line.strip()[1:-1])[0].decode("latin1")


def _append(machine: _Machine) -> None:
    value = machine.stack.pop()
    machine.stack[-1].append(value)


def _extend(machine: _Machine) -> None:
    items = machine.items()
    machine.stack[-1].extend(items)


def _tuple(machine: _Machine, size: int) -> None:
    machine.count()
    machine.stack[-size:] = [tuple(machine.stack[-size:])]


def _fill(target: dict, items: list) -> dict:
    keys = items[::2]
    if not all(type(key) is str for key in keys):
        raise DataError("the pickle has a dict with a key that is no string; download it again")
    target.update(zip(keys, items[1::2], strict=True))
    return target


def _set_item(machine: _Machine) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    _fill(machine.stack[-1], [key, value])


def _set_items(machine: _Machine) -> None:
    items = machine.items()
    _fill(machine.stack[-1], items)


def _refuse(module: Any, name: Any) -> NoReturn:
    parts = (part.decode("latin1") if isinstance(part, bytes) else part for part in (module, name))
    asked = ".".join(part if isinstance(part, str) else "?" for part in parts)
    raise DataError(
        f"the pickle asks to load {asked!r:.100}; a refs file holds plain lists, dicts, strings and numbers "
        "only, and nothing else is loaded since a pickle can run code"
    )


_STOP = ord(".")
_OPERATIONS: dict[int, Callable[[_Machine], Any]] = {
    ord(code): operation
    for code, operation in {
        "\x80": lambda m: m.take(1),  # the protocol
        "\x95": lambda m: m.take(8),  # the length of a frame
        "(": _Machine.mark,
        "0": lambda m: m.stack.pop(),
        "1": lambda m: m.items(),
        # Numbers.
        "N": lambda m: m.push(None),
        "\x88": lambda m: m.push(True),
        "\x89": lambda m: m.push(False),
        "I": lambda m: m.push(_integer(m.line())),
        "L": lambda m: m.push(int(m.line().rstrip(b"L"))),
        "F": lambda m: m.push(float(m.line())),
        "K": lambda m: m.push(m.number(1)),
        "M": lambda m: m.push(m.number(2)),
        "J": lambda m: m.push(m.signed(4)),
        "\x8a": lambda m: m.push(m.signed(m.number(1))),
        "\x8b": lambda m: m.push(m.signed(m.number(4))),
        "G": lambda m: m.push(struct.unpack(">d", m.take(8))[0]),
        # Strings.
        "S": lambda m: m.push(_quoted(m.line())),
        "U": lambda m: m.push(m.take(m.number(1)).decode("latin1")),
        "T": lambda m: m.push(m.take(m.number(4)).decode("latin1")),
        "V": lambda m: m.push(m.line().decode("raw-unicode-escape")),
        "\x8c": lambda m: m.push(m.text(m.number(1))),
        "X": lambda m: m.push(m.text(m.number(4))),
        "\x8d": lambda m: m.push(m.text(m.number(8))),
        # Containers.
        "]": lambda m: m.push([]),
        "l": lambda m: m.push(m.items()),
        "a": _append,
        "e": _extend,
        ")": lambda m: m.push(()),
        "t": lambda m: m.push(tuple(m.items())),
        "\x85": lambda m: _tuple(m, 1),
        "\x86": lambda m: _tuple(m, 2),
        "\x87": lambda m: _tuple(m, 3),
        "}": lambda m: m.push({}),
        "d": lambda m: m.push(_fill({}, m.items())),
        "s": _set_item,
        "u": _set_items,
        # The memo.
        "p": lambda m: m.remember(int(m.line())),
        "q": lambda m: m.remember(m.number(1)),
        "r": lambda m: m.remember(m.number(4)),
        "\x94": lambda m: m.remember(len(m.memo)),
        "g": lambda m: m.recall(int(m.line())),
        "h": lambda m: m.recall(m.number(1)),
        "j": lambda m: m.recall(m.number(4)),
        # Classes and functions, refused by name.
        "c": lambda m: _refuse(m.line(), m.line()),
        "i": lambda m: _refuse(m.line(), m.line()),
        "\x93": lambda m: _refuse(*m.stack[-2:]),
    }.items()
}
