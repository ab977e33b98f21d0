"""Backtests of one home as assets ask for them: strategies by name, and the factory behind them.

Belongs here: fitting the factory to `trading.backtest.factory.Backtests`. Does not belong here: computing or keeping
(`backtesting.py`), or what the shell asks (`backtest_request.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from pipelines.backtesting import Demand, Factory, Outcome, Workshop
from pipelines.plugins import Rules
from pipelines.settings import Place, strategy_file
from trading.backtest.registry import Kind
from trading.backtest.specification import Backtest, Choice, CostModel, DataSource, Strategy
from trading.config.strategies import StrategySettings


@dataclass(frozen=True, slots=True)
class BacktestLibrary:
    """The strategies of a home, on one source."""

    where: Place
    source: Choice | DataSource
    plugins: Sequence[str] = ()

    def strategy(self, name: str) -> StrategySettings:
        """As the Protocol."""
        return strategy_file(name, self.where, self.plugins)

    def run(self, backtest: Backtest, deadline_s: float | None = None) -> Outcome:
        """As the Protocol; with a deadline in a child process, which is killed when it passes."""
        with Factory.open(self.where, self.source, plugins=self.plugins) as factory:
            return factory.run(backtest, Demand(deadline_s=deadline_s))

    def parts(self, backtest: Backtest) -> tuple[Strategy | None, CostModel | None]:
        """As the Protocol."""
        decided_by = self._made("strategy", backtest.decided_by, "rules")
        return cast("Strategy | None", decided_by), cast(
            "CostModel | None", self._made("cost_model", backtest.costs, "settings")
        )

    def rules(self, backtest: Backtest) -> Rules:
        """As the Protocol."""
        return Workshop(self.source, tuple(self.plugins)).rules(backtest)

    def _made(self, kind: Kind, choice: Choice, own: str) -> object | None:
        if choice.name == own:
            return None
        return Workshop(self.source, tuple(self.plugins)).parts((kind, choice.name)).make(kind, choice)
