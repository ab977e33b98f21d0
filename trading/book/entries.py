"""A session's orders against what the journal already holds of that session, so that a close can be run again.

Belongs here: which id an order gets, what is withdrawn, and a session's orders as rows. Does not belong here: deciding
orders, or recording them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from trading.book.booking import ORDER_KINDS, Entered, order_of
from trading.book.journal import Event
from trading.book.orders import Order


@dataclass(frozen=True, slots=True)
class Known:
    """An order of the journal: its newest status, why it was refused, and the event that entered it."""

    order: Order
    status: str
    refusal: str | None
    event: Event


@dataclass(frozen=True, slots=True)
class Step:
    """What a step of the close asks for: events to record, orders to place, ids of orders to withdraw."""

    events: tuple[Event, ...] = ()
    place: tuple[Order, ...] = ()
    cancel: tuple[str, ...] = ()


def known_orders(events: Iterable[Event]) -> dict[str, Known]:
    """Orders entered in these events, by id, with the status they have after them."""
    known: dict[str, Known] = {}
    for event in events:
        name = str(event.payload.get("order_id"))
        if event.kind in ("order_placed", "order_refused"):
            refusal = event.payload.get("refusal")
            status = event.kind.removeprefix("order_")
            known[name] = Known(order_of(event), status, None if refusal is None else str(refusal), event)
        elif name in known and event.kind in (*ORDER_KINDS, "fill"):
            status = "filled" if event.kind == "fill" else "cancelled"
            known[name] = replace(known[name], status=status)
    return known


def entered(
    approved: Sequence[Order],
    refused: Sequence[tuple[Order, str]],
    withdrawn: Sequence[str],
    known: dict[str, Known],
    entry: Entered,
) -> Step:
    """A step that leaves the session with exactly these orders, whatever was entered for it before.

    An order entered before with the same content stays. One entered with other content (the data were corrected since)
    is withdrawn and placed anew under the next id, `:2`, `:3` ...; but a filled one stands: a trade is never undone.
    """
    events = [_entry(order, "placed", None, known, entry) for order in approved]
    events += [_entry(order, "refused", why, known, entry) for order, why in refused]
    kept = {str(event.payload["order_id"]) for event in events}
    stale = [name for name, was in known.items() if was.status == "placed" and name not in kept]
    cancel = [*withdrawn, *stale]
    place = [order_of(event) for event in events if event.kind == "order_placed"]
    return Step((*map(entry.cancelled, cancel), *events), tuple(place), tuple(cancel))


def _entry(order: Order, status: str, why: str | None, known: dict[str, Known], entry: Entered) -> Event:
    number, name = 1, order.order_id
    while name in known:
        was = known[name]
        same = (was.status, was.refusal, was.order) == (status, why, replace(order, order_id=name))
        if same or was.status == "filled":
            return was.event
        number += 1
        name = f"{order.order_id}:{number}"
    order = replace(order, order_id=name)
    return entry.refused(order, why) if why is not None else entry.placed(order)


def order_rows(events: Iterable[Event]) -> list[dict[str, Any]]:
    """Rows of `orders` for the events of one session: the orders entered in it, with their status at its close."""
    return [
        asdict(was.order) | {"session": was.event.session, "status": was.status, "refusal": was.refusal}
        for _, was in sorted(known_orders(events).items())
    ]
