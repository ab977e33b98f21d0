"""Open breaks by age: counted, and drawn.

Belongs here: what is counted together. Does not belong here: how old a break is, and what it stops
(`trading/book/breaks.py`), how bars are drawn (`drawings.py`), or where the picture is shown.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from trading.book.breaks import AGES, age_group, stops
from trading.reports import drawings

LATE, STOPS, WARNS = "known to be late", "stops the close", "warns"
COLOURS = {STOPS: drawings.VERMILION, WARNS: drawings.BLUE, LATE: drawings.SERIES[2]}


def counted(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of `breaks` counted: one row a group of ages (index, youngest first), one column a meaning."""
    groups = [name for _, name in AGES]
    if rows.empty:
        return pd.DataFrame(0, index=groups, columns=list(COLOURS))
    means = [_meaning(row) for row in rows.to_dict("records")]
    ages = [age_group(int(age)) for age in rows["age_sessions"]]
    return pd.crosstab(pd.Series(ages), pd.Series(means)).reindex(index=groups, columns=list(COLOURS), fill_value=0)


def _meaning(row: dict[Any, Any]) -> str:
    if row["timing"]:
        return LATE
    tolerance = None if pd.isna(row["tolerance"]) else row["tolerance"]
    return STOPS if stops(row["kind"], False, tolerance) else WARNS


def breaks_by_age(rows: pd.DataFrame) -> drawings.Figure:
    """Rows of `breaks` as bars by the sessions since they were opened, stacked by what they mean for the close."""
    return drawings.stacked_bars(counted(rows), COLOURS, "Open breaks by age, sessions")
