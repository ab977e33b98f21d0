"""A desk's book, facts, limits and halts as the risk engine takes them, out of its stores: for who asks about orders.

Belongs here: what is in force for a session, and an engine of it. Does not belong here: reading rows of datasets
(`assets/risk_inputs.py`), judging (`trading/risk/engine.py`), or keeping an engine for long (`risk_service/`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from assets.book_inputs import Opening, opening
from pipelines.desk import FAR, Desk
from pipelines.settings import Place
from pipelines.wiring import utc_now
from trading.book.breaks import locked
from trading.config.models import DeskSettings
from trading.errors import UsageError
from trading.frames import DAILY_PRICES, EQUITY, FX_RATES, ROLL_GAPS, to_pandas
from trading.risk.book import Book
from trading.risk.decision import Asked
from trading.risk.halts import Halt, halts_of, modes
from trading.risk.market import Market
from trading.risk.risk_model import Known, histories, market_of
from trading.risk.standing import Held, book_of

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
    are no prices, or the session has none yet; ConfigError where limits mean nothing."""
    desk = Desk.open(where)
    day, ports = _session(desk, session), desk.adapters
    start = opening(ports.frames, ports.ledger, ports.settings, day + timedelta(days=1))
    working = tuple(
        Asked(order.strategy, order.instrument, order.contract, order.quantity_contracts, None, order.order_id)
        for order in start.state.working.values()
    )
    found = tuple(halts_of(ports.ledger.rows("halts")))
    market, book = _facts(desk, day, start, working)
    return RiskDesk(
        day, utc_now(), ports.settings, market, book, working, found, dict(start.state.held_contracts)
    )  # fmt: skip


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


def _facts(desk: Desk, day: date, start: Opening, working: tuple[Asked, ...]) -> tuple[Market, Book]:
    ports = desk.adapters
    settings, risk = ports.settings, ports.settings.risk
    since = day - timedelta(days=2 * (risk.model.sessions + 100))
    daily, gaps, rates = (
        to_pandas(ports.frames.history(dataset, through=day, since=since))
        for dataset in (DAILY_PRICES, ROLL_GAPS, FX_RATES)
    )
    known = Known(
        ports.reference.instruments(day), ports.reference.roll_parameters(day), risk.model,
        settings.capital.base_currency, risk.inputs.max_age_sessions,
    )  # fmt: skip
    held = {(code, contract) for _, code, contract in start.state.positions}
    market = market_of(histories(daily, gaps, rates), day, known, held | {(o.instrument, o.contract) for o in working})
    before = opening(ports.frames, ports.ledger, settings, day).state.positions
    locks = locked(ports.ledger.rows("breaks"), ports.ledger.rows("overrides", {"scope": "instrument"}), day)
    return market, book_of(settings, day, Held(start.state.positions, before), _account(desk, day), {}, locks)


def _account(desk: Desk, day: date) -> list[tuple[date, float]]:
    if EQUITY.name not in desk.adapters.frames.written():
        return []
    rows = desk.adapters.frames.history(EQUITY, through=day).to_pylist()
    return sorted({row["session"]: row["account_base"] for row in rows}.items())
