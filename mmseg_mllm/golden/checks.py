"""Comparing arrays, and the table of what was compared."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.table import Table
from rich.text import Text
from torch import Tensor

ATOL = 1e-4
"""Of float32 arrays: the authors' own code differs by 1e-5 between numbers of threads."""
LOSS_ATOL = 1e-5
GRAD_NORM_RTOL = 1e-3
GRAD_RTOL = 1e-2
"""Of the largest number in the array: single ones suffer from cancellation."""
TINY = 1e-9
"""Below it a number is zero with noise, and has no relative difference."""
HALF_TOL = 2e-3
"""Absolute and relative, of arrays stored in float16."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One row.

    Attributes:
        part, array: What was compared.
        difference: The largest one found; None where nothing could be compared.
        tolerance: As text, such as '1e-4'.
        passed: None for something that was not compared.
        note: Why it failed, or where the largest difference is.
    """

    part: str
    array: str
    difference: float | None
    tolerance: str
    passed: bool | None
    note: str = ""


def compare(
    part: str,
    array: str,
    ours: Tensor | np.ndarray | Sequence,
    official: np.ndarray | Sequence,
    *,
    atol: float = ATOL,
    rtol: float = 0.0,
) -> Check:
    """Compare numbers; integers and flags must be equal, float16 references get their own tolerance.

    Args:
        part, array: Names of the row.
        ours: Any shape.
        official: The reference.
        atol, rtol: The difference may be ``atol + rtol * |official|``.
    """
    ours = ours.detach().cpu().numpy() if isinstance(ours, Tensor) else np.asarray(ours)
    official = np.asarray(official)
    if official.dtype == np.float16:
        atol = rtol = HALF_TOL
    exact = official.dtype.kind in "iub"
    tolerance = "exact" if exact else " + ".join(t for t in (_short(atol), _short(rtol, " rel")) if t)
    if ours.shape != official.shape:
        note = f"shape {ours.shape}, reference {official.shape}"
        return Check(part=part, array=array, difference=None, tolerance=tolerance, passed=False, note=note)
    if official.size == 0:
        return Check(part=part, array=array, difference=0.0, tolerance=tolerance, passed=True)
    difference = np.abs(ours.astype(np.float64) - official.astype(np.float64))
    allowed = 0.0 if exact else atol + rtol * np.abs(official.astype(np.float64))
    passed = bool((difference <= allowed).all())  # not for a NaN
    return Check(
        part=part, array=array, difference=float(difference.max()), tolerance=tolerance, passed=passed
    )


def compare_many(
    part: str, array: str, pairs: dict[str, tuple[float, float]], *, atol: float = 0.0, rtol: float = 0.0
) -> Check:
    """One row for many single numbers ``name -> (ours, official)``: the one that differs most.

    Either ``atol`` or ``rtol`` is the tolerance; with ``rtol`` the difference is relative to the reference.
    """

    def difference(name: str) -> float:
        ours, official = pairs[name]
        scale = max(abs(official), TINY) if rtol else 1.0
        found = abs(ours - official) / scale
        return found if found == found else float("inf")

    worst = max(pairs, key=difference)
    return Check(
        part=part,
        array=f"{array} ({len(pairs)})",
        difference=difference(worst),
        tolerance=_short(rtol, " rel") or _short(atol),
        passed=difference(worst) <= (rtol or atol),
        note=f"most in {worst}",
    )


def same_text(part: str, array: str, pairs: Sequence[tuple[str, str]]) -> Check:
    """Strings that must be equal to the letter."""
    wrong = [pair for pair in pairs if pair[0] != pair[1]]
    note = f"{wrong[0][0]!r} is not {wrong[0][1]!r}" if wrong else ""
    return Check(
        part=part,
        array=f"{array} ({len(pairs)})",
        difference=len(wrong),
        tolerance="equal",
        passed=not wrong,
        note=note,
    )


def checks_table(checks: Sequence[Check], *, title: str) -> Table:
    """Lay out the rows, failures in red."""
    table = Table(title=Text(title), title_justify="left")
    for name in ("part", "array", "largest difference", "tolerance", "result", "note"):
        table.add_column(
            name, justify="right" if "difference" in name else "left", overflow="fold", no_wrap=name != "note"
        )
    for check in checks:
        words = {True: "pass", False: Text("FAIL", style="bold red"), None: "not compared"}
        difference = "" if check.difference is None else f"{check.difference:.2g}"
        table.add_row(
            check.part,
            Text(check.array),
            difference,
            check.tolerance,
            words[check.passed],
            Text(check.note),
        )
    return table


def _short(value: float, unit: str = "") -> str:
    return f"{value:.0e}".replace("e-0", "e-") + unit if value else ""
