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
from trading.kernels.holdings import portfolio_positions, sized_positions
from trading.strategies.mixture import Forecasts, forecasts, market_of
from trading.strategies.workbench import Workbench

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Optimal:
    """Positions in contracts, unrounded and signed; NaN where there is none.

    `value_volatility`: one deviation a day of one contract, base currency. `subsystem`: with all capital in that
    instrument. `weights`: of instruments. `average`: the position at an average forecast. `notional`: the portfolio's,
    after the risk overlay. `half_width`: half the no-trade zone. `risk_scalar`, shape `(n_sessions,)`: of the overlay,
    None where no limit is set.
    """

    forecasts: Forecasts
    value_volatility: Floats
    subsystem: Floats
    weights: Floats
    average: Floats
    notional: Floats
    half_width: Floats
    risk_scalar: Floats | None


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
    found = forecasts(bench, strategy)
    value, average = value_volatility(bench, strategy), strategy.forecasts.average
    com = strategy.portfolio.weight_smoothing_com
    contracts, subsystem, weights = sized_positions(
        value, found.combined, sizing.daily_cash_base, average, fixed_weights(strategy, bench.panel.instruments),
        of_centre(com) if com > 0 else 0.0, found.first, found.last,
    )  # fmt: skip
    multiplier = _multiplier(bench, strategy, sizing, subsystem, contracts, weights)
    middle, notional = portfolio_positions(contracts, found.combined, weights, multiplier, average)
    scalar = _risk_scalar(bench, strategy, sizing, notional)
    if scalar is not None:
        notional = notional * scalar[:, None]
    width = _half_width(strategy, notional, middle)
    return Optimal(found, value, subsystem, weights, middle, notional, width, scalar)


def value_volatility(bench: Workbench, strategy: StrategySettings) -> Floats:
    """One deviation a day of one contract in base currency, carried forward; NaN before volatility, a price of the held
    contract and an exchange rate are known, and outside the rows that both series of prices have. A price of exactly 0,
    of which volatility is no share, is none."""
    panel = bench.panel
    key = ("value volatility", strategy.volatility, strategy.execution.rates)
    return bench.once(key, lambda: _value_volatility(panel, market_of(bench, strategy).volatility, strategy))


def _value_volatility(panel: Panel, volatility: Floats, strategy: StrategySettings) -> Floats:
    rows = np.arange(len(panel.sessions))[:, None]
    quoted = (rows >= panel.held_first) & (rows <= panel.held_last) & (rows >= panel.first) & (rows <= panel.last)
    held = filled(panel.held)
    priced = np.isfinite(held) & (held != 0.0)
    local = filled(np.where(quoted & priced, volatility * panel.point_value, np.nan))
    return np.where(quoted, local * rates(panel, strategy), np.nan)


def rates(panel: Panel, strategy: StrategySettings) -> Floats:
    """Base currency for one unit of the instrument's, as the strategy's settings let it be known."""
    if strategy.execution.rates == "session":
        return panel.rate
    days = (panel.sessions - panel.first_day).astype(np.int64)
    return panel.rate_midnight[days]


def fixed_weights(strategy: StrategySettings, instruments: tuple[str, ...]) -> Floats:
    """Instrument weights as set, shape `(n_instruments,)`; equal where none are."""
    given = strategy.portfolio.weights
    return np.array([given.get(code, 0.0) if given else 1.0 for code in instruments], dtype=np.float64)


def _multiplier(
    bench: Workbench, strategy: StrategySettings, sizing: Sizing, subsystem: Floats, contracts: Floats, weights: Floats
) -> Floats:
    given = strategy.portfolio.multiplier
    if not isinstance(given, str):
        return np.array([given], dtype=np.float64)
    from trading.strategies.estimates import instrument_multipliers

    return instrument_multipliers(bench, strategy, sizing, subsystem, contracts, weights)


def _risk_scalar(bench: Workbench, strategy: StrategySettings, sizing: Sizing, notional: Floats) -> Floats | None:
    if not strategy.risk_overlay.limits:
        return None
    from trading.strategies.estimates import risk_scalar

    return risk_scalar(bench, strategy, sizing, notional)


def _half_width(strategy: StrategySettings, notional: Floats, average: Floats) -> Floats:
    buffer = strategy.buffer
    if buffer.method == "none":
        return np.full_like(notional, 0.001)
    return buffer.fraction * np.abs(notional if buffer.method == "position" else average)
