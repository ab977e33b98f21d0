"""Stores as they were when a session was signed: nothing later is seen, nothing can be written."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from resources.delta_frames import DeltaFrames
from resources.memory import MemoryFrames, MemoryLedger
from resources.pinned_frames import PinnedFrames
from resources.pinned_ledger import PinnedLedger
from trading.book.journal import Event, Head
from trading.errors import DatasetNotFound, UsageError, VersionNotFound
from trading.frames import FORECASTS, PNL, TARGETS, content_hash, empty
from trading.ports import FrameStore, Ledger, Span

MONDAY, TUESDAY, WEDNESDAY = date(2022, 2, 21), date(2022, 2, 22), date(2022, 2, 23)


def forecasts(*rows: tuple[date, float]) -> pa.Table:
    values = [
        {"strategy": "trend", "instrument": "US10", "rule": "fast", "session": day, "forecast": value}
        for day, value in rows
    ]
    return pa.Table.from_pylist(values, schema=FORECASTS.schema)


def seen(rows: pa.Table) -> list[float]:
    return rows["forecast"].to_pylist()


@pytest.fixture(params=["memory", "delta"])
def frames(request: pytest.FixtureRequest, tmp_path: Path) -> FrameStore:
    """Monday, Tuesday, Wednesday, then Monday corrected; versions 0 to 3. Pinned is version 2, signed is Tuesday."""
    store: FrameStore = MemoryFrames() if request.param == "memory" else DeltaFrames(tmp_path)
    for number, day in enumerate((MONDAY, TUESDAY, WEDNESDAY)):
        store.replace(FORECASTS, forecasts((day, number + 1.0)), Span.session(day))
    store.replace(FORECASTS, forecasts((MONDAY, 9.0)), Span.session(MONDAY))
    store.replace(PNL, empty(PNL), Span.session(MONDAY))
    return store


@pytest.fixture
def pinned(frames: FrameStore) -> PinnedFrames:
    return PinnedFrames(frames, TUESDAY, {FORECASTS.name: 2})


def test_it_is_a_frame_store(pinned: PinnedFrames) -> None:
    assert isinstance(pinned, FrameStore)


def test_history_and_latest_end_with_the_signed_session_of_the_pinned_version(pinned: PinnedFrames) -> None:
    assert seen(pinned.history(FORECASTS, through=date.max)) == [1.0, 2.0]
    assert seen(pinned.history(FORECASTS, through=MONDAY)) == [1.0]
    assert seen(pinned.history(FORECASTS, through=date.max, since=TUESDAY)) == [2.0]
    assert seen(pinned.latest(FORECASTS, through=date.max)) == [2.0]
    assert seen(pinned.latest(FORECASTS, through=date.max, rows=5)) == [1.0, 2.0]


def test_older_versions_can_be_read_and_later_ones_cannot(pinned: PinnedFrames) -> None:
    assert seen(pinned.history(FORECASTS, through=date.max, as_of=0)) == [1.0]
    assert seen(pinned.history(FORECASTS, through=date.max, as_of=2)) == [1.0, 2.0]
    with pytest.raises(VersionNotFound):
        pinned.history(FORECASTS, through=date.max, as_of=3)
    with pytest.raises(VersionNotFound):
        pinned.history(FORECASTS, through=date.max, as_of=-1)
    later = datetime.now(UTC) + timedelta(days=1)  # noqa: TID251
    assert seen(pinned.history(FORECASTS, through=date.max, as_of=later)) == [1.0, 2.0]


def test_hashes_and_versions_are_those_of_then(pinned: PinnedFrames, frames: FrameStore) -> None:
    assert pinned.content_hash(FORECASTS) == content_hash(forecasts((MONDAY, 1.0), (TUESDAY, 2.0)), FORECASTS)
    assert pinned.stored_hash(FORECASTS) == frames.stored_hash(FORECASTS, 2)
    assert [version.number for version in pinned.versions(FORECASTS)] == [0, 1, 2]
    assert pinned.written() == [FORECASTS.name]


@pytest.mark.parametrize("dataset", [PNL, TARGETS])
def test_what_was_not_pinned_was_not_written(dataset: object, pinned: PinnedFrames) -> None:
    assert pinned.versions(dataset) == []  # type: ignore[arg-type]
    with pytest.raises(DatasetNotFound, match="when 2022-02-22 was signed"):
        pinned.history(dataset, through=date.max)  # type: ignore[arg-type]


def test_frames_refuse_writing(pinned: PinnedFrames) -> None:
    with pytest.raises(UsageError, match="daybook close --restate --session 2022-02-22"):
        pinned.replace(FORECASTS, forecasts((MONDAY, 5.0)), Span.session(MONDAY))
    with pytest.raises(UsageError, match="signed"):
        pinned.append(FORECASTS, forecasts((MONDAY, 5.0)))


# --- the ledger -------------------------------------------------------------------------------------------------------
def cash(number: int, session: date, amount: float) -> Event:
    payload = {
        "cash_id": f"c{number}", "currency": "USD", "amount_local": amount, "category": "interest",
        "session": session.isoformat(), "reason": "interest of the month",
    }  # fmt: skip
    return Event(f"cash:{number}", "cash_booked", session, datetime(2022, 2, 25, number, tzinfo=UTC), "anna", payload)


@pytest.fixture
def book() -> tuple[PinnedLedger, Ledger]:
    """Cash of Monday, Wednesday and Tuesday in that order, signed; then more of Monday. Signed is Tuesday."""
    ledger = MemoryLedger()
    ledger.record([cash(1, MONDAY, 10.0), cash(2, WEDNESDAY, 20.0)])
    ledger.record([cash(3, TUESDAY, 30.0)])
    heads = dict(ledger.heads())
    ledger.record([cash(4, MONDAY, 40.0)])
    return PinnedLedger(ledger, TUESDAY, heads), ledger


def test_it_is_a_ledger(book: tuple[PinnedLedger, Ledger]) -> None:
    assert isinstance(book[0], Ledger)


def test_entries_and_tables_are_those_of_the_signed_session(book: tuple[PinnedLedger, Ledger]) -> None:
    pinned, live = book
    assert [entry.event.event_id for entry in pinned.entries()] == ["cash:1", "cash:3"]
    assert [entry.number for entry in pinned.entries(after={"cash": 1})] == [3]
    assert [entry.number for entry in pinned.entries(upto={"cash": 1, "other": 9})] == [1]
    assert [entry.number for entry in pinned.entries(upto={"cash": 99})] == [1, 3]
    assert [entry.number for entry in pinned.entries(through=MONDAY)] == [1]
    assert list(pinned.entries(streams=["close"])) == []
    assert [row["amount_local"] for row in pinned.rows("cash")] == [10.0, 30.0]
    assert [row["cash_id"] for row in pinned.rows("cash", {"amount_local": 30.0})] == ["c3"]
    assert len(live.rows("cash")) == 4
    with pytest.raises(UsageError, match="no projection"):
        pinned.rows("nothing")


def test_heads_are_those_of_then(book: tuple[PinnedLedger, Ledger]) -> None:
    pinned, live = book
    assert pinned.heads()["cash"].number == pinned.sequence() == 3
    assert pinned.heads()["cash"] != live.heads()["cash"]
    assert pinned.health() == live.health()


def test_what_came_later_is_neither_found_nor_hashed(book: tuple[PinnedLedger, Ledger]) -> None:
    pinned, _ = book
    only = MemoryLedger()
    only.record([cash(1, MONDAY, 10.0), cash(3, TUESDAY, 30.0)])
    assert pinned.content_hash() == only.content_hash()
    assert [entry.number for entry in pinned.search("INTEREST month")] == [3, 1]
    assert pinned.search("") == []


def test_the_ledger_refuses_recording(book: tuple[PinnedLedger, Ledger]) -> None:
    with pytest.raises(UsageError, match="signed"):
        book[0].record([cash(5, MONDAY, 1.0)])
    with pytest.raises(UsageError, match="signed"):
        book[0].migrate()
    assert book[1].sequence() == 4


def test_a_stream_that_began_later_is_not_there(book: tuple[PinnedLedger, Ledger]) -> None:
    _, live = book
    assert list(PinnedLedger(live, TUESDAY, {}).entries()) == []
    assert list(PinnedLedger(live, TUESDAY, {"close": Head(3, "a" * 64)}).entries()) == []
