"""Which session a time stamp belongs to, and the desk's dates."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from trading.errors import CalculationError
from trading.market.sessions import SessionCalendar, assign_sessions, desk_dates

# Christmas Monday 2023-12-25 is closed
DECEMBER = SessionCalendar(
    "test",
    date(2023, 12, 20),
    date(2023, 12, 31),
    tuple(date(2023, 12, day) for day in (20, 21, 22, 26, 27, 28, 29)),
)


def stamps(*texts: str) -> pd.Series:
    return pd.Series(pd.to_datetime(list(texts), format="ISO8601").as_unit("us"))


def found(sessions: pd.Series) -> list[str]:
    return [str(value.date()) for value in sessions]


def test_desk_dates_are_monday_to_friday() -> None:
    dates = desk_dates(date(2022, 2, 24), date(2022, 3, 1))
    assert [str(day.date()) for day in dates] == ["2022-02-24", "2022-02-25", "2022-02-28", "2022-03-01"]
    assert dates.dtype == "datetime64[us]"


def test_weekdays_count_a_weekend_to_the_friday_before() -> None:
    given = stamps("2022-02-25 23:00", "2022-02-26 00:00", "2022-02-27 23:59:59", "2022-02-28 00:00")
    assert found(assign_sessions(given)) == ["2022-02-25", "2022-02-25", "2022-02-25", "2022-02-28"]


def test_a_calendar_counts_a_closed_time_to_the_session_it_opens() -> None:
    given = stamps("2023-12-22 23:00", "2023-12-24 18:00", "2023-12-25 10:00", "2023-12-26 00:00")
    assert found(assign_sessions(given, DECEMBER)) == ["2023-12-22", "2023-12-26", "2023-12-26", "2023-12-26"]


def test_the_index_and_type_are_kept() -> None:
    given = stamps("2023-12-26 10:00", "2023-12-20 10:00").set_axis([7, 3])
    for calendar in (None, DECEMBER):
        sessions = assign_sessions(given, calendar)
        assert list(sessions.index) == [7, 3]
        assert sessions.dtype == "datetime64[us]"
        assert assign_sessions(given.iloc[:0], calendar).dtype == "datetime64[us]"


@pytest.mark.parametrize("outside", ["2023-12-19 23:00", "2023-12-30 10:00", "2024-01-02 10:00"])
def test_a_stamp_the_calendar_does_not_reach_is_refused(outside: str) -> None:
    with pytest.raises(CalculationError, match="calendar of test"):
        assign_sessions(stamps("2023-12-21 10:00", outside), DECEMBER)


def test_a_missing_stamp_is_refused() -> None:
    with pytest.raises(CalculationError, match="1 of 2 time stamps are missing"):
        assign_sessions(pd.Series(pd.to_datetime(["2023-12-21", None])))
