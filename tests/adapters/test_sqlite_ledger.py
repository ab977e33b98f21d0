"""SqliteLedger against the world: killed writers, two processes, a changed projection, a file that is no ledger."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from resources.sqlite_ledger import SqliteLedger
from trading.book.journal import Event
from trading.errors import StoreBusy, StoreUnavailable

CHILD = Path(__file__).with_name("storage_child.py")
AT = datetime(2022, 2, 25, tzinfo=UTC)
_DECLARATION = "select value from meta where name = 'declaration'"


def child(root: Path, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, str(CHILD), str(root), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def process_event(name: str) -> Event:
    payload = {"process": name, "session": "2022-02-25", "state": "done", "run_id": "r", "detail": ""}
    return Event(name, "process", date(2022, 2, 25), datetime(2022, 2, 25, tzinfo=UTC), "test", payload)


def held_contracts(ledger: SqliteLedger) -> object:
    return ledger.rows("positions")[0]["quantity_contracts"]


def test_two_processes_lose_and_repeat_nothing(tmp_path: Path) -> None:
    for process in [child(tmp_path, "books", name, 20) for name in "ab"]:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    assert ledger.sequence() == 20 + 2 * 20 * 9
    assert [entry.number for entry in ledger.entries()] == list(range(1, 381))
    assert held_contracts(ledger) == 380


def test_a_killed_writer_leaves_whole_batches_and_the_rerun_completes_them(tmp_path: Path) -> None:
    process = child(tmp_path, "books", "a", 2_000)
    assert process.stdout is not None
    process.stdout.readline()
    threading.Event().wait(random.Random(5).uniform(0.05, 0.2))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    done = ledger.sequence()
    assert done % 10 == 0
    assert done < 20_000, "the writer was done before it was killed"
    assert done == 0 or held_contracts(ledger) == done
    ledger.close()
    rerun = child(tmp_path, "books", "a", done // 10 + 5)
    _, errors = rerun.communicate(timeout=120)
    assert rerun.returncode == 0, errors
    assert held_contracts(ledger) == ledger.sequence() == done + 50


def test_projections_of_an_older_declaration_are_folded_anew(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = SqliteLedger(path)
    ledger.record([process_event("close")])
    expected = ledger.rows("process_state")
    ledger.close()
    with sqlite3.connect(path) as database:
        database.execute("alter table process_state drop column detail")
        database.execute("update meta set value = 'an older one' where name = 'declaration'")
    database.close()
    assert SqliteLedger(path).rows("process_state") == expected


def test_a_file_made_before_there_were_halts_takes_them(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = SqliteLedger(path)
    ledger.record([process_event("close")])
    ledger.close()
    with sqlite3.connect(path) as database:
        older = [one for one in json.loads(database.execute(_DECLARATION).fetchone()[0]) if one[0] != "halts"]
        database.execute("drop table halts")
        database.execute("update meta set value = ? where name = 'declaration'", (json.dumps(older),))
        named = [name for name, *_ in older]
        database.execute("update meta set value = ? where name = 'tables'", (json.dumps(named),))
    database.close()
    again = SqliteLedger(path)
    said = {"halt_id": "h1", "scope": "everything", "item": "", "mode": "nothing", "until": None, "reason": "x"}
    again.record([Event("halt:h1", "halt_set", date(2022, 2, 25), AT, "ann", said)])
    assert [(row["halt_id"], row["state"]) for row in again.rows("halts")] == [("h1", "set")]
    assert len(again.rows("process_state")) == 1


def test_a_writer_that_waits_too_long_says_so(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = SqliteLedger(path, wait_s=0.05)
    ledger.record([process_event("one")])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin immediate")
    with pytest.raises(StoreBusy, match="held by another process"):
        ledger.record([process_event("two")])
    other.execute("rollback")
    other.close()
    assert ledger.record([process_event("two")]).sequence == 2


def test_a_file_that_is_no_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"not a database, certainly not one of ours" * 100)
    with pytest.raises(StoreUnavailable, match="cannot be used: file is not a database"):
        SqliteLedger(path).sequence()


def test_a_full_disk_refuses_the_batch_and_takes_the_next(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = SqliteLedger(path)
    ledger.record([process_event("one")])
    ledger._opened.execute("pragma max_page_count = 1")  # type: ignore[union-attr] # SQLite's own full disk
    with pytest.raises(StoreUnavailable, match="is full"):
        ledger.record([process_event(f"event{number}") for number in range(2_000)])
    assert ledger.sequence() == 1
    ledger._opened.execute("pragma max_page_count = 1000000")  # type: ignore[union-attr]
    assert ledger.record([process_event("two")]).sequence == 2
