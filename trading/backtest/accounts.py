"""The money that positions make: gross, costs and net, by instrument and for the portfolio, in currency and percent.

Belongs here: from decided positions to an `Account`. Does not belong here: deciding positions (`engine.py`), what a
trade costs (`costs.py`), or statistics of curves (`trading/analytics`). Definitions: reference numbers, sections 9
(compounding), 12, 13 and 14.

A position decided with the close of a session is filled in the next one and earns from the one after that on. With
`costs.first_cost = kept` a session has what was earned and paid in it, zero where nothing was. With `lost` curves are
the reference's: differences of running sums, missing in the first row, and costs only where there were any.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from trading.backtest.account_basis import AccountBasis, basis, rows_after, rows_before
from trading.backtest.costs import MODELS, CostModel, CostRisk, Costs, Holdings, Survivors, surviving
from trading.backtest.market_days import dates, weekdays
from trading.backtest.panel import Days, Floats, Integers, Panel
from trading.config.strategies import StrategySettings
from trading.errors import CalculationError
from trading.kernels.accounting import dated_curve, earned, net_curves
from trading.kernels.fills import held_contracts


@dataclass(frozen=True, slots=True)
class Curves:
    """Gross and net on `sessions`, costs (negative) on `cost_sessions`: costs may be dated before the first session or
    after the last. Shapes `(n_sessions,)`, or `(n_sessions, n_instruments)`. A cost of a weekend is Friday's among the
    costs, and Monday's in net. NaN: outside an instrument's rows, and see the module."""

    sessions: Days
    gross: Floats
    net: Floats
    cost_sessions: Days
    costs: Floats


@dataclass(frozen=True)
class Account:
    """What a strategy's positions made.

    `holdings`: contracts decided and held by session. `earned`: base currency by session and instrument, before costs;
    NaN outside an instrument's rows. `costs`: by date. `capital`: base currency by session. `currency` and `percent`
    (of capital) are the portfolio's curves; `instruments_currency` and `instruments_percent` each instrument's, made
    when they are asked for.
    """

    panel: Panel
    strategy: StrategySettings
    holdings: Holdings
    costs: Costs
    capital: Floats
    earned: Floats
    currency: Curves
    percent: Curves

    @cached_property
    def instruments_currency(self) -> Curves:
        """Curves of each instrument, base currency; shape `(n_sessions, n_instruments)`."""
        return _instrument_curves(self, percent=False)

    @cached_property
    def instruments_percent(self) -> Curves:
        """Curves of each instrument, percent of all capital; shape `(n_sessions, n_instruments)`."""
        return _instrument_curves(self, percent=True)


def account(
    panel: Panel,
    positions: Floats,
    strategy: StrategySettings,
    capital_base: float,
    *,
    risk: CostRisk | None = None,
    model: CostModel | None = None,
    made: AccountBasis | None = None,
    multiplier: Floats | None = None,
    survivors: Survivors | None = None,
) -> Account:
    """The account of `positions`: contracts decided with each session's close, NaN outside an instrument's rows.

    `capital_base` is what percent are of, times `multiplier` by session (None: 1; see `capital_multiplier`). `model`
    replaces the cost model that the settings name, which may need `risk`. `made` is the `basis` of the same panel and
    settings. `survivors`: which cost is left of several on one date (`costs.surviving`). Raises CalculationError.
    """
    made = _checked(panel, positions, strategy, made)
    waits = strategy.execution.fills == "when_traded"
    held = held_contracts(positions, panel.price, waits, strategy.buffer.whole_contracts)
    holdings = Holdings(positions, held)
    costs = (model or MODELS[strategy.costs.method])(panel, holdings, strategy, made, risk)
    if survivors is not None:
        costs = surviving(costs, panel.instruments, survivors)
    capital = np.full(len(panel.sessions), float(capital_base)) * (1.0 if multiplier is None else multiplier)
    by_instrument, total = earned(held, made.unit, panel.first, panel.last)
    currency, percent = _portfolio_curves(panel, strategy, costs, total, capital)
    return Account(panel, strategy, holdings, costs, capital, by_instrument, currency, percent)


def _checked(panel: Panel, positions: Floats, strategy: StrategySettings, made: AccountBasis | None) -> AccountBasis:
    if positions.shape != panel.price.shape:
        raise CalculationError(
            f"strategy {strategy.name}: positions have the shape {positions.shape}, the panel {panel.price.shape} "
            "(sessions, instruments). Give a position for each session and instrument of the panel."
        )
    if made is None:
        return basis(panel, strategy)
    if not made.fits(panel, strategy):
        raise CalculationError(
            f"strategy {strategy.name}: the basis of its account was made for another panel or other settings of costs "
            "and execution. Make it anew with `basis(panel, strategy)`."
        )
    return made


# --- curves -----------------------------------------------------------------------------------------------------------
def _portfolio_curves(
    panel: Panel, strategy: StrategySettings, costs: Costs, total: Floats, capital: Floats
) -> tuple[Curves, Curves]:
    """In currency and in percent: instruments added, what is missing counting as nothing (section 14)."""
    known = np.flatnonzero(~np.isnan(total))
    first, last = (known[:1], known[-1:]) if len(known) else (np.array([0]), np.array([-1]))
    one = np.zeros(len(costs.dates), dtype=np.int64)
    base = np.where(np.isnan(costs.base), 0.0, costs.base)
    share = _share(panel, costs.dates, one, base, capital, first)
    in_percent = (100.0 * total / capital)[:, None]
    return (
        _flat(_curves(panel, strategy, total[:, None], costs.dates, one, base, first, last)),
        _flat(_curves(panel, strategy, in_percent, costs.dates, one, share, first, last)),
    )


def _instrument_curves(made: Account, *, percent: bool) -> Curves:
    panel, costs = made.panel, made.costs
    gross, base = made.earned, costs.base
    if percent:
        gross = 100.0 * gross / made.capital[:, None]
        base = _share(panel, costs.dates, costs.columns, base, made.capital, panel.first)
    return _curves(panel, made.strategy, gross, costs.dates, costs.columns, base, panel.first, panel.last)


def _share(panel: Panel, days: Days, columns: Integers, base: Floats, capital: Floats, first: Integers) -> Floats:
    """Amounts as percent of capital, which is not known before the first row."""
    rows = rows_before(panel, days)
    known = capital[np.clip(rows, 0, len(capital) - 1)]
    return np.where(rows >= first[columns], 100.0 * base / known, np.nan)


def _curves(
    panel: Panel,
    strategy: StrategySettings,
    gross: Floats,
    days: Days,
    columns: Integers,
    amount: Floats,
    first: Integers,
    last: Integers,
) -> Curves:
    lost = strategy.costs.first_cost == "lost"
    earnings, net = net_curves(gross, first, last, rows_after(panel, days), columns, amount, lost)
    bins = rows_before(panel, days)
    start, end = _cost_rows(panel, bins, lost)
    costs = dated_curve(bins - start, columns, amount, end - start, gross.shape[1], lost)
    axis = dates(np.arange(start, end) + weekdays(panel.sessions[:1])[0])
    return Curves(panel.sessions, earnings, net, axis, costs)


def _cost_rows(panel: Panel, bins: Integers, lost: bool) -> tuple[int, int]:
    """First row of a cost and the row after the last; with costs kept, all sessions too."""
    rows = [(int(bins[0]), int(bins[-1]) + 1)] if len(bins) else []
    if not lost or not rows:
        rows.append((0, len(panel.sessions)))
    return min(first for first, _ in rows), max(end for _, end in rows)


def _flat(curves: Curves) -> Curves:
    return Curves(curves.sessions, curves.gross[:, 0], curves.net[:, 0], curves.cost_sessions, curves.costs[:, 0])


# --- compounding ------------------------------------------------------------------------------------------------------
def capital_multiplier(returns_percent: Floats, compounding: str) -> Floats:
    """Capital of each session against fixed capital (section 9), from the net percent returns *before* that session.

    `returns_percent`, shape `(n_sessions,)`, are those of an account with fixed capital; missing ones change nothing.
    `full`: profits and losses are kept: m (1 + r). `half`: only losses, until they are made good: min(1, m (1 + m r)).
    Never below zero. Positions and capital are both scaled by it.
    """
    earlier = np.concatenate([[0.0], np.nan_to_num(returns_percent[:-1]) / 100.0])
    if compounding == "fixed":
        return np.ones(len(returns_percent))
    if compounding == "full":
        return np.cumprod(np.maximum(1.0 + earlier, 0.0))
    multiplier = np.empty(len(earlier))
    now = 1.0
    for row, change in enumerate(earlier.tolist()):
        now = max(0.0, min(1.0, now * (1.0 + now * change)))
        multiplier[row] = now
    return multiplier
