"""Loops over sessions, held to pandas (an independent implementation) and to small cases by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from trading.kernels.averages import averaged, changes, crossover, deviation, filled, of_centre, of_span
from trading.kernels.holdings import (
    buffered_positions,
    combined_forecasts,
    is_always_zero,
    portfolio_positions,
    sized_positions,
    smoothed_weights,
)
from trading.kernels.windows import rolling_deviation, rolling_range, running_deviation

values = arrays.arrays(
    np.float64, st.tuples(st.integers(1, 40), st.integers(1, 3)),
    elements=st.one_of(st.just(np.nan), st.floats(-1e3, 1e3).map(lambda x: round(x, 3))),
)  # fmt: skip
NONE = np.nan


def one(*cells: float) -> np.ndarray:
    return np.array(cells, dtype=np.float64)[:, None]


@settings(max_examples=60, deadline=None)
@given(values, st.integers(1, 30))
def test_average_is_pandas_ewm_mean(found: np.ndarray, span: int) -> None:
    theirs = pd.DataFrame(found).ewm(span=span).mean().to_numpy()
    np.testing.assert_allclose(averaged(found, of_span(span)), theirs, rtol=1e-9, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(values, st.integers(2, 30), st.integers(2, 6))
def test_deviation_is_pandas_ewm_std(found: np.ndarray, span: int, least: int) -> None:
    theirs = pd.DataFrame(found).ewm(span=span, min_periods=least).std().to_numpy()
    np.testing.assert_allclose(deviation(found, of_span(span), least), theirs, rtol=1e-6, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(values, st.integers(2, 20), st.integers(1, 6))
def test_rolling_windows_are_pandas(found: np.ndarray, window: int, least: int) -> None:
    least = min(least, window)
    frame = pd.DataFrame(found)
    low, high = rolling_range(found, window, least)
    np.testing.assert_array_equal(low, frame.rolling(window, min_periods=least).min().to_numpy())
    np.testing.assert_array_equal(high, frame.rolling(window, min_periods=least).max().to_numpy())
    theirs = frame.rolling(window, min_periods=least).std().to_numpy()
    np.testing.assert_allclose(rolling_deviation(found, window, least), theirs, rtol=1e-6, atol=1e-4)
    np.testing.assert_allclose(running_deviation(found, window, least), theirs, rtol=1e-6, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(values)
def test_filled_and_changes_are_pandas(found: np.ndarray) -> None:
    frame = pd.DataFrame(found)
    np.testing.assert_array_equal(filled(found), frame.ffill().to_numpy())
    np.testing.assert_array_equal(changes(found, False), frame.diff().to_numpy())
    np.testing.assert_array_equal(changes(found, True), (frame - frame.ffill().shift(1)).to_numpy())


def test_centre_of_mass_and_span_are_not_the_same() -> None:
    assert of_centre(90) == pytest.approx(90 / 91)
    assert of_span(90) == pytest.approx(89 / 91)


def test_crossover_is_two_averages_over_a_scale() -> None:
    prices, scale = one(1.0, NONE, 4.0, 2.0), one(2.0, 2.0, 2.0, 4.0)
    both = averaged(prices, 0.5) - averaged(prices, 0.8)
    np.testing.assert_allclose(crossover(prices, scale, 0.5, 0.8), both / scale)


def test_a_price_that_never_moves_has_no_crossover_not_even_of_rounding() -> None:
    flat = np.full((200, 1), 100.1)
    np.testing.assert_array_equal(averaged(flat, of_span(16)), flat)
    np.testing.assert_array_equal(crossover(flat, np.full((200, 1), 1e-10), of_span(16), of_span(64)), 0 * flat)


def test_a_decay_that_has_vanished_leaves_the_new_value_alone() -> None:
    long = one(7.0, *[NONE] * 2000, 3.0)
    assert averaged(long, of_span(2))[-2, 0] == 7.0
    assert averaged(long, of_span(2))[-1, 0] == 3.0


def combine(forecasts: list[np.ndarray], weights: list[float], cap: float = 20.0, decay: float = 0.0) -> list[float]:
    stacked = np.stack(forecasts)
    rows = len(forecasts[0])
    found = combined_forecasts(
        stacked, np.array(weights)[:, None], np.array([[2.0]]), cap, decay, np.array([0]), np.array([rows - 1])
    )
    return found[:, 0].tolist()


def test_missing_forecasts_lend_their_weight_and_are_carried_forward() -> None:
    # 0 before any; the first rule alone at first (weight 1); then 0.25 x 4 + 0.75 x -2 = -0.5; carried; times 2.
    found = combine([one(NONE, 3.0, 4.0, NONE), one(NONE, NONE, -2.0, -2.0)], [0.25, 0.75])
    assert found == [0.0, 6.0, -1.0, -1.0]


def test_forecasts_are_capped_before_and_after_mixing() -> None:
    assert combine([one(50.0), one(-30.0)], [0.75, 0.25]) == [20.0]  # 0.75 x 20 - 0.25 x 20 = 10, times 2
    assert combine([one(50.0)], [1.0], cap=15.0) == [15.0]


def test_weights_of_rules_move_slowly_where_asked() -> None:
    # decay 1/2: the share is 0 then 1: (0.5 x 0 + 1) / 1.5 = 2/3; then (0.75 x 2/3 + 1) / 1.75 = 6/7.
    found = combine([one(NONE, 3.0, 3.0)], [1.0], decay=0.5)
    assert found == pytest.approx([0.0, 3.0 * 2 * 2 / 3, 3.0 * 2 * 6 / 7])


def test_rows_outside_an_instrument_are_missing() -> None:
    found = combined_forecasts(
        one(5.0, 5.0, 5.0)[None], np.ones((1, 1)), np.ones((1, 1)), 20.0, 0.0, np.array([1]), np.array([1])
    )
    assert np.isnan(found[:, 0]).tolist() == [True, False, True]


def test_a_missing_multiplier_leaves_no_forecast() -> None:
    found = combined_forecasts(
        one(5.0, 5.0)[None], np.ones((1, 1)), one(NONE, 2.0), 20.0, 0.0, np.array([0]), np.array([1])
    )
    np.testing.assert_array_equal(found[:, 0], [NONE, 10.0])


def test_shares_are_of_those_that_have_had_a_value() -> None:
    positions = np.array([[NONE, NONE], [1.0, NONE], [NONE, 2.0]])
    found = smoothed_weights(positions, np.array([0.3, 0.1]), 0.0, 0)
    np.testing.assert_allclose(found, [[0.0, 0.0], [1.0, 0.0], [0.75, 0.25]])


def sized(volatility: np.ndarray, combined: np.ndarray, decay: float = 0.0, first: int = 0) -> list[list[list[float]]]:
    rows, columns = combined.shape
    ends = np.full(columns, first), np.full(columns, rows - 1)
    found = sized_positions(volatility, combined, 100.0, 10.0, np.array([0.3, 0.1])[:columns], decay, *ends)
    return [part.tolist() for part in found]


def test_positions_are_cash_over_risk_and_carried_forward() -> None:
    # 100 / 4 = 25 contracts at forecast 10; at 5 half of that; the next row has no volatility and keeps 25.
    contracts, own, weights = sized(one(NONE, 4.0, NONE), one(0.0, 5.0, -20.0))
    np.testing.assert_array_equal(contracts, one(NONE, 25.0, 25.0))
    np.testing.assert_array_equal(own, one(NONE, 12.5, -50.0))
    np.testing.assert_array_equal(weights, one(0.0, 1.0, 1.0))


def test_instrument_weights_are_of_those_that_have_had_a_position() -> None:
    volatility = np.array([[NONE, NONE], [1.0, NONE], [1.0, 1.0]])
    _, _, weights = sized(volatility, np.ones((3, 2)))
    np.testing.assert_allclose(weights, [[0.0, 0.0], [1.0, 0.0], [0.75, 0.25]])


def test_instrument_weights_move_slowly_where_asked() -> None:
    # decay 1/2 from the first row of any on: 0, then (0.5 x 0 + 1) / 1.5 = 2/3.
    _, _, weights = sized(one(NONE, 1.0), one(1.0, 1.0), decay=0.5)
    np.testing.assert_allclose(weights, one(0.0, 2.0 / 3.0))
    _, own, later = sized(one(NONE, 1.0), one(1.0, 1.0), decay=0.5, first=1)
    np.testing.assert_allclose(later, one(0.0, 1.0))
    assert np.isnan(own[0][0])


def test_a_portfolio_multiplies_weights_and_diversification() -> None:
    middle, wanted = portfolio_positions(one(20.0, 20.0), one(5.0, NONE), one(0.5, 0.5), np.array([2.0]), 10.0)
    np.testing.assert_array_equal(middle, one(20.0, 20.0))
    np.testing.assert_array_equal(wanted, one(10.0, NONE))
    moving, _ = portfolio_positions(one(20.0, 20.0), one(5.0, 5.0), one(0.5, 0.5), np.array([1.0, 3.0]), 10.0)
    np.testing.assert_array_equal(moving, one(10.0, 30.0))


def test_columns_that_are_never_but_zero() -> None:
    values = np.array([[0.0, NONE, NONE, 0.0], [NONE, NONE, 1.0, 0.0], [0.0, NONE, 0.0, -1.0]])
    assert is_always_zero(values).tolist() == [True, True, False, False]


def buffer(optimal: np.ndarray, width: np.ndarray, tradable: np.ndarray | None = None, **options: bool) -> list[float]:
    rows = len(optimal)
    trades = np.ones(optimal.shape, dtype=np.bool_) if tradable is None else tradable
    chosen = {"whole": True, "to_edge": False, "from_optimal": False} | options
    found = buffered_positions(optimal, width, trades, np.array([0]), np.array([rows - 1]), *chosen.values())
    return found[:, 0].tolist()


def test_inside_the_zone_nothing_is_traded_and_outside_all_of_it() -> None:
    assert buffer(one(5.0, 5.4, 6.6, 6.0), one(1.0, 1.0, 1.0, 1.0)) == [5.0, 5.0, 7.0, 7.0]


def test_to_the_edge() -> None:
    assert buffer(one(5.0, 8.0, 2.0), one(1.0, 1.0, 1.0), to_edge=True) == [4.0, 7.0, 3.0]


def test_rounding_is_half_to_even_before_comparing() -> None:
    # 2.5 rounds to 2 and 3.5 to 4: top of 2.5 + 1 = 3.5 is 4, so 4 is kept.
    assert buffer(one(4.0, 2.5), one(0.0, 1.0)) == [4.0, 4.0]
    assert buffer(one(0.5, 1.5, 2.5), one(0.0, 0.0, 0.0)) == [0.0, 2.0, 2.0]


def test_a_fractional_zone_holds_fractions() -> None:
    assert buffer(one(0.4, 0.45, 0.6), one(0.1, 0.1, 0.1), whole=False) == [0.4, 0.4, 0.6]


def test_a_missing_or_untradable_row_keeps_what_is_held() -> None:
    trades = one(1, 0, 1).astype(np.bool_)
    assert buffer(one(3.0, 9.0, NONE), one(0.5, 0.5, 0.5), trades) == [3.0, 3.0, 3.0]


def test_the_first_row_may_be_the_optimal_position() -> None:
    assert buffer(one(3.4, 3.4), one(9.0, 9.0), from_optimal=True) == [3.0, 3.0]
    assert buffer(one(3.4, 3.4), one(9.0, 9.0)) == [0.0, 0.0]
    assert buffer(one(NONE, 3.4), one(NONE, 9.0), from_optimal=True) == [0.0, 0.0]
