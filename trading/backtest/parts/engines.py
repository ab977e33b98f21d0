"""Daybook's own engines as registered parts.

Belongs here: fitting the engines to the Protocol. Does not belong here: what they do (`trading/backtest/engine.py`,
`limited.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from trading.backtest.panel import Floats, Panel
from trading.backtest.registry import Nothing, engine
from trading.backtest.result import Result
from trading.backtest.specification import CostModel, Engine, Strategy
from trading.config.models import DeskSettings
from trading.config.risk import RiskLimit, RiskModelSettings, RiskSettings
from trading.config.risk_names import own_names, strange_in_risk
from trading.config.settings import Code, Name, Settings
from trading.config.strategies import StrategySettings

if TYPE_CHECKING:
    from trading.backtest.account_basis import AccountBasis
    from trading.backtest.costs import CostRisk, Costs, Holdings
    from trading.strategies.rule import ForecastRule


CLASSIFIED = ("sector", "asset_class", "country", "exchange_group")  # what `classes` may say; currencies are known


@dataclass(frozen=True, slots=True)
class Priced:
    """A registered cost model as the account calls it."""

    model: CostModel

    def __call__(
        self, panel: Panel, holdings: Holdings, strategy: StrategySettings, basis: AccountBasis, risk: CostRisk | None
    ) -> Costs:
        import numpy as np

        from trading.backtest.costs import of_sessions

        held = np.nan_to_num(holdings.held)
        filled: Floats = np.diff(held, axis=0, prepend=0.0)
        return of_sessions(panel, self.model.costs(panel, held, filled, strategy))


@dataclass(frozen=True, slots=True)
class DailyEngine:
    """Sessions in a row, positions decided with each close."""

    def evaluate(
        self,
        panel: Panel,
        strategy: StrategySettings,
        capital_base: float,
        decided_by: Strategy | None = None,
        costs: CostModel | None = None,
        first: date | None = None,
        seed: int = 0,
        rules: Mapping[str, ForecastRule[Any]] | None = None,
    ) -> Result:
        """As the Protocol; nothing is drawn at random, so the seed changes nothing. `rules` are the forecasting rules
        there are (None: Daybook's own)."""
        from trading.backtest import engine as daily

        bench = daily.bench_of(panel, strategy)
        if rules is not None:
            bench.once("rules", lambda: dict(rules))
        sizing = daily.sizing_of(strategy, capital_base)
        model = None if costs is None else Priced(costs)
        positions = None if decided_by is None else decided_by.positions(bench.panel, strategy, capital_base)
        return daily.result(daily.evaluate(bench, strategy, sizing, model, positions), first)


class RiskOptions(Settings):
    """The limits that orders of a backtest pass first: as in a desk's section `risk`."""

    limits: tuple[RiskLimit, ...] = Field((), max_length=1000, description="as risk.limits of a desk")
    model: RiskModelSettings = Field(default_factory=RiskModelSettings, description="how risk is measured")
    max_gross_exposure_fraction: float = Field(1000.0, ge=0, le=1000, description="sum of |notional| / capital")
    classes: dict[Code, dict[Name, str]] = Field(
        default_factory=dict, max_length=2000,
        description="sector, asset_class, country and exchange_group of instruments, for limits and scenarios of these",
    )  # fmt: skip

    @model_validator(mode="after")
    def _limits_something(self) -> RiskOptions:
        wrong = [*_strange_dimensions(self.classes), *_strange_names(self), *_faults(self)]
        if wrong:
            raise ValueError(" ".join(wrong))
        return self


def _strange_dimensions(classes: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    for code, named in classes.items():
        for dimension in named.keys() - set(CLASSIFIED):
            yield f"classes of {code} name a {dimension}; they can name {', '.join(CLASSIFIED)}. Take it out."


def _strange_names(options: RiskOptions) -> Iterator[str]:
    """What limits and scenarios name that a backtest would not find, so that they would limit nothing."""
    risk = RiskSettings(limits=options.limits, model=options.model)
    named = {name: {own[name] for own in options.classes.values() if name in own} for name in CLASSIFIED}
    for text in strange_in_risk(risk, own_names(risk) | named, lambda path: None):
        yield f"{text} Groups of instruments are those that classes name."


def _faults(options: RiskOptions) -> list[str]:
    """Limits that mean nothing, or two things at once."""
    if not options.limits:
        return []
    from trading.risk.limit_table import faults  # finds every rule, for those alone who limit anything

    return faults(DeskSettings(risk=RiskSettings(limits=options.limits, model=options.model)))


@dataclass(frozen=True, slots=True)
class LimitedEngine:
    """Sessions in a row; orders that limits refuse are not sent."""

    options: RiskOptions

    def evaluate(
        self,
        panel: Panel,
        strategy: StrategySettings,
        capital_base: float,
        decided_by: Strategy | None = None,
        costs: CostModel | None = None,
        first: date | None = None,
        seed: int = 0,
        rules: Mapping[str, ForecastRule[Any]] | None = None,
    ) -> Result:
        """As the Protocol. The result has curves of what was refused beside its own (`refused_orders`,
        `refused_contracts`, `refused_by_<rule>`), and statistics of it under `refusals`."""
        from trading.backtest import engine as daily
        from trading.backtest.limited import Limits, by_session, decided_within
        from trading.strategies.optimal import optimal

        given = self.options
        bench = daily.bench_of(panel, strategy)
        if rules is not None:
            bench.once("rules", lambda: dict(rules))
        sizing = daily.sizing_of(strategy, capital_base)
        limits = Limits(given.limits, given.model, given.max_gross_exposure_fraction, given.classes)
        positions, refused = decided_within(bench, strategy, optimal(bench, strategy, sizing), sizing, limits)
        model = None if costs is None else Priced(costs)
        evaluated = daily.evaluate(bench, strategy, sizing, model, positions)
        found = daily.result(evaluated, first)
        rows = daily.counted_rows(evaluated.account, first)
        curves = {name: values[rows] for name, values in by_session(refused, bench.panel).items()}
        totals = {name.removeprefix("refused_"): float(values.sum()) for name, values in curves.items()}
        sessions = float((curves["refused_orders"] > 0).sum())
        statistics = {**found.statistics, "refusals": {**totals, "sessions": sessions}}
        return replace(found, curves={**found.curves, **curves}, statistics=statistics)


@engine(version="1", capabilities=("cost_model", "rules"), parameters=RiskOptions)
def limited(options: RiskOptions) -> Engine:
    """As `daybook`, but every order passes the risk engine first, with the limits that are given."""
    return LimitedEngine(options)


@engine(version="1", capabilities=("strategy", "cost_model", "rules"))
def daybook(_: Nothing) -> Engine:
    """Daily sessions: forecasts, risk-sized positions, buffering, fills in the next session, costs and curves."""
    return DailyEngine()
