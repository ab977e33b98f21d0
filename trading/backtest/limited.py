"""Positions of a backtest whose orders pass the desk's risk engine first, session after session.

Belongs here: the loop over sessions, what the engine is told of each, and what it refused. Does not belong here: the
engine (`trading/risk/`), what a strategy wants (`trading/strategies`), or money (`accounts.py`).

With each close, a strategy's orders are the differences between what it decides and what it holds; those that are
refused leave what is held, and the strategy decides again with the next close. Everything that is judged by is of that
session and earlier ones. Losses are those of positions at the closes, before costs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trading.backtest.panel import Floats, Integers, Panel
from trading.book.orders import TARGET, Order, order_id
from trading.config.models import DeskSettings
from trading.config.risk import RiskLimit, RiskModelSettings
from trading.config.strategies import StrategySettings
from trading.risk.book import WHOLE, Book, Standing
from trading.risk.market import DIMENSIONS, Group, Market, group
from trading.risk.pre_trade import judged
from trading.risk.risk_model import (
    Gains,
    correlated,
    factor_loadings,
    loadings_of,
    rest_of,
    scenarios_of,
    stresses_of,
)
from trading.strategies.buffering import buffered
from trading.strategies.optimal import Optimal, Sizing, rates
from trading.strategies.workbench import Workbench

CONTRACT = 0  # a backtest holds one contract of an instrument: the one that is held
UNKNOWN = "none"  # of groups that nobody named
Flags = npt.NDArray[np.bool_]
Classes = Mapping[str, Mapping[str, str]]


class Classified(NamedTuple):
    """An instrument and its asset class, as scenarios move it."""

    code: str
    asset_class: str


class Refusal(NamedTuple):
    """An order that was refused: contracts asked for, the rule, what it came to and the limit, in the rule's unit."""

    session: date
    instrument: str
    contracts: int
    rule: str
    value: float
    limit: float


@dataclass(frozen=True, slots=True)
class Limits:
    """What orders are judged by: limits as a desk's `risk.limits`, the model they are measured by, the largest gross
    exposure as a fraction of capital, and groups by instrument and dimension."""

    limits: tuple[RiskLimit, ...] = ()
    model: RiskModelSettings = field(default_factory=RiskModelSettings)
    max_gross_exposure_fraction: float = 1000.0
    classes: Classes = field(default_factory=dict)

    def desk(self, capital_base: float, target_percent: float) -> DeskSettings:
        """Settings of a desk that has these limits and no other."""
        return DeskSettings.model_validate(
            {
                "risk": {
                    "limits": [limit.model_dump() for limit in self.limits],
                    "model": self.model.model_dump(),
                    "max_gross_exposure_fraction": self.max_gross_exposure_fraction,
                    "max_daily_loss_fraction": 1.0,
                    "service": {"max_reservations": 4096},
                },
                "trading": {
                    "capital": {"capital_base": capital_base, "volatility_target_percent": target_percent},
                    "orders": {"max_per_session": 1_000_000},
                },
                "symbols": {"defaults": {"max_position_contracts": 1_000_000}},
            }
        )


@dataclass(slots=True)
class _Money:
    """What the account earned so far, base currency, by session's end: the peak, and where session and week began."""

    capital_base: float
    earned: float = 0.0
    before: float = 0.0
    week: float = 0.0
    peak: float = 0.0

    def begin(self, session: date) -> None:
        """A session begins; with Monday, a week."""
        self.before = self.earned
        if session.weekday() == 0:
            self.week = self.earned

    def standing(self) -> Standing:
        """Losses of the session and week, and the fall from the peak."""
        self.peak = max(self.peak, self.earned)
        worth = self.capital_base + self.peak
        return Standing(
            self.before - self.earned, self.week - self.earned, (self.peak - self.earned) / worth if worth > 0 else 1.0
        )


def decided_within(
    bench: Workbench, strategy: StrategySettings, wanted: Optimal, sizing: Sizing, limits: Limits
) -> tuple[Floats, list[Refusal]]:
    """Positions after buffering and limits, shape (n_sessions, n_instruments), NaN outside an instrument's rows; and
    every order that was refused. Without limits, the positions of `trading/backtest/engine.py`."""
    return _Run(bench, strategy, wanted, sizing, limits).done()


class _Run:
    def __init__(
        self, bench: Workbench, strategy: StrategySettings, wanted: Optimal, sizing: Sizing, limits: Limits
    ) -> None:
        self.panel, self.strategy, self.wanted, self.sizing = bench.panel, strategy, wanted, sizing
        self.desk = limits.desk(sizing.capital_base, sizing.volatility_target_percent)
        self.model, self.classes = limits.model, limits.classes
        count = len(self.panel.instruments)
        self.held, self.centre, self.half = np.zeros(count), np.full(count, np.nan), np.full(count, np.nan)
        self.rates = rates(self.panel, strategy)
        self.per_point = self.panel.point_value * self.rates
        self.prices, self.marks = _filled(self.panel.price), _filled(self.panel.held)
        self.money = _Money(sizing.capital_base)

    def done(self) -> tuple[Floats, list[Refusal]]:
        """Every session, in order."""
        panel, refusals = self.panel, []
        out = np.full(panel.price.shape, np.nan)
        first, last = self.wanted.forecasts.first, self.wanted.forecasts.last
        for row in range(len(panel.sessions)):
            session = panel.sessions[row].item()
            inside = (first <= row) & (row <= last)
            self._earn(row, session)
            aims = self._aims(row, inside, first)
            refusals += self._traded(row, session, aims)
            out[row] = np.where(inside, self.held, np.nan)
        return out + 0.0, refusals

    def _earn(self, row: int, session: date) -> None:
        """What was held earns the session's move."""
        self.money.begin(session)
        if row:
            moved = (self.prices[row] - self.prices[row - 1]) * self.per_point[row] * self.held
            self.money.earned += float(np.nansum(moved))

    def _aims(self, row: int, inside: Flags, first: Integers) -> Floats:
        """Contracts that the strategy decides to hold."""
        buffer, aims = self.strategy.buffer, self.held.copy()
        waits = self.strategy.execution.fills == "when_traded"
        for column in np.flatnonzero(inside):
            optimal, width = self.wanted.notional[row, column], self.wanted.half_width[row, column]
            self.centre[column] = optimal if math.isfinite(optimal) else self.centre[column]
            self.half[column] = width if math.isfinite(width) else self.half[column]
            if self.strategy.execution.start == "rounded" and row == first[column]:
                whole = float(np.rint(optimal)) if buffer.whole_contracts else optimal
                aims[column] = whole if math.isfinite(optimal) else 0.0
            elif math.isfinite(optimal) and (not waits or math.isfinite(self.panel.price[row, column])):
                aims[column] = buffered(
                    self.held[column], optimal, self.half[column], buffer.whole_contracts, buffer.trade_to == "edge"
                )
        return aims

    def _traded(self, row: int, session: date, aims: Floats) -> list[Refusal]:
        """Orders toward the aims, judged; what passes is held from here on."""
        orders = [
            Order(
                order_id(session, self.strategy.name, code, CONTRACT, TARGET), self.strategy.name, code, CONTRACT,
                session, int(aims[column] - self.held[column]), TARGET,
            )
            for column, code in enumerate(self.panel.instruments)
            if aims[column] != self.held[column]
        ]  # fmt: skip
        if not orders:
            return []
        found = judged(orders, self._book(), self._market(row, session), self.desk)
        for order in found.approved:
            self.held[self.panel.instruments.index(order.instrument)] += order.quantity_contracts
        return [
            Refusal(
                session, order.instrument, order.quantity_contracts, breach.rule, float(breach.value),
                float(breach.limit),
            )
            for order, breach in found.refused
        ]  # fmt: skip

    def _book(self) -> Book:
        name, capital = self.strategy.name, self.sizing.capital_base
        positions = {
            (name, code, CONTRACT): int(self.held[column])
            for column, code in enumerate(self.panel.instruments)
            if self.held[column]
        }
        standing, worth = self.money.standing(), capital + self.money.earned
        return Book(
            capital, worth, positions, positions, self.sizing.volatility_target_percent / 100.0,
            {WHOLE: standing, name: standing}, strategies=(name,),
        )  # fmt: skip

    def _market(self, row: int, session: date) -> Market:
        """What is known with the close of a session."""
        panel, codes = self.panel, self.panel.instruments
        days = max(0, min(self.model.sessions, row))
        base = np.diff(self.prices[row - days : row + 1], axis=0) * self.per_point[row]
        base = np.where(np.isfinite(panel.price[row - days + 1 : row + 1]), base, np.nan)
        since = np.clip(row - panel.first, 0, days).astype(np.int64)
        gains = Gains(base, since, np.isfinite(self.prices[row]))
        found = correlated(gains, self.model.half_life_sessions)
        loadings, mark = loadings_of(found, self.model.loadings), self.marks[row]
        nothing, notional = np.full(len(codes), np.nan), np.abs(mark) * self.per_point[row]
        factors, by_factor = factor_loadings(self.model.factors, codes, found)
        stress_names, stresses = stresses_of(self.model.scenarios, self._classified(), notional)
        return Market(
            version=f"{panel.version}:{session}", session=session, instruments=codes,
            contracts=tuple((code, CONTRACT) for code in codes), contract_instrument=np.arange(len(codes)),
            mark_points=mark, mark_age_sessions=_ages(panel, row), notional_base=notional,
            roll_state=np.zeros(len(codes), np.int64), volatility_base=found.volatility_base, median_volume=nothing,
            low_volume=nothing, spread_fraction=2.0 * panel.slippage / np.where(mark == 0.0, np.nan, np.abs(mark)),
            margin_base=self._margins(row, found.volatility_base), groups=self._groups(), factors=factors,
            factor_loadings=by_factor, stress_names=stress_names, stresses=stresses,
            component_loadings=loadings[:, : self.model.components].T.copy(), scenarios=scenarios_of(gains),
            covariance_loadings=loadings, covariance_rest=rest_of(found, loadings),
        )  # fmt: skip

    def _margins(self, row: int, volatility_base: Floats) -> Floats:
        """Initial margin of a contract: as given, at the session's rate, else so many volatilities."""
        given = np.array([self.model.margins_local.get(code, np.nan) for code in self.panel.instruments])
        estimated = self.model.margin_volatilities * volatility_base
        return np.where(np.isfinite(given), given * self.rates[row], estimated)

    def _classified(self) -> list[Classified]:
        return [
            Classified(code, self.classes.get(code, {}).get("asset_class", UNKNOWN)) for code in self.panel.instruments
        ]

    def _groups(self) -> dict[str, Group]:
        codes = self.panel.instruments
        named = {name: [self.classes.get(code, {}).get(name, UNKNOWN) for code in codes] for name in DIMENSIONS}
        named["currency"] = list(self.panel.currencies)
        return {name: group(values) for name, values in named.items()}


def _ages(panel: Panel, row: int) -> Floats:
    """Sessions since each instrument's last price; NaN before the first."""
    there = np.isfinite(panel.held[: row + 1])[::-1]
    return np.where(there.any(axis=0), there.argmax(axis=0), np.nan).astype(np.float64)


def _filled(values: Floats) -> Floats:
    from trading.kernels.averages import filled

    return filled(values)


def by_session(refusals: list[Refusal], panel: Panel) -> dict[str, Floats]:
    """Curves of what was refused: orders and contracts by session, and orders by rule."""
    rows = {day.item(): row for row, day in enumerate(panel.sessions)}
    names = ["refused_orders", "refused_contracts", *sorted({f"refused_by_{_plain(each.rule)}" for each in refusals})]
    found = {name: np.zeros(len(panel.sessions)) for name in names}
    for each in refusals:
        row = rows[each.session]
        found["refused_orders"][row] += 1
        found["refused_contracts"][row] += abs(each.contracts)
        found[f"refused_by_{_plain(each.rule)}"][row] += 1
    return found


def _plain(rule: str) -> str:
    return rule.replace(":", "_")
