"""Exponentially weighted correlation of weekly returns, served through a session.

Belongs here: weekly returns and their correlation. Does not belong here: volatility, covariance (`covariance.py`), or
cleaning a matrix for an optimiser. Definitions: reference numbers, section 10.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from trading.analytics.volatility import returns_points

Matrix = npt.NDArray[np.float64]
FRIDAY_TO_SUNDAY = pd.Timedelta(days=2)  # a week is labelled by its Sunday and complete with Friday's close


def weekly_returns(prices: pd.DataFrame, held: pd.DataFrame, over_gaps: bool = False) -> pd.DataFrame:
    """Returns of weeks ending Sunday as fractions of the held price, wide, indexed by the Sunday.

    Daily change of the adjusted price / size of the held price, cumulated over present days, last of the week,
    differenced. NaN before a series starts; zero in a week without prices. The last week may still be running. A
    missing price loses the moves to and from it, as in the reference; with `over_gaps` the next price has them.
    """
    price = held.reindex(index=prices.index, columns=prices.columns).ffill().abs()
    daily = returns_points(prices, over_gaps) / price.where(price > 0, np.nan)
    return daily.cumsum().ffill().resample("W-SUN").last().diff()


def exponential(returns: pd.DataFrame, span: int, min_periods: int) -> pd.DataFrame:
    """Correlation matrix as of the last row: instruments by instruments.

    Of each pair only rows where both are present count, and only those decay; both variances are taken on the same
    rows. NaN until `min_periods` such rows, or where a series never moved.
    """
    moments = _Moments.none(returns.shape[1])
    for row in returns.to_numpy(dtype=np.float64):
        moments.add(row, 1.0 - 2.0 / (span + 1.0))
    return pd.DataFrame(moments.correlation(min_periods), index=returns.columns, columns=returns.columns)


def through(returns: pd.DataFrame, sessions: Iterable[pd.Timestamp], span: int, min_periods: int) -> pd.DataFrame:
    """The columns of CORRELATION for each session, from the weeks whose Friday is that session or earlier.

    `returns` are `weekly_returns`, from which later weeks are ignored, so nothing looks ahead. Pairs are the upper
    triangle with the diagonal, instruments in alphabetical order; every pair has a row, NaN while history is short.
    """
    ordered = returns.sort_index(axis=1)
    asked = pd.DatetimeIndex(list(sessions), name="session").unique().sort_values()
    weeks = np.asarray((pd.DatetimeIndex(ordered.index) - FRIDAY_TO_SUNDAY).searchsorted(asked, side="right"))
    matrices = _matrices(ordered.to_numpy(dtype=np.float64), np.unique(weeks), span, min_periods)
    upper, right = np.triu_indices(ordered.shape[1])
    values = [matrices[week][upper, right] for week in weeks]
    names = ordered.columns.to_numpy()
    return pd.DataFrame(
        {
            "instrument_a": np.tile(names[upper], len(asked)),
            "instrument_b": np.tile(names[right], len(asked)),
            "session": np.repeat(asked.to_numpy(), len(upper)),
            "correlation": np.concatenate(values) if values else np.empty(0),
        }
    )


def matrix(pairs: pd.DataFrame) -> pd.DataFrame:
    """CORRELATION rows of one session (upper triangle) as a full symmetric matrix; pairs not given are NaN."""
    names = sorted({*pairs["instrument_a"], *pairs["instrument_b"]})
    upper = pairs.pivot(index="instrument_a", columns="instrument_b", values="correlation")
    upper = upper.reindex(index=names, columns=names)
    return upper.where(upper.notna(), upper.T)


def _matrices(rows: Matrix, wanted: npt.NDArray[np.intp], span: int, min_periods: int) -> dict[int, Matrix]:
    """The correlation matrix after each wanted number of rows, in one pass over them."""
    moments = _Moments.none(rows.shape[1])
    found: dict[int, Matrix] = {}
    done = 0
    for count in wanted:
        for row in rows[done:count]:
            moments.add(row, 1.0 - 2.0 / (span + 1.0))
        done = int(count)
        found[done] = moments.correlation(min_periods)
    return found


@dataclass(slots=True)
class _Moments:
    """Running weighted moments of all pairs. [i, j] is about series i on the rows where i and j are both present.

    Means and squares are updated by differences from the mean (West 1979), which does not lose digits as sums would.
    """

    count: Matrix
    weight: Matrix
    mean: Matrix
    square: Matrix
    product: Matrix

    @classmethod
    def none(cls, size: int) -> _Moments:
        return cls(*(np.zeros((size, size)) for _ in range(5)))

    def add(self, row: Matrix, keep: float) -> None:
        """One row of returns; all weights before it shrink by `keep` where the pair is present."""
        present = np.isfinite(row)
        both = np.outer(present, present)
        decay = np.where(both, keep, 1.0)
        self.count += both
        self.weight = self.weight * decay + both
        share = 1.0 / np.where(both, self.weight, 1.0)
        off = np.where(both, row[:, None] - self.mean, 0.0)
        self.mean += off * share
        self.square = self.square * decay + off * off * (1.0 - share)
        self.product = self.product * decay + off * off.T * (1.0 - share)

    def correlation(self, min_periods: int) -> Matrix:
        with np.errstate(divide="ignore", invalid="ignore"):
            raw = self.product / np.sqrt(self.square * self.square.T)
        raw[(self.count < min_periods) | ~np.isfinite(raw)] = np.nan
        return np.clip(raw, -1.0, 1.0)
