"""Everything the business needs from the world, on one page.

Belongs here: Protocols and the small values that cross them. Does not belong here: any adapter, or a calculation (none
of which imports this module: it is for `assets/`, `checks/`, `pipelines/` and `resources/`).

An adapter keeps these promises whatever it is made of; `tests/contracts/` holds one suite per port, run against all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, runtime_checkable

import pyarrow as pa

from trading.book.journal import Event, Head
from trading.book.orders import Ended, Fill, Order
from trading.book.statements import Statement
from trading.continuity.manifest import Identity, Manifest
from trading.continuity.retention import Retention
from trading.frames import Dataset
from trading.market.instruments import ExchangeGroup, FxPair, Instrument, RollParameters
from trading.market.sessions import SessionCalendar
from trading.risk.decision import Decision
from trading.risk.kept import About, Kept, Torn, Wanted
from trading.risk.reservations import Log

if TYPE_CHECKING:
    from trading.config.drift import Named
    from trading.config.models import DeskSettings


# --- frames -----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Span:
    """Sessions `first` to `last`, both included, and with `series` only those values of the dataset's first series
    column."""

    first: date
    last: date
    series: tuple[str, ...] | None = None

    @classmethod
    def session(cls, session: date) -> Span:
        """One session, every series."""
        return cls(session, session)


@dataclass(frozen=True, slots=True)
class Version:
    """One write to a dataset. `number` grows by one a write; `written_at` is UTC; `note` is what the writer said."""

    dataset: str
    number: int
    written_at: datetime
    note: Mapping[str, str] = field(default_factory=dict)


AsOf = int | datetime | None  # a version number, an instant (UTC), or None for the newest


@runtime_checkable
class FrameStore(Protocol):
    """Datasets by session. Every write is a version, readers see whole versions only, and any older version can be
    read for as long as the store lives.

    Raises DatasetNotFound (reading what was never written), VersionNotFound, SchemaMismatch, StoreUnavailable (cannot
    be reached, disk full), StoreBusy (another writer holds the dataset longer than the adapter waits).
    """

    def replace(self, dataset: Dataset, rows: pa.Table, span: Span, note: Mapping[str, str] | None = None) -> Version:
        """Makes `rows` all there is of the dataset within `span`, atomically. Rows outside the span raise
        SchemaMismatch. Replacing with equal rows adds no version. Append-only datasets refuse (SchemaMismatch)."""
        ...

    def append(self, dataset: Dataset, rows: pa.Table, note: Mapping[str, str] | None = None) -> Version:
        """Adds the rows whose content (all columns but `loaded_at`) is not there yet, atomically; with none new, no
        version. Only for append-only datasets. Safe to repeat and safe from two processes at once."""
        ...

    def history(
        self,
        dataset: Dataset,
        *,
        through: date,
        since: date | None = None,
        series: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        as_of: AsOf = None,
    ) -> pa.Table:
        """Rows of sessions up to and including `through`, in key order. `series` selects values of the first series
        column. An `as_of` instant before the first write raises VersionNotFound."""
        ...

    def latest(
        self, dataset: Dataset, *, through: date, rows: int = 1, series: Sequence[str] | None = None
    ) -> pa.Table:
        """The last `rows` rows of each series at or before the session `through`, in key order."""
        ...

    def versions(self, dataset: Dataset) -> list[Version]:
        """All versions, oldest first; empty if nothing was ever written."""
        ...

    def content_hash(self, dataset: Dataset, as_of: AsOf = None) -> str:
        """`trading.frames.content_hash` of the whole dataset."""
        ...

    def stored_hash(self, dataset: Dataset, as_of: AsOf = None) -> str:
        """SHA-256 over all that is stored of a version, to the last byte: what tells that somebody touched it."""
        ...

    def written(self) -> list[str]:
        """Names of datasets that have at least one version, sorted."""
        ...


@runtime_checkable
class Sql(Protocol):
    """Read-only queries over every dataset by its name, the ledger's projections and the journal."""

    def query(self, sql: str, as_of: AsOf = None) -> pa.Table:
        """The answer to one SELECT; `as_of` holds for every dataset it names. A dataset that was never written has no
        rows. Raises UsageError, with the reason, on anything but one query."""
        ...

    def tables(self) -> Sequence[str]:
        """Names a query may use, sorted."""
        ...


# --- the book ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a batch: events that were new, events already there, and the ledger's entries after it."""

    new: int
    repeated: int
    sequence: int


class Entry(NamedTuple):
    """An event with its place in the journal: its number in its stream, counted from 1 without gaps. The last entry of
    a batch has the batch's link (trading.book.journal.link), the others none. `text` is its record text as the store
    holds it, where that may say the same in other bytes; None where it is what the event's is."""

    stream: str
    number: int
    event: Event
    link: str | None = None
    text: str | None = None

    def record_text(self) -> str:
        """The bytes that the chain covers. Raises ValueError on a number that is not finite."""
        return self.event.record_text() if self.text is None else self.text


@dataclass(frozen=True, slots=True)
class Health:
    """Whether a backend answers as it should, what it is, and what to do where it does not."""

    well: bool
    backend: str
    detail: str
    cure: str = ""


@runtime_checkable
class Ledger(Protocol):
    """The append-only journal in streams, and its tables (trading.book.journal.PROJECTIONS), changed in one
    transaction.

    Raises EventConflict (an id used before with other content), IllegalMove (an order or a close cannot go there): then
    nothing of the batch is recorded; StoreUnavailable, StoreBusy, LedgerSchemaError (written by another version).
    """

    def record(self, events: Sequence[Event]) -> Recorded:
        """Records a batch, all or nothing, durable when it returns. An event id already there is skipped. Writers of
        different streams do not wait for each other; those of one stream are put in order."""
        ...

    def entries(
        self,
        *,
        after: Mapping[str, int] | None = None,
        kinds: Sequence[str] | None = None,
        through: date | None = None,
        streams: Sequence[str] | None = None,
        upto: Mapping[str, int] | None = None,
    ) -> Iterator[Entry]:
        """Entries by stream and number: those after a number of their stream, of some kinds, of sessions up to
        `through`, of some streams, or only of the streams `upto` names and up to the numbers it gives."""
        ...

    def rows(self, projection: str, where: Mapping[str, object] | None = None) -> list[dict[str, object]]:
        """Rows of a projection whose columns equal `where`, in key order."""
        ...

    def heads(self) -> Mapping[str, Head]:
        """Where every stream stands, by name, at one moment."""
        ...

    def sequence(self) -> int:
        """Entries of all streams; 0 when empty."""
        ...

    def content_hash(self) -> str:
        """`trading.book.journal.content_hash` of all streams: equal journals, equal hash, on every adapter."""
        ...

    def search(self, text: str, limit: int = 50) -> list[Entry]:
        """Entries that hold all words of `text` (any case), the newest first: orders and the audit trail, that is
        every kind but `fill`. Without a word, none."""
        ...

    def health(self) -> Health:
        """Whether it answers, is writable and of this version's schema; never raises."""
        ...

    def migrate(self) -> str:
        """Brings a ledger of an older schema to this version's, keeping what was there, and says what was done. Raises
        LedgerSchemaError on a newer one, and on one that was changed since it was written."""
        ...


class Correction(NamedTuple):
    """A fill told anew, under the id it was first told by, and which version of it this is: 1, 2, ..."""

    fill: Fill
    version: int


@runtime_checkable
class Broker(Protocol):
    """Who executes. A failed answer raises BrokerError and is never an empty statement."""

    name: str

    def ready(self, orders: Sequence[Order]) -> None:
        """Raises LiveRefused where these orders may not be sent as things stand. Asked before they are recorded, so
        that what is refused is not half done; sends nothing."""
        ...

    def place(self, orders: Sequence[Order]) -> None:
        """Hands over orders; an order id already known is not placed twice. Raises LiveRefused as `ready`."""
        ...

    def cancel(self, order_ids: Sequence[str]) -> None:
        """Withdraws orders that are not filled; unknown or filled ids are left as they are."""
        ...

    def fills(self, session: date) -> list[Fill]:
        """The broker's fills of a session, in order, the same each time it is asked."""
        ...

    def corrections(self, session: date) -> list[Correction]:
        """Fills of a session that the broker has told anew since it first told them, if it does that."""
        ...

    def ended(self, order_ids: Sequence[str], session: date) -> list[Ended]:
        """Which of these orders it holds no longer, as of the session, without having filled all of them. An order it
        cannot tell about is not among them."""
        ...

    def statement(self, session: date) -> Statement | None:
        """Positions and cash at the session's close, or None where the broker has no statement for it (yet)."""
        ...


# --- reference data ---------------------------------------------------------------------------------------------------
@runtime_checkable
class ReferenceStore(Protocol):
    """Effective-dated reference data, versioned by content. Raises ReferenceDataError, BadInput."""

    def instruments(self, on: date) -> Mapping[str, Instrument]:
        """Instruments as in force on a date, by code."""
        ...

    def roll_parameters(self, on: date) -> Mapping[str, RollParameters]:
        """Roll parameters as in force on a date, by instrument code."""
        ...

    def fx_pairs(self) -> Sequence[FxPair]:
        """Known currency pairs."""
        ...

    def exchange_groups(self) -> Mapping[str, ExchangeGroup]:
        """Exchange groups by name."""
        ...

    def calendar(self, group: str, first: date, last: date) -> SessionCalendar:
        """Open sessions of an exchange group between two dates, overrides applied. Calendar libraries are imported
        on the first call only."""
        ...

    def content_hash(self) -> str:
        """SHA-256 over all reference files."""
        ...

    def files(self) -> Mapping[str, bytes]:
        """All reference files by name, `<place>/<file>`: what a store that reads them again needs."""
        ...


# --- vendors ----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Request:
    """What to ask of a vendor: rows labelled from the date `since` to `until` (None: all there is), of these
    instruments (None: all). FX and calendars ignore the instruments."""

    instruments: tuple[str, ...] | None = None
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """One series a vendor could not answer for, and why."""

    series: str
    reason: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """A vendor's answer for one raw dataset: rows (the dataset's columns but `session` and `loaded_at`, which the
    desk adds), the series it has no data for, and the series it failed on. The three never overlap."""

    rows: pa.Table
    no_data: tuple[str, ...] = ()
    failed: tuple[Failure, ...] = ()


@runtime_checkable
class PriceVendor(Protocol):
    """A source of market data. Raises BadInput (a file is wrong), VendorError (nothing could be answered at all)."""

    name: str
    delivers: tuple[str, ...]  # names of the raw datasets it has

    def instruments(self) -> Sequence[str]:
        """Instrument codes it has, sorted."""
        ...

    def fetch(self, dataset: Dataset, request: Request) -> Delivery:
        """Rows of one raw dataset. `known_at` is set by the vendor's stated rule for history."""
        ...


# --- hot values and files ---------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """Counts since the cache was made, and entries held now."""

    hits: int
    misses: int
    evictions: int
    entries: int


@runtime_checkable
class Cache(Protocol):
    """Bytes by key, with an age in seconds; losing it loses nothing. Bounded: the least recently used go first.

    A cache that cannot be reached answers like an empty one and drops writes; it logs that, once a minute at most.
    """

    def get(self, key: str) -> bytes | None:
        """The value, or None if absent or too old."""
        ...

    def set(self, key: str, value: bytes, age_s: float | None = None) -> None:
        """Keeps a value, for `age_s` seconds at most."""
        ...

    def delete(self, key: str) -> None:
        """Forgets a key; absent is fine."""
        ...

    def load(self, key: str, loader: Callable[[], bytes], age_s: float | None = None) -> bytes:
        """The value, or what `loader` gives, called once however many ask at the same time in this process."""
        ...

    def publish(self, channel: str, message: bytes) -> None:
        """Sends to whoever subscribes now."""
        ...

    def subscribe(self, channel: str) -> AbstractContextManager[Iterator[bytes]]:
        """While the context is open, iterating yields messages published on the channel, waiting for each."""
        ...

    def statistics(self) -> CacheStatistics:
        """Hits, misses, evictions, entries."""
        ...


@runtime_checkable
class BlobStore(Protocol):
    """Bytes under their SHA-256. A put is atomic; a get of damaged bytes raises StoreError, of unknown ones
    DatasetNotFound."""

    def put(self, content: bytes) -> str:
        """Keeps bytes (once) and returns their hex digest."""
        ...

    def get(self, digest: str) -> bytes:
        """The bytes, checked against their digest."""
        ...

    def exists(self, digest: str) -> bool:
        """Whether they are held."""
        ...

    def digests(self) -> Iterable[str]:
        """All held, sorted."""
        ...

    def delete(self, digest: str) -> None:
        """Forgets them; absent is fine."""
        ...


@runtime_checkable
class Signer(Protocol):
    """Signs with a key of the desk's own. Raises KeyMissing where there is none to sign or to check with."""

    @property
    def key_id(self) -> str:
        """The fingerprint of the key that signs now."""
        ...

    def sign(self, message: bytes) -> bytes:
        """The signature of a message."""
        ...

    def verify(self, key_id: str, message: bytes, signature: bytes) -> bool:
        """Whether the key of that fingerprint signed exactly this message."""
        ...


# --- backups ----------------------------------------------------------------------------------------------------------
Progress = Callable[[int, int, str], None]  # done, total, what is being done


@dataclass(frozen=True, slots=True)
class Taken:
    """A snapshot that was taken, files whose content was new to the destination, files reused, and bytes added."""

    manifest: Manifest
    new: int
    reused: int
    new_bytes: int


@runtime_checkable
class Backups(Protocol):
    """Snapshots of a desk's home. Raises BackupError (a snapshot is missing, damaged, or came back different),
    StoreBusy, StoreUnavailable."""

    destination: Path

    def take(self, identity: Identity, at: datetime, progress: Progress = ...) -> Taken:
        """A new snapshot, complete when it returns; `at` is UTC. Stopped at any point, it leaves none."""
        ...

    def names(self) -> Sequence[str]:
        """Names of all there are, oldest first, damaged ones too."""
        ...

    def snapshots(self) -> Sequence[Manifest]:
        """All there are, oldest first. Raises BackupError if one is damaged."""
        ...

    def prune(self, policy: Retention, now: datetime) -> Sequence[str]:
        """Deletes the snapshots that the policy lets go, and what only they held. Returns their names.

        Raises BackupError, and deletes nothing, while a damaged manifest does not tell what it needs.
        """
        ...

    def restore(self, name: str, into: Path, progress: Progress = ...) -> Manifest:
        """Makes `into` the home that was, verified, or leaves it as it was. Raises UsageError if it is not empty."""
        ...


# --- configuration ----------------------------------------------------------------------------------------------------
@runtime_checkable
class Configurations(Protocol):
    """What configures a desk: what its files say, and what is in force, which may be something else. All raise
    ConfigError with everything that is wrong."""

    def files(self) -> DeskSettings:
        """What the files say now."""
        ...

    def in_force(self) -> tuple[Named, DeskSettings] | None:
        """What runs use now, and by what it is named; None where nothing was ever put in force and files are not."""
        ...

    def table(self, digest: str) -> bytes:
        """The table of symbols of that SHA-256, of a configuration that is in force or was."""
        ...


# --- risk -------------------------------------------------------------------------------------------------------------
@runtime_checkable
class DecisionLog(Protocol):
    """Decisions on orders, kept. Raises StoreUnavailable: what was not acknowledged then may or may not be kept."""

    def append(self, decisions: Sequence[Decision], about: About) -> int:
        """Keeps decisions of one call in their order, and acknowledges them: the end of this process by any means
        loses none of them. Returns how many it was given so far, which is the last one's number."""
        ...

    def read(self, wanted: Wanted = ...) -> Iterator[Kept]:
        """Those that are wanted, of every writer, the newest first."""
        ...

    def torn(self) -> Sequence[Torn]:
        """Places where something was begun and never acknowledged, or is damaged. Reading goes on around them."""
        ...

    def prune(self, keep_days: int, today: date) -> int:
        """Forgets sessions older than so many days; how many segments those were."""
        ...

    def flush(self) -> None:
        """Waits until all that was acknowledged survives a power cut too."""
        ...

    def close(self) -> None:
        """Flushes, and lets go of what is open."""
        ...


@runtime_checkable
class ReservationLog(Log, Protocol):
    """What workers tell each other of the book they share, in one order for all (trading.risk.reservations.Log)."""

    def close(self) -> None:
        """Lets go of what is open."""
        ...


# --- many workers -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Task:
    """What workers do: `function(state, item)`, where `state` is `prepare(shared)`, made once a worker before its first
    item. Functions are of modules that workers can import; `shared`, items and results can be pickled."""

    function: Callable[[Any, Any], Any]
    shared: Any
    prepare: Callable[[Any], Any]


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Limits:
    """When work is stopped: `deadline_s` seconds after it began, when a worker holds more than `memory_mb` megabytes of
    resident memory, or when `cancelled`, asked several times a second, says so. `starting_s`: so long at most, getting
    workers ready does not count for the deadline, where the cluster can tell when they are."""

    deadline_s: float | None = None
    memory_mb: float | None = None
    cancelled: Callable[[], bool] = _never
    starting_s: float = 0.0


NO_LIMITS = Limits()
Items = Sequence[Any] | Callable[[], Sequence[Any]]


@runtime_checkable
class Cluster(Protocol):
    """Workers that do one thing to many small items. No worker, file or state stays behind, however it ends.

    A worker that dies is replaced and its items are given out once more; when that happens again WorkerLost is raised.
    """

    workers: int

    def map(
        self, task: Task, items: Items, limits: Limits = ..., progress: Progress = ...
    ) -> Iterator[tuple[int, Any]]:
        """Results with the numbers of their items, as they are done, in any order. Work begins with the first `next`
        and is stopped, workers killed, by closing the iterator. A function that gives the items is called while workers
        get ready.

        Raises, after everything that was done has been given out: DeadlinePassed, MemoryCeilingPassed, Cancelled,
        WorkerLost, and what the task itself raised. Raises UsageError where task or items cannot be sent to workers,
        StoreUnavailable where the workers cannot be reached.
        """
        ...


# --- messages ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Notice:
    """One message to people."""

    level: Literal["info", "warning", "error"]
    title: str
    text: str
    facts: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class Notifier(Protocol):
    """Tells people. Never raises: a notifier that fails logs it and returns False."""

    def notify(self, notice: Notice) -> bool:
        """Sends; True when it was taken."""
        ...
