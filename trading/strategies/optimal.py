"""From forecasts to contracts: what a strategy would hold if trading were free and contracts divisible.

Belongs here: position size, instrument weights and the risk overlay, as arrays of shape `(n_sessions, n_instruments)`.
Does not belong here: what is worth trading (`buffering.py`), or money (`trading/backtest`). The backtest and the close
both size with `optimal`. Definitions: reference numbers, sections 8 and 9. Source: Carver, Systematic Trading, 9 to 11.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trading.analytics.years import ROOT_OF_YEAR
from trading.backtest.panel import Panel
from trading.config.strategies import StrategySettings
from trading.kernels.averages import filled, of_centre
from trading.kernels.holdings import smoothed_weights
from trading.strategies.mixture import Forecasts, forecasts, market_of
from trading.strategies.workbench import Workbench

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Optimal:
    """Positions in contracts, unrounded and signed; NaN where there is none.

    `value_volatility`: one deviation a day of one contract, base currency. `subsystem`: with all capital in that
    instrument. `weights`: of instruments. `average`: the position at an average forecast. `notional`: the portfolio's,
    after the risk overlay. `half_width`: half the no-trade zone. `risk_scalar`, shape `(n_sessions,)`: of the overlay.
    """

    forecasts: Forecasts
    value_volatility: Floats
    subsystem: Floats
    weights: Floats
    average: Floats
    notional: Floats
    half_width: Floats
    risk_scalar: Floats


@dataclass(frozen=True, slots=True)
class Sizing:
    """Capital in base currency and the annual volatility target in percent of it."""

    capital_base: float
    volatility_target_percent: float

    @property
    def daily_cash_base(self) -> float:
        """What one deviation of a day should be."""
        return self.capital_base * self.volatility_target_percent / 100.0 / ROOT_OF_YEAR


def optimal(bench: Workbench, strategy: StrategySettings, sizing: Sizing) -> Optimal:
    """The optimal positions of a strategy on all instruments of the bench's panel, decided with each session's close.

    The row of a session uses that session and earlier ones only, unless an option of the strategy says otherwise.
    """
    panel = bench.panel
    found = forecasts(bench, strategy)
    value = value_volatility(bench, strategy)
    inside = _inside(panel, found)
    contracts = np.where(inside, filled(np.where(inside, sizing.daily_cash_base / value, np.nan)), np.nan)
    subsystem = contracts * found.combined / strategy.forecasts.average
    weights = instrument_weights(panel, strategy, subsystem, int(found.first.min()))
    average = contracts * weights * _multiplier(bench, strategy, sizing, subsystem, contracts, weights)
    notional = average * found.combined / strategy.forecasts.average
    scalar = _risk_scalar(bench, strategy, sizing, notional)
    notional = notional * scalar[:, None]
    width = _half_width(strategy, notional, average)
    return Optimal(found, value, subsystem, weights, average, notional, width, scalar)


def value_volatility(bench: Workbench, strategy: StrategySettings) -> Floats:
    """One deviation a day of one contract in base currency, carried forward; NaN before volatility, a price of the held
    contract and an exchange rate are known."""
    panel = bench.panel
    key = ("value volatility", strategy.volatility, strategy.execution.rates)
    return bench.once(key, lambda: _value_volatility(panel, market_of(bench, strategy).volatility, strategy))


def _value_volatility(panel: Panel, volatility: Floats, strategy: StrategySettings) -> Floats:
    rows = np.arange(len(panel.sessions))[:, None]
    quoted = (rows >= panel.held_first) & (rows <= panel.held_last) & (rows >= panel.first) & (rows <= panel.last)
    priced = np.isfinite(filled(panel.held))
    local = filled(np.where(quoted & priced, volatility * panel.point_value, np.nan))
    return local * rates(panel, strategy)


def rates(panel: Panel, strategy: StrategySettings) -> Floats:
    """Base currency for one unit of the instrument's, as the strategy's settings let it be known."""
    if strategy.execution.rates == "session":
        return panel.rate
    days = (panel.sessions - panel.first_day).astype(np.int64)
    return panel.rate_midnight[days]


def instrument_weights(panel: Panel, strategy: StrategySettings, subsystem: Floats, start: int) -> Floats:
    """Weights by session, from row `start` on: of the instruments that have had a position, summing to 1, smoothed."""
    given = strategy.portfolio.weights
    fixed = np.array([given.get(code, 0.0) if given else 1.0 for code in panel.instruments], dtype=np.float64)
    com = strategy.portfolio.weight_smoothing_com
    return smoothed_weights(subsystem, fixed, of_centre(com) if com > 0 else 0.0, start)


def _inside(panel: Panel, found: Forecasts) -> npt.NDArray[np.bool_]:
    rows = np.arange(len(panel.sessions))[:, None]
    return (rows >= found.first) & (rows <= found.last)


def _multiplier(
    bench: Workbench, strategy: StrategySettings, sizing: Sizing, subsystem: Floats, contracts: Floats, weights: Floats
) -> Floats | float:
    given = strategy.portfolio.multiplier
    if not isinstance(given, str):
        return given
    from trading.strategies.estimates import instrument_multipliers

    return instrument_multipliers(bench, strategy, sizing, subsystem, contracts, weights)[:, None]


def _risk_scalar(bench: Workbench, strategy: StrategySettings, sizing: Sizing, notional: Floats) -> Floats:
    if not strategy.risk_overlay.limits:
        return np.ones(len(notional))
    from trading.strategies.estimates import risk_scalar

    return risk_scalar(bench, strategy, sizing, notional)


def _half_width(strategy: StrategySettings, notional: Floats, average: Floats) -> Floats:
    buffer = strategy.buffer
    if buffer.method == "none":
        return np.full_like(notional, 0.001)
    return buffer.fraction * np.abs(notional if buffer.method == "position" else average)
