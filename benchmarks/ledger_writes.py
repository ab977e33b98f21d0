"""Claim: a ledger costs less than 1.3 times what its driver needs for the same documents, made durable.

For SQLite, MongoDB and PostgreSQL, each started here for real: batches of 50 fills and single fills, ours against a raw
loop that sends the very documents ours writes (made beforehand, by the folds themselves) with the driver's bulk writes,
in one transaction a batch, with the same durability, into the same tables with the same indexes and constraints. Then
an order by its id and the latest position, ours and raw. Rounds of both are interleaved; medians are printed.

Run: `python benchmarks/ledger_writes.py [--rounds 9] [--store sqlite]`. Exit code 1 where the ratio of batches is
1.3 or more, or a read takes 1 ms or more.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipelines import mongod
from resources import mongo_ledger, sqlite_ledger
from resources.journal_batch import Kept, Written, enter
from resources.mongo_ledger import MongoLedger
from resources.postgres_ledger import PostgresLedger
from resources.sqlite_ledger import SqliteLedger
from trading.book.booking import Entered
from trading.book.fold import Row, RowKey
from trading.book.journal import PROJECTIONS, Event, Head
from trading.book.orders import Fill, Order
from trading.ports import Ledger

BATCH, BATCHES_A_ROUND, SINGLES_A_ROUND, READS = 50, 12, 40, 300
BAR, READ_BAR_MS = 1.3, 1.0
DAY = date(2022, 2, 25)
ENTRY = Entered(DAY, datetime(2022, 2, 25, 21, tzinfo=UTC), "broker", "run")
CODES = ("BUND", "CORN", "CRUDE_W", "EDOLLAR", "GOLD", "SP500", "US10", "V2X")


# --- what is written --------------------------------------------------------------------------------------------------
@dataclass
class Batch:
    """What a ledger writes for a batch: entries, rows by projection (those that are new, and others), and the head."""

    written: list[Written] = field(default_factory=list)
    fresh: dict[str, list[Row]] = field(default_factory=dict)
    known: dict[str, list[Row]] = field(default_factory=dict)
    head: tuple[str, Head, Head] = ("", Head(), Head())


class Caught:
    """A transaction that keeps what it is given to write, over rows in memory."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[RowKey, Row]] = {name: {} for name in PROJECTIONS}
        self.stands: dict[str, Head] = {}
        self.batch = Batch()

    def heads(self, streams: Sequence[str], believed: Mapping[str, Head]) -> Mapping[str, Head]:
        return {stream: self.stands[stream] for stream in streams if stream in self.stands}

    def contents(self, event_ids: Sequence[str]) -> Mapping[str, str]:
        return {}

    def rows(self, projection: str, keys: Sequence[RowKey]) -> list[Row]:
        return [self.tables[projection][key] for key in keys if key in self.tables[projection]]

    def fills_of(self, strategy: str, instrument: str, contract: int) -> list[Row]:
        raise NotImplementedError("fills of this benchmark come in order")

    def insert(self, written: Sequence[Written]) -> None:
        self.batch.written = list(written)

    def write(self, projection: str, rows: Sequence[Row], fresh: bool) -> None:
        names = PROJECTIONS[projection].key
        self.tables[projection] |= {tuple(row[name] for name in names): row for row in rows}
        (self.batch.fresh if fresh else self.batch.known)[projection] = list(rows)

    def advance(self, moves: Mapping[str, tuple[Head, Head]]) -> None:
        ((stream, (was, head)),) = moves.items()
        self.stands[stream] = head
        self.batch.head = (stream, was, head)


def caught(batches: Sequence[Sequence[Event]]) -> list[Batch]:
    """What a ledger would write for each of these batches."""
    database, kept, found = Caught(), Kept(), []
    for events in batches:
        enter(database, events, kept, careful=False).settle(kept)
        found.append(database.batch)
        database.batch = Batch()
    return found


def batches_of_fills(size: int, count: int, name: str) -> tuple[list[list[Event]], list[list[Event]]]:
    """Batches that place orders, and batches that fill them, of one book."""
    placing, filling = [], []
    for batch in range(count):
        numbers = range(batch * size, (batch + 1) * size)
        orders = [
            Order(f"{name}-{n:07}", name, CODES[n % len(CODES)], 20220600, DAY, 1 + n % 5, "target", 100.0 + n % 7)
            for n in numbers
        ]
        placing.append([event for order in orders for event in ENTRY.placed(order)])
        filling.append([ENTRY.filled(_fill(order)) for order in orders])
    return placing, filling


def _fill(order: Order) -> Fill:
    price = (order.reference_points or 0.0) + 0.25
    names = (order.order_id, order.strategy, order.instrument, order.contract, DAY, order.quantity_contracts)
    return Fill(f"exec-{order.order_id}", *names, price, 2.1, "2022-02-25T20:59:58+00:00")


# --- the raw loops ----------------------------------------------------------------------------------------------------
class RawSqlite:
    """The same rows with the sqlite3 module: one executemany a table, one commit a batch, synchronous=FULL."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("pragma journal_mode = wal")
        self._database.execute("pragma synchronous = full")

    def prepared(self, batch: Batch) -> list[tuple[str, list[tuple[object, ...]]]]:
        """Statements with their values."""
        stream, _, head = batch.head
        calls: list[tuple[str, list[tuple[object, ...]]]] = [
            (sqlite_ledger._INSERT, [sqlite_ledger._values(each) for each in batch.written])
        ]
        for rows_of, fresh in ((batch.fresh, True), (batch.known, False)):
            for projection, rows in rows_of.items():
                calls.append((sqlite_ledger._WRITES[projection, fresh], [tuple(row.values()) for row in rows]))
        return [*calls, ("insert or replace into heads values (?, ?, ?)", [(stream, head.number, head.link)])]

    def write(self, calls: list[tuple[str, list[tuple[object, ...]]]]) -> None:
        """One batch."""
        self._database.execute("begin immediate")
        for statement, values in calls:
            self._database.executemany(statement, values)
        self._database.execute("commit")

    def order(self, name: str) -> object:
        """A row of orders."""
        return self._database.execute("select * from orders where order_id = ?", (name,)).fetchone()

    def position(self, key: tuple[str, str, int]) -> object:
        """A row of positions."""
        query = "select * from positions where strategy = ? and instrument = ? and contract = ?"
        return self._database.execute(query, key).fetchone()


class RawMongo:
    """The same documents with pymongo: insert_many, and bulk_write of replacements, in one transaction a batch."""

    def __init__(self, uri: str) -> None:
        from pymongo import MongoClient
        from pymongo.write_concern import WriteConcern

        client: MongoClient[dict[str, Any]] = MongoClient(uri, w="majority", journal=True, readConcernLevel="majority")
        self._client, self._database = client, client.get_default_database()
        self._durable = WriteConcern("majority", j=True)

    def prepared(self, batch: Batch) -> list[tuple[str, str, list[Any]]]:
        """Calls of collections with their documents."""
        from pymongo import ReplaceOne, UpdateOne

        stream, was, head = batch.head
        journal = [mongo_ledger._entry_document(each.entry) for each in batch.written]
        moved = UpdateOne({"_id": stream, "number": was.number}, {"$set": {"number": head.number, "link": head.link}})
        calls: list[tuple[str, str, list[Any]]] = [
            ("heads", "bulk_write", [moved]),
            ("journal", "insert_many", journal),
        ]
        for projection, rows in batch.fresh.items():
            calls.append((projection, "insert_many", [mongo_ledger._document(projection, row) for row in rows]))
        for projection, rows in batch.known.items():
            documents = [mongo_ledger._document(projection, row) for row in rows]
            replaced = [ReplaceOne({"_id": each["_id"]}, each, upsert=True) for each in documents]
            calls.append((projection, "bulk_write", replaced))
        return calls

    def write(self, calls: list[tuple[str, str, list[Any]]]) -> None:
        """One batch."""
        with self._client.start_session() as session, session.start_transaction(write_concern=self._durable):
            for collection, method, documents in calls:
                getattr(self._database[collection], method)(documents, session=session)

    def order(self, name: str) -> object:
        """A document of orders."""
        return self._database["orders"].find_one({"_id": mongo_ledger._row_id([name])})

    def position(self, key: tuple[str, str, int]) -> object:
        """A document of positions."""
        return self._database["positions"].find_one({"_id": mongo_ledger._row_id(key)})


class RawPostgres:
    """The same rows with psycopg: one executemany a table, in a pipeline, one commit a batch."""

    def __init__(self, uri: str) -> None:
        import psycopg

        from resources import postgres_schema

        self._database = psycopg.connect(uri, autocommit=True, options=f"-c search_path={postgres_schema.NAME}")

    def prepared(self, batch: Batch) -> list[tuple[str, list[tuple[object, ...]]]]:
        """Statements with their values."""
        stream, _, head = batch.head
        columns = "stream, number, event_id, kind, session, at, actor, cause, correlation, payload, link"
        places = ", ".join(["%s"] * 11)
        calls: list[tuple[str, list[tuple[object, ...]]]] = [
            (
                f"insert into journal ({columns}) values ({places})",
                [sqlite_ledger._values(each) for each in batch.written],
            )
        ]
        for rows_of, fresh in ((batch.fresh, True), (batch.known, False)):
            for projection, rows in rows_of.items():
                calls.append((_upsert(projection, fresh), [tuple(row.values()) for row in rows]))
        return [
            *calls,
            ("update heads set number = %s, link = %s where stream = %s", [(head.number, head.link, stream)]),
        ]

    def write(self, calls: list[tuple[str, list[tuple[object, ...]]]]) -> None:
        """One batch."""
        with self._database.pipeline(), self._database.transaction(), self._database.cursor() as cursor:
            for statement, values in calls:
                cursor.executemany(statement, values)

    def order(self, name: str) -> object:
        """A row of orders."""
        return self._database.execute("select * from orders where order_id = %s", (name,)).fetchone()

    def position(self, key: tuple[str, str, int]) -> object:
        """A row of positions."""
        query = "select * from positions where strategy = %s and instrument = %s and contract = %s"
        return self._database.execute(query, key).fetchone()


def _upsert(projection: str, fresh: bool) -> str:
    declared = PROJECTIONS[projection]
    names = list(declared.columns)
    sets = ", ".join(f"{name} = excluded.{name}" for name in names if name not in declared.key)
    otherwise = "" if fresh else f" on conflict ({', '.join(declared.key)}) do update set {sets}"
    return f"insert into {projection} ({', '.join(names)}) values ({', '.join(['%s'] * len(names))}){otherwise}"


# --- stores -----------------------------------------------------------------------------------------------------------
Made = tuple[Ledger, Callable[[], Any]]  # ours, in one database, and what makes the raw loop in another


@contextmanager
def sqlite() -> Iterator[tuple[Ledger, Ledger, Callable[[], Any]]]:
    """Ours; another of ours, into whose tables the raw loop writes; and that loop."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        paths = [Path(folder) / name / "ledger.sqlite" for name in ("ours", "raw")]
        yield SqliteLedger(paths[0]), SqliteLedger(paths[1]), lambda: RawSqlite(paths[1])


@contextmanager
def mongodb() -> Iterator[tuple[Ledger, Ledger, Callable[[], Any]]]:
    """As `sqlite`, on one replica set."""
    program = mongod.mongod_program()
    if program is None:
        raise SystemExit(mongod.NO_MONGOD)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, mongod.ReplicaSet(program, Path(folder)) as servers:
        addresses = [servers.uri.replace(f"/{mongod.DATABASE}?", f"/{name}?") for name in ("ours", "raw")]
        yield MongoLedger(addresses[0]), MongoLedger(addresses[1]), lambda: RawMongo(addresses[1])


@contextmanager
def postgresql() -> Iterator[tuple[Ledger, Ledger, Callable[[], Any]]]:
    """As `sqlite`, on one server."""
    import psycopg

    from tests.conftest import postgres_server

    with postgres_server() as server:
        with psycopg.connect(server.uri(), autocommit=True) as database:
            for name in ("ours", "raw"):
                database.execute(f"create database {name}")
        yield (
            PostgresLedger(server.uri("ours")),
            PostgresLedger(server.uri("raw")),
            lambda: RawPostgres(server.uri("raw")),
        )


STORES = {"sqlite": sqlite, "mongodb": mongodb, "postgresql": postgresql}


# --- measuring --------------------------------------------------------------------------------------------------------
def seconds(calls: Sequence[Callable[[], object]]) -> float:
    """What all of them take together."""
    began = time.perf_counter()
    for call in calls:
        call()
    return time.perf_counter() - began


def writes(
    store: tuple[Ledger, Ledger, Callable[[], Any]], size: int, a_round: int, rounds: int
) -> tuple[float, float]:
    """Median fills a second of a size of batch: ours and raw, in interleaved rounds."""
    ours, theirs, make = store
    name = f"book{size}"
    placing, filling = batches_of_fills(size, a_round * (rounds + 1), name)
    for batch in placing:
        ours.record(batch)
        theirs.record(batch)
    raw = make()
    prepared = [raw.prepared(batch) for batch in caught([*placing, *filling])[len(placing) :]]
    found: dict[str, list[float]] = {"ours": [], "raw": []}
    for number in range(rounds + 1):  # the first round warms up
        part = slice(number * a_round, (number + 1) * a_round)
        sides = {
            "ours": [lambda batch=batch: ours.record(batch) for batch in filling[part]],
            "raw": [lambda calls=calls: raw.write(calls) for calls in prepared[part]],
        }
        for side in sorted(sides, reverse=number % 2 == 0):
            found[side].append(size * a_round / seconds(sides[side]))
    _same(ours, theirs, name)
    return statistics.median(found["ours"][1:]), statistics.median(found["raw"][1:])


def _same(ours: Ledger, theirs: Ledger, name: str) -> None:
    """Both sides must have written the same book, or the comparison says nothing."""
    where = {"strategy": name}
    if ours.rows("positions", where) != theirs.rows("positions", where) or ours.heads() != theirs.heads():
        raise SystemExit("the raw loop did not write what the ledger wrote")


def reads(store: tuple[Ledger, Ledger, Callable[[], Any]]) -> dict[str, tuple[float, float]]:
    """Median milliseconds of reading an order by its id, and the latest position of a contract: ours and raw."""
    ours, _, make = store
    raw = make()
    names = [f"book{BATCH}-{number:07}" for number in range(READS)]
    key = (f"book{BATCH}", "GOLD", 20220600)
    where = dict(zip(PROJECTIONS["positions"].key, key, strict=True))
    pairs: dict[str, tuple[Callable[[str], object], Callable[[str], object]]] = {
        "order by id": (lambda name: ours.rows("orders", {"order_id": name}), raw.order),
        "latest position": (lambda _: ours.rows("positions", where), lambda _: raw.position(key)),
    }
    found = {}
    for what, sides in pairs.items():
        times: tuple[list[float], list[float]] = ([], [])
        for name in names:
            for side, read in enumerate(sides):
                times[side].append(seconds([lambda read=read, name=name: read(name)]) * 1e3)
        found[what] = (statistics.median(times[0]), statistics.median(times[1]))
    return found


def main() -> int:
    """Measures the stores asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--store", choices=STORES, action="append")
    asked = parser.parse_args()
    over = 0
    for name in asked.store or STORES:
        with STORES[name]() as store:
            for size, a_round in ((BATCH, BATCHES_A_ROUND), (1, SINGLES_A_ROUND)):
                ours, raw = writes(store, size, a_round, asked.rounds)
                what = f"batches of {size}" if size > 1 else "single fills"
                print(f"{name:10} {what:14} {ours:8,.0f} fills/s, raw driver {raw:8,.0f}: ratio {raw / ours:.2f}")
                over += size > 1 and raw / ours >= BAR
            for what, (mine, theirs) in reads(store).items():
                print(f"{name:10} {what:14} {mine:8.3f} ms, raw driver {theirs:8.3f} ms (median of {READS})")
                over += mine >= READ_BAR_MS
    return int(over > 0)


if __name__ == "__main__":
    sys.exit(main())
