"""Profit and loss of a period: the sum of its sessions, by cause, strategy, instrument or asset class.

Belongs here: sums of rows of the dataset `attribution`. Does not belong here: calculating those rows
(`attribution.py`), or reading them.

Each session is converted at its own rate and valued at its own point value, so that a period is exactly the sum of its
sessions: nothing is calculated anew from the ends of a period.
"""

from __future__ import annotations

import math
from datetime import date

import pandas as pd

from trading.book.attribution import CAUSES, COLUMNS

CASH = "cash"  # what booked cash is summed under, where rows have no strategy, instrument or class
GROUPS = ("strategy", "instrument", "asset_class")
SUMS = (*COLUMNS, "total_base", "residual_base")


def month_start(session: date) -> date:
    """The first day of a session's month."""
    return session.replace(day=1)


def by_cause(rows: pd.DataFrame) -> pd.Series:
    """Sum of each cause, then `residual` and `total`, base currency; zeros where there are no rows."""
    names = [*CAUSES, "residual", "total"]
    return pd.Series({name: math.fsum(rows[f"{name}_base"]) for name in names}, name="amount_base")


def by_group(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Sums of every cause, the total and the residual by one of GROUPS; the best total first. Cash is its own group."""
    named = rows.assign(**{column: rows[column].where(rows[column] != "", CASH)})
    sums = named.groupby(column)[list(SUMS)].sum()
    return sums.sort_values("total_base", ascending=False, kind="stable").reset_index()


def by_session(rows: pd.DataFrame) -> pd.DataFrame:
    """Sums of every cause, the total and the residual by session, ascending."""
    return rows.groupby("session")[list(SUMS)].sum().reset_index()


def day_and_month(rows: pd.DataFrame, session: date) -> pd.DataFrame:
    """Each cause, residual and total, of the session and of its month to date: columns cause, day_base, month_base."""
    days = pd.to_datetime(rows["session"])
    through = rows[(days >= pd.Timestamp(month_start(session))) & (days <= pd.Timestamp(session))]
    today = by_cause(through[pd.to_datetime(through["session"]) == pd.Timestamp(session)])
    both = pd.DataFrame({"day_base": today, "month_base": by_cause(through)})
    return both.rename_axis("cause").reset_index()
