"""Orders and fills as events of the journal, and events as orders and fills again.

Belongs here: event ids and payloads, both ways. Does not belong here: what an event changes (`journal.py`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from trading.book.journal import Event, Scalar
from trading.book.orders import Fill, Order

ORDER_KINDS = ("order_placed", "order_refused", "order_cancelled")
BOOK_KINDS = (*ORDER_KINDS, "fill")


@dataclass(frozen=True, slots=True)
class Entered:
    """Who enters events into the journal, for which session, and when (UTC)."""

    session: date
    at: datetime
    actor: str

    def placed(self, order: Order) -> Event:
        """The order was handed to the broker."""
        return self._event(f"placed:{order.order_id}", "order_placed", _payload(order) | {"refusal": None})

    def refused(self, order: Order, refusal: str) -> Event:
        """Risk refused the order, and why."""
        return self._event(f"refused:{order.order_id}", "order_refused", _payload(order) | {"refusal": refusal})

    def cancelled(self, order_id: str) -> Event:
        """The order was withdrawn before it was filled."""
        return self._event(f"cancelled:{order_id}", "order_cancelled", {"order_id": order_id})

    def filled(self, fill: Fill) -> Event:
        """The broker's fill was booked."""
        return self._event(f"fill:{fill.fill_id}", "fill", _payload(fill))

    def _event(self, event_id: str, kind: str, payload: dict[str, Scalar]) -> Event:
        return Event(event_id, kind, self.session, self.at, self.actor, payload)


def _payload(value: Order | Fill) -> dict[str, Scalar]:
    return asdict(value) | {"session": value.session.isoformat()}


def order_of(event: Event) -> Order:
    """The order in an `order_placed` or `order_refused` event."""
    payload: dict[str, Any] = {key: value for key, value in event.payload.items() if key != "refusal"}
    return Order(**(payload | {"session": date.fromisoformat(payload["session"])}))


def fill_of(event: Event) -> Fill:
    """The fill in a `fill` event."""
    payload: dict[str, Any] = dict(event.payload)
    return Fill(**(payload | {"session": date.fromisoformat(payload["session"])}))
