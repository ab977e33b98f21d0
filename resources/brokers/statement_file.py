"""A broker that gives statements as files: orders go out as files too, and fills are what its statements list.

Belongs here: keeping the port's promises with a folder of statements (`csv_statement.py`, `flex_statement.py`) and one
of orders (`order_files.py`). Does not belong here: either of them.

A session without a file has no statement yet: nothing is known, which is not flat. A file that is wrong or cannot be
read is an error. `fills` are the trades that are of our orders; a trade that is nobody's is in the statement without
order and strategy, so that it is a break until somebody says whose it is, and never a position of no strategy.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from resources.brokers.listing import Statements
from resources.brokers.order_files import NAME, HandedOrders, OrderFiles
from trading.book.orders import Ended, Fill, Order
from trading.book.statements import Statement
from trading.ports import Correction


class StatementFiles:
    """What a folder of statements tells of orders that were handed over; nothing here hands over. Raises BadInput where
    a statement is wrong."""

    name = NAME

    def __init__(self, statements: Statements, orders: HandedOrders) -> None:
        self._statements, self._orders = statements, orders

    def unsent(self, orders: Sequence[Order]) -> list[str]:
        """Ids of orders that were not handed over yet."""
        return self._orders.unsent(orders)

    def cancel(self, order_ids: Sequence[str]) -> None:
        """As the port: shown as cancelled; whoever executes has to look."""
        self._orders.cancel(order_ids)

    def fills(self, session: date) -> list[Fill]:
        """As the port: none while there is no statement, or where statements list no trades."""
        listing = self._statements.listing(session)
        trades = (listing.trades or ()) if listing is not None else ()
        return [fill for fill in self._orders.fills(session, trades) if fill.order_id]

    def corrections(self, session: date) -> list[Correction]:
        """As the port: none, statements state what they take back as trades of their own."""
        return []

    def ended(self, order_ids: Sequence[str], session: date) -> list[Ended]:
        """As the port: none, what becomes of an order, whoever executes it says by its trades."""
        return []

    def statement(self, session: date) -> Statement | None:
        """As the port, with all trades, also those of nobody's order."""
        listing = self._statements.listing(session)
        if listing is None:
            return None
        trades = None if listing.trades is None else tuple(self._orders.fills(session, listing.trades))
        return Statement(
            self.name,
            session,
            dict(listing.positions),
            None if listing.cash_local is None else dict(listing.cash_local),
            dict(listing.average_points),
            trades,
            listing.as_of,
            listing.unknown,
            listing.settles_daily,
        )


class StatementFileBroker(StatementFiles):
    """Broker on a folder of statements and one of orders. Raises BadInput where a statement is wrong."""

    def __init__(self, statements: Statements, orders: OrderFiles) -> None:
        super().__init__(statements, orders)
        self._files = orders

    def ready(self, orders: Sequence[Order]) -> None:
        """As the port."""
        self._files.ready(orders)

    def place(self, orders: Sequence[Order]) -> None:
        """As the port: shown in the file of each order's session."""
        self._files.place(orders)
