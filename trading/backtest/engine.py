"""The daily engine: a strategy over a panel, from prices to positions, money and statistics.

Belongs here: the order of things, once. Does not belong here: forecasts and sizing (`trading/strategies`), fills, costs
and money (`accounts.py`), statistics (`trading/analytics`), or remembering results (`resources/`).

A position is decided with the close of a session from that session and earlier ones. What the close decides is the same
functions' last row, with what is really held in place of what the backtest held.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from trading.analytics.performance import cost_drag, curve_statistics, rolling_sharpe, tail_risk
from trading.analytics.years import SESSIONS_A_YEAR
from trading.backtest.account_basis import basis
from trading.backtest.accounts import Account, account, capital_multiplier
from trading.backtest.costs import CostModel, CostRisk, turnover
from trading.backtest.result import Result, Statistics
from trading.config.strategies import StrategySettings
from trading.errors import CalculationError
from trading.kernels.holdings import buffered_positions
from trading.strategies.mixture import market_of
from trading.strategies.optimal import Optimal, Sizing, optimal
from trading.strategies.universe import bench_of as bench_of
from trading.strategies.universe import instruments_of as instruments_of
from trading.strategies.workbench import Workbench

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Decisions:
    """What a strategy would hold and what it decides to hold, contracts, shape `(n_sessions, n_instruments)`; NaN
    outside an instrument's own rows."""

    optimal: Optimal
    positions: Floats


def decisions(bench: Workbench, strategy: StrategySettings, sizing: Sizing, scale: Floats | None = None) -> Decisions:
    """Optimal and decided positions on every session. `scale`, shape `(n_sessions,)`, multiplies the optimal ones: what
    capital is, against the fixed capital of `sizing`."""
    wanted = optimal(bench, strategy, sizing)
    return Decisions(wanted, decided(bench, strategy, wanted, scale))


def decided(bench: Workbench, strategy: StrategySettings, wanted: Optimal, scale: Floats | None = None) -> Floats:
    """Positions after buffering, session after session."""
    panel, buffer = bench.panel, strategy.buffer
    position, width = wanted.notional, wanted.half_width
    if scale is not None:
        position, width = position * scale[:, None], width * scale[:, None]
    waits = strategy.execution.fills == "when_traded"
    tradable = bench.once(
        ("tradable", waits), lambda: np.isfinite(panel.price) if waits else np.ones(panel.price.shape, dtype=np.bool_)
    )
    return buffered_positions(
        position, width, tradable, wanted.forecasts.first, wanted.forecasts.last, buffer.whole_contracts,
        buffer.trade_to == "edge", strategy.execution.start == "rounded",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A backtest in memory: what was decided, and the account of it."""

    decisions: Decisions
    account: Account


def evaluate(
    bench: Workbench,
    strategy: StrategySettings,
    sizing: Sizing,
    model: CostModel | None = None,
    positions: Floats | None = None,
) -> Evaluation:
    """A strategy over the whole panel of the bench, on all of its instruments. `model` replaces its own costs, and
    `positions`, decided with each close, what its rules decide.

    With compounding, capital is first taken as fixed; the profit of that scales positions and capital of the answer, a
    session's by what was earned before it (reference numbers, section 9).
    """
    made = decisions(bench, strategy, sizing)
    if positions is not None:
        made = Decisions(made.optimal, positions)
    first = _account(bench, strategy, sizing, made, model)
    if strategy.compounding == "fixed" or positions is not None:
        return Evaluation(made, first)
    scale = capital_multiplier(first.percent.net, strategy.compounding)
    scaled = Decisions(made.optimal, decided(bench, strategy, made.optimal, scale))
    return Evaluation(scaled, _account(bench, strategy, sizing, scaled, model, scale))


def _account(
    bench: Workbench,
    strategy: StrategySettings,
    sizing: Sizing,
    made: Decisions,
    model: CostModel | None,
    scale: Floats | None = None,
) -> Account:
    prepared = bench.once(("basis", strategy.execution, strategy.costs), lambda: basis(bench.panel, strategy))
    risk = CostRisk(made.optimal.average, market_of(bench, strategy).volatility)
    return account(
        bench.panel, made.positions, strategy, sizing.capital_base, risk=risk, model=model, made=prepared,
        multiplier=scale,
    )  # fmt: skip


# --- what is told of one ----------------------------------------------------------------------------------------------
STATISTICS = ("gross_percent", "net_percent", "gross_currency", "net_currency")


def result(evaluated: Evaluation, first: date | None = None) -> Result:
    """Positions, curves and statistics from the session `first` on (None: all). Besides the portfolio's curves there is
    `rolling_sharpe`, of the last 256 sessions' net percent."""
    made, panel = evaluated.account, evaluated.account.panel
    rows = counted_rows(made, first)
    curves = {name: values[rows] for name, values in portfolio_curves(made).items()}
    curves["rolling_sharpe"] = rolling_sharpe(curves["net_percent"], SESSIONS_A_YEAR)
    found = {**statistics(made, rows), "turnover": turnovers(evaluated, rows)}
    return Result(panel.sessions[rows], panel.instruments, evaluated.decisions.positions[rows], curves, found)


def counted_rows(made: Account, first: date | None = None) -> slice:
    """The sessions curves and statistics are of: those with an adjusted price's series, from `first` on."""
    start, end = made.rows
    return slice(start if first is None else max(start, made.panel.row(first)), end)


def portfolio_curves(made: Account) -> dict[str, Floats]:
    """Gross, costs and net of the portfolio in percent of capital and base currency, on the panel's sessions. Costs
    that the reference dates outside them are not here; they are in `Account`."""
    found: dict[str, Floats] = {}
    for unit, curves in (("percent", made.percent), ("base", made.currency)):
        rows = np.searchsorted(made.panel.sessions, curves.cost_sessions)
        rows = np.minimum(rows, len(made.panel.sessions) - 1)
        inside = made.panel.sessions[rows] == curves.cost_sessions
        costs = np.full(len(made.panel.sessions), np.nan)
        costs[rows[inside]] = curves.costs[inside]
        found |= {f"gross_{unit}": curves.gross, f"costs_{unit}": costs, f"net_{unit}": curves.net}
    return found


def statistics(made: Account, rows: slice, names: Sequence[str] = STATISTICS) -> Statistics:
    """Statistics of the named curves, daily, of some rows; and, under `risk`, tail risk, what costs take and how often
    a position changed."""
    peak = made.strategy.drawdown_from
    curves = {
        "gross_percent": made.percent.gross, "net_percent": made.percent.net,
        "gross_currency": made.currency.gross, "net_currency": made.currency.net,
    }  # fmt: skip
    sessions = made.panel.sessions[rows]
    found = {name: dict(curve_statistics(curves[name][rows], sessions, "daily", peak)) for name in names}
    return found | {"risk": _risk(made, rows)}  # type: ignore[return-value]


def turnovers(evaluated: Evaluation, rows: slice) -> dict[str, float]:
    """How often a year each instrument's average position is traded over (reference numbers, section 13.8)."""
    decided, average = evaluated.decisions.positions[rows], evaluated.decisions.optimal.average[rows]
    found = turnover(np.ascontiguousarray(decided), np.ascontiguousarray(average))
    return dict(zip(evaluated.account.panel.instruments, found.tolist(), strict=True))


def _risk(made: Account, rows: slice) -> dict[str, float]:
    gross, net = made.percent.gross[rows], made.percent.net[rows]
    drag = {name: float(value) for name, value in cost_drag(gross, net).items()}  # type: ignore[arg-type]
    return {**tail_risk(net), **drag, "trades": float(_trades(made, rows))}


def _trades(made: Account, rows: slice) -> int:
    held = np.nan_to_num(made.holdings.held[max(rows.start - 1, 0) : rows.stop])
    return int(np.count_nonzero(np.diff(held, axis=0)))


def sizing_of(strategy: StrategySettings, capital_base: float, target_percent: float | None = None) -> Sizing:
    """Capital and target of a strategy, with the desk's where it has none of its own. Raises CalculationError."""
    target = strategy.volatility_target_percent or target_percent
    if target is None:
        raise CalculationError(
            f"strategy {strategy.name} has no volatility target. Set volatility_target_percent in its file."
        )
    return Sizing(capital_base, target)
