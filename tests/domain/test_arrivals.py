"""What is new in a delivery and what was known when, on rows written by hand."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from trading.errors import SchemaMismatch
from trading.frames import RAW_FX_RATES
from trading.market.arrivals import current, deduplicate, known, withdrawn

MONDAY, TUESDAY = datetime(2022, 2, 21, 23, tzinfo=UTC), datetime(2022, 2, 22, 23, tzinfo=UTC)
LOADED, LATER = datetime(2022, 2, 23, 6, tzinfo=UTC), datetime(2022, 2, 24, 6, tzinfo=UTC)
AFTERWARDS = datetime(2022, 2, 25, 6, tzinfo=UTC)
Row = tuple[str, float | None, datetime, int]


def rows(*given: Row, pair: str = "EURUSD") -> pa.Table:
    """Rows of (label, rate, known_at, occurrence) with their session, as a delivery is before it is compared."""
    names = [name for name in RAW_FX_RATES.schema.names if name != "loaded_at"]
    records = [
        {
            "vendor": "v", "pair": pair, "label": label, "occurrence": occurrence,
            "stamp": datetime.fromisoformat(label), "event_at": None,
            "session": date.fromisoformat(label[:10]), "known_at": known_at, "rate": rate,
        }
        for label, rate, known_at, occurrence in given
    ]  # fmt: skip
    return pa.Table.from_pylist(records, schema=pa.schema([RAW_FX_RATES.schema.field(name) for name in names]))


def told(table: pa.Table) -> list[tuple[str, float | None, datetime]]:
    return [(row["label"], row["rate"], row["known_at"]) for row in table.to_pylist()]


def stored(*given: Row) -> pa.Table:
    return known(None, rows(*given), RAW_FX_RATES, LOADED)


def test_a_first_delivery_is_all_new_and_keeps_the_vendors_known_at() -> None:
    result = stored(("2022-02-21", 1.1, MONDAY, 0), ("2022-02-22", 1.2, TUESDAY, 0))
    assert told(result) == [("2022-02-21", 1.1, MONDAY), ("2022-02-22", 1.2, TUESDAY)]
    assert result.schema.names == RAW_FX_RATES.schema.names
    assert result["loaded_at"].to_pylist() == [LOADED, LOADED]


def test_the_same_delivery_again_is_nothing_new() -> None:
    delivered = (("2022-02-21", 1.1, MONDAY, 0), ("2022-02-22", None, TUESDAY, 0))
    assert known(stored(*delivered), rows(*delivered), RAW_FX_RATES, LATER).num_rows == 0


def test_nan_and_missing_and_signed_zero_are_no_change() -> None:
    before = stored(("2022-02-21", None, MONDAY, 0), ("2022-02-22", 0.0, TUESDAY, 0))
    again = rows(("2022-02-21", math.nan, MONDAY, 0), ("2022-02-22", -0.0, TUESDAY, 0))
    assert known(before, again, RAW_FX_RATES, LATER).num_rows == 0


def test_a_changed_row_is_known_from_when_the_desk_learned_it() -> None:
    before = stored(("2022-02-21", 1.1, MONDAY, 0), ("2022-02-22", 1.2, TUESDAY, 0))
    again = rows(("2022-02-21", 1.1, MONDAY, 0), ("2022-02-22", 1.25, TUESDAY, 0))
    assert told(known(before, again, RAW_FX_RATES, LATER)) == [("2022-02-22", 1.25, LATER)]


def test_a_value_that_goes_back_is_a_second_correction() -> None:
    before = stored(("2022-02-21", 1.1, MONDAY, 0))
    first = known(before, rows(("2022-02-21", 1.3, MONDAY, 0)), RAW_FX_RATES, LATER)
    both = pa.concat_tables([before, first])
    last = datetime(2022, 2, 25, tzinfo=UTC)
    again = known(both, rows(("2022-02-21", 1.1, MONDAY, 0)), RAW_FX_RATES, last)
    assert told(again) == [("2022-02-21", 1.1, last)]


def test_a_delivery_with_its_own_correction_is_kept_whole_once() -> None:
    delivered = (("2022-02-21", 1.1, MONDAY, 0), ("2022-02-21", 1.15, TUESDAY, 0))
    before = stored(*delivered)
    assert told(before) == [("2022-02-21", 1.1, MONDAY), ("2022-02-21", 1.15, TUESDAY)]
    assert known(before, rows(*delivered), RAW_FX_RATES, LATER).num_rows == 0


def test_a_correction_that_comes_with_the_old_row_is_the_only_new_row() -> None:
    before = stored(("2022-02-21", 1.1, MONDAY, 0))
    delivered = rows(("2022-02-21", 1.1, MONDAY, 0), ("2022-02-21", 1.15, TUESDAY, 0))
    assert told(known(before, delivered, RAW_FX_RATES, LATER)) == [("2022-02-21", 1.15, LATER)]


def test_occurrence_and_series_tell_rows_with_one_label_apart() -> None:
    before = stored(("2022-02-21", 1.1, MONDAY, 0))
    delivered = rows(("2022-02-21", 1.1, MONDAY, 0), ("2022-02-21", 1.1, MONDAY, 1))
    other = rows(("2022-02-21", 1.1, MONDAY, 0), pair="GBPUSD")
    result = known(before, pa.concat_tables([delivered, other]), RAW_FX_RATES, LATER).to_pylist()
    assert [(row["pair"], row["occurrence"]) for row in result] == [("EURUSD", 1), ("GBPUSD", 0)]


def test_no_rows_are_nothing_new_and_a_row_without_session_is_refused() -> None:
    nothing = rows()
    assert known(stored(("2022-02-21", 1.1, MONDAY, 0)), nothing, RAW_FX_RATES, LATER).num_rows == 0
    with pytest.raises(SchemaMismatch, match="session"):
        known(None, nothing.drop_columns(["session"]), RAW_FX_RATES, LATER)


def test_current_is_what_is_known_last() -> None:
    before = stored(("2022-02-21", 1.1, MONDAY, 0), ("2022-02-22", 1.2, TUESDAY, 0))
    later = known(before, rows(("2022-02-21", 1.3, MONDAY, 0)), RAW_FX_RATES, LATER)
    both = pa.concat_tables([before, later])
    assert told(current(both, RAW_FX_RATES)) == [("2022-02-22", 1.2, TUESDAY), ("2022-02-21", 1.3, LATER)]


def test_a_row_that_comes_after_later_ones_is_known_when_it_came() -> None:
    before = stored(("2022-02-22", 1.2, TUESDAY, 0))
    delivered = rows(("2022-02-21", 1.1, MONDAY, 0), ("2022-02-22", 1.2, TUESDAY, 0), ("2022-02-23", 1.3, TUESDAY, 0))
    assert told(known(before, delivered, RAW_FX_RATES, LATER)) == [
        ("2022-02-21", 1.1, LATER),
        ("2022-02-23", 1.3, TUESDAY),
    ]
    other = rows(("2022-02-21", 1.1, MONDAY, 0), pair="GBPUSD")  # of which the desk holds nothing later
    assert told(known(before, other, RAW_FX_RATES, LATER)) == [("2022-02-21", 1.1, MONDAY)]


def test_a_row_no_longer_delivered_is_taken_back_once_and_may_come_again() -> None:
    days = (("2022-02-21", 1.1, MONDAY, 0), ("2022-02-22", 1.2, TUESDAY, 0), ("2022-02-23", 1.3, TUESDAY, 0))
    before = pa.concat_tables([stored(*days), known(None, rows(*days, pair="GBPUSD"), RAW_FX_RATES, LOADED)])
    without = rows(days[0], days[2])
    gone = withdrawn(before, without, RAW_FX_RATES, LATER)
    assert [(row["pair"], row["label"], row["rate"], row["known_at"]) for row in gone.to_pylist()] == [
        ("EURUSD", "2022-02-22", None, LATER)
    ]
    came = pa.concat_tables([without, gone.drop_columns(["loaded_at"])])
    first = known(before, came, RAW_FX_RATES, LATER)
    assert told(first) == [("2022-02-22", None, LATER)]
    after = pa.concat_tables([before, first])
    assert told(withdrawn(after, without, RAW_FX_RATES, AFTERWARDS)) == [("2022-02-22", None, AFTERWARDS)]
    again = pa.concat_tables([without, withdrawn(after, without, RAW_FX_RATES, AFTERWARDS).drop_columns(["loaded_at"])])
    assert known(after, again, RAW_FX_RATES, AFTERWARDS).num_rows == 0
    assert told(known(after, rows(*days), RAW_FX_RATES, AFTERWARDS)) == [("2022-02-22", 1.2, AFTERWARDS)]


def test_rows_outside_of_what_was_delivered_are_not_withdrawn() -> None:
    days = (("2022-02-21", 1.1, MONDAY, 0), ("2022-02-22", 1.2, TUESDAY, 0), ("2022-02-23", 1.3, TUESDAY, 0))
    assert withdrawn(stored(*days), rows(days[1]), RAW_FX_RATES, LATER).num_rows == 0
    assert withdrawn(None, rows(*days), RAW_FX_RATES, LATER).num_rows == 0
    assert withdrawn(stored(*days), rows(), RAW_FX_RATES, LATER).num_rows == 0


def test_a_duplicate_taken_back_no_longer_decides() -> None:
    before = stored(("2022-02-21", 1.1, MONDAY, 0), ("2022-02-21", 9.99, MONDAY, 1))
    gone = withdrawn(before, rows(("2022-02-21", 1.1, MONDAY, 0)), RAW_FX_RATES, LATER)
    both = current(pa.concat_tables([before, gone]), RAW_FX_RATES)
    assert deduplicate(both, RAW_FX_RATES, "rate")["rate"].to_pylist() == [1.1]


def test_duplicates_keep_the_last_that_is_not_missing() -> None:
    given = stored(
        ("2022-02-21", 1.1, MONDAY, 0),
        ("2022-02-21", 1.2, MONDAY, 1),
        ("2022-02-21", None, MONDAY, 2),
        ("2022-02-22", None, TUESDAY, 0),
        ("2022-02-22", math.nan, TUESDAY, 1),
        ("2022-02-23", 1.3, TUESDAY, 0),
    )
    result = deduplicate(given, RAW_FX_RATES, "rate").to_pylist()
    assert [(row["label"], row["occurrence"]) for row in result] == [
        ("2022-02-21", 1),
        ("2022-02-22", 1),
        ("2022-02-23", 0),
    ]
    assert result[0]["rate"] == 1.2
