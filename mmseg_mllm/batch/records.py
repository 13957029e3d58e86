"""Results in a JSON Lines file: one image in a line, which is written when all else of the image is."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from mmseg_mllm.errors import ConfigError, DataError

FILE = "results.jsonl"
_KINDS = dict(image=str, width=int, height=int)
_KEYS = frozenset(("expression", "exists", "score", "box", "area", "rle"))


def record_files(folder: Path) -> list[Path]:
    """The files in a folder: that of the first process, and those of others as long as they are apart."""
    return [path for path in (folder / FILE, *sorted(folder.glob("results.*.jsonl"))) if path.is_file()]


def own_file(folder: Path, rank: int) -> Path:
    """Where a process writes."""
    return folder / (f"results.{rank}.jsonl" if rank else FILE)


def read_records(path: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Each line with what it says; a last line without its end was cut off, and is left out.

    Raises:
        DataError: a line is no result.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            record = _parsed(line)
            if record is None:
                raise DataError(
                    f"{path}, line {number}: is no result of this command; remove the line, and its image is "
                    "done anew"
                )
            yield line, record


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
        results = [result.keys() >= _KEYS and len(result["box"]) == 4 for result in record["results"]]
        fits = all(results) and all(isinstance(record[k], kind) for k, kind in _KINDS.items())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return record if fits else None


class RecordWriter:
    """Appends records, each in the file when :meth:`write` returns.

    Args:
        path: May hold records; a last line that was cut off is removed.

    Raises:
        ConfigError: another process writes there.
    """

    def __init__(self, path: Path) -> None:
        # Without a buffer: what a full disk refuses must not be written later.
        self._file = path.open("ab", buffering=0)
        _lock(self._file, path)
        end = _end_of_lines(path)
        if end < path.stat().st_size:
            self._file.truncate(end)

    def write(self, record: dict[str, Any]) -> None:
        """Append one."""
        self.write_line(to_json(record).encode() + b"\n")

    def write_line(self, line: bytes) -> None:
        """Append one of :func:`read_records`."""
        while line:
            line = line[self._file.write(line) :]

    def close(self) -> None:
        """Nothing is written any more."""
        self._file.close()


def merge_records(folder: Path) -> None:
    """Put the records of all processes into one file, each image once, however often this was begun."""
    files = record_files(folder)
    if len(files) == 1:
        return
    there = {record["image"] for _, record in read_records(files[0])}
    writer = RecordWriter(files[0])
    for path in files[1:]:
        for line, record in read_records(path):
            if record["image"] not in there:
                there.add(record["image"])
                writer.write_line(line)
        path.unlink()
    writer.close()


def to_json(item: object) -> str:
    """JSON without spaces; in ASCII where a file's name holds bytes that are no text."""
    text = json.dumps(item, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(item, separators=(",", ":"))
    return text


def _end_of_lines(path: Path) -> int:
    """Where the last whole line ends."""
    block = 2**16
    with path.open("rb") as file:
        position = file.seek(0, os.SEEK_END)
        while position:
            start = max(0, position - block)
            file.seek(start)
            found = file.read(position - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            position = start
    return 0


def _lock(file: BinaryIO, path: Path) -> None:
    with contextlib.suppress(ImportError):  # not on Windows
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"{path.parent}: another process writes there; wait for it, or give another --out"
            ) from None
        except OSError:  # a file system without locks
            pass
