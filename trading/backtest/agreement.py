"""Whether the close decided what the backtest decides: optimal positions and targets against the backtest's own rows.

Belongs here: comparing one strategy's stored rows with its backtest run anew, by the engine and not by what the close
calls. Does not belong here: reading what is stored (`checks/targets.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np

from trading.backtest.engine import evaluate
from trading.backtest.panel import Floats, Panel
from trading.config.strategies import StrategySettings
from trading.strategies.closing import Sized
from trading.strategies.optimal import Sizing
from trading.strategies.universe import bench_of, listed
from trading.strategies.workbench import Workbench

Cell = tuple[date, str]


@dataclass(frozen=True, slots=True)
class Closed:
    """What the close left of a strategy, by session and instrument: columns of `optimal_positions`, target contracts,
    and contracts held after the session."""

    wanted: Mapping[Cell, Mapping[str, float]]
    targets: Mapping[Cell, int]
    held: Mapping[Cell, int]


@dataclass(frozen=True, slots=True)
class Compared:
    """How many rows of optimal positions and how many targets were compared, and what differs, as sentences."""

    positions: int
    targets: int
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tested:
    """One backtest: its arrays, and the contracts it decided to hold."""

    sized: Sized
    positions: Floats


class Roads:
    """The backtest of a strategy through the end of a panel, row by row.

    `own` is as backtests are run: an instrument's rows end with its last price. From the session in which one of them
    has ended, which may be no more than a holiday of its own, the row is of `carried`, where it keeps what was known;
    and every row is, where one that the strategy lists has no prices yet, which no backtest would take.
    """

    def __init__(self, panel: Panel, strategy: StrategySettings, sizing: Sizing) -> None:
        self.carried = _tested(bench_of(panel, strategy, carried=True), strategy, sizing)
        self.own, self.ends = self.carried, -1
        if set(listed(strategy)) <= set(panel.instruments):
            bench = bench_of(panel, strategy)
            self.ends = int(np.minimum(bench.panel.last, bench.panel.held_last).min())
            if self.ends >= 0:
                self.own = _tested(bench, strategy, sizing)

    def at(self, row: int) -> Tested:
        """The backtest that a row is of."""
        return self.own if row <= self.ends else self.carried


def _tested(bench: Workbench, strategy: StrategySettings, sizing: Sizing) -> Tested:
    made = evaluate(bench, strategy, sizing).decisions
    return Tested(Sized(bench, made.optimal), made.positions)


def compared(
    panel: Panel, strategy: StrategySettings, sizing: Sizing, closed: Closed, first: date, last: date
) -> Compared:
    """Sessions `first` to `last` of a strategy against its backtest through the end of the panel. Optimal positions
    must be equal to the last bit. A target must be the backtest's where the book holds what the backtest holds and the
    instrument trades; elsewhere it may differ."""
    roads = Roads(panel, strategy, sizing)
    cells = list(roads.carried.sized.cells(first, last))
    rows = [text for cell in cells for text in _position(roads, strategy, closed, *cell)]
    extra = sorted(set(closed.wanted) - {(session, code) for session, code, _, _ in cells})
    rows += [f"{strategy.name} {code} {session}: the backtest has no position there." for session, code in extra]
    judged = [cell for cell in cells if strategy.buffer.whole_contracts and _comparable(roads, closed, *cell)]
    rows += [text for cell in judged for text in _target(roads, strategy, closed, *cell)]
    return Compared(len(cells), len(judged), tuple(rows))


def _position(
    roads: Roads, strategy: StrategySettings, closed: Closed, session: date, code: str, row: int, column: int
) -> Iterator[str]:
    stored = closed.wanted.get((session, code))
    if stored is None:
        yield f"{strategy.name} {code} {session}: the close has no optimal position."
        return
    for name, value in roads.at(row).sized.wanted(row, column).items():
        if not (stored[name] == value or (np.isnan(stored[name]) and np.isnan(value))):
            yield f"{strategy.name} {code} {session}: {name} is {stored[name]!r}, and {value!r} in the backtest."


def _comparable(roads: Roads, closed: Closed, session: date, code: str, row: int, column: int) -> bool:
    tested = roads.at(row)
    before = tested.positions[row - 1, column] if row else 0.0
    same = closed.held.get((session, code), 0) == (0.0 if np.isnan(before) else before)
    priced = bool(np.isfinite(tested.sized.bench.panel.price[row, column]))
    return same and (session, code) in closed.targets and priced


def _target(
    roads: Roads, strategy: StrategySettings, closed: Closed, session: date, code: str, row: int, column: int
) -> Iterator[str]:
    target, expected = closed.targets[session, code], roads.at(row).positions[row, column]
    if target != expected:
        yield f"{strategy.name} {code} {session}: the target is {target}, and {expected:g} in the backtest."
