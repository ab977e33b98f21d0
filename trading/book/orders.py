"""Orders and fills as values, and the orders that bring a book to its targets.

Belongs here: the values, their ids, and proposing. Does not belong here: recording them (`booking.py`), limits
(`trading/risk/`), or where targets come from (`trading/strategies/`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

TARGET = "target"


@dataclass(frozen=True, slots=True)
class Order:
    """An order to trade `quantity_contracts` (bought positive) after the close of `session`.

    `reason` is `target`, or `roll` for each of the two legs of a roll; `reference_points` is the price the decision
    was taken at and `reference_at` when that was (ISO); `parent_id` is the instrument order it is part of.
    """

    order_id: str
    strategy: str
    instrument: str
    contract: int
    session: date
    quantity_contracts: int
    reason: str
    reference_points: float | None = None
    parent_id: str | None = None
    reference_at: str | None = None


@dataclass(frozen=True, slots=True)
class Fill:
    """A trade done by the broker, booked in `session`; `executed_at` (ISO UTC) is when, if the broker says. Commission:
    instrument's currency, never negative but where a fill is taken back."""

    fill_id: str
    order_id: str
    strategy: str
    instrument: str
    contract: int
    session: date
    quantity_contracts: int
    price_points: float
    commission_local: float = 0.0
    executed_at: str | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """An order that the broker does not hold any more and did not fill whole: `cancelled`, `expired` or `rejected`, and
    what the broker says of it."""

    order_id: str
    how: str
    reason: str


@dataclass(frozen=True, slots=True)
class Target:
    """What a strategy wants to hold of an instrument: contracts (long positive) of one contract month."""

    strategy: str
    instrument: str
    contract: int
    quantity_contracts: int
    reference_points: float | None = None
    reference_at: str | None = None


def order_id(session: date, strategy: str, instrument: str, contract: int, reason: str) -> str:
    """The id of the order for a decision: the same decision has the same id, so nothing is placed twice."""
    return f"{session.isoformat()}:{strategy}:{instrument}:{contract}:{reason}"


def parent_id(session: date, strategy: str, instrument: str, reason: str) -> str:
    """The id of the instrument order above the contract orders of one decision."""
    return f"{session.isoformat()}:{strategy}:{instrument}:{reason}"


def propose(
    session: date,
    targets: Iterable[Target],
    positions: Mapping[tuple[str, str, int], int],
    working: Iterable[Order] = (),
) -> list[Order]:
    """Orders that bring each target's instrument from what is held and working to the target, sorted by id.

    Holdings of the instrument in other contract months are closed. Instruments without a target are left alone.
    """
    held = dict(positions)
    for order in working:
        key = (order.strategy, order.instrument, order.contract)
        held[key] = held.get(key, 0) + order.quantity_contracts
    wanted = {(target.strategy, target.instrument): target for target in targets}
    desired = {(*pair, target.contract): target.quantity_contracts for pair, target in wanted.items()}
    desired |= {key: 0 for key in held if key not in desired and key[:2] in wanted}
    orders = [
        _towards(session, key, quantity - held.get(key, 0), wanted[key[:2]])
        for key, quantity in desired.items()
        if quantity != held.get(key, 0)
    ]
    return sorted(orders, key=lambda order: order.order_id)


def _towards(session: date, key: tuple[str, str, int], quantity: int, target: Target) -> Order:
    at_mark = key[2] == target.contract
    price, when = (target.reference_points, target.reference_at) if at_mark else (None, None)
    parent = parent_id(session, *key[:2], TARGET)
    return Order(order_id(session, *key, TARGET), *key, session, quantity, TARGET, price, parent, when)
