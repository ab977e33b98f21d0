"""MongoLedger against the world: writers at once, what the database itself refuses, every failure as a sentence, and
ledgers of other versions. What all ledgers promise is in `tests/contracts/`; three members are in
`test_replica_set.py`."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import DuplicateKeyError, WriteError

from pipelines import mongod
from resources.mongo_ledger import MongoLedger
from resources.mongo_schema import ADDITIONS, MIGRATING, before, declaration, indexes, validators
from trading.book.audit import findings
from trading.book.journal import PROJECTIONS, Event
from trading.errors import (
    ConfigError,
    DaybookError,
    EventConflict,
    LedgerError,
    LedgerSchemaError,
    StoreBusy,
    StoreUnavailable,
)
from trading.ports import Recorded

SESSION = date(2022, 2, 25)
AT = datetime(2022, 2, 25, 22, 0, tzinfo=UTC)
PASSWORD = "s3cret-pässword"


@pytest.fixture
def ledger(mongo_database: str) -> Iterator[MongoLedger]:
    made = MongoLedger(mongo_database)
    yield made
    made.close()


@pytest.fixture
def database(mongo_database: str) -> Iterator[Any]:
    """The same database without Daybook."""
    with MongoClient(mongo_database) as client:
        yield client.get_default_database()


def fill(name: str, strategy: str = "trend", quantity: int = 1, **more: Any) -> Event:
    payload = {
        "fill_id": name, "order_id": f"order-{strategy}", "strategy": strategy, "instrument": "US10",
        "contract": 20220600, "session": "2022-02-25", "quantity_contracts": quantity, "price_points": 100.5,
        "commission_local": 2.5, "executed_at": None, **more,
    }  # fmt: skip
    return Event(f"fill:{name}", "fill", SESSION, AT, "broker", payload)


def process(name: str, state: str = "done", **more: Any) -> Event:
    payload = {"process": name, "session": "2022-02-25", "state": state, "run_id": name, "detail": "", **more}
    return Event(f"process:{name}", "process", SESSION, AT, "ann", payload)


def held(ledger: MongoLedger) -> dict[object, object]:
    return {row["strategy"]: row["quantity_contracts"] for row in ledger.rows("positions")}


def wrong(ledger: MongoLedger) -> list[str]:
    return findings(ledger.entries(), ledger.heads(), {name: ledger.rows(name) for name in PROJECTIONS})


# --- values -----------------------------------------------------------------------------------------------------------
def test_numbers_keep_their_type_through_bson(ledger: MongoLedger) -> None:
    """BSON has integers of 32 and of 64 bits and floats; names with dots and dollars are only names."""
    values = {"a.b": 1, "$c": 2**31, "least": -(2**63), "most": 2**63 - 1, "zero": -0.0, "one": 1.0, "no": False}
    ledger.record([process("p", **values)])
    (found,) = ledger.entries()
    payload = {name: found.event.payload[name] for name in values}
    assert repr(payload) == repr(values)
    assert [type(value) for value in payload.values()] == [type(value) for value in values.values()]


@pytest.mark.parametrize("value", [2**63, "\ud800"])
def test_what_bson_cannot_keep_is_refused(ledger: MongoLedger, value: object) -> None:
    with pytest.raises(LedgerError, match=r"cannot keep a value .* Nothing of the batch was recorded"):
        ledger.record([process("good"), process("bad", value=value)])
    assert ledger.sequence() == 0
    ledger.record([process("good")])


def test_a_whole_number_in_a_column_of_floats_is_a_float(ledger: MongoLedger, database: Any) -> None:
    ledger.record([fill("f1", price_points=100)])
    assert type(ledger.rows("fills")[0]["price_points"]) is float
    assert database["fills"].count_documents({"price_points": {"$type": "double"}}) == 1


# --- what the database holds ------------------------------------------------------------------------------------------
def test_the_database_refuses_documents_that_are_not_as_declared(ledger: MongoLedger, database: Any) -> None:
    ledger.record([fill("f1"), process("p")])
    for collection, change in (
        ("journal", {"kind": "gossip"}), ("journal", {"session": "25.2.2022"}), ("journal", {"number": 1.5}),
        ("journal", {"more": 1}), ("fills", {"quantity_contracts": 1.5}), ("fills", {"state": "lost"}),
        ("positions", {"average_points": "100"}), ("positions", {"colour": "red"}), ("heads", {"number": -1}),
    ):  # fmt: skip
        with pytest.raises(WriteError, match="failed validation"):
            database[collection].update_one({}, {"$set": change})
    twice = database["journal"].find_one({"stream": "book/trend"})
    with pytest.raises(DuplicateKeyError):
        database["journal"].insert_one({**twice, "_id": "another"})
    assert wrong(ledger) == []


def test_all_that_is_declared_is_made_at_start(ledger: MongoLedger, database: Any) -> None:
    ledger.heads()
    for name in validators():
        assert database.get_collection(name).options()["validator"] == validators()[name]
    for name, declared in indexes().items():
        there = set(database[name].index_information())
        assert there == {"_id_", *(index["name"] for index in declared)}


def test_what_is_asked_for_is_found_by_an_index(ledger: MongoLedger, database: Any) -> None:
    ledger.record([fill(f"f{number}") for number in range(50)])
    ledger.record([process(f"p{number}") for number in range(50)])
    queries: list[tuple[str, dict[str, Any], list[tuple[str, int]], str]] = [
        ("journal", {"stream": "book/trend", "number": {"$gt": 3, "$lte": 9}}, [("number", 1)], "place"),
        ("journal", {"words": {"$all": ["p7", "process"]}}, [("instant", -1), ("stream", 1), ("number", 1)], "words"),
        ("fills", {"strategy": "a", "instrument": "US10", "contract": 1}, [], "strategy_instrument_contract"),
        ("fills", {"order_id": "order-trend"}, [], "order_id"),
        ("orders", {"session": "2022-02-25"}, [], "session"),
        ("process_runs", {"process": "p1", "session": "2022-02-25"}, [], "process_session"),
    ]  # fmt: skip
    for collection, wanted, order, index in queries:
        found = database[collection].find(wanted)
        plan = str((found.sort(order) if order else found).explain()["queryPlanner"]["winningPlan"])
        assert f"'indexName': '{index}'" in plan
        assert "'stage': 'SORT'" not in plan
    row_id = '["trend","US10",20220600]'
    assert "IDHACK" in str(database["positions"].find({"_id": row_id}).explain()["queryPlanner"]["winningPlan"])
    assert [row["quantity_contracts"] for row in ledger.rows("positions", {
        "strategy": "trend", "instrument": "US10", "contract": 20220600})] == [50]  # fmt: skip


def test_fills_cost_the_text_search_nothing(ledger: MongoLedger, database: Any) -> None:
    ledger.record([fill("f1"), process("p")])
    assert [document["_id"] for document in database["journal"].find({"words": {"$exists": True}})] == ["process:p"]


# --- writers at once --------------------------------------------------------------------------------------------------
def together(*works: Callable[[], object]) -> None:
    """Does all of it at once; raises what one of them raised."""
    raised: list[BaseException] = []

    def guarded(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    if raised:
        raise raised[0]


def writes(uri: str, name: str, strategy: str) -> Callable[[], None]:
    """Twenty batches of five fills, the last of each common to all writers of the book."""

    def work() -> None:
        ledger = MongoLedger(uri)
        for number in range(20):
            own = [fill(f"{name}.{number}.{part}", strategy) for part in range(4)]
            ledger.record([*own, fill(f"{strategy}.{number}", strategy)])
        ledger.close()

    return work


def test_writers_of_one_book_and_of_others_lose_and_double_nothing(ledger: MongoLedger, mongo_database: str) -> None:
    books = {"a": 4, "b": 2, "c": 1}
    together(*(writes(mongo_database, f"{book}{n}", book) for book, writers in books.items() for n in range(writers)))
    assert held(ledger) == {book: 20 * (4 * writers + 1) for book, writers in books.items()}
    assert {name: head.number for name, head in ledger.heads().items()} == {
        f"book/{book}": 20 * (4 * writers + 1) for book, writers in books.items()
    }
    assert wrong(ledger) == []


def test_threads_that_share_a_ledger_lose_and_double_nothing(ledger: MongoLedger) -> None:
    def work(name: str) -> Callable[[], None]:
        return lambda: [ledger.record([fill(f"{name}.{n}", name[0])]) for n in range(20)] and None

    together(*(work(name) for name in ("a1", "a2", "b1", "b2")))
    assert held(ledger) == {"a": 40, "b": 40}
    assert wrong(ledger) == []


@contextmanager
def taken(database: Any, stream: str) -> Iterator[None]:
    """Somebody else's transaction has the turn of a stream."""
    with database.client.start_session() as session, session.start_transaction():
        database["heads"].update_one({"_id": stream}, {"$inc": {"number": 0}, "$set": {"link": ""}}, session=session)
        yield
        session.abort_transaction()


def test_only_writers_of_the_same_stream_wait_for_each_other(
    ledger: MongoLedger, database: Any, mongo_database: str
) -> None:
    ledger.record([fill("f1"), fill("g1", "carry")])
    hasty = MongoLedger(mongo_database, wait_s=0.5)
    with taken(database, "book/trend"):
        with pytest.raises(StoreBusy, match=r"other writers of the same book .* 0\.5 s"):
            hasty.record([fill("f2")])
        hasty.record([fill("g2", "carry")])
    hasty.record([fill("f2")])
    assert held(hasty) == {"trend": 2, "carry": 2}
    hasty.close()


def test_a_turn_that_a_killed_writer_left_behind_is_ended(
    ledger: MongoLedger, mongo_database: str, database: Any
) -> None:
    """MongoDB itself would keep it for a minute."""
    ledger.record([fill("f1")])
    with MongoClient(mongo_database, appname=f"daybook:{database.name}") as killed:
        session = killed.start_session()
        session.start_transaction()
        heads = killed[database.name]["heads"]
        heads.update_one({"_id": "book/trend"}, {"$set": {"number": 7}}, session=session)
        began = time.monotonic()
        ledger.record([fill("f2")])
        assert 1 < time.monotonic() - began < 25
    assert held(ledger) == {"trend": 2}
    assert wrong(ledger) == []


def test_a_ledger_that_believes_what_is_over_finds_out(ledger: MongoLedger, mongo_database: str) -> None:
    """Two writers in turns, each of which knows only its own batches; the same order is filled by both."""
    other = MongoLedger(mongo_database)
    for number in range(4):
        (ledger, other)[number % 2].record([fill(f"f{number}")])
    assert held(ledger) == {"trend": 4}
    with pytest.raises(EventConflict, match=r"fill:f3 .* other content"):
        ledger.record([fill("f4"), fill("f3", quantity=7)])
    assert ledger.record([fill("f3"), fill("f4")]).new == 1
    assert ledger.rows("orders")[0]["filled_contracts"] == 5
    assert wrong(other) == []
    other.close()


# --- failures ---------------------------------------------------------------------------------------------------------
def sentence(error: pytest.ExceptionInfo[DaybookError]) -> str:
    """What was said, which never holds the password, nor do its causes."""
    said, link = str(error.value), error.value
    while link is not None:
        assert PASSWORD not in str(link)
        assert "s3cret" not in str(link)
        link = link.__cause__  # type: ignore[assignment]
    return said


def test_a_server_that_is_not_there() -> None:
    port = mongod.free_port()
    ledger = MongoLedger(f"mongodb://ann:s3cret@127.0.0.1:{port}/daybook?replicaSet=daybook", timeout_s=0.5)
    for ask in (ledger.heads, lambda: ledger.record([fill("f1")])):
        with pytest.raises(StoreUnavailable) as error:
            ask()
        assert f"127.0.0.1:{port} did not answer for 0.5 s" in sentence(error)
        assert "correct MONGODB_URI" in str(error.value)
    health = ledger.health()
    assert not health.well
    assert health.cure
    ledger.close()


@pytest.mark.parametrize(
    "uri", ["mongodb://ann:s3cret@:x/", "mongo://ann:s3cret@host", "mongodb://ann:s3cret/@host", "s3cret", ""]
)
def test_an_address_that_is_none(uri: str) -> None:
    with pytest.raises(ConfigError, match="MONGODB_URI is no address") as error:
        MongoLedger(uri)
    sentence(error)


def test_wrong_credentials_and_missing_rights(mongod_program: str, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("a key that members of the set share")
    key.chmod(0o600)
    with mongod.ReplicaSet(mongod_program, tmp_path / "data", options=(f"--keyFile={key}",)) as servers:
        (port,) = servers.ports
        with MongoClient("127.0.0.1", port, directConnection=True) as client:
            roles = [{"role": "root", "db": "admin"}]
            client.admin.command({"createUser": "root", "pwd": PASSWORD, "roles": roles})
        with MongoClient("127.0.0.1", port, username="root", password=PASSWORD) as client:
            client.admin.command({"createUser": "ann", "pwd": "ann", "roles": [{"role": "read", "db": "daybook"}]})
        for user, password, said in (
            ("ann", "s3cret", "does not accept the password of the user ann"),
            ("ann", "ann", "does not let the user ann do this"),
            (None, None, "does not let a user without a name do this"),
        ):
            who = f"{user}:{password}@" if user else ""
            address = f"mongodb://{who}127.0.0.1:{port}/daybook?authSource=admin&replicaSet=daybook"
            refused = MongoLedger(address if user else mongod.uri([port]), timeout_s=5.0)
            with pytest.raises(StoreUnavailable) as error:
                refused.record([fill("f1")])
            assert said in sentence(error)
            refused.close()


def test_a_server_that_is_no_replica_set(mongod_program: str, tmp_path: Path) -> None:
    port = mongod.free_port()
    words = [word for word in mongod.command(mongod_program, tmp_path, port) if "replSet" not in word]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    try:
        while not mongod.listening(port):
            threading.Event().wait(0.05)
        ledger = MongoLedger(f"mongodb://127.0.0.1:{port}/daybook")
        with pytest.raises(StoreUnavailable, match=r"is no replica set.*daybook services start"):
            ledger.record([fill("f1")])
        ledger.close()
    finally:
        server.kill()
        server.wait(10)


def test_a_server_that_dies_in_the_middle_and_comes_back(mongod_program: str, tmp_path: Path) -> None:
    with mongod.ReplicaSet(mongod_program, tmp_path) as servers:
        ledger, (port,) = MongoLedger(servers.uri, timeout_s=1.0), servers.ports
        ledger.record([fill("f1")])
        servers.kill(port)
        with pytest.raises(StoreUnavailable, match="run the same command again"):
            ledger.record([fill("f2")])
        servers.start(port)
        assert mongod.primary([port], 30) == port
        ledger.record([fill("f2")])
        assert held(ledger) == {"trend": 2}
        assert wrong(ledger) == []
        ledger.close()


def test_a_network_that_is_cut(mongod_program: str, tmp_path: Path) -> None:
    """A stopped server is as a cut network: connections stay, and nothing is ever answered."""
    with mongod.ReplicaSet(mongod_program, tmp_path) as servers:
        ledger, (port,) = MongoLedger(servers.uri, timeout_s=1.0), servers.ports
        ledger.record([fill("f1")])
        servers.processes[port].send_signal(signal.SIGSTOP)
        with pytest.raises(StoreUnavailable, match="nothing is recorded twice"):
            ledger.record([fill("f2")])
        with pytest.raises(StoreUnavailable, match="MongoDB at"):
            ledger.rows("positions")
        servers.processes[port].send_signal(signal.SIGCONT)
        patient = MongoLedger(servers.uri)
        patient.record([fill("f2")])
        assert held(patient) == {"trend": 2}
        assert wrong(patient) == []
        patient.close()
        ledger.close()


def test_a_full_disk_leaves_whole_batches(mongod_program: str, tmp_path: Path) -> None:
    """The server may write files of 120 MB and no more; what it does of a full disk is to end."""
    limited = tmp_path / "limited"
    limited.write_text(f'#!/bin/sh\nulimit -f 240000\nexec "{mongod_program}" "$@"\n')
    limited.chmod(0o755)
    note = hashlib.shake_256(b"what cannot be compressed").hexdigest(200_000)
    with mongod.ReplicaSet(str(limited), tmp_path / "data") as servers:
        ledger, (port,) = MongoLedger(servers.uri, timeout_s=2.0), servers.ports
        batches = [[fill(f"{n:03}.{part}", note=f"{n}{note}") for part in range(5)] for n in range(200)]
        recorded: list[Recorded] = []
        with pytest.raises(StoreUnavailable, match="log"):
            recorded.extend(ledger.record(batch) for batch in batches)
        done = len(recorded)
        ledger.close()
        servers.processes.pop(port).wait(20)
        servers.program = mongod_program
        servers.start(port)
        assert mongod.primary([port], 60) == port
        after = MongoLedger(servers.uri)
        assert after.sequence() in (5 * done, 5 * done + 5)
        assert after.record(batches[done]).sequence == 5 * done + 5
        assert held(after) == {"trend": 5 * done + 5}
        after.close()


# --- other versions ---------------------------------------------------------------------------------------------------
def test_a_ledger_of_a_newer_daybook_is_refused(ledger: MongoLedger, database: Any, mongo_database: str) -> None:
    ledger.record([fill("f1")])
    database["meta"].update_one({"_id": "schema"}, {"$set": {"schema": 3}})
    again = MongoLedger(mongo_database)
    for ask in (again.heads, again.migrate, lambda: again.record([fill("f2")])):
        with pytest.raises(LedgerSchemaError, match="of schema 3: a newer Daybook wrote it"):
            ask()
    assert not again.health().well
    again.close()


def test_tables_declared_otherwise_are_folded_anew_when_asked(
    ledger: MongoLedger, database: Any, mongo_database: str
) -> None:
    ledger.record([fill("f1"), fill("f2"), process("p")])
    tables = {name: ledger.rows(name) for name in PROJECTIONS}
    database["meta"].update_one({"_id": "schema"}, {"$set": {"declaration": "an older one"}})
    database["positions"].delete_many({})
    again = MongoLedger(mongo_database)
    with pytest.raises(LedgerSchemaError, match="its tables were made by another Daybook"):
        again.rows("positions")
    assert "folded anew" in again.migrate()
    assert {name: again.rows(name) for name in PROJECTIONS} == tables
    assert "nothing to do" in again.migrate()
    again.close()


# Declarations that releases wrote down, the oldest first: of a ledger without each addition.
RELEASED = (
    "4449f399adadaf2dc2e58c2762b001942ef03fc0be0d910b9c5d0afbe8a9070e",
    "47283b46d2bb3ed5f0da02f7c0c9b1647de323b679e9eb67cd4dd6e9c5eeb089",
)


def test_ledgers_of_earlier_releases_are_known() -> None:
    assert tuple(declaration(*before(number)) for number in range(len(ADDITIONS))) == RELEASED


@pytest.mark.parametrize("number", range(len(ADDITIONS)))
def test_what_was_added_since_is_made_at_once(
    ledger: MongoLedger, database: Any, mongo_database: str, number: int
) -> None:
    """No event of a new kind is there yet: nothing has to be folded anew, and nobody is stopped."""
    ledger.record([fill("f1")])
    kinds, tables = before(number)
    made = validators(kinds)["journal"]
    database.command({"collMod": "journal", "validator": made, "validationLevel": "strict"})
    for name in set(PROJECTIONS) - set(tables):
        database.drop_collection(name)
    database["meta"].update_one({"_id": "schema"}, {"$set": {"declaration": declaration(kinds, tables)}})
    said = {"halt_id": "h1", "scope": "strategy", "item": "trend", "mode": "nothing", "until": None, "reason": "x"}
    applied = Event("halt:h1", "halt_set", SESSION, AT, "ann", said)
    with pytest.raises(LedgerError):
        ledger.record([applied])  # it was opened before: the server still refuses the kind
    again = MongoLedger(mongo_database)
    assert held(again) == {"trend": 1}
    assert again.record([applied]).new == 1
    assert [row["halt_id"] for row in again.rows("halts", {"state": "set"})] == ["h1"]
    assert database["meta"].find_one({"_id": "schema"})["declaration"] == declaration()
    assert "nothing to do" in again.migrate()
    again.close()


def old_entries() -> list[dict[str, Any]]:
    """A journal as schema 1 kept it, chained by hand: an order, its fill, and an order that was refused."""
    order = {"order_id": "o1", "strategy": "trend", "instrument": "US10", "contract": 20220600,
             "session": "2022-02-24", "quantity_contracts": 2, "reason": "target",
             "reference_points": 127.5}  # fmt: skip
    trade = {"fill_id": "f1", "order_id": "o1", "strategy": "trend", "instrument": "US10", "contract": 20220600,
             "session": "2022-02-25", "quantity_contracts": 2, "price_points": 127.25,
             "commission_local": 5.0}  # fmt: skip
    said = [
        ("order/o1", "order_placed", "2022-02-24", {**order, "refusal": None}),
        ("fill/f1", "fill", "2022-02-25", trade),
        ("order/o2", "order_refused", "2022-02-25", {**order, "order_id": "o2", "refusal": "too large"}),
    ]
    digest, documents = "", []
    for sequence, (name, kind, session, payload) in enumerate(said, 1):
        content = {"id": name, "kind": kind, "session": session, "payload": payload}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        digest = hashlib.sha256(f"{digest}{text}".encode()).hexdigest()
        documents.append({"_id": name, "sequence": sequence, "kind": kind, "session": session, "payload": payload,
                          "at": "2022-02-25T22:00:00+00:00", "actor": "close", "chain": digest})  # fmt: skip
    return documents


def test_a_ledger_of_schema_1_is_refused_until_it_is_migrated(mongo_database: str, database: Any) -> None:
    database["journal"].insert_many(old_entries())
    ledger = MongoLedger(mongo_database)
    with pytest.raises(LedgerSchemaError, match=r"schema 1.*daybook ledger migrate"):
        ledger.record([fill("f2")])
    assert "3 old entries" in ledger.migrate()
    assert [(row["order_id"], row["status"], row["refusal"]) for row in ledger.rows("orders")] == [
        ("o1", "filled", None), ("o2", "refused", "too large"),
    ]  # fmt: skip
    assert [(row["quantity_contracts"], row["average_points"]) for row in ledger.rows("positions")] == [(2, 127.25)]
    assert wrong(ledger) == []
    assert [document["_id"] for document in database["journal_1"].find()] == ["order/o1", "fill/f1", "order/o2"]
    ledger.record([fill("f2")])
    ledger.close()


def test_a_migration_that_was_stopped_is_refused_and_done_again(mongo_database: str, database: Any) -> None:
    """As after a crash when the old journal was set aside and half of the new one was written."""
    database["journal_1"].insert_many(old_entries())
    database["meta"].insert_one({"_id": "schema", "schema": 1, "declaration": MIGRATING})
    database["journal"].insert_one({"_id": "created:o1", "stream": "book/trend", "number": 1})
    ledger = MongoLedger(mongo_database)
    with pytest.raises(LedgerSchemaError, match="schema 1"):
        ledger.heads()
    ledger.migrate()
    assert {name: head.number for name, head in ledger.heads().items()} == {"book/trend": 6}
    assert wrong(ledger) == []
    assert database["meta"].find_one({"_id": "schema"})["declaration"] == declaration()
    ledger.close()


def test_an_old_ledger_that_was_tampered_with_is_left_alone(mongo_database: str, database: Any) -> None:
    documents = old_entries()
    documents[1]["payload"]["quantity_contracts"] = 3
    database["journal"].insert_many(documents)
    ledger = MongoLedger(mongo_database)
    with pytest.raises(LedgerSchemaError, match=r"entry 2 .*chain does not fit"):
        ledger.migrate()
    assert database.list_collection_names() == ["journal"]
    ledger.close()


def test_a_process_has_no_more_connections_than_it_may(mongo_database: str) -> None:
    """The driver's own pool is what holds to it: sixteen readers at once come through two connections."""
    ledger = MongoLedger(mongo_database, max_connections=2)
    with ThreadPoolExecutor(16) as many:
        assert set(many.map(lambda _: ledger.sequence(), range(64))) == {0}
    assert ledger._client().options.pool_options.max_pool_size == 2
