"""Volatility of the risk model on the real prices, beside the reference's, which is measured in another way.

The reference has the exponential standard deviation of span 35 around its mean; the risk model the root of the weighted
mean square. With the same decay (a half-life of ln 2 / -ln(1 - 2/36) = 12.13 sessions) they are never far apart.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from trading.config.risk import RiskModelSettings
from trading.market.continuous import roll_gaps
from trading.market.daily import daily_rows
from trading.market.instruments import Instrument
from trading.risk.market import Market
from trading.risk.risk_model import Histories, Known, histories, market_of

pytestmark = pytest.mark.golden

SIX = ["CORN", "EDOLLAR", "EUROSTX", "MXP", "US10", "V2X"]
SESSIONS = [date(2015, 3, 18), date(2018, 7, 11), date(2020, 3, 25), date(2021, 6, 9)]


@pytest.fixture(scope="module")
def history(vendor_multiple: pd.DataFrame) -> Histories:
    """Of the 18 instruments."""
    daily = daily_rows(vendor_multiple).assign(volume=np.nan)
    rates = pd.DataFrame({"currency": ["USD"], "session": [pd.Timestamp("2000-01-03")], "rate": [1.0],
                          "quoted_on": [pd.Timestamp("2000-01-03")]})  # fmt: skip
    return histories(daily, roll_gaps(vendor_multiple), rates)


def market(history: Histories, session: date) -> Market:
    codes = history.prices_points.columns
    listed = {code: Instrument(code, code, "G", "USD", 1.0, 0.01, "A", "S", "C") for code in codes}
    model = RiskModelSettings(sessions=512, half_life_sessions=12.127)
    return market_of(history, session, Known(listed, {}, model, "USD"))


@pytest.mark.parametrize("session", SESSIONS)
def test_volatility_is_near_the_references(session: date, history: Histories, chapter15: Path) -> None:
    found = market(history, session)
    measured = dict(zip(found.instruments, found.volatility_base, strict=True))
    for code in SIX:
        place = chapter15 / code / "vol_robust_default_args.csv.gz"
        theirs = pd.read_csv(place, index_col=0, parse_dates=True).iloc[:, 0].asof(pd.Timestamp(session))
        assert measured[code] == pytest.approx(theirs, rel=0.25), code


@pytest.mark.parametrize("session", SESSIONS)
def test_the_covariance_is_one_and_fear_goes_against_stocks(session: date, history: Histories) -> None:
    found = market(history, session)
    known = np.isfinite(found.covariance_rest)
    assert known.sum() >= 12
    loadings = found.covariance_loadings[known]
    covariance = loadings @ loadings.T + np.diag(found.covariance_rest[known])
    assert np.linalg.eigvalsh(covariance).min() > -1e-9 * covariance.max()
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), found.volatility_base[known], rtol=1e-9)
    names = [code for code, is_known in zip(found.instruments, known, strict=True) if is_known]
    volatility, fear = covariance[names.index("V2X")], np.sqrt(np.diag(covariance))
    assert volatility[names.index("EUROSTX")] / (fear[names.index("V2X")] * fear[names.index("EUROSTX")]) < -0.2
