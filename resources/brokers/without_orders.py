"""A broker that may be read and sends nothing: a desk in production for which no live configuration is signed.

Belongs here: saying no to orders, before they are recorded, with the reason. Does not belong here: the reason
(`trading/config/live.py`), or reading (`ib_account.py`, `statement_file.py`).

Its close reconciles, and its orders at work can be withdrawn: that sends none.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Protocol

from trading.book.orders import Ended, Fill, Order
from trading.book.statements import Statement
from trading.errors import LiveRefused
from trading.ports import Correction


class Reading(Protocol):
    """A broker without the part that sends orders."""

    name: str

    def unsent(self, orders: Sequence[Order]) -> list[str]:
        """Ids of orders that were not handed over yet."""
        ...

    def cancel(self, order_ids: Sequence[str]) -> None:
        """As the port."""
        ...

    def fills(self, session: date) -> list[Fill]:
        """As the port."""
        ...

    def corrections(self, session: date) -> list[Correction]:
        """As the port."""
        ...

    def ended(self, order_ids: Sequence[str], session: date) -> list[Ended]:
        """As the port."""
        ...

    def statement(self, session: date) -> Statement | None:
        """As the port."""
        ...


class WithoutOrders:
    """Broker that refuses every order that is not at the broker already, because of `why`."""

    def __init__(self, reading: Reading, why: LiveRefused) -> None:
        self._reading, self._why = reading, why
        self.name = reading.name

    def ready(self, orders: Sequence[Order]) -> None:
        """As the port. Raises what `why` is, naming the first order."""
        new = self._reading.unsent(orders)
        if new:
            raise type(self._why)(
                f"orders are not sent to {self.name} ({len(new)}, {new[0]} the first): {self._why}"
            ) from self._why

    def place(self, orders: Sequence[Order]) -> None:
        """As the port: nothing for orders that the broker has already. Raises as `ready`."""
        self.ready(orders)

    def cancel(self, order_ids: Sequence[str]) -> None:
        """As the port."""
        self._reading.cancel(order_ids)

    def fills(self, session: date) -> list[Fill]:
        """As the port."""
        return self._reading.fills(session)

    def corrections(self, session: date) -> list[Correction]:
        """As the port."""
        return self._reading.corrections(session)

    def ended(self, order_ids: Sequence[str], session: date) -> list[Ended]:
        """As the port."""
        return self._reading.ended(order_ids, session)

    def statement(self, session: date) -> Statement | None:
        """As the port."""
        return self._reading.statement(session)
