"""Orders and fills as values. Does not belong here: recording them, or deciding them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Order:
    """An order to trade `quantity_contracts` (bought positive) after the close of `session`.

    `reason` is `target`, or `roll` for each of the two legs of a roll; `reference_points` is the price the decision
    was taken at.
    """

    order_id: str
    strategy: str
    instrument: str
    contract: int
    session: date
    quantity_contracts: int
    reason: str
    reference_points: float | None = None


@dataclass(frozen=True, slots=True)
class Fill:
    """A trade done by the broker, booked in `session`. Commission: instrument's currency, never negative."""

    fill_id: str
    order_id: str
    strategy: str
    instrument: str
    contract: int
    session: date
    quantity_contracts: int
    price_points: float
    commission_local: float = 0.0
