"""A session's orders beside what others hold of the same book: announced, judged, and given back where refused.

Belongs here: what is announced under which id, and what becomes of it. Does not belong here: judging
(`trading/risk/pre_trade.py`), or what the log of reservations says (`trading/risk/announced.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from trading.book import order_life
from trading.book.entries import Known, sent_as
from trading.book.orders import Order
from trading.book.state import BookState
from trading.errors import StoreError
from trading.risk.announced import NOTHING_HELD, DeskOrders, Held
from trading.risk.book import Book
from trading.risk.pre_trade import Verdict, asked_of
from trading.risk.reservations import OnRecord

Judge = Callable[[Held, str], Verdict]  # with what others hold; or why nobody can say that, else empty


class Journal(NamedTuple):
    """What a journal says beside its positions, and orders that it has fills of."""

    record: OnRecord
    filled: Collection[str] = ()


def judged_beside(
    orders: Sequence[Order], judge: Judge, shared: DeskOrders | None, known: Mapping[str, Known],
    journal: Callable[[], Journal], instruments: Collection[str],
) -> Verdict:  # fmt: skip
    """What `judge` says of orders, which hold headroom in `shared` from before that until they are refused. `known`:
    orders of the session that the journal has; `journal`: what it says beside. What others hold of other `instruments`
    than those that there are reference data of is nothing that this desk could measure: it is left out.

    Where nobody can say what others hold, `judge` is told why, and nothing is held."""
    if shared is None or not orders:
        return judge(NOTHING_HELD, "")
    final = sent_as(orders, known)
    try:
        held = shared.announce([asked_of(order) for order in final.values()], *journal())
    except StoreError as cause:
        return judge(NOTHING_HELD, _UNREACHABLE.format(session=orders[0].session, cause=cause))
    refused = list(final.values())
    try:
        found = judge(held.of(instruments), "")
        refused = [final[order.order_id] for order, _ in found.refused if order.order_id in final]
    finally:
        shared.give_back(order.order_id for order in refused)
    return found


def held_beside(shared: DeskOrders | None, journal: Callable[[], Journal], instruments: Collection[str]) -> Held:
    """What others hold, for who trades whether that is known or not: nothing where nobody can say it."""
    if shared is None:
        return NOTHING_HELD
    try:
        return shared.announce((), *journal()).of(instruments)
    except StoreError:
        return NOTHING_HELD


def journal_of(state: BookState, session: Mapping[str, Known], told: datetime | None) -> Journal:
    """What a journal says, of orders before a session and of those of the `session`. `told`: when the broker was last
    asked for fills."""
    working = {name: asked_of(order) for name, order in state.working.items()}
    for name, was in session.items():
        if was.status in order_life.AT_WORK:
            left = was.order.quantity_contracts - was.filled_contracts
            working[name] = asked_of(was.order)._replace(quantity_contracts=left)
    fills = {name: known.fill for name, known in state.blotter.told.items() if known.fill is not None}
    filled = {fill.order_id for fill in fills.values()} | {
        name for name, was in session.items() if was.filled_contracts
    }
    as_of = 0.0 if told is None else told.timestamp()
    return Journal(OnRecord(tuple(working.values()), tuple(fills), as_of), filled)


def with_held(book: Book, held: Held) -> Book:
    """A book with fills that only others know of, and the strategies that hold something."""
    if held == NOTHING_HELD:
        return book
    from trading.risk.replica import with_fills  # machine code, which who has no log need not wait for

    names = tuple(sorted({*book.strategies, *held.strategies()}))
    return replace(with_fills(book, held.fills), strategies=names)


_UNREACHABLE = (
    "What strategies were granted by the risk service is not known, so no order that adds to the book goes out: "
    "{cause} When that is mended, close {session} again (`daybook close --session {session}`)."
)
