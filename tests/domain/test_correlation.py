"""Weekly returns by hand, correlation against the defining sums, and no look-ahead."""

from __future__ import annotations

import math
from itertools import combinations_with_replacement

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.analytics.correlation import exponential, through, weekly_returns
from trading.frames import CORRELATION, to_table
from trading.market.sessions import desk_dates


def loop_correlation(one: list[float], other: list[float], span: int, least: int) -> float:
    """Weights (1-a)^k over rows where both are present; biased covariance over the root of biased variances."""
    pairs = [(x, y) for x, y in zip(one, other, strict=True) if not (math.isnan(x) or math.isnan(y))]
    if len(pairs) < least:
        return math.nan
    weights = [(1 - 2 / (span + 1)) ** k for k in range(len(pairs))][::-1]
    total = math.fsum(weights)
    mean_x = math.fsum(w * x for w, (x, _) in zip(weights, pairs, strict=True)) / total
    mean_y = math.fsum(w * y for w, (_, y) in zip(weights, pairs, strict=True)) / total
    joint = math.fsum(w * (x - mean_x) * (y - mean_y) for w, (x, y) in zip(weights, pairs, strict=True))
    square_x = math.fsum(w * (x - mean_x) ** 2 for w, (x, _) in zip(weights, pairs, strict=True))
    square_y = math.fsum(w * (y - mean_y) ** 2 for w, (_, y) in zip(weights, pairs, strict=True))
    return joint / math.sqrt(square_x * square_y)


@pytest.fixture(scope="module")
def returns() -> pd.DataFrame:
    """Three series of 60 weeks with different starts and holes, out of alphabetical order."""
    random = np.random.default_rng(3)
    common = random.normal(size=60)
    weeks = pd.date_range("2021-01-03", periods=60, freq="W-SUN").as_unit("us")
    frame = pd.DataFrame(
        {
            "C": common + random.normal(size=60),
            "A": 1e-3 * (random.normal(size=60) - common),
            "B": random.normal(size=60),
        },
        index=weeks,
    )
    frame.iloc[:12, 0] = np.nan
    frame.iloc[25:31, 2] = np.nan
    return frame


def test_exponential_is_the_loop(returns: pd.DataFrame) -> None:
    found = exponential(returns, span=20, min_periods=10)
    for one in returns:
        for other in returns:
            expected = loop_correlation(list(returns[one]), list(returns[other]), 20, 10)
            assert found.loc[one, other] == pytest.approx(expected, abs=1e-12)
    assert list(found.index) == list(found.columns) == ["C", "A", "B"]


def test_too_short_a_history_is_missing(returns: pd.DataFrame) -> None:
    # C has 48 weeks, of which B misses 6
    found = exponential(returns, span=20, min_periods=43)
    assert found.isna().to_numpy().tolist() == [[False, False, True], [False, False, False], [True, False, False]]
    flat = returns.assign(B=0.0)
    assert exponential(flat, 20, 10)["B"].isna().all()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(*[st.floats(-1, 1) | st.just(math.nan)] * 3), min_size=2, max_size=30))
def test_a_correlation_matrix_is_symmetric_and_bounded(rows: list[tuple[float, float, float]]) -> None:
    found = exponential(pd.DataFrame(rows, columns=list("ABC")), span=10, min_periods=2).to_numpy()
    np.testing.assert_array_equal(found, found.T)
    assert np.nanmax(np.abs(found), initial=0.0) <= 1.0


def test_weekly_returns_by_hand() -> None:
    index = desk_dates(pd.Timestamp("2022-03-01"), pd.Timestamp("2022-03-22"))  # Tuesday to Tuesday three weeks on
    prices = pd.DataFrame({"A": np.arange(100.0, 116.0)}, index=index)
    prices.loc["2022-03-09"] = np.nan  # Wednesday of the second week: the moves to and from it are lost
    held = pd.DataFrame({"A": 50.0}, index=index)
    held.loc["2022-03-14":] = -100.0  # a negative price counts by its size
    found = weekly_returns(prices, held)
    assert found.index.strftime("%m-%d").tolist() == ["03-06", "03-13", "03-20", "03-27"]
    # the first week has nothing to be differenced from; three moves of 1 at 50; five at 100; two at 100 so far
    np.testing.assert_allclose(found["A"], [np.nan, 3 / 50, 5 / 100, 2 / 100])


def test_weekly_returns_over_gaps_lose_no_move() -> None:
    index = desk_dates(pd.Timestamp("2022-03-07"), pd.Timestamp("2022-03-18"))
    prices = pd.DataFrame({"A": np.arange(100.0, 110.0)}, index=index)
    prices.loc["2022-03-16"] = np.nan
    held = pd.DataFrame({"A": 50.0}, index=index)
    assert weekly_returns(prices, held)["A"].iloc[1] == pytest.approx(3 / 50)
    assert weekly_returns(prices, held, over_gaps=True)["A"].iloc[1] == pytest.approx(5 / 50)


def test_through_has_every_pair_of_every_session(returns: pd.DataFrame) -> None:
    sessions = desk_dates(pd.Timestamp("2022-02-10"), pd.Timestamp("2022-02-15"))
    found = through(returns, sessions[::-1], span=20, min_periods=10)
    pairs = list(combinations_with_replacement("ABC", 2))
    assert list(zip(found["instrument_a"], found["instrument_b"], strict=True)) == pairs * 4
    assert found["session"].tolist() == [session for session in sessions for _ in pairs]
    assert to_table(found, CORRELATION).num_rows == 24


@pytest.mark.parametrize(
    ("session", "last_week"),
    [
        ("2022-02-10", "2022-02-06"),  # Thursday: the week before is the last complete one
        ("2022-02-11", "2022-02-13"),  # Friday's close completes the week that ends on Sunday
        ("2022-02-14", "2022-02-13"),
    ],
)
def test_a_session_sees_only_the_weeks_completed_by_then(returns: pd.DataFrame, session: str, last_week: str) -> None:
    found = through(returns, [pd.Timestamp(session)], span=20, min_periods=10)
    known = returns[:last_week]
    expected = [
        loop_correlation(list(known[one]), list(known[other]), 20, 10)
        for one, other in combinations_with_replacement("ABC", 2)
    ]
    np.testing.assert_allclose(found["correlation"], expected, atol=1e-12)


def test_what_comes_later_changes_nothing(returns: pd.DataFrame) -> None:
    session = [pd.Timestamp("2021-11-24")]
    later = returns.copy()
    later.loc["2021-11-28":] = 99.0
    pd.testing.assert_frame_equal(through(later, session, 20, 10), through(returns, session, 20, 10))
    assert through(returns, session, 20, 10)["correlation"].notna().all()


def test_before_any_week_and_without_sessions(returns: pd.DataFrame) -> None:
    assert through(returns, [pd.Timestamp("2020-12-31")], 20, 10)["correlation"].isna().tolist() == [True] * 6
    assert through(returns, [], 20, 10).empty
