"""The money that positions make: gross, costs and net, by instrument and for the portfolio, in currency and percent.

Belongs here: from decided positions to an `Account`. Does not belong here: deciding positions (`engine.py`), what a
trade costs (`costs.py`), or statistics of curves (`trading/analytics`). Definitions: reference numbers, sections 9
(compounding), 12, 13 and 14.

A position decided with the close of a session is filled in the next one and earns from the one after that on. With
`costs.first_cost = kept` a session has what was earned and paid in it, zero where nothing was. With `lost` curves are
the reference's: differences of running sums, missing in the first row, and costs only where there were any.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from trading.backtest.account_basis import AccountBasis, basis, rows_after, rows_before
from trading.backtest.costs import MODELS, CostModel, CostRisk, Costs, Holdings, Survivors, surviving
from trading.backtest.market_days import dates, weekdays
from trading.backtest.panel import Days, Floats, Integers, Panel
from trading.config.strategies import StrategySettings
from trading.errors import CalculationError
from trading.kernels.accounting import costs_known, dated_curve, earned, lost_start
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

    @property
    def rows(self) -> tuple[int, int]:
        """The first row in which an instrument has a price series, and the one after the last: statistics of the
        reference count these rows only. A panel has more where a contract's rows go beyond the adjusted price's."""
        there = self.panel.last >= self.panel.first
        return int(self.panel.first[there].min(initial=len(self.capital))), int(self.panel.last.max(initial=-1)) + 1

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
@dataclass(frozen=True, slots=True)
class _Amounts:
    """What curves are made of: `gross` by session and column, rows of each column, and costs by column, with the rows
    of the last session `until` each date and of the first one `since`."""

    gross: Floats
    first: Integers
    last: Integers
    until: Integers
    since: Integers
    columns: Integers
    costs: Floats

    def percent(self, capital: Floats) -> _Amounts:
        """In percent of capital, which is not known before a column's first row."""
        known = capital[np.clip(self.until, 0, len(capital) - 1)]
        with np.errstate(divide="ignore", invalid="ignore"):
            gross = 100.0 * self.gross / capital[:, None]
            costs = np.where(self.until >= self.first[self.columns], 100.0 * self.costs / known, np.nan)
        return replace(self, gross=gross, costs=costs)


def _portfolio_curves(
    panel: Panel, strategy: StrategySettings, costs: Costs, total: Floats, capital: Floats
) -> tuple[Curves, Curves]:
    """In currency and in percent: instruments added, what is missing counting as nothing (section 14). With costs kept
    every session of the panel counts, otherwise those in which an instrument has a row."""
    lost = strategy.costs.first_cost == "lost"
    start, end = _known_rows(total) if lost else (0, len(total))
    gross = total if lost else np.nan_to_num(total)
    base = np.where(np.isnan(costs.base), 0.0, costs.base)
    until, since = rows_before(panel, costs.dates), rows_after(panel, costs.dates)
    one = np.zeros(len(base), dtype=np.int64)
    since = _next_known(gross, since)
    amounts = _Amounts(gross[:, None], np.array([start]), np.array([end - 1]), until, since, one, base)
    each = (_curves(panel, strategy, unit) for unit in (amounts, amounts.percent(capital)))
    currency, percent = (replace(of, gross=of.gross[:, 0], net=of.net[:, 0], costs=of.costs[:, 0]) for of in each)
    return currency, percent


def _next_known(total: Floats, rows: Integers) -> Integers:
    """Each row, or the next in which any instrument has a row: costs of a time without any are known then."""
    known = np.flatnonzero(~np.isnan(total))
    place = np.searchsorted(known, rows)
    return np.where(place < len(known), np.append(known, 0)[place], np.maximum(rows, len(total)))


def _known_rows(total: Floats) -> tuple[int, int]:
    known = np.flatnonzero(~np.isnan(total))
    return (int(known[0]), int(known[-1]) + 1) if len(known) else (0, 0)


def _instrument_curves(made: Account, *, percent: bool) -> Curves:
    panel, costs = made.panel, made.costs
    rows = rows_before(panel, costs.dates), rows_after(panel, costs.dates)
    amounts = _Amounts(made.earned, panel.first, panel.last, *rows, costs.columns, costs.base)
    return _curves(panel, made.strategy, amounts.percent(made.capital) if percent else amounts)


def _curves(panel: Panel, strategy: StrategySettings, amounts: _Amounts) -> Curves:
    lost = strategy.costs.first_cost == "lost"
    columns, costs = amounts.columns, amounts.costs
    gross, rows = amounts.gross, len(panel.sessions)
    net = gross
    if len(columns):
        net = gross + costs_known(rows, amounts.first, amounts.last, amounts.since, columns, costs, lost)
    if lost:
        gross, net = lost_start(gross), lost_start(net)
    start, end = _cost_rows(amounts, lost)
    paid = dated_curve(amounts.until - start, columns, costs, end - start, amounts.gross.shape[1], lost)
    axis = dates(np.arange(start, end) + weekdays(panel.sessions[:1])[0])
    return Curves(panel.sessions, gross, net, axis, paid)


def _cost_rows(amounts: _Amounts, lost: bool) -> tuple[int, int]:
    """First row of a cost and the row after the last; with costs kept, at least those of gross."""
    bins = amounts.until
    rows = [(int(bins[0]), int(bins[-1]) + 1)] if len(bins) else []
    if not lost or not rows:
        rows.append((int(amounts.first.min()), int(amounts.last.max()) + 1))
    return min(first for first, _ in rows), max(end for _, end in rows)


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
        return np.asarray(np.cumprod(np.maximum(1.0 + earlier, 0.0)), dtype=np.float64)
    multiplier = np.empty(len(earlier))
    now = 1.0
    for row, change in enumerate(earlier.tolist()):
        now = max(0.0, min(1.0, now * (1.0 + now * change)))
        multiplier[row] = now
    return multiplier
