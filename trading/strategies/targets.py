"""The positions a strategy wants after a session: sized, buffered against what is held, in whole contracts.

Belongs here: one strategy, one session. Does not belong here: orders (`trading/book/orders.py`), limits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from trading.config.models import Capital, StrategySettings
from trading.strategies.buffering import buffered, forecast_half_width
from trading.strategies.sizing import average_contracts, daily_cash_target, optimal_contracts


@dataclass(frozen=True, slots=True)
class Candidate:
    """What sizing needs to know of an instrument: the contract to hold and whether it trades this session, the combined
    forecast, the risk of one contract (base currency a day), and the contracts held and at work."""

    instrument: str
    contract: int
    tradable: bool
    forecast: float
    volatility_base: float
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


def targets(candidates: list[Candidate], strategy: StrategySettings, capital: Capital) -> list[TargetRow]:
    """A row for each candidate, in their order.

    Weights are equal over the candidates that can be sized. One that cannot be sized, or does not trade this session,
    keeps what it holds; one that the strategy does not list is closed.
    """
    sized = [c for c in candidates if is_sizable(c) and _is_listed(c, strategy)]
    cash = capital_share_target(strategy, capital)
    return [_target(c, strategy, cash, 1.0 / max(1, len(sized))) for c in candidates]


def closing_targets(candidates: list[Candidate], strategy: str) -> list[TargetRow]:
    """A row for each candidate of a strategy that is no longer configured: flat, as soon as its instrument trades."""
    return [
        TargetRow(strategy, c.instrument, c.contract, c.forecast, c.volatility_base, 0.0, 0 if c.tradable else c.held)
        for c in candidates
    ]


def capital_share_target(strategy: StrategySettings, capital: Capital) -> float:
    """The strategy's share of the desk's daily risk, in base currency."""
    return strategy.capital_share * daily_cash_target(capital.capital_base, capital.volatility_target_percent)


def is_sizable(candidate: Candidate) -> bool:
    """Whether there is a forecast and a risk to divide by."""
    return math.isfinite(candidate.forecast) and candidate.volatility_base > 0


def held_by_instrument(positions: Mapping[tuple[str, str, int], int], strategy: str) -> dict[str, int]:
    """Contracts of each instrument a strategy holds, over its contract months."""
    held: dict[str, int] = {}
    for (name, instrument, _), quantity in positions.items():
        if name == strategy:
            held[instrument] = held.get(instrument, 0) + quantity
    return held


def _is_listed(candidate: Candidate, strategy: StrategySettings) -> bool:
    return not strategy.instruments or candidate.instrument in strategy.instruments


def _target(candidate: Candidate, strategy: StrategySettings, cash: float, weight: float) -> TargetRow:
    optimal, average = math.nan, math.nan
    if not _is_listed(candidate, strategy):
        optimal, average = 0.0, 0.0
    elif is_sizable(candidate):
        average = average_contracts(cash, candidate.volatility_base, weight, strategy.instrument_multiplier)
        optimal = optimal_contracts(average, candidate.forecast)
    width = forecast_half_width(average, strategy.buffer_fraction)
    wanted = buffered(candidate.held, optimal, width) if candidate.tradable else candidate.held
    return TargetRow(
        strategy.name, candidate.instrument, candidate.contract, candidate.forecast, candidate.volatility_base,
        optimal, wanted,
    )  # fmt: skip
