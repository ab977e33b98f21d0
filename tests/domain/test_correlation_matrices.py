"""Weekly returns, dates of refits, raw and cleaned correlations: worked by hand, and against weighted covariances."""

from __future__ import annotations

import numpy as np
import pytest

from trading.analytics.correlation_matrices import (
    RETURNS,
    Cleaning,
    Weekly,
    matrices,
    percent_returns,
    raw,
    seven_day_weeks,
    sunday_levels,
    sunday_weeks,
)
from trading.analytics.refits import Refits, refits

NAN = float("nan")
WEDNESDAY = np.datetime64("2020-01-01")


def weekdays(count: int, first: np.datetime64 = WEDNESDAY) -> np.ndarray:
    return np.busday_offset(first, np.arange(count)).astype("datetime64[D]")


def rows_of(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, dtype=np.float64)


# --- returns ----------------------------------------------------------------------------------------------------------
def test_percent_returns_of_a_held_price_carried_forward() -> None:
    price, held = rows_of((10,), (11,), (NAN,), (14,), (15,)), rows_of((100,), (NAN,), (50,), (0,), (20,))
    np.testing.assert_array_equal(percent_returns(price, held)[:, 0], [NAN, 1 / 100, NAN, NAN, 1 / 20])
    over = percent_returns(price, np.where(held == 0, 25.0, held), over_gaps=True)
    np.testing.assert_array_equal(over[:, 0], [NAN, 1 / 100, NAN, 3 / 25, 1 / 20])


def test_weeks_of_seven_days_from_a_wednesday() -> None:
    """Wednesday to Tuesday; the second series begins in the second week, so its first change is the third week's."""
    sessions = weekdays(15)
    values = np.column_stack([np.arange(1.0, 16.0), np.r_[np.full(5, NAN), np.ones(10)]])
    values[6, 0] = NAN
    weekly = seven_day_weeks(values, sessions)
    assert weekly.labels.tolist() == [np.datetime64(d).item() for d in ("2020-01-01", "2020-01-08", "2020-01-15")]
    np.testing.assert_array_equal(weekly.returns, rows_of((NAN, NAN), (6 + 8 + 9 + 10, NAN), (65, 5)))


def test_weeks_that_end_on_sunday() -> None:
    """Wednesday to Friday, then whole weeks; a week without any return is 0, not missing."""
    sessions = weekdays(13)
    values = np.ones((13, 1))
    values[3:8] = NAN
    weekly = sunday_weeks(values, sessions)
    assert weekly.labels.tolist() == [np.datetime64(d).item() for d in ("2020-01-05", "2020-01-12", "2020-01-19")]
    np.testing.assert_array_equal(weekly.returns[:, 0], [NAN, 0.0, 5.0])
    np.testing.assert_array_equal(
        sunday_levels(np.cumsum(np.ones((13, 1)), axis=0), sessions).returns[:, 0], [3, 8, 13]
    )


# --- refits -----------------------------------------------------------------------------------------------------------
def test_refits_counted_back_from_the_last_date() -> None:
    """1000 days: 270 and 635 days after the first and the last itself are whole years apart. The earliest begins no
    estimate, the last one neither."""
    labels = WEDNESDAY + np.array([0, 7, 1000])
    fits = refits(labels, 365, "from_end")
    assert (fits.used_from - WEDNESDAY).astype(int).tolist() == [0, 635]
    assert (fits.window_start - WEDNESDAY).astype(int).tolist() == [0, 0]
    assert fits.counts(labels).tolist() == [-1, 2]


def test_refits_counted_from_the_first_date() -> None:
    labels = WEDNESDAY + np.array([0, 7, 365, 1000])
    fits = refits(labels, 365, "from_start")
    assert (fits.used_from - WEDNESDAY).astype(int).tolist() == [0, 365, 730]
    assert fits.counts(labels).tolist() == [-1, 2, 3]
    assert fits.in_force(WEDNESDAY + np.array([-1, 0, 364, 365, 900])).tolist() == [-1, 0, 0, 1, 2]


def test_a_rolling_window_is_counted_in_refits() -> None:
    labels = WEDNESDAY + np.arange(8) * 7
    for counted, used in (("from_start", 8), ("from_end", 7)):
        fits = refits(labels, 7, counted, rolling=3)
        assert ((fits.used_from - WEDNESDAY) // np.timedelta64(7, "D")).tolist() == list(range(used))
        begins = ((fits.window_start - WEDNESDAY) // np.timedelta64(7, "D")).tolist()
        assert begins == [0, 0, 0, 0, 1, 2, 3, 4][:used]


def test_only_from_the_end_counts_a_series_of_the_row_dated_with_the_end_of_the_fit() -> None:
    labels = WEDNESDAY + np.arange(4) * 7
    values = rows_of((NAN,), (NAN,), (1.0,), (1.0,))
    assert refits(labels, 7, "from_start").seen(labels, values)[:, 0].tolist() == [False, False, False, True]
    assert refits(labels, 7, "from_end").seen(labels, values)[:, 0].tolist() == [False, False, True]


def test_no_dates_no_refits() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        refits(WEDNESDAY + np.arange(0), 7, "from_start")


# --- raw correlations -------------------------------------------------------------------------------------------------
def weighted(one: np.ndarray, other: np.ndarray, span: float) -> float:
    """Correlation of the rows where both are present, the latest with weight 1, from NumPy's weighted covariance."""
    both = np.isfinite(one) & np.isfinite(other)
    weights = (1 - 2 / (span + 1)) ** np.arange(both.sum())[::-1]
    covariance = np.cov(one[both], other[both], aweights=weights, ddof=0)
    return float(covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]))


def test_raw_correlations_with_gaps_and_late_starts() -> None:
    random = np.random.default_rng(3)
    values = random.normal(size=(120, 4)) + random.normal(size=(120, 1)) + 50
    values[random.random(values.shape) < 0.2] = NAN
    values[:60, 3] = NAN
    found = raw(values, span=30, min_periods=20)
    for one in range(4):
        for other in range(one, 4):
            assert found[one, other] == pytest.approx(weighted(values[:, one], values[:, other], 30), abs=1e-12)
    np.testing.assert_array_equal(found, found.T)


def test_a_raw_correlation_needs_its_rows_and_a_series_that_moves() -> None:
    values = np.column_stack([np.arange(5.0), np.arange(5.0)[::-1], np.ones(5), np.r_[NAN, np.arange(4.0)]])
    found = raw(values, span=10, min_periods=5)
    np.testing.assert_allclose(found[:2, :2], [[1, -1], [-1, 1]], atol=1e-15)
    assert np.isnan(found[2:]).all()
    assert raw(values, span=10, min_periods=4)[0, 3] == pytest.approx(1.0)


# --- cleaned matrices -------------------------------------------------------------------------------------------------
PLAIN = Cleaning(span=1000, min_periods=3, absent=0.25)
UP, DOWN = (1.0, 2.0, 4.0, 3.0), (-1.0, -2.0, -4.0, -3.0)


def last_matrix(columns: list[tuple[float, ...]], cleaning: Cleaning) -> np.ndarray:
    """Of all four rows, dated by weeks, at a refit in the fifth."""
    labels = WEDNESDAY + np.arange(5) * 7
    values = np.vstack([np.column_stack(columns), np.full(len(columns), NAN)])
    ends = labels[[0, 4]]
    return matrices(Weekly(labels, values), Refits(ends, ends[[0, 0]], "from_start"), cleaning)[-1]


def test_before_there_is_data_everything_is_alike() -> None:
    weekly = Weekly(WEDNESDAY + np.arange(3) * 7, np.full((3, 2), NAN))
    found = matrices(weekly, refits(weekly.labels, 7, "from_start"), PLAIN)
    np.testing.assert_array_equal(found[0], [[1, 0.99], [0.99, 1]])
    np.testing.assert_array_equal(found[1:], np.broadcast_to([[1, 0.25], [0.25, 1]], (2, 2, 2)))


def test_a_missing_pair_is_the_mean_of_the_present_ones_if_both_had_data() -> None:
    """A and B go together, C against them, so the present pairs 1, -1 and -1 have the mean -1/3. D began in the last
    row, E did not."""
    begun, not_begun = (NAN, NAN, NAN, 1.0), (NAN, NAN, NAN, NAN)
    found = last_matrix([UP, UP, DOWN, begun, not_begun], PLAIN)
    mean, absent = -1 / 3, 0.25
    expected = [
        [1, 1, -1, mean, absent],
        [1, 1, -1, mean, absent],
        [-1, -1, 1, mean, absent],
        [mean, mean, mean, 1, absent],
        [absent, absent, absent, absent, 1],
    ]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_missing_pair_is_missing_where_no_other_is_present() -> None:
    found = last_matrix([UP, (NAN, NAN, NAN, 1.0), (NAN, NAN, NAN, NAN)], PLAIN)
    np.testing.assert_array_equal(found, [[1, NAN, 0.25], [NAN, 1, 0.25], [0.25, 0.25, 1]])


def test_floor_limit_and_shrinkage() -> None:
    floored = last_matrix([UP, UP, DOWN], Cleaning(1000, 3, 0.25, floor=0.0))
    np.testing.assert_allclose(floored, [[1, 1, 0], [1, 1, 0], [0, 0, 1]], atol=1e-12)
    limited = last_matrix([UP, UP, DOWN], Cleaning(1000, 3, 0.25, limit=0.9))
    np.testing.assert_allclose(limited[0], [1, 0.9, -0.9], atol=1e-12)
    shrunk = last_matrix([UP, UP, DOWN], Cleaning(1000, 3, 0.25, limit=0.9, shrinkage=0.5))
    np.testing.assert_allclose(shrunk[0], [1, 0.45 - 0.15, -0.45 - 0.15], atol=1e-12)  # the mean is -0.3


# --- the future -------------------------------------------------------------------------------------------------------
def test_from_the_start_later_rows_change_no_matrix_of_the_past() -> None:
    random = np.random.default_rng(8)
    sessions, daily = weekdays(400), random.normal(size=(400, 5))
    daily[:130, 2] = NAN
    daily[:301, 4] = NAN
    whole = seven_day_weeks(daily, sessions)
    fits = refits(whole.labels, 7, "from_start", 5)
    found = matrices(whole, fits, RETURNS)
    for cut in range(60, 400, 7):
        part = seven_day_weeks(daily[:cut], sessions[:cut])
        earlier = refits(part.labels, 7, "from_start", 5)
        force = earlier.in_force(sessions[:cut])
        np.testing.assert_array_equal(force, fits.in_force(sessions[:cut]))
        np.testing.assert_array_equal(matrices(part, earlier, RETURNS)[force], found[force])


def test_from_the_end_they_do() -> None:
    random = np.random.default_rng(8)
    sessions, daily = weekdays(1200), random.normal(size=(1200, 3))
    changed = 0
    whole = sunday_weeks(daily, sessions)
    fits = refits(whole.labels, 365, "from_end")
    for cut in (1100, 1150, 1195):
        part = sunday_weeks(daily[:cut], sessions[:cut])
        earlier = refits(part.labels, 365, "from_end")
        changed += not np.array_equal(earlier.used_from[1:], fits.used_from[1:])
    assert changed == 3
