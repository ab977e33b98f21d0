"""The ledger in one SQLite file: the journal, and a table for each projection, changed in one transaction.

Belongs here: tables, transactions and what SQLite's errors mean. Does not belong here: what an event does to a
projection (`trading.book.journal`).

The file survives kill -9 and power cuts (write-ahead log, synchronous=FULL). Projections are folds of the journal: when
their declaration changes, they are folded anew from it on the next opening.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path

from resources.disk_errors import refusal
from resources.journal_batch import new_events, projection_of
from trading.book.journal import PROJECTIONS, Change, Event, Projection, chain, changes
from trading.errors import LedgerError, StoreBusy, StoreUnavailable
from trading.ports import Entry, Recorded

_JOURNAL = """
create table if not exists journal (
    sequence integer primary key, event_id text not null unique, kind text not null, session text not null,
    at text not null, actor text not null, payload text not null, chain text not null
) strict;
create table if not exists shape (declaration text not null) strict;
"""
_PAGE = 1_000
_COLUMNS = "sequence, event_id, kind, session, at, actor, payload"


class SqliteLedger:
    """Ledger in the file `path`. A writer waits `wait_s` for another one, then StoreBusy."""

    def __init__(self, path: Path, wait_s: float = 30.0) -> None:
        self.path = Path(path)
        self._wait_s = wait_s
        self._opened: sqlite3.Connection | None = None
        self._lock = threading.RLock()

    def record(self, events: Sequence[Event]) -> Recorded:
        """As the port."""
        with self._transaction() as database:
            new = new_events(events, _contents(database, events))
            sequence, digest = _last(database)
            for event in new:
                sequence, digest = sequence + 1, chain(digest, event)
                _insert(database, sequence, digest, event)
                for change in changes(event):
                    _apply(database, change)
            return Recorded(len(new), len(events) - len(new), sequence)

    def entries(
        self, *, after: int = 0, kinds: Sequence[str] | None = None, through: date | None = None
    ) -> Iterator[Entry]:
        """As the port. Read page by page: a slow reader holds nobody up."""
        conditions, values = _conditions(kinds, through)
        query = f"select {_COLUMNS} from journal where sequence > ?{conditions} order by sequence limit {_PAGE}"
        while True:
            with self._reading() as database:
                page = [_entry(row) for row in database.execute(query, (after, *values))]
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1].sequence

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

    def sequence(self) -> int:
        """As the port."""
        with self._reading() as database:
            return _last(database)[0]

    def content_hash(self) -> str:
        """As the port: the running hash kept with the last entry."""
        with self._reading() as database:
            return _last(database)[1]

    def close(self) -> None:
        """Closes the file; the next call opens it again."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
            self._opened = None

    # --- the file ---
    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._translated():
            if self._opened is None:
                self._opened = self._open()
            yield self._opened

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as database, _immediate(database):
            yield database

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self.path, timeout=self._wait_s, isolation_level=None, check_same_thread=False)
        try:
            database.execute("pragma journal_mode = wal")
            database.execute("pragma synchronous = full")
            if not _shaped(database):
                with _immediate(database):
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


@contextmanager
def _immediate(database: sqlite3.Connection) -> Iterator[None]:
    """One transaction that holds the write lock from the start, so that what it reads is still true when it writes."""
    database.execute("begin immediate")
    try:
        yield
        database.execute("commit")
    except BaseException:
        if database.in_transaction:
            database.execute("rollback")
        raise


# --- shape ------------------------------------------------------------------------------------------------------------
def _declaration() -> str:
    return json.dumps([(p.name, p.key, dict(p.columns)) for p in PROJECTIONS.values()])


def _shaped(database: sqlite3.Connection) -> bool:
    """Whether the file has the tables of today's projections."""
    if not database.execute("select 1 from sqlite_master where name = 'shape'").fetchone():
        return False
    found: tuple[str] | None = database.execute("select declaration from shape").fetchone()
    return found == (_declaration(),)


def _shape(database: sqlite3.Connection) -> None:
    """Makes the tables and folds the journal into them."""
    for statement in _JOURNAL.split(";"):
        database.execute(statement)
    if _shaped(database):  # another process was faster
        return
    for projection in PROJECTIONS.values():
        database.execute(f"drop table if exists {projection.name}")
        database.execute(_table(projection))
    for row in database.execute(f"select {_COLUMNS} from journal order by sequence"):
        for change in changes(_entry(row).event):
            _apply(database, change)
    database.execute("delete from shape")
    database.execute("insert into shape values (?)", (_declaration(),))


def _table(projection: Projection) -> str:
    columns = ", ".join(
        f"{name} {kind}{' not null' if name in projection.key else ''}" for name, kind in projection.columns.items()
    )
    return f"create table {projection.name} ({columns}, primary key ({_list(projection.key)})) strict, without rowid"


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)


# --- rows -------------------------------------------------------------------------------------------------------------
def _contents(database: sqlite3.Connection, events: Sequence[Event]) -> dict[str, str]:
    """Contents of those of the events that are in the journal, by id."""
    found = database.execute(
        f"select {_COLUMNS} from journal where event_id in (select value from json_each(?))",
        (json.dumps([event.event_id for event in events]),),
    )
    stored = [_entry(row).event for row in found]
    return {event.event_id: event.content() for event in stored}


def _last(database: sqlite3.Connection) -> tuple[int, str]:
    row: tuple[int, str] | None = database.execute(
        "select sequence, chain from journal order by sequence desc limit 1"
    ).fetchone()
    return row or (0, "")


def _insert(database: sqlite3.Connection, sequence: int, digest: str, event: Event) -> None:
    payload = json.dumps(dict(event.payload), separators=(",", ":"))
    row = (sequence, event.event_id, event.kind, event.session.isoformat(), event.at.isoformat(), event.actor, payload)
    database.execute(f"insert into journal ({_COLUMNS}, chain) values (?, ?, ?, ?, ?, ?, ?, ?)", (*row, digest))


def _apply(database: sqlite3.Connection, change: Change) -> None:
    """One change as one statement: a new row, or the columns of the row that is there."""
    projection = PROJECTIONS[change.projection]
    key = dict(zip(projection.key, change.key, strict=True))
    values = {name: value for name, value in change.set.items() if name in projection.columns and name not in key}
    updates = [f"{name} = excluded.{name}" for name in values]
    updates += [f"{name} = coalesce({projection.name}.{name}, 0) + excluded.{name}" for name in change.add]
    row = {**key, **values, **change.add}
    what = f"update set {_list(updates)}" if updates else "nothing"
    database.execute(
        f"insert into {projection.name} ({_list(list(row))}) values ({_list(['?'] * len(row))}) "
        f"on conflict ({_list(projection.key)}) do {what}",
        tuple(row.values()),
    )


def _conditions(kinds: Sequence[str] | None, through: date | None) -> tuple[str, tuple[str, ...]]:
    text, values = "", ()  # type: str, tuple[str, ...]
    if kinds is not None:
        text += f" and kind in ({_list(['?'] * len(kinds))})"
        values += tuple(kinds)
    if through is not None:
        text += " and session <= ?"
        values += (through.isoformat(),)
    return text, values


def _entry(row: tuple[int, str, str, str, str, str, str]) -> Entry:
    sequence, event_id, kind, session, at, actor, payload = row
    event = Event(event_id, kind, date.fromisoformat(session), datetime.fromisoformat(at), actor, json.loads(payload))
    return Entry(sequence, event)
