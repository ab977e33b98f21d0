"""A ledger on a server goes into a snapshot and comes back: the same entries, numbers, links and heads, or nothing.

Belongs here: journals as files, and snapshots of homes whose ledger is on a server. Does not belong here: what else a
snapshot holds (test_snapshots.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from resources.delta_frames import DeltaFrames
from resources.disk_blobs import DiskBlobs
from resources.journal_file import JournalFile, record_journal, write_journal
from resources.memory import MemoryLedger
from resources.postgres_ledger import PostgresLedger
from resources.snapshots import Snapshots
from resources.sqlite_ledger import SqliteLedger
from trading.book.journal import PROJECTIONS, Event
from trading.continuity.manifest import Identity
from trading.errors import BackupError, UsageError
from trading.ports import Ledger

Touch = Callable[[list[str]], list[str]]
FRIDAY = date(2022, 2, 25)
AT = datetime(2022, 2, 25, 22, 15, 0, 123456, tzinfo=UTC)
WHO = Identity("configuration", "reference", "1.0")


def fill(number: int, strategy: str = "trend") -> Event:
    """A fill with a story, at a price that is no round number."""
    payload = {
        "fill_id": f"{strategy}-{number}", "order_id": f"{strategy}-o", "strategy": strategy, "instrument": "US10",
        "contract": 20220600, "session": "2022-02-25", "quantity_contracts": number, "price_points": 0.1 + number / 3,
        "commission_local": 2.5, "executed_at": None,
    }  # fmt: skip
    return Event(f"{strategy}-{number}", "fill", FRIDAY, AT, "Zoë", payload, "why\nso", "run 7")


def process(number: int) -> Event:
    """A word of a run."""
    said = {"process": "close", "session": "2022-02-25", "state": "done", "run_id": f"r{number}", "detail": None}
    return Event(f"process:{number}", "process", FRIDAY, AT, "close", said)


def written(ledger: Ledger) -> Ledger:
    """A ledger with batches of several sizes in three streams."""
    ledger.record([fill(1), fill(2), fill(1, "carry"), process(1)])
    ledger.record([fill(3)])
    ledger.record([process(2), fill(2, "carry"), fill(3, "carry")])
    return ledger


def told(ledger: Ledger) -> dict[str, Any]:
    """All that a ledger says."""
    rows = {name: ledger.rows(name) for name in PROJECTIONS}
    entries = [(*entry[:4], entry.record_text()) for entry in ledger.entries()]
    return {"entries": entries, "heads": dict(ledger.heads()), "hash": ledger.content_hash(), **rows}


@pytest.fixture
def server(postgres_databases: Callable[[], str]) -> Iterator[Callable[[], PostgresLedger]]:
    """Makes empty ledgers on a server."""
    made: list[PostgresLedger] = []

    def make() -> PostgresLedger:
        made.append(PostgresLedger(postgres_databases(), timeout_s=10))
        return made[-1]

    yield make
    for ledger in made:
        ledger.close()


def test_a_journal_comes_back_as_it_was(tmp_path: Path, server: Callable[[], PostgresLedger]) -> None:
    before = written(server())
    write_journal(before, tmp_path / "journal")
    journal = JournalFile(tmp_path / "journal")
    assert (journal.sequence(), journal.content_hash()) == (8, before.content_hash())
    for after in (server(), MemoryLedger(), SqliteLedger(tmp_path / "ledger.sqlite")):
        record_journal(journal, after)
        assert told(after) == told(before)


def test_a_journal_without_entries_is_one(tmp_path: Path) -> None:
    write_journal(MemoryLedger(), tmp_path / "journal")
    record_journal(JournalFile(tmp_path / "journal"), after := MemoryLedger())
    assert after.sequence() == 0


def test_a_ledger_that_holds_something_is_never_written_over(tmp_path: Path) -> None:
    write_journal(written(MemoryLedger()), tmp_path / "journal")
    other = MemoryLedger()
    other.record([process(9)])
    with pytest.raises(UsageError, match=r"is not empty .*Name an empty database in MONGODB_URI or POSTGRES_URI"):
        record_journal(JournalFile(tmp_path / "journal"), other)
    assert other.sequence() == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lines: [line.replace("Zo\\u00eb", "Zoe") for line in lines], "their link does not fit"),
        (lambda lines: [line.replace('"quantity_contracts": 2', '"quantity_contracts": 5') for line in lines], "link"),
        (lambda lines: [lines[0], *lines[2:]], "link does not fit"),
        (lambda lines: lines[:-1], "ends before its journal does"),
        (lambda lines: [*lines[:-1], lines[-1][:20]], "is damaged"),
        (lambda lines: [json.dumps({"journal": 99, "heads": {}}), *lines[1:]], "schema 99"),
        (lambda lines: [], "schema None"),
    ],
)
def test_a_file_that_was_touched_is_refused(
    change: Callable[[list[str]], list[str]], words: str, tmp_path: Path
) -> None:
    file = tmp_path / "journal"
    write_journal(written(MemoryLedger()), file)
    file.write_text("\n".join(change(file.read_text().splitlines())))
    after = MemoryLedger()
    with pytest.raises(BackupError, match=words):
        record_journal(JournalFile(file), after)
    assert after.sequence() == 0


# --- snapshots ---
class Home:
    """A home, its backups, and the servers that its ledgers are on, by folder."""

    def __init__(self, folder: Path, servers: dict[Path, Ledger]) -> None:
        self.place, self.backups, self.servers = folder / "home", folder / "backups", servers
        self.place.mkdir()
        (self.place / "desk.toml").write_text("[vendor]\nname = 'simulated'\n")
        self.others: Ledger | None = None

    def snapshots(self) -> Snapshots:
        """Its snapshots. A home that is being restored has the server `others`."""
        return Snapshots(
            self.place, self.backups, DiskBlobs(self.backups / "blobs"), DeltaFrames, SqliteLedger, 5.0,
            lambda home: self.servers.get(home, self.others),
        )  # fmt: skip


def test_a_snapshot_holds_the_journal_of_a_server(tmp_path: Path, server: Callable[[], PostgresLedger]) -> None:
    before = written(server())
    home = Home(tmp_path, {tmp_path / "home": before})
    manifest = home.snapshots().take(WHO, AT).manifest
    assert manifest.ledger is not None
    assert (manifest.ledger.sequence, manifest.ledger.content_hash) == (8, before.content_hash())
    assert {file.path for file in manifest.files} == {"desk.toml", "ledger.jsonl"}
    home.others = after = server()
    home.snapshots().restore(manifest.name, tmp_path / "new")
    assert told(after) == told(before)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["desk.toml"]
    home.servers[tmp_path / "new"] = after
    assert home.snapshots().verify(manifest.name, tmp_path / "new") == []


def test_a_restore_onto_the_ledger_that_lives_is_refused(tmp_path: Path, server: Callable[[], PostgresLedger]) -> None:
    live = written(server())
    home = Home(tmp_path, {tmp_path / "home": live})
    name = home.snapshots().take(WHO, AT).manifest.name
    home.others = live
    before = told(live)
    with pytest.raises(UsageError, match=r"is not empty .*8 entries"):
        home.snapshots().restore(name, tmp_path / "new")
    assert told(live) == before
    assert not (tmp_path / "new").exists()


def test_a_book_moves_between_a_file_and_a_server(tmp_path: Path, server: Callable[[], PostgresLedger]) -> None:
    home = Home(tmp_path, {})
    ledger = SqliteLedger(home.place / "ledger.sqlite")
    before = told(written(ledger))
    ledger.close()
    name = home.snapshots().take(WHO, AT).manifest.name
    home.others = on_server = server()
    home.snapshots().restore(name, tmp_path / "served")
    assert told(on_server) == before
    assert not list((tmp_path / "served").glob("ledger*"))
    home.servers[home.place], home.others = on_server, None
    name = home.snapshots().take(WHO, AT).manifest.name
    home.snapshots().restore(name, tmp_path / "filed")
    assert told(SqliteLedger(tmp_path / "filed" / "ledger.sqlite")) == before
    assert not (tmp_path / "filed" / "ledger.jsonl").exists()
