"""The paper broker: executes orders at the session's closing prices, and keeps its own books in its own SQLite file.

Belongs here: execution on paper, its costs, its statement, and faults for rehearsals. Does not belong here: anything
of our ledger: a statement drawn from our own journal would agree with it whatever happened.

An order decided after the close of one session is filled in full at the close of the next session in which its
contract has a price, worse by the slippage in the reference data. The legs of a roll are filled in their own session at
their reference price, which is that of the last moment both contracts were quoted.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from trading.book.costs import commission_local, filled_price
from trading.book.orders import Ended, Fill, Order
from trading.book.rolls import ROLL
from trading.book.statements import Statement
from trading.errors import BrokerError, UnknownInstrument
from trading.market.instruments import Instrument
from trading.ports import Correction

Quotes = Callable[[date], Mapping[tuple[str, int], float]]
Costs = Callable[[date], Mapping[str, Instrument]]

_TABLES = """
CREATE TABLE IF NOT EXISTS orders (
    number INTEGER PRIMARY KEY, order_id TEXT NOT NULL UNIQUE, strategy TEXT NOT NULL, instrument TEXT NOT NULL,
    contract INTEGER NOT NULL, session TEXT NOT NULL, quantity INTEGER NOT NULL, reason TEXT NOT NULL,
    reference REAL, status TEXT NOT NULL DEFAULT 'working'
);
CREATE INDEX IF NOT EXISTS working ON orders (status, session);
CREATE TABLE IF NOT EXISTS fills (
    number INTEGER PRIMARY KEY, order_id TEXT NOT NULL UNIQUE REFERENCES orders (order_id), session TEXT NOT NULL,
    price REAL NOT NULL, commission REAL NOT NULL, point_value REAL NOT NULL, currency TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS by_session ON fills (session);
CREATE TABLE IF NOT EXISTS sessions (session TEXT PRIMARY KEY);
"""
_FILLS = """
SELECT orders.order_id, strategy, instrument, contract, fills.session, quantity, price, commission
FROM fills JOIN orders USING (order_id) WHERE fills.session = ? ORDER BY fills.number
"""
_BOOKED = """
SELECT instrument, contract, quantity, currency, -quantity * price * point_value - commission, fills.number
FROM fills JOIN orders USING (order_id) WHERE fills.session > ? AND fills.session <= ?
ORDER BY fills.session, fills.number
"""
_LATE = "SELECT 1 FROM fills WHERE number > ? AND session <= ? LIMIT 1"
_WORKING = """
SELECT order_id, instrument, contract, quantity, reason, reference FROM orders
WHERE status = 'working' AND (session < ? OR (session = ? AND reason = ?)) ORDER BY number
"""


@dataclass(frozen=True, slots=True)
class PaperFaults:
    """What goes wrong, for rehearsals: fills of these instruments are done but not reported; the statement shows one
    contract more of these; no answer at all; no statement."""

    drop_fill: frozenset[str] = frozenset()
    wrong_quantity: frozenset[str] = frozenset()
    unavailable: bool = False
    no_statement: bool = False


NO_FAULTS = PaperFaults()


@dataclass(slots=True)
class _Folded:
    """What the broker's fills through `session` come to: contracts, cash by currency, and the highest number among
    them, so that a fill booked since into a session already folded is noticed."""

    session: str = ""
    highest: int = 0
    positions: dict[tuple[str, int], int] = field(default_factory=dict)
    cash: dict[str, float] = field(default_factory=dict)

    def extend(self, books: sqlite3.Connection, day: str) -> None:
        """Moves on to a later session by the fills in between."""
        for code, contract, quantity, currency, paid, number in books.execute(_BOOKED, (self.session, day)):
            held = self.positions.pop((code, contract), 0) + quantity
            if held:
                self.positions[code, contract] = held
            self.cash[currency] = self.cash.get(currency, 0.0) + paid
            self.highest = max(self.highest, number)
        self.session = day


class PaperBroker:
    """Broker on a SQLite file (or ":memory:").

    `quotes(session)` gives closing prices by (instrument, contract) of that very session; `costs(session)` the
    instruments with their slippage and commissions as in force.
    """

    name = "paper"

    def __init__(self, path: Path | str, quotes: Quotes, costs: Costs, faults: PaperFaults = NO_FAULTS) -> None:
        self._quotes, self._costs, self._faults = quotes, costs, faults
        self._path = str(path)
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.RLock()
        self._folded = _Folded()

    def ready(self, orders: Sequence[Order]) -> None:
        """As the port: always, it sends nothing anywhere."""

    def place(self, orders: Sequence[Order]) -> None:
        """As the port."""
        rows = [
            (o.order_id, o.strategy, o.instrument, o.contract, o.session.isoformat(), o.quantity_contracts, o.reason,
             o.reference_points)
            for o in orders
        ]  # fmt: skip
        with self._answering() as books:
            if rows:
                books.executemany(
                    "INSERT OR IGNORE INTO orders (order_id, strategy, instrument, contract, session, quantity, reason,"
                    " reference) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    rows,
                )

    def cancel(self, order_ids: Sequence[str]) -> None:
        """As the port."""
        with self._answering() as books:
            if order_ids:
                books.executemany(
                    "UPDATE orders SET status = 'cancelled' WHERE order_id = ? AND status = 'working'",
                    [(name,) for name in order_ids],
                )

    def fills(self, session: date) -> list[Fill]:
        """As the port: executes what can be executed in the session, unless a later one was executed already."""
        with self._answering() as books:
            if not self._is_past(books, session):
                self._execute(books, session)
            reported = [_fill(row) for row in books.execute(_FILLS, (session.isoformat(),))]
        return [fill for fill in reported if fill.instrument not in self._faults.drop_fill]

    def corrections(self, session: date) -> list[Correction]:
        """As the port: none, what is filled on paper stays."""
        return []

    def ended(self, order_ids: Sequence[str], session: date) -> list[Ended]:
        """As the port: none, orders on paper work until they are filled or withdrawn."""
        return []

    def statement(self, session: date) -> Statement | None:
        """As the port: from this broker's own fills, with the session's trades; None for a session it has not come
        to."""
        day = (session.isoformat(),)
        with self._answering() as books:
            known = books.execute("SELECT 1 FROM sessions WHERE session >= ? LIMIT 1", day).fetchone()
            if self._faults.no_statement or not known:
                return None
            folded = self._fold(books, session.isoformat())
            positions, cash = dict(folded.positions), dict(folded.cash)
            trades = tuple(_fill(row) for row in books.execute(_FILLS, day))
        wrong = {key: held + 1 for key, held in positions.items() if key[0] in self._faults.wrong_quantity}
        return Statement(self.name, session, positions | wrong, cash, trades=trades)

    def close(self) -> None:
        """Closes the file; it opens again when next asked."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _fold(self, books: sqlite3.Connection, day: str) -> _Folded:
        """The fold through a session: the one at hand moved on, or all fills again where it is of a later session or
        lacks a fill that another process booked meanwhile."""
        at_hand = self._folded
        if at_hand.session > day or books.execute(_LATE, (at_hand.highest, at_hand.session)).fetchone():
            self._folded = _Folded()
        self._folded.extend(books, day)
        return self._folded

    def _is_past(self, books: sqlite3.Connection, session: date) -> bool:
        later = books.execute("SELECT 1 FROM sessions WHERE session > ? LIMIT 1", (session.isoformat(),))
        return later.fetchone() is not None

    def _execute(self, books: sqlite3.Connection, session: date) -> None:
        day = session.isoformat()
        books.execute("INSERT OR IGNORE INTO sessions VALUES (?)", (day,))
        working = books.execute(_WORKING, (day, day, ROLL)).fetchall()
        if not working:
            return
        quotes, instruments = self._quotes(session), self._costs(session)
        for order_id, code, contract, quantity, reason, reference in working:
            quoted = reference if reason == ROLL else quotes.get((code, contract))
            if quoted is not None:
                if code not in instruments:
                    raise UnknownInstrument(code, list(instruments))
                _book(books, order_id, day, quantity, quoted, instruments[code])

    @contextmanager
    def _answering(self) -> Iterator[sqlite3.Connection]:
        """One transaction on the broker's books; nothing of it stays if it fails."""
        if self._faults.unavailable:
            raise BrokerError(f"broker {self.name} did not answer: it is unavailable. Try again when it is back.")
        with self._lock:
            try:
                books = self._open()
                with books:
                    books.execute("BEGIN IMMEDIATE")
                    yield books
            except sqlite3.Error as cause:
                raise BrokerError(
                    f"broker {self.name} did not answer: its books at {self._path} failed ({cause}). "
                    "Check the disk and run again."
                ) from cause

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(self._path, timeout=10.0, isolation_level=None, check_same_thread=False)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")  # orders are handed over again after a power failure
            connection.executescript(_TABLES)
            self._connection = connection
        return self._connection


def _book(
    books: sqlite3.Connection, order_id: str, day: str, quantity: int, quoted: float, instrument: Instrument
) -> None:
    price = filled_price(instrument, quantity, quoted)
    commission = commission_local(instrument, quantity, price)
    books.execute(
        "INSERT INTO fills (order_id, session, price, commission, point_value, currency) VALUES (?, ?, ?, ?, ?, ?)",
        (order_id, day, price, commission, instrument.point_value_local, instrument.currency),
    )
    books.execute("UPDATE orders SET status = 'filled' WHERE order_id = ?", (order_id,))


def _fill(row: Sequence[Any]) -> Fill:
    order_id, strategy, instrument, contract, session, quantity, price, commission = row
    day = date.fromisoformat(session)
    return Fill(f"paper:{order_id}", order_id, strategy, instrument, contract, day, quantity, price, commission)
