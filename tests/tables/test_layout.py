import pytest
from rich.cells import cell_len
from rich.console import Console

from mmseg_mllm.tables.console import plain_console
from mmseg_mllm.tables.layout import as_text, print_tables
from mmseg_mllm.tables.table import ResultTable, say_once

FIGURES = ["cIoU", "mIoU", "gIoU per image", *(f"Pr@0.{k}" for k in range(5, 10)), "cIoU rotated"]
NAMES = [("toy_refcoco", "val"), ("mine[v2]", "[val]"), ("写真 :smile:", "[/b]")]


def table() -> ResultTable:
    """Every figure is another: row k, column c is 10 k + c / 100."""
    rows = [
        dict(dataset=dataset, split=split, images=1500 + k, expressions=10_834)
        | {name: 10.0 * k + c / 100 for c, name in enumerate(FIGURES)}
        for k, (dataset, split) in enumerate(NAMES)
    ]
    title = "Referring segmentation (RES) in percent, protocol: independent, forced"
    return ResultTable(title=title, names=["dataset", "split"], rows=rows)


def printed(width: int) -> list[str]:
    console = plain_console(unlimited=False, width=width)
    with console.capture() as capture:
        print_tables(console, [table()])
    return capture.get().splitlines()


def blocks(lines: list[str]) -> list[list[list[str]]]:
    """Cells of each block, its head taken together."""
    found = []
    for line in lines:
        cells = [cell.strip() for cell in line.replace("┃", "│").split("│")[1:-1]]
        if line.startswith("┏"):
            found.append([])
        elif line.startswith("┃") and found[-1]:
            found[-1][0] = [f"{a} {b}".strip() for a, b in zip(found[-1][0], cells, strict=True)]
        elif cells:
            found[-1].append(cells)
    return found


@pytest.mark.parametrize("width", [200, 80, 60, 45])
def test_no_line_is_wider_and_every_figure_is_there(width):
    lines = printed(width)
    assert max(map(cell_len, lines)) <= width
    found = {}
    for head, *rows in blocks(lines):
        assert head[:2] == ["dataset", "split"]
        assert [tuple(row[:2]) for row in rows] == NAMES
        for c, name in enumerate(head[2:], start=2):
            found[name] = [row[c] for row in rows]
    assert list(found) == ["images", "expressions", *FIGURES]
    assert found["images"] == ["1,500", "1,501", "1,502"]
    for c, name in enumerate(FIGURES):
        assert found[name] == [f"{10 * k + c / 100:.2f}" for k in range(3)]


def test_eighty_columns_take_two_blocks_and_many_one():
    assert len(blocks(printed(80))) == 2
    assert len(blocks(printed(200))) == 1


def test_a_name_wider_than_the_terminal_is_folded_not_cut():
    name = "a_very_long_name_of_a_dataset" * 3
    console = plain_console(unlimited=False, width=60)
    with console.capture() as capture:
        print_tables(
            console, [ResultTable(title="", names=["dataset"], rows=[dict(dataset=name, cIoU=12.5)])]
        )
    (rows,) = blocks(capture.get().splitlines())
    assert "".join(row[0] for row in rows[1:]) == name
    assert rows[1][1] == "12.50"


def test_text_for_logs_is_not_wrapped_and_has_no_marks():
    text = as_text([table()])
    assert len(blocks(text.splitlines())) == 1
    assert "\x1b" not in text


def test_a_plain_console_prints_commands_as_they_are():
    console: Console = plain_console(unlimited=False, width=80, force_terminal=True)
    command = "made by: python tools/test.py --show-dir 'a[/b]/p' split=[val] :+1: 123"
    with console.capture() as capture:
        console.print(command, soft_wrap=True)
    assert capture.get() == f"{command}\n"


def test_long_names_are_folded_where_that_brings_all_numbers_beside_them():
    text = "the second zebra from the right, the one behind the tree"
    console = plain_console(unlimited=False, width=60)
    with console.capture() as capture:
        rows = [dict(name=text, a=12.5, b=100.0, c=-7.25)]
        print_tables(console, [ResultTable(title="", names=["name"], rows=rows)])
    ((head, *rows),) = blocks(capture.get().splitlines())
    assert head == ["name", "a", "b", "c"]
    assert rows[0][1:] == ["12.50", "100.00", "-7.25"]
    assert " ".join(row[0] for row in rows) == text


def test_what_all_rows_share_is_said_once():
    rows = [dict(split="val", run=run, image=7, mIoU=12.5) for run in "ab"]
    given = ResultTable(title="Runs", names=["split", "run", "image"], rows=rows)
    table = say_once(given, ["split", "run"])
    assert (table.title, table.names) == ("Runs, split: val", ["run", "image"])
    assert table.columns == ["run", "image", "mIoU"]
    assert table.records() == given.records()
