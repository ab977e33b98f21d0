"""DeltaFrames against the world: killed writers, two processes, years of versions, full and read-only disks.

Belongs here: what only a store on a disk can suffer. Does not belong here: the port's promises (tests/contracts/).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resources.delta_frames import DeltaFrames
from resources.memory import MemoryFrames
from trading.errors import StoreBusy, StoreUnavailable
from trading.frames import FORECASTS, RAW_FX_RATES, Dataset, column, empty
from trading.ports import Span

FIRST = date(2020, 1, 1)
CHILD = Path(__file__).with_name("storage_child.py")
ALL = Span(date(1990, 1, 1), date(2100, 1, 1))


def forecasts(first: date, sessions: int, series: int, value: float) -> pa.Table:
    """`sessions` x `series` rows of FORECASTS, all of one value."""
    days = [first + timedelta(days=step) for step in range(sessions)]
    return pa.table(
        {
            "strategy": [f"s{number:03}" for number in range(series) for _ in days],
            "instrument": ["US10"] * (series * sessions),
            "rule": ["ewmac8"] * (series * sessions),
            "session": pa.array(days * series, pa.date32()),
            "forecast": [value] * (series * sessions),
        },
        schema=FORECASTS.schema,
    )


def everything(store: DeltaFrames, as_of: int | None = None) -> pa.Table:
    return store.history(FORECASTS, through=date.max, as_of=as_of)


def child(root: Path, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, str(CHILD), str(root), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors


# --- killed writers ---------------------------------------------------------------------------------------------------
def test_kill_at_any_moment_leaves_the_old_rows_or_the_new_and_a_rerun_gives_the_new(tmp_path: Path) -> None:
    sessions, series = 400, 200
    store = DeltaFrames(tmp_path, target_rows=4_000)
    store.replace(FORECASTS, forecasts(FIRST, sessions, series, 0.0), ALL)
    outcomes = []
    for attempt, wait_s in enumerate((0.0, 0.06, 0.12, 0.3), start=1):
        before = everything(DeltaFrames(tmp_path))["forecast"][0].as_py()
        process = child(tmp_path, "load", sessions, series, attempt)
        assert process.stdout is not None
        process.stdout.readline()
        threading.Event().wait(wait_s)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        found = everything(DeltaFrames(tmp_path))
        assert found.num_rows == sessions * series
        values = pc.unique(found["forecast"]).to_pylist()
        assert values in ([before], [float(attempt)])
        outcomes.append(values != [before])
    assert not all(outcomes), "no writer was killed before its commit: the moments are too late"
    finished(child(tmp_path, "load", sessions, series, 99))
    assert pc.unique(everything(DeltaFrames(tmp_path))["forecast"]).to_pylist() == [99.0]


def test_what_a_killed_writer_left_is_swept_by_compaction_and_nothing_else_is(tmp_path: Path) -> None:
    store = DeltaFrames(tmp_path)
    for number in range(3):
        store.replace(FORECASTS, forecasts(FIRST, 5, 3, float(number)), ALL)
    left = tmp_path / "forecasts" / "part-never-committed.parquet"
    left.write_bytes(b"half a file")
    store.compact(FORECASTS)
    assert not left.exists()
    for number in range(3):
        assert everything(store, as_of=number).equals(forecasts(FIRST, 5, 3, float(number)))


# --- several at once --------------------------------------------------------------------------------------------------
def test_two_processes_appending_and_replacing_lose_and_repeat_nothing(tmp_path: Path) -> None:
    pair = [child(tmp_path, "writes", name, 12) for name in ("a", "b")]
    for process in pair:
        finished(process)
    store = DeltaFrames(tmp_path)
    labels = store.history(RAW_FX_RATES, through=date.max)["label"].to_pylist()
    assert sorted(labels) == sorted(f"{who} {number}" for who in ("common", "a", "b") for number in range(12))
    assert everything(store).num_rows == 2 * 12 * 3
    assert [version.number for version in store.versions(RAW_FX_RATES)] == list(range(36))


def test_a_reader_beside_a_writer_sees_whole_versions_only(tmp_path: Path) -> None:
    store = DeltaFrames(tmp_path, target_rows=20)
    store.replace(FORECASTS, forecasts(FIRST, 30, 4, 0.0), ALL)
    done = threading.Event()

    def write() -> None:
        for number in range(1, 25):
            store.replace(FORECASTS, forecasts(FIRST, 30, 4, float(number)), ALL)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    while not done.is_set():
        for reader in (store, DeltaFrames(tmp_path)):
            found = everything(reader)
            values = pc.unique(found["forecast"]).to_pylist()
            assert (found.num_rows, len(values)) == (120, 1)
            seen.add(values[0])
    writer.join()
    assert len(seen) > 1


def test_a_writer_that_waits_too_long_names_the_one_it_waited_for(tmp_path: Path) -> None:
    from resources.file_lock import held

    store = DeltaFrames(tmp_path, wait_s=0.05)
    with (
        held(tmp_path / ".locks" / "forecasts", "forecasts", 1),
        pytest.raises(StoreBusy, match=rf"forecasts is being written by process {os.getpid()}"),
    ):
        store.replace(FORECASTS, empty(FORECASTS), ALL)
    assert store.replace(FORECASTS, empty(FORECASTS), ALL).number == 0


# --- age --------------------------------------------------------------------------------------------------------------
def test_every_version_of_an_aged_table_stays_readable(tmp_path: Path) -> None:
    """More than two checkpoints, merges of small files, a compaction with its sweep, and Delta's own clean-up."""
    from deltalake import DeltaTable

    store = DeltaFrames(tmp_path, target_rows=64)
    hashes = []
    for number in range(120):
        session = FIRST + timedelta(days=number % 90)
        store.replace(FORECASTS, forecasts(session, 1, 3, float(number)), Span.session(session))
        hashes.append(store.content_hash(FORECASTS))
    assert list((tmp_path / "forecasts" / "_delta_log").glob("*.checkpoint*.parquet"))
    store.compact(FORECASTS)
    table = DeltaTable(tmp_path / "forecasts")
    table.create_checkpoint()
    table.cleanup_metadata()
    numbers = [version.number for version in store.versions(FORECASTS)]
    table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False, keep_versions=numbers)
    fresh = DeltaFrames(tmp_path)
    assert fresh.content_hash(FORECASTS) == hashes[-1]
    for number in (0, 1, 49, 50, 51, 89, 90, 119):
        assert fresh.content_hash(FORECASTS, as_of=number) == hashes[number], number


def test_pinned_versions_outlive_thirty_days_checkpoints_and_a_stray_vacuum(tmp_path: Path) -> None:
    """Written a year ago, cleaned up and vacuumed by another program with its defaults today, then written again."""
    from deltalake import DeltaTable

    written = datetime(2025, 1, 1, tzinfo=UTC)
    store = DeltaFrames(tmp_path, target_rows=64, clock=lambda: written)
    pinned = []
    for number in range(60):
        session = FIRST + timedelta(days=number % 30)
        store.replace(FORECASTS, forecasts(session, 1, 3, float(number)), Span.session(session))
        pinned.append((store.content_hash(FORECASTS), store.stored_hash(FORECASTS)))
    log = tmp_path / "forecasts" / "_delta_log"
    for file in log.iterdir():
        os.utime(file, (written.timestamp(), written.timestamp()))
    table = DeltaTable(tmp_path / "forecasts")
    table.create_checkpoint()
    table.cleanup_metadata()
    assert table.vacuum(dry_run=False) == []
    newer = DeltaFrames(tmp_path)
    newer.replace(FORECASTS, forecasts(FIRST, 1, 3, 99.0), Span.session(FIRST))
    for number in range(0, 60, 7):
        found = newer.content_hash(FORECASTS, as_of=number), newer.stored_hash(FORECASTS, as_of=number)
        assert found == pinned[number], number


def test_files_stay_few(tmp_path: Path) -> None:
    store = DeltaFrames(tmp_path)
    for number in range(60):
        session = FIRST + timedelta(days=number)
        store.replace(FORECASTS, forecasts(session, 1, 3, 1.0), Span.session(session))
    assert len(store._newest(FORECASTS).files) <= 9  # type: ignore[union-attr]
    assert everything(store).num_rows == 180


def test_a_column_added_later_is_null_in_older_rows(tmp_path: Path) -> None:
    later = Dataset(
        "forecasts",
        "signals",
        "With a column more.",
        FORECASTS.schema.append(column("raw_forecast", pa.float64(), "before the cap")),
        FORECASTS.series,
    )
    store = DeltaFrames(tmp_path)
    store.replace(FORECASTS, forecasts(FIRST, 2, 1, 1.0), ALL)
    assert store.history(later, through=date.max)["raw_forecast"].to_pylist() == [None, None]
    new = forecasts(FIRST, 1, 1, 5.0).append_column("raw_forecast", pa.array([25.0]))
    store.replace(later, new, Span.session(FIRST))
    assert DeltaFrames(tmp_path).history(later, through=date.max)["raw_forecast"].to_pylist() == [25.0, None]
    assert everything(store, as_of=0).equals(forecasts(FIRST, 2, 1, 1.0))


def test_a_home_put_in_place_of_another_is_noticed(tmp_path: Path) -> None:
    store = DeltaFrames(tmp_path / "one")
    store.replace(FORECASTS, forecasts(FIRST, 2, 1, 1.0), ALL)
    other = DeltaFrames(tmp_path / "two")
    other.replace(FORECASTS, forecasts(FIRST, 2, 1, 2.0), ALL)
    assert everything(store)["forecast"].to_pylist() == [1.0, 1.0]
    shutil.rmtree(tmp_path / "one")
    shutil.copytree(tmp_path / "two", tmp_path / "one")
    assert everything(store)["forecast"].to_pylist() == [2.0, 2.0]


def test_any_delta_reader_reads_the_tables(tmp_path: Path) -> None:
    from deltalake import DeltaTable

    store = DeltaFrames(tmp_path)
    store.replace(FORECASTS, forecasts(FIRST, 3, 2, 1.0), ALL)
    store.replace(FORECASTS, forecasts(FIRST, 1, 2, 2.0), Span.session(FIRST))
    table = DeltaTable(tmp_path / "forecasts")
    assert sorted(table.to_pyarrow_table()["forecast"].to_pylist()) == [1.0, 1.0, 1.0, 1.0, 2.0, 2.0]
    assert DeltaTable(tmp_path / "forecasts", version=0).to_pyarrow_table().num_rows == 6
    assert table.metadata().configuration["delta.logRetentionDuration"] == "interval 36500 days"


# --- disks that refuse ------------------------------------------------------------------------------------------------
@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here (needs root): {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def fill_up(path: Path) -> None:
    """Writes a file until the disk takes no more."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_a_full_disk_leaves_the_store_as_it_was_and_the_next_write_works(small_disk: Path) -> None:
    store = DeltaFrames(small_disk / "frames")
    store.replace(FORECASTS, forecasts(FIRST, 10, 3, 1.0), ALL)
    noise = forecasts(FIRST, 3_000, 100, 0.0)
    noise = noise.set_column(4, "forecast", pc.random(noise.num_rows, initializer=7))
    with pytest.raises(StoreUnavailable, match=r"the disk of .*frames is full \(.* MB free\): nothing was written"):
        store.replace(FORECASTS, noise, ALL)
    filler = small_disk / "filler"
    fill_up(filler)
    with pytest.raises(StoreUnavailable, match="is full"):
        store.replace(FORECASTS, forecasts(FIRST, 10, 3, 2.0), ALL)
    with pytest.raises(StoreUnavailable, match="is full"):
        store.append(RAW_FX_RATES, empty(RAW_FX_RATES))
    for reader in (store, DeltaFrames(small_disk / "frames")):
        assert everything(reader).equals(forecasts(FIRST, 10, 3, 1.0))
        assert [version.number for version in reader.versions(FORECASTS)] == [0]
    filler.unlink()
    assert store.replace(FORECASTS, forecasts(FIRST, 10, 3, 2.0), ALL).number == 1
    store.append(RAW_FX_RATES, empty(RAW_FX_RATES))
    assert everything(DeltaFrames(small_disk / "frames")).equals(forecasts(FIRST, 10, 3, 2.0))


def test_a_read_only_disk_is_read_and_refuses_writes(small_disk: Path) -> None:
    store = DeltaFrames(small_disk / "frames")
    store.replace(FORECASTS, forecasts(FIRST, 10, 3, 1.0), ALL)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    for reader in (store, DeltaFrames(small_disk / "frames")):
        assert everything(reader).num_rows == 30
        with pytest.raises(StoreUnavailable, match="may not be written"):
            reader.replace(FORECASTS, empty(FORECASTS), ALL)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    from trading.errors import StoreError

    store = DeltaFrames(tmp_path)
    store.replace(FORECASTS, forecasts(FIRST, 10, 3, 1.0), ALL)
    for path in (tmp_path / "forecasts").glob("*.parquet"):
        path.write_bytes(b"PAR1 nonsense PAR1")
    with pytest.raises(StoreError, match="restore it from a backup"):
        everything(DeltaFrames(tmp_path))


# --- against the simplest thing that could be right -------------------------------------------------------------------
_strategy, _day, _value = st.sampled_from("abc"), st.integers(0, 6), st.sampled_from([None, 0.0, 1.5, float("nan")])
_cells = st.dictionaries(st.tuples(_strategy, _day), _value, max_size=8)
_series = st.none() | st.sets(_strategy, min_size=1).map(lambda names: tuple(sorted(names)))
_writes = st.lists(st.tuples(st.booleans(), _cells, _day, _day, _series), min_size=1, max_size=8)


def _replacement(cells: dict[tuple[str, int], float | None], span: Span) -> pa.Table:
    rows = [
        {"strategy": who, "instrument": "US10", "rule": "r", "session": FIRST + timedelta(days=day), "forecast": value}
        for (who, day), value in cells.items()
        if span.first <= FIRST + timedelta(days=day) <= span.last and (span.series is None or who in span.series)
    ]
    return pa.Table.from_pylist(rows, schema=FORECASTS.schema)


def _addition(cells: dict[tuple[str, int], float | None]) -> pa.Table:
    from datetime import UTC, datetime

    at = datetime(2022, 1, 1, tzinfo=UTC)
    rows: list[dict[str, Any]] = [
        {
            "vendor": "v", "pair": who, "label": f"{day}", "occurrence": 0, "stamp": at.replace(tzinfo=None),
            "event_at": None, "session": FIRST + timedelta(days=day), "known_at": at, "loaded_at": at, "rate": value,
        }
        for (who, day), value in cells.items()
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=RAW_FX_RATES.schema)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(writes=_writes, target=st.sampled_from([1, 3, 65_536]), through=_day, rows=st.integers(1, 3))
def test_any_sequence_of_writes_gives_what_memory_gives(
    writes: list[tuple[bool, dict[tuple[str, int], float | None], int, int, tuple[str, ...] | None]],
    target: int,
    through: int,
    rows: int,
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        disk, memory = DeltaFrames(Path(folder), target_rows=target), MemoryFrames()
        for replacing, cells, one, other, series in writes:
            span = Span(FIRST + timedelta(days=min(one, other)), FIRST + timedelta(days=max(one, other)), series)
            for store in (disk, memory):
                if replacing:
                    store.replace(FORECASTS, _replacement(cells, span), span)
                else:
                    store.append(RAW_FX_RATES, _addition(cells))
        assert disk.written() == memory.written()
        last = FIRST + timedelta(days=through)
        for dataset in (FORECASTS, RAW_FX_RATES):
            numbers = [version.number for version in memory.versions(dataset)]
            assert [version.number for version in disk.versions(dataset)] == numbers
            for number in numbers:
                expected = memory.history(dataset, through=date.max, as_of=number)
                assert disk.history(dataset, through=date.max, as_of=number).equals(expected)
            if numbers:
                assert disk.latest(dataset, through=last, rows=rows).equals(
                    memory.latest(dataset, through=last, rows=rows)
                )
