"""Covariance from correlation and volatility. Does not belong here: estimating either."""

from __future__ import annotations

import pandas as pd


def covariance(correlation: pd.DataFrame, annual_percent: pd.DataFrame) -> pd.DataFrame:
    """The columns of COVARIANCE: correlation x both annual volatilities of that session, in squared annual percent.

    `correlation` has the columns of CORRELATION. `annual_percent` is wide (sessions by instruments), or has the columns
    instrument, session, annual_percent (VOLATILITY). NaN where the correlation or a volatility is missing.
    """
    long = annual_percent if "annual_percent" in annual_percent.columns else _long(annual_percent)
    volatility = long.set_index(["instrument", "session"])["annual_percent"]
    result = correlation[["instrument_a", "instrument_b", "session"]].copy()
    first = volatility.reindex(pd.MultiIndex.from_frame(result[["instrument_a", "session"]])).to_numpy()
    second = volatility.reindex(pd.MultiIndex.from_frame(result[["instrument_b", "session"]])).to_numpy()
    result["covariance"] = correlation["correlation"] * first * second
    return result.reset_index(drop=True)


def _long(wide: pd.DataFrame) -> pd.DataFrame:
    named = wide.rename_axis(index="session", columns=None)
    return named.reset_index().melt("session", var_name="instrument", value_name="annual_percent")
