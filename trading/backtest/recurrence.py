"""A strategy over history: the close's own forecasts, sizing, buffering and costs, session after session.

Belongs here: the recurrence of positions, and the money it makes. Does not belong here: forecasts and sizing
(`trading/strategies/`), what a fill costs (`trading/book/costs.py`), or statistics (`trading/analytics/`).

A target decided with the close of one session is traded at the close of the next session in which the instrument has
a price, and earns from there on; so nothing of a session is known before it. All frames are wide: sessions (Monday to
Friday) by instruments, NaN where an instrument has no price.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from trading.analytics.performance import Performance, statistics
from trading.book.costs import commission_local
from trading.config.models import Capital, StrategySettings
from trading.errors import CalculationError
from trading.market.instruments import Instrument
from trading.strategies.buffering import buffered
from trading.strategies.forecasts import COMBINED, wide_forecasts
from trading.strategies.sizing import AVERAGE_FORECAST
from trading.strategies.targets import capital_share_target

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class History:
    """What a backtest is run on: continuous `prices` and the `held` contracts' own, in points; `volatility` in points a
    day; `rates`, base currency for one unit of each instrument's currency; `rolls`, how often it rolled that session;
    `point_values`, local currency for a point as in force that session (None: those of the instruments given).
    """

    prices: pd.DataFrame
    held: pd.DataFrame
    volatility: pd.DataFrame
    rates: pd.DataFrame
    rolls: pd.DataFrame
    point_values: pd.DataFrame | None = None


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """Contracts held after each session (wide), and the curve: gross, costs and net percent of capital a session."""

    positions: pd.DataFrame
    curve: pd.DataFrame
    performance: Performance

    def rows(self, strategy: str) -> pd.DataFrame:
        """Rows of the dataset `backtest_curves`."""
        curve = self.curve.assign(strategy=strategy, cumulative_percent=self.curve["net_percent"].cumsum())
        return curve.rename_axis("session").reset_index()


def run(
    history: History, strategy: StrategySettings, instruments: Mapping[str, Instrument], capital: Capital
) -> BacktestResult:
    """Runs a strategy over all sessions of a history. Raises CalculationError where it lists no instrument of it.

    Sizes and profit use each session's own point value; slippage and commissions are those of `instruments`.
    """
    codes = [code for code in history.prices.columns if not strategy.instruments or code in strategy.instruments]
    if not codes:
        raise CalculationError(
            f"strategy {strategy.name} lists {', '.join(strategy.instruments)}, and none of them has prices. "
            "Load their prices, or correct `instruments` in the strategy's file."
        )
    points = _point_values(history, instruments)
    mine = History(*(frame.reindex(history.prices.index)[codes] for frame in _frames(history)))
    average, optimal = _sizes(mine, points[codes].to_numpy(np.float64), strategy, capital)
    tradable = mine.prices.notna().to_numpy()
    contracts = _positions(average, optimal, tradable, strategy.buffer_fraction)
    curve = _curve(mine, points[codes].to_numpy(np.float64), contracts, [instruments[code] for code in codes], capital)
    positions = pd.DataFrame(contracts, index=mine.prices.index, columns=codes)
    return BacktestResult(positions, curve, statistics(curve["net_percent"]))


def _frames(history: History) -> tuple[pd.DataFrame, ...]:
    return history.prices, history.held, history.volatility, history.rates, history.rolls


def _point_values(history: History, instruments: Mapping[str, Instrument]) -> pd.DataFrame:
    """Local currency for a point by session and instrument; before the first one known, that one."""
    prices = history.prices
    if history.point_values is not None:
        return history.point_values.reindex(index=prices.index, columns=prices.columns).ffill().bfill()
    today = {code: instruments[code].point_value_local for code in prices.columns if code in instruments}
    return pd.DataFrame(today, index=prices.index, columns=prices.columns)


def _sizes(history: History, points: Floats, strategy: StrategySettings, capital: Capital) -> tuple[Floats, Floats]:
    """Contracts at an average forecast, and at the session's own: what `trading.strategies.targets` gives, for all
    sessions at once."""
    forecast = wide_forecasts(history.prices, history.volatility, strategy)[COMBINED].to_numpy(np.float64)
    risk = history.volatility.ffill().to_numpy(np.float64) * points * history.rates.ffill().to_numpy(np.float64)
    sized = np.isfinite(forecast) & (risk > 0)
    cash = capital_share_target(strategy, capital) * strategy.instrument_multiplier
    weight = 1.0 / np.maximum(1, sized.sum(axis=1, keepdims=True))
    average = np.where(sized, cash * weight / np.where(sized, risk, 1.0), np.nan)
    return average, average * forecast / AVERAGE_FORECAST


def _positions(average: Floats, optimal: Floats, tradable: npt.NDArray[np.bool_], fraction: float) -> Floats:
    """Contracts after each session; a target waits for the next session in which its instrument trades."""
    held = np.zeros(optimal.shape[1], dtype=np.int64)
    wanted = held.copy()
    after = np.zeros(optimal.shape)
    for session in range(len(optimal)):
        trades = tradable[session]
        held = np.where(trades, wanted, held)
        after[session] = held
        for column in np.flatnonzero(trades):
            width = abs(average[session, column]) * fraction
            wanted[column] = buffered(int(held[column]), float(optimal[session, column]), float(width))
    return after


def _curve(
    history: History, points: Floats, contracts: Floats, listed: list[Instrument], capital: Capital
) -> pd.DataFrame:
    rates = history.rates.ffill().to_numpy(np.float64)
    value = points * rates
    before = np.vstack([np.zeros(contracts.shape[1]), contracts[:-1]])
    moves = history.prices.ffill().diff().to_numpy(np.float64)
    gross = np.nansum(before * moves * value, axis=1)
    costs = np.nansum(-_costs_local(history, contracts, before, listed) * rates, axis=1)
    scale = 100.0 / capital.capital_base
    columns = {"gross_percent": gross * scale, "costs_percent": costs * scale, "net_percent": (gross + costs) * scale}
    return pd.DataFrame(columns, index=history.prices.index)


def _costs_local(history: History, contracts: Floats, before: Floats, listed: list[Instrument]) -> Floats:
    """Slippage and commission of every trade and of both legs of every roll, in the instruments' currencies."""
    quoted = history.held.ffill().to_numpy(np.float64)
    legs = 2.0 * np.nan_to_num(history.rolls.to_numpy(np.float64))
    costs = np.zeros(contracts.shape)
    for quantity, times in ((np.abs(contracts - before), np.ones(contracts.shape)), (np.abs(before), legs)):
        for session, column in zip(*np.nonzero((quantity > 0) & (times > 0)), strict=True):
            one = _fill_cost(listed[column], int(quantity[session, column]), float(quoted[session, column]))
            costs[session, column] += times[session, column] * one
    return costs


def _fill_cost(instrument: Instrument, contracts: int, price_points: float) -> float:
    slippage = contracts * instrument.slippage_points * instrument.point_value_local
    return slippage + commission_local(instrument, contracts, price_points)
