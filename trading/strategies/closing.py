"""What the close takes of a strategy: the backtest's own arrays over the desk's panel, and their rows of some sessions.

Belongs here: which sessions of a panel the close looks at, and with how much capital. Does not belong here: which
instruments and prices (`universe.py`), forecasts and sizing (`mixture.py`, `optimal.py`), all of them the backtest's
functions, called here as they are, or what is held (`targets.py`).

The row of a session is the same to the last bit whether the panel ends with that session or later: that is what lets
one session be closed alone and a range in one run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from trading.backtest.panel import Panel
from trading.config.strategies import StrategySettings
from trading.config.trading import Capital
from trading.strategies.optimal import Optimal, Sizing, optimal
from trading.strategies.targets import Wanted
from trading.strategies.universe import bench_of
from trading.strategies.workbench import Workbench

Floats = npt.NDArray[np.float64]
COMBINED = "combined"


@dataclass(frozen=True, slots=True)
class Sized:
    """A strategy's arrays on the panel the close sees."""

    bench: Workbench
    optimal: Optimal

    def wanted(self, row: int, column: int) -> dict[str, float]:
        """One instrument after one session, by the columns of the dataset `optimal_positions`."""
        found = self.optimal
        arrays = {
            "forecast": found.forecasts.combined,
            "daily_volatility_base": found.value_volatility,
            "average_contracts": found.average,
            "optimal_contracts": found.notional,
            "half_width_contracts": found.half_width,
        }
        return {name: float(values[row, column]) for name, values in arrays.items()}

    def after(self, session: date) -> dict[str, Wanted]:
        """What is wanted of each instrument after a session of the panel; those not priced yet are absent."""
        return {code: self._wanted(row, column) for _, code, row, column in self.cells(session, session)}

    def _wanted(self, row: int, column: int) -> Wanted:
        known = self.wanted(row, column)
        names = ("forecast", "daily_volatility_base", "optimal_contracts", "half_width_contracts")
        return Wanted(*(known[name] for name in names))

    def forecasts(self) -> dict[str, Floats]:
        """Capped forecasts by rule, and their mixture."""
        return {**self.optimal.forecasts.capped, COMBINED: self.optimal.forecasts.combined}

    def cells(self, first: date, last: date) -> Iterator[tuple[date, str, int, int]]:
        """Session and instrument, row and column, of every session of the range in which any of them was priced; an
        instrument from its first row on."""
        panel = self.bench.panel
        rows = np.arange(panel.row(first), min(panel.row(last) + 1, len(panel.sessions)))
        for row in map(int, rows[np.isfinite(panel.price[rows]).any(axis=1)]):
            session = panel.sessions[row].item()
            for column in np.flatnonzero(panel.first <= row):
                yield session, panel.instruments[column], row, int(column)


def sized(panel: Panel, strategy: StrategySettings, capital: Capital) -> Sized | None:
    """A strategy on the instruments of a panel that it lists; None where none of them has prices."""
    bench = bench_through(panel, strategy)
    if bench is None:
        return None
    return Sized(bench, optimal(bench, strategy, sizing(strategy, capital)))


def sizing(strategy: StrategySettings, capital: Capital) -> Sizing:
    """The strategy's capital and target, or its share of the desk's and the desk's."""
    own = strategy.capital_base or capital.capital_base * strategy.capital_share
    return Sizing(own, strategy.volatility_target_percent or capital.volatility_target_percent)


def bench_through(panel: Panel, strategy: StrategySettings) -> Workbench | None:
    """What is known at the end of a panel of the instruments that a strategy lists; None where nothing is."""
    since = strategy.prices_since
    if since is not None and panel.row(since) >= len(panel.sessions):
        return None
    bench = bench_of(panel, strategy, carried=True)
    return bench if (bench.panel.first <= bench.panel.last).any() else None
