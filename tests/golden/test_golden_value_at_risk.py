"""Value at risk of the reference's own chapter 15 positions over ten years of real prices.

What one day looks back on has no look-ahead, so the outcome is one of the world: history's own 1 % loss held, and the
normal distribution's, whose tails are too thin for futures, did not. At 95 % both did.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from trading.config.risk import RiskModelSettings
from trading.market.continuous import roll_gaps
from trading.market.daily import daily_rows
from trading.risk.value_at_risk import Backtest, backtest, forecasts
from trading.strategies.prices import anchored_prices

pytestmark = pytest.mark.golden

SIX = ["CORN", "EDOLLAR", "EUROSTX", "MXP", "US10", "V2X"]
EURO = 1.15  # dollars, about; the same on every day, which changes no outcome
JUDGED = 2560  # sessions: ten years


@pytest.fixture(scope="module")
def book(vendor_multiple: pd.DataFrame, chapter15: Path) -> tuple[np.ndarray, np.ndarray]:
    """Gains of one contract, and contracts held, by day from 2009 on."""
    prices = anchored_prices(daily_rows(vendor_multiple), roll_gaps(vendor_multiple))[SIX]
    meta = json.loads((chapter15 / "instrument_meta.json").read_text())
    per_point = [meta[code]["pointsize"] * (EURO if meta[code]["currency"] == "EUR" else 1.0) for code in SIX]
    name = "calc_positions_after_delay_and_round.csv.gz"
    held = {code: pd.read_csv(chapter15 / code / name, index_col=0, parse_dates=True).iloc[:, 0] for code in SIX}
    since = prices.index >= pd.Timestamp("2009-01-01")
    contracts = pd.DataFrame(held).reindex(prices.index).ffill().fillna(0.0)
    moves = (prices - prices.ffill().shift(1)) * per_point
    return moves[since].to_numpy(), contracts[since].to_numpy()


def judged(book: tuple[np.ndarray, np.ndarray], method: str, confidence: float) -> Backtest:
    found = forecasts(*book, RiskModelSettings(confidence=confidence))
    forecast = getattr(found, method)[-JUDGED - 1 : -1]
    return backtest(forecast, found.gain_base[-JUDGED:], confidence)


@pytest.mark.parametrize(("method", "confidence", "rejected"), [
    ("historical", 0.99, ()),
    ("parametric", 0.99, ("unconditional coverage", "conditional coverage")),
    ("historical", 0.95, ()),
    ("parametric", 0.95, ()),
])  # fmt: skip
def test_ten_years_of_chapter_15(
    book: tuple[np.ndarray, np.ndarray], method: str, confidence: float, rejected: tuple[str, ...]
) -> None:
    found = judged(book, method, confidence)
    assert found.days == JUDGED
    assert found.rejected() == rejected, found
    assert 0.5 < found.exceedances / found.expected < 2.0
