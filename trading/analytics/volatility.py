"""Volatility of daily price changes, in price points and in percent a year.

Belongs here: estimators, wide frames in and out. Does not belong here: prices (`trading/market`), or positions.

"Wide" is a DataFrame indexed by session, a column an instrument. Definitions: reference numbers, sections 0 and 2. A
row without a price repeats the last volatility (the weights decay, nothing is added), also after a series has ended.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from trading.analytics.years import ROOT_OF_YEAR as ROOT_OF_YEAR
from trading.analytics.years import SESSIONS_A_YEAR as SESSIONS_A_YEAR

LEAST_POINTS = 1e-10  # a volatility is never zero: it divides


def returns_points(prices: pd.DataFrame, over_gaps: bool = False) -> pd.DataFrame:
    """Change of price between consecutive rows, points.

    A missing price makes two missing returns, as in the reference. With `over_gaps` the row after a gap has the whole
    move since the last price, so that what happens over a holiday counts.
    """
    return (prices - prices.ffill().shift(1)) if over_gaps else prices.diff()


def ewma(returns: pd.DataFrame, span: int = 35, min_periods: int = 10) -> pd.DataFrame:
    """Exponentially weighted standard deviation of returns, unbiased, around their own mean, in points a day.

    NaN until `min_periods` returns are present; missing returns decay the weights.
    """
    return returns.ewm(span=span, min_periods=min_periods, adjust=True, ignore_na=False).std()


def mixed(
    returns: pd.DataFrame,
    span: int = 35,
    min_periods: int = 10,
    slow_years: float = 10.0,
    slow_share: float = 0.3,
) -> pd.DataFrame:
    """`slow_share` of the long-run average of `ewma`, the rest `ewma` itself; points a day, at least 1e-10.

    The average is exponentially weighted with a *centre of mass* of `slow_years` x 256 rows (not a span).
    """
    quick = ewma(returns, span, min_periods)
    slow = quick.ewm(com=slow_years * SESSIONS_A_YEAR, adjust=True, ignore_na=False).mean()
    return (slow_share * slow + (1.0 - slow_share) * quick).clip(lower=LEAST_POINTS)


def robust(
    returns: pd.DataFrame,
    span: int = 35,
    min_periods: int = 10,
    floor_rows: int = 500,
    floor_min_periods: int = 100,
    floor_quantile: float = 0.05,
) -> pd.DataFrame:
    """`ewma`, not below its own 5 % quantile (linear) over the last 500 rows once 100 are present; points a day."""
    quick = ewma(returns, span, min_periods).clip(lower=LEAST_POINTS)
    floor = quick.rolling(floor_rows, min_periods=floor_min_periods).quantile(floor_quantile)
    return quick.where(~(quick < floor), floor)


def annual_percent(volatility_points: pd.DataFrame, held_prices: pd.DataFrame) -> pd.DataFrame:
    """Volatility x 16 as a percentage of the held contract's price, on the volatility's sessions.

    The price is the unadjusted one of that session, the last known where it is missing. A negative price counts by its
    size, since risk has no sign; at a price of zero the percentage is NaN.
    """
    price = held_prices.reindex(index=volatility_points.index, columns=volatility_points.columns).ffill().abs()
    return 100.0 * ROOT_OF_YEAR * volatility_points / price.where(price > 0, np.nan)


def long_rows(measures: Mapping[str, pd.DataFrame], sessions: pd.DatetimeIndex) -> pd.DataFrame:
    """Wide frames of equal columns as one long frame: a row for each asked session and instrument that has one."""
    index = next(iter(measures.values())).index.intersection(sessions)
    stacked = {name: wide.reindex(index).stack(future_stack=True) for name, wide in measures.items()}
    rows = pd.DataFrame(stacked).rename_axis(["session", "instrument"]).reset_index()
    return rows.dropna(subset=list(measures), how="all")
