"""Rolling the book: from the contract that stops being held into the next.

Belongs here: the orders of a roll. Does not belong here: when an instrument rolls (`trading/market/`), or filling.

The desk trades the spread at the last moment at which both contracts were quoted, which is what a roll gap records:
both legs carry that moment's price as their reference and are filled at it in the session of the roll. An order that
still works in the old contract is withdrawn and placed anew in the next one, still deciding for its own session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import NamedTuple

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


class Pair(NamedTuple):
    """The legs of a roll of one strategy's position."""

    out: Order
    into: Order


@dataclass(frozen=True, slots=True)
class Rolled:
    """What a session's rolls ask for: legs, orders placed anew, and orders withdrawn."""

    legs: tuple[Order, ...] = ()
    moved: tuple[Order, ...] = ()
    cancelled: tuple[Order, ...] = ()


Judge = Callable[[Sequence[Pair], Mapping[Key, int]], Sequence[Order]]


def roll_orders(
    session: date, rolls: Sequence[Roll], positions: Mapping[Key, int], working: Iterable[Order], judge: Judge
) -> Rolled:
    """The orders of a session's rolls, in order of the rolls; two rolls of one instrument in a session chain. `judge`
    says of the pairs of a roll, and of what is held before it, which legs leave, as far as they do."""
    held, before = dict(positions), {order.order_id: order for order in working}
    open_orders = dict(before)
    legs: list[Order] = []
    for roll in rolls:
        pairs = list(_pairs(session, roll, held))
        leaving = judge(pairs, held) if pairs else ()
        for leg in leaving:
            key = (leg.strategy, leg.instrument, leg.contract)
            held[key] = held.get(key, 0) + leg.quantity_contracts
        legs += leaving
        open_orders = {key: _moved(order, roll) for key, order in open_orders.items()}
    moved = {key: order for key, order in open_orders.items() if key != order.order_id}
    return Rolled(tuple(legs), tuple(moved.values()), tuple(before[key] for key in moved))


def _pairs(session: date, roll: Roll, held: Mapping[Key, int]) -> Iterable[Pair]:
    for key in sorted(held):
        strategy, instrument, contract = key
        if (instrument, contract) == (roll.instrument, roll.from_contract) and held[key]:
            into = (strategy, instrument, roll.to_contract)
            yield Pair(
                _leg(session, key, -held[key], roll.price_before, roll),
                _leg(session, into, held[key], roll.forward_before, roll),
            )


def _leg(session: date, key: Key, quantity: int, price_points: float, roll: Roll) -> Order:
    # Both contracts are in the id: rolls that chain trade the contract in the middle twice.
    name = order_id(session, *key, f"{ROLL}-{roll.from_contract}-{roll.to_contract}")
    return Order(name, *key, session, quantity, ROLL, price_points, parent_id(session, *key[:2], ROLL))


def _moved(order: Order, roll: Roll) -> Order:
    if (order.instrument, order.contract) != (roll.instrument, roll.from_contract) or order.reason == ROLL:
        return order
    name = order_id(order.session, order.strategy, order.instrument, roll.to_contract, order.reason)
    return replace(order, order_id=name, contract=roll.to_contract, reference_points=roll.forward_before)
