"""The shared book as one worker has it: an engine that follows entries of a log of reservations, one after another.

Belongs here: what each entry changes, and all of it as the base of a log. Does not belong here: reading or adding
entries (`shared.py`), or deciding (`engine.py`).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, KeysView, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from trading.errors import ConfigError, UsageError
from trading.risk.book import Book, Holding
from trading.risk.decision import Asked
from trading.risk.engine import FOREVER, RiskEngine
from trading.risk.market import Market
from trading.risk.reservations import Base, Booked, Entry, Filled, Place, Released, Reserved

REMEMBERED = 100_000  # fills that are known again
TAIL = 20_000  # entries kept for a log that is lost
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
    `unsure`: as of a base."""

    engine: RiskEngine
    place: Place
    session: date
    book: Book
    ready: float = 0.0
    unsure: float = 0.0
    positions: dict[Holding, int] = field(default_factory=dict)
    traded: dict[str, int] = field(default_factory=dict)
    units: dict[int, Unit] = field(default_factory=dict)
    unit_of: dict[str, int] = field(default_factory=dict)
    units_of: dict[str, set[int]] = field(default_factory=dict)
    fills: OrderedDict[str, None] = field(default_factory=OrderedDict)
    marks: OrderedDict[str, None] = field(default_factory=OrderedDict)
    names: OrderedDict[str, None] = field(default_factory=OrderedDict)
    tail: deque[tuple[int, Entry]] = field(default_factory=lambda: deque(maxlen=TAIL))
    held: int = 0
    numbered: int = 0
    earliest: float = FOREVER

    # --- what is known ------------------------------------------------------------------------------------------------
    def book_now(self) -> Book:
        """The book with what was filled since it was loaded."""
        positions = {key: count for key, count in self.positions.items() if count}
        orders = self.engine.session_orders
        return replace(self.book, positions=positions, traded_contracts=dict(self.traded), orders=orders)

    def base(self, mark: str) -> Base:
        """All of it."""
        units = tuple(_what_is_left(unit) for unit in self.units.values())
        return Base(mark, self.session, self.book_now(), units, tuple(self.fills), unsure=self.unsure)

    def left(self, order_id: str) -> int:
        """Contracts that an order still holds."""
        number = self.unit_of.get(order_id)
        return 0 if number is None else self.units[number].left[order_id]

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
        """Orders that were granted hold headroom here."""
        self.engine.adopt(entry.orders, entry.netted, entry.now, entry.expires)
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
        if entry.fill_id and entry.fill_id in self.fills:
            return
        self.engine.fill(asked, entry.now)
        if entry.fill_id:
            remember(self.fills, entry.fill_id, REMEMBERED)
        contracts, key = int(asked.quantity_contracts), (asked.strategy, asked.instrument, asked.contract)
        self.positions[key] = self.positions.get(key, 0) + contracts
        self.traded[asked.instrument] = self.traded.get(asked.instrument, 0) + abs(contracts)
        left = self.left(asked.order_id)
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
        self.engine.load(market, entry.book)
        self.engine.session_orders = entry.book.orders
        self.book, self.session = entry.book, entry.session
        self.positions, self.traded = dict(entry.book.positions), dict(entry.book.traded_contracts)


def replica_of(base: Base, place: Place, made: Callable[[Book], RiskEngine]) -> Replica:
    """What a base says, at its place; `made` gives an engine on a book. Raises UNKNOWN on what that does not know."""
    engine = made(base.book)
    replica = Replica(engine, place, base.session, base.book, base.ready, base.unsure)
    replica.positions.update(base.book.positions)
    replica.traded.update(base.book.traded_contracts)
    replica.fills.update(dict.fromkeys(base.fill_ids))
    for unit in sorted(base.units, key=lambda unit: unit.now):
        replica.hold(unit)
    engine.session_orders = base.book.orders
    return replica


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
