"""A desk's book, facts, limits and halts as the risk engine takes them, out of its stores: for who asks about orders.

Belongs here: what is in force for a session, and an engine of it. Does not belong here: reading rows of datasets
(`assets/risk_inputs.py`), judging (`trading/risk/engine.py`), or keeping an engine for long (`risk_server/`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Protocol, TypeVar

from assets.risk_inputs import (
    EARNED,
    Earned,
    RiskFacts,
    Told,
    books_of,
    earned,
    facts_version,
    newest_facts,
    told,
    written,
)
from pipelines.deployments import shared_cache
from pipelines.desk import Desk
from pipelines.settings import Place, read_section
from pipelines.wiring import kept_frames, reference, reservation_log, risk_inputs_cache, shared_state, utc_now
from trading.book.orders import TARGET
from trading.config.models import DeskSettings
from trading.config.risk import RiskInputSettings, RiskSettings
from trading.errors import UsageError
from trading.ports import FrameStore, Ledger
from trading.risk.backend_breaker import State
from trading.risk.book import Book
from trading.risk.decision import Asked
from trading.risk.halts import Halt, halts_of, modes
from trading.risk.market import Market
from trading.risk.pre_trade import adding_orders, asked_of
from trading.risk.reservations import LogLost, OnRecord, Reserved

if TYPE_CHECKING:
    from trading.book.journal import Event
    from trading.risk.engine import RiskEngine

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
CLOSE = "close"  # who asks the broker for fills (`assets/book.py`)
EVENT_S = 1e-6  # what tells readings of a journal apart that ends with the same instant
NAMED_DAYS = 7  # ids of fills are told so long
ON_RECORD = OnRecord()
PATIENCE_S = 120.0  # a read of all prices takes longer than one of a few


class KeptInput(Protocol[T_co]):
    """A value as a cache has it: what it was made from, and whether its store did not say that this is the newest."""

    @property
    def value(self) -> T_co:
        """The value."""
        ...

    @property
    def version(self) -> str:
        """What it was made from."""
        ...

    @property
    def stale(self) -> bool:
        """Whether its store did not answer."""
        ...


class InputStatistics(Protocol):
    """How often values were kept, still the newest, read, and not to be had; and where breakers stand, by backend."""

    @property
    def hits(self) -> int:
        """Answers that asked for nothing."""
        ...

    @property
    def unchanged(self) -> int:
        """Answers that asked for a version."""
        ...

    @property
    def reads(self) -> int:
        """Answers that read."""
        ...

    @property
    def failures(self) -> int:
        """Answers that could not be had."""
        ...

    @property
    def breakers(self) -> Mapping[str, State]:
        """By backend."""
        ...


class InputsCache(Protocol):
    """Where inputs are kept: `resources/risk_inputs_cache.py`."""

    def load(self, backend: str, key: str, version: Callable[[], str], read: Callable[[], T]) -> KeptInput[T]:
        """What is kept, or read. Raises StoreUnavailable where neither can be had."""
        ...

    def look_again(self) -> None:
        """Has versions asked for, whatever ages are."""
        ...

    def statistics(self) -> InputStatistics:
        """Counts and breakers."""
        ...


@dataclass(frozen=True, slots=True)
class RiskDesk:
    """What an order of a session is judged by: prices through it, the book after it, orders then at work, and the
    halts and settings in force now. `held` is the contract to hold by instrument. `stale`: a store does not answer, and
    this is what it had before. `orders` of the session so far; those of them that are at work are not in the book's
    own, for whoever brings them to work counts them. `record`: for who shares a book of it.
    `reserved`: what the risk service granted and is held still, where that was looked at."""

    session: date
    at: datetime
    settings: DeskSettings
    market: Market
    book: Book
    working: tuple[Asked, ...]
    halts: tuple[Halt, ...]
    held: dict[str, int]
    stale: bool = False
    orders: int = 0
    record: OnRecord = ON_RECORD
    reserved: tuple[Reserved, ...] = ()

    def engine(self) -> RiskEngine:
        """An engine of it, orders at work holding their headroom."""
        from trading.risk.engine import RiskEngine  # machine code, which nobody else waits for

        made = RiskEngine(self.settings, self.market, self.book, self.settings.content_hash(), time.perf_counter)
        made.adopt(self.working)
        made.session_orders = self.orders
        for unit in self.reserved:
            if unit.orders:
                made.adopt(unit.orders, unit.netted)
        made.stop(modes(self.halts, made.strategies, made.instruments, self.at))
        return made


class DeskInputs:
    """A desk's facts, book and journal, each read through a cache and kept while its version is the newest: five reads
    of datasets and one pass over the journal where nothing is kept, none where all is. Where a deployment has a cache
    that processes share, what one of them read the others do not read again."""

    def __init__(self, where: Place, cache: InputsCache, opened: Callable[[Place], Desk] = Desk.open) -> None:
        self._where, self._cache, self._open = where, cache, opened
        self._desk: Desk | None = None
        self._shared = shared_cache(where)
        self._made: tuple[str, RiskDesk] | None = None

    def desk(self, session: date | None = None) -> RiskDesk:
        """As `risk_desk`: the same value until something it is made of changed. Raises StoreUnavailable where a store
        does not answer, and nothing is kept of what it had."""
        desk = self._opened()
        if session is not None:
            desk.refuse_non_session(session)
        ledger = desk.adapters.ledger
        journal = self._cache.load("ledger", "the journal", lambda: _heads(ledger), lambda: told(ledger))
        gained = self._earned(desk)
        facts = self._facts(desk, session, max((day for day, _ in gained.value.account), default=None))
        day = _session(desk, session, facts.value[1])
        parts = (journal, gained, facts)
        key = "\n".join([*(part.version for part in parts), desk.adapters.settings.content_hash(), day.isoformat()])
        if self._made is None or self._made[0] != key:
            self._made = key, _desk_of(desk, day, facts.value[0], gained.value, journal.value)
        return replace(self._made[1], stale=True) if any(part.stale for part in parts) else self._made[1]

    def renew(self) -> None:
        """Other settings are in force: the desk is opened again before it is asked, and its facts looked at."""
        self._desk = None
        self._cache.look_again()

    def shared_state(self) -> State | None:
        """Where the breaker around the cache that processes share stands; None where there is none."""
        return shared_state(self._shared)

    def _opened(self) -> Desk:
        """The desk, its stores as they were opened; reference data is read anew, which remembers what it read."""
        desk = self._desk = self._desk or self._open(self._where)
        return replace(desk, adapters=replace(desk.adapters, reference=reference(self._where)))

    def _earned(self, desk: Desk) -> KeptInput[Earned]:
        frames = self._frames(desk)
        return self._cache.load(
            "datasets", "what was earned", lambda: written(frames, EARNED), lambda: earned(frames, date.max)
        )  # fmt: skip

    def _facts(self, desk: Desk, session: date | None, priced: date | None) -> KeptInput[tuple[RiskFacts, date | None]]:
        frames, known, settings = self._frames(desk), desk.adapters.reference, desk.adapters.settings
        return self._cache.load(
            "datasets", f"facts of {session or 'the newest session'}",
            lambda: facts_version(frames, known, settings),
            lambda: newest_facts(frames, known, settings, session, priced),
        )  # fmt: skip

    def _frames(self, desk: Desk) -> FrameStore:
        return kept_frames(desk.adapters.frames, self._shared, self._where)


def risk_desk(where: Place, session: date | None = None) -> RiskDesk:
    """A desk as of a session (default: the newest that it has prices of, with what the risk service holds and was told
    since). Raises NotASession; UsageError where there are no prices, or the session has none yet; StoreUnavailable
    where reservations cannot be read."""
    inputs = read_section(where, RiskSettings).inputs
    found = DeskInputs(where, risk_inputs_cache(patient(inputs), "shell")).desk(session)
    return found if session is not None else _with_reserved(found, where)


def _with_reserved(found: RiskDesk, where: Place) -> RiskDesk:
    """Reservations that are not over, and fills that the journal has not. Of what these facts do not know nothing can
    be said."""
    service = found.settings.risk.service
    if service.truth == "memory" or not service.tokens:
        return found
    from trading.risk.replica import followed, left_of, missing_fills, with_fills  # machine code, as the engine

    log = reservation_log(where, service.truth)
    try:
        answer = log.since(None)
    except LogLost:  # nobody was ever granted anything
        return found
    finally:
        log.close()
    assert answer.base is not None  # of a log that was asked for whole
    replica, lines = followed(answer.base, answer, found.market), set(found.market.contracts)
    told = (each for each in replica.told if (each.asked.instrument, each.asked.contract) in lines)
    fills = missing_fills(told, found.record)
    working = left_of(found.working, fills)
    own = replica.desk | {order.order_id for order in found.working}
    units = [unit for unit in replica.held_units() if unit.expires > time.time()]
    reserved = tuple(_known(unit, own, found) for unit in units)
    return replace(found, book=with_fills(found.book, fills), working=working, reserved=reserved)


def _known(unit: Reserved, own: Container[str], found: RiskDesk) -> Reserved:
    """Orders of a unit that are not the desk's own, and of what its facts know."""
    lines, strategies = found.market.contracts, found.book.strategies
    orders = (
        order for order in unit.orders
        if order.order_id not in own and order.strategy in strategies and (order.instrument, order.contract) in lines
    )  # fmt: skip
    return unit._replace(orders=tuple(orders))


def patient(inputs: RiskInputSettings) -> RiskInputSettings:
    """For who reads all there is, and nobody waits meanwhile."""
    return inputs.model_copy(update={"timeout_seconds": max(PATIENCE_S, inputs.timeout_seconds)})


def _desk_of(desk: Desk, day: date, facts: RiskFacts, gained: Earned, journal: Told) -> RiskDesk:
    settings = desk.adapters.settings
    holdings = books_of(settings, journal, gained, day).after(day)
    orders = journal.working(day)
    working = tuple(asked_of(order) for order in orders)
    decided = [order for order in orders if order.session == day and order.reason == TARGET]
    again, counted = len(adding_orders(decided, holdings.positions)), holdings.orders
    lines = {(code, contract) for _, code, contract in holdings.positions}
    market = facts.market(day, sorted(lines | {(each.instrument, each.contract) for each in working}))
    known = tuple(halts_of(journal.halts))
    holdings = replace(holdings, orders=max(0, counted - again), strategies=_strategies(holdings, working))
    record, held = _on_record(journal.events, day, working, counted), _to_hold(facts, day)
    return RiskDesk(day, utc_now(), settings, market, holdings, working, known, held, orders=counted, record=record)


def _on_record(events: Iterable[Event], day: date, working: tuple[Asked, ...], orders: int) -> OnRecord:
    """What the journal says through a session, for who shares a book of it: the broker is asked for fills before a
    close records anything."""
    known = [event for event in events if event.session <= day]
    newest = max((event.at for event in known), default=None)
    if newest is None:
        return OnRecord(working, as_of=0.0, orders=orders)
    since = newest - timedelta(days=NAMED_DAYS)
    named = tuple(str(event.payload["fill_id"]) for event in known if event.kind == "fill" and event.at >= since)
    asked = max((event.at.timestamp() for event in known if event.actor == CLOSE), default=0.0)
    # All that a close records is of one instant, its fills before its orders: who read in between reads on.
    return OnRecord(working, named, asked, newest.timestamp() + len(known) * EVENT_S, orders)


def _heads(ledger: Ledger) -> str:
    """Where the journal stands."""
    return repr(sorted(ledger.heads().items()))


def _strategies(book: Book, working: Sequence[Asked]) -> tuple[str, ...]:
    return tuple(sorted({*book.strategies, *(each.strategy for each in working)}))


def _to_hold(facts: RiskFacts, day: date) -> dict[str, int]:
    """The contract to hold of each instrument, as of its newest price."""
    held = facts.history.through(day).held.ffill()
    newest = held.to_numpy(dtype=float)[-1:].reshape(-1)
    found = zip(held.columns, newest, strict=True) if len(newest) else ()
    return {str(code): int(contract) for code, contract in found if contract == contract}


def _session(desk: Desk, session: date | None, newest: date | None) -> date:
    if newest is None:
        raise UsageError(f"this desk ({desk.place.home}) holds no prices yet. Run `daybook load` first.")
    if session is not None and session > newest:
        raise UsageError(
            f"there are no prices of {session} yet: the newest are of {newest}. Leave --session out, or give one up to "
            "then."
        )
    return session or newest
