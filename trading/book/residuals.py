"""Which sessions are not explained: where causes and the account differ by more than the desk accepts.

Belongs here: judging residuals of the dataset `attribution`. Does not belong here: calculating them
(`attribution.py`), or what an override may excuse (`close_state.py`).

What is judged is the sum of the residuals of a session, each taken without its sign: two mistakes that cancel are two
mistakes. It is at least the largest residual of one row, and at least that of the session.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import pandas as pd

SHOWN, CENT = 3, 0.005


@dataclass(frozen=True, slots=True)
class Unexplained:
    """A session whose residuals come to more than is accepted, and what to do, as a sentence."""

    session: date
    residual_base: float
    message: str


def unexplained(rows: pd.DataFrame, tolerance_base: float, base_currency: str) -> list[Unexplained]:
    """Sessions of rows of `attribution` that are not explained, in order. A residual that is no number is not."""
    size = rows["residual_base"].abs()
    sums = size.groupby(rows["session"]).sum(min_count=1)
    holes = size.isna().groupby(rows["session"]).any()
    wrong = sums[~(sums <= tolerance_base) | holes]
    return [
        _sentence(session, float(amount), rows[rows["session"] == session], tolerance_base, base_currency)
        for session, amount in wrong.items()
    ]


def _sentence(session: object, amount: float, rows: pd.DataFrame, tolerance_base: float, unit: str) -> Unexplained:
    day = pd.Timestamp(str(session)).date()
    size = rows["residual_base"].abs().sort_values(ascending=False, na_position="first", kind="stable")
    shown = size.index[: max(1, min(SHOWN, int((~(size < CENT)).sum())))]
    worst = [_row(row, unit) for row in rows.loc[shown].to_dict("records")]
    return Unexplained(
        day,
        amount,
        f"{amount:,.2f} {unit} of the profit of {day} has no cause (accepted: {tolerance_base:g}): {', '.join(worst)}. "
        "Compare the fills, positions and marks of the session with the journal, close the session again, or override "
        "the check with a name and a reason.",
    )


def _row(row: dict[object, object], unit: str) -> str:
    name = "/".join(str(row[part]) for part in ("strategy", "instrument", "contract")) if row["instrument"] else "cash"
    return f"{name} {row['residual_base']:+,.2f} {unit}"
