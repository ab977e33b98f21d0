"""Daily rows and wide daily prices, worked by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd

from trading.frames import DAILY_PRICES, to_table
from trading.market.continuous import roll_gaps
from trading.market.daily import adjusted_daily, daily_rows, held_daily

H, M, U = 20220300, 20220600, 20220900


def rows(instrument: str, values: list[tuple[str, str, float, int, float, int]]) -> pd.DataFrame:
    columns = ["stamp", "session", "price", "price_contract", "forward", "forward_contract"]
    frame = pd.DataFrame(values, columns=columns).assign(instrument=instrument, carry=np.nan, carry_contract=np.nan)
    return frame.astype({"stamp": "datetime64[us]", "session": "datetime64[us]"})


MULTIPLE = pd.concat(
    [
        rows(
            "B",
            [
                ("2022-03-03 12:00", "2022-03-03", 100.0, H, 110.0, M),
                ("2022-03-03 23:00", "2022-03-03", 101.0, H, 112.0, M),
                ("2022-03-04 12:00", "2022-03-04", 102.0, H, 114.0, M),
                ("2022-03-04 23:00", "2022-03-04", np.nan, H, 113.0, M),  # no price: the row at noon counts
                ("2022-03-06 23:00", "2022-03-04", 103.0, H, 113.0, M),  # Sunday evening, counted to Friday
                ("2022-03-07 23:00", "2022-03-07", np.nan, M, 118.0, U),
                ("2022-03-09 10:00", "2022-03-09", 115.0, M, 119.0, U),
                ("2022-03-09 10:00", "2022-03-09", 116.0, M, 120.0, U),  # the same stamp again: the later row counts
            ],
        ),
        rows("A", [("2022-03-07 23:00", "2022-03-07", 5.0, H, np.nan, M)]),
    ]
)


def test_the_last_row_with_a_price_wins() -> None:
    daily = daily_rows(pd.concat([MULTIPLE.iloc[4:], MULTIPLE.iloc[:4]]))
    assert daily[["instrument", "price", "price_contract"]].to_numpy().tolist() == [
        ["A", 5.0, H],
        ["B", 101.0, H],
        ["B", 103.0, H],
        ["B", 116.0, M],
    ]
    assert daily["stamp"].dt.strftime("%d %H").tolist() == ["07 23", "03 23", "06 23", "09 10"]


def test_daily_rows_fit_their_dataset() -> None:
    table = to_table(daily_rows(MULTIPLE).assign(volume=np.nan), DAILY_PRICES)
    assert table.num_rows == 4
    assert table["price_contract"].to_pylist() == [H, H, H, M]


def test_wide_frames_have_every_weekday_from_first_to_last() -> None:
    held = held_daily(daily_rows(MULTIPLE))
    assert held.index.strftime("%d").tolist() == ["03", "04", "07", "08", "09"]
    assert list(held.columns) == ["A", "B"]
    np.testing.assert_array_equal(held["B"], [101.0, 103.0, np.nan, np.nan, 116.0])
    np.testing.assert_array_equal(held["A"], [np.nan, np.nan, 5.0, np.nan, np.nan])


def test_adjusted_daily_prices_apply_later_gaps() -> None:
    # gap at the roll: forward 113 - price 103 = 10, for every row of B before 2022-03-07 23:00
    daily, gaps = daily_rows(MULTIPLE), roll_gaps(MULTIPLE)
    adjusted = adjusted_daily(daily, gaps)
    np.testing.assert_array_equal(adjusted["B"], [111.0, 113.0, np.nan, np.nan, 116.0])
    np.testing.assert_array_equal(adjusted["A"], held_daily(daily)["A"])
    proportional = adjusted_daily(daily, gaps, method="ratio")
    np.testing.assert_allclose(proportional["B"], [101 * 113 / 103, 113.0, np.nan, np.nan, 116.0])


def test_nothing_in_nothing_out() -> None:
    nothing = daily_rows(MULTIPLE.iloc[:0])
    assert held_daily(nothing).empty
    assert adjusted_daily(nothing, roll_gaps(MULTIPLE)).empty
