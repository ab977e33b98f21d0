"""What every FrameStore promises (trading.ports.FrameStore), run against each adapter.

Belongs here: promises. Does not belong here: what only one adapter does (tests/adapters/).
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from resources.delta_frames import DeltaFrames
from resources.kept_frames import KeptFrames
from resources.memory import MemoryCache, MemoryFrames
from trading.errors import DatasetNotFound, SchemaMismatch, UsageError, VersionNotFound
from trading.frames import FORECASTS, RAW_FX_RATES, content_hash, empty
from trading.ports import FrameStore, Span

MONDAY, TUESDAY, WEDNESDAY = date(2022, 2, 21), date(2022, 2, 22), date(2022, 2, 23)
KNOWN = datetime(2022, 2, 23, tzinfo=UTC)


class SteppingClock:
    """An hour later each time it is asked: the first write is at 01:00 on 1 March 2022, UTC."""

    def __init__(self) -> None:
        self.now = datetime(2022, 3, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(hours=1)
        return self.now


@pytest.fixture(params=["memory", "delta", "delta, tiny files", "kept"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FrameStore:
    clock = SteppingClock()
    if request.param == "memory":
        return MemoryFrames(clock)
    if request.param == "kept":
        return KeptFrames(MemoryFrames(clock), MemoryCache(), "a desk")
    return DeltaFrames(tmp_path / "frames", clock=clock, target_rows=2 if "tiny" in request.param else 65_536)


def forecasts(*rows: tuple[str, date, float | None]) -> pa.Table:
    """Rows of FORECASTS: strategy, session, forecast; instrument US10, rule ewmac8."""
    values = [
        {"strategy": strategy, "instrument": "US10", "rule": "ewmac8", "session": session, "forecast": forecast}
        for strategy, session, forecast in rows
    ]
    return pa.Table.from_pylist(values, schema=FORECASTS.schema)


def rates(*rows: tuple[str, date, float], known_at: datetime = KNOWN, loaded_at: datetime = KNOWN) -> pa.Table:
    """Rows of RAW_FX_RATES: pair, session, rate."""
    values: list[dict[str, Any]] = [
        {
            "vendor": "test", "pair": pair, "label": session.isoformat(), "occurrence": 0,
            "stamp": datetime.fromisoformat(session.isoformat()), "event_at": None,
            "session": session, "known_at": known_at, "loaded_at": loaded_at, "rate": rate,
        }
        for pair, session, rate in rows
    ]  # fmt: skip
    return pa.Table.from_pylist(values, schema=RAW_FX_RATES.schema)


def seen(table: pa.Table) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in table.select(["strategy", "session", "forecast"]).to_pylist()]


def rates_seen(table: pa.Table) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in table.select(["pair", "session", "rate"]).to_pylist()]


# --- replace ----------------------------------------------------------------------------------------------------------
def test_what_was_never_written_is_not_empty_but_unknown(store: FrameStore) -> None:
    assert store.written() == []
    assert store.versions(FORECASTS) == []
    with pytest.raises(DatasetNotFound, match="forecasts was never written"):
        store.history(FORECASTS, through=MONDAY)
    with pytest.raises(DatasetNotFound):
        store.latest(FORECASTS, through=MONDAY)
    with pytest.raises(DatasetNotFound):
        store.content_hash(FORECASTS)


def test_replacing_with_nothing_writes_an_empty_dataset(store: FrameStore) -> None:
    assert store.replace(FORECASTS, empty(FORECASTS), Span.session(MONDAY)).number == 0
    assert store.written() == ["forecasts"]
    assert store.history(FORECASTS, through=MONDAY).equals(FORECASTS.schema.empty_table())
    assert store.latest(FORECASTS, through=MONDAY).num_rows == 0
    assert store.replace(FORECASTS, empty(FORECASTS), Span.session(TUESDAY)).number == 0
    assert len(store.versions(FORECASTS)) == 1


def test_rows_come_back_in_key_order_with_the_exact_schema(store: FrameStore) -> None:
    given = forecasts(("b", TUESDAY, 1.0), ("a", TUESDAY, 2.0), ("b", MONDAY, 3.0), ("a", MONDAY, 4.0))
    store.replace(FORECASTS, given, Span(MONDAY, TUESDAY))
    found = store.history(FORECASTS, through=TUESDAY)
    assert found.schema.equals(FORECASTS.schema, check_metadata=True)
    assert seen(found) == [("a", MONDAY, 4.0), ("a", TUESDAY, 2.0), ("b", MONDAY, 3.0), ("b", TUESDAY, 1.0)]


def test_columns_are_taken_by_name_whatever_their_order_and_width(store: FrameStore) -> None:
    given = forecasts(("a", MONDAY, 1.0)).select(["forecast", "session", "rule", "instrument", "strategy"])
    wide = given.set_column(4, "strategy", given["strategy"].cast(pa.large_string()).dictionary_encode())
    store.replace(FORECASTS, wide, Span.session(MONDAY))
    assert seen(store.history(FORECASTS, through=MONDAY)) == [("a", MONDAY, 1.0)]


def test_replace_makes_the_rows_all_there_is_within_the_span(store: FrameStore) -> None:
    rows = forecasts(("a", MONDAY, 1.1), ("b", TUESDAY, 1.3), ("a", TUESDAY, 1.2), ("a", WEDNESDAY, 9.0))
    store.replace(FORECASTS, rows, Span(MONDAY, WEDNESDAY))
    store.replace(FORECASTS, forecasts(("c", TUESDAY, 1.5)), Span.session(TUESDAY))
    expected = [("a", MONDAY, 1.1), ("a", WEDNESDAY, 9.0), ("c", TUESDAY, 1.5)]
    assert seen(store.history(FORECASTS, through=WEDNESDAY)) == expected
    store.replace(FORECASTS, empty(FORECASTS), Span(MONDAY, TUESDAY))
    assert seen(store.history(FORECASTS, through=WEDNESDAY)) == [("a", WEDNESDAY, 9.0)]


def test_replace_of_some_series_leaves_the_others(store: FrameStore) -> None:
    odd = "O'Hare\"; -- 100%"
    store.replace(
        FORECASTS, forecasts(("a", MONDAY, 1.1), (odd, MONDAY, 1.3), ("z", MONDAY, 1.0)), Span.session(MONDAY)
    )
    store.replace(FORECASTS, forecasts((odd, MONDAY, 1.4)), Span(MONDAY, TUESDAY, series=(odd, "z")))
    assert seen(store.history(FORECASTS, through=TUESDAY)) == [(odd, MONDAY, 1.4), ("a", MONDAY, 1.1)]
    assert seen(store.history(FORECASTS, through=TUESDAY, series=[odd])) == [(odd, MONDAY, 1.4)]


def test_replacing_with_equal_rows_adds_no_version(store: FrameStore) -> None:
    span = Span.session(MONDAY)
    first = store.replace(FORECASTS, forecasts(("a", MONDAY, math.nan), ("b", MONDAY, 0.0)), span, {"run": "1"})
    again = store.replace(FORECASTS, forecasts(("b", MONDAY, -0.0), ("a", MONDAY, None)), span, {"run": "2"})
    assert again == first
    assert [version.number for version in store.versions(FORECASTS)] == [0]
    assert store.replace(FORECASTS, forecasts(("b", MONDAY, 1e-300), ("a", MONDAY, None)), span).number == 1


def test_a_missing_float_is_null_and_infinity_stays(store: FrameStore) -> None:
    rows = forecasts(("a", MONDAY, math.nan), ("b", MONDAY, math.inf), ("c", MONDAY, 5e-324))
    store.replace(FORECASTS, rows, Span.session(MONDAY))
    assert store.history(FORECASTS, through=MONDAY)["forecast"].to_pylist() == [None, math.inf, 5e-324]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (forecasts(("a", TUESDAY, 1.0)), "forecasts lie outside .* first of a on 2022-02-22"),
        (forecasts(("z", MONDAY, 1.0)), "first of z on 2022-02-21"),
        (forecasts(("a", MONDAY, 1.0)).drop_columns("rule"), "lack the column rule"),
        (forecasts(("a", MONDAY, 1.0)).append_column("extra", pa.array([1])), "have a column extra"),
        (forecasts(("a", MONDAY, 1.0)).set_column(4, "forecast", pa.array(["x"])), "do not fit its types"),
        (forecasts(("a", MONDAY, 1.0)).set_column(2, "rule", pa.nulls(1, pa.string())), "without rule"),
    ],
)
def test_rows_that_do_not_fit_are_refused_and_change_nothing(store: FrameStore, rows: pa.Table, message: str) -> None:
    store.replace(FORECASTS, forecasts(("a", MONDAY, 7.0)), Span.session(MONDAY))
    with pytest.raises(SchemaMismatch, match=message):
        store.replace(FORECASTS, rows, Span(MONDAY, MONDAY, series=("a",)))
    assert seen(store.history(FORECASTS, through=WEDNESDAY)) == [("a", MONDAY, 7.0)]


# --- append -----------------------------------------------------------------------------------------------------------
def test_append_only_datasets_are_appended_to_and_no_others(store: FrameStore) -> None:
    with pytest.raises(SchemaMismatch, match="raw_fx_rates is append-only"):
        store.replace(RAW_FX_RATES, rates(), Span.session(MONDAY))
    with pytest.raises(SchemaMismatch, match="forecasts is replaced"):
        store.append(FORECASTS, empty(FORECASTS))
    assert store.written() == []


def test_append_adds_only_content_that_is_not_there(store: FrameStore) -> None:
    first = rates(("EURUSD", MONDAY, 1.1), ("GBPUSD", MONDAY, 1.3))
    store.append(RAW_FX_RATES, pa.concat_tables([first, first]), {"run": "1"})
    assert rates_seen(store.history(RAW_FX_RATES, through=MONDAY)) == [("EURUSD", MONDAY, 1.1), ("GBPUSD", MONDAY, 1.3)]
    later = rates(("EURUSD", MONDAY, 1.1), loaded_at=KNOWN + timedelta(days=3))
    assert store.append(RAW_FX_RATES, later).number == 0
    mixed = rates(("EURUSD", MONDAY, 1.1), ("EURUSD", TUESDAY, 1.2))
    assert store.append(RAW_FX_RATES, mixed, {"run": "2"}).note == {"run": "2"}
    expected = [("EURUSD", MONDAY, 1.1), ("EURUSD", TUESDAY, 1.2), ("GBPUSD", MONDAY, 1.3)]
    assert rates_seen(store.history(RAW_FX_RATES, through=WEDNESDAY)) == expected
    assert [version.number for version in store.versions(RAW_FX_RATES)] == [0, 1]


def test_a_correction_is_a_new_row_beside_the_old_one(store: FrameStore) -> None:
    store.append(RAW_FX_RATES, rates(("EURUSD", MONDAY, 1.1)))
    store.append(RAW_FX_RATES, rates(("EURUSD", MONDAY, 1.15), known_at=KNOWN + timedelta(days=1)))
    found = store.history(RAW_FX_RATES, through=MONDAY)
    assert rates_seen(found) == [("EURUSD", MONDAY, 1.1), ("EURUSD", MONDAY, 1.15)]


def test_appending_nothing_to_nothing_writes_an_empty_dataset(store: FrameStore) -> None:
    assert store.append(RAW_FX_RATES, rates()).number == 0
    assert store.history(RAW_FX_RATES, through=MONDAY).num_rows == 0
    assert store.append(RAW_FX_RATES, rates(("EURUSD", MONDAY, 1.1))).number == 1


# --- history and latest -----------------------------------------------------------------------------------------------
@pytest.fixture
def week(store: FrameStore) -> FrameStore:
    rows = forecasts(
        ("a", MONDAY, 1.0), ("a", TUESDAY, 2.0), ("a", WEDNESDAY, 3.0), ("b", MONDAY, 4.0), ("c", WEDNESDAY, 5.0)
    )  # fmt: skip
    store.replace(FORECASTS, rows, Span(MONDAY, WEDNESDAY))
    return store


def test_history_through_a_session_knows_nothing_later(week: FrameStore) -> None:
    assert seen(week.history(FORECASTS, through=TUESDAY)) == [
        ("a", MONDAY, 1.0),
        ("a", TUESDAY, 2.0),
        ("b", MONDAY, 4.0),
    ]
    assert week.history(FORECASTS, through=MONDAY - timedelta(days=1)).num_rows == 0


def test_history_since_and_of_series_and_columns(week: FrameStore) -> None:
    assert seen(week.history(FORECASTS, through=WEDNESDAY, since=TUESDAY, series=["a", "b"])) == [
        ("a", TUESDAY, 2.0),
        ("a", WEDNESDAY, 3.0),
    ]
    assert week.history(FORECASTS, through=WEDNESDAY, series=[]).num_rows == 0
    narrow = week.history(FORECASTS, through=MONDAY, columns=["forecast", "strategy"])
    assert narrow.to_pylist() == [{"forecast": 1.0, "strategy": "a"}, {"forecast": 4.0, "strategy": "b"}]
    with pytest.raises(UsageError, match="forecasts has no column price"):
        week.history(FORECASTS, through=MONDAY, columns=["price"])


def test_latest_gives_the_last_rows_of_each_series(week: FrameStore) -> None:
    assert seen(week.latest(FORECASTS, through=WEDNESDAY)) == [
        ("a", WEDNESDAY, 3.0), ("b", MONDAY, 4.0), ("c", WEDNESDAY, 5.0)
    ]  # fmt: skip
    assert seen(week.latest(FORECASTS, through=TUESDAY)) == [("a", TUESDAY, 2.0), ("b", MONDAY, 4.0)]
    assert seen(week.latest(FORECASTS, through=WEDNESDAY, rows=2, series=["a", "b"])) == [
        ("a", TUESDAY, 2.0), ("a", WEDNESDAY, 3.0), ("b", MONDAY, 4.0)
    ]  # fmt: skip


# --- versions ---------------------------------------------------------------------------------------------------------
def test_every_write_is_a_version_that_stays_readable(store: FrameStore) -> None:
    for number in range(4):
        store.replace(FORECASTS, forecasts(("a", MONDAY, float(number))), Span.session(MONDAY), {"run": str(number)})
    versions = store.versions(FORECASTS)
    assert [(version.number, version.note["run"]) for version in versions] == [(n, str(n)) for n in range(4)]
    assert versions[0].written_at == datetime(2022, 3, 1, 1, tzinfo=UTC)
    for number in range(4):
        expected = [("a", MONDAY, float(number))]
        assert seen(store.history(FORECASTS, through=MONDAY, as_of=number)) == expected
        assert seen(store.history(FORECASTS, through=MONDAY, as_of=versions[number].written_at)) == expected
        just_before_next = versions[number].written_at + timedelta(minutes=59, seconds=59)
        assert seen(store.history(FORECASTS, through=MONDAY, as_of=just_before_next)) == expected


@pytest.mark.parametrize("as_of", [1, -1, datetime(2022, 3, 1, 0, 59, tzinfo=UTC)])
def test_a_version_that_is_not_there(store: FrameStore, as_of: int | datetime) -> None:
    store.replace(FORECASTS, forecasts(("a", MONDAY, 1.0)), Span.session(MONDAY))
    with pytest.raises(VersionNotFound, match="forecasts has no version at"):
        store.history(FORECASTS, through=MONDAY, as_of=as_of)


def test_an_instant_without_a_zone_is_refused(store: FrameStore) -> None:
    store.replace(FORECASTS, forecasts(("a", MONDAY, 1.0)), Span.session(MONDAY))
    with pytest.raises(UsageError, match="time zone"):
        store.history(FORECASTS, through=MONDAY, as_of=datetime.fromisoformat("2022-03-01T12:00:00"))


def test_content_hash_depends_on_content_alone(store: FrameStore) -> None:
    both = forecasts(("a", MONDAY, 1.0), ("b", TUESDAY, None))
    store.replace(FORECASTS, both, Span(MONDAY, TUESDAY))
    assert store.content_hash(FORECASTS) == content_hash(both, FORECASTS)
    store.replace(FORECASTS, forecasts(("b", TUESDAY, 3.0)), Span.session(TUESDAY))
    assert store.content_hash(FORECASTS) != content_hash(both, FORECASTS)
    assert store.content_hash(FORECASTS, as_of=0) == content_hash(both, FORECASTS)
    store.replace(FORECASTS, forecasts(("b", TUESDAY, None)), Span.session(TUESDAY))
    assert store.content_hash(FORECASTS) == content_hash(both, FORECASTS)


def test_datasets_do_not_touch_each_other(store: FrameStore) -> None:
    store.replace(FORECASTS, forecasts(("a", MONDAY, 1.0)), Span.session(MONDAY))
    store.append(RAW_FX_RATES, rates(("EURUSD", MONDAY, 1.1)))
    assert store.written() == ["forecasts", "raw_fx_rates"]
    assert len(store.versions(FORECASTS)) == 1


def test_the_stored_hash_is_of_one_version_and_stays(store: FrameStore) -> None:
    with pytest.raises(DatasetNotFound):
        store.stored_hash(FORECASTS)
    first = forecasts(("trend", MONDAY, 1.0))
    store.replace(FORECASTS, first, Span.session(MONDAY))
    at_first = store.stored_hash(FORECASTS)
    store.replace(FORECASTS, forecasts(("trend", TUESDAY, 1.0)), Span.session(TUESDAY))
    assert store.stored_hash(FORECASTS) != at_first
    assert store.stored_hash(FORECASTS, as_of=0) == at_first
    with pytest.raises(VersionNotFound):
        store.stored_hash(FORECASTS, as_of=2)


def test_the_stored_hash_covers_what_the_content_hash_leaves_out(store: FrameStore) -> None:
    """Two stores of their own would differ by their files' names: the same store, one row later than the other."""
    store.append(RAW_FX_RATES, rates(("EURUSD", MONDAY, 1.1)))
    store.append(RAW_FX_RATES, rates(("EURUSD", TUESDAY, 1.1), loaded_at=KNOWN + timedelta(days=1)))
    both = [store.stored_hash(RAW_FX_RATES, as_of=number) for number in (0, 1)]
    assert both[0] != both[1]
    assert [store.stored_hash(RAW_FX_RATES, as_of=number) for number in (0, 1)] == both
