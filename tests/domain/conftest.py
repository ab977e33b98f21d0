"""Small panels for tests of calculations. Does not belong here: expectations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from trading.backtest.market_days import DailySeries, Rates, Terms, conversion, joined, weekdays
from trading.backtest.panel import Panel

PanelOf = Callable[..., Panel]


@pytest.fixture(scope="session")
def panel_of() -> PanelOf:
    """Makes a panel in dollars from prices by instrument, weekday after weekday from `start` on: the held contract has
    the same price, a point is worth 10, trading is free, no roll; arrays given by name replace the panel's own."""
    return _panel


def _panel(prices: Mapping[str, Sequence[float]], start: str = "2024-01-01", **given: object) -> Panel:
    begin = int(weekdays(np.array([start], "datetime64[us]"))[0])
    series = {code: _series(np.asarray(values, dtype=float), begin) for code, values in prices.items()}
    terms = {code: Terms("USD", 10.0, rolls_a_year=4.0) for code in series}
    made = joined(series, terms, Rates("USD", {"USD": conversion("USD", "USD", ())}, {}), "made by hand")
    return replace(made, **{name: np.asarray(value, dtype=float) for name, value in given.items()})


def _series(values: np.ndarray, begin: int) -> DailySeries:
    rows = np.flatnonzero(np.isfinite(values))
    first, own = begin + int(rows[0]), values[rows[0] : rows[-1] + 1]
    nothing = np.full(len(own), np.nan)
    return DailySeries(first, own, first, own.copy(), nothing, np.zeros(len(own)))
