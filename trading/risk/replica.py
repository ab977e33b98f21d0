"""The shared book as one worker has it: an engine that follows entries of a log of reservations, one after another.

Belongs here: what each entry changes, and all of it as the base of a log. Does not belong here: reading or adding
entries (`shared.py`), or deciding (`engine.py`).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, KeysView, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import cast

from trading.errors import ConfigError, UsageError
from trading.risk.book import Book, Holding
from trading.risk.decision import Asked
from trading.risk.engine import FOREVER, RiskEngine
from trading.risk.market import Market
from trading.risk.reservations import (
    Answer,
    Base,
    Booked,
    Entry,
    Filled,
    OnRecord,
    Place,
    Released,
    Reserved,
    is_of_desk,
)

REMEMBERED = 100_000  # fills that are known again
TAIL = 20_000  # entries kept for a log that is lost
TOLD = 20_000  # fills that a ledger may not have yet
RECENT_S = 86_400.0  # a fill that the broker did not tell so long after it was told here, it never will
KNOWN = 2 * TAIL  # marks of entries and ids of orders that are known again: more than another worker tells of

UNKNOWN = (KeyError, UsageError, ConfigError)  # what engines raise of orders and positions they do not know


class Deaf:
    """In the place of an engine, where only what entries come to is asked for: it hears nothing of them."""

    session_orders = 0

    def adopt(self, orders: Sequence[Asked], netted: bool, now: float, expires: float) -> None:
        """Nothing."""

    def fill(self, asked: Asked, now: float) -> int:
        """Nothing."""
        return 0

    def release(self, order_id: str) -> int:
        """Nothing."""
        return 0

    def load(self, market: Market, book: Book) -> None:
        """Nothing."""


def _as_logged(book: Book, session: date) -> Book:
    return book


@dataclass(slots=True)
class Unit:
    """Orders that were granted together, and what each still holds."""

    reserved: Reserved
    left: dict[str, int]


@dataclass(slots=True, eq=False)
class Replica:
    """The book as the log has it at `place`, in `engine`. `book` is the last that was loaded; `positions` and `traded`
    have the fills since. `units` by number, `unit_of` orders that still hold anything, `units_of` numbers of units by
    the mark of their entry; `held` places of the engine.
    `earliest`: no order's time is over before. `ready`: nothing is granted before, seconds of the workers' clock;
    `unsure`, `told`, `desk`, `recorded`: as of a base. `local` gives a book of a session with what each worker knows by
    itself."""

    engine: RiskEngine
    place: Place
    session: date
    book: Book
    ready: float = 0.0
    unsure: float = 0.0
    local: Callable[[Book, date], Book] = _as_logged
    positions: dict[Holding, int] = field(default_factory=dict)
    traded: dict[str, int] = field(default_factory=dict)
    units: dict[int, Unit] = field(default_factory=dict)
    unit_of: dict[str, int] = field(default_factory=dict)
    units_of: dict[str, set[int]] = field(default_factory=dict)
    fills: OrderedDict[str, None] = field(default_factory=OrderedDict)
    marks: OrderedDict[str, None] = field(default_factory=OrderedDict)
    names: OrderedDict[str, None] = field(default_factory=OrderedDict)
    tail: deque[tuple[int, Entry]] = field(default_factory=lambda: deque(maxlen=TAIL))
    told: deque[Filled] = field(default_factory=lambda: deque(maxlen=TOLD))
    desk: set[str] = field(default_factory=set)
    recorded: float = 0.0
    held: int = 0
    numbered: int = 0
    earliest: float = FOREVER

    # --- what is known ------------------------------------------------------------------------------------------------
    def book_now(self) -> Book:
        """The book with what was filled since it was loaded."""
        return _with(self.book, self.positions, self.traded, self.engine.session_orders)

    def base(self, mark: str) -> Base:
        """All of it."""
        units = self.held_units()
        desk = tuple(sorted(self.desk & self.unit_of.keys()))
        return Base(
            mark, self.session, self.book_now(), units, tuple(self.fills), unsure=self.unsure, told=tuple(self.told),
            desk=desk, recorded=self.recorded,
        )  # fmt: skip

    def held_units(self) -> tuple[Reserved, ...]:
        """What orders at work still hold, as it would be granted now."""
        return tuple(_what_is_left(unit) for unit in self.units.values())

    def left(self, order_id: str) -> int:
        """Contracts that an order still holds."""
        number = self.unit_of.get(order_id)
        return 0 if number is None else self.units[number].left[order_id]

    def wrong_fill(self, asked: Asked) -> str:
        """Why a fill is not of the order it names; empty where it may be."""
        number = self.unit_of.get(asked.order_id)
        if number is None:
            return ""
        orders = self.units[number].reserved.orders
        order = next(order for order in orders if order.order_id == asked.order_id)
        if order[:3] == asked[:3]:
            return ""
        return (
            f"a fill of {asked.strategy}'s {asked.instrument}/{asked.contract} cannot be of order {asked.order_id}, "
            f"which is of {order.strategy}'s {order.instrument}/{order.contract}. Correct the order's id, or leave it "
            "out."
        )

    def over(self, now: float) -> tuple[str, ...]:
        """Orders whose time is over and that still hold anything."""
        if now < self.earliest:
            return ()
        ends = [(unit.reserved.expires, number) for number, unit in self.units.items()]
        self.earliest = min((end for end, _ in ends if end > now), default=FOREVER)
        units = [self.units[number] for end, number in ends if end <= now]
        if units:
            self.earliest = now  # until they are given back
        return tuple(name for unit in units for name, left in unit.left.items() if left)

    def of_marks(self, marks: KeysView[str]) -> tuple[str, ...]:
        """Orders of these entries that still hold anything."""
        numbers = sorted(number for mark in marks & self.units_of.keys() for number in self.units_of[mark])
        return tuple(name for number in numbers for name, left in self.units[number].left.items() if left)

    # --- what changes it ----------------------------------------------------------------------------------------------
    def take(self, entry: Entry, market: Market) -> None:
        """Follows the next entry; one that was followed already changes nothing but the place. Raises UNKNOWN on what
        the engine does not know."""
        if entry.mark not in self.marks:
            if isinstance(entry, Reserved):
                self.hold(entry)
            elif isinstance(entry, Filled):
                self._fill(entry)
            elif isinstance(entry, Released):
                self._release(entry.names)
            else:
                self._load(entry, market)
            remember(self.marks, entry.mark, KNOWN)
        self.place = Place(self.place.epoch, self.place.number + 1, entry.mark)
        self.tail.append((self.place.number, entry))

    def take_all(self, entries: Sequence[Entry], market: Market) -> None:
        """Follows entries. Raises as `take`."""
        for entry in entries:
            self.take(entry, market)

    def hold(self, entry: Reserved) -> None:
        """Orders that were granted hold headroom here. The desk's are of no minute, announced as in its journal."""
        self.engine.adopt(entry.orders, entry.netted, 0.0 if is_of_desk(entry.mark) else entry.now, entry.expires)
        parts = (entry.orders,) if entry.netted else tuple((order,) for order in entry.orders)
        for orders in parts:
            self.numbered += 1
            left = {order.order_id: int(order.quantity_contracts) for order in orders}
            self.units[self.numbered] = Unit(entry._replace(orders=orders), left)
            self.unit_of.update(dict.fromkeys(left, self.numbered))
            self.units_of.setdefault(entry.mark, set()).add(self.numbered)
            self.held += len(orders)
        for order in entry.orders:
            remember(self.names, order.order_id, KNOWN)
        self.earliest = min(self.earliest, entry.expires)

    def _fill(self, entry: Filled) -> None:
        asked = entry.asked
        if (entry.fill_id and entry.fill_id in self.fills) or self.wrong_fill(asked):  # of a worker that took it once
            return
        self.engine.fill(asked, entry.now)
        if entry.fill_id:
            remember(self.fills, entry.fill_id, REMEMBERED)
        self.told.append(entry)
        _move(asked, self.positions, self.traded)
        contracts, left = int(asked.quantity_contracts), self.left(asked.order_id)
        if left * contracts > 0:
            self._keep(asked.order_id, left - contracts if abs(contracts) < abs(left) else 0)

    def _release(self, names: Sequence[str]) -> None:
        for name in names:
            self.engine.release(name)
            if name in self.unit_of:
                self._keep(name, 0)

    def _keep(self, order_id: str, left: int) -> None:
        """What an order holds now; places of a unit are free when none of its orders holds anything."""
        number = self.unit_of[order_id]
        unit = self.units[number]
        unit.left[order_id] = left
        if not left:
            del self.unit_of[order_id]
        if not any(unit.left.values()):
            self.held -= len(unit.left)
            del self.units[number]
            others = self.units_of[unit.reserved.mark]
            others.discard(number)
            if not others:
                del self.units_of[unit.reserved.mark]

    def _load(self, entry: Booked, market: Market) -> None:
        again, orders = entry.session == self.session, self.engine.session_orders
        missing = missing_fills(self.told, entry.record)
        working = left_of(entry.record.working, missing)
        positions, traded = dict(entry.book.positions), dict(entry.book.traded_contracts)
        for each in missing:
            _move(each.asked, positions, traded)
        settled = self._settled(entry.record)
        self._release([*self.desk, *settled, *(order.order_id for order in working)])  # the next may not know them
        book = _with(entry.book, positions, traded, entry.book.orders)
        self.engine.load(market, self.local(book, entry.session))
        self.book, self.session, self.positions, self.traded = entry.book, entry.session, positions, traded
        self.told = deque(missing, TOLD)
        self.engine.session_orders = entry.book.orders
        self.hold_desk(entry.mark, entry.record._replace(working=working))
        if again:
            self.engine.session_orders = max(orders, self.engine.session_orders)

    def _settled(self, record: OnRecord) -> tuple[str, ...]:
        """Orders that the desk announced before its journal's last close: what became of them is in the book."""
        units = (unit for unit in self.units.values() if is_of_desk(unit.reserved.mark))
        return tuple(name for unit in units if unit.reserved.now < record.as_of for name in unit.left)

    def hold_desk(self, mark: str, record: OnRecord) -> None:
        """The desk's own orders are at work here from now on, and fills of its ledger count no second time."""
        self.desk, self.recorded = {order.order_id for order in record.working}, record.at
        if record.working:
            self.hold(Reserved(mark, record.working, False, 0.0, FOREVER))
        if record.orders is not None:
            self.engine.session_orders = record.orders
        for fill_id in record.fill_ids:
            remember(self.fills, fill_id, REMEMBERED)


def replica_of(
    base: Base, place: Place, made: Callable[[Book], RiskEngine], local: Callable[[Book, date], Book] = _as_logged
) -> Replica:
    """What a base says, at its place; `made` gives an engine on a book. Raises UNKNOWN on what that does not know."""
    engine = made(local(base.book, base.session))
    replica = Replica(engine, place, base.session, base.book, base.ready, base.unsure, local)
    replica.told.extend(base.told)
    replica.desk, replica.recorded = set(base.desk), base.recorded
    replica.positions.update(base.book.positions)
    replica.traded.update(base.book.traded_contracts)
    replica.fills.update(dict.fromkeys(base.fill_ids))
    for unit in sorted(base.units, key=lambda unit: unit.now):
        replica.hold(unit)
    engine.session_orders = base.book.orders
    return replica


def missing_fills(told: Iterable[Filled], record: OnRecord) -> list[Filled]:
    """Fills that the book of a ledger has not: told since the broker was last asked, unless they are named there; and
    of the day before that, those whose name it should have and has not."""
    named = set(record.fill_ids)
    since = record.as_of - RECENT_S
    return [
        each for each in told
        if each.fill_id not in named and each.now > (since if each.fill_id else record.as_of)
    ]  # fmt: skip


def left_of(working: Sequence[Asked], missing: Sequence[Filled]) -> tuple[Asked, ...]:
    """Orders of a ledger that are still at work once fills that it has not are counted."""
    found = []
    for order in working:
        done = sum(int(each.asked.quantity_contracts) for each in missing if each.asked[:3] == order[:3]
                   and each.asked.order_id == order.order_id)  # fmt: skip
        left = int(order.quantity_contracts) - done
        if left * order.quantity_contracts > 0:
            found.append(order._replace(quantity_contracts=left))
    return tuple(found)


def _move(asked: Asked, positions: dict[Holding, int], traded: dict[str, int]) -> None:
    """A fill changes positions and what was traded."""
    contracts, key = int(asked.quantity_contracts), (asked.strategy, asked.instrument, asked.contract)
    positions[key] = positions.get(key, 0) + contracts
    traded[asked.instrument] = traded.get(asked.instrument, 0) + abs(contracts)


def _with(book: Book, positions: Mapping[Holding, int], traded: Mapping[str, int], orders: int) -> Book:
    held = {key: count for key, count in positions.items() if count}
    return replace(book, positions=held, traded_contracts=dict(traded), orders=orders)


def followed(base: Base, answer: Answer, market: Market) -> Replica:
    """What a log comes to after a base of it, for who only looks at it: its engine hears of nothing."""
    place = Place(answer.end.epoch, answer.end.number - len(answer.missed), base.mark)
    replica = replica_of(base, place, lambda _: cast(RiskEngine, Deaf()))
    replica.take_all(answer.missed, market)
    return replica


def with_fills(book: Book, fills: Iterable[Filled]) -> Book:
    """A book after fills that it has not."""
    positions, traded = dict(book.positions), dict(book.traded_contracts)
    for each in fills:
        _move(each.asked, positions, traded)
    return _with(book, positions, traded, book.orders)


def remember(known: OrderedDict[str, None], name: str, most: int) -> None:
    """Remembers a name, and forgets the first one where there are more."""
    known[name] = None
    if len(known) > most:
        known.popitem(last=False)


def _what_is_left(unit: Unit) -> Reserved:
    """A unit as it would be granted now. Orders of it that hold nothing are not part of it any more."""
    orders = unit.reserved.orders
    left = [order._replace(quantity_contracts=unit.left[order.order_id]) for order in orders]
    return unit.reserved._replace(orders=tuple(order for order in left if order.quantity_contracts))
