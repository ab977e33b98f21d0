"""The ledger in PostgreSQL: the journal, and a table for each projection, changed in one transaction.

Belongs here: statements, transactions and what is asked of the server. Does not belong here: the schema
(`postgres_schema.py`), connections and the meaning of errors (`postgres_connections.py`), or what an event does to a
projection (`trading/book/fold.py`).

A batch travels as one JSON document a table. A writer that met no other lately believes the head of the stream that it
left: all goes in one round trip, the head moves only from where it was believed to be, and who was wrong comes again.
Writers that met take turns by the stream's row in `heads`, which each locks first. Those of different streams never
meet.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg

from resources import postgres_schema as schema
from resources.journal_batch import (
    PAGE,
    Batch,
    Kept,
    Repeated,
    Written,
    enter,
    newest_first,
    paged,
    projection_of,
    refuse_schema,
)
from resources.postgres_connections import ADDRESS, Connection, Connections
from trading.book.fold import Row, RowKey, folded
from trading.book.journal import PROJECTIONS, SCHEMA, Event, Head, Projection, content_hash, searchable, words
from trading.errors import DaybookError, LedgerError, StoreBusy
from trading.ports import Entry, Health, Recorded

_ENTRY = "stream, number, event_id, kind, session, at, actor, cause, correlation, payload::text, link"
_ATTEMPTS = 5
_MET = (  # another writer
    psycopg.errors.UniqueViolation,
    psycopg.errors.DivisionByZero,
    psycopg.errors.DeadlockDetected,
)
_WARY = 50  # batches that lock heads first, after one that met another writer
_MAKING = 7305214418  # the advisory lock of whoever makes or migrates the tables


class PostgresLedger:
    """Ledger in the database at `uri`. A server that takes longer than `timeout_s` is StoreBusy or StoreUnavailable.
    `address`: the words for where the address is found."""

    def __init__(self, uri: str, timeout_s: float = 10.0, max_connections: int = 16, address: str = ADDRESS) -> None:
        self._connections = Connections(uri, timeout_s, max_connections, address)
        self._kept = Kept()
        self._ready = False
        self._wary = 0

    # --- writing ---
    def record(self, events: Sequence[Event]) -> Recorded:
        """As the port. A batch that met something it took to be new is tried again, with everything read."""
        for event in events:
            _require_utc(event)
        for attempt in range(_ATTEMPTS):
            try:
                return self._attempt(events, careful=attempt > 0)
            except Repeated:
                self._wary = _WARY
        raise StoreBusy(
            f"{_ATTEMPTS} times another writer recorded the same events in {self._connections.place} meanwhile. "
            "Nothing of the batch was recorded. Run the same command again."
        )

    def _attempt(self, events: Sequence[Event], careful: bool) -> Recorded:
        streams = {event.stream for event in events}
        with self._kept.guard(streams), self._database() as database:
            try:
                batch = _entered(_Batch(database, believing=not self._wary), events, self._kept, careful)
            except BaseException:
                self._kept.forget(streams)
                raise
            self._wary = max(0, self._wary - 1)
            return batch.settle(self._kept)

    # --- reading ---
    def entries(
        self,
        *,
        after: Mapping[str, int] | None = None,
        kinds: Sequence[str] | None = None,
        through: date | None = None,
        streams: Sequence[str] | None = None,
        upto: Mapping[str, int] | None = None,
    ) -> Iterator[Entry]:
        """As the port, of the journal as it is when reading begins. Read page by page: a slow reader holds nobody."""
        conditions, values = _conditions(kinds, through)
        query = (
            f"select {_ENTRY} from journal where stream = %s and number > %s and number <= %s{conditions} "
            f"order by number limit {PAGE}"
        )

        def page_of(stream: str, place: int, last: int) -> list[Entry]:
            with self._database() as database:
                return [_entry(row) for row in database.execute(query, (stream, place, last, *values))]

        yield from paged(self.heads(), page_of, after, streams, upto)

    def rows(self, projection: str, where: Mapping[str, object] | None = None) -> list[dict[str, object]]:
        """As the port. A value that a column cannot hold is in no row."""
        declared = projection_of(projection, where)
        asked = {name: int(value) if isinstance(value, bool) else value for name, value in (where or {}).items()}
        if not all(_comparable(value, declared.columns[name]) for name, value in asked.items()):
            return []
        equal = [f"{name} is null" if value is None else f"{name} = %s" for name, value in asked.items()]
        query = f"{_select(declared)} where {' and '.join(equal) or 'true'} order by {_list(declared.key)}"
        with self._database() as database:
            found = database.execute(query, [value for value in asked.values() if value is not None]).fetchall()
        return [dict(row) for row in _named(declared, found)]

    def heads(self) -> Mapping[str, Head]:
        """As the port."""
        with self._database() as database:
            found = database.execute("select stream, number, link from heads where number > 0 order by stream")
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
        query = (
            f"select {_ENTRY} from journal where kind <> 'fill' and words @> %s::text[] "
            "order by at desc, stream, number limit %s"
        )
        with self._database() as database:
            found = [_entry(row) for row in database.execute(query, (wanted, limit))]
        return sorted(found, key=newest_first)

    def health(self) -> Health:
        """As the port. A server that may lose what it confirmed is not well."""
        try:
            with self._database() as database:
                asked = "('transaction_read_only', 'fsync', 'full_page_writes', 'server_version')"
                found = dict(
                    database.execute(f"select name, setting from pg_settings where name in {asked}").fetchall()
                )
                entries = database.execute("select coalesce(sum(number), 0) from heads").fetchone()
        except DaybookError as cause:
            return Health(False, "postgresql", str(cause), "Do what the sentence says, then ask again.")
        risks = [name for name in ("fsync", "full_page_writes") if found[name] != "on"]
        said = f"{self._connections.place}, PostgreSQL {found['server_version'].split()[0]}"
        if risks:
            cure = f"Set {' and '.join(risks)} to on in the server's postgresql.conf."
            return Health(False, "postgresql", f"{said}: a power cut may lose what was recorded", cure)
        if found["transaction_read_only"] == "on":
            return Health(False, "postgresql", f"{said} is read-only", "Name the primary in POSTGRES_URI.")
        return Health(True, "postgresql", f"{said}: writable, {entries[0] if entries else 0} entries, schema {SCHEMA}")

    # --- tables ---
    def migrate(self) -> str:
        """Brings the tables from an older schema to this one, in one transaction. Returns what was done. Raises
        LedgerSchemaError on a newer one."""
        with self._connections.lent() as database, _alone(database):
            found = _schema(database)
            if found is None:
                _create(database)
                return f"the ledger {self._connections.place} was made, with schema {SCHEMA}."
            if found == SCHEMA and _declared(database):
                return f"the ledger {self._connections.place} is of schema {SCHEMA} already: nothing to do."
            if found > SCHEMA or found < schema.FIRST:
                refuse_schema(found, self._connections.place)
            for older in range(found, SCHEMA):
                _execute(database, schema.MIGRATIONS[older])
            entries = _fold_anew(database)
        return f"the ledger {self._connections.place} is of schema {SCHEMA} now: {entries} entries were folded anew."

    def close(self) -> None:
        """Closes the connections; the next call opens new ones."""
        self._connections.close()
        self._kept = Kept()

    @contextmanager
    def _database(self) -> Iterator[Connection]:
        """A connection to tables that are there and of this version."""
        with self._connections.lent() as database:
            if not self._ready:
                self._require_tables(database)
                self._ready = True
            yield database

    def _require_tables(self, database: Connection) -> None:
        """Makes them in an empty database; folds the journal anew where the projections are declared otherwise."""
        found = _schema(database)
        if found is not None:
            refuse_schema(found, self._connections.place)
        if found is not None and _declared(database):
            return
        with _alone(database):  # another process may have been faster
            if _schema(database) is None:
                _create(database)
            elif not _declared(database):
                _fold_anew(database)


# --- tables -----------------------------------------------------------------------------------------------------------
@contextmanager
def _alone(database: Connection) -> Iterator[None]:
    """One transaction that nobody else makes or changes tables in, which may take long."""
    patience_s = database.patience_s
    with database.transaction():
        database.execute("select pg_advisory_xact_lock(%s)", (_MAKING,))
        database.execute("set local statement_timeout = 0")
        database.patience_s = None
        yield
    database.patience_s = patience_s


def _schema(database: Connection) -> int | None:
    """The version of the tables that are there; None where there are none."""
    there = "select 1 from pg_catalog.pg_tables where schemaname = %s and tablename = 'meta'"
    if database.execute(there, (schema.NAME,)).fetchone() is None:
        return None
    found = database.execute("select schema from meta").fetchone()
    return int(found[0]) if found else 0


def _declared(database: Connection) -> bool:
    """Whether the projections there are those of this version."""
    return database.execute("select declaration from meta").fetchone() == (schema.declaration(),)


def _create(database: Connection) -> None:
    _execute(database, schema.statements())
    database.execute("insert into meta (schema, declaration) values (%s, %s)", (SCHEMA, schema.declaration()))


def _fold_anew(database: Connection) -> int:
    """Makes the projections as declared now, out of the journal. Returns how many entries were folded."""
    database.execute("lock table heads in exclusive mode")
    _execute(database, schema.dropped_projections())
    _execute(database, schema.projections())
    found = database.execute(f"select {_ENTRY} from journal order by stream, number").fetchall()
    for name, rows in folded(_entry(row).event for row in found).tables.items():
        database.execute(_WRITES[name, True], (_rows_document(list(rows.values())),))
    database.execute("update meta set schema = %s, declaration = %s", (SCHEMA, schema.declaration()))
    return len(found)


def _execute(database: Connection, statements: Iterable[str]) -> None:
    for statement in statements:
        database.execute(statement)


# --- a batch ----------------------------------------------------------------------------------------------------------
def _entered(writing: _Batch, events: Sequence[Event], kept: Kept, careful: bool) -> Batch:
    """One transaction: its writes are one statement, and where nothing had to be read or locked, all of it. Raises
    Repeated, LedgerError and what `enter` raises; nothing was recorded then."""
    try:
        with writing.database.pipeline():
            batch = enter(writing, events, kept, careful)
            writing.send()
            ended = writing.database.execute("commit") if writing.begun else None
    except _MET as cause:
        raise Repeated from cause
    if ended is not None and ended.statusmessage != "COMMIT":
        raise LedgerError("the server did not commit the batch, and did not say why. Run the same command again.")
    return batch


class _Batch:
    """What a batch reads and writes, as `journal_batch.Transaction` says. `begun`: a transaction was, because something
    had to be read; a single statement is one by itself. `believing`: heads that are known are not asked for."""

    def __init__(self, database: Connection, believing: bool = False) -> None:
        self.database, self._believing = database, believing
        self.begun = False
        self._statements: list[str] = []
        self._values: list[object] = []

    def send(self) -> None:
        """Sends all writes."""
        if self._statements:
            *parts, last = self._statements
            named = [f"part{number} as ({part})" for number, part in enumerate(parts)]
            self.database.execute(f"with {_list([*named, last])}", self._values)

    def _asked(self, query: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        """What the server answers within the transaction."""
        if not self.begun:
            self.database.execute("begin")
            self.begun = True
        return self.database.execute(query, values).fetchall()

    def heads(self, streams: Sequence[str], believed: Mapping[str, Head]) -> Mapping[str, Head]:
        """As the transaction. Heads that are not believed are locked, so that writers of a stream take turns."""
        if self._believing and all(stream in believed for stream in streams):
            return {stream: believed[stream] for stream in streams}
        found = self._locked(streams)
        missing = [stream for stream in streams if stream not in found]
        if missing:
            self._asked(_NEW_HEADS, (missing,))
            found = self._locked(streams)
        return {stream: head for stream, head in found.items() if head.number}

    def _locked(self, streams: Sequence[str]) -> dict[str, Head]:
        query = "select stream, number, link from heads where stream = any(%s) order by stream for update"
        return {stream: Head(number, link) for stream, number, link in self._asked(query, (list(streams),))}

    def contents(self, event_ids: Sequence[str]) -> Mapping[str, str]:
        """As the transaction."""
        query = f"select {_ENTRY} from journal where event_id = any(%s)"
        found = [_entry(row).event for row in self._asked(query, (list(event_ids),))]
        return {event.event_id: event.content() for event in found}

    def rows(self, projection: str, keys: Sequence[RowKey]) -> Iterable[Row]:
        """As the transaction."""
        declared = PROJECTIONS[projection]
        columns = [[key[place] for key in keys] for place in range(len(declared.key))]
        asked = _list([f"%s::{schema.PLAIN_TYPES[declared.columns[name]]}[]" for name in declared.key])
        query = f"{_select(declared)} where ({_list(declared.key)}) in (select * from unnest({asked}))"
        return _named(declared, self._asked(query, columns))

    def fills_of(self, strategy: str, instrument: str, contract: int) -> list[Row]:
        """As the transaction."""
        declared = PROJECTIONS["fills"]
        query = f"{_select(declared)} where strategy = %s and instrument = %s and contract = %s"
        return _named(declared, self._asked(query, (strategy, instrument, contract)))

    def insert(self, written: Sequence[Written]) -> None:
        """As the transaction."""
        self._write(_INSERT, f"[{','.join(map(_document, written))}]")

    def write(self, projection: str, rows: Sequence[Row], fresh: bool) -> None:
        """As the transaction."""
        self._write(_WRITES[projection, fresh], _rows_document(rows))

    def advance(self, moves: Mapping[str, tuple[Head, Head]]) -> None:
        """As the transaction. Where a head is not what it was believed to be, the server divides by zero."""
        values = [(stream, *_move(*heads)) for stream, heads in moves.items()]
        self._write(_ADVANCE, *(list(column) for column in zip(*values, strict=True)), len(values))

    def _write(self, statement: str, *values: object) -> None:
        self._statements.append(statement)
        self._values += values


def _rows_document(rows: Sequence[Row]) -> str:
    given = _JSON(rows)
    if "true" in given or "false" in given:  # PostgreSQL counts neither as a number
        return _JSON([{name: int(v) if isinstance(v, bool) else v for name, v in row.items()} for row in rows])
    return given


def _move(before: Head, after: Head) -> tuple[int, str, int, str]:
    """A move of a head as the statement wants it."""
    return after.number, after.link, before.number, before.link


def _document(written: Written) -> str:
    """An entry as JSON, by hand: half the time of a dict and its encoding. What is nothing is left out."""
    entry, payload_text = written
    event, said = entry.event, searchable(entry.event)
    more = {"cause": event.cause, "correlation": event.correlation, "link": entry.link, "words": said or None}
    rest = "".join(f',"{name}":{_JSON(value)}' for name, value in more.items() if value is not None)
    return (
        f'{{"stream":{_TEXT(entry.stream)},"number":{entry.number},"event_id":{_TEXT(event.event_id)},'
        f'"kind":{_TEXT(event.kind)},"session":"{event.session}","at":"{event.at}","actor":{_TEXT(event.actor)},'
        f'"payload":{_TEXT(payload_text)}{rest}}}'
    )


# --- statements -------------------------------------------------------------------------------------------------------
_TEXT = json.encoder.encode_basestring_ascii
_JSON = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_SETTINGS = (
    "select name, setting from pg_settings "
    "where name in ('transaction_read_only', 'fsync', 'full_page_writes', 'server_version')"
)


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)


def _select(declared: Projection) -> str:
    return f"select {_list(list(declared.columns))} from {declared.name}"


def _write_of(declared: Projection, fresh: bool) -> str:
    """Rows of a JSON document into a projection: new ones, or over those with the same key."""
    names = list(declared.columns)
    typed = _list([f"{name} {schema.PLAIN_TYPES[kind]}" for name, kind in declared.columns.items()])
    over = _list([f"{name} = excluded.{name}" for name in names if name not in declared.key])
    otherwise = "" if fresh else f" on conflict ({_list(declared.key)}) do update set {over}"
    source = f"select {_list(names)} from json_to_recordset(%s::json) as given({typed})"
    return f"insert into {declared.name} ({_list(names)}) {source}{otherwise}"


_WRITES = {(name, fresh): _write_of(p, fresh) for name, p in PROJECTIONS.items() for fresh in (False, True)}
_JOURNAL = (
    "stream, number, event_id, kind, session, at, actor, cause, correlation, link, words",
    "stream text, number bigint, event_id text, kind text, session date, at timestamptz, actor text, cause text, "
    "correlation text, link text, words text[], payload text",
)
_INSERT = (
    f"insert into journal ({_JOURNAL[0]}, payload) select {_JOURNAL[0]}, payload::json "
    f"from json_to_recordset(%s::json) as given({_JOURNAL[1]})"
)
_NEW_HEADS = "insert into heads (stream) select unnest(%s::text[]) on conflict do nothing returning stream"
_ADVANCE = (  # the last part of a statement
    "moved as (update heads set number = given.number, link = given.link "
    "from unnest(%s::text[], %s::bigint[], %s::text[], %s::bigint[], %s::text[]) "
    "as given(stream, number, link, was, was_link) "
    "where heads.stream = given.stream and heads.number = given.was and heads.link = given.was_link returning 1) "
    "select 1 / (count(*) = %s)::int from moved"
)


def _conditions(kinds: Sequence[str] | None, through: date | None) -> tuple[str, tuple[object, ...]]:
    text, values = "", ()  # type: str, tuple[object, ...]
    if kinds is not None:
        text += " and kind = any(%s)" + ("" if "fill" in kinds else " and kind <> 'fill'")  # which has an index
        values += (list(kinds),)
    if through is not None:
        text += " and session <= %s"
        values += (through,)
    return text, values


def _comparable(value: object, kind: str) -> bool:
    """Whether a column of a kind can be asked for a value."""
    return value is None or isinstance(value, str if kind == "text" else int | float)


# --- rows -------------------------------------------------------------------------------------------------------------
def _named(declared: Projection, found: Iterable[tuple[Any, ...]]) -> list[Row]:
    return [dict(zip(declared.columns, row, strict=True)) for row in found]


def _entry(row: tuple[Any, ...]) -> Entry:
    stream, number, event_id, kind, session, at, actor, cause, correlation, payload, link = row
    when: datetime = at.replace(tzinfo=UTC)
    event = Event(event_id, kind, session, when, actor, json.loads(payload), cause, correlation)
    return Entry(stream, number, event, link, event.record_text(payload))


def _require_utc(event: Event) -> None:
    """A time zone of its own would not come back as it was, and what is chained must."""
    if event.at.utcoffset() != timedelta(0):
        raise LedgerError(f"event {event.event_id} happened at {event.at}, which is not in UTC. Give its time in UTC.")
