"""Which of our orders were handed over to Interactive Brokers, on disk.

Belongs here: remembering it, since a gateway forgets at midnight what was traded and cancelled. Does not belong here:
what became of the orders, which the gateway alone knows, or asking it.

An order is written down before it is sent: one that was being sent when the process died is neither sent nor not.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from trading.book.orders import Order
from trading.errors import BrokerError

SENDING, KNOWN = "sending", "known"
_TABLES = """
CREATE TABLE IF NOT EXISTS ib_orders (
    order_id TEXT PRIMARY KEY, strategy TEXT NOT NULL, sent_on TEXT NOT NULL, state TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS ib_since (day TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS ib_live (order_id TEXT PRIMARY KEY);
"""
_SEND = """
INSERT INTO ib_orders VALUES (?, ?, ?, 'sending')
ON CONFLICT (order_id) DO UPDATE SET sent_on = excluded.sent_on WHERE state = 'sending'
"""
_ASK = """
SELECT sent_on, state, EXISTS (SELECT 1 FROM ib_live WHERE ib_live.order_id = ib_orders.order_id)
FROM ib_orders WHERE order_id = ?
"""


@dataclass(frozen=True, slots=True)
class Sent:
    """An order that was handed over: on which date of the gateway, whether it is known to have arrived, and whether it
    went to a live account."""

    on: date
    state: str
    live: bool = False


class SentOrders:
    """Orders handed over, in a SQLite file (or ":memory:"). One conversation at a time uses it. Raises BrokerError
    where the file cannot be read or written."""

    def __init__(self, path: Path | str = ":memory:") -> None:
        self._path = str(path)
        self._connection: sqlite3.Connection | None = None

    def since(self, today: date) -> date:
        """The date from which on this knows of every order; today where it is new."""
        with self._transaction() as books:
            row = books.execute("SELECT day FROM ib_since").fetchone()
            if row is None:
                books.execute("INSERT INTO ib_since VALUES (?)", (today.isoformat(),))
            return date.fromisoformat(row[0]) if row else today

    def sent(self, order_id: str) -> Sent | None:
        """What is known of an order; None where it was never handed over."""
        with self._transaction() as books:
            row = books.execute(_ASK, (order_id,)).fetchone()
        return Sent(date.fromisoformat(row[0]), row[1], bool(row[2])) if row else None

    def sending(self, order: Order, today: date, live: bool = False) -> None:
        """The order is about to be sent, to a live account or on paper; durable when this returns."""
        with self._transaction() as books:
            books.execute(_SEND, (order.order_id, order.strategy, today.isoformat()))
            if live:
                books.execute("INSERT OR IGNORE INTO ib_live VALUES (?)", (order.order_id,))

    def live(self) -> set[str]:
        """Ids of orders that were sent to a live account."""
        with self._transaction() as books:
            return {str(row[0]) for row in books.execute("SELECT order_id FROM ib_live")}

    def known(self, order: Order, today: date) -> None:
        """The order has arrived, whatever became of it: it is never sent again."""
        with self._transaction() as books:
            books.execute(_SEND, (order.order_id, order.strategy, today.isoformat()))
            books.execute("UPDATE ib_orders SET state = 'known' WHERE order_id = ?", (order.order_id,))

    def strategy(self, order_id: str) -> str:
        """Whose order it is; empty where it was never handed over."""
        with self._transaction() as books:
            row = books.execute("SELECT strategy FROM ib_orders WHERE order_id = ?", (order_id,)).fetchone()
        return str(row[0]) if row else ""

    def close(self) -> None:
        """Closes the file; it opens again when next asked."""
        if self._connection is not None and self._path != ":memory:":
            self._connection.close()
            self._connection = None

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            if self._connection is None:
                # A conversation may run in a thread beside the one that asked: one at a time, but not always the same.
                self._connection = sqlite3.connect(self._path, timeout=10.0, check_same_thread=False)
                self._connection.executescript(_TABLES)
            with self._connection:
                yield self._connection
        except sqlite3.Error as cause:
            raise BrokerError(
                f"interactive_brokers did not answer: what was handed over is kept in {self._path}, which failed "
                f"({cause}). Nothing more was sent. Check the disk and run again."
            ) from cause
