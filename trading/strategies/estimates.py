"""What a strategy's settings ask to be estimated: scalars, multipliers, and the scalar of the risk overlay.

Belongs here: from settings, panel and positions to the estimates of `trading/analytics` and `trading/risk`. Does not
belong here: an estimator. Imported only by strategies that ask for one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from trading.analytics.diversification import (
    estimated_forecast_multipliers,
    estimated_multipliers,
    estimated_scalars,
)
from trading.backtest.accounts import account
from trading.backtest.costs import CostRisk
from trading.backtest.panel import Panel
from trading.config.strategies import ForecastSettings, StrategySettings
from trading.kernels.averages import of_span
from trading.kernels.holdings import buffered_positions, smoothed_weights
from trading.risk import overlay
from trading.strategies.mixture import market_of
from trading.strategies.workbench import Workbench

if TYPE_CHECKING:
    from trading.strategies.optimal import Sizing

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def scalars(raw: Floats, settings: ForecastSettings) -> Floats:
    """Estimated scalar of a rule by session, (n_sessions,), from its raw forecasts (n_sessions, n_instruments)."""
    return estimated_scalars(raw, settings.average, settings.scalar_min_periods, settings.scalar_backfill)


def instrument_multipliers(
    bench: Workbench, strategy: StrategySettings, sizing: Sizing, subsystem: Floats, contracts: Floats, weights: Floats
) -> Floats:
    """Estimated instrument diversification multiplier by session, (n_sessions,).

    `subsystem` are the positions with all capital in one instrument, `contracts` the same at an average forecast,
    `weights` the smoothed instrument weights; all (n_sessions, n_instruments).
    """
    panel = bench.panel
    pnl = subsystem_pnl(bench, strategy, sizing, subsystem, contracts)
    rows = slice(int(panel.first.min()), int(panel.last.max()) + 1)
    settings = strategy.portfolio
    found = estimated_multipliers(pnl[rows], weights[rows], panel.sessions[rows], settings.estimate, settings.refits)
    out = np.full(len(panel.sessions), np.nan)
    out[rows] = found
    out[rows.stop :] = found[-1]
    return out


def subsystem_pnl(
    bench: Workbench, strategy: StrategySettings, sizing: Sizing, subsystem: Floats, contracts: Floats
) -> Floats:
    """Profit a day of each instrument as if it had all capital, base currency after costs, (n_sessions, n_instruments).

    Buffered, rounded, filled and paid for as the strategy says. NaN before an instrument is first held, or with
    `costs.first_cost = lost` before its second cost, as in the reference."""
    panel = bench.panel
    positions = _buffered(panel, strategy, subsystem, contracts)
    risk = CostRisk(contracts, market_of(bench, strategy).volatility)
    made = account(panel, positions, strategy, sizing.capital_base, risk=risk)
    net = made.instruments_currency.net
    if strategy.costs.first_cost == "lost":
        return net
    held = np.maximum.accumulate(np.nan_to_num(np.abs(made.holdings.held)) > 0.0, axis=0)
    return np.where(held, net, np.nan)


def _buffered(panel: Panel, strategy: StrategySettings, subsystem: Floats, contracts: Floats) -> Floats:
    buffer = strategy.buffer
    width = buffer.fraction * np.abs(subsystem if buffer.method == "position" else contracts)
    if buffer.method == "none":
        width = np.full_like(subsystem, 0.001)
    waits = strategy.execution.fills == "when_traded"
    tradable = np.isfinite(panel.price) if waits else np.ones(subsystem.shape, dtype=np.bool_)
    return buffered_positions(
        subsystem, width, tradable, panel.first, panel.last, buffer.whole_contracts, buffer.trade_to == "edge",
        strategy.execution.start == "rounded",
    )  # fmt: skip


def forecast_multipliers(
    panel: Panel, strategy: StrategySettings, scaled: Floats, weights: Floats, first: Integers, last: Integers
) -> Floats:
    """Estimated forecast diversification multipliers, (n_sessions, n_instruments).

    `scaled` (n_rules, n_sessions, n_instruments) are not yet capped; `weights` (n_rules, n_instruments) of the rules as
    configured; instruments with weights on the same rules are estimated together. `first`, `last`: their rows.
    """
    settings = strategy.forecasts
    capped = np.clip(scaled, -settings.cap, settings.cap)
    decay = of_span(settings.weight_smoothing_span) if settings.weight_smoothing_span > 0 else 0.0
    out = np.full(scaled.shape[1:], np.nan)
    for used, columns in _same_rules(weights):
        rows = slice(int(first[columns].min()), int(last[columns].max()) + 1)
        forecasts = [np.ascontiguousarray(capped[used, :, column].T) for column in columns]
        smooth = [
            smoothed_weights(own, np.ascontiguousarray(weights[used, column]), decay, int(first[column]))[rows]
            for own, column in zip(forecasts, columns, strict=True)
        ]
        out[rows, columns] = estimated_forecast_multipliers(
            [own[rows] for own in forecasts], smooth, panel.sessions[rows], settings.estimate, settings.refits
        )
        out[rows.stop :, columns] = out[rows.stop - 1, columns]
    return out


def _same_rules(weights: Floats) -> list[tuple[Integers, Integers]]:
    """Rules with a weight and the instruments that have just these, by rows and columns of `weights`."""
    groups: dict[bytes, list[int]] = {}
    for column in range(weights.shape[1]):
        groups.setdefault((weights[:, column] > 0.0).tobytes(), []).append(column)
    return [(np.flatnonzero(weights[:, columns[0]] > 0.0), np.array(columns)) for columns in groups.values()]


def risk_scalar(bench: Workbench, strategy: StrategySettings, sizing: Sizing, notional: Floats) -> Floats:
    """The scalar of the risk overlay by session, (n_sessions,), for positions before it (n_sessions, n_instruments)."""
    measures = risk_measures(bench, strategy, sizing, notional)
    return overlay.risk_scalar(measures, strategy.risk_overlay, sizing.volatility_target_percent)


def risk_measures(
    bench: Workbench, strategy: StrategySettings, sizing: Sizing, notional: Floats
) -> overlay.RiskMeasures:
    """The four measures of the portfolio's risk by session, whether or not there is a limit."""
    from trading.strategies.optimal import rates

    panel = bench.panel
    return overlay.risk_measures(
        panel.sessions, panel.price, panel.held, market_of(bench, strategy).volatility, notional,
        panel.held * panel.point_value * rates(panel, strategy), sizing.capital_base, strategy.risk_overlay,
        strategy.volatility.returns == "over_gaps",
    )  # fmt: skip
