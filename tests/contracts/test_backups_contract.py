"""What every Backups promises (trading.ports.Backups), run with each place that blobs may be kept in.

There is one adapter, Snapshots; it is held to the port over blobs on disk and in memory. Belongs here: the port's
promises. Does not belong here: killed backups, damaged blobs, full disks (tests/adapters/test_snapshots.py).
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from resources.delta_frames import DeltaFrames
from resources.disk_blobs import DiskBlobs
from resources.memory import MemoryBlobs
from resources.snapshots import Snapshots
from resources.sqlite_ledger import SqliteLedger
from trading.continuity.manifest import Identity
from trading.continuity.retention import Retention
from trading.errors import BackupError, UsageError
from trading.ports import Backups

AT = datetime(2022, 2, 25, 22, 15, tzinfo=UTC)
WHO = Identity("configuration", "reference", "1.0")
ONE_ONLY = Retention(newest=1, days=0, weeks=0, months=0, recent=timedelta(0))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Settings, a report and a journal."""
    place = tmp_path / "home"
    (place / "reports").mkdir(parents=True)
    (place / "desk.toml").write_text("[vendor]\nname = 'simulated'\n")
    (place / "reports" / "2022-02-25.html").write_text("<html>first</html>")
    with closing(sqlite3.connect(place / "broker.sqlite")) as broker, broker:
        broker.execute("create table fills (number integer)")
    return place


@pytest.fixture(params=["memory", "disk"])
def backups(request: pytest.FixtureRequest, home: Path, tmp_path: Path) -> Backups:
    destination = tmp_path / "backups"
    blobs = MemoryBlobs() if request.param == "memory" else DiskBlobs(destination / "blobs")
    return Snapshots(home, destination, blobs, DeltaFrames, SqliteLedger)


def page(home: Path) -> Path:
    return home / "reports" / "2022-02-25.html"


def test_it_is_the_port(backups: Backups, tmp_path: Path) -> None:
    assert isinstance(backups, Backups)
    assert backups.destination == tmp_path / "backups"


def test_before_the_first_there_are_none(backups: Backups) -> None:
    assert (list(backups.names()), list(backups.snapshots())) == ([], [])


def test_a_snapshot_is_listed_with_who_took_it_and_when(backups: Backups) -> None:
    taken = backups.take(WHO, AT)
    assert list(backups.snapshots()) == [taken.manifest]
    assert list(backups.names()) == [taken.manifest.name]
    assert (taken.manifest.identity, taken.manifest.created_at) == (WHO, AT)
    assert {file.path for file in taken.manifest.files} >= {"desk.toml", "reports/2022-02-25.html", "broker.sqlite"}
    assert (taken.new, taken.reused) == (len(taken.manifest.files), 0)


def test_the_next_one_adds_only_what_is_new(backups: Backups, home: Path) -> None:
    first = backups.take(WHO, AT)
    page(home).write_text("<html>second, and longer</html>")
    second = backups.take(WHO, AT + timedelta(hours=1))
    assert (second.new, second.reused) == (1, len(first.manifest.files) - 1)
    assert second.new_bytes == len("<html>second, and longer</html>")
    assert list(backups.names()) == [first.manifest.name, second.manifest.name]


def test_each_snapshot_comes_back_as_it_was(backups: Backups, home: Path, tmp_path: Path) -> None:
    first = backups.take(WHO, AT).manifest
    page(home).write_text("<html>second</html>")
    second = backups.take(WHO, AT + timedelta(hours=1)).manifest
    for manifest, text in ((first, "first"), (second, "second")):
        place = tmp_path / text
        assert backups.restore(manifest.name, place) == manifest
        assert page(place).read_text() == f"<html>{text}</html>"
        assert (place / "desk.toml").read_text() == (home / "desk.toml").read_text()


def test_progress_is_told_from_nothing_to_all(backups: Backups, tmp_path: Path) -> None:
    for work in (lambda told: backups.take(WHO, AT, told), lambda told: backups.restore(NAME, tmp_path / "new", told)):
        said: list[tuple[int, int, str]] = []
        work(lambda done, total, what, said=said: said.append((done, total, what)))
        assert [done for done, _, _ in said] == list(range(len(said)))
        assert {total for _, total, _ in said} == {said[-1][0]}
        assert "desk.toml" in {what for _, _, what in said}


NAME = "20220225T221500Z"


def test_a_target_that_holds_something_is_left_alone(backups: Backups, tmp_path: Path) -> None:
    name = backups.take(WHO, AT).manifest.name
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        backups.restore(name, full)
    assert [file.name for file in full.iterdir()] == ["mine.txt"]


def test_what_is_not_there_cannot_be_restored(backups: Backups, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="19990101T000000Z"):
        backups.restore("19990101T000000Z", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_old_snapshots_are_let_go_and_the_newest_still_comes_back(backups: Backups, home: Path, tmp_path: Path) -> None:
    old = backups.take(WHO, AT).manifest.name
    page(home).write_text("<html>second</html>")
    new = backups.take(WHO, AT + timedelta(days=2)).manifest.name
    assert list(backups.prune(ONE_ONLY, AT + timedelta(days=4))) == [old]
    assert list(backups.names()) == [new]
    backups.restore(new, tmp_path / "new")
    assert page(tmp_path / "new").read_text() == "<html>second</html>"
    with pytest.raises(BackupError, match=old):
        backups.restore(old, tmp_path / "old")


def test_a_damaged_manifest_is_named_and_nothing_is_let_go(backups: Backups) -> None:
    kept = [backups.take(WHO, AT + timedelta(days=day)).manifest.name for day in range(2)]
    (backups.destination / "snapshots" / f"{kept[0]}.json").write_text("{")
    assert list(backups.names()) == kept
    for ask in (backups.snapshots, lambda: backups.prune(ONE_ONLY, AT + timedelta(days=9))):
        with pytest.raises(BackupError, match=kept[0]):
            ask()
    assert list(backups.names()) == kept
