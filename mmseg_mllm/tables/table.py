"""A table of results: what it says, apart from how it is shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isnan

Value = str | int | float | None


@dataclass(frozen=True, kw_only=True)
class ResultTable:
    """Rows of results with the same columns.

    Attributes:
        title: What was measured.
        names: Columns that say what a row is about; all others are numbers.
        rows: Column -> value; floats are shown with two digits, None and NaN as '-'.
        total: A last row, apart from the others.
        shared: What all rows have in common and the title says, by name; part of each record.
        caption: A remark below.
    """

    title: str
    names: Sequence[str]
    rows: Sequence[Mapping[str, Value]]
    total: Mapping[str, Value] | None = None
    shared: Mapping[str, Value] = field(default_factory=dict)
    caption: str | None = None

    @property
    def columns(self) -> list[str]:
        """All columns, in order."""
        return list(self.all_rows[0]) if self.all_rows else list(self.names)

    @property
    def all_rows(self) -> list[Mapping[str, Value]]:
        """The rows with the total."""
        return [*self.rows, *([self.total] if self.total else [])]

    def cells(self, row: Mapping[str, Value]) -> list[str]:
        """A row as it is shown."""
        return [shown(row[column]) for column in self.columns]

    def records(self) -> list[dict[str, Value]]:
        """All rows with what they share, for programs: numbers in full, None for NaN."""
        return [
            {name: None if _is_nan(value) else value for name, value in {**self.shared, **row}.items()}
            for row in self.all_rows
        ]


def say_once(table: ResultTable, names: Sequence[str]) -> ResultTable:
    """The same table; what all rows share under these names stands in its title, and not in each row."""
    once = {name: table.rows[0][name] for name in names if len({row[name] for row in table.rows}) == 1}
    return replace(
        table,
        title=", ".join([table.title, *(f"{name}: {value}" for name, value in once.items())]),
        names=[name for name in table.names if name not in once],
        rows=[{name: value for name, value in row.items() if name not in once} for row in table.rows],
        shared={**table.shared, **once},
    )


def shown(value: Value) -> str:
    """A value for people."""
    if value is None or _is_nan(value):
        return "-"
    if isinstance(value, float):
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else value


def _is_nan(value: Value) -> bool:
    return isinstance(value, float) and isnan(value)
