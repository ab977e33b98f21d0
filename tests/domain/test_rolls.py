"""Roll calendars, multiple prices and roll states against a calendar worked by hand."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from trading.errors import CalculationError
from trading.frames import ROLL_CALENDAR, ROLL_STATES, to_table
from trading.market.continuous import roll_gaps
from trading.market.instruments import RollParameters
from trading.market.multiple import reaching
from trading.market.rolls import (
    desired_roll,
    implied_calendar,
    multiple_prices,
    roll_calendar,
    roll_states,
)
from trading.market.sessions import SessionCalendar, assign_sessions

# Quarterly: expiry on the 15th (first of the month + 14 days), roll wanted 10 days before: on the 5th.
QUARTERLY = RollParameters("Q", "HMUZ", "HMUZ", roll_offset_days=-10, expiry_offset_days=14, carry_offset=1)
# December only, carry from the contract before: expiry on 15 December, roll wanted 60 days before, on 16 October.
DECEMBER = RollParameters("C", "Z", "HKNUZ", roll_offset_days=-60, expiry_offset_days=14, carry_offset=-1)


def at(*days: str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex([f"{day} 23:00" for day in days]).as_unit("us")


def series(prices: dict[str, float]) -> pd.Series:
    return pd.Series(list(prices.values()), index=at(*prices), dtype="float64")


H, M, U, Z, NEXT = 20220300, 20220600, 20220900, 20221200, 20230300
FINALS = {
    H: series({"2022-03-01": 100, "2022-03-02": 101, "2022-03-03": 102, "2022-03-04": 103, "2022-03-07": 104}),
    M: series({"2022-03-01": 110, "2022-03-03": 112, "2022-03-07": 114,
               "2022-06-02": 115, "2022-06-03": 116, "2022-06-06": 117, "2022-06-07": 118}),
    U: series({"2022-03-03": 122, "2022-06-03": 126, "2022-06-06": 127, "2022-06-07": 128,
               "2022-09-02": 130, "2022-09-05": 131, "2022-09-06": 132}),
    Z: series({"2022-06-06": 137, "2022-09-05": 141, "2022-09-06": 142, "2022-10-03": 143}),
}  # fmt: skip

# Worked by hand:
#   H, wanted Saturday 5 March. H and M both have prices on 1, 3 and 7 March: 4, 2 and 2 days away, the earlier of the
#     two nearest is 3 March (not the 4th, on which M has none).
#   M, wanted Sunday 5 June. M and U both on 3 March, 3, 6 and 7 June; 3 March is before the last wanted roll; of the
#     others 6 June is one day away, 3 and 7 June two.
#   U, wanted Monday 5 September. U and Z both on 6 June, 5 and 6 September: the day itself.
#   Z, wanted Monday 5 December, is where prices (to 3 October) have not come yet: planned.
CALENDAR = [
    ("2022-03-03 23:00", "2022-03-03", H, M, M, False),
    ("2022-06-06 23:00", "2022-06-06", M, U, U, False),
    ("2022-09-05 23:00", "2022-09-05", U, Z, Z, False),
    ("2022-12-05 00:00", "2022-12-05", Z, NEXT, NEXT, True),
]


def listed(calendar: pd.DataFrame) -> list[tuple[object, ...]]:
    shown = calendar.assign(
        roll_at=calendar["roll_at"].dt.strftime("%Y-%m-%d %H:%M"), session=calendar["session"].dt.strftime("%Y-%m-%d")
    )
    columns = ["roll_at", "session", "current_contract", "next_contract", "carry_contract", "planned"]
    return [tuple(row) for row in shown[columns].itertuples(index=False)]


def test_the_wanted_roll_is_expiry_plus_offset() -> None:
    assert desired_roll(QUARTERLY, 20220300) == pd.Timestamp("2022-03-05")
    assert desired_roll(DECEMBER, 20211200) == pd.Timestamp("2021-10-16")


def test_contracts_out_of_the_cycle_and_without_prices_are_passed_over() -> None:
    finals = {H: FINALS[H], U: FINALS[U], 20220400: series({"2022-03-01": 1.0}), M: series({})}
    found = roll_calendar(QUARTERLY, finals)
    assert found[["current_contract", "next_contract", "carry_contract"]].to_numpy().tolist() == [[H, U, M], [U, Z, Z]]


def test_the_calendar_by_hand() -> None:
    assert listed(roll_calendar(QUARTERLY, FINALS)) == CALENDAR
    assert listed(roll_calendar(QUARTERLY, pd.DataFrame(FINALS))) == CALENDAR
    assert to_table(roll_calendar(QUARTERLY, FINALS), ROLL_CALENDAR).num_rows == 4


@pytest.mark.parametrize(
    ("through", "rolls"),
    [("2022-03-04", 0), ("2022-03-07", 1), ("2022-06-04", 1), ("2022-06-06", 2), ("2022-09-05", 3)],
)
def test_a_calendar_made_at_any_session_does_not_roll_before_the_wanted_day(through: str, rolls: int) -> None:
    known = {c: prices[: f"{through} 23:59"] for c, prices in FINALS.items()}
    calendar = roll_calendar(QUARTERLY, {c: prices for c, prices in known.items() if len(prices)})
    assert listed(calendar)[:-1] == CALENDAR[:rolls]
    assert calendar["current_contract"].iloc[-1] == CALENDAR[rolls][2]
    assert calendar["planned"].tolist() == [False] * rolls + [True]


def days(first: str, last: str, price: float) -> pd.Series:
    index = pd.bdate_range(first, last) + pd.Timedelta(hours=23)
    return pd.Series(price, index=index.as_unit("us"))


def test_carry_before_current_needs_both_carry_contracts_or_is_let_go() -> None:
    finals = {
        20211200: days("2021-06-01", "2021-12-14", 1.0),
        20221200: days("2021-06-01", "2022-12-14", 2.0),
        20231200: days("2022-06-01", "2022-12-20", 3.0),
        20210900: days("2021-06-01", "2021-09-14", 4.0),
        20220900: days("2021-11-01", "2022-09-14", 5.0),
        20230900: days("2022-09-01", "2022-12-20", 6.0),
    }
    # Z21, wanted Saturday 2021-10-16: its carry contract U21 ends on 14 September and U22, that of Z22, starts in
    #   November: no common day with carry, so carry is let go: Friday the 15th (one day) against Monday the 18th (two).
    # Z22, wanted Sunday 2022-10-16: U22 to 14 September and U23 from 1 September have days in common with both held
    #   contracts; the nearest is 14 September.
    # Z23, wanted 2023-10-16: prices end in 2022.
    assert listed(roll_calendar(DECEMBER, finals)) == [
        ("2021-10-15 23:00", "2021-10-15", 20211200, 20221200, 20210900, False),
        ("2022-09-14 23:00", "2022-09-14", 20221200, 20231200, 20220900, False),
        ("2023-10-16 00:00", "2023-10-16", 20231200, 20241200, 20230900, True),
    ]


def test_rolls_without_a_common_day_are_skipped_at_the_start_and_stop_the_calendar_later() -> None:
    finals = {
        20200300: days("2020-01-01", "2020-01-31", 1.0),
        20200600: days("2020-02-03", "2020-06-10", 2.0),  # nothing in common with H20: skipped
        20200900: days("2020-03-02", "2020-09-10", 3.0),
        20201200: days("2020-03-02", "2020-03-04", 4.0),  # in common with U20 only before the roll of H20 was wanted
        20210300: days("2020-11-02", "2021-01-29", 5.0),
    }
    # M20, wanted Friday 2020-06-05: that day. U20, wanted 2020-09-05: no later common day, so the calendar stops and
    # U20 is the contract still held, its roll overdue.
    assert listed(roll_calendar(QUARTERLY, finals)) == [
        ("2020-06-05 23:00", "2020-06-05", 20200600, 20200900, 20200900, False),
        ("2020-09-05 00:00", "2020-09-04", 20200900, 20201200, 20201200, True),
    ]


def test_one_contract_is_held_and_its_roll_planned() -> None:
    assert listed(roll_calendar(QUARTERLY, {H: FINALS[H]})) == [("2022-03-05 00:00", "2022-03-04", H, M, M, True)]
    assert roll_calendar(QUARTERLY, {}).empty


def test_sessions_of_an_exchange_calendar() -> None:
    open_days = tuple(date(2022, 1, 1) + pd.Timedelta(days=d) for d in range(300))
    calendar = SessionCalendar("all", date(2022, 1, 1), open_days[-1], tuple(d for d in open_days if d.day != 6))
    found = roll_calendar(QUARTERLY, FINALS, calendar)
    assert found["session"].dt.strftime("%m-%d").tolist() == ["03-03", "06-07", "09-05", "12-05"]


nan = np.nan
MULTIPLE = [
    # (3 March, 6 June]: price M, carry and forward U
    ("2022-03-07", 114, M, nan, U, nan, U),
    ("2022-06-02", 115, M, nan, U, nan, U),
    ("2022-06-03", 116, M, 126, U, 126, U),
    ("2022-06-06", 117, M, 127, U, 127, U),
    # (6 June, 5 September]: price U, carry and forward Z
    ("2022-06-07", 128, U, nan, Z, nan, Z),
    ("2022-09-02", 130, U, nan, Z, nan, Z),
    ("2022-09-05", 131, U, 141, Z, 141, Z),
    # after 5 September, without an end: price Z
    ("2022-09-06", 142, Z, nan, NEXT, nan, NEXT),
    ("2022-10-03", 143, Z, nan, NEXT, nan, NEXT),
]
FIRST = [
    # up to 3 March, which the reference leaves out: price H, carry and forward M
    ("2022-03-01", 100, H, 110, M, 110, M),
    ("2022-03-02", 101, H, nan, M, nan, M),
    ("2022-03-03", 102, H, 112, M, 112, M),
]


@pytest.mark.parametrize(("from_first", "expected"), [(False, MULTIPLE), (True, FIRST + MULTIPLE)])
def test_multiple_prices_by_hand(from_first: bool, expected: list[tuple[object, ...]]) -> None:
    found = multiple_prices(roll_calendar(QUARTERLY, FINALS), FINALS, from_first=from_first)
    assert found["stamp"].tolist() == list(at(*(str(row[0]) for row in expected)))
    columns = ["price", "price_contract", "carry", "carry_contract", "forward", "forward_contract"]
    np.testing.assert_array_equal(
        found[columns].to_numpy(dtype="float64"), np.array([row[1:] for row in expected], dtype="float64")
    )
    assert set(found["instrument"]) == {"Q"}


def test_gaps_of_our_own_multiple_prices() -> None:
    found = multiple_prices(roll_calendar(QUARTERLY, FINALS), FINALS, from_first=True)
    gaps = roll_gaps(found.assign(session=assign_sessions(found["stamp"])))
    assert gaps["gap_points"].tolist() == [112 - 102, 127 - 117, 141 - 131]


def test_a_calendar_without_a_plan_ends_with_its_last_roll() -> None:
    calendar = roll_calendar(QUARTERLY, FINALS)
    stored = calendar[~calendar["planned"]].drop(columns="planned")
    assert multiple_prices(stored, FINALS)["stamp"].iloc[-1] == pd.Timestamp("2022-09-05 23:00")


def test_a_missing_carry_contract_is_nan_and_a_missing_next_contract_is_refused() -> None:
    calendar = roll_calendar(QUARTERLY, FINALS).assign(carry_contract=20991200)
    assert multiple_prices(calendar, FINALS)["carry"].isna().all()
    with pytest.raises(CalculationError, match=f"Q rolls into {Z} .* has no prices"):
        multiple_prices(calendar, {c: prices for c, prices in FINALS.items() if c != Z})


def test_the_calendar_implied_by_multiple_prices_is_the_one_they_came_from() -> None:
    found = multiple_prices(roll_calendar(QUARTERLY, FINALS), FINALS, from_first=True)
    found = found.assign(session=assign_sessions(found["stamp"]))
    both = pd.concat([found, found.assign(instrument="A")]).iloc[::-1]
    implied = implied_calendar(both)
    assert implied["instrument"].tolist() == ["A"] * 3 + ["Q"] * 3
    # The same rolls, each dated by the first session of the next contract, in which it became known.
    known = {"2022-03-03": "2022-03-07", "2022-06-06": "2022-06-07", "2022-09-05": "2022-09-06"}
    assert listed(implied[implied["instrument"] == "Q"]) == [(row[0], known[row[1]], *row[2:]) for row in CALENDAR[:3]]


def test_a_roll_long_overdue_is_still_held_and_older_rolls_are_left_out() -> None:
    calendar = roll_calendar(QUARTERLY, FINALS)
    assert listed(reaching(calendar, date(2022, 6, 20))) == CALENDAR[:]  # 6 June is near, so 3 March is needed
    assert listed(reaching(calendar, date(2022, 8, 1))) == CALENDAR[1:]
    assert listed(reaching(calendar, date(2023, 6, 1))) == CALENDAR[2:]


DAILY = pd.DataFrame(
    [
        ("Q", "2022-06-01", M, U),
        ("Q", "2022-06-02", M, U),
        ("Q", "2022-06-06", M, U),
        ("Q", "2022-06-07", U, Z),
        ("Q", "2022-06-08", U, Z),
        ("W", "2022-06-07", H, pd.NA),
    ],
    columns=["instrument", "session", "price_contract", "forward_contract"],
).astype({"session": "datetime64[us]", "price_contract": "Int64", "forward_contract": "Int64"})
ASKED = pd.DatetimeIndex(["2022-05-31", "2022-06-01", "2022-06-03", "2022-06-06", "2022-06-07", "2022-06-08"]).as_unit(
    "us"
)


def shown(states: pd.DataFrame) -> list[tuple[object, ...]]:
    texts = states.assign(
        session=states["session"].dt.strftime("%m-%d"), roll_on=states["roll_on"].dt.strftime("%m-%d").fillna("")
    )
    texts["days_to_roll"] = texts["days_to_roll"].astype("object").where(texts["days_to_roll"].notna(), None)
    return [tuple(row) for row in texts.drop(columns="next_contract").itertuples(index=False)]


def test_roll_states_by_hand() -> None:
    states = roll_states(DAILY, ASKED, {"Q": QUARTERLY})
    assert shown(states) == [
        ("Q", "06-01", M, "06-03", 2, "roll_soon"),  # wanted Sunday 5 June, so on Friday
        ("Q", "06-03", M, "06-03", 0, "roll_soon"),  # no row that day: the contract of 2 June is still held
        ("Q", "06-06", M, "06-03", -3, "roll_soon"),
        ("Q", "06-07", U, "09-05", 90, "rolled_today"),
        ("Q", "06-08", U, "09-05", 89, "hold"),
        ("W", "06-07", H, "", None, "hold"),  # no parameters
        ("W", "06-08", H, "", None, "hold"),
    ]
    assert states["next_contract"].astype("object").tolist()[:5] == [U, U, U, Z, Z]
    assert states["next_contract"].isna().tolist() == [False] * 5 + [True] * 2
    assert to_table(states, ROLL_STATES).num_rows == 7


def test_an_overdue_roll_and_no_prices_at_all() -> None:
    states = roll_states(DAILY, ASKED[-2:], {"Q": QUARTERLY, "W": QUARTERLY})
    assert shown(states) == [
        ("Q", "06-07", U, "09-05", 90, "rolled_today"),
        ("Q", "06-08", U, "09-05", 89, "hold"),
        ("W", "06-07", H, "03-04", -95, "roll_soon"),  # wanted Saturday 5 March, overdue since Friday the 4th
        ("W", "06-08", H, "03-04", -96, "roll_soon"),
    ]
    assert roll_states(DAILY.iloc[:0], ASKED, {}).empty
