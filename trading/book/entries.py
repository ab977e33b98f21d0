"""A session's orders against what the journal already holds of that session, so that a close can be run again.

Belongs here: which id an order gets, what is withdrawn, the instrument orders above, and a session's orders as rows.
Does not belong here: deciding orders, or recording them.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any

from trading.book import order_life
from trading.book.booking import ORDER_KINDS, Entered, order_of
from trading.book.journal import Event
from trading.book.orders import Order


@dataclass(frozen=True, slots=True)
class Known:
    """A contract order of the journal: its newest status, why it was refused, the session that entered it, and
    contracts filled (signed)."""

    order: Order
    status: str
    refusal: str | None
    entered: date
    filled_contracts: int = 0


@dataclass(frozen=True, slots=True)
class Parent:
    """An instrument order of the journal: for how much, and how often that was changed."""

    quantity_contracts: int
    changes: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """What a step of the close asks for: events to record, orders to place, ids of orders to withdraw."""

    events: tuple[Event, ...] = ()
    place: tuple[Order, ...] = ()
    cancel: tuple[str, ...] = ()


def known_orders(events: Iterable[Event]) -> dict[str, Known]:
    """Contract orders entered in these events, by id, with the status they have after them."""
    known: dict[str, Known] = {}
    for event in events:
        name = str(event.payload.get("order_id"))
        if event.kind == "order_created":
            if event.payload["level"] == "contract":
                known[name] = Known(order_of(event), order_life.NEW, None, event.session)
        elif name in known and event.kind in (*ORDER_KINDS, "fill"):
            known[name] = _moved(known[name], event)
    return known


def _moved(was: Known, event: Event) -> Known:
    if event.kind == "order_changed":
        quantity = int(str(event.payload["quantity_contracts"]))
        return replace(was, order=replace(was.order, quantity_contracts=quantity))
    if event.kind == "fill":
        filled = was.filled_contracts + int(str(event.payload["quantity_contracts"]))
        status = order_life.status(was.status, filled, was.order.quantity_contracts)
        return replace(was, status=status, filled_contracts=filled)
    refusal = event.payload.get("refusal")
    status = event.kind.removeprefix("order_")
    return replace(was, status=status, refusal=was.refusal if refusal is None else str(refusal))


def known_parents(events: Iterable[Event]) -> dict[str, Parent]:
    """Instrument orders entered in these events, by id."""
    known: dict[str, Parent] = {}
    for event in events:
        name, quantity = str(event.payload.get("order_id")), event.payload.get("quantity_contracts")
        if event.kind == "order_created" and event.payload["level"] == "instrument":
            known[name] = Parent(int(quantity or 0))
        elif event.kind == "order_changed" and name in known:
            known[name] = Parent(int(quantity or 0), known[name].changes + 1)
    return known


def entered(
    approved: Sequence[Order],
    refused: Sequence[tuple[Order, str]],
    withdrawn: Sequence[Order],
    known: Mapping[str, Known],
    entry: Entered,
    parents: Mapping[str, Parent] | None = None,
) -> Step:
    """A step that leaves the session with exactly these orders, whatever was entered for it before.

    An order entered before with the same content stays. One entered with other content (the data were corrected since)
    is withdrawn and placed anew under the next id, `:2`, `:3` ...; but one with fills stands: a trade is never undone.
    """
    final = [_final(order, order_life.SENT, None, known) for order in approved]
    final += [_final(order, order_life.REFUSED, why, known) for order, why in refused]
    kept = {order.order_id for order, _ in final}
    at_work = (was.order for name, was in known.items() if was.status in order_life.AT_WORK and name not in kept)
    cancel = [*withdrawn, *at_work]
    events = [*_parents([order for order, _ in final], parents or {}, entry), *map(entry.cancelled, cancel)]
    for order, why in final:
        events += entry.placed(order) if why is None else entry.refused(order, why)
    place = tuple(order for order, why in final if why is None)
    return Step(tuple(events), place, tuple(order.order_id for order in cancel))


def entered_as(name: str, known: Mapping[str, Known]) -> list[Known]:
    """Orders that were entered under an id, and in its place under the next ones (`:2`, `:3` ...), in their order."""
    found, number, at = [], 1, name
    while at in known:
        found.append(known[at])
        number += 1
        at = f"{name}:{number}"
    return found


def is_replaced(name: str, known: Container[str]) -> bool:
    """Whether another order was entered in an order's place."""
    stem, _, number = name.rpartition(":")
    return (f"{stem}:{int(number) + 1}" if number.isdigit() else f"{name}:2") in known


def standing(entered_so_far: Sequence[Known]) -> Known | None:
    """Which of these is the order now: the one that traded, else the one at work, else the newest; None of none."""
    traded = [was for was in entered_so_far if was.filled_contracts]
    at_work = [was for was in entered_so_far if was.status in order_life.AT_WORK]
    return next(iter(reversed([*entered_so_far, *at_work, *traded])), None)


def sent_as(orders: Iterable[Order], known: Mapping[str, Known]) -> dict[str, Order]:
    """What would be at work of each order if it were let through, by the id that it is proposed under: itself under the
    id that `entered` gives it, or what is left of one that stands because it has fills. None of one that has all."""
    found: dict[str, Order] = {}
    for order in orders:
        final, _ = _final(order, order_life.SENT, None, known)
        was = known.get(final.order_id)
        if was is not None and was.filled_contracts:
            left = was.order.quantity_contracts - was.filled_contracts
            final = replace(was.order, quantity_contracts=left if was.status in order_life.AT_WORK else 0)
        if final.quantity_contracts:
            found[order.order_id] = final
    return found


def _final(order: Order, status: str, why: str | None, known: Mapping[str, Known]) -> tuple[Order, str | None]:
    """The order under the id it gets, and why it is refused, if it is."""
    number, name = 1, order.order_id
    while name in known:
        was = known[name]
        same = (was.status, was.refusal, was.order) == (status, why, replace(order, order_id=name))
        if same or was.filled_contracts:
            return was.order, was.refusal
        number += 1
        name = f"{order.order_id}:{number}"
    return replace(order, order_id=name), why


def _parents(orders: Sequence[Order], known: Mapping[str, Parent], entry: Entered) -> list[Event]:
    """The instrument orders of this session's contract orders, entered or changed to what their children come to."""
    events: list[Event] = []
    children: dict[str, list[Order]] = {}
    for order in orders:
        if order.parent_id is not None and order.session == entry.session:
            children.setdefault(order.parent_id, []).append(order)
    for name, own in children.items():
        quantity = sum(order.quantity_contracts for order in own)
        if name not in known:
            whole = replace(own[0], order_id=name, quantity_contracts=quantity, reference_points=None)
            events.append(entry.created(replace(whole, reference_at=None), "instrument"))
        elif known[name].quantity_contracts != quantity:
            events.append(entry.changed(name, own[0].strategy, quantity, known[name].changes + 1))
    return events


def order_rows(events: Iterable[Event]) -> list[dict[str, Any]]:
    """Rows of `orders` for the events of one session: the orders entered in it, with their status at its close."""
    return [
        asdict(was.order) | {"session": was.entered, "status": was.status, "refusal": was.refusal}
        for _, was in sorted(known_orders(events).items())
    ]
