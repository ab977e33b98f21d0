"""Daily prices and volatility of the six chapter 15 instruments against the golden numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from trading.analytics.volatility import mixed, returns_points, robust
from trading.market.continuous import roll_gaps
from trading.market.daily import adjusted_daily, daily_rows, held_daily
from trading.market.sessions import desk_dates

pytestmark = pytest.mark.golden

SIX = ["CORN", "EDOLLAR", "EUROSTX", "MXP", "US10", "V2X"]
MEASURES = {"daily_returns_volatility": mixed, "vol_robust_default_args": robust}


def golden(place: Path, name: str) -> pd.Series:
    frame = pd.read_csv(place / f"{name}.csv.gz", index_col=0, parse_dates=True)
    return frame.iloc[:, 0]


@pytest.fixture(scope="module")
def stitched(vendor_multiple: pd.DataFrame) -> pd.DataFrame:
    """Our own daily prices, of all 18 instruments."""
    return adjusted_daily(daily_rows(vendor_multiple), roll_gaps(vendor_multiple))


@pytest.fixture(scope="module")
def vendors(vendor_adjusted: pd.DataFrame) -> pd.DataFrame:
    """Daily prices from the vendor's adjusted file: last price of each weekday."""
    present = vendor_adjusted.dropna(subset="price").sort_values("stamp", kind="stable")
    wide = present.groupby(["session", "instrument"])["price"].last().unstack()
    return wide.reindex(desk_dates(wide.index[0], wide.index[-1]))


@pytest.fixture(params=["stitched", "vendors"])
def prices(request: pytest.FixtureRequest) -> pd.DataFrame:
    frame: pd.DataFrame = request.getfixturevalue(request.param)
    return frame


def agree(ours: pd.Series, theirs: pd.Series) -> None:
    np.testing.assert_allclose(ours.reindex(theirs.index), theirs, rtol=1e-9, atol=0, equal_nan=True)


@pytest.mark.parametrize("instrument", SIX)
def test_daily_prices(instrument: str, prices: pd.DataFrame, chapter15: Path) -> None:
    theirs = golden(chapter15 / instrument, "get_daily_prices")
    agree(prices[instrument], theirs)
    assert prices[instrument].first_valid_index() == theirs.index[0]
    assert prices[instrument].last_valid_index() == theirs.index[-1]


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("instrument", SIX)
def test_volatility(instrument: str, measure: str, prices: pd.DataFrame, chapter15: Path) -> None:
    theirs = golden(chapter15 / instrument, measure)
    agree(MEASURES[measure](returns_points(prices))[instrument], theirs)
    assert theirs.notna().sum() > 1000


def test_held_prices_give_the_reference_percent_returns(
    vendor_multiple: pd.DataFrame, stitched: pd.DataFrame, chapter15: Path
) -> None:
    theirs = pd.read_csv(chapter15 / "correlation" / "percentage_returns_daily.csv.gz", index_col=0, parse_dates=True)
    held = held_daily(daily_rows(vendor_multiple))[SIX]
    ours = returns_points(stitched[SIX]) / held.ffill()
    np.testing.assert_allclose(ours.reindex(theirs.index), theirs[SIX], rtol=1e-9, atol=1e-14)
