"""Tables on the console, in as many blocks of columns as its width asks for."""

import textwrap
from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from mmseg_mllm.tables.console import plain_console
from mmseg_mllm.tables.table import ResultTable

FRAME = 3
"""Columns that a column takes besides its text: two blanks and a line; one line more at the end."""
FOLDED = 20
"""Columns that names keep at least where folding them brings all numbers beside them."""


def print_tables(console: Console, tables: Sequence[ResultTable]) -> None:
    """Print the tables one below the other, none wider than the console."""
    for k, table in enumerate(tables):
        console.print(laid_out(table, width=console.width), *([""] if k + 1 < len(tables) else []), sep="\n")


def as_text(tables: Sequence[ResultTable]) -> str:
    """The tables in full, as plain text for log files."""
    console = plain_console(unlimited=True, no_color=True, force_terminal=False)
    with console.capture() as capture:
        print_tables(console, tables)
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


def laid_out(table: ResultTable, *, width: int) -> Group:
    """Title, blocks and caption. Each block repeats the columns of names."""
    parts = [Text(table.title, style="italic")]
    parts += [_block(table, columns, width=width) for columns in _blocks(table, width)]
    if table.caption:
        parts.append(Text(table.caption, style="dim italic"))
    return Group(*parts)


def _blocks(table: ResultTable, width: int) -> list[list[str]]:
    """Columns of each block: as many numbers as fit beside the names."""
    numbers = [column for column in table.columns if column not in table.names]
    needed_by_names = [_needed(table, name) for name in table.names]
    folded = sum(min(needed, FOLDED + FRAME) for needed in needed_by_names)
    if folded + sum(_needed(table, column) for column in numbers) < width:
        return [[*table.columns]]
    room = width - 1 - sum(needed_by_names)
    blocks: list[list[str]] = []
    left = 0
    for column in numbers:
        needed = _needed(table, column)
        if not blocks or needed > left:
            blocks.append([*table.names])
            left = room
        blocks[-1].append(column)
        left -= needed
    return blocks or [[*table.names]]


def _needed(table: ResultTable, column: str) -> int:
    return _text_width(table, column) + FRAME


def _text_width(table: ResultTable, column: str) -> int:
    """Of the widest cell, or of the longest word of the head, which may take several lines."""
    index = table.columns.index(column)
    cells = [table.cells(row)[index] for row in table.all_rows]
    return max(map(cell_len, [*cells, *column.split()]), default=0)


def _block(table: ResultTable, columns: Sequence[str], *, width: int) -> Table:
    """Names that the width has no room for are folded, never cut."""
    result = Table()
    spare = width - 1 - sum(_needed(table, column) for column in columns)
    for column in columns:
        # A head stays on one line where the block has room for it.
        more = max(0, cell_len(column) - _text_width(table, column))
        head = column
        if more <= spare:
            spare -= more
        else:
            head = textwrap.fill(column, max(1, _text_width(table, column)), break_long_words=False)
        justify = "left" if column in table.names else "right"
        result.add_column(Text(head), justify=justify, overflow="fold", no_wrap=False)
    chosen = [table.columns.index(column) for column in columns]
    for row in table.rows:
        result.add_row(*(Text(table.cells(row)[k]) for k in chosen))
    if table.total:
        result.add_section()
        result.add_row(*(Text(table.cells(table.total)[k]) for k in chosen))
    return result
