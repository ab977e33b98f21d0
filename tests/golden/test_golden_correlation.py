"""Weekly returns and exponential correlation against the golden numbers (reference numbers, section 10)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from trading.analytics.correlation import exponential, through, weekly_returns
from trading.market.continuous import roll_gaps
from trading.market.daily import adjusted_daily, daily_rows, held_daily

pytestmark = pytest.mark.golden

SIX = ["CORN", "EDOLLAR", "EUROSTX", "MXP", "US10", "V2X"]
OFF_DIAGONAL = ~np.eye(6, dtype=bool)


def floored(matrix: pd.DataFrame) -> np.ndarray:
    """What the reference does with a full matrix where it floors at zero."""
    return matrix.clip(lower=0.0).to_numpy()


def clipped_and_shrunk(matrix: pd.DataFrame) -> np.ndarray:
    """... and where it clips at 0.9 and shrinks half way to the average."""
    clipped = matrix.clip(-0.9, 0.9).to_numpy()
    return np.where(OFF_DIAGONAL, 0.5 * clipped + 0.5 * clipped[OFF_DIAGONAL].mean(), 1.0)


def golden(place: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(place / "correlation" / f"{name}.csv.gz", index_col=0)


@pytest.fixture(scope="module")
def weekly(vendor_multiple: pd.DataFrame) -> pd.DataFrame:
    """Our own weekly returns of the six instruments, from multiple prices on."""
    own = vendor_multiple[vendor_multiple["instrument"].isin(SIX)]
    daily = daily_rows(own)
    return weekly_returns(adjusted_daily(daily, roll_gaps(own)), held_daily(daily))


def test_weekly_returns(weekly: pd.DataFrame, chapter15: Path) -> None:
    theirs = golden(chapter15, "percentage_returns_weekly")
    assert list(weekly.index) == list(pd.to_datetime(theirs.index))
    np.testing.assert_allclose(weekly[SIX], theirs[SIX], rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("span", "least", "name", "finish"),
    [
        (250, 20, "exp_corr_weekly_span250_final_cleaned_floored", floored),
        (75, 10, "exp_corr_weekly_span75_final_clip90_shrunk50", clipped_and_shrunk),
    ],
)
def test_weekly_correlation_through_the_last_session(
    span: int, least: int, name: str, finish: object, weekly: pd.DataFrame, chapter15: Path
) -> None:
    """The reference uses the last matrix before its last date: the week before the one that Monday 28 February opens,
    which is the last complete one at that session."""
    long = through(weekly, [pd.Timestamp("2022-02-28")], span, least)
    upper = long.pivot(index="instrument_a", columns="instrument_b", values="correlation")
    matrix = upper.fillna(upper.T)
    assert callable(finish)
    np.testing.assert_allclose(finish(matrix), golden(chapter15, name)[SIX].loc[SIX], rtol=0, atol=1e-12)


def test_daily_correlation(chapter15: Path) -> None:
    returns = golden(chapter15, "percentage_returns_daily")[SIX].iloc[:-1]
    matrix = exponential(returns, span=125, min_periods=20)
    theirs = golden(chapter15, "exp_corr_daily_span125_final_cleaned_floored")
    np.testing.assert_allclose(floored(matrix), theirs[SIX].loc[SIX], rtol=0, atol=1e-12)
