"""Where a tool's tables go: flags for it, and the writing."""

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console

from mmseg_mllm.errors import ConfigError
from mmseg_mllm.tables.console import plain_console
from mmseg_mllm.tables.files import FORMATS
from mmseg_mllm.tables.layout import print_tables
from mmseg_mllm.tables.table import ResultTable

STDOUT = "-"
ENDINGS = {"json": (".json",), "csv": (".csv",), "markdown": (".md", ".txt")}


def add_table_flags(parser: argparse.ArgumentParser, *, leave_out: Sequence[str] = ()) -> None:
    """``--json``, ``--csv``, ``--markdown`` and ``--wide``.

    Args:
        parser: Of a tool with tables.
        leave_out: Formats whose flag the tool has for something else.
    """
    for name, endings in ENDINGS.items():
        if name not in leave_out:
            parser.add_argument(
                f"--{name}",
                dest=f"{name}_tables",
                nargs="?",
                const=STDOUT,
                type=_file_type(endings),
                metavar="FILE",
                help=f"the tables in this {endings[0]} file; without FILE on the output, instead of others",
            )
    parser.add_argument("--wide", action="store_true", help="whole tables, however narrow the terminal is")


def check_table_flags(args: argparse.Namespace) -> None:
    """See before the work that the files can be written.

    Raises:
        ConfigError: a folder is not there, or two formats are to go to the output.
    """
    chosen = _chosen(args)
    for name, path in chosen.items():
        if path != STDOUT and not Path(path).resolve().parent.is_dir():
            raise ConfigError(f"--{name} {path}: there is no folder {Path(path).parent}")
    if list(chosen.values()).count(STDOUT) > 1:
        raise ConfigError(
            f"{' and '.join(f'--{name}' for name in chosen)}: only one can go to the output; give files"
        )


@contextlib.contextmanager
def output_for_tables(args: argparse.Namespace) -> Iterator[None]:
    """Keep the output free of all else where a format goes there: progress and notes go to stderr."""
    if STDOUT in _chosen(args).values():
        with contextlib.redirect_stdout(sys.stderr):
            yield
    else:
        yield


def write_tables(tables: Sequence[ResultTable], args: argparse.Namespace, *, made_by: str) -> Console:
    """Write each format that was asked for, and print the tables unless one went to the output.

    Returns:
        For further notes: a console on the output, or on stderr where the output is a format's.

    Raises:
        ConfigError: a file can't be written.
    """
    chosen = _chosen(args)
    for name, path in chosen.items():
        text = FORMATS[name](tables, made_by=made_by)
        if path == STDOUT:
            sys.stdout.write(text)
            continue
        try:
            Path(path).write_text(text, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"--{name} {path}: {error.strerror}") from None
    taken = STDOUT in chosen.values()
    console = plain_console(unlimited=True if args.wide else None, stderr=taken)
    if not taken:
        print_tables(console, tables)
    console.print(f"made by: {made_by}", soft_wrap=True)
    for name, path in chosen.items():
        if path != STDOUT:
            console.print(f"{name}: {path}", soft_wrap=True)
    return console


def _chosen(args: argparse.Namespace) -> dict[str, str]:
    return {name: path for name in FORMATS if (path := getattr(args, f"{name}_tables", None))}


def _file_type(endings: Sequence[str]) -> Callable[[str], str]:
    """Argument type that keeps a flag from taking, say, a config for the file to write."""

    def file_name(text: str) -> str:
        if text != STDOUT and not text.endswith(tuple(endings)):
            raise argparse.ArgumentTypeError(f"{text}: the file's name must end in {' or '.join(endings)}")
        return text

    return file_name
