"""A desk's book, facts, limits and halts as the risk engine takes them, out of its stores: for who asks about orders.

Belongs here: what is in force for a session, and an engine of it. Does not belong here: reading rows of datasets
(`assets/risk_inputs.py`), judging (`trading/risk/engine.py`), or keeping an engine for long (`risk_server/`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from assets.book_inputs import opening
from assets.risk_inputs import RiskFacts, risk_books, risk_facts
from pipelines.desk import FAR, Desk
from pipelines.settings import Place
from pipelines.wiring import utc_now
from trading.config.models import DeskSettings
from trading.errors import UsageError
from trading.frames import DAILY_PRICES
from trading.risk.book import Book
from trading.risk.decision import Asked
from trading.risk.halts import Halt, halts_of, modes
from trading.risk.market import Market
from trading.risk.pre_trade import asked_of

if TYPE_CHECKING:
    from trading.risk.engine import RiskEngine


@dataclass(frozen=True, slots=True)
class RiskDesk:
    """What an order of a session is judged by: prices through it, the book after it, orders then at work, and the
    halts and settings in force now. `held` is the contract to hold by instrument."""

    session: date
    at: datetime
    settings: DeskSettings
    market: Market
    book: Book
    working: tuple[Asked, ...]
    halts: tuple[Halt, ...]
    held: dict[str, int]

    def engine(self) -> RiskEngine:
        """An engine of it, orders at work holding their headroom."""
        from trading.risk.engine import RiskEngine  # machine code, which nobody else waits for

        made = RiskEngine(self.settings, self.market, self.book, self.settings.content_hash(), time.perf_counter)
        made.adopt(self.working)
        made.stop(modes(self.halts, made.strategies, made.instruments, self.at))
        return made


def risk_desk(where: Place, session: date | None = None) -> RiskDesk:
    """A desk as of a session (default: the newest that it has prices of). Raises NotASession; UsageError where there
    are no prices, or the session has none yet."""
    desk = Desk.open(where)
    day, ports = _session(desk, session), desk.adapters
    frames, book, settings = ports.frames, ports.ledger, ports.settings
    facts = risk_facts(frames, ports.reference, settings, day, day)
    holdings = risk_books(frames, book, settings, day).book(day)
    orders = list(opening(frames, book, settings, day + timedelta(days=1)).state.working.values())
    working = tuple(asked_of(order) for order in orders)
    again = sum(1 for order in orders if order.session == day)  # an engine counts those that it adopts
    lines = {(code, contract) for _, code, contract in (*holdings.positions, *holdings.opening)}
    market = facts.market(day, sorted(lines | {(each.instrument, each.contract) for each in working}))
    known = tuple(halts_of(book.rows("halts")))
    holdings = replace(holdings, orders=max(0, holdings.orders - again), strategies=_strategies(holdings, working))
    return RiskDesk(day, utc_now(), settings, market, holdings, working, known, _to_hold(facts, day))


def _strategies(book: Book, working: Sequence[Asked]) -> tuple[str, ...]:
    return tuple(sorted({*book.strategies, *(each.strategy for each in working)}))


def _to_hold(facts: RiskFacts, day: date) -> dict[str, int]:
    """The contract to hold of each instrument, as of its newest price."""
    held = facts.history.through(day).held.ffill()
    newest = held.to_numpy(dtype=float)[-1:].reshape(-1)
    found = zip(held.columns, newest, strict=True) if len(newest) else ()
    return {str(code): int(contract) for code, contract in found if contract == contract}


def _session(desk: Desk, session: date | None) -> date:
    newest = newest_price(desk)
    if session is None:
        return newest
    desk.refuse_non_session(session)
    if session > newest:
        raise UsageError(
            f"there are no prices of {session} yet: the newest are of {newest}. Leave --session out, or give one up to "
            "then."
        )
    return session


def newest_price(desk: Desk) -> date:
    """The newest session with prices. Raises UsageError where there is none."""
    if DAILY_PRICES.name not in desk.adapters.frames.written():
        raise UsageError(f"this desk ({desk.place.home}) holds no prices yet. Run `daybook load` first.")
    rows = desk.adapters.frames.latest(DAILY_PRICES, through=FAR)
    newest: date = max(rows["session"].to_pylist())
    return newest
