"""A risk engine of many workers: each has a whole one, and a log says in which order they changed the book.

Belongs here: following a log of reservations, deciding at a place of it, and what is answered while it cannot be
reached. Does not belong here: deciding itself (`engine.py`), what entries change (`replica.py`), or keeping the log
(adapters of `trading.risk.reservations.Log`).

A worker decides on the book as its engine has it, which is the log up to some place, and adds the reservation if the
log still ends there: one round trip. If it does not, it takes over what it missed and decides again. So every decision
that holds headroom was made on all that was held before it, whoever granted that.

Where the log cannot be reached nothing is granted. Questions that hold nothing are answered from what is known, whose
age is `age`. A log that was lost (a Redis that lost its memory) is begun anew from what the first worker to notice
knows; others that know more of it add that, and until they have had the time to, nothing is granted. What nobody knows
any more is put together from decisions, and some of that was given back meanwhile. Such a book may be past a limit, and
then an order that makes it no worse might do so to the true one: until all of that is over, it is not granted.

Reservations of a worker take turns; questions take no lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from threading import RLock
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trading.config.models import DeskSettings
from trading.errors import StoreBusy, StoreError, StoreUnavailable, UsageError
from trading.risk.book import Book
from trading.risk.decision import Asked, Decision, Judged, Mode, Reason, Versions
from trading.risk.engine import FOREVER, Drift, RiskEngine, no_time
from trading.risk.layout import REDUCING
from trading.risk.market import Market
from trading.risk.replica import REMEMBERED, UNKNOWN, Replica, followed, replica_of
from trading.risk.reservations import (
    UNREACHABLE,
    Answer,
    Base,
    Booked,
    Entry,
    Filled,
    Log,
    LogLost,
    OnRecord,
    Place,
    Released,
    Reserved,
)

ATTEMPTS = 50
STUCK_S = 5.0  # a worker that does not know what others hold looks again
WINDOW_S = 61.0  # what rates are counted over: a base is older than that
BUSY = "reservation_truth_busy"
FULL, DUPLICATE, BESIDE = "reservations_full", "duplicate_order", "list"


class Following(NamedTuple):
    """`grace_s`: how long nothing is granted after a log was begun, so that others can say what they know of the one
    before; 0 where a log cannot be lost. `compact_at`: entries after which it is made shorter."""

    grace_s: float = 3.0
    compact_at: int = 20_000


class _Halted(NamedTuple):
    """Modes of trading by strategy and instrument, and whose they are."""

    modes: npt.NDArray[np.float64]
    strategies: tuple[str, ...]
    instruments: tuple[str, ...]


_FOLLOWING, _NOTHING = Following(), OnRecord()


class SharedEngine:
    """A RiskEngine that shares its book with others through `log`. It begins with what that holds; where there is none
    yet, with `book` and what is on `record` beside it, and with `remembered(now)`: reservations that were written down
    elsewhere and may still hold.
    `clock`: seconds since 1970, the same for all workers; `timer`: seconds of a clock that does not go back. Nothing is
    asked of the log before the first call."""

    def __init__(
        self, desk: DeskSettings, market: Market, book: Book, log: Log, clock: Callable[[], float],
        configuration: str = "", timer: Callable[[], float] = no_time, following: Following = _FOLLOWING,
        remembered: Callable[[float], Iterable[Reserved]] = lambda now: (), record: OnRecord = _NOTHING,
    ) -> None:  # fmt: skip
        self._desk, self._market, self._configuration = desk, market, configuration
        self._log, self._clock, self._timer = log, clock, timer
        self._following, self._remembered = following, remembered
        self._lock = RLock()
        self._own, self._record = book, record
        self._halted: _Halted | None = None
        self._abandoned: dict[str, float] = {}  # marks of reservations that were refused and may be held until then
        self._disowning = False
        self._older: tuple[float, Base, Place] | None = None  # what the log is to begin with, once it is old enough
        self._connected, self._heard, self._length = False, -FOREVER, 0
        self._stuck, self._stuck_until = "", -FOREVER
        self._replica = self._alone()

    def _alone(self) -> Replica:
        """As if there were nobody else."""
        engine = self._engine(self._own)
        replica = Replica(engine, Place("", 0, ""), self._market.session, self._own, local=self._local)
        replica.positions.update(self._own.positions)
        replica.traded.update(self._own.traded_contracts)
        replica.hold_desk("", self._record)
        return replica

    def _engine(self, book: Book) -> RiskEngine:
        engine = RiskEngine(self._desk, self._market, book, self._configuration, self._timer)
        if self._halted is not None:
            engine.stop(modes_of(self._halted, engine.strategies, engine.instruments))
        return engine

    def _stop_new(self) -> None:
        """Halts by name, where the engine has other strategies or instruments than those they were told of."""
        engine, halted = self._replica.engine, self._halted
        if halted is not None and halted[1:] != (engine.strategies, engine.instruments):
            modes = modes_of(halted, engine.strategies, engine.instruments)
            engine.stop(modes)
            self._halted = _Halted(modes, engine.strategies, engine.instruments)

    def _local(self, book: Book, session: date) -> Book:
        """A book of the log with money, losses and disputes as this worker's own stores have them, unless the log's are
        of a later session."""
        own = self._own
        if self._market.session < session:
            return book
        more = tuple(name for name in own.strategies if name not in book.strategies)
        return replace(
            book, capital_base=own.capital_base, equity_base=own.equity_base, standing=own.standing, locks=own.locks,
            volatility_target_fraction=own.volatility_target_fraction, strategies=(*book.strategies, *more),
        )  # fmt: skip

    # --- questions ----------------------------------------------------------------------------------------------------
    def check(self, asked: Asked, now: float = 0.0) -> Decision:
        """As the engine, on the book as it is known here."""
        return self._replica.engine.check(asked, now)

    def check_list(
        self, orders: Sequence[Asked], mode: Mode = "all", netted: bool = False, now: float = 0.0
    ) -> list[Decision]:
        """As the engine, on the book as it is known here."""
        return self._replica.engine.check_list(orders, mode, netted, now)

    @property
    def age(self) -> float:
        """Seconds since the log was last heard of; infinite where it never was."""
        return self._timer() - self._heard

    @property
    def place(self) -> Place:
        """How far the log is known here."""
        return self._replica.place

    @property
    def book(self) -> Book:
        """The book as it is known here, with all fills."""
        return self._local(self._replica.book_now(), self._replica.session)

    def working(self) -> dict[str, Asked]:
        """As the engine."""
        return self._replica.engine.working()

    def standing(self, now: float = 0.0) -> tuple[Judged, ...]:
        """As the engine."""
        return self._replica.engine.standing(now)

    def recompute(self) -> Drift:
        """As the engine."""
        return self._replica.engine.recompute()

    @property
    def instruments(self) -> tuple[str, ...]:
        """As the engine."""
        return self._replica.engine.instruments

    @property
    def strategies(self) -> tuple[str, ...]:
        """As the engine."""
        return self._replica.engine.strategies

    @property
    def versions(self) -> Versions:
        """As the engine."""
        return self._replica.engine.versions

    # --- reservations -------------------------------------------------------------------------------------------------
    def reserve(self, asked: Asked, now: float = 0.0, expires: float = FOREVER) -> Decision:
        """As the engine: headroom is held in the book of all workers when this returns. Where the log cannot be reached
        the order is refused as `reservation_truth_unreachable`; where others are faster each time, as
        `reservation_truth_busy`."""
        return self.reserve_list((asked,), now=now, expires=expires)[0]

    def reserve_list(
        self, orders: Sequence[Asked], mode: Mode = "all", netted: bool = False, now: float = 0.0,
        expires: float = FOREVER,
    ) -> list[Decision]:  # fmt: skip
        """As `reserve`, of a list."""
        with self._lock:
            try:
                for _ in range(ATTEMPTS):
                    found = self._reserved(tuple(orders), mode, netted, now, expires)
                    if found is not None:
                        return found
            except StoreError as cause:
                code = BUSY if isinstance(cause, StoreBusy) else UNREACHABLE
                return self._all_refused(orders, Reason(code, str(cause)))
            return self._all_refused(orders, Reason(BUSY, _FASTER))

    def _reserved(
        self, orders: tuple[Asked, ...], mode: Mode, netted: bool, now: float, expires: float
    ) -> list[Decision] | None:
        """Decides where the log is known up to, and adds it; None where the log went on meanwhile."""
        self._connect()
        self._require_ready()
        wrong, engine = self._wrong(orders), self._replica.engine
        if wrong:
            found = self._refused(orders, wrong)
        elif len(orders) == 1 and mode == "all":
            found = [engine.check(orders[0], now)]
        else:
            found = engine.check_list(orders, mode, netted, now)
        granted = tuple(
            each.asked._replace(quantity_contracts=each.granted_contracts) for each in found if each.granted_contracts
        )
        if self._replica.held + len(granted) > engine.capacity:
            found, granted = self._all_refused(orders, _FULL), ()
        if granted:
            self._require_sure(found)
        if not granted:  # a refusal is of the book as it is, too
            return found if self._caught_up() else None
        return found if self._added(Reserved(self._log.mark(), granted, netted, now, expires)) else None

    def _wrong(self, orders: Sequence[Asked]) -> dict[int, Reason]:
        """Orders whose id is at work, or is not theirs alone, by number."""
        seen: set[str] = set()
        wrong = {}
        for number, order in enumerate(orders):
            name = order.order_id
            if not name:
                raise UsageError("an order without order_id cannot be held headroom for. Give it one of its own.")
            if name in self._replica.unit_of or name in seen:
                said = f"order {name} is at work already. Give every order an id of its own."
                wrong[number] = Reason(DUPLICATE, said)
            seen.add(name)
        return wrong

    def _refused(self, orders: Sequence[Asked], wrong: Mapping[int, Reason]) -> list[Decision]:
        beside = Reason(BESIDE, "another order of the list is refused. Mend that, or ask for a part of the list.")
        versions = self.versions
        return [_refusal(order, wrong.get(number, beside), versions) for number, order in enumerate(orders)]

    def _all_refused(self, orders: Sequence[Asked], reason: Reason) -> list[Decision]:
        return self._refused(orders, dict.fromkeys(range(len(orders)), reason))

    # --- what becomes of orders ---------------------------------------------------------------------------------------
    def fill(self, asked: Asked, now: float = 0.0, fill_id: str = "") -> int:
        """As the engine, in the book of all workers. Raises StoreUnavailable where the log cannot be reached: tell the
        fill again, with the same `fill_id`, by which it counts once. Raises UsageError on what is not known, and where
        the order that is named is of something else: nothing is booked then."""
        with self._lock:
            for _ in range(ATTEMPTS):
                self._connect()
                if fill_id and fill_id in self._replica.fills:
                    return self._replica.left(asked.order_id)
                unseen = self._replica.engine.check(asked, now)
                if unseen.measured is None:
                    raise UsageError(f"a fill cannot be booked: {unseen.reasons[0].message}")
                wrong = self._replica.wrong_fill(asked)
                if wrong:
                    raise UsageError(wrong)
                if self._added(Filled(self._log.mark(), asked, now, fill_id)):
                    return self._replica.left(asked.order_id)
        raise StoreBusy(f"the fill was not booked: {_FASTER}")

    def release(self, order_id: str) -> int:
        """As the engine, in the book of all workers. Raises StoreUnavailable where the log cannot be reached."""
        with self._lock:
            for _ in range(ATTEMPTS):
                self._connect()
                left = self._replica.left(order_id)
                if left == 0:
                    if self._caught_up():
                        return 0
                elif self._added(Released(self._log.mark(), (order_id,))):
                    return left
        raise StoreBusy(f"order {order_id} was not released: {_FASTER}")

    def expire(self, now: float) -> list[str]:
        """Takes over what other workers did, gives back what orders hold whose time is over, and says which those are;
        keeps the log short. Called several times a second. Raises StoreUnavailable, StoreBusy: nothing is granted
        then."""
        with self._lock:
            self._connect()
            self._caught_up()
            for _ in range(ATTEMPTS):
                names = self._replica.over(now)
                if not names or self._added(Released(self._log.mark(), names, expired=True)):
                    break
            self._abandoned = {mark: until for mark, until in self._abandoned.items() if until > now}
            self._shorten(now)
            return sorted(names)

    # --- what changes meanwhile ---------------------------------------------------------------------------------------
    def limit(self, desk: DeskSettings, configuration: str = "") -> None:
        """As the engine, of this worker; with the capital and the target of volatility, where they are others."""
        with self._lock:
            engine, was = self._replica.engine, self._desk.capital
            engine.limit(desk, configuration)
            self._desk, self._configuration = desk, configuration
            if desk.capital != was:
                target = desk.capital.volatility_target_percent / 100
                money = {"capital_base": desk.capital.capital_base, "volatility_target_fraction": target}
                self._own = replace(self._own, **money)  # type: ignore[arg-type]
                engine.load(self._market, self.book)

    def stop(self, modes: npt.NDArray[np.float64]) -> None:
        """As the engine, of this worker."""
        with self._lock:
            engine = self._replica.engine
            engine.stop(modes)
            self._halted = _Halted(modes, engine.strategies, engine.instruments)

    def load(self, market: Market, book: Book, record: OnRecord = _NOTHING) -> None:
        """Other facts for this worker, and its money, losses and disputes; and where they are of a later session than
        the log's, or of a ledger that changed since, the positions of this book for all. `book` is as the ledger has
        it, and `record` says which of the fills that were told here it has: those it has not count on. Else the log's
        positions stay, with the fills since. Raises ConfigError, StoreUnavailable."""
        with self._lock:
            self._own, self._market, self._record = book, market, record
            if self._stuck or not self._connected:
                self._connected, self._stuck = False, ""
                self._replica = self._alone()
                self._connect()
                return
            for _ in range(ATTEMPTS):
                if not self._is_later():
                    self._replica.engine.load(market, self.book)
                    self._stop_new()
                    return
                if self._added(Booked(self._log.mark(), market.session, book, record)):
                    return
        raise StoreBusy(f"the book was not loaded: {_FASTER}")

    # --- following the log --------------------------------------------------------------------------------------------
    def _connect(self) -> None:
        """Takes over all there is, the first time. Raises StoreUnavailable while this worker knows less than others."""
        if self._stuck and self._timer() < self._stuck_until:
            raise StoreUnavailable(self._stuck)
        while not self._connected:
            self._heed(self._recovered(lambda: self._log.since(None)))
            booked = Booked(self._log.mark(), self._market.session, self._own, self._record)
            if not self._is_later() or self._added(booked):
                self._connected, self._stuck = True, ""

    def _is_later(self) -> bool:
        """Whether the ledger, as it is known here, is of a later session than the log, or changed since."""
        return (self._market.session, self._record.at) > (self._replica.session, self._replica.recorded)

    def _require_ready(self) -> None:
        left = self._replica.ready - self._clock()
        if left > 0.0:
            raise StoreUnavailable(
                f"the log of reservations was begun anew, and is put together for {left:.1f} s more, so that nothing "
                "that is held is forgotten. Ask again then."
            )

    def _require_sure(self, found: Sequence[Decision]) -> None:
        """Raises StoreUnavailable on orders that pass because the book is past a limit without them, where what makes
        it so may have been given back."""
        left = self._replica.unsure - self._clock()
        if left > 0.0 and any(is_past(decision) for decision in found if decision.granted_contracts):
            raise StoreUnavailable(
                "the log of reservations was lost and put together from decisions, so more may seem to be held than "
                f"is. With that the book is past a limit, and for {left:.0f} s more nothing is granted there but what "
                "reduces a position. Ask again then, or for something else."
            )

    def _caught_up(self) -> bool:
        """Takes over what was missed; whether nothing was."""
        answer = self._recovered(lambda: self._log.since(self._replica.place))
        self._heed(answer)
        return not answer.missed and answer.base is None

    def _added(self, entry: Entry) -> bool:
        """Adds an entry at the place that was decided at, and follows it; else takes over what was missed."""
        try:
            answer = self._recovered(lambda: self._log.append(entry, self._replica.place))
            self._heed(replace(answer, missed=(entry,)) if answer.added and answer.base is None else answer)
        except StoreUnavailable:
            if isinstance(entry, Reserved) and len(self._abandoned) < REMEMBERED:
                self._abandoned[entry.mark] = entry.expires
            raise
        return entry.mark in self._replica.marks  # it may have been added by a call whose answer was lost

    def _recovered(self, ask: Callable[[], Answer]) -> Answer:
        """What the log says; where it is lost, what a new one does."""
        try:
            return ask()
        except LogLost:
            return self._begun()

    def _begun(self) -> Answer:
        """A log that begins with what is known here, unless somebody was faster."""
        known = self._replica.place
        try:
            there: Answer | None = self._log.since(None)
        except LogLost:
            there = None
        if there is not None and there.end.epoch != known.epoch:
            return there
        now, base = self._clock(), self._replica.base(self._log.mark())
        names = set(self._replica.names)
        more = [one for one in self._remembered(now) if not names & {order.order_id for order in one.orders}]
        lost = known if known.epoch else None
        base = replace(base, units=(*base.units, *more), lost=lost, ready=now + self._following.grace_s)
        if more:
            base = replace(base, unsure=max(base.unsure, *(one.expires for one in more)))
        return self._log.begin(base, None if there is None else there.end)

    def _heed(self, answer: Answer) -> None:
        """Takes over what the log said, and gives back what it holds for orders that were refused."""
        before = self._replica
        try:
            if answer.base is not None:
                self._replica = self._based(answer.base, answer)
            else:
                self._replica.take_all(answer.missed, self._market)
        except UNKNOWN as cause:
            self._stuck, self._connected = _BEHIND.format(cause=cause), False
            self._stuck_until = self._timer() + STUCK_S
            raise StoreUnavailable(self._stuck) from cause
        self._stop_new()
        self._replica.place = answer.end
        self._length, self._heard = answer.length, self._timer()
        lost = None if answer.base is None else answer.base.lost
        if lost is not None and lost.epoch == before.place.epoch:
            self._contribute([entry for number, entry in before.tail if number > lost.number])
        self._disown()

    def _based(self, base: Base, answer: Answer) -> Replica:
        """What a log comes to. Where some of it was of what these facts do not know any more, only what still counts is
        looked at: rates of the last minute are those of orders at work, then."""
        place = Place(answer.end.epoch, answer.end.number - len(answer.missed), base.mark)
        try:
            replica = replica_of(base, place, self._engine, self._local)
            replica.take_all(answer.missed, self._market)
        except UNKNOWN:
            ended = followed(base, answer, self._market)
            whole, now = ended.base(base.mark), self._clock()
            later = (self._market.session, self._record.at) > (ended.session, ended.recorded)
            book = self._own if later else whole.book  # which takes its place next
            units = tuple(unit for unit in whole.units if unit.expires > now)
            replica = replica_of(replace(whole, book=book, units=units), answer.end, self._engine, self._local)
            replica.ready, replica.unsure = base.ready, base.unsure
            replica.marks, replica.names, replica.tail = ended.marks, ended.names, ended.tail
        return replica

    def _contribute(self, entries: Sequence[Entry]) -> None:
        """Adds what is known here of a lost log, and was not known to who began it anew."""
        for entry in entries:
            while entry.mark not in self._replica.marks:
                answer = self._log.append(entry, self._replica.place)
                self._replica.take_all((entry,) if answer.added else answer.missed, self._market)
                self._replica.place = answer.end

    def _disown(self) -> None:
        """Gives back headroom of reservations that were added although their answer was lost: they were refused. They
        stay known until their time is over, since another worker may tell of them later."""
        if self._disowning or not self._abandoned:
            return
        self._disowning = True  # giving back is heeded too
        try:
            while names := self._replica.of_marks(self._abandoned.keys()):
                self._added(Released(self._log.mark(), names))
        finally:
            self._disowning = False

    def _shorten(self, now: float) -> None:
        """Has a long log begin with what it came to a minute ago, at least: what rates are counted from stays. One that
        is far too long begins with what it comes to now."""
        if self._length < self._following.compact_at:
            return
        here = self._replica.place
        if self._older is None or self._older[2].epoch != here.epoch:
            self._older = (now, self._replica.base(self._log.mark()), here)
        if self._length > 10 * self._following.compact_at:
            self._older = (-FOREVER, self._replica.base(self._log.mark()), here)
        if now - self._older[0] > WINDOW_S:
            _, base, place = self._older
            self._older = None
            self._log.compact(base, place)


def modes_of(halted: _Halted, strategies: Sequence[str], instruments: Sequence[str]) -> npt.NDArray[np.float64]:
    """Halts for other strategies and instruments, by name. One that is new is halted as far as all are that were told
    of: a halt of everything, or of a whole strategy, is one of those that come later, too."""
    modes = halted.modes.reshape(len(halted.strategies), len(halted.instruments))
    if not modes.size:
        return np.zeros((len(strategies), len(instruments)))
    rows = {name: modes[place] for place, name in enumerate(halted.strategies)}
    places = {name: place for place, name in enumerate(halted.instruments)}
    found = []
    for strategy in strategies:
        row = rows.get(strategy, modes.min(axis=0))
        found.append([row[places[name]] if name in places else row.min() for name in instruments])
    return np.array(found, dtype=np.float64).reshape(len(strategies), len(instruments))


_FASTER = f"other workers were faster {ATTEMPTS} times in a row. Ask again."
_BEHIND = (
    "this worker's facts do not know what other workers hold ({cause}). Nothing is granted here until it has loaded "
    "facts that do."
)
_FULL = Reason(
    FULL,
    "as many orders are at work as there may be. Wait for some of them to be filled or cancelled, or raise "
    "risk.service.max_reservations.",
)


def is_past(decision: Decision) -> bool:
    """Whether an order that was let through leaves a value past its limit, and does not only reduce its line."""
    measured = decision.measured
    if measured is None or (measured.outcomes[measured.row] & REDUCING).any():
        return False
    return any(judged.value > judged.limit for judged in decision.rules)


def _refusal(asked: Asked, reason: Reason, versions: Versions) -> Decision:
    return Decision(asked, "refuse", 0, versions, 0.0, lambda: ((reason,), ()))
