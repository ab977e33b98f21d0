"""Roll gaps and stitching, worked by hand and against the walk that defines them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.errors import CalculationError, MissingRollGap
from trading.frames import ROLL_GAPS, to_table
from trading.market.continuous import panama, ratio, roll_gaps
from trading.market.rolls import implied_calendar

COLUMNS = ["stamp", "price", "price_contract", "forward", "forward_contract"]


def multiple(rows: list[tuple[str, float, int, float, int]], instrument: str = "X") -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=COLUMNS)
    frame["stamp"] = pd.to_datetime(frame["stamp"], format="ISO8601").astype("datetime64[us]")
    frame["session"] = frame["stamp"].dt.normalize()
    frame["carry"], frame["carry_contract"] = np.nan, np.nan
    return frame.assign(instrument=instrument)


H, M, U, Z = 20220300, 20220600, 20220900, 20221200
THREE = multiple(
    [
        ("2022-03-01", 100.0, H, 110.0, M),
        ("2022-03-02", 101.0, H, 112.0, M),  # last row of H: gap 112 - 101 = 11
        ("2022-03-03", 113.0, M, 115.0, U),
        ("2022-06-01", np.nan, M, 118.0, U),
        ("2022-06-02", 120.0, M, 117.0, U),  # last row of M: gap 117 - 120 = -3
        ("2022-06-03", 118.5, U, np.nan, Z),
    ]
)


def test_gaps_by_hand() -> None:
    gaps = roll_gaps(THREE)
    assert gaps["stamp"].dt.strftime("%Y-%m-%d").tolist() == ["2022-03-03", "2022-06-03"]
    assert gaps["session"].tolist() == gaps["stamp"].tolist()
    assert gaps[["from_contract", "to_contract"]].to_numpy().tolist() == [[H, M], [M, U]]
    assert gaps[["price_before", "forward_before", "gap_points"]].to_numpy().tolist() == [
        [101.0, 112.0, 11.0],
        [120.0, 117.0, -3.0],
    ]


def test_panama_by_hand() -> None:
    # rows of H get 11 - 3 = 8, rows of M get -3, rows of U nothing
    np.testing.assert_array_equal(panama(THREE)["price"], [108.0, 109.0, 110.0, np.nan, 117.0, 118.5])


def test_ratio_by_hand() -> None:
    # rows of H are multiplied by 112/101 x 117/120, rows of M by 117/120
    both, last = 112 / 101 * 117 / 120, 117 / 120
    expected = [100 * both, 101 * both, 113 * last, np.nan, 117.0, 118.5]
    np.testing.assert_allclose(ratio(THREE)["price"], expected, rtol=1e-14)


@pytest.mark.parametrize("kind", ["Int64", "Int32", "float64"])
def test_contracts_of_any_number_type(kind: str) -> None:
    rows = THREE.astype({"price_contract": kind, "forward_contract": kind})
    rows.loc[3, ["price_contract", "forward_contract"]] = None  # held contract unknown: that row decides nothing
    rows.loc[1, "forward_contract"] = None  # forward contract unknown, its price is not
    assert roll_gaps(rows)["gap_points"].tolist() == [11.0, -3.0]
    assert to_table(roll_gaps(rows), ROLL_GAPS).equals(to_table(roll_gaps(THREE), ROLL_GAPS))
    assert implied_calendar(rows)[["current_contract", "next_contract"]].to_numpy().tolist() == [[H, M], [M, U]]


def test_many_instruments_in_any_order() -> None:
    other = THREE.assign(instrument="A", price=THREE["price"] * 2, forward=THREE["forward"] * 2)
    together = pd.concat([THREE, other]).sample(frac=1.0, random_state=1)
    stitched = panama(together)
    assert stitched["instrument"].tolist() == ["A"] * 6 + ["X"] * 6
    np.testing.assert_array_equal(stitched["price"][:6], 2 * panama(THREE)["price"])
    np.testing.assert_array_equal(stitched["price"][6:], panama(THREE)["price"])
    assert roll_gaps(together)["gap_points"].tolist() == [22.0, -6.0, 11.0, -3.0]


def test_a_part_of_history_is_stitched_with_given_gaps() -> None:
    np.testing.assert_array_equal(panama(THREE.iloc[:2], roll_gaps(THREE))["price"], [108.0, 109.0])
    np.testing.assert_array_equal(panama(THREE.iloc[:2])["price"], [100.0, 101.0])


def test_rows_of_equal_stamp_keep_their_order_across_a_roll() -> None:
    same = multiple([("2022-03-01", 100.0, H, 110.0, M), ("2022-03-01 10:00", 101.0, H, 112.0, M)])
    more = multiple([("2022-03-01 11:00", 113.0, M, 115.0, U), ("2022-03-01 11:00", 114.0, M, 116.0, U)])
    assert panama(pd.concat([same, more]))["price"].tolist() == [111.0, 112.0, 113.0, 114.0]


@pytest.mark.parametrize(("column", "which"), [("price", "held"), ("forward", "next")])
def test_a_roll_without_both_prices_stops_and_says_where(column: str, which: str) -> None:
    broken = THREE.copy()
    broken.loc[1, column] = np.nan
    with pytest.raises(MissingRollGap, match=rf"X rolls from {H} to {M} at 2022-03-03.*no price of the {which}"):
        panama(broken)


def test_a_forward_of_a_third_contract_is_not_taken_for_the_gap() -> None:
    with pytest.raises(MissingRollGap, match=f"from {H} to {U}.*of contract {M}"):
        roll_gaps(THREE.iloc[[0, 1, 5]])


def test_a_ratio_over_a_negative_price_is_refused() -> None:
    broken = THREE.copy()
    broken.loc[1, "price"] = -37.63
    with pytest.raises(CalculationError, match=r"X rolled at 2022-03-03 .*-37\.63.*panama"):
        ratio(broken)
    assert panama(broken)["price"].notna().sum() == 5


def test_no_rows_and_no_rolls() -> None:
    assert panama(THREE.iloc[:0]).empty
    assert roll_gaps(THREE.iloc[:0]).empty
    assert roll_gaps(THREE.iloc[:2]).empty


prices = st.floats(1, 1000, allow_nan=False).map(lambda value: round(value, 2))
histories = st.lists(st.lists(st.tuples(prices, prices), min_size=1, max_size=6), min_size=1, max_size=5)


def history(contracts: list[list[tuple[float, float]]]) -> pd.DataFrame:
    ids = [H, M, U, Z, 20230300, 20230600]
    flat = [(price, ids[at], forward, ids[at + 1]) for at, own in enumerate(contracts) for price, forward in own]
    days = pd.date_range("2022-01-03", periods=len(flat)).strftime("%Y-%m-%d")
    return multiple([(day, *row) for day, row in zip(days, flat, strict=True)])


@given(histories)
def test_panama_is_the_walk_that_defines_it(contracts: list[list[tuple[float, float]]]) -> None:
    rows = history(contracts)
    walked: list[float] = []
    before = None
    for row in rows.itertuples():
        if before is not None and before.price_contract != row.price_contract:
            walked = [value + (before.forward - before.price) for value in walked]
        walked.append(row.price)
        before = row
    np.testing.assert_allclose(panama(rows)["price"], walked, rtol=0, atol=1e-9)


@given(histories)
def test_returns_between_rolls_are_unchanged(contracts: list[list[tuple[float, float]]]) -> None:
    rows = history(contracts)
    inside = (rows["price_contract"].diff() == 0).to_numpy()
    moves, own = panama(rows)["price"].diff()[inside], rows["price"].diff()[inside]
    np.testing.assert_allclose(moves, own, rtol=0, atol=1e-9)
    percent, own_percent = ratio(rows)["price"].pct_change()[inside], rows["price"].pct_change()[inside]
    np.testing.assert_allclose(percent, own_percent, rtol=1e-9, atol=1e-9)


@given(histories)
def test_over_a_roll_the_return_is_from_the_old_forward(contracts: list[list[tuple[float, float]]]) -> None:
    rows = history(contracts)
    rolled = (rows["price_contract"].diff() > 0).to_numpy()
    expected = (rows["price"] - rows["forward"].shift(1))[rolled]
    np.testing.assert_allclose(panama(rows)["price"].diff()[rolled], expected, rtol=0, atol=1e-9)
