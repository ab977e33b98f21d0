"""Results of backtests by key: bit for bit, wholly or not at all, and a row for each when rows are wanted."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from resources.delta_frames import DeltaFrames
from resources.memory import MemoryFrames
from resources.result_store import ResultStore
from resources.source_hash import source_hash
from trading.backtest.result import Kept, Record, Result
from trading.errors import ConfigError, StoreBusy, StoreError
from trading.frames import BACKTEST_RESULTS

FAR = date(9999, 12, 31)
SATURDAY = datetime(2026, 11, 21, 9, 30, 0, 123456, tzinfo=UTC)
SESSIONS = np.array(["1999-12-31", "2000-01-03", "2000-01-04"], dtype="datetime64[D]")


def kept(key: str, values: object = (1.0, 2.0, 3.0), *, curves: bool = True) -> Kept:
    """A result of three sessions and two instruments."""
    numbers = np.array(values, dtype=np.float64)
    record = Record(key * 64, "trend", '{"a":1}', "data", "code", "daybook 1", "me", SATURDAY, 0.25, {"engine": "1"})
    statistics = {"net_percent": {"sharpe": float(numbers[0]), "skew": float("nan"), "worst": -float("inf")}}
    positions = np.column_stack([numbers, numbers[::-1]])
    found = Result(SESSIONS, ("US10", "A-B"), positions, {"net_percent": numbers, "x y": numbers[::-1]}, statistics)
    return Kept(record, statistics, found if curves else None)


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    """An empty store."""
    return ResultStore(tmp_path / "results", DeltaFrames(tmp_path / "frames"))


@given(arrays(np.float64, 3, elements=st.floats(allow_nan=True, allow_infinity=True, width=64)))
def test_every_float_is_read_back_bit_for_bit(values: np.ndarray) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = ResultStore(Path(folder), MemoryFrames())
        whole = kept("a", values)
        store.keep([whole])
        found = store.load("a" * 64)
    assert found is not None
    assert found.result is not None
    assert whole.result is not None
    assert found.result.positions.tobytes() == whole.result.positions.tobytes()
    assert {name: curve.tobytes() for name, curve in found.result.curves.items()} == {
        "net_percent": values.tobytes(),
        "x y": values[::-1].tobytes(),
    }
    assert found.result.instruments == ("US10", "A-B")
    assert (found.result.sessions == SESSIONS).all()
    assert found.record == whole.record
    assert str(found.statistics) == str(whole.statistics)


def test_what_was_never_kept_is_not_there(store: ResultStore) -> None:
    assert store.load("a" * 64) is None
    assert store.known(["a" * 64]) == set()
    assert store.statistics(["a" * 64]) == {}
    assert store.index() == 0


def test_rows_are_added_once_when_they_are_wanted(store: ResultStore) -> None:
    store.keep([kept("a"), kept("b")])
    store.keep([kept("a")])
    assert (store.index(), store.index()) == (2, 0)
    rows = store.frames.history(BACKTEST_RESULTS, through=FAR).to_pylist()
    assert [row["key"][0] for row in rows] == ["a", "b"]
    assert rows[0]["session"] == date(2026, 11, 20)  # a Saturday's work belongs to Friday
    assert (rows[0]["sharpe"], rows[0]["computed_at"], rows[0]["seconds"]) == (1.0, SATURDAY, 0.25)


def test_a_sweep_keeps_rows_in_one_version_and_knows_them(store: ResultStore) -> None:
    sweep = [kept(letter, (number, 0.0, 0.0), curves=False) for number, letter in enumerate("abcdef")]
    store.keep(sweep[:3])
    store.keep(sweep)
    assert len(store.frames.versions(BACKTEST_RESULTS)) == 2
    keys = [one.record.key for one in sweep]
    assert store.known([*keys, "z" * 64]) == set(keys)
    found = store.statistics(keys[:2])
    assert {key: one.statistics["net_percent"]["sharpe"] for key, one in found.items()} == {keys[0]: 0.0, keys[1]: 1.0}
    assert found[keys[0]].record == replace(sweep[0].record, parts={})
    assert store.load(keys[0]) is None, "a row has no curves"


def test_a_result_counts_as_known_before_its_row_is_there(store: ResultStore) -> None:
    store.keep([kept("a"), kept("b", curves=False)])
    assert store.known(["a" * 64, "b" * 64, "c" * 64]) == {"a" * 64, "b" * 64}
    assert set(store.statistics(["a" * 64, "b" * 64])) == {"a" * 64, "b" * 64}


def test_what_a_killed_writer_left_is_no_result_and_is_cleared(store: ResultStore) -> None:
    left = store.root / "aa" / f".{'a' * 64}.123.draft"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half a file")
    (store.root / ".new").mkdir()
    (store.root / ".new" / ("a" * 64)).touch()
    assert store.load("a" * 64) is None
    assert store.index() == 0
    store.keep([kept("a")])
    assert not left.exists()
    assert store.load("a" * 64) is not None
    assert store.index() == 1


def test_a_damaged_file_is_named(store: ResultStore) -> None:
    store.keep([kept("a")])
    (store.root / "aa" / f"{'a' * 64}.parquet").write_bytes(b"PAR1 not at all PAR1")
    with pytest.raises(StoreError, match="is damaged"):
        store.load("a" * 64)


def test_who_is_alone_with_a_key_keeps_others_waiting(store: ResultStore) -> None:
    with store.computing("a" * 64, 1.0):
        with pytest.raises(StoreBusy, match="the result aaaaaaaaaaaa"), store.computing("a" * 64, 0.05):
            pass
        with store.computing("b" * 64, 0.05):
            pass
    with store.computing("a" * 64, 0.05):
        pass


# --- the code that computed it ----------------------------------------------------------------------------------------
@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of one's own: two files."""
    folder = tmp_path / "own_package"
    (folder / "inner").mkdir(parents=True)
    (folder / "__init__.py").write_text("A = 1\n")
    (folder / "inner" / "more.py").write_text("B = 2\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def test_the_version_of_the_code_changes_with_any_source_and_with_nothing_else(package: Path) -> None:
    before = source_hash(["own_package"])
    (package / "notes.txt").write_text("not code")
    (package / "inner" / "more.py").write_bytes(b"B = 2\r\n")  # as another system writes it
    assert source_hash(["own_package"]) == before
    (package / "inner" / "more.py").write_text("B = 3\n")
    changed = source_hash(["own_package"])
    (package / "inner" / "more.py").rename(package / "inner" / "less.py")
    assert len({before, changed, source_hash(["own_package"])}) == 3


def test_a_package_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match="sources of no_such_package are not there"):
        source_hash(["no_such_package"])
