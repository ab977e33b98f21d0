"""The ledger in one SQLite file: the journal in streams, and a table for each projection, changed in one transaction.

Belongs here: tables, transactions and what SQLite's errors mean. Does not belong here: what an event does to a
projection (`trading/book/fold.py`), or the procedure of a batch (`journal_batch.py`).

The file survives kill -9 and power cuts (write-ahead log, synchronous=FULL). Projections are folds of the journal: when
their declaration changes, they are folded anew from it on the next opening. A file of an older schema is refused until
`migrate` has brought it here.
"""

from __future__ import annotations

import json
import random
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path

from resources.disk_errors import refusal
from resources.journal_batch import (
    PAGE,
    HeadMoved,
    Kept,
    Repeated,
    Written,
    enter,
    newest_first,
    paged,
    projection_of,
    refuse_schema,
)
from trading.book.fold import Row, RowKey, folded
from trading.book.journal import PROJECTIONS, SCHEMA, Event, Head, Projection, content_hash, searchable, words
from trading.book.migrations import MIGRATED_BATCH, upgraded
from trading.errors import DaybookError, LedgerError, StoreBusy, StoreUnavailable
from trading.ports import Entry, Health, Recorded

_TABLES = """
create table meta (name text primary key, value text not null) strict, without rowid;
create table heads (
    stream text primary key, number integer not null check (number > 0), link text not null check (length(link) = 64)
) strict, without rowid;
create table journal (
    stream text not null, number integer not null check (number > 0), event_id text not null unique,
    kind text not null, session text not null check (session is date(session)), at text not null, actor text not null,
    cause text, correlation text, payload text not null check (json_valid(payload)),
    link text check (length(link) = 64), primary key (stream, number)
) strict, without rowid;
create virtual table words using fts5(
    said, stream unindexed, number unindexed, tokenize = "unicode61 remove_diacritics 0", detail = none
)
"""
_TURN = threading.Event()  # never set: what waiting for a turn waits on
_COLUMNS = "stream, number, event_id, kind, session, at, actor, cause, correlation, payload, link"
_INSERT = f"insert into journal ({_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class SqliteLedger:
    """Ledger in the file `path`. A writer waits `wait_s` for another one, then StoreBusy."""

    def __init__(self, path: Path, wait_s: float = 30.0) -> None:
        self.path = Path(path)
        self._wait_s = wait_s
        self._opened: sqlite3.Connection | None = None
        self._lock = threading.RLock()
        self._kept = Kept()

    def record(self, events: Sequence[Event]) -> Recorded:
        """As the port."""
        with self._lock:
            try:
                return self._enter(events, careful=False)
            except (Repeated, HeadMoved):
                return self._enter(events, careful=True)

    def _enter(self, events: Sequence[Event], careful: bool) -> Recorded:
        with self._translated():
            try:
                with self._transaction() as database:
                    batch = enter(_SqliteTransaction(database), events, self._kept, careful)
            except BaseException:
                self._kept = Kept()
                raise
            return batch.settle(self._kept)

    def entries(
        self,
        *,
        after: Mapping[str, int] | None = None,
        kinds: Sequence[str] | None = None,
        through: date | None = None,
        streams: Sequence[str] | None = None,
        upto: Mapping[str, int] | None = None,
    ) -> Iterator[Entry]:
        """As the port. Read page by page: a slow reader holds nobody up."""
        conditions, values = _conditions(kinds, through)
        query = (
            f"select {_COLUMNS} from journal where stream = ? and number > ? and number <= ?{conditions} "
            f"order by number limit {PAGE}"
        )

        def page_of(stream: str, place: int, last: int) -> list[Entry]:
            with self._reading() as database:
                return [_entry(row) for row in database.execute(query, (stream, place, last, *values))]

        yield from paged(self.heads(), page_of, after, streams, upto)

    def rows(self, projection: str, where: Mapping[str, object] | None = None) -> list[dict[str, object]]:
        """As the port."""
        declared = projection_of(projection, where)
        equal = " and ".join(f"{name} is ?" for name in where or {}) or "true"
        query = (
            f"select {', '.join(declared.columns)} from {declared.name} where {equal} order by {_list(declared.key)}"
        )
        with self._reading() as database:
            found = database.execute(query, tuple((where or {}).values())).fetchall()
        return [dict(zip(declared.columns, row, strict=True)) for row in found]

    def heads(self) -> Mapping[str, Head]:
        """As the port."""
        with self._reading() as database:
            found = database.execute("select stream, number, link from heads order by stream").fetchall()
        return {stream: Head(number, link) for stream, number, link in found}

    def sequence(self) -> int:
        """As the port."""
        return sum(head.number for head in self.heads().values())

    def content_hash(self) -> str:
        """As the port."""
        heads = self.heads()
        upto = {stream: head.number for stream, head in heads.items()}
        return content_hash({name: (e.event for e in self.entries(streams=[name], upto=upto)) for name in heads})

    def search(self, text: str, limit: int = 50) -> list[Entry]:
        """As the port."""
        wanted = words(text)
        if not wanted:
            return []
        columns = ", ".join(f"journal.{name}" for name in _COLUMNS.split(", "))
        query = (
            f"select {columns} from words join journal using (stream, number) where words match ? "
            "order by julianday(at) desc, stream, number limit ?"
        )
        with self._reading() as database:
            found = database.execute(query, (" AND ".join(f'"{word}"' for word in wanted), limit)).fetchall()
        return sorted(map(_entry, found), key=newest_first)

    def health(self) -> Health:
        """As the port."""
        try:
            with self._transaction() as database:
                said = str(database.execute("pragma quick_check(1)").fetchone()[0])
            entries = f"{self.sequence()} entries"
        except DaybookError as cause:
            return Health(False, "sqlite", str(cause))
        if said != "ok":
            return Health(False, "sqlite", f"{self.path}: {said}", "Restore the ledger from a backup.")
        return Health(True, "sqlite", f"{self.path}: writable, {entries}, schema {SCHEMA}")

    def migrate(self) -> str:
        """Brings the file from an older schema to this one, in one transaction; what was there stays as tables whose
        names end in the old schema's number. Returns what was done. Raises LedgerSchemaError on a newer one."""
        with self._lock, self._translated():
            self.close()
            database = self._connected()
            try:
                return self._migrated(database)
            finally:
                database.close()

    def _migrated(self, database: sqlite3.Connection) -> str:
        found = _schema(database)
        if found == SCHEMA:
            return f"the ledger {self.path} is of schema {SCHEMA} already: nothing to do."
        if found is None or found > SCHEMA:
            refuse_schema(SCHEMA + 1 if found is None else found, str(self.path))
        with _immediate(database, self._wait_s):
            old = _read_old(database)
            _set_aside(database, found or 0)
            _create(database)
            events = list(upgraded(found or 0, old))
            kept = Kept()
            for start in range(0, len(events), MIGRATED_BATCH):
                page = events[start : start + MIGRATED_BATCH]
                enter(_SqliteTransaction(database), page, kept, careful=True).settle(kept)
        return f"the ledger {self.path} is of schema {SCHEMA} now: {len(old)} old entries, {len(events)} new ones."

    def close(self) -> None:
        """Closes the file; the next call opens it again."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
            self._opened, self._kept = None, Kept()

    # --- the file ---
    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._translated():
            if self._opened is None:
                self._opened = self._open()
            yield self._opened

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as database, _immediate(database, self._wait_s):
            yield database

    def _connected(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return sqlite3.connect(self.path, timeout=self._wait_s, isolation_level=None, check_same_thread=False)

    def _open(self) -> sqlite3.Connection:
        database = self._connected()
        try:
            found = _schema(database)
            if found is not None:
                refuse_schema(found, str(self.path))
            database.execute("pragma journal_mode = wal")
            database.execute("pragma synchronous = full")
            if found is None or not _shaped(database):
                with _immediate(database, self._wait_s):
                    _shape(database)
        except BaseException:
            database.close()
            raise
        return database

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError as cause:
            raise LedgerError(
                f"nothing of the batch was recorded: {cause}. Give each column its declared type."
            ) from cause
        except (OSError, sqlite3.Error) as cause:
            if "locked" in str(cause):
                raise StoreBusy(
                    f"the ledger {self.path} was held by another process for more than {self._wait_s:g} s. "
                    "Wait for it to end, and run the same command again."
                ) from cause
            raise refusal(cause, self.path) or StoreUnavailable(
                f"the ledger {self.path} cannot be used: {cause}. If it is damaged, restore it from a backup."
            ) from cause


class _SqliteTransaction:
    """A batch's reads and writes, within a transaction that holds the write lock."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def heads(self, streams: Sequence[str], believed: Mapping[str, Head]) -> Mapping[str, Head]:
        """As the transaction."""
        query = "select number, link from heads where stream = ?"
        found = {stream: self._database.execute(query, (stream,)).fetchone() for stream in streams}
        return {stream: Head(*row) for stream, row in found.items() if row is not None}

    def contents(self, event_ids: Sequence[str]) -> Mapping[str, str]:
        """As the transaction."""
        found = self._database.execute(
            f"select {_COLUMNS} from journal where event_id in (select value from json_each(?))",
            (json.dumps(event_ids),),
        )
        stored = [_entry(row).event for row in found]
        return {event.event_id: event.content() for event in stored}

    def rows(self, projection: str, keys: Sequence[RowKey]) -> Iterable[Row]:
        """As the transaction."""
        declared = PROJECTIONS[projection]
        query = (
            f"select {_list(list(declared.columns))} from {projection} where "
            f"{' and '.join(f'{name} = ?' for name in declared.key)}"
        )
        found = (self._database.execute(query, key).fetchone() for key in keys)
        return [dict(zip(declared.columns, row, strict=True)) for row in found if row is not None]

    def fills_of(self, strategy: str, instrument: str, contract: int) -> list[Row]:
        """As the transaction."""
        columns = list(PROJECTIONS["fills"].columns)
        query = f"select {_list(columns)} from fills where strategy = ? and instrument = ? and contract = ?"
        found = self._database.execute(query, (strategy, instrument, contract))
        return [dict(zip(columns, row, strict=True)) for row in found]

    def insert(self, written: Sequence[Written]) -> None:
        """As the transaction."""
        try:
            self._database.executemany(_INSERT, map(_values, written))
        except sqlite3.IntegrityError as cause:
            raise Repeated from cause
        said = [(" ".join(found), each.entry.stream, each.entry.number)
                for each in written if (found := searchable(each.entry.event))]  # fmt: skip
        if said:
            self._database.executemany("insert into words (said, stream, number) values (?, ?, ?)", said)

    def write(self, projection: str, rows: Sequence[Row], fresh: bool) -> None:
        """As the transaction."""
        names = tuple(PROJECTIONS[projection].columns)
        values = ([row[name] for name in names] for row in rows)
        try:
            self._database.executemany(_WRITES[projection, fresh], values)
        except sqlite3.IntegrityError as cause:
            if fresh and "UNIQUE" in str(cause):
                raise Repeated from cause
            raise

    def advance(self, moves: Mapping[str, tuple[Head, Head]]) -> None:
        """As the transaction: the write lock was taken before heads were read, so that none can have moved."""
        rows = [(stream, head.number, head.link) for stream, (_, head) in moves.items()]
        self._database.executemany("insert or replace into heads values (?, ?, ?)", rows)


@contextmanager
def _immediate(database: sqlite3.Connection, wait_s: float = 0.0) -> Iterator[None]:
    """One transaction that holds the write lock from the start, so that what it reads is still true when it writes.

    Writers ask for the lock every few milliseconds, each after a time of its own: SQLite's own waiting grows to a tenth
    of a second, in which whoever has just come is served first, and others never.
    """
    database.execute("pragma busy_timeout = 0")
    try:
        _begin(database, time.monotonic() + wait_s)
    finally:
        database.execute(f"pragma busy_timeout = {int(wait_s * 1000)}")
    try:
        yield
        database.execute("commit")
    except BaseException:
        if database.in_transaction:
            database.execute("rollback")
        raise


def _begin(database: sqlite3.Connection, until: float) -> None:
    while True:
        try:
            database.execute("begin immediate")
            return
        except sqlite3.OperationalError as cause:
            if "locked" not in str(cause) or time.monotonic() > until:
                raise
        _TURN.wait(random.uniform(0.0005, 0.004))


# --- shape ------------------------------------------------------------------------------------------------------------
def _list(names: Sequence[str]) -> str:
    return ", ".join(names)


def _write_of(projection: Projection, fresh: bool) -> str:
    names = list(projection.columns)
    return (
        f"insert {'' if fresh else 'or replace '}into {projection.name} ({_list(names)}) "
        f"values ({_list(['?'] * len(names))})"
    )


_WRITES = {(name, fresh): _write_of(p, fresh) for name, p in PROJECTIONS.items() for fresh in (False, True)}


def _declaration() -> str:
    return json.dumps([(p.name, p.key, dict(p.columns), p.lookups) for p in PROJECTIONS.values()])


def _schema(database: sqlite3.Connection) -> int | None:
    """The schema of a file; None of an empty one."""
    tables = {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}
    if "meta" in tables:
        return int(database.execute("select value from meta where name = 'schema'").fetchone()[0])
    return 1 if "journal" in tables else None


def _shaped(database: sqlite3.Connection) -> bool:
    """Whether the file has the tables of today's projections."""
    found: tuple[str] | None = database.execute("select value from meta where name = 'declaration'").fetchone()
    return found == (_declaration(),)


def _shape(database: sqlite3.Connection) -> None:
    """Makes the tables of a new file, or folds the journal into tables of another declaration."""
    found = _schema(database)
    if found is None:
        _create(database)
    elif not _shaped(database):  # another process may have been faster
        for (name,) in database.execute("select value from meta where name = 'tables'").fetchall():
            for table in json.loads(name):
                database.execute(f"drop table if exists {table}")
        _create_projections(database)
        query = f"select {_COLUMNS} from journal order by stream, number"
        tables = folded(_entry(row).event for row in database.execute(query)).tables
        for name, rows in tables.items():
            _SqliteTransaction(database).write(name, list(rows.values()), fresh=True)


def _create(database: sqlite3.Connection) -> None:
    for statement in _TABLES.split(";"):
        database.execute(statement)
    database.execute("insert into meta values ('schema', ?)", (str(SCHEMA),))
    _create_projections(database)


def _create_projections(database: sqlite3.Connection) -> None:
    for projection in PROJECTIONS.values():
        database.execute(_table(projection))
        for columns in projection.lookups:
            name = f"{projection.name}_by_{'_'.join(columns)}"
            database.execute(f"create index {name} on {projection.name} ({_list(columns)})")
    rows = (("declaration", _declaration()), ("tables", json.dumps(list(PROJECTIONS))))
    database.executemany("insert or replace into meta values (?, ?)", rows)


def _table(projection: Projection) -> str:
    columns = ", ".join(
        f"{name} {kind}{' not null' if name in projection.key else ''}" for name, kind in projection.columns.items()
    )
    return f"create table {projection.name} ({columns}, primary key ({_list(projection.key)})) strict, without rowid"


# --- an older file ----------------------------------------------------------------------------------------------------
def _read_old(database: sqlite3.Connection) -> list[dict[str, object]]:
    """Entries of schema 1, as they were stored."""
    names = ("sequence", "event_id", "kind", "session", "at", "actor", "payload", "chain")
    return [
        dict(zip(names, row, strict=True))
        for row in database.execute(f"select {_list(names)} from journal order by sequence")
    ]


def _set_aside(database: sqlite3.Connection, schema: int) -> None:
    """Keeps the old journal under another name, and drops what was folded from it."""
    tables = [name for (name,) in database.execute("select name from sqlite_master where type = 'table'")]
    for name in tables:
        if name == "journal":
            database.execute(f"alter table journal rename to journal_{schema}")
        elif not name.startswith("sqlite_"):
            database.execute(f"drop table {name}")


# --- rows -------------------------------------------------------------------------------------------------------------
def _values(written: Written) -> tuple[object, ...]:
    entry, payload_text = written
    event = entry.event
    return (
        entry.stream, entry.number, event.event_id, event.kind, event.session.isoformat(), event.at.isoformat(),
        event.actor, event.cause, event.correlation, payload_text, entry.link,
    )  # fmt: skip


def _conditions(kinds: Sequence[str] | None, through: date | None) -> tuple[str, tuple[str, ...]]:
    text, values = "", ()  # type: str, tuple[str, ...]
    if kinds is not None:
        text += f" and kind in ({_list(['?'] * len(kinds))})"
        values += tuple(kinds)
    if through is not None:
        text += " and session <= ?"
        values += (through.isoformat(),)
    return text, values


def _entry(row: tuple[str, int, str, str, str, str, str, str | None, str | None, str, str | None]) -> Entry:
    stream, number, event_id, kind, session, at, actor, cause, correlation, payload, link = row
    day, when = date.fromisoformat(session), datetime.fromisoformat(at)
    event = Event(event_id, kind, day, when, actor, json.loads(payload), cause, correlation)
    return Entry(stream, number, event, link, event.stored_text(session, at, payload))
