"""Orders for somebody else to execute, as files, and which of the broker's trades were of which order.

Belongs here: handing over and withdrawing orders, and matching trades with them. Does not belong here: statements
(`csv_statement.py`, `flex_statement.py`).

    <home>/orders/2022-02-25.csv                 orders to execute, decided at the close of the session, with what
                                                 became of them. `OrderFiles` alone adds orders, under a LiveCapability;
                                                 that some were filled or withdrawn is written also without one
    <home>/paper-orders/PAPER-2022-02-25.csv     the same on paper: nobody is to execute these

The whole file is written anew whenever something changes, so a reader never sees half of it.

    order_id,strategy,instrument,symbol,contract,quantity,reason,reference_price,filled,status

A person or a program executes what is `working` or `part_filled`, and gives the broker the order id as reference where
it can. What is known of orders is kept in SQLite (`broker.sqlite`): the files are only shown.

A trade is of the order it names. Else it is matched, in the order trades were done, with the oldest order of its
contract and side that has contracts left: of an earlier session, or a roll of the same one; after those at work, orders
withdrawn within a week, for a fill may cross a cancellation. Live trades are of live orders only. What is left of a
trade is nobody's. A match once made is kept, so that a session's fills stay the same whatever is ordered later.
"""

from __future__ import annotations

import csv
import io
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from resources.brokers.listing import Trade
from resources.durable import synced
from trading.book.orders import Fill, Order
from trading.book.rolls import ROLL
from trading.config.live import BACK_TO_PAPER, LiveCapability, PaperPermit, Proof, check_use, is_live, unproven
from trading.errors import BrokerError, LiveOrderFromPaper

LIVE_FOLDER, PAPER_FOLDER = "orders", "paper-orders"  # of the home
PAPER = "PAPER-"  # what the name of a file begins with whose orders are on paper
NAME = "statement_file"  # the broker that gives files
CROSSED = timedelta(days=7)  # how long after an order's session a fill may still cross its cancellation
HEADER = (
    "order_id", "strategy", "instrument", "symbol", "contract", "quantity", "reason", "reference_price", "filled",
    "status",
)  # fmt: skip
_TABLES = """
CREATE TABLE IF NOT EXISTS handed_orders (
    number INTEGER PRIMARY KEY, order_id TEXT NOT NULL UNIQUE, strategy TEXT NOT NULL, instrument TEXT NOT NULL,
    contract INTEGER NOT NULL, session TEXT NOT NULL, quantity INTEGER NOT NULL, reason TEXT NOT NULL, reference REAL,
    cancelled INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS handed_in ON handed_orders (session);
CREATE INDEX IF NOT EXISTS handed_of ON handed_orders (instrument, contract);
CREATE TABLE IF NOT EXISTS matched_trades (
    trade_id TEXT NOT NULL, part INTEGER NOT NULL, order_id TEXT NOT NULL, strategy TEXT NOT NULL,
    quantity INTEGER NOT NULL, PRIMARY KEY (trade_id, part)
);
CREATE INDEX IF NOT EXISTS matched_with ON matched_trades (order_id);
CREATE TABLE IF NOT EXISTS live_orders (order_id TEXT PRIMARY KEY);
"""
_HAND_OVER = """
INSERT OR IGNORE INTO handed_orders (order_id, strategy, instrument, contract, session, quantity, reason, reference)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_KNOWN = """
SELECT handed_orders.order_id, strategy, instrument, contract, session, quantity, reason, reference, cancelled,
    COALESCE((SELECT SUM(quantity) FROM matched_trades WHERE matched_trades.order_id = handed_orders.order_id), 0),
    EXISTS (SELECT 1 FROM live_orders WHERE live_orders.order_id = handed_orders.order_id)
FROM handed_orders
"""


@dataclass(frozen=True, slots=True)
class _Handed:
    """An order that was handed over, and what became of it."""

    order_id: str
    strategy: str
    instrument: str
    contract: int
    session: str
    quantity: int
    reason: str
    reference: float | None
    cancelled: int
    filled: int
    live: int

    @property
    def left(self) -> int:
        """Contracts not filled, signed; 0 where it was filled, or more than that."""
        rest = self.quantity - self.filled
        return rest if rest * self.quantity > 0 else 0

    @property
    def status(self) -> str:
        """As the file shows it."""
        if not self.left:
            return "filled"
        return "cancelled" if self.cancelled else "part_filled" if self.filled else "working"


@dataclass(frozen=True, slots=True)
class _Part:
    """So many contracts of a trade, and whose they are: no order, no strategy where they are nobody's."""

    order_id: str
    strategy: str
    quantity: int


class HandedOrders:
    """Orders that were handed over as files of a home, live ones or those on paper, remembered in SQLite at `books`.
    Nothing here hands over; what became of orders is shown anew without asking for a permit. `symbols` are the broker's
    names of instruments, for who executes. Raises BrokerError where either cannot be written."""

    def __init__(self, books: Path, home: Path, symbols: Mapping[str, str] | None = None, *, live: bool) -> None:
        self._books, self._live, self._symbols = Path(books), live, dict(symbols or {})
        self._folder = Path(home) / (LIVE_FOLDER if live else PAPER_FOLDER)

    def unsent(self, orders: Sequence[Order]) -> list[str]:
        """Ids of orders that were not handed over yet."""
        with self._answering() as books:
            return [order.order_id for order in orders if not _orders(books, "order_id = ?", order.order_id)]

    def live(self) -> set[str]:
        """Ids of orders that were handed over live."""
        with self._answering() as books:
            return {str(row[0]) for row in books.execute("SELECT order_id FROM live_orders")}

    def cancel(self, order_ids: Sequence[str]) -> None:
        """Withdraws what is left of orders; unknown and filled ones are left as they are."""
        with self._answering() as books:
            open_ones = [order for name in order_ids for order in _orders(books, "order_id = ?", name) if order.left]
            books.executemany(
                "UPDATE handed_orders SET cancelled = 1 WHERE order_id = ?", [(order.order_id,) for order in open_ones]
            )
            self._show(books, {order.session for order in open_ones})

    def fills(self, session: date, trades: Sequence[Trade]) -> list[Fill]:
        """A session's trades, in order, as fills of our orders; those that are nobody's without order and strategy.

        A trade of several orders is a fill for each, `<id>/1`, `<id>/2`, with its share of the commission.
        """
        found: list[Fill] = []
        touched: set[str] = set()
        with self._answering() as books:
            for trade in trades:
                parts, fresh = _parts_of(books, trade, session, self._live)
                if fresh:
                    _keep(books, trade, parts)
                    touched |= {part.order_id for part in parts}
                found += _fills(trade, parts, session)
            days = {order.session for name in touched for order in _orders(books, "order_id = ?", name)}
            self._show(books, days)
        return found

    def _show(self, books: sqlite3.Connection, sessions: set[str]) -> None:
        """Writes the files of sessions whose text changed: live orders, or those on paper, and never the others."""
        for session in sorted(sessions):
            text = io.StringIO()
            lines = csv.writer(text, lineterminator="\n")
            lines.writerow(HEADER)
            shown = [o for o in _orders(books, "session = ?", session) if o.live == self._live]
            lines.writerows(self._line(order) for order in shown)
            if shown:
                _replace(self._folder / f"{'' if self._live else PAPER}{session}.csv", text.getvalue().encode())

    def _line(self, order: _Handed) -> tuple[object, ...]:
        symbol, price = self._symbols.get(order.instrument, order.instrument), order.reference
        return (
            order.order_id, order.strategy, order.instrument, symbol, order.contract, order.quantity, order.reason,
            "" if price is None else repr(price), order.filled, order.status,
        )  # fmt: skip

    @contextmanager
    def _answering(self) -> Iterator[sqlite3.Connection]:
        """One transaction on the books, whose files are written before it is committed: shown twice is harmless,
        known and never shown is an order that nobody executes."""
        try:
            self._books.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._books, timeout=10.0, isolation_level=None)) as books:
                books.execute("PRAGMA journal_mode = WAL")
                books.executescript(_TABLES)
                with books:
                    books.execute("BEGIN IMMEDIATE")
                    yield books
        except (sqlite3.Error, OSError) as cause:
            raise BrokerError(
                f"broker {NAME} did not answer: its orders at {self._folder} or books at {self._books} failed "
                f"({cause}). Check the disk and who may write there, and run again."
            ) from cause


class OrderFiles(HandedOrders):
    """Hands orders over as files, under a permit: with a LiveCapability to the folder whose files are executed, with a
    PaperPermit to the one whose files are not. `account` is the one that statements are of; the permit is held against
    it and the time of `clock` each time, and `proof` has the desk say that a capability holds. Raises
    LivePermitMissing, LiveForged, LiveSignatureWrong, and as HandedOrders."""

    def __init__(
        self,
        books: Path,
        home: Path,
        symbols: Mapping[str, str] | None = None,
        *,
        permit: LiveCapability | PaperPermit,
        clock: Callable[[], datetime],
        account: str | None = None,
        proof: Proof = unproven,
    ) -> None:
        super().__init__(books, home, symbols, live=is_live(permit))
        self._permit, self._clock, self._account, self._proof = permit, clock, account, proof

    def ready(self, orders: Sequence[Order]) -> None:
        """Raises LiveRefused where orders may not be handed over now."""
        if orders:
            self._check()

    def place(self, orders: Sequence[Order]) -> None:
        """Adds orders whose id is not known yet, and shows them. Raises LiveRefused before anything is written."""
        if not orders:
            return
        self._check()
        with self._answering() as books:
            self._refuse_from_paper(books, orders)
            new = [order for order in orders if not _orders(books, "order_id = ?", order.order_id)]
            books.executemany(_HAND_OVER, [_row(order) for order in new])
            if self._live:
                books.executemany("INSERT OR IGNORE INTO live_orders VALUES (?)", [(one.order_id,) for one in new])
            self._show(books, {order.session.isoformat() for order in orders})

    def _check(self) -> None:
        account = self._account if is_live(self._permit) else None  # no file says whether an account is a paper one
        check_use(self._permit, NAME, account, self._clock(), self._proof)

    def _refuse_from_paper(self, books: sqlite3.Connection, orders: Sequence[Order]) -> None:
        """An order that was handed over on paper is not shown to who executes; nor, withdrawn there, passed over in
        silence: nobody would execute it."""
        known = [one for order in orders for one in _orders(books, "order_id = ?", order.order_id)]
        on_paper = [one.order_id for one in known if self._live and one.left and not one.live]
        if on_paper:
            raise LiveOrderFromPaper(
                f"order {on_paper[0]} was handed over on paper: it is not handed over live. {BACK_TO_PAPER}"
            )


def _row(order: Order) -> tuple[object, ...]:
    return (
        order.order_id, order.strategy, order.instrument, order.contract, order.session.isoformat(),
        order.quantity_contracts, order.reason, order.reference_points,
    )  # fmt: skip


def _orders(books: sqlite3.Connection, where: str, *values: object) -> list[_Handed]:
    """Orders in the order they were handed over, by a condition of this module's own."""
    return [_Handed(*row) for row in books.execute(f"{_KNOWN} WHERE {where} ORDER BY number", values)]


def _replace(path: Path, content: bytes) -> None:
    """Writes a file as a whole, for good, unless it is that already."""
    if path.exists() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(content)
    synced(draft)
    draft.replace(path)
    synced(path.parent)


# --- matching ---------------------------------------------------------------------------------------------------------
def _parts_of(books: sqlite3.Connection, trade: Trade, session: date, live: bool) -> tuple[list[_Part], bool]:
    """Whose a trade is, and whether that is to be kept: an old match is as it was, a trade of nobody is asked again."""
    known = _matched(books, trade.trade_id)
    total = sum(part.quantity for part in known)
    if known and total == trade.quantity_contracts:
        return known, False
    if known:  # the broker lists it with another quantity: the same orders, the last takes the difference
        last = _Part(known[-1].order_id, known[-1].strategy, known[-1].quantity + trade.quantity_contracts - total)
        return [*known[:-1], last], True
    parts = _of_original(books, trade) or _by_reference(books, trade, live) or _by_contract(books, trade, session, live)
    return parts, any(part.order_id for part in parts)


def _matched(books: sqlite3.Connection, trade_id: str) -> list[_Part]:
    asked = "SELECT order_id, strategy, quantity FROM matched_trades WHERE trade_id = ? ORDER BY part"
    return [_Part(*row) for row in books.execute(asked, (trade_id,))]


def _keep(books: sqlite3.Connection, trade: Trade, parts: list[_Part]) -> None:
    books.executemany(
        "INSERT OR REPLACE INTO matched_trades VALUES (?, ?, ?, ?, ?)",
        [(trade.trade_id, n, part.order_id, part.strategy, part.quantity) for n, part in enumerate(parts, start=1)],
    )


def _of_original(books: sqlite3.Connection, trade: Trade) -> list[_Part]:
    """What is taken back, of whom it was; what is booked again, to the one it was of."""
    before = _matched(books, trade.original) if trade.original else []
    if sum(part.quantity for part in before) == -trade.quantity_contracts:
        return [_Part(part.order_id, part.strategy, -part.quantity) for part in before]
    if len(before) == 1:
        return [_Part(before[0].order_id, before[0].strategy, trade.quantity_contracts)]
    return []


def _by_reference(books: sqlite3.Connection, trade: Trade, live: bool) -> list[_Part]:
    """All of a trade to the order it names, if that is of its contract."""
    named = _orders(books, "order_id = ?", trade.reference) if trade.reference else []
    return [
        _Part(order.order_id, order.strategy, trade.quantity_contracts)
        for order in named
        if (order.instrument, order.contract, order.live) == (trade.instrument, trade.contract, live)
    ]


def _by_contract(books: sqlite3.Connection, trade: Trade, session: date, live: bool) -> list[_Part]:
    """A trade over the orders it may be of, the rest nobody's."""
    rest, parts = trade.quantity_contracts, list[_Part]()
    for order in _candidates(books, trade, session, live):
        taken = max(order.left, rest) if rest < 0 else min(order.left, rest)
        if taken:
            parts.append(_Part(order.order_id, order.strategy, taken))
            rest -= taken
    return [*parts, _Part("", "", rest)] if rest or not parts else parts


def _candidates(books: sqlite3.Connection, trade: Trade, session: date, live: bool) -> list[_Handed]:
    day, crossed = session.isoformat(), (session - CROSSED).isoformat()
    found = [
        order
        for order in _orders(books, "instrument = ? AND contract = ?", trade.instrument, trade.contract)
        if order.live == live
        and order.left * trade.quantity_contracts > 0
        and (order.session < day or (order.session == day and order.reason == ROLL))
    ]
    withdrawn = [order for order in found if order.cancelled and order.session >= crossed]
    return [*(order for order in found if not order.cancelled), *reversed(withdrawn)]


def _fills(trade: Trade, parts: list[_Part], session: date) -> list[Fill]:
    whole = len(parts) == 1
    return [
        Fill(
            trade.trade_id if whole else f"{trade.trade_id}/{number}",
            part.order_id,
            part.strategy,
            trade.instrument,
            trade.contract,
            session,
            part.quantity,
            trade.price_points,
            trade.commission_local * (1.0 if whole else part.quantity / trade.quantity_contracts),
            trade.executed_at,
        )
        for number, part in enumerate(parts, start=1)
    ]
