"""Covariance by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd

from trading.analytics.covariance import covariance
from trading.frames import COVARIANCE, to_table

ONE, TWO = pd.Timestamp("2022-03-01"), pd.Timestamp("2022-03-02")
CORRELATION = pd.DataFrame(
    [
        ("A", "A", ONE, 1.0),
        ("A", "B", ONE, -0.5),
        ("B", "B", ONE, 1.0),
        ("A", "B", TWO, np.nan),
        ("B", "B", TWO, 1.0),
    ],
    columns=["instrument_a", "instrument_b", "session", "correlation"],
).astype({"session": "datetime64[us]"})
WIDE = pd.DataFrame({"A": [10.0, 12.0], "B": [4.0, np.nan]}, index=pd.DatetimeIndex([ONE, TWO]).as_unit("us"))
LONG = pd.DataFrame(
    [("A", ONE, 10.0), ("A", TWO, 12.0), ("B", ONE, 4.0), ("B", TWO, np.nan)],
    columns=["instrument", "session", "annual_percent"],
).astype({"session": "datetime64[us]"})


def test_correlation_times_both_volatilities_of_the_session() -> None:
    for volatility in (WIDE, LONG):
        found = covariance(CORRELATION, volatility)
        np.testing.assert_array_equal(found["covariance"], [100.0, -20.0, 16.0, np.nan, np.nan])
        assert to_table(found, COVARIANCE).num_rows == 5


def test_a_volatility_of_another_session_is_not_used() -> None:
    assert covariance(CORRELATION.iloc[3:], WIDE.iloc[:1])["covariance"].isna().all()
