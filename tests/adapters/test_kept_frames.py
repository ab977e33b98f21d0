"""Reads of datasets through a cache: what is read once, what is read again, and what is not believed.

Does not belong here: what every store promises (`tests/contracts/test_frame_store_contract.py`).
"""

from __future__ import annotations

from datetime import date
from typing import Any

import pyarrow as pa
import pytest

from resources.kept_frames import KeptFrames
from resources.memory import MemoryCache, MemoryFrames
from trading.errors import DatasetNotFound
from trading.frames import FORECASTS, Dataset
from trading.ports import Span

MONDAY, TUESDAY = date(2022, 2, 21), date(2022, 2, 22)


class Counted(MemoryFrames):
    """Frames that count their reads."""

    reads = 0

    def history(self, dataset: Dataset, **given: Any) -> pa.Table:
        self.reads += 1
        return super().history(dataset, **given)


def written(frames: MemoryFrames, session: date, forecast: float) -> None:
    """One forecast of a session."""
    row = {"strategy": "a", "instrument": "US10", "rule": "r", "session": session, "forecast": forecast}
    frames.replace(FORECASTS, pa.Table.from_pylist([row], schema=FORECASTS.schema), Span.session(session))


@pytest.fixture
def frames() -> Counted:
    found = Counted()
    written(found, MONDAY, 1.0)
    return found


def forecasts(table: pa.Table) -> list[float]:
    return [float(value) for value in table["forecast"].to_pylist()]


def test_a_version_is_read_once_by_all_who_share_a_cache_and_the_next_one_again(frames: Counted) -> None:
    cache = MemoryCache()
    workers = [KeptFrames(frames, cache, "home") for _ in range(3)]
    assert [forecasts(each.history(FORECASTS, through=TUESDAY)) for each in workers] == [[1.0]] * 3
    assert frames.reads == 1
    written(frames, TUESDAY, 2.0)
    assert [forecasts(each.history(FORECASTS, through=TUESDAY)) for each in workers] == [[1.0, 2.0]] * 3
    assert frames.reads == 2
    assert workers[0].history(FORECASTS, through=TUESDAY).schema == frames.history(FORECASTS, through=TUESDAY).schema


def test_what_is_asked_differently_is_read_for_itself(frames: Counted) -> None:
    kept = KeptFrames(frames, MemoryCache(), "home")
    written(frames, TUESDAY, 2.0)
    assert forecasts(kept.history(FORECASTS, through=MONDAY)) == [1.0]
    assert forecasts(kept.history(FORECASTS, through=TUESDAY)) == [1.0, 2.0]
    assert forecasts(kept.history(FORECASTS, through=TUESDAY, since=TUESDAY)) == [2.0]
    assert kept.history(FORECASTS, through=TUESDAY, columns=["forecast"]).column_names == ["forecast"]
    assert forecasts(kept.history(FORECASTS, through=TUESDAY, series=["b"])) == []
    assert forecasts(kept.history(FORECASTS, through=TUESDAY, as_of=0)) == [1.0]


def test_two_desks_in_one_cache_keep_apart(frames: Counted) -> None:
    cache, other = MemoryCache(), Counted(lambda: frames.versions(FORECASTS)[0].written_at)
    written(other, MONDAY, 7.0)
    assert forecasts(KeptFrames(frames, cache, "one").history(FORECASTS, through=MONDAY)) == [1.0]
    assert forecasts(KeptFrames(other, cache, "two").history(FORECASTS, through=MONDAY)) == [7.0]


@pytest.mark.parametrize("damage", [lambda kept: b"", lambda kept: kept[:-40], lambda kept: b"nonsense" * 10])
def test_what_the_cache_damaged_is_read_from_the_store(frames: Counted, damage: Any) -> None:
    class Damaged(MemoryCache):
        def get(self, key: str) -> bytes | None:
            found = super().get(key)
            return None if found is None else damage(found)

        def load(self, key: str, loader: Any, age_s: float | None = None) -> bytes:
            return bytes(damage(super().load(key, loader, age_s)))

    assert forecasts(KeptFrames(frames, Damaged(), "home").history(FORECASTS, through=MONDAY)) == [1.0]


def test_what_was_never_written_is_told(frames: Counted) -> None:
    with pytest.raises(DatasetNotFound):
        KeptFrames(Counted(), MemoryCache(), "home").history(FORECASTS, through=MONDAY)
