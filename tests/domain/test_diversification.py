"""Estimated multipliers and scalars: worked by hand, and what later data may change."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from trading.analytics.correlation_matrices import raw
from trading.analytics.diversification import (
    estimated_forecast_multipliers,
    estimated_multipliers,
    estimated_scalars,
    forecast_matrices,
    multiplier,
    pnl_matrices,
    smoothed_multipliers,
)
from trading.analytics.refits import Refits
from trading.config.strategies import EstimateSettings
from trading.kernels.quantiles import row_medians

NAN = float("nan")
SETTINGS = EstimateSettings()
QUICK = EstimateSettings(span=50, min_periods=5, smoothing_span=3)
MONDAY = np.datetime64("2010-01-04")


def weekdays(count: int, first: np.datetime64 = MONDAY) -> np.ndarray:
    return np.busday_offset(first, np.arange(count)).astype("datetime64[D]")


# --- one multiplier ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("correlation", "weights", "expected"),
    [
        (0.0, (0.5, 0.5), 2**0.5),
        (1.0, (0.5, 0.5), 1.0),
        (0.5, (0.6, 0.4), (0.36 + 0.16 + 2 * 0.5 * 0.24) ** -0.5),
        (0.0, (0.1, 0.1), 2.5),  # 7.07 is more than the largest
        (0.0, (0.0, 0.0), 1.0),
        (0.0, (5e-8, 5e-8), 1.0),  # a deviation of 7e-8
        (NAN, (0.5, 0.5), 1.0),
    ],
)
def test_one_over_the_deviation_of_the_weights(correlation: float, weights: tuple[float, ...], expected: float) -> None:
    matrix = np.array([[1.0, correlation], [correlation, 1.0]])
    assert multiplier(matrix, np.array(weights), 2.5) == pytest.approx(expected, rel=1e-15)


# --- by session -------------------------------------------------------------------------------------------------------
def stepped(counted: str) -> np.ndarray:
    """Ten sessions from a Monday; refits on the first Saturday (nothing known) and on the second Tuesday; uncorrelated
    instruments with half the weight each, so that the multiplier goes from 1 to the root of 2. Span 3 keeps half."""
    sessions = weekdays(10)
    used = np.array([sessions[4] + 1, sessions[6]])
    matrices = np.array([[[1.0, 1.0], [1.0, 1.0]], np.eye(2)])
    weights = np.full((10, 2), 0.5)
    return smoothed_multipliers(matrices, Refits(used, used, counted), weights, sessions, QUICK)  # type: ignore[arg-type]


def test_counted_from_the_start_it_holds_on_every_session() -> None:
    root = 2**0.5
    kept = [sum(0.5**k for k in range(n)) for n in range(1, 11)]  # weights of n sessions
    expected = [1.0] * 6 + [((kept[6 + n] - kept[n]) + kept[n] * root) / kept[6 + n] for n in range(4)]
    np.testing.assert_allclose(stepped("from_start"), expected, rtol=1e-12)


def test_counted_from_the_end_it_is_missing_first_and_stays_at_the_last_refit() -> None:
    """Monday of the second week: 1; Tuesday: (root 2 + 1/2) / (1 + 1/2), and that for ever."""
    after = (2**0.5 + 0.5) / 1.5
    np.testing.assert_allclose(stepped("from_end"), [NAN] * 5 + [1.0] + [after] * 4, rtol=1e-12)


def test_a_refit_takes_the_last_weights_up_to_its_date() -> None:
    sessions = weekdays(10)
    used = np.array([sessions[0] - 1, sessions[4] + 1])
    weights = np.zeros((10, 2))
    weights[4], weights[5:] = (0.8, 0.6), 1.0  # of that Friday, the deviation is 1
    found = smoothed_multipliers(
        np.array([np.eye(2), np.eye(2)]), Refits(used, used, "from_start"), weights, sessions, QUICK
    )
    np.testing.assert_allclose(found, 1.0, rtol=1e-12)


# --- of instruments ---------------------------------------------------------------------------------------------------
def test_two_independent_instruments_come_near_the_root_of_two() -> None:
    """Weekly sums of independent days: the correlation is small, and floored at zero where it is negative."""
    sessions, pnl = weekdays(2000), np.random.default_rng(1).normal(size=(2000, 2))
    found, fits = pnl_matrices(pnl, sessions, SETTINGS, "from_start")
    assert (fits.used_from - fits.used_from[0]).astype(int).tolist() == [365 * k for k in range(8)]
    weekly = np.add.reduceat(pnl, np.arange(0, 2000, 5))[1:]  # sessions begin on a Monday; the first week has no change
    weeks = int((fits.used_from[-1] - (sessions[0] + 6) - 1).astype(int) // 7)
    expected = max(0.0, raw(weekly[:weeks], 250, 20)[0, 1])
    assert found[-1, 0, 1] == pytest.approx(expected, abs=1e-12)
    value = estimated_multipliers(pnl, np.full((2000, 2), 0.5), sessions, SETTINGS, "from_start")
    assert value[0] == 1.0
    assert value[-1] == pytest.approx((0.5 + 0.5 * expected) ** -0.5, rel=2e-2)


# --- of rules ---------------------------------------------------------------------------------------------------------
def test_forecasts_are_pooled_over_instruments_row_by_row() -> None:
    """Two instruments, two rules: the matrix is that of the stacked weekly levels, with twice the span."""
    random, sessions = np.random.default_rng(2), weekdays(800)
    forecasts = [np.cumsum(random.normal(size=(800, 2)), axis=0) for _ in range(2)]
    forecasts[1][:300] = NAN
    found, fits = forecast_matrices(forecasts, sessions, SETTINGS, "from_start")
    known = int(np.searchsorted(sessions + 2, fits.used_from[-1].astype("datetime64[D]")))  # Friday's Sunday is before
    fridays = np.arange(4, known, 5)
    stacked = np.stack([own[fridays] for own in forecasts], axis=1).reshape(-1, 2)
    expected = max(0.0, raw(stacked, 500, 40)[0, 1])
    assert found[-1, 0, 1] == pytest.approx(expected, abs=1e-12)
    assert found.shape == (len(fits.used_from), 2, 2)


def test_forecast_multipliers_of_instruments_with_their_own_weights() -> None:
    """Rules that go together have nothing to diversify; an instrument on one rule has a multiplier of 1."""
    sessions = weekdays(800)
    wave = np.sin(np.arange(800.0) / 9)
    forecasts = [np.column_stack([wave, 2 * wave])] * 2
    weights = [np.full((800, 2), 0.5), np.tile([1.0, 0.0], (800, 1))]
    found = estimated_forecast_multipliers(forecasts, weights, sessions, SETTINGS, "from_start")
    np.testing.assert_allclose(found, 1.0, rtol=6e-3)  # 0.99 is assumed before there is data
    np.testing.assert_allclose(found[:, 1], 1.0, rtol=1e-12)


# --- scalars ----------------------------------------------------------------------------------------------------------
def test_medians_of_rows() -> None:
    rows = np.array([[3.0, 1.0, 2.0, NAN], [4.0, NAN, 1.0, NAN], [NAN, NAN, NAN, NAN], [7.0, NAN, NAN, NAN]])
    np.testing.assert_array_equal(row_medians(rows), [2.0, 2.5, NAN, 7.0])


def test_a_scalar_by_hand() -> None:
    """Sizes: (2, -), (2, 4), (2 carried over a zero, 8), (6, 8): medians 2, 3, 5, 7; means 2, 2.5, 10/3, 17/4."""
    raw_forecasts = np.array([[2.0, NAN], [-2.0, 4.0], [0.0, -8.0], [6.0, NAN]])
    scalars = estimated_scalars(raw_forecasts, average=10.0, min_periods=2, backfill=False)
    np.testing.assert_allclose(scalars, [NAN, 4.0, 3.0, 40 / 17], rtol=1e-15)
    filled = estimated_scalars(raw_forecasts, average=10.0, min_periods=2, backfill=True)
    np.testing.assert_allclose(filled, [4.0, 4.0, 3.0, 40 / 17], rtol=1e-15)
    assert np.isnan(estimated_scalars(raw_forecasts, 10.0, 5, backfill=True)).all()


# --- the future -------------------------------------------------------------------------------------------------------
RANDOM = np.random.default_rng(4)
SESSIONS = weekdays(1100)
PNL = RANDOM.normal(size=(1100, 4)) + RANDOM.normal(size=(1100, 1))
PNL[:500, 3] = NAN
WEIGHTS = np.where(np.isfinite(PNL), 0.25, 0.0)
FORECASTS = np.cumsum(RANDOM.normal(size=(2, 1100, 3)), axis=1) / 10


def of_instruments(cut: int, counted: str) -> np.ndarray:
    return estimated_multipliers(PNL[:cut], WEIGHTS[:cut], SESSIONS[:cut], QUICK, counted)  # type: ignore[arg-type]


def of_rules(cut: int, counted: str) -> np.ndarray:
    weights = [np.full((cut, 3), 1 / 3)] * 2
    return estimated_forecast_multipliers(FORECASTS[:, :cut], weights, SESSIONS[:cut], QUICK, counted)  # type: ignore[arg-type]


def of_size(cut: int, backfill: bool) -> np.ndarray:
    return estimated_scalars(PNL[:cut], 10.0, 300, backfill)


SOUND = {
    "instruments": partial(of_instruments, counted="from_start"),
    "rules": partial(of_rules, counted="from_start"),
    "scalars": partial(of_size, backfill=False),
}
SEEING = {
    "instruments": partial(of_instruments, counted="from_end"),
    "rules": partial(of_rules, counted="from_end"),
    "scalars": partial(of_size, backfill=True),
}


@pytest.mark.parametrize("name", SOUND)
def test_the_sound_estimate_of_a_session_needs_no_later_one(name: str) -> None:
    whole = SOUND[name](1100)
    for cut in range(250, 1100, 13):
        np.testing.assert_array_equal(SOUND[name](cut), whole[:cut], err_msg=f"cut after {cut} sessions")


@pytest.mark.parametrize("name", SEEING)
def test_the_reference_estimate_changes_with_later_sessions(name: str) -> None:
    whole = SEEING[name](1100)
    changed = [
        cut for cut in (290, 701, 933, 1095) if not np.array_equal(SEEING[name](cut), whole[:cut], equal_nan=True)
    ]
    assert 290 in changed
    assert len(changed) == (1 if name == "scalars" else 4)
