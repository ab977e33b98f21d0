"""The backtest factory as those see it who only ask: a backtest goes in, its result comes out.

Belongs here: what is asked and answered, as Protocols. Does not belong here: doing it (`pipelines/backtesting.py`).
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from trading.backtest.result import Result, Statistics
from trading.backtest.specification import Backtest


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
    """Who answers. Raises WrongSpecification, StageFailed, StoreBusy, StoreUnavailable."""

    def run(self, backtest: Backtest) -> Answer:
        """The result of a backtest: kept already, or computed and kept."""
        ...
