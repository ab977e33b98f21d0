"""Correlation matrices as portfolios use them: refitted, cleaned, floored, clipped, shrunk. Arrays only.

Belongs here: which returns, spans and cleanings make which matrix. Does not belong here: the loops
(`trading/kernels/correlations.py`), the dates of refits (`refits.py`), or the desk's own correlation table
(`correlation.py`). Definitions: reference numbers, section 10.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trading.analytics.refits import Days, Integers, Refits
from trading.kernels.averages import Floats, changes, filled
from trading.kernels.correlations import binned_changes, raw_matrix, refitted_matrices

WEEK = np.timedelta64(7, "D")
MONDAY = np.datetime64("1970-01-05", "D")


@dataclass(frozen=True, slots=True)
class Cleaning:
    """How raw correlations of two series become those of a portfolio.

    `span` and `min_periods` in rows where both are present. A missing pair is the mean of the present ones if both
    series had data in the window of the fit, else `absent`. Then `floor`, `limit` of the size, and `shrinkage` towards
    the mean correlation.
    """

    span: float
    min_periods: int
    absent: float
    floor: float = -1.0
    limit: float = 1.0
    shrinkage: float = 0.0

    def array(self) -> Floats:
        """As the kernels read it."""
        given = (self.span, self.min_periods, self.absent, self.floor, self.limit, self.shrinkage)
        return np.array(given, dtype=np.float64)


RETURNS = Cleaning(span=75, min_periods=10, absent=0.0, limit=0.9, shrinkage=0.5)
"""Of instruments' returns, for the risk overlay: weekly, five refits of memory about who had data."""


@dataclass(frozen=True, slots=True)
class Weekly:
    """Returns by week: `labels` (n_weeks,) name the weeks, `returns` is (n_weeks, n_columns)."""

    labels: Days
    returns: Floats


def percent_returns(price: Floats, held: Floats, over_gaps: bool = False) -> Floats:
    """Change of the adjusted price as a fraction of the held contract's price, carried forward; (n_sessions, n).

    A missing price loses the moves to and from it; with `over_gaps` the next price has both. A held price of 0 has
    no returns.
    """
    carried = filled(held)
    return changes(price, over_gaps) / np.where(carried == 0.0, np.nan, carried)


def seven_day_weeks(returns: Floats, sessions: Days) -> Weekly:
    """Weeks of seven days from the first session on, named by their first day. Returns are cumulated, missing ones
    skipped, and a week has the change from the end of the week before; NaN until a series has had a week."""
    bins = ((sessions - sessions[0]) // WEEK).astype(np.int64)
    labels = sessions[0] + np.arange(bins[-1] + 1) * WEEK
    return Weekly(labels, binned_changes(returns, bins))


def sunday_weeks(returns: Floats, sessions: Days) -> Weekly:
    """The same for weeks from Monday to Sunday, named by the Sunday."""
    bins, labels = _sundays(sessions)
    return Weekly(labels, binned_changes(returns, bins))


def sunday_levels(values: Floats, sessions: Days) -> Weekly:
    """What was last known in each week from Monday to Sunday: levels, not returns; NaN before a first value."""
    bins, labels = _sundays(sessions)
    ends = np.flatnonzero(np.diff(bins, append=bins[-1] + 1))
    return Weekly(labels, filled(values)[ends])


def _sundays(sessions: Days) -> tuple[Integers, Days]:
    weeks = ((sessions - MONDAY) // WEEK).astype(np.int64)
    bins = weeks - weeks[0]
    return bins, MONDAY + (weeks[0] + np.arange(bins[-1] + 1)) * WEEK + np.timedelta64(6, "D")


def matrices(weekly: Weekly, refits: Refits, cleaning: Cleaning) -> Floats:
    """The matrix of each refit, (n_refits, n, n). The first is 0.99 everywhere: nothing is known yet. NaN only where
    a missing pair has no present one to take the mean of (two series alone that have just begun)."""
    counts, seen = refits.counts(weekly.labels), refits.seen(weekly.labels, weekly.returns)
    return refitted_matrices(weekly.returns, counts, seen, cleaning.array())


def raw(returns: Floats, span: float, min_periods: int) -> Floats:
    """Raw correlations (n, n) as of the last row of `returns` (n_rows, n): exponential weights that decay only on rows
    where both series are present; NaN before `min_periods` such rows or where a series never moved."""
    return raw_matrix(returns, span, min_periods)
