"""Snapshots against the world: writers beside them, killed backups, damaged blobs, full disks, years of them.

Belongs here: what a backup folder and a home may suffer. Does not belong here: manifests (tests/domain/), or a whole
desk (tests/days/).
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from resources.delta_frames import DeltaFrames
from resources.disk_blobs import DiskBlobs
from resources.snapshots import Snapshots
from resources.sqlite_ledger import SqliteLedger
from trading.book.journal import Event
from trading.continuity.manifest import Identity, Manifest
from trading.continuity.retention import Retention
from trading.errors import BackupError, StoreBusy, StoreUnavailable, UsageError
from trading.frames import CLEAN_FX_RATES, FORECASTS, RAW_FX_RATES, empty
from trading.ports import Span

FIRST = date(2020, 1, 1)
AT = datetime(2022, 2, 25, 22, 15, tzinfo=UTC)
WHO = Identity("configuration", "reference", "1.0")
SNAPSHOT_CHILD = Path(__file__).with_name("snapshot_child.py")
STORAGE_CHILD = Path(__file__).with_name("storage_child.py")
ALL = date(2100, 1, 1)


def forecasts(session: date, value: float) -> pa.Table:
    """One forecast."""
    row = {"strategy": "trend", "instrument": "US10", "rule": "ewmac8", "session": session, "forecast": value}
    return pa.Table.from_pylist([row], schema=FORECASTS.schema)


def rate(label: str, value: float) -> pa.Table:
    """One rate, as a vendor gave it."""
    known = datetime(2022, 1, 1, tzinfo=UTC)
    row = {
        "vendor": "test", "pair": "EURUSD", "label": label, "occurrence": 0, "stamp": known.replace(tzinfo=None),
        "event_at": None, "session": FIRST, "known_at": known, "loaded_at": known, "rate": value,
    }  # fmt: skip
    return pa.Table.from_pylist([row], schema=RAW_FX_RATES.schema)


def process_ended(name: str) -> Event:
    """An event without consequences for the book."""
    payload = {"process": name, "session": "2020-01-01", "state": "done", "run_id": name, "detail": ""}
    return Event(f"process:{name}", "process", FIRST, AT, "test", payload)


def one_more_day(home: Path, number: int) -> None:
    """What a close leaves: a forecast, a rate, an event, a line in the broker's books, a report."""
    session = FIRST + timedelta(days=number)
    frames = DeltaFrames(home / "frames")
    frames.append(RAW_FX_RATES, rate(f"day {number}", 1.0 + number))
    frames.replace(FORECASTS, forecasts(session, float(number)), Span.session(session))
    ledger = SqliteLedger(home / "ledger.sqlite")
    ledger.record([process_ended(f"close {number}")])
    ledger.close()
    with closing(sqlite3.connect(home / "broker.sqlite")) as broker, broker:
        broker.execute("create table if not exists fills (number integer)")
        broker.execute("insert into fills values (?)", (number,))
    page = f"<html>{number}</html>".encode()
    (home / "reports").mkdir(exist_ok=True)
    (home / "reports" / f"{session}.html").write_bytes(page)
    DiskBlobs(home / "blobs").put(page)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home of two days with everything that a desk has, and what is not worth keeping."""
    place = tmp_path / "a home with 100% odd #name?"
    (place / "strategies").mkdir(parents=True)
    (place / "desk.toml").write_text("[vendor]\nname = 'simulated'\n")
    (place / "strategies" / "trend.toml").write_text("name = 'trend'\n")
    (place / "reference").mkdir()
    (place / "reference" / "listings.csv").write_text("instrument\nUS10\n")
    for junk in ("cache/x.parquet", "dagster/runs.db", "logs/daybook.jsonl", "reports/2020.html.7.tmp"):
        (place / junk).parent.mkdir(exist_ok=True)
        (place / junk).write_text("junk")
    one_more_day(place, 0)
    one_more_day(place, 1)
    return place


@pytest.fixture
def backups(tmp_path: Path) -> Path:
    """Where snapshots go."""
    return tmp_path / "backups"


def store_of(home: Path, backups: Path, wait_s: float = 30.0) -> Snapshots:
    """A fresh Snapshots, as another process would have it."""
    return Snapshots(home, backups, DiskBlobs(backups / "blobs"), DeltaFrames, SqliteLedger, wait_s)


def contents(home: Path) -> dict[str, str]:
    """Everything of a home that is kept, by path, as hashes of its bytes; databases by their rows."""
    found = {}
    for path in sorted(home.rglob("*")):
        parts = path.relative_to(home).parts
        kept = parts[0] not in ("cache", "dagster", "logs") and ".locks" not in parts and path.suffix != ".tmp"
        if path.is_file() and kept and "sqlite" not in path.name and path.name != "_last_checkpoint":
            found["/".join(parts)] = hashlib.sha256(path.read_bytes()).hexdigest()
    for name in ("ledger", "broker"):
        with closing(sqlite3.connect(home / f"{name}.sqlite")) as database:
            found[name] = hashlib.sha256("\n".join(database.iterdump()).encode()).hexdigest()
    return found


def beside(place: Path) -> list[str]:
    """What lies in the folder of a home."""
    return sorted(path.name for path in place.parent.iterdir())


def blob_of(backups: Path, manifest: Manifest, path: str) -> Path:
    """Where the bytes of a file are kept."""
    digest = next(file.sha256 for file in manifest.files if file.path == path)
    return backups / "blobs" / digest[:2] / digest


# --- there and back ---
def test_a_home_comes_back_whole(home: Path, backups: Path, tmp_path: Path) -> None:
    before = contents(home)
    taken = store_of(home, backups).take(WHO, AT)
    shutil.rmtree(home)
    restored = store_of(home, backups).restore(taken.manifest.name, tmp_path / "new")
    assert restored == taken.manifest
    assert contents(tmp_path / "new") == before
    assert {file.part for file in restored.files} == {
        "frames", "ledger", "broker", "configuration", "reference", "reports", "blobs",
    }  # fmt: skip
    assert taken.manifest.identity == WHO
    assert taken.manifest.ledger is not None
    assert taken.manifest.ledger.sequence == 2
    assert {name: state.version for name, state in taken.manifest.datasets.items()} == {
        "forecasts": 1, "raw_fx_rates": 1,
    }  # fmt: skip


def test_older_versions_come_back_too_and_the_next_write_goes_on(home: Path, backups: Path, tmp_path: Path) -> None:
    frames = DeltaFrames(home / "frames")
    before = [frames.content_hash(RAW_FX_RATES, as_of=number) for number in (0, 1)]
    written = [version.written_at for version in frames.versions(RAW_FX_RATES)]
    store_of(home, backups).restore(store_of(home, backups).take(WHO, AT).manifest.name, tmp_path / "new")
    back = DeltaFrames(tmp_path / "new" / "frames")
    assert [back.content_hash(RAW_FX_RATES, as_of=number) for number in (0, 1)] == before
    assert before[0] != before[1]
    assert [version.written_at for version in back.versions(RAW_FX_RATES)] == written
    assert back.append(RAW_FX_RATES, rate("later", 9.0)).number == 2


def test_tables_with_checkpoints_come_back(home: Path, backups: Path, tmp_path: Path) -> None:
    for number in range(55):
        session = FIRST + timedelta(days=number)
        DeltaFrames(home / "frames").replace(FORECASTS, forecasts(session, 7.0), Span.session(session))
    assert list((home / "frames" / "forecasts" / "_delta_log").glob("*.checkpoint*.parquet"))
    taken = store_of(home, backups).take(WHO, AT)
    store_of(home, backups).restore(taken.manifest.name, tmp_path / "new")
    back = DeltaFrames(tmp_path / "new" / "frames").history(FORECASTS, through=ALL)
    assert back.num_rows == 55
    assert set(back["forecast"].to_pylist()) == {7.0}


def test_a_home_without_anything_can_be_backed_up(tmp_path: Path, backups: Path) -> None:
    (tmp_path / "home").mkdir()
    taken = store_of(tmp_path / "home", backups).take(WHO, AT)
    assert (taken.manifest.files, dict(taken.manifest.datasets), taken.manifest.ledger) == ((), {}, None)
    store_of(tmp_path / "home", backups).restore(taken.manifest.name, tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


# --- incremental ---
def test_a_second_snapshot_adds_only_what_is_new(home: Path, backups: Path, tmp_path: Path) -> None:
    store = store_of(home, backups)
    first = store.take(WHO, AT)
    same = store.take(WHO, AT + timedelta(days=1))
    assert (same.new, same.new_bytes, same.reused) == (0, 0, len(first.manifest.files))
    one_more_day(home, 2)
    third = store.take(WHO, AT + timedelta(days=2))
    # two datasets with a data file and a commit each, the ledger, the broker, and a page (report and blob: one content)
    assert third.new == 7
    assert third.manifest.datasets["forecasts"].version == 2
    assert store.names() == ["20220225T221500Z", "20220226T221500Z", "20220227T221500Z"]
    assert [manifest.name for manifest in store.snapshots()] == store.names()
    store.restore(third.manifest.name, tmp_path / "new")
    assert contents(tmp_path / "new") == contents(home)


def test_a_file_of_equal_size_that_was_written_again_is_read_again(home: Path, backups: Path) -> None:
    store = store_of(home, backups)
    store.take(WHO, AT)
    (home / "strategies" / "trend.toml").write_text("name = 'carry'\n")
    assert store.take(WHO, AT).new == 1


def test_snapshots_of_one_second_have_names_of_their_own_in_order(home: Path, backups: Path) -> None:
    store = store_of(home, backups)
    names = [store.take(WHO, AT).manifest.name for _ in range(11)]
    assert names[1:3] == ["20220225T221500Z_2", "20220225T221500Z_3"]
    assert store.names() == names
    newest = store.newest()
    assert newest is not None
    assert newest.name == "20220225T221500Z_11"


# --- beside others ---
def test_a_snapshot_taken_while_others_write_is_consistent(home: Path, backups: Path, tmp_path: Path) -> None:
    children = [
        subprocess.Popen([sys.executable, STORAGE_CHILD, home / "frames", "writes", "a", "15"]),
        subprocess.Popen([sys.executable, STORAGE_CHILD, home, "books", "b", "150"], stdout=subprocess.DEVNULL),
    ]
    names = []
    while any(child.poll() is None for child in children):
        names.append(store_of(home, backups).take(WHO, AT + timedelta(minutes=len(names))).manifest.name)
    assert [child.wait() for child in children] == [0, 0]
    manifests = store_of(home, backups).snapshots()
    versions = {manifest.datasets["raw_fx_rates"].version for manifest in manifests}
    assert len(versions) > 2, "nothing was written meanwhile"
    frames = DeltaFrames(home / "frames")
    for number, manifest in enumerate(manifests[:: max(1, len(manifests) // 4)]):
        store_of(home, backups).restore(manifest.name, tmp_path / f"new {number}")  # compares every content hash
        state = manifest.datasets["raw_fx_rates"]
        assert frames.content_hash(RAW_FX_RATES, as_of=state.version) == state.content_hash


def test_what_follows_is_looked_at_before_what_it_follows_from(home: Path, backups: Path) -> None:
    nothing = empty(CLEAN_FX_RATES)
    DeltaFrames(home / "frames").replace(CLEAN_FX_RATES, nothing, Span(FIRST, ALL))
    paths = [file.path for file in store_of(home, backups).take(WHO, AT).manifest.files]
    starts = ("frames/forecasts/", "frames/clean_fx_rates/", "frames/raw_fx_rates/", "ledger.sqlite", "broker.sqlite")
    firsts = [min(number for number, path in enumerate(paths) if path.startswith(start)) for start in starts]
    assert firsts == sorted(firsts)


def test_two_backups_at_once_wait_for_each_other(home: Path, backups: Path) -> None:
    def meanwhile(done: int, total: int, what: str) -> None:
        with pytest.raises(StoreBusy, match="backup folder"):
            store_of(home, backups, wait_s=0.05).take(WHO, AT)

    (home / "only.txt").write_text("x")
    assert store_of(home, backups).take(WHO, AT, meanwhile).new > 0
    assert len(store_of(home, backups).names()) == 1


# --- killed ---
@pytest.mark.parametrize("moment", ["1", "7", "hashes", "blob"])
def test_a_killed_backup_harms_nothing(home: Path, backups: Path, tmp_path: Path, moment: str) -> None:
    before, first = contents(home), store_of(home, backups).take(WHO, AT)
    one_more_day(home, 2)
    child = subprocess.run([sys.executable, SNAPSHOT_CHILD, home, backups, moment], check=False)
    assert child.returncode == -9
    assert store_of(home, backups).names() == [first.manifest.name]
    assert store_of(home, backups).damaged(first.manifest.name) == []
    store_of(home, backups).restore(first.manifest.name, tmp_path / "old")
    assert contents(tmp_path / "old") == before
    second = store_of(home, backups).take(WHO, AT + timedelta(days=2))
    store_of(home, backups).restore(second.manifest.name, tmp_path / "new")
    assert contents(tmp_path / "new") == contents(home)
    assert not (backups / ".staging").exists()


# --- refused ---
@pytest.mark.parametrize("there", ["file inside", "a file"])
def test_a_target_that_is_not_empty_is_refused_and_left_alone(
    home: Path, backups: Path, tmp_path: Path, there: str
) -> None:
    name = store_of(home, backups).take(WHO, AT).manifest.name
    target = tmp_path / "new"
    occupant = target if there == "a file" else target / "mine.txt"
    occupant.parent.mkdir(exist_ok=True)
    occupant.write_text("mine")
    before = beside(target)
    with pytest.raises(UsageError, match="is not empty") as refused:
        store_of(home, backups).restore(name, target)
    assert refused.value.exit_code == 2
    assert occupant.read_text() == "mine"
    assert beside(target) == before


def test_an_empty_target_is_taken(home: Path, backups: Path, tmp_path: Path) -> None:
    name = store_of(home, backups).take(WHO, AT).manifest.name
    (tmp_path / "new").mkdir()
    store_of(home, backups).restore(name, tmp_path / "new")
    assert (tmp_path / "new" / "desk.toml").exists()


@pytest.mark.parametrize(
    "path", ["desk.toml", "ledger.sqlite", "frames/forecasts/_delta_log/00000000000000000001.json"]
)
@pytest.mark.parametrize(("harm", "said"), [("changed", "was changed"), ("missing", "is missing")])
def test_a_harmed_blob_is_named_with_a_cure(
    home: Path, backups: Path, tmp_path: Path, path: str, harm: str, said: str
) -> None:
    store = store_of(home, backups)
    manifest = store.take(WHO, AT).manifest
    blob = blob_of(backups, manifest, path)
    if harm == "missing":
        blob.unlink()
    else:
        content = bytearray(blob.read_bytes())
        content[len(content) // 2] ^= 1  # one bit
        blob.write_bytes(content)
    before = beside(tmp_path / "new")
    with pytest.raises(BackupError, match=said) as refused:
        store.restore(manifest.name, tmp_path / "new")
    assert refused.value.exit_code == 1
    for word in (manifest.name, path, blob.name[:12], "Copy the blob back", "Nothing was restored"):
        assert word in str(refused.value)
    assert beside(tmp_path / "new") == before
    assert [path in phrase for phrase in store.damaged(manifest.name)] == [True]


def test_the_next_backup_mends_a_blob_that_is_gone(home: Path, backups: Path, tmp_path: Path) -> None:
    store = store_of(home, backups)
    manifest = store.take(WHO, AT).manifest
    blob_of(backups, manifest, "desk.toml").unlink()
    assert store.take(WHO, AT + timedelta(days=1)).new == 1
    store.restore(manifest.name, tmp_path / "new")
    assert (tmp_path / "new" / "desk.toml").read_text() == (home / "desk.toml").read_text()


def test_a_manifest_with_other_hashes_restores_nothing(home: Path, backups: Path, tmp_path: Path) -> None:
    store = store_of(home, backups)
    manifest = store.take(WHO, AT).manifest
    place = backups / "snapshots" / f"{manifest.name}.json"
    right = manifest.datasets["forecasts"].content_hash
    forged = manifest.to_json().replace(right, "0" * 64)
    place.write_text(forged)
    with pytest.raises(BackupError, match="was changed after it was written"):
        store.restore(manifest.name, tmp_path / "new")
    # and one that fits itself, but not the data:
    wrong = Manifest(**{
        **{name: getattr(manifest, name) for name in ("name", "created_at", "identity", "files", "ledger")},
        "datasets": {**manifest.datasets, "forecasts": type(manifest.datasets["forecasts"])(1, "0" * 64)},
    })  # fmt: skip
    place.write_text(wrong.to_json())
    before = beside(tmp_path / "new")
    with pytest.raises(BackupError, match=f"came back different: dataset forecasts has content {right[:12]}"):
        store.restore(manifest.name, tmp_path / "new")
    assert beside(tmp_path / "new") == before


def test_a_damaged_manifest_stops_neither_other_snapshots_nor_the_next_one(
    home: Path, backups: Path, tmp_path: Path
) -> None:
    store = store_of(home, backups)
    good, bad = (store.take(WHO, AT + timedelta(days=n)).manifest.name for n in (0, 1))
    (backups / "snapshots" / f"{bad}.json").write_text("{")
    with pytest.raises(BackupError, match=bad):
        store.restore(bad, tmp_path / "new")
    store.restore(good, tmp_path / "new")
    assert store.take(WHO, AT + timedelta(days=2)).new == 0
    assert len(store.names()) == 3
    with pytest.raises(BackupError, match=bad):
        store.prune(Retention(newest=1, days=0, weeks=0, months=0), AT + timedelta(days=900))
    assert len(store.names()) == 3


def test_a_snapshot_that_does_not_exist_names_those_that_do(home: Path, backups: Path, tmp_path: Path) -> None:
    name = store_of(home, backups).take(WHO, AT).manifest.name
    with pytest.raises(BackupError, match=f"no readable snapshot 2021.*Newest there: {name}"):
        store_of(home, backups).restore("2021", tmp_path / "new")


# --- forgetting ---
def test_old_snapshots_go_and_what_only_they_held(home: Path, backups: Path, tmp_path: Path) -> None:
    store = store_of(home, backups)
    first = store.take(WHO, AT)
    (home / "desk.toml").write_text("[vendor]\nname = 'csv'\n")
    second = store.take(WHO, AT + timedelta(days=1))
    only_first, both = (blob_of(backups, first.manifest, path) for path in ("desk.toml", "reference/listings.csv"))
    gone = store.prune(Retention(newest=1, days=1, weeks=1, months=1), AT + timedelta(days=9))
    assert gone == (first.manifest.name,)
    assert store.names() == [second.manifest.name]
    assert (only_first.exists(), both.exists()) == (False, True)
    store.restore(second.manifest.name, tmp_path / "new")
    assert contents(tmp_path / "new") == contents(home)
    assert store.prune(Retention(newest=1, days=1, weeks=1, months=1), AT + timedelta(days=9)) == ()


# --- the disk ---
@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 600 kB."""
    place = tmp_path / "tiny"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", place], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here (needs root): {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_full_backup_disk_is_said_and_harms_nothing(home: Path, tiny_disk: Path, tmp_path: Path) -> None:
    store = store_of(home, tiny_disk / "backups")
    first = store.take(WHO, AT)
    before = contents(home)
    (home / "reports" / "big.html").write_bytes(bytes(range(256)) * 4_000)
    with pytest.raises(StoreUnavailable, match="is full"):
        store.take(WHO, AT + timedelta(days=1))
    assert store.names() == [first.manifest.name]
    store.restore(first.manifest.name, tmp_path / "new")
    assert contents(tmp_path / "new") == before
    (home / "reports" / "big.html").unlink()
    assert store.take(WHO, AT + timedelta(days=2)).new == 0


def test_a_full_disk_at_the_restore_leaves_nothing_behind(home: Path, backups: Path, tiny_disk: Path) -> None:
    (home / "reports" / "big.html").write_bytes(bytes(range(256)) * 4_000)
    name = store_of(home, backups).take(WHO, AT).manifest.name
    with pytest.raises(StoreUnavailable, match="is full"):
        store_of(home, backups).restore(name, tiny_disk / "new")
    assert list(tiny_disk.iterdir()) == []
