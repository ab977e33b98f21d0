"""What a restatement comes to in money: profit and loss before and after, by session and instrument.

Belongs here: comparing rows of P&L. Does not belong here: reading them as they were signed (`pipelines/signing.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

TOTAL = "total"
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """Profit and loss of an instrument (or TOTAL) on a session, base currency, as it was signed and as it is now."""

    session: date
    instrument: str
    before_base: float
    after_base: float

    @property
    def difference_base(self) -> float:
        """After minus before."""
        return self.after_base - self.before_base


def changes(session: date, before: Iterable[Row], after: Iterable[Row]) -> list[Change]:
    """The instruments whose P&L of a session changed, sorted, then the total of all; none where nothing changed.

    Rows of P&L: `instrument`, `total_base`. Sums are exact (fsum), so that equal rows in any order are no change.
    """
    was, now = _by_instrument(before), _by_instrument(after)
    names = sorted({*was, *now})
    found = [Change(session, name, was.get(name, 0.0), now.get(name, 0.0)) for name in names]
    changed = [change for change in found if change.difference_base != 0.0]
    if not changed:
        return []
    whole = Change(session, TOTAL, math.fsum(was.values()), math.fsum(now.values()))
    return [*changed, whole]


def _by_instrument(rows: Iterable[Row]) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for row in rows:
        found.setdefault(str(row["instrument"]), []).append(float(row["total_base"] or 0.0))
    return {name: math.fsum(values) for name, values in found.items()}
