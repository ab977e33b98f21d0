"""The ledger in MongoDB: the journal, and a collection for each projection, changed in one transaction.

Belongs here: documents, transactions, and trying again. Does not belong here: collections and indexes
(`mongo_schema.py`), the meaning of errors (`mongo_errors.py`), what an event does to a projection
(`trading/book/fold.py`), or the procedure of a batch (`journal_batch.py`).

A batch is acknowledged when the majority of the replica set has it in its journals on disk. Writers of a stream meet at
its document in `heads`, which each changes first: whoever comes second has lost nothing, and tries again. Writers of
different streams never meet. When the primary goes away, a batch is tried again until another member is elected.
"""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from resources import mongo_errors
from resources import mongo_schema as schema
from resources.journal_batch import (
    PAGE,
    Batch,
    HeadMoved,
    Kept,
    Repeated,
    Written,
    enter,
    paged,
    projection_of,
    refuse_schema,
)
from resources.mongo_schema import HEADS, JOURNAL, META
from trading.book.fold import Row, RowKey, folded
from trading.book.journal import PROJECTIONS, SCHEMA, Event, Head, content_hash, searchable, words
from trading.book.migrations import MIGRATED_BATCH, upgraded
from trading.errors import DaybookError, StoreUnavailable
from trading.ports import Entry, Health, Recorded

if TYPE_CHECKING:
    from pymongo import MongoClient
    from pymongo.client_session import ClientSession

    from resources.mongo_schema import Documents

_log = logging.getLogger(__name__)
Document = dict[str, Any]
DATABASE = "daybook"  # where the address names none
_ABANDONED_S = 3.0  # a writer says something every few milliseconds
_TURN_S = 0.02  # about two transactions: how long a writer waits at most before it asks for its turn again
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ENTRY = {"words": False, "instant": False, "schema": False}


class MongoLedger:
    """Ledger in the database that `uri` names, on a replica set.

    A server has `timeout_s` to answer; while other members of the set do, a batch waits `recovery_s` for a new primary.
    A writer waits `wait_s` for other writers of its streams, then StoreBusy. `address`: the words for where the
    address is found, for who must correct it. Raises ConfigError on a wrong one.
    """

    def __init__(
        self,
        uri: str,
        timeout_s: float = 10.0,
        wait_s: float = 30.0,
        recovery_s: float = 60.0,
        max_connections: int = 16,
        address: str = mongo_errors.ADDRESS,
    ) -> None:
        self.servers, database, self._user = mongo_errors.servers_of(uri, address)
        self._address = address
        self._uri, self._name = uri, database or DATABASE
        self._app = f"daybook:{self._name}"  # how the server knows writers of this ledger
        self._timeout_s, self._wait_s, self._recovery_s = timeout_s, wait_s, recovery_s
        self._max_connections = max_connections
        self._opened: Documents | None = None
        self._opening = threading.Lock()
        self._kept = Kept()

    # --- writing ---
    def record(self, events: Sequence[Event]) -> Recorded:
        """As the port. What arrived although its answer was lost on the way counts as repeated."""
        streams = sorted({event.stream for event in events})
        if not streams:
            return Recorded(0, 0, 0)
        with self._kept.guard(streams):
            return self._persistent(events, streams)

    def _persistent(self, events: Sequence[Event], streams: Sequence[str]) -> Recorded:
        """Tries until it is this writer's turn, and until there is a primary."""
        began, careful, look_at = time.monotonic(), False, _ABANDONED_S
        while True:
            try:
                return self._attempt(events, streams, careful)
            except (Repeated, HeadMoved) as moved:
                if (waited := time.monotonic() - began) > self._wait_s:
                    raise mongo_errors.busy(f"MongoDB at {self.servers}", self._wait_s) from moved
                if waited > look_at:
                    look_at = waited + _ABANDONED_S
                    self._end_abandoned()
                if careful:
                    threading.Event().wait(random.uniform(0, _TURN_S))
            except StoreUnavailable:
                if time.monotonic() - began > self._recovery_s or not self._others_answer():
                    raise
            careful = True

    def _end_abandoned(self) -> None:
        """Ends transactions in which their writer has said nothing for long: it was killed, or cut off, and the server
        would keep its turn for a minute. A writer that is only slow begins again, and has lost nothing."""
        from pymongo.errors import PyMongoError
        from pymongo.read_concern import ReadConcern

        silent = {"transaction.timeInactiveMicros": {"$gt": _ABANDONED_S * 1e6}}
        idle: Document = {"$match": {"type": "idleSession", "appName": self._app, **silent}}
        question: list[Document] = [{"$currentOp": {"allUsers": False, "idleSessions": True}}, idle]
        try:
            admin = self._database().client.get_database("admin", read_concern=ReadConcern("local"))
            sessions = [{"id": found["lsid"]["id"]} for found in admin.aggregate(question)]
            if sessions:
                admin.command("killSessions", sessions)
                _log.warning("ended %d transaction(s) that a killed writer left behind in MongoDB", len(sessions))
        except PyMongoError as cause:  # waiting goes on: the server ends them itself
            _log.warning("abandoned transactions cannot be looked for: %s", cause)

    def _attempt(self, events: Sequence[Event], streams: Sequence[str], careful: bool) -> Recorded:
        """One transaction. Its body is safe to repeat, and reads everything where it is repeated."""
        import pymongo

        attempts = 0

        def body(session: ClientSession) -> Batch:
            nonlocal attempts
            attempts += 1
            transaction = _MongoTransaction(database, session)
            if careful or attempts > 1:
                transaction.lock(streams)
            return enter(transaction, events, self._kept, careful or attempts > 1)

        with self._translated():
            database = self._database()
        with self._translated(writing=True):
            try:
                with pymongo.timeout(self._timeout_s), database.client.start_session() as session:
                    batch = session.with_transaction(body, **_transaction_options())
            except BaseException:
                self._kept.forget(streams)
                raise
            return batch.settle(self._kept)

    def _others_answer(self) -> bool:
        """Whether members of the set are there that may elect a primary."""
        if self._opened is None:
            return False
        servers = self._opened.client.topology_description.server_descriptions().values()
        return len(servers) > 1 and any(server.is_server_type_known for server in servers)

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
        """As the port. Read page by page: a slow reader holds nothing open."""
        conditions = _conditions(kinds, through)

        def page_of(stream: str, place: int, last: int) -> list[Entry]:
            return self._page({"stream": stream, "number": {"$gt": place, "$lte": last}, **conditions})

        yield from paged(self.heads(), page_of, after, streams, upto)

    def _page(self, wanted: Document) -> list[Entry]:
        with self._translated():
            found = self._database()[JOURNAL].find(wanted, _ENTRY).sort("number", 1).limit(PAGE)
            return [_entry(document) for document in found]

    def rows(self, projection: str, where: Mapping[str, object] | None = None) -> list[dict[str, object]]:
        """As the port."""
        declared = projection_of(projection, where)
        wanted = dict(where or {})
        if all(name in wanted for name in declared.key):
            wanted = {name: value for name, value in wanted.items() if name not in declared.key}
            wanted["_id"] = _row_id([(where or {})[name] for name in declared.key])
        with self._translated():
            found = [_row(projection, document) for document in self._database()[projection].find(wanted)]
        return sorted(found, key=lambda row: tuple(row[name] for name in declared.key))

    def heads(self) -> Mapping[str, Head]:
        """As the port."""
        from pymongo.read_concern import ReadConcern

        with self._translated():
            found = self._database()[HEADS].with_options(read_concern=ReadConcern("snapshot")).find({})
            heads = {head["_id"]: Head(int(head["number"]), head["link"]) for head in found}
        return dict(sorted(heads.items()))

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
        if not wanted or limit < 1:
            return []
        order = [("instant", -1), ("stream", 1), ("number", 1)]
        with self._translated():
            found = self._database()[JOURNAL].find({"words": {"$all": wanted}}, _ENTRY).sort(order).limit(limit)
            return [_entry(document) for document in found]

    def health(self) -> Health:
        """As the port. Well means that a majority wrote to its disks just now."""
        from bson import ObjectId

        try:
            with self._translated():
                database = self._database()
                database[META].update_one({"_id": "health"}, {"$set": {"asked": ObjectId()}}, upsert=True)
                hello = database.client.admin.command("hello")
                version = database.client.server_info()["version"]
            members, entries = len(hello.get("hosts", ())) or "several", self.sequence()
        except DaybookError as cause:
            found, _, cure = str(cause).partition(". ")
            return Health(False, "mongodb", f"{found}.", cure)
        return Health(
            True,
            "mongodb",
            f"MongoDB {version} at {self.servers}, {members} member(s), database {self._name}: writable, "
            f"{entries} entries, schema {SCHEMA}",
        )

    # --- older ledgers ---
    def migrate(self) -> str:
        """Brings the database to this schema, or folds its tables anew where they are declared otherwise. What was
        there stays as a collection whose name ends in the old schema's number. Safe to repeat where it was stopped; no
        other desk may use the database meanwhile. Returns what was done. Raises LedgerSchemaError on a newer one."""
        with self._opening, self._translated():
            self._opened = None
            with self._client() as client:
                return self._migrated(client[self._name])

    def _migrated(self, database: Documents) -> str:
        found = schema.schema_of(database)
        where = f"in database {self._name}"
        if found is None or found == SCHEMA:
            return self._folded_anew(database) if found else f"there is no ledger {where}: nothing to do."
        if found > SCHEMA:
            refuse_schema(found, where)
        aside = f"{JOURNAL}_{found}"
        source = aside if aside in database.list_collection_names() else JOURNAL
        old = [_old(document) for document in database[source].find().sort("sequence", 1)]
        events = list(upgraded(found, old))
        schema.mark(database, found, schema.MIGRATING)
        if source == JOURNAL:
            database[JOURNAL].rename(aside)
        _dropped(database, (JOURNAL, HEADS, *PROJECTIONS))
        schema.create(database)
        for start in range(0, len(events), MIGRATED_BATCH):
            _entered(database, events[start : start + MIGRATED_BATCH])
        schema.mark(database)
        return f"the ledger {where} is of schema {SCHEMA} now: {len(old)} old entries, {len(events)} new ones."

    def _folded_anew(self, database: Documents) -> str:
        where = f"the ledger in database {self._name} is of schema {SCHEMA}"
        if schema.declared_in(database) == schema.declaration():
            return f"{where} already: nothing to do."
        schema.mark(database, SCHEMA, schema.MIGRATING)
        _dropped(database, tuple(PROJECTIONS))
        schema.create(database)
        found = database[JOURNAL].find({}, _ENTRY).sort([("stream", 1), ("number", 1)])
        for name, rows in folded(_entry(document).event for document in found).tables.items():
            if rows:
                database[name].insert_many([_document(name, row) for row in rows.values()])
        schema.mark(database)
        return f"{where}: its tables were folded anew."

    # --- the connection ---
    def close(self) -> None:
        """Closes the connections; the next call opens them again."""
        with self._opening:
            if self._opened is not None:
                self._opened.client.close()
            self._opened, self._kept = None, Kept()

    def _database(self) -> Documents:
        with self._opening:
            if self._opened is None:
                self._opened = self._open()
            return self._opened

    def _open(self) -> Documents:
        client = self._client()
        try:
            hello = client.admin.command("hello")
            if "setName" not in hello and hello.get("msg") != "isdbgrid":
                raise mongo_errors.not_a_replica_set(f"MongoDB at {self.servers}")
            database = client[self._name]
            schema.prepare(database)
        except BaseException:
            client.close()
            raise
        return database

    def _client(self) -> MongoClient[Document]:
        from pymongo import MongoClient

        milliseconds = int(self._timeout_s * 1000)
        return MongoClient(
            self._uri,
            appname=self._app,
            serverSelectionTimeoutMS=milliseconds,
            connectTimeoutMS=milliseconds,
            timeoutMS=milliseconds,
            maxPoolSize=self._max_connections,
            w="majority",
            journal=True,
            readConcernLevel="majority",
            readPreference="primary",
        )

    @contextmanager
    def _translated(self, writing: bool = False) -> Iterator[None]:
        with mongo_errors.translated(self.servers, self._user, self._timeout_s, writing, self._address):
            yield


def _transaction_options() -> dict[str, Any]:
    from pymongo import ReadPreference
    from pymongo.read_concern import ReadConcern
    from pymongo.write_concern import WriteConcern

    return {
        "read_concern": ReadConcern("snapshot"),
        "write_concern": WriteConcern("majority", j=True),
        "read_preference": ReadPreference.PRIMARY,
    }


class _MongoTransaction:
    """A batch's reads, and its writes, which are sent by `advance`, heads first: another writer is met before the work
    is done."""

    def __init__(self, database: Documents, session: ClientSession | None) -> None:
        self._database, self._session = database, session
        self._locked: dict[str, Head] = {}
        self._entries: list[Document] = []
        self._writes: list[tuple[str, Sequence[Row], bool]] = []

    def lock(self, streams: Sequence[str]) -> None:
        """Takes the turn of the streams: until the transaction ends, no other writer has it. Raises HeadMoved."""
        from bson import ObjectId
        from pymongo import ReturnDocument

        turn = {"$set": {"turn": ObjectId()}, "$setOnInsert": {"number": 0, "link": ""}}
        with _conflicts():
            for stream in streams:
                head: Any = self._database[HEADS].find_one_and_update(
                    {"_id": stream}, turn, upsert=True, return_document=ReturnDocument.AFTER, session=self._session
                )
                self._locked[stream] = Head(int(head["number"]), head["link"])

    def heads(self, streams: Sequence[str], believed: Mapping[str, Head]) -> Mapping[str, Head]:
        """As the transaction: what is believed of all of them, or else the truth."""
        if not self._locked:
            if all(stream in believed for stream in streams):
                return {stream: believed[stream] for stream in streams}
            self.lock(streams)
        return self._locked

    def contents(self, event_ids: Sequence[str]) -> Mapping[str, str]:
        """As the transaction."""
        found = self._database[JOURNAL].find({"_id": {"$in": list(event_ids)}}, _ENTRY, session=self._session)
        return {document["_id"]: _entry(document).event.content() for document in found}

    def rows(self, projection: str, keys: Sequence[RowKey]) -> Iterable[Row]:
        """As the transaction."""
        ids = [_row_id(key) for key in keys]
        found = self._database[projection].find({"_id": {"$in": ids}}, session=self._session)
        return [_row(projection, document) for document in found]

    def fills_of(self, strategy: str, instrument: str, contract: int) -> list[Row]:
        """As the transaction."""
        wanted = {"strategy": strategy, "instrument": instrument, "contract": contract}
        return [_row("fills", document) for document in self._database["fills"].find(wanted, session=self._session)]

    def insert(self, written: Sequence[Written]) -> None:
        """As the transaction."""
        self._entries = [_entry_document(each.entry) for each in written]

    def write(self, projection: str, rows: Sequence[Row], fresh: bool) -> None:
        """As the transaction."""
        self._writes.append((projection, rows, fresh))

    def advance(self, moves: Mapping[str, tuple[Head, Head]]) -> None:
        """As the transaction. The last call of a batch: everything is written now."""
        with _conflicts():
            moved = self._update(HEADS, [_move(stream, was, head) for stream, (was, head) in moves.items()])
        if moved < len(moves):
            raise HeadMoved
        with _repeats():
            self._insert(JOURNAL, self._entries)
            for projection, rows, fresh in self._writes:
                documents = [_document(projection, row) for row in rows]
                if fresh:
                    self._insert(projection, documents)
                else:
                    self._update(projection, [{"q": {"_id": d["_id"]}, "u": d, "upsert": True} for d in documents])

    def _insert(self, collection: str, documents: list[Document]) -> int:
        return self._sent({"insert": collection}, "documents", documents)

    def _update(self, collection: str, updates: list[Document]) -> int:
        return self._sent({"update": collection}, "updates", updates)

    def _sent(self, command: Document, of: str, writes: list[Document]) -> int:
        """How many documents were inserted or matched. The server's own commands: the driver's methods for them make
        an object of each write first, and take twice the time of this process."""
        from pymongo.errors import BulkWriteError

        count = 0
        for start in range(0, len(writes), PAGE):
            page = writes[start : start + PAGE]
            answer = self._database.command({**command, of: page, "ordered": True}, session=self._session)
            if "writeErrors" in answer:
                raise BulkWriteError(answer)
            count += answer["n"]
        return count


def _move(stream: str, was: Head, head: Head) -> Document:
    there = {"_id": stream, "number": was.number, "link": was.link}
    return {"q": there, "u": {"$set": {"number": head.number, "link": head.link}}}


@contextmanager
def _conflicts() -> Iterator[None]:
    """HeadMoved where another writer has a head, or made it just now."""
    from pymongo.errors import OperationFailure

    try:
        yield
    except OperationFailure as cause:
        if mongo_errors.codes(cause) & {mongo_errors.WRITE_CONFLICT, mongo_errors.DUPLICATE}:
            raise HeadMoved from cause
        raise


@contextmanager
def _repeats() -> Iterator[None]:
    """Repeated where a document is there already."""
    from pymongo.errors import OperationFailure

    try:
        yield
    except OperationFailure as cause:
        if mongo_errors.DUPLICATE in mongo_errors.codes(cause):
            raise Repeated from cause
        raise


def _entered(database: Documents, events: Sequence[Event]) -> None:
    """Records events of a migration, all or nothing; those that are there are skipped."""

    def body(session: ClientSession) -> Batch:
        return enter(_MongoTransaction(database, session), events, Kept(), careful=True)

    with database.client.start_session() as session:
        session.with_transaction(body, **_transaction_options())


def _dropped(database: Documents, names: Sequence[str]) -> None:
    for name in names:
        database.drop_collection(name)


# --- documents --------------------------------------------------------------------------------------------------------
def _entry_document(entry: Entry) -> Document:
    """An entry as it is stored: what it does not have is left out."""
    event = entry.event
    document: Document = {
        "_id": event.event_id, "stream": entry.stream, "number": entry.number, "kind": event.kind,
        "session": event.session.isoformat(), "at": event.at.isoformat(), "actor": event.actor,
        "payload": event.payload, "schema": SCHEMA,
    }  # fmt: skip
    if event.cause is not None:
        document["cause"] = event.cause
    if event.correlation is not None:
        document["correlation"] = event.correlation
    if entry.link is not None:
        document["link"] = entry.link
    if found := searchable(event):
        document["words"], document["instant"] = found, (event.at - _EPOCH) // _MICROSECOND
    return document


def _entry(document: Document) -> Entry:
    """The entry of a document. BSON's 64-bit integers are integers again."""
    payload = {
        name: int(value) if isinstance(value, int) and not isinstance(value, bool) else value
        for name, value in document["payload"].items()
    }
    event = Event(
        document["_id"], document["kind"], date.fromisoformat(document["session"]),
        datetime.fromisoformat(document["at"]), document["actor"], payload, document.get("cause"),
        document.get("correlation"),
    )  # fmt: skip
    as_written = (event.session.isoformat(), event.at.isoformat()) == (document["session"], document["at"])
    text = None if as_written else f"stored as {document['session']}, {document['at']}"
    return Entry(document["stream"], int(document["number"]), event, document.get("link"), text)


def _old(document: Document) -> Document:
    """An entry of schema 1 as its columns."""
    return {
        **document,
        "event_id": document["_id"],
        "sequence": int(document["sequence"]),
        "payload": json.dumps(document["payload"]),
    }


def _row_id(key: Sequence[Any]) -> str:
    """The `_id` of a row: its key where that is one column, else its columns as JSON."""
    return str(key[0]) if len(key) == 1 else json.dumps(list(key), ensure_ascii=False, separators=(",", ":"))


_REALS = {name: tuple(c for c, kind in p.columns.items() if kind == "real") for name, p in PROJECTIONS.items()}
_WHOLES = {name: tuple(c for c, kind in p.columns.items() if kind == "integer") for name, p in PROJECTIONS.items()}


def _document(projection: str, row: Row) -> Document:
    """A row as it is stored: columns with nothing in them are left out."""
    key = PROJECTIONS[projection].key
    document: Document = {name: value for name, value in row.items() if value is not None}
    for name in _REALS[projection]:
        if name in document:
            document[name] = float(document[name])
    document["_id"] = document.pop(key[0]) if len(key) == 1 else _row_id([row[name] for name in key])
    return document


def _row(projection: str, document: Document) -> Document:
    declared = PROJECTIONS[projection]
    row: dict[str, Any] = {name: document.get(name) for name in declared.columns}
    if len(declared.key) == 1:
        row[declared.key[0]] = document["_id"]
    for name in _WHOLES[projection]:
        if row[name] is not None:
            row[name] = int(row[name])
    return row


def _conditions(kinds: Sequence[str] | None, through: date | None) -> Document:
    """Of kinds that fills are not among, only what has words: the index of those is small."""
    found: Document = {}
    if kinds is not None:
        found["kind"] = {"$in": list(kinds)}
        if "fill" not in kinds:
            found["words"] = {"$exists": True}
    if through is not None:
        found["session"] = {"$lte": through.isoformat()}
    return found
