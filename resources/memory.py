"""Every port in a dict: for tests, notebooks and rehearsals, held to the same contract suites as the real adapters.

Belongs here: adapters that keep everything in this process and lose it with it. Does not belong here: anything that
touches a disk or a network.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import astuple, dataclass, field
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from resources.frame_rows import (
    equal_content,
    fitted,
    in_key_order,
    inside,
    last_of_each_series,
    not_yet_there,
    require_kind,
    require_within,
    selected_columns,
    version_at,
)
from resources.journal_batch import Kept, Written, enter, newest_first, projection_of
from resources.single_flight import Channels, SingleFlight
from trading.book.fold import Place, Row, RowKey, Tables, View
from trading.book.journal import PROJECTIONS, Event, Head, Scalar, searchable, words
from trading.book.journal import content_hash as events_hash
from trading.book.orders import Ended, Fill, Order
from trading.book.statements import Statement
from trading.config.drift import Named
from trading.config.models import DeskSettings
from trading.errors import BrokerError, ConfigError, DatasetNotFound, StoreError, VendorError
from trading.frames import Dataset, content_hash
from trading.market.instruments import ExchangeGroup, FxPair, Instrument, RollParameters
from trading.market.sessions import SessionCalendar
from trading.ports import (
    AsOf,
    CacheStatistics,
    Correction,
    Delivery,
    Entry,
    Failure,
    Health,
    Notice,
    Recorded,
    Request,
    Span,
    Version,
)


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the time of a write is the store's own to say


# --- frames -----------------------------------------------------------------------------------------------------------
class MemoryFrames:
    """FrameStore in a dict of versions. `clock` gives the time of a write, UTC."""

    def __init__(self, clock: Callable[[], datetime] = _now) -> None:
        self._clock = clock
        self._versions: dict[str, list[tuple[Version, pa.Table]]] = {}
        self._lock = threading.RLock()

    def replace(self, dataset: Dataset, rows: pa.Table, span: Span, note: Mapping[str, str] | None = None) -> Version:
        """As the port."""
        require_kind(dataset, appending=False)
        rows = fitted(rows, dataset)
        require_within(rows, dataset, span)
        with self._lock:
            there = self._newest(dataset)
            if there is None:
                return self._write(dataset, rows, note)
            mask = inside(there, dataset, span)
            if equal_content(there.filter(mask), rows, dataset):
                return self._versions[dataset.name][-1][0]
            return self._write(dataset, pa.concat_tables([there.filter(pc.invert(mask)), rows]), note)

    def append(self, dataset: Dataset, rows: pa.Table, note: Mapping[str, str] | None = None) -> Version:
        """As the port."""
        require_kind(dataset, appending=True)
        rows = fitted(rows, dataset)
        with self._lock:
            there = self._newest(dataset)
            new = not_yet_there(rows, dataset.schema.empty_table() if there is None else there, dataset)
            if there is None:
                return self._write(dataset, new, note)
            if not new.num_rows:
                return self._versions[dataset.name][-1][0]
            return self._write(dataset, pa.concat_tables([there, new]), note)

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
        """As the port."""
        wanted = selected_columns(dataset, columns)
        span = Span(since or date.min, through, None if series is None else tuple(series))
        table = self._at(dataset, as_of)
        return table.filter(inside(table, dataset, span)).select(wanted)

    def latest(
        self, dataset: Dataset, *, through: date, rows: int = 1, series: Sequence[str] | None = None
    ) -> pa.Table:
        """As the port."""
        return last_of_each_series(self.history(dataset, through=through, series=series), dataset, rows)

    def versions(self, dataset: Dataset) -> list[Version]:
        """As the port."""
        return [version for version, _ in self._versions.get(dataset.name, [])]

    def content_hash(self, dataset: Dataset, as_of: AsOf = None) -> str:
        """As the port."""
        return content_hash(self._at(dataset, as_of), dataset)

    def stored_hash(self, dataset: Dataset, as_of: AsOf = None) -> str:
        """As the port."""
        table, sink = self._at(dataset, as_of), pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        return hashlib.sha256(sink.getvalue()).hexdigest()

    def written(self) -> list[str]:
        """As the port."""
        return sorted(self._versions)

    def _newest(self, dataset: Dataset) -> pa.Table | None:
        versions = self._versions.get(dataset.name)
        return versions[-1][1] if versions else None

    def _at(self, dataset: Dataset, as_of: AsOf) -> pa.Table:
        versions = self.versions(dataset)
        if not versions:
            raise DatasetNotFound(f"{dataset.name} was never written. Run the step that makes it first.")
        number = version_at(versions, dataset.name, as_of).number
        return self._versions[dataset.name][number][1]

    def _write(self, dataset: Dataset, rows: pa.Table, note: Mapping[str, str] | None) -> Version:
        versions = self._versions.get(dataset.name, [])
        at = self._clock()
        if versions:
            at = max(at, versions[-1][0].written_at + timedelta(microseconds=1))
        version = Version(dataset.name, len(versions), at, dict(note or {}))
        self._versions[dataset.name] = [*versions, (version, in_key_order(rows, dataset).combine_chunks())]
        return version


# --- the book ---------------------------------------------------------------------------------------------------------
class MemoryLedger:
    """Ledger in lists and dicts."""

    def __init__(self) -> None:
        self._entries: dict[str, list[Entry]] = {}
        self._events: dict[str, Event] = {}
        self._tables = Tables()
        self._lock = threading.RLock()

    def record(self, events: Sequence[Event]) -> Recorded:
        """As the port."""
        with self._lock:
            changed = _MemoryTransaction(self._entries, self._events, self._tables)
            batch = enter(changed, events, Kept(), careful=True)
            changed.commit()
            return batch.recorded

    def entries(
        self,
        *,
        after: Mapping[str, int] | None = None,
        kinds: Sequence[str] | None = None,
        through: date | None = None,
        streams: Sequence[str] | None = None,
        upto: Mapping[str, int] | None = None,
    ) -> Iterator[Entry]:
        """As the port."""
        for stream in sorted(self._entries):
            if (streams is not None and stream not in streams) or (upto is not None and stream not in upto):
                continue
            last = None if upto is None else upto[stream]
            for entry in list(self._entries[stream])[(after or {}).get(stream, 0) : last]:
                event = entry.event
                if (kinds is None or event.kind in kinds) and (through is None or event.session <= through):
                    yield entry

    def rows(self, projection: str, where: Mapping[str, object] | None = None) -> list[dict[str, object]]:
        """As the port."""
        projection_of(projection, where)
        rows = self._tables.tables[projection]
        found = [rows[key] for key in sorted(rows, key=lambda key: tuple(map(_sortable, key)))]
        return [dict(row) for row in found if all(row[name] == value for name, value in (where or {}).items())]

    def heads(self) -> Mapping[str, Head]:
        """As the port."""
        with self._lock:
            return {stream: Head(own[-1].number, own[-1].link or "") for stream, own in sorted(self._entries.items())}

    def sequence(self) -> int:
        """As the port."""
        return len(self._events)

    def content_hash(self) -> str:
        """As the port."""
        return events_hash({stream: (entry.event for entry in own) for stream, own in self._entries.items()})

    def search(self, text: str, limit: int = 50) -> list[Entry]:
        """As the port."""
        wanted = set(words(text))
        every = (entry for own in self._entries.values() for entry in own)
        found = [entry for entry in every if wanted and wanted <= set(searchable(entry.event))]
        return sorted(found, key=newest_first)[:limit]

    def health(self) -> Health:
        """As the port."""
        return Health(True, "memory", f"{self.sequence()} entries, lost with this process")

    def migrate(self) -> str:
        """As the port: there is nothing older."""
        return "the ledger in memory is of this version: nothing to do."


class _MemoryTransaction:
    """What a batch changes, kept aside until it is committed."""

    def __init__(self, entries: dict[str, list[Entry]], events: dict[str, Event], tables: Tables) -> None:
        self._entries, self._events, self._tables = entries, events, tables
        self._inserted: list[Entry] = []
        self._written: dict[Place, Row] = {}

    def heads(self, streams: Sequence[str], believed: Mapping[str, Head]) -> Mapping[str, Head]:
        """As the transaction."""
        there = {stream: self._entries[stream][-1] for stream in streams if stream in self._entries}
        return {stream: Head(entry.number, entry.link or "") for stream, entry in there.items()}

    def contents(self, event_ids: Sequence[str]) -> Mapping[str, str]:
        """As the transaction."""
        return {name: self._events[name].content() for name in event_ids if name in self._events}

    def rows(self, projection: str, keys: Sequence[RowKey]) -> Iterable[Row]:
        """As the transaction."""
        return [row for key in keys if (row := self._tables.row(projection, key)) is not None]

    def fills_of(self, strategy: str, instrument: str, contract: int) -> list[Row]:
        """As the transaction."""
        return self._tables.fills_of(strategy, instrument, contract)

    def insert(self, written: Sequence[Written]) -> None:
        """As the transaction."""
        self._inserted += [each.entry for each in written]

    def write(self, projection: str, rows: Sequence[Row], fresh: bool) -> None:
        """As the transaction."""
        names = PROJECTIONS[projection].key
        self._written |= {(projection, tuple(row[name] for name in names)): row for row in rows}

    def advance(self, moves: Mapping[str, tuple[Head, Head]]) -> None:
        """As the transaction: the ledger's lock is held."""

    def commit(self) -> None:
        """Makes all of it true."""
        for entry in self._inserted:
            self._entries.setdefault(entry.stream, []).append(entry)
            self._events[entry.event.event_id] = entry.event
        view = View(self._tables, dict(self._written), dict.fromkeys(self._written))
        self._tables.take(view)


def _sortable(value: Scalar) -> tuple[bool, Scalar]:
    return (value is not None, value)


class MemoryBroker:
    """Broker that fills each order when it is placed as `fill` says (None: not filled), by default all of it at its
    reference price without commission.

    `statements` are answered as given, None included; a session without one gets positions from the fills and no cash.
    Set `down` to a reason and every call raises BrokerError.
    """

    def __init__(
        self,
        fill: Callable[[Order], Fill | None] | None = None,
        statements: Mapping[date, Statement | None] | None = None,
        fills: Sequence[Fill] = (),
        name: str = "memory",
    ) -> None:
        self.name = name
        self.down: str | None = None
        self.statements = dict(statements or {})
        self.orders: dict[str, Order] = {}
        self._fill = fill or filled_at_reference
        self._fills = list(fills)
        self.ends: list[Ended] = []
        self._cancelled: set[str] = set()

    def ready(self, orders: Sequence[Order]) -> None:
        """As the port: always, it sends nothing anywhere."""

    def place(self, orders: Sequence[Order]) -> None:
        """As the port."""
        self._answer()
        for order in orders:
            if order.order_id not in self.orders:
                self.orders[order.order_id] = order
                self._fills += [fill for fill in [self._fill(order)] if fill is not None]

    def cancel(self, order_ids: Sequence[str]) -> None:
        """As the port."""
        self._answer()
        filled = {fill.order_id for fill in self._fills}
        self._cancelled |= {name for name in order_ids if name in self.orders and name not in filled}

    @property
    def working(self) -> list[Order]:
        """Orders that are neither filled nor withdrawn, in the order they were placed."""
        done = self._cancelled | {fill.order_id for fill in self._fills}
        return [order for order in self.orders.values() if order.order_id not in done]

    def fills(self, session: date) -> list[Fill]:
        """As the port."""
        self._answer()
        return [fill for fill in self._fills if fill.session == session]

    def corrections(self, session: date) -> list[Correction]:
        """As the port: none, a fill is what it was."""
        return []

    def ended(self, order_ids: Sequence[str], session: date) -> list[Ended]:
        """As the port: those of `ends`."""
        self._answer()
        return [end for end in self.ends if end.order_id in order_ids]

    def statement(self, session: date) -> Statement | None:
        """As the port."""
        self._answer()
        if session in self.statements:
            return self.statements[session]
        positions: dict[tuple[str, int], int] = {}
        for fill in self._fills:
            if fill.session <= session:
                item = (fill.instrument, fill.contract)
                positions[item] = positions.get(item, 0) + fill.quantity_contracts
        return Statement(self.name, session, {item: held for item, held in positions.items() if held})

    def _answer(self) -> None:
        if self.down is not None:
            raise BrokerError(f"broker {self.name} did not answer: {self.down}. Try again when it does.")


def filled_at_reference(order: Order) -> Fill | None:
    """All of an order, in its own session, at its reference price; None where it has none."""
    if order.reference_points is None:
        return None
    return Fill(
        fill_id=f"{order.order_id}/1",
        order_id=order.order_id,
        strategy=order.strategy,
        instrument=order.instrument,
        contract=order.contract,
        session=order.session,
        quantity_contracts=order.quantity_contracts,
        price_points=order.reference_points,
    )


# --- reference data and vendors ---------------------------------------------------------------------------------------
@dataclass(frozen=True)
class MemoryReference:
    """ReferenceStore made of values. Calendars not given are Monday to Friday."""

    instrument_rows: Sequence[Instrument] = ()
    roll_rows: Sequence[RollParameters] = ()
    pairs: Sequence[FxPair] = ()
    groups: Sequence[ExchangeGroup] = ()
    sessions: Mapping[str, Sequence[date]] = field(default_factory=dict)
    early_closes: Mapping[str, Sequence[date]] = field(default_factory=dict)

    def instruments(self, on: date) -> Mapping[str, Instrument]:
        """As the port."""
        rows = sorted(self.instrument_rows, key=lambda row: row.effective_from)
        return {row.code: row for row in rows if row.effective_from <= on}

    def roll_parameters(self, on: date) -> Mapping[str, RollParameters]:
        """As the port."""
        rows = sorted(self.roll_rows, key=lambda row: row.effective_from)
        return {row.instrument: row for row in rows if row.effective_from <= on}

    def fx_pairs(self) -> Sequence[FxPair]:
        """As the port."""
        return self.pairs

    def exchange_groups(self) -> Mapping[str, ExchangeGroup]:
        """As the port."""
        return {group.name: group for group in self.groups}

    def calendar(self, group: str, first: date, last: date) -> SessionCalendar:
        """As the port."""
        days = (first + timedelta(days=step) for step in range((last - first).days + 1))
        known = self.sessions.get(group)
        open_days = sorted(known) if known is not None else [day for day in days if day.weekday() < 5]
        inside_range = tuple(day for day in open_days if first <= day <= last)
        early = frozenset(self.early_closes.get(group, ())) & frozenset(inside_range)
        return SessionCalendar(group, first, last, inside_range, early)

    def content_hash(self) -> str:
        """As the port."""
        return hashlib.sha256(self.files()["0/values"]).hexdigest()

    def files(self) -> Mapping[str, bytes]:
        """As the port: all values as one text, for want of files."""
        return {"0/values": repr(astuple(self)).encode()}


class MemoryVendor:
    """PriceVendor that answers from given tables (the rows of a Delivery, by raw dataset name).

    `failing` maps a series to the reason it fails for; `down`, when set, makes every fetch raise VendorError. Asked-for
    series without a row are `no_data`.
    """

    def __init__(self, tables: Mapping[str, pa.Table], name: str = "memory") -> None:
        self.name = name
        self.delivers = tuple(sorted(tables))
        self.failing: dict[str, str] = {}
        self.down: str | None = None
        self._tables = dict(tables)

    def instruments(self) -> Sequence[str]:
        """As the port."""
        tables = [table for table in self._tables.values() if "instrument" in table.column_names]
        return sorted({code for table in tables for code in pc.unique(table["instrument"]).to_pylist()})

    def fetch(self, dataset: Dataset, request: Request) -> Delivery:
        """As the port. Raises VendorError on a dataset it does not deliver."""
        if self.down is not None:
            raise VendorError(f"vendor {self.name} did not answer: {self.down}. Try again when it does.")
        if dataset.name not in self._tables:
            raise VendorError(f"vendor {self.name} does not deliver {dataset.name}, only {', '.join(self.delivers)}.")
        names = dataset.series[-1] if dataset.name == "raw_fx_rates" else "instrument"
        table = _asked_for(self._tables[dataset.name], request, names)
        asked = list(request.instruments or ()) if names == "instrument" else []
        failed = [series for series in asked or pc.unique(table[names]).to_pylist() if series in self.failing]
        rows = table.filter(pc.invert(pc.is_in(table[names], value_set=pa.array(failed, pa.string()))))
        there = set(rows[names].to_pylist())
        return Delivery(
            rows,
            no_data=tuple(series for series in asked if series not in there and series not in failed),
            failed=tuple(Failure(series, self.failing[series]) for series in failed),
        )


def _asked_for(table: pa.Table, request: Request, names: str) -> pa.Table:
    days = table["stamp"].cast(pa.date32())
    if request.since is not None:
        table, days = (held.filter(pc.greater_equal(days, pa.scalar(request.since))) for held in (table, days))
    if request.until is not None:
        table = table.filter(pc.less_equal(days, pa.scalar(request.until)))
    if request.instruments is None or names != "instrument":
        return table
    return table.filter(pc.is_in(table[names], value_set=pa.array(request.instruments, pa.string())))


# --- hot values, files, messages --------------------------------------------------------------------------------------
class MemoryCache:
    """Cache in an ordered dict, one lock around everything. `clock` counts seconds."""

    def __init__(self, max_entries: int = 10_000, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_entries, self._clock = max_entries, clock
        self._held: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._lock = threading.RLock()
        self._flights, self._channels = SingleFlight(), Channels()
        self._hits = self._misses = self._evictions = 0

    def get(self, key: str) -> bytes | None:
        """As the port."""
        with self._lock:
            value, until = self._held.get(key, (None, 0.0))
            if value is None or self._clock() >= until:
                self._held.pop(key, None)
                self._misses += 1
                return None
            self._held.move_to_end(key)
            self._hits += 1
            return value

    def set(self, key: str, value: bytes, age_s: float | None = None) -> None:
        """As the port."""
        with self._lock:
            self._held[key] = (value, self._clock() + (float("inf") if age_s is None else age_s))
            self._held.move_to_end(key)
            while len(self._held) > self._max_entries:
                self._held.popitem(last=False)
                self._evictions += 1

    def delete(self, key: str) -> None:
        """As the port."""
        with self._lock:
            self._held.pop(key, None)

    def load(self, key: str, loader: Callable[[], bytes], age_s: float | None = None) -> bytes:
        """As the port."""
        value = self.get(key)
        return value if value is not None else self._flights.do(key, lambda: self._loaded(key, loader, age_s))

    def publish(self, channel: str, message: bytes) -> None:
        """As the port."""
        self._channels.publish(channel, message)

    def subscribe(self, channel: str) -> AbstractContextManager[Iterator[bytes]]:
        """As the port; iterating ends when the context closes."""
        return self._channels.subscribe(channel)

    def statistics(self) -> CacheStatistics:
        """As the port."""
        with self._lock:
            return CacheStatistics(self._hits, self._misses, self._evictions, len(self._held))

    def _loaded(self, key: str, loader: Callable[[], bytes], age_s: float | None) -> bytes:
        there, until = self._held.get(key, (None, 0.0))
        if there is not None and self._clock() < until:  # somebody finished between our miss and our turn
            return there
        value = loader()
        self.set(key, value, age_s)
        return value


class MemoryBlobs:
    """BlobStore in a dict."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}

    def put(self, content: bytes) -> str:
        """As the port."""
        digest = hashlib.sha256(content).hexdigest()
        self._blobs.setdefault(digest, bytes(content))
        return digest

    def get(self, digest: str) -> bytes:
        """As the port."""
        if digest not in self._blobs:
            raise DatasetNotFound(f"no blob {digest} is held. Restore it from a backup.")
        content = self._blobs[digest]
        if hashlib.sha256(content).hexdigest() != digest:
            raise StoreError(f"blob {digest} is damaged: its bytes have another hash. Restore it from a backup.")
        return content

    def exists(self, digest: str) -> bool:
        """As the port."""
        return digest in self._blobs

    def digests(self) -> Iterable[str]:
        """As the port."""
        return sorted(self._blobs)

    def delete(self, digest: str) -> None:
        """As the port."""
        self._blobs.pop(digest, None)

    def damage(self, digest: str) -> None:
        """Spoils a blob, for rehearsing what a backup does then."""
        self._blobs[digest] += b"?"


class MemoryNotifier:
    """Notifier that keeps what it was told, in `told`. Set `broken` and it takes nothing more."""

    def __init__(self) -> None:
        self.told: list[Notice] = []
        self.broken = False

    def notify(self, notice: Notice) -> bool:
        """As the port."""
        if not self.broken:
            self.told.append(notice)
        return not self.broken


class MemoryConfigurations:
    """Configurations in values: text instead of settings is why they cannot be read. `version` and `since` name what is
    in force; `tables` are those that are kept."""

    def __init__(
        self,
        on_disk: DeskSettings | str,
        now: DeskSettings | str | None = None,
        version: int | None = 1,
        since: datetime | None = None,
        tables: Sequence[bytes] = (),
    ) -> None:
        self.on_disk, self.now, self.version, self.since = on_disk, now, version, since
        self._tables = {hashlib.sha256(table).hexdigest(): table for table in tables}

    def files(self) -> DeskSettings:
        """As the port."""
        return _readable(self.on_disk)

    def in_force(self) -> tuple[Named, DeskSettings] | None:
        """As the port."""
        if self.now is None:
            return None
        found = _readable(self.now)
        return Named(found.content_hash(), self.version, self.since), found

    def table(self, digest: str) -> bytes:
        """As the port."""
        if digest not in self._tables:
            raise ConfigError(f"the table of symbols {digest[:12]} is not kept. Run the same command again.")
        return self._tables[digest]


def _readable(found: DeskSettings | str) -> DeskSettings:
    if isinstance(found, str):
        raise ConfigError(found)
    return found
