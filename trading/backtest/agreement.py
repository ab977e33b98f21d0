"""Whether the close decided what the backtest decides: optimal positions and targets against the backtest's own rows.

Belongs here: comparing one strategy's stored rows with its arrays worked out anew. Does not belong here: reading what
is stored (`checks/targets.py`), or the arrays (`trading/strategies/closing.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np

from trading.backtest.engine import decided
from trading.backtest.panel import Floats
from trading.config.strategies import StrategySettings
from trading.strategies.closing import Sized

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


def compared(found: Sized, strategy: StrategySettings, closed: Closed, first: date, last: date) -> Compared:
    """Sessions `first` to `last` of a strategy. Optimal positions must be equal to the last bit. A target must be the
    backtest's where the book holds what the backtest holds and the instrument trades; elsewhere it may differ."""
    cells = list(found.cells(first, last))
    rows = [text for cell in cells for text in _position(found, strategy, closed, *cell)]
    extra = sorted(set(closed.wanted) - {(session, code) for session, code, _, _ in cells})
    rows += [f"{strategy.name} {code} {session}: the backtest has no position there." for session, code in extra]
    after = decided(found.bench, strategy, found.optimal)
    judged = [cell for cell in cells if strategy.buffer.whole_contracts and _comparable(found, closed, after, *cell)]
    rows += [text for cell in judged for text in _target(strategy, closed, after, *cell)]
    return Compared(len(cells), len(judged), tuple(rows))


def _position(
    found: Sized, strategy: StrategySettings, closed: Closed, session: date, code: str, row: int, column: int
) -> Iterator[str]:
    stored = closed.wanted.get((session, code))
    if stored is None:
        yield f"{strategy.name} {code} {session}: the close has no optimal position."
        return
    for name, value in found.wanted(row, column).items():
        if not (stored[name] == value or (np.isnan(stored[name]) and np.isnan(value))):
            yield f"{strategy.name} {code} {session}: {name} is {stored[name]!r}, and {value!r} in the backtest."


def _comparable(found: Sized, closed: Closed, after: Floats, session: date, code: str, row: int, column: int) -> bool:
    before = after[row - 1, column] if row else 0.0
    same = closed.held.get((session, code), 0) == (0.0 if np.isnan(before) else before)
    return same and (session, code) in closed.targets and bool(np.isfinite(found.bench.panel.price[row, column]))


def _target(
    strategy: StrategySettings, closed: Closed, after: Floats, session: date, code: str, row: int, column: int
) -> Iterator[str]:
    target, expected = closed.targets[session, code], after[row, column]
    if target != expected:
        yield f"{strategy.name} {code} {session}: the target is {target}, and {expected:g} in the backtest."
