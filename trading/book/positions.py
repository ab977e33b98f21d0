"""Positions: what is held, as the fold of fills.

Belongs here: adding fills up. Does not belong here: valuing positions (`pnl.py`, `account.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from trading.book.orders import Fill

Key = tuple[str, str, int]  # strategy, instrument, contract


def fold(fills: Iterable[Fill]) -> dict[Key, int]:
    """Contracts held by (strategy, instrument, contract) after these fills; flat ones are left out."""
    held: dict[Key, int] = {}
    for fill in fills:
        key = (fill.strategy, fill.instrument, fill.contract)
        held[key] = held.get(key, 0) + fill.quantity_contracts
    return {key: quantity for key, quantity in held.items() if quantity}


def by_contract(positions: Mapping[Key, int]) -> dict[tuple[str, int], int]:
    """Contracts by (instrument, contract), all strategies together, as a broker sees them; flat ones are left out."""
    held: dict[tuple[str, int], int] = {}
    for (_, instrument, contract), quantity in positions.items():
        held[instrument, contract] = held.get((instrument, contract), 0) + quantity
    return {key: quantity for key, quantity in held.items() if quantity}
