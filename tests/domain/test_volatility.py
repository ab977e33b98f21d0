"""Volatility against plain loops over the defining sums (reference numbers, sections 0 and 2)."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from trading.analytics.volatility import annual_percent, ewma, mixed, returns_points, robust
from trading.market.sessions import desk_dates


def loop_mean(values: list[float], decay: float) -> list[float]:
    """y_t = sum (1-a)^k x_(t-k) / sum (1-a)^k over present x."""
    result = []
    for t in range(len(values)):
        present = [((1 - decay) ** (t - i), values[i]) for i in range(t + 1) if not math.isnan(values[i])]
        result.append(math.fsum(w * x for w, x in present) / math.fsum(w for w, _ in present) if present else math.nan)
    return result


def loop_std(values: list[float], decay: float, least: int) -> list[float]:
    """sqrt(v W^2 / (W^2 - W2)) with v the biased weighted variance over present values."""
    result = []
    for t in range(len(values)):
        present = [((1 - decay) ** (t - i), values[i]) for i in range(t + 1) if not math.isnan(values[i])]
        if len(present) < max(least, 2):
            result.append(math.nan)
            continue
        total, squares = math.fsum(w for w, _ in present), math.fsum(w * w for w, _ in present)
        mean = math.fsum(w * x for w, x in present) / total
        biased = math.fsum(w * (x - mean) ** 2 for w, x in present) / total
        result.append(math.sqrt(biased * total**2 / (total**2 - squares)))
    return result


def loop_quantile(values: list[float], share: float) -> float:
    """Linear interpolation between order statistics."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


@pytest.fixture(scope="module")
def prices() -> pd.DataFrame:
    """Two instruments of different start, with holidays; the second is calm after a wild start."""
    random = np.random.default_rng(7)
    index = desk_dates(pd.Timestamp("2020-01-01"), pd.Timestamp("2022-12-30"))[:640]
    steady = 100 + random.normal(0, 1.0, len(index)).cumsum()
    calming = 50 + (random.normal(0, 1.0, len(index)) * np.where(np.arange(len(index)) < 400, 2.0, 0.05)).cumsum()
    frame = pd.DataFrame({"A": steady, "B": calming}, index=index)
    frame.loc[random.random(len(index)) < 0.04, "A"] = np.nan
    frame.iloc[:57, 1] = np.nan
    frame.iloc[300:303, 1] = np.nan
    return frame


def test_a_missing_price_makes_two_missing_returns() -> None:
    found = returns_points(pd.DataFrame({"A": [1.0, 3.0, np.nan, 10.0, 11.0]}))
    np.testing.assert_array_equal(found["A"], [np.nan, 2.0, np.nan, np.nan, 1.0])


def test_over_gaps_the_move_comes_with_the_next_price() -> None:
    prices = pd.DataFrame({"A": [np.nan, 1.0, 3.0, np.nan, np.nan, 10.0, 11.0]})
    found = returns_points(prices, over_gaps=True)
    np.testing.assert_array_equal(found["A"], [np.nan, np.nan, 2.0, np.nan, np.nan, 7.0, 1.0])


def test_ewma_is_the_loop(prices: pd.DataFrame) -> None:
    returns = returns_points(prices)
    found = ewma(returns)
    for name in prices:
        np.testing.assert_allclose(found[name], loop_std(list(returns[name]), 2 / 36, 10), rtol=1e-10)


def test_the_first_value_comes_with_the_tenth_return(prices: pd.DataFrame) -> None:
    returns = returns_points(prices)
    for name in prices:
        tenth = returns[name].dropna().index[9]
        assert mixed(returns)[name].first_valid_index() == tenth
        assert robust(returns)[name].first_valid_index() == tenth


def test_mixed_is_the_loop(prices: pd.DataFrame) -> None:
    returns = returns_points(prices)
    found = mixed(returns)
    for name in prices:
        quick = loop_std(list(returns[name]), 2 / 36, 10)
        slow = loop_mean(quick, 1 / 2561)
        expected = [0.3 * long + 0.7 * short for long, short in zip(slow, quick, strict=True)]
        np.testing.assert_allclose(found[name], expected, rtol=1e-10)


def test_robust_is_the_loop_and_its_floor_binds(prices: pd.DataFrame) -> None:
    returns = returns_points(prices)
    found = robust(returns)
    bound = 0
    for name in prices:
        quick = loop_std(list(returns[name]), 2 / 36, 10)
        expected = []
        for t, value in enumerate(quick):
            recent = [x for x in quick[max(0, t - 499) : t + 1] if not math.isnan(x)]
            floor = loop_quantile(recent, 0.05) if len(recent) >= 100 else 0.0
            bound += value < floor
            expected.append(max(value, floor) if not math.isnan(value) else math.nan)
        np.testing.assert_allclose(found[name], expected, rtol=1e-10)
    assert bound > 20


def test_a_price_that_never_moves_has_the_least_volatility() -> None:
    returns = returns_points(pd.DataFrame({"A": [5.0] * 15}))
    np.testing.assert_array_equal(mixed(returns)["A"].iloc[10:], [1e-10] * 5)
    np.testing.assert_array_equal(robust(returns)["A"].iloc[10:], [1e-10] * 5)


def test_volatility_does_not_look_ahead(prices: pd.DataFrame) -> None:
    for measure in (ewma, mixed, robust):
        short, long = measure(returns_points(prices.iloc[:500])), measure(returns_points(prices))
        pd.testing.assert_frame_equal(short, long.iloc[:500], rtol=1e-12)


def test_annual_percent_by_hand() -> None:
    index = desk_dates(pd.Timestamp("2022-03-01"), pd.Timestamp("2022-03-04"))
    points = pd.DataFrame({"A": [1.0, 2.0, 1.0, 1.0], "B": [3.0] * 4}, index=index)
    held = pd.DataFrame({"B": [np.nan] * 4, "A": [200.0, np.nan, -40.0, 0.0]}, index=index)
    found = annual_percent(points, held)
    # 1 x 16 / 200; 2 x 16 / the last known 200; a negative price by its size; nothing at a price of zero
    np.testing.assert_allclose(found["A"], [8.0, 16.0, 40.0, np.nan])
    assert found["B"].isna().all()
