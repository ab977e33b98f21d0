"""What the forecasts of a rule would cost to follow, and leaving out the rules that are too dear.

Belongs here: turnover of forecasts and their cost in Sharpe units a year. Does not belong here: costs of positions
(`trading/backtest/costs.py`). Definitions: reference numbers, sections 6.4 and 13.8; Carver, Systematic Trading, 12.
The costs are of all sessions at the last year's prices, so a weight of the past depends on what came later.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trading.analytics.years import SESSIONS_A_YEAR
from trading.backtest.costs import CostRisk, sharpe_per_trade
from trading.backtest.panel import Panel
from trading.config.strategies import StrategySettings

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def forecast_turnover(capped: Floats, average: float, first: Integers, last: Integers) -> Floats:
    """Round trips a year of positions that follow a forecast, by instrument: 256 x mean |change| / `average`.

    `capped` has the shape `(n_sessions, n_instruments)`; rows without a forecast do not count. NaN of an instrument
    without two forecasts in a row between `first` and `last`.
    """
    found = np.full(capped.shape[1], np.nan)
    for column, (start, end) in enumerate(zip(first, last, strict=True)):
        moves = np.abs(np.diff(capped[start : end + 1, column]))
        moves = moves[np.isfinite(moves)]
        if len(moves):
            found[column] = SESSIONS_A_YEAR * moves.mean() / average
    return found


def pooled_turnover(turnovers: Floats, rows: Integers) -> float:
    """One turnover for a rule: the mean over instruments, each weighing as many rows as it has; NaN of none."""
    known = np.isfinite(turnovers) & (rows > 0)
    return float(np.average(turnovers[known], weights=rows[known])) if known.any() else float("nan")


def annual_costs(
    panel: Panel, strategy: StrategySettings, capped: Floats, volatility: Floats, first: Integers, last: Integers
) -> Floats:
    """Sharpe units a year that each rule costs on each instrument, shape `(n_rules, n_instruments)`: what a trade costs
    times pooled turnover and rolls. `capped` has the shape `(n_rules, n_sessions, n_instruments)`."""
    per_trade, _ = sharpe_per_trade(panel, CostRisk(volatility, volatility), strategy)
    average, rows = strategy.forecasts.average, last - first + 1
    pooled = [pooled_turnover(forecast_turnover(own, average, first, last), rows) for own in capped]
    return np.array([per_trade * (turnover + panel.rolls_a_year) for turnover in pooled])


def affordable(weights: Floats, costs: Floats, ceiling: float) -> Floats:
    """Weights of rules, `(n_rules, n_instruments)`, of those that cost `ceiling` or less; nothing for the others and
    for those whose cost is not known (NaN)."""
    return np.where(costs <= ceiling, weights, 0.0)
