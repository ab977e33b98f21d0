"""Daybook's own engine as a registered part.

Belongs here: fitting the engine to the Protocol. Does not belong here: what it does (`trading/backtest/engine.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from trading.backtest.panel import Floats, Panel
from trading.backtest.registry import Nothing, engine
from trading.backtest.result import Result
from trading.backtest.specification import CostModel, Engine, Strategy
from trading.config.strategies import StrategySettings

if TYPE_CHECKING:
    from trading.backtest.account_basis import AccountBasis
    from trading.backtest.costs import CostRisk, Costs, Holdings
    from trading.strategies.rule import ForecastRule


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


@engine(version="1", capabilities=("strategy", "cost_model", "rules"))
def daybook(_: Nothing) -> Engine:
    """Daily sessions: forecasts, risk-sized positions, buffering, fills in the next session, costs and curves."""
    return DailyEngine()
