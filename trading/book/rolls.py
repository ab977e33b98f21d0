"""Rolling the book: from the contract that stops being held into the next.

Belongs here: the orders of a roll. Does not belong here: when an instrument rolls (`trading/market/`), or filling.

The desk trades the spread at the last moment at which both contracts were quoted, which is what a roll gap records:
both legs carry that moment's price as their reference and are filled at it in the session of the roll. An order that
still works in the old contract is withdrawn and placed anew in the next one, still deciding for its own session.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from trading.book.orders import Order, order_id, parent_id
from trading.book.positions import Key

ROLL = "roll"


@dataclass(frozen=True, slots=True)
class Roll:
    """A change of held contract, with both prices (points) at the last row before it."""

    instrument: str
    from_contract: int
    to_contract: int
    price_before: float
    forward_before: float


@dataclass(frozen=True, slots=True)
class Rolled:
    """What a session's rolls ask for: legs and orders placed anew, and orders withdrawn."""

    orders: tuple[Order, ...] = ()
    cancelled: tuple[Order, ...] = ()


def roll_orders(session: date, rolls: Sequence[Roll], positions: Mapping[Key, int], working: Iterable[Order]) -> Rolled:
    """The orders of a session's rolls, in order of the rolls; two rolls of one instrument in a session chain."""
    held, before = dict(positions), {order.order_id: order for order in working}
    open_orders = dict(before)
    legs: list[Order] = []
    for roll in rolls:
        legs += _legs(session, roll, held)
        open_orders = {key: _moved(order, roll) for key, order in open_orders.items()}
    moved = {key: order for key, order in open_orders.items() if key != order.order_id}
    return Rolled((*legs, *moved.values()), tuple(before[key] for key in moved))


def _legs(session: date, roll: Roll, held: dict[Key, int]) -> list[Order]:
    legs: list[Order] = []
    for key in sorted(held):
        strategy, instrument, contract = key
        if (instrument, contract) != (roll.instrument, roll.from_contract) or not held[key]:
            continue
        quantity, into = held.pop(key), (strategy, instrument, roll.to_contract)
        held[into] = held.get(into, 0) + quantity
        legs += [
            _leg(session, key, -quantity, roll.price_before, roll),
            _leg(session, into, quantity, roll.forward_before, roll),
        ]
    return legs


def _leg(session: date, key: Key, quantity: int, price_points: float, roll: Roll) -> Order:
    # Both contracts are in the id: rolls that chain trade the contract in the middle twice.
    name = order_id(session, *key, f"{ROLL}-{roll.from_contract}-{roll.to_contract}")
    return Order(name, *key, session, quantity, ROLL, price_points, parent_id(session, *key[:2], ROLL))


def _moved(order: Order, roll: Roll) -> Order:
    if (order.instrument, order.contract) != (roll.instrument, roll.from_contract) or order.reason == ROLL:
        return order
    name = order_id(order.session, order.strategy, order.instrument, roll.to_contract, order.reason)
    return replace(order, order_id=name, contract=roll.to_contract, reference_points=roll.forward_before)
