"""What workers tell each other of the book they share: a log of reservations and what became of them.

Belongs here: entries, where a log begins, and the promise of who keeps one. Does not belong here: keeping it (adapters
do), or an engine that follows it (`shared.py`).

Entries are numbered from 1 within an epoch, which is one life of the log. Each has a mark of its own, so that a log
that lost its end, and went on otherwise, is told from the one that was known.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from math import inf
from typing import NamedTuple, Protocol

from trading.errors import StoreError
from trading.risk.book import Book
from trading.risk.decision import Asked

UNREACHABLE = "reservation_truth_unreachable"  # why nothing is granted that adds to the book
_DESK = "desk"  # what marks of the desk's own entries begin with; those that adapters make are hexadecimal


def desk_mark(mark: str) -> str:
    """A mark that no other entry has, made one of the desk's own."""
    return _DESK + mark[len(_DESK) :]


def is_of_desk(mark: str) -> bool:
    """Whether an entry is an announcement of the desk's own orders (`announced.py`)."""
    return mark.startswith(_DESK)


class Reserved(NamedTuple):
    """Headroom was granted for orders: `netted`, as one unit. `now` and `expires` are seconds of the workers' clock."""

    mark: str
    orders: tuple[Asked, ...]
    netted: bool
    now: float
    expires: float


class Filled(NamedTuple):
    """A fill: `asked` has the contracts filled and the order's id or none. `fill_id` tells it from others, where it is
    given: told twice, it counts once."""

    mark: str
    asked: Asked
    now: float
    fill_id: str = ""


class Released(NamedTuple):
    """Orders give back what they still hold: somebody withdrew them, or (`expired`) their time was over."""

    mark: str
    names: tuple[str, ...]
    expired: bool = False


class OnRecord(NamedTuple):
    """What a ledger says beside its book, instants in seconds of the workers' clock. `working`: the desk's own orders,
    with what is left of each. `fill_ids`: fills that the book has. `as_of`: when the broker was last asked for fills:
    those told here until then are in the book (infinite: all are). `at`: when the ledger last changed. `orders` of the
    session, those of `working` included; None: the book's own and these."""

    working: tuple[Asked, ...] = ()
    fill_ids: tuple[str, ...] = ()
    as_of: float = inf
    at: float = 0.0
    orders: int | None = None


class Booked(NamedTuple):
    """The book of a session as its ledger has it takes the place of the one so far, with fills told here that it has
    not, and with the orders that are at work there. Orders that were granted here stay."""

    mark: str
    session: date
    book: Book
    record: OnRecord = OnRecord()


Entry = Reserved | Filled | Released | Booked


class Place(NamedTuple):
    """A place in a log: after entry `number` of an epoch, whose mark it has; 0 and the base's at the beginning."""

    epoch: str
    number: int
    mark: str


@dataclass(frozen=True, slots=True)
class Base:
    """What a log begins with: everything at one of its places. `book` has the positions there, `units` what orders at
    work still hold, the oldest first, and `orders` of the session are counted in the book. `fill_ids` are those that
    count already. `lost`: the place in the log before that the base is of, where that log was lost; then nothing is
    granted before `ready`, seconds of the workers' clock, so that who knows more of it can say so. Before `unsure`,
    some of the units may be given back already: they are of what was written down elsewhere. `told`: fills in the book
    that the next ledger may not have. `desk`: orders of units that are the desk's own, and `recorded` when the ledger
    that said so last changed."""

    mark: str
    session: date
    book: Book
    units: tuple[Reserved, ...] = ()
    fill_ids: tuple[str, ...] = ()
    lost: Place | None = None
    ready: float = 0.0
    unsure: float = 0.0
    told: tuple[Filled, ...] = ()
    desk: tuple[str, ...] = ()
    recorded: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a log said. `added`: the entry is its last one. Else `missed` is what it has behind the place that was
    asked about, after `base` where that place is before it. `end` is the place of the last entry, and `length` how many
    entries there are after the base."""

    added: bool
    end: Place
    length: int
    missed: tuple[Entry, ...] = ()
    base: Base | None = None


class LogLost(StoreError):
    """There is no log, or not the one that was asked about: it never had that place, or has lost it."""


class Log(Protocol):
    """A log of reservations. Raises LogLost; StoreUnavailable where it cannot be reached or may not be written, and
    then an entry may have been added nevertheless; StoreBusy."""

    def mark(self) -> str:
        """A mark that no other entry has."""
        ...

    def append(self, entry: Entry, at: Place) -> Answer:
        """Adds an entry if the log ends at a place, in one step for everybody; else says what was missed."""
        ...

    def since(self, at: Place | None) -> Answer:
        """What the log has behind a place; None: all of it, with its base."""
        ...

    def begin(self, base: Base, instead: Place | None) -> Answer:
        """Begins a new epoch with a base, if the log still ends at `instead`; None: if there is none. What is there
        where another was faster."""
        ...

    def compact(self, base: Base, at: Place) -> bool:
        """Has the log begin with a base, which is everything up to a place of it; False where it is not there."""
        ...
