"""The backtest factory as those see it who only ask: a backtest or a sweep goes in, what it found comes out.

Belongs here: what is asked and answered, as Protocols. Does not belong here: doing it (`pipelines/backtesting.py`,
`pipelines/sweeping.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from trading.backtest.result import Result, Statistics
from trading.backtest.specification import Backtest, CostModel, Strategy
from trading.backtest.sweeps import Overrides, Sweep
from trading.config.strategies import StrategySettings
from trading.errors import WorkStopped
from trading.strategies.rule import ForecastRule


class Answer(Protocol):
    """A result, the key it is kept under, and whether it was there already; `seconds` is what answering took."""

    @property
    def key(self) -> str:
        """Hash of specification, data, code and parts."""
        ...

    @property
    def cached(self) -> bool:
        """Whether nothing had to be computed."""
        ...

    @property
    def seconds(self) -> float:
        """What answering took."""
        ...

    @property
    def statistics(self) -> Statistics:
        """By curve, then by name."""
        ...

    @property
    def result(self) -> Result:
        """Positions and curves."""
        ...


@runtime_checkable
class Backtests(Protocol):
    """Who answers. Raises WrongSpecification, StageFailed, DeadlinePassed, StoreBusy, StoreUnavailable."""

    def strategy(self, name: str) -> StrategySettings:
        """A strategy of the library. Raises ConfigError naming the known ones."""
        ...

    def run(self, backtest: Backtest, deadline_s: float | None = None) -> Answer:
        """The result of a backtest: kept already, or computed and kept, within so many seconds."""
        ...

    def parts(self, backtest: Backtest) -> tuple[Strategy | None, CostModel | None]:
        """The registered strategy and cost model that a backtest names, made; None where its own settings say."""
        ...

    def rules(self, backtest: Backtest) -> Mapping[str, ForecastRule[Any]]:
        """The forecasting rules there are for a backtest, those of installed packages where it needs one."""
        ...


class Searched(Protocol):
    """What became of a sweep: variants in their order, how many were `computed` now, `known` from before, `left` undone
    or `dropped` as impossible. `stopped` says why it ended early; `odds`, of all variants together, is then empty."""

    @property
    def key(self) -> str:
        """Hash of what is varied, data, code and parts."""
        ...

    @property
    def variants(self) -> tuple[Overrides, ...]:
        """What each variant changes."""
        ...

    @property
    def computed(self) -> int:
        """Variants computed by this request."""
        ...

    @property
    def known(self) -> int:
        """Variants computed before."""
        ...

    @property
    def left(self) -> int:
        """Variants asked for and not computed."""
        ...

    @property
    def dropped(self) -> int:
        """Combinations left out because a fast span was not below its slow one."""
        ...

    @property
    def seconds(self) -> float:
        """What answering took."""
        ...

    @property
    def stopped(self) -> WorkStopped | None:
        """Why it ended early."""
        ...

    @property
    def odds(self) -> Mapping[str, float]:
        """Deflated Sharpe ratio, probability of overfitting and their kin."""
        ...

    def statistics(self) -> list[dict[str, Any]]:
        """Statistics by name of each variant; empty where there are none."""
        ...

    def objectives(self) -> list[float]:
        """The objective of each variant; NaN where there is none."""
        ...


@runtime_checkable
class Sweeps(Protocol):
    """Who answers. Raises WrongSpecification, StoreBusy, StoreUnavailable."""

    def strategy(self, name: str) -> StrategySettings:
        """A strategy of the library. Raises ConfigError naming the known ones."""
        ...

    def run(
        self,
        sweep: Sweep,
        say: Callable[[str], None],
        *,
        workers: int | None = None,
        dask: str | None = None,
        deadline_s: float | None = None,
        memory_mb: float | None = None,
    ) -> Searched:
        """Every variant once, by `workers` processes (None: one a processor) or a Dask scheduler's workers; what was
        done is kept however it ends. `say` hears of progress every few seconds."""
        ...
