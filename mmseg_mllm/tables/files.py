"""Tables for programs and documents: JSON, CSV, Markdown."""

import csv
import io
import json
from collections.abc import Sequence

from mmseg_mllm.tables.table import ResultTable


def as_json(tables: Sequence[ResultTable], *, made_by: str) -> str:
    """``made_by``, and ``tables`` with ``title`` and ``rows``; figures with all their digits."""
    content = [dict(title=table.title, rows=table.records()) for table in tables]
    return json.dumps(dict(made_by=made_by, tables=content), indent=1, ensure_ascii=False) + "\n"


def as_csv(tables: Sequence[ResultTable], *, made_by: str) -> str:
    """All rows of all tables below one head; what a table does not have stays empty."""
    records = [record for table in tables for record in table.records()]
    columns = list(dict.fromkeys(name for record in records for name in record))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue()


def as_markdown(tables: Sequence[ResultTable], *, made_by: str) -> str:
    """Titles, tables, and the command."""
    parts = [part for table in tables for part in (_escaped(table.title), _markdown(table), table.caption)]
    fence = "``" if "`" in made_by else "`"
    return "\n\n".join([*filter(None, parts), f"made by: {fence}{made_by}{fence}"]) + "\n"


FORMATS = {"json": as_json, "csv": as_csv, "markdown": as_markdown}


def _markdown(table: ResultTable) -> str:
    rule = ["---" if column in table.names else "---:" for column in table.columns]
    rows = [map(_escaped, cells) for cells in (table.columns, *map(table.cells, table.all_rows))]
    head, *body = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([head, "|" + "|".join(rule) + "|", *body])


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is."""
    for sign in "\\`*_[]<>|":
        text = text.replace(sign, "\\" + sign)
    return text
