"""The positions a strategy wants after a session: its optimal ones, buffered against what is held, in whole contracts.

Belongs here: one strategy, one session. Does not belong here: the optimal positions (`optimal.py`, the backtest's
own), orders (`trading/book/orders.py`), limits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from trading.config.strategies import StrategySettings
from trading.strategies.buffering import buffered


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a strategy wants of an instrument after a session, as the backtest has it: combined forecast, one deviation
    a day of one contract in base currency, the optimal position and half the no-trade zone, contracts. NaN: unknown."""

    forecast: float = math.nan
    daily_volatility_base: float = math.nan
    optimal_contracts: float = math.nan
    half_width_contracts: float = math.nan


NOTHING_KNOWN = Wanted()


@dataclass(frozen=True, slots=True)
class Candidate:
    """An instrument of a strategy: the contract to hold and whether it trades this session, what is wanted of it, and
    the contracts held and at work."""

    instrument: str
    contract: int
    tradable: bool
    wanted: Wanted
    held: int


@dataclass(frozen=True, slots=True)
class TargetRow:
    """A row of the dataset `targets`, without its session."""

    strategy: str
    instrument: str
    contract: int
    forecast: float
    daily_volatility_base: float
    optimal_contracts: float
    target_contracts: int


def targets(candidates: list[Candidate], strategy: StrategySettings) -> list[TargetRow]:
    """A row for each candidate, in their order.

    One that cannot be sized, or does not trade this session, keeps what it holds; one that the strategy does not list
    is closed. A book holds whole contracts, whatever the strategy's buffer says.
    """
    return [_target(candidate, strategy) for candidate in candidates]


def closing_targets(candidates: list[Candidate], strategy: str) -> list[TargetRow]:
    """A row for each candidate of a strategy that is no longer configured: flat, as soon as its instrument trades."""
    return [_row(candidate, strategy, 0.0, 0) for candidate in candidates]


def held_by_instrument(positions: Mapping[tuple[str, str, int], int], strategy: str) -> dict[str, int]:
    """Contracts of each instrument a strategy holds, over its contract months."""
    held: dict[str, int] = {}
    for (name, instrument, _), quantity in positions.items():
        if name == strategy:
            held[instrument] = held.get(instrument, 0) + quantity
    return held


def _target(candidate: Candidate, strategy: StrategySettings) -> TargetRow:
    listed, buffer = strategy.instruments or tuple(strategy.portfolio.weights), strategy.buffer
    if listed and candidate.instrument not in listed:
        return _row(candidate, strategy.name, 0.0, 0)
    optimal, width = candidate.wanted.optimal_contracts, candidate.wanted.half_width_contracts
    target = buffered(candidate.held, optimal, width, buffer.whole_contracts, buffer.trade_to == "edge")
    return _row(candidate, strategy.name, optimal, round(target))


def _row(candidate: Candidate, strategy: str, optimal: float, target: int) -> TargetRow:
    wanted = candidate.wanted
    return TargetRow(
        strategy, candidate.instrument, candidate.contract, wanted.forecast, wanted.daily_volatility_base, optimal,
        target if candidate.tradable else candidate.held,
    )  # fmt: skip
