"""Orders and fills as events of the journal, and events as orders and fills again.

Belongs here: event ids and payloads, both ways. Does not belong here: what an event changes (`fold.py`).

An order is entered by several events of one batch: created, then approved and sent, or refused. So its whole life can
be read in the journal, and every move of it has its place there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from trading.book.fills import fill_of as fill_in
from trading.book.journal import BOOK_KINDS, Event, Scalar
from trading.book.orders import Fill, Order

ORDER_KINDS = tuple(kind for kind in BOOK_KINDS if kind.startswith("order_"))
__all__ = ["BOOK_KINDS", "ORDER_KINDS", "Entered", "fill_of", "order_of"]


@dataclass(frozen=True, slots=True)
class Entered:
    """Who enters events into the journal, for which session, when (UTC), and in which run."""

    session: date
    at: datetime
    actor: str
    run_id: str | None = None

    def created(self, order: Order, level: str = "contract") -> Event:
        """The order was decided. Without a contract it is an instrument order, the parent of contract orders."""
        payload = _payload(order) | {"level": level}
        if level == "instrument":
            payload |= {"contract": None, "parent_id": None}
        return self._event(f"created:{order.order_id}", "order_created", payload, None)

    def placed(self, order: Order) -> tuple[Event, ...]:
        """The order was decided, approved by risk, and handed to the broker."""
        created = self.created(order)
        return (created, self._moved("approved", order, created), self._moved("sent", order, created))

    def refused(self, order: Order, refusal: str) -> tuple[Event, ...]:
        """The order was decided, and risk refused it, and why."""
        created = self.created(order)
        return (created, self._moved("refused", order, created, refusal=refusal))

    def changed(self, order_id: str, strategy: str, quantity: int, number: int) -> Event:
        """The order is for another quantity; `number` counts its changes."""
        payload: dict[str, Scalar] = {"order_id": order_id, "strategy": strategy, "quantity_contracts": quantity}
        return self._event(f"changed:{order_id}:{number}", "order_changed", payload, f"created:{order_id}")

    def cancelled(self, order: Order) -> Event:
        """The order was withdrawn before all of it was filled."""
        payload: dict[str, Scalar] = {"order_id": order.order_id, "strategy": order.strategy}
        return self._event(f"cancelled:{order.order_id}", "order_cancelled", payload, f"created:{order.order_id}")

    def ended(self, order: Order, how: str, reason: str) -> Event:
        """The broker ended the order: it was cancelled there, expired, or rejected, and why."""
        payload: dict[str, Scalar] = {"order_id": order.order_id, "strategy": order.strategy, "refusal": reason}
        return self._event(f"{how}:{order.order_id}", f"order_{how}", payload, f"sent:{order.order_id}")

    def filled(self, fill: Fill) -> Event:
        """The broker's fill was booked."""
        return self._event(f"fill:{fill.fill_id}", "fill", _payload(fill), f"sent:{fill.order_id}")

    def corrected(self, fill: Fill, version: int) -> Event:
        """The broker told a fill anew: all of it, as version 1, 2, ..."""
        name = f"fill:{fill.fill_id}"
        return self._event(f"{name}:{version}", "fill_corrected", _payload(fill) | {"version": version}, name)

    def busted(self, fill: Fill, reason: str) -> Event:
        """The broker took a fill back."""
        known = {name: _payload(fill)[name] for name in ("fill_id", "order_id", "strategy", "instrument", "contract")}
        return self._event(f"busted:{fill.fill_id}", "fill_busted", known | {"reason": reason}, f"fill:{fill.fill_id}")

    def adjusted(self, name: str, key: tuple[str, str, int], quantity: int, price_points: float, reason: str) -> Event:
        """A person changed a position (strategy, instrument, contract), at a price, and why."""
        payload: dict[str, Scalar] = {
            "adjustment_id": name, "strategy": key[0], "instrument": key[1], "contract": key[2],
            "session": self.session.isoformat(), "quantity_contracts": quantity, "price_points": price_points,
            "reason": reason,
        }  # fmt: skip
        return self._event(f"adjusted:{name}", "position_adjusted", payload, None)

    def _moved(self, word: str, order: Order, created: Event, **more: Scalar) -> Event:
        payload = {"order_id": order.order_id, "strategy": order.strategy, **more}
        return self._event(f"{word}:{order.order_id}", f"order_{word}", payload, created.event_id)

    def _event(self, event_id: str, kind: str, payload: Mapping[str, Scalar], cause: str | None) -> Event:
        return Event(event_id, kind, self.session, self.at, self.actor, payload, cause, self.run_id)


def _payload(value: Order | Fill) -> dict[str, Scalar]:
    """Fields as scalars; a number that is not known is null."""
    known = asdict(value) | {"session": value.session.isoformat()}
    return {name: None if found != found else found for name, found in known.items()}


_ORDER_FIELDS = frozenset(Order.__slots__)


def order_of(event: Event) -> Order:
    """The contract order in an `order_created` event."""
    payload: dict[str, Any] = {key: value for key, value in event.payload.items() if key in _ORDER_FIELDS}
    return Order(**(payload | {"session": date.fromisoformat(payload["session"])}))


def fill_of(event: Event) -> Fill:
    """The fill in a `fill` event."""
    return fill_in(event.payload)
