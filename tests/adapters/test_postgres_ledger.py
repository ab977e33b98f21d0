"""The ledger in PostgreSQL against the world: servers that are down, slow, full or foreign, and writers at once.

Belongs here: what a real server does to the ledger. Does not belong here: what every ledger promises
(tests/contracts/test_ledger_contract.py).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from resources import postgres_schema
from resources.memory import MemoryLedger
from resources.postgres_ledger import PostgresLedger
from trading.book.journal import PROJECTIONS, SCHEMA, Event
from trading.errors import ConfigError, EventConflict, LedgerError, LedgerSchemaError, StoreBusy, StoreUnavailable
from trading.ports import Recorded

FRIDAY = date(2022, 2, 25)
AT = datetime(2022, 2, 25, 22, 0, tzinfo=UTC)


def fill(number: int, strategy: str = "trend", quantity: int = 1, **more: Any) -> Event:
    """A fill of a book, at 100 points plus its number."""
    payload = {
        "fill_id": f"{strategy}-f{number:06}", "order_id": f"{strategy}-o1", "strategy": strategy, "instrument": "US10",
        "contract": 20220600, "session": "2022-02-25", "quantity_contracts": quantity,
        "price_points": 100.0 + number, "commission_local": 2.5, "executed_at": None,
    }  # fmt: skip
    return Event(f"fill/{strategy}-f{number:06}", "fill", FRIDAY, AT, "broker", payload | more)


def order(number: int, reason: str = "target") -> Event:
    """An order of the book trend."""
    payload = {
        "order_id": f"o{number}", "parent_id": None, "level": "contract", "strategy": "trend", "instrument": "US10",
        "contract": 20220600, "session": "2022-02-25", "quantity_contracts": 2, "reason": reason,
        "reference_points": 127.5, "reference_at": None,
    }  # fmt: skip
    return Event(f"order/o{number}", "order_created", FRIDAY, AT, "close", payload)


def held(ledger: PostgresLedger, strategy: str = "trend") -> object:
    """What a book holds."""
    return ledger.rows("positions", {"strategy": strategy})[0]["quantity_contracts"]


def asked(uri: str, statement: str) -> list[Any]:
    """What the database itself answers."""
    with psycopg.connect(uri, autocommit=True, options="-c search_path=daybook") as database:
        found = database.execute(statement)
        return found.fetchall() if found.description else []


@pytest.fixture
def ledger(postgres_database: str) -> Iterator[PostgresLedger]:
    """A ledger in an empty database."""
    made = PostgresLedger(postgres_database, timeout_s=5)
    yield made
    made.close()


# --- servers that cannot be used ---
def said(action: Callable[[], object], error: type[Exception] = StoreUnavailable) -> str:
    """The sentence of an error."""
    with pytest.raises(error) as found:
        action()
    return str(found.value)


def test_a_server_that_is_down_is_named_without_the_password(own_postgres: Any) -> None:
    own_postgres.stop()
    ledger = PostgresLedger(own_postgres.uri(), timeout_s=2)
    for action in (ledger.sequence, lambda: ledger.record([fill(1)]), lambda: list(ledger.entries())):
        sentence = said(action)
        assert f"127.0.0.1:{own_postgres.port}/postgres cannot be reached" in sentence
        assert "Start it, or correct POSTGRES_URI" in sentence
        assert own_postgres.password not in sentence
    health = ledger.health()
    assert (health.well, health.backend) == (False, "postgresql")
    assert "cannot be reached" in health.detail


def test_a_wrong_password_and_a_missing_database_are_said(own_postgres: Any) -> None:
    wrong = said(PostgresLedger(own_postgres.uri(password="hunter2"), timeout_s=5).sequence)
    assert "does not let daybook in" in wrong
    assert "Correct user or password in POSTGRES_URI" in wrong
    assert "hunter2" not in wrong
    missing = said(PostgresLedger(own_postgres.uri("nowhere"), timeout_s=5).sequence)
    assert 'database "nowhere" does not exist' in missing
    assert "createdb" in missing


@pytest.mark.parametrize("address", ["postgresql://me:hunter2@[::1/x", "host=a password=hunter2 colour=red", "hunter2"])
def test_what_is_no_address_is_refused_without_repeating_it(address: str) -> None:
    with pytest.raises(ConfigError, match="POSTGRES_URI is not the address") as found:
        PostgresLedger(address)
    assert "hunter2" not in str(found.value)
    assert found.value.__cause__ is None


def test_a_database_that_may_only_be_read_is_said(postgres_database: str, ledger: PostgresLedger) -> None:
    ledger.record([fill(1)])
    name = postgres_database.rsplit("/", 1)[-1]
    asked(postgres_database, f"alter database {name} set default_transaction_read_only = on")
    other = PostgresLedger(postgres_database, timeout_s=5)
    assert "read-only" in said(lambda: other.record([fill(2)]))
    assert other.health().well is False
    assert held(other) == 1
    other.close()


def test_a_server_that_goes_away_in_the_middle_loses_nothing(own_postgres: Any) -> None:
    ledger = PostgresLedger(own_postgres.uri(), timeout_s=5)
    acknowledged = []
    with ThreadPoolExecutor(1) as pool:
        started, ended = threading.Event(), threading.Event()

        def write() -> None:
            for number in range(1, 100_000):
                ledger.record([fill(number)])
                acknowledged.append(number)
                started.set()
                if ended.is_set():
                    return

        writing = pool.submit(write)
        assert started.wait(20)
        own_postgres.stop(signal.SIGQUIT)
        sentence = said(lambda: writing.result(30))
    assert "Run the same command again: what was recorded is not recorded twice" in sentence
    own_postgres.start()
    again = ledger.record([fill(number) for number in range(1, len(acknowledged) + 2)])
    assert again.new + again.repeated == len(acknowledged) + 1
    assert again.repeated >= len(acknowledged)
    assert held(ledger) == ledger.sequence() == len(acknowledged) + 1
    ledger.close()


def test_a_server_that_was_started_again_meanwhile_is_not_noticed(own_postgres: Any) -> None:
    ledger = PostgresLedger(own_postgres.uri(), timeout_s=5)
    ledger.record([fill(1)])
    own_postgres.stop()
    own_postgres.start()
    assert ledger.record([fill(2)]) == Recorded(1, 0, 2)
    assert held(ledger) == 2
    ledger.close()


def test_a_server_that_is_silent_is_not_waited_for(own_postgres: Any) -> None:
    """As when the network is cut: connected, and nothing comes back."""
    ledger = PostgresLedger(own_postgres.uri(), timeout_s=0.5)
    ledger.record([fill(1)])
    processes = [psutil.Process(own_postgres.server.pid), *psutil.Process(own_postgres.server.pid).children()]
    for process in processes:
        process.suspend()
    try:
        assert "no answer in 2 s" in said(lambda: ledger.record([fill(2)]))
    finally:
        for process in processes:
            process.resume()
    assert ledger.record([fill(1), fill(2)]).repeated >= 1
    assert held(ledger) == 2
    ledger.close()


def test_a_full_disk_is_said_and_the_book_is_intact(own_postgres: Any) -> None:
    place = Path(tempfile.mkdtemp(prefix="full-"))
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m,mode=0777", "tmpfs", place]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this user may not mount a small disk")
    try:
        (place / "tables").mkdir()
        shutil.chown(place / "tables", psutil.Process(own_postgres.server.pid).username())
        asked(own_postgres.uri(), f"create tablespace small location '{place / 'tables'}'")
        asked(own_postgres.uri(), "create database full_one tablespace small")
        filled_until_full(PostgresLedger(own_postgres.uri("full_one"), timeout_s=20))
    finally:
        own_postgres.stop()
        subprocess.run(["umount", place], check=True)
        place.rmdir()


def filled_until_full(ledger: PostgresLedger) -> None:
    """Records batches until the disk refuses one, and looks at the book then."""
    recorded: list[int] = []

    def fill_up() -> None:
        for first in range(1, 40_000, 500):
            ledger.record([fill(number, more=os.urandom(500).hex()) for number in range(first, first + 500)])
            recorded.append(500)

    with pytest.raises(StoreUnavailable, match=r"the disk of the PostgreSQL server .*full_one is full .*nothing"):
        fill_up()
    assert recorded
    assert (ledger.sequence(), held(ledger)) == (sum(recorded), sum(recorded))
    ledger.close()


def test_a_server_that_may_lose_what_it_confirmed_is_ill(own_postgres: Any) -> None:
    own_postgres.stop()
    own_postgres.settings["fsync"] = "off"
    own_postgres.start()
    ledger = PostgresLedger(own_postgres.uri(), timeout_s=5)
    health = ledger.health()
    assert health.well is False
    assert "power cut" in health.detail
    assert health.cure == "Set fsync to on in the server's postgresql.conf."
    ledger.close()


def test_a_commit_waits_for_the_disk_whatever_the_database_says(postgres_database: str, ledger: PostgresLedger) -> None:
    name = postgres_database.rsplit("/", 1)[-1]
    asked(postgres_database, f"alter database {name} set synchronous_commit = off")
    with ledger._connections.lent() as database:
        assert database.execute("show synchronous_commit").fetchone() == ("on",)


# --- writers at once ---
def test_writers_of_one_book_take_turns(postgres_database: str) -> None:
    ledgers = [PostgresLedger(postgres_database, timeout_s=30) for _ in range(4)]

    def write(place: int) -> None:
        for batch in range(10):
            first = 1_000 * place + 5 * batch
            ledgers[place].record([fill(number) for number in range(first, first + 5)])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert ledgers[0].sequence() == 200
    assert held(ledgers[3]) == 200
    alone = MemoryLedger()
    for entries in batches(ledgers[0]):
        alone.record(entries)
    assert dict(alone.heads()) == dict(ledgers[0].heads()), "the chain is that of the entries as they are stored"
    assert alone.rows("positions") == ledgers[1].rows("positions")
    for ledger in ledgers:
        ledger.close()


def batches(ledger: PostgresLedger) -> Iterator[list[Event]]:
    """The batches a journal was recorded in."""
    batch: list[Event] = []
    for entry in ledger.entries():
        batch.append(entry.event)
        if entry.link is not None:
            yield batch
            batch = []


def test_writers_of_other_books_are_not_waited_for(postgres_database: str, ledger: PostgresLedger) -> None:
    ledger.record([fill(1, "trend"), fill(1, "carry")])
    impatient = PostgresLedger(postgres_database, timeout_s=1)
    with psycopg.connect(postgres_database) as other:
        other.execute("select * from daybook.heads where stream = 'book/trend' for update")
        assert impatient.record([fill(2, "carry")]).new == 1
        with pytest.raises(StoreBusy, match="did not answer within 1 s, because others hold it"):
            impatient.record([fill(2, "trend")])
    assert impatient.record([fill(2, "trend")]).new == 1
    impatient.close()


def test_what_another_process_recorded_is_seen(postgres_database: str, ledger: PostgresLedger) -> None:
    other = PostgresLedger(postgres_database, timeout_s=5)
    ledger.record([order(1), fill(1, order_id="o1")])
    other.record([fill(2, order_id="o1")])
    assert ledger.record([fill(2, order_id="o1")]) == Recorded(0, 1, 3)
    assert ledger.record([fill(2, order_id="o1"), fill(3, order_id="o1")]).new == 1
    with pytest.raises(EventConflict, match="fill/trend-f000003"):
        other.record([fill(4), fill(3, quantity=9, order_id="o1")])
    assert ledger.rows("orders", {"order_id": "o1"})[0]["status"] == "filled"
    assert held(other) == 3
    other.close()


# --- what the database itself holds ---
def test_the_journal_is_never_changed(postgres_database: str, ledger: PostgresLedger) -> None:
    ledger.record([fill(1)])
    for statement in ("update journal set actor = 'me'", "delete from journal", "truncate journal"):
        with pytest.raises(psycopg.errors.RaiseException, match="never changed"):
            asked(postgres_database, statement)


@pytest.mark.parametrize(
    "statement",
    [
        "insert into fills (fill_id, state) values ('a', 'gone')",
        "insert into fills (fill_id, price_points) values ('a', 'NaN')",
        "insert into fills (fill_id, session) values ('a', 'Friday')",
        "insert into orders (order_id, status) values ('a', 'lost')",
        "update positions set average_points = null",
        "update heads set link = 'x'",
        "insert into journal (stream, number, event_id, kind, session, at, actor, payload) "
        "values ('book/trend', 2, 'fill/trend-f000001', 'fill', '2022-02-25', now(), 'me', '{}')",
        "insert into journal (stream, number, event_id, kind, session, at, actor, payload) "
        "values ('book/trend', 1, 'other', 'fill', '2022-02-25', now(), 'me', '{}')",
        "insert into journal (stream, number, event_id, kind, session, at, actor, payload) "
        "values ('book/trend', 2, 'other', 'fill', '2022-02-25', now(), 'me', '[]')",
    ],
)
def test_rows_that_cannot_be_are_refused(statement: str, postgres_database: str, ledger: PostgresLedger) -> None:
    ledger.record([fill(1)])
    with pytest.raises(psycopg.errors.IntegrityError):
        asked(postgres_database, statement)


def test_every_lookup_has_an_index(postgres_database: str, ledger: PostgresLedger) -> None:
    ledger.sequence()
    found = {text for (text,) in asked(postgres_database, "select indexdef from pg_indexes")}
    for projection in PROJECTIONS.values():
        for columns in (projection.key, *projection.lookups):
            wanted = f"ON daybook.{projection.name} USING btree ({', '.join(columns)})"
            assert any(wanted in text for text in found), wanted


def test_words_are_found_by_an_index_that_fills_are_not_in(postgres_database: str, ledger: PostgresLedger) -> None:
    ledger.record([order(1, "Roll into June"), order(2, "roll, late"), fill(1, more="roll june")])
    assert [entry.event.event_id for entry in ledger.search("JUNE roll")] == ["order/o1"]
    assert {entry.event.event_id for entry in ledger.search("roll")} == {"order/o1", "order/o2"}
    assert asked(postgres_database, "select count(*) from journal where words is not null") == [(2,)]
    with psycopg.connect(postgres_database) as database:
        database.execute("set enable_seqscan = off; set enable_indexscan = off")
        query = "select * from daybook.journal where kind <> 'fill' and words @> '{roll}'"
        plan = "\n".join(line for (line,) in database.execute(f"explain {query}"))
    assert "journal_words" in plan


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (fill(1, fill_id="a\0b"), "refused this and recorded nothing"),
        (fill(1, contract=2**70), "refused this and recorded nothing"),
        (fill(1, session="Friday"), "refused this and recorded nothing"),
    ],
)
def test_what_no_column_holds_stops_the_batch(event: Event, words: str, ledger: PostgresLedger) -> None:
    with pytest.raises(LedgerError, match=words):
        ledger.record([order(1), event])
    assert (ledger.sequence(), ledger.rows("orders")) == (0, [])
    assert ledger.record([order(1)]).new == 1


def test_a_time_that_would_not_come_back_as_it_was_is_refused(ledger: PostgresLedger) -> None:
    late = AT.astimezone(timezone(timedelta(hours=1)))
    with pytest.raises(LedgerError, match="not in UTC"):
        ledger.record([Event("a", "fill", FRIDAY, late, "broker", fill(1).payload)])


def test_numbers_come_back_to_the_last_bit(ledger: PostgresLedger) -> None:
    odd = [0.1 + 0.2, 1e-310, 1e22, -0.0, 123456789.12345679, 5e-324, 1.7976931348623157e308]
    ledger.record([fill(number, price_points=price) for number, price in enumerate(odd)])
    stored = {str(row["fill_id"]): row["price_points"] for row in ledger.rows("fills")}
    assert [repr(stored[f"trend-f{number:06}"]) for number in range(len(odd))] == list(map(repr, odd))
    assert [repr(entry.event.payload["price_points"]) for entry in ledger.entries()] == list(map(repr, odd))


# --- versions of the schema ---
@pytest.mark.parametrize(("found", "words"), [(SCHEMA - 1, "daybook ledger migrate"), (SCHEMA + 1, "newer")])
def test_tables_of_another_version_are_refused(
    found: int, words: str, postgres_database: str, ledger: PostgresLedger
) -> None:
    ledger.record([fill(1)])
    asked(postgres_database, f"update meta set schema = {found}")
    other = PostgresLedger(postgres_database)
    with pytest.raises(LedgerSchemaError, match=words):
        other.record([fill(2)])
    assert words in other.health().detail
    assert asked(postgres_database, "select count(*) from journal") == [(1,)]
    other.close()


def test_projections_of_another_declaration_are_folded_anew(postgres_database: str, ledger: PostgresLedger) -> None:
    ledger.record([order(1), fill(1, order_id="o1"), fill(2)])
    before = {name: ledger.rows(name) for name in PROJECTIONS}
    asked(postgres_database, "update meta set declaration = 'older'")
    asked(postgres_database, "alter table fills drop column executed_at")
    asked(postgres_database, "delete from positions")
    other = PostgresLedger(postgres_database)
    assert {name: other.rows(name) for name in PROJECTIONS} == before
    assert other.record([fill(3)]).new == 1
    assert "nothing to do" in other.migrate()
    asked(postgres_database, "update meta set declaration = 'older'")
    assert "4 entries were folded anew" in other.migrate()
    other.close()


def test_many_at_once_make_the_tables_once(postgres_database: str) -> None:
    def first(number: int) -> int:
        ledger = PostgresLedger(postgres_database, timeout_s=30)
        new = ledger.record([fill(number, f"book{number}")]).new
        ledger.close()
        return new

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(first, range(6))) == [1] * 6
    assert asked(postgres_database, "select schema, declaration from meta") == [(SCHEMA, postgres_schema.declaration())]


def test_a_fork_does_not_speak_on_its_parents_connection(ledger: PostgresLedger) -> None:
    ledger.record([fill(1)])
    child = os.fork()
    if child == 0:
        try:
            ledger.record([fill(2)])
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert ledger.record([fill(3)]).new == 1
    assert held(ledger) == 3


def test_a_process_has_no_more_connections_than_it_may(postgres_uri: str) -> None:
    from resources.postgres_connections import Connections

    two = Connections(postgres_uri, timeout_s=0.2, most=2)
    with two.lent(), two.lent(), pytest.raises(StoreBusy, match=r"all 2 connections to .* were in use"), two.lent():
        pass
    with two.lent() as again:
        assert again.execute("select 1").fetchone() == (1,)
    two.close()
