"""Results of backtests by key: bit for bit, wholly or not at all, and a row for each when rows are wanted."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
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


def rewritten(store: ResultStore, change: Callable[[pa.Table], pa.Table]) -> Path:
    """The file of a kept result, written anew with something changed."""
    store.keep([kept("a")])
    file = store.root / "aa" / f"{'a' * 64}.parquet"
    pq.write_table(change(pq.read_table(file)), file)
    return file


def with_record(change: Callable[[dict], object]) -> Callable[[pa.Table], pa.Table]:
    """Changes the record in a file's metadata, and its checksum with it."""

    def done(table: pa.Table) -> pa.Table:
        said = json.loads(table.schema.metadata[b"daybook.record"])
        text = json.dumps(change(said)).encode()
        digest = hashlib.sha256(text).hexdigest()
        return table.replace_schema_metadata({"daybook.record": text, "daybook.record.sha256": digest})

    return done


BROKEN: dict[str, Callable[[pa.Table], pa.Table]] = {
    "no metadata": lambda table: table.replace_schema_metadata(None),
    "another record than was summed": lambda table: table.replace_schema_metadata(
        {**table.schema.metadata, b"daybook.record": table.schema.metadata[b"daybook.record"].replace(b"0.25", b"0.35")}
    ),
    "no JSON": lambda table: table.replace_schema_metadata(
        {"daybook.record": b"{", "daybook.record.sha256": hashlib.sha256(b"{").hexdigest()}
    ),
    "a record without a key": with_record(lambda said: {name: said[name] for name in said if name != "key"}),
    "a record that is a list": with_record(lambda said: [said]),
    "a time that is none": with_record(lambda said: {**said, "at": "yesterday"}),
    "the result of another key": with_record(lambda said: {**said, "key": "b" * 64}),
    "no statistics": with_record(lambda said: {name: said[name] for name in said if name != "statistics"}),
    "no sessions": lambda table: table.drop_columns(["session"]),
    "no positions": lambda table: table.drop_columns(["position US10", "position A-B"]),
    "a curve that is text": lambda table: table.set_column(
        table.column_names.index("curve x y"), "curve x y", pa.array(["one", "two", "three"])
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_is_whole_and_wrong_is_named(store: ResultStore, name: str) -> None:
    file = rewritten(store, BROKEN[name])
    with pytest.raises(StoreError, match=r"is damaged: .*Delete the file") as found:
        store.load("a" * 64)
    assert str(file) in str(found.value)


def test_a_bit_that_flips_in_a_curve_is_seen(store: ResultStore) -> None:
    store.keep([kept("a", np.random.default_rng(0).normal(size=3))])
    file = store.root / "aa" / f"{'a' * 64}.parquet"
    whole = file.read_bytes()
    end = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")  # where the pages stop and the footer begins
    assert end > 100
    for place in range(4, end):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        try:
            found = store.load("a" * 64)
        except StoreError:
            continue
        assert found is not None
        assert found.result is not None
        assert found.result.curves["net_percent"].tobytes() == kept_curve(whole, file)


def kept_curve(whole: bytes, file: Path) -> bytes:
    """The net curve of a file as it was written: a flipped bit that changes no value does no harm."""
    sound = file.with_suffix(".sound")
    sound.write_bytes(whole)
    return pq.read_table(sound)["curve net_percent"].to_numpy().tobytes()


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
