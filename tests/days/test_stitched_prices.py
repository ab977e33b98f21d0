"""Stitched prices kept in the cache: with it, without it, and with somebody else's bytes in it, they are the same."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pyarrow as pa

from assets.stitched import stitched, warm
from resources.memory import MemoryCache, MemoryFrames
from trading.frames import MULTIPLE_PRICES, ROLL_GAPS, to_table
from trading.ports import Span

MONDAY, TUESDAY, WEDNESDAY = date(2024, 3, 4), date(2024, 3, 5), date(2024, 3, 6)
MARCH, JUNE = 20240300, 20240600


class CountingCache(MemoryCache):
    """Counts how often a value had to be made."""

    def __init__(self) -> None:
        super().__init__()
        self.made = 0

    def load(self, key, loader, age_s=None):  # type: ignore[no-untyped-def]
        def counted() -> bytes:
            self.made += 1
            return loader()

        return super().load(key, counted, age_s)


class LostCache(CountingCache):
    """Keeps nothing, like a Redis that cannot be reached."""

    def set(self, key: str, value: bytes, age_s: float | None = None) -> None:
        """Drops it."""


def prices(last: float = 111.0) -> pa.Table:
    """GOLD is held in March, and in June from Wednesday on: 108 to 110 on Tuesday is the gap."""
    rows = [
        (MONDAY, 100.0, MARCH, 102.0, JUNE),
        (TUESDAY, 108.0, MARCH, 110.0, JUNE),
        (WEDNESDAY, last, JUNE, None, None),
    ]
    frame = pd.DataFrame(rows, columns=["session", "price", "price_contract", "forward", "forward_contract"])
    frame["stamp"] = pd.to_datetime(frame["session"]) + pd.Timedelta(hours=17)
    frame = frame.assign(instrument="GOLD", carry=None, carry_contract=None)
    return to_table(frame.astype({"forward_contract": "Int32", "carry_contract": "Int32"}), MULTIPLE_PRICES)


def gaps() -> pa.Table:
    """The roll of Wednesday, worked by hand: 110 - 108 = 2 points."""
    row = dict.fromkeys(ROLL_GAPS.schema.names) | {
        "instrument": "GOLD", "session": WEDNESDAY, "stamp": pd.Timestamp("2024-03-06 17:00"),
        "from_contract": MARCH, "to_contract": JUNE, "gap_points": 2.0, "price_before": 108.0, "forward_before": 110.0,
    }  # fmt: skip
    return to_table(pd.DataFrame([row]), ROLL_GAPS)


def store() -> MemoryFrames:
    """A frame store with the three sessions."""
    frames = MemoryFrames()
    frames.replace(MULTIPLE_PRICES, prices(), Span(MONDAY, WEDNESDAY))
    frames.replace(ROLL_GAPS, gaps(), Span(MONDAY, WEDNESDAY))
    return frames


def test_prices_are_those_worked_by_hand_and_made_once() -> None:
    frames, cache = store(), CountingCache()
    for _ in range(3):
        found = stitched(frames, cache, "GOLD", WEDNESDAY, "panama")
        assert found["price"].tolist() == [102.0, 110.0, 111.0]
        assert list(found.columns) == ["instrument", "stamp", "session", "price"]
    assert cache.made == 1


def test_losing_the_cache_loses_nothing() -> None:
    frames = store()
    kept = CountingCache()
    stitched(frames, kept, "GOLD", WEDNESDAY, "panama")
    from_cache = stitched(frames, kept, "GOLD", WEDNESDAY, "panama")
    lost = LostCache()
    without = [stitched(frames, lost, "GOLD", WEDNESDAY, "panama") for _ in range(2)]
    assert lost.made == 2
    for each in without:
        pd.testing.assert_frame_equal(each, from_cache)


def test_bytes_that_are_not_ours_are_forgotten() -> None:
    frames, cache = store(), CountingCache()
    stitched(frames, cache, "GOLD", WEDNESDAY, "panama")
    for name in list(cache._held):
        cache.set(name, b"not a table")
    assert stitched(frames, cache, "GOLD", WEDNESDAY, "panama")["price"].tolist() == [102.0, 110.0, 111.0]


def test_a_new_version_is_a_new_series_and_an_earlier_session_its_own() -> None:
    frames, cache = store(), CountingCache()
    assert stitched(frames, cache, "GOLD", WEDNESDAY, "panama")["price"].iloc[-1] == 111.0
    frames.replace(MULTIPLE_PRICES, prices(last=112.0), Span(MONDAY, WEDNESDAY))
    assert stitched(frames, cache, "GOLD", WEDNESDAY, "panama")["price"].iloc[-1] == 112.0
    assert stitched(frames, cache, "GOLD", TUESDAY, "panama")["price"].tolist() == [100.0, 108.0]


def test_a_store_that_shares_the_cache_is_not_mistaken_for_another() -> None:
    cache, ours, theirs = CountingCache(), store(), MemoryFrames()
    theirs.replace(MULTIPLE_PRICES, prices(last=99.0), Span(MONDAY, WEDNESDAY))
    theirs.replace(ROLL_GAPS, gaps(), Span(MONDAY, WEDNESDAY))
    assert stitched(ours, cache, "GOLD", WEDNESDAY, "panama")["price"].iloc[-1] == 111.0
    assert stitched(theirs, cache, "GOLD", WEDNESDAY, "panama")["price"].iloc[-1] == 99.0


def test_warming_makes_what_a_reader_asks_for_later() -> None:
    frames, cache = store(), CountingCache()
    assert warm(frames, cache, WEDNESDAY, "panama") == 1
    stitched(frames, cache, "GOLD", date.max, "panama")  # the newest there is: the same series
    assert cache.made == 1


def test_an_instrument_without_prices_has_no_rows() -> None:
    assert stitched(store(), CountingCache(), "SILVER", WEDNESDAY, "panama").empty
    assert stitched(MemoryFrames(), CountingCache(), "GOLD", WEDNESDAY, "panama").empty
    assert warm(MemoryFrames(), CountingCache(), WEDNESDAY, "panama") == 0
