"""Value at risk through history and its tests, against published tables, scipy and numbers worked by hand."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from trading.config.risk import RiskModelSettings
from trading.risk import value_at_risk as var


def hits(days: int, *places: int) -> np.ndarray:
    found = np.zeros(days, dtype=bool)
    found[list(places)] = True
    return found


# Kupiec (1995), the regions of no rejection at 5 %: so many exceedances of so many days, both ends rejected.
REGIONS = [(0.99, 255, 0, 7), (0.99, 510, 1, 11), (0.99, 1000, 4, 17), (0.975, 255, 2, 12), (0.975, 510, 6, 21),
           (0.975, 1000, 15, 36), (0.95, 255, 6, 21), (0.95, 510, 16, 36), (0.95, 1000, 37, 65)]  # fmt: skip


@pytest.mark.parametrize(("confidence", "days", "few", "many"), REGIONS)
def test_coverage_is_rejected_outside_the_published_regions(confidence: float, days: int, few: int, many: int) -> None:
    p_values = {count: var.unconditional_coverage(hits(days, *range(count)), confidence).p_value
                for count in (few, few + 1, many - 1, many)}  # fmt: skip
    assert p_values[many] < 0.05
    assert p_values[many - 1] > 0.05
    assert p_values[few + 1] > 0.05
    if few:
        assert p_values[few] < 0.05


def test_twenty_exceedances_of_252_days_at_95_percent_have_the_published_ratio() -> None:
    """Jorion, Value at Risk, 3rd edition, chapter 6: 3.91, above 3.84."""
    found = var.unconditional_coverage(hits(252, *range(20)), 0.95)
    assert found.statistic == pytest.approx(3.91, abs=0.005)
    assert found.p_value == pytest.approx(stats.chi2.sf(found.statistic, 1), rel=1e-12)


def test_independence_is_the_ratio_of_binomial_likelihoods() -> None:
    sequence = hits(10, 1, 2, 3, 8)
    pairs = list(pairwise(sequence))
    n = {(a, b): sum((x, y) == (a, b) for x, y in pairs) for a in (False, True) for b in (False, True)}
    assert (n[False, False], n[False, True], n[True, False], n[True, True]) == (3, 2, 2, 2)
    both = stats.binom.logpmf(4, 9, 4 / 9) - math.log(math.comb(9, 4))
    apart = (stats.binom.logpmf(2, 5, 2 / 5) - math.log(math.comb(5, 2))) + (
        stats.binom.logpmf(2, 4, 2 / 4) - math.log(math.comb(4, 2))
    )
    found = var.independence(sequence)
    assert found.statistic == pytest.approx(-2 * (both - apart), rel=1e-9)
    assert found.p_value == pytest.approx(stats.chi2.sf(found.statistic, 1), rel=1e-9)


def test_exceedances_in_a_row_are_not_independent_and_spread_ones_are() -> None:
    assert var.independence(hits(500, *range(100, 110))).p_value < 1e-6
    assert var.independence(hits(500, *range(25, 500, 50))).p_value > 0.4
    assert var.independence(hits(500)) == var.Likelihood(0.0, 1.0)


def test_conditional_coverage_is_both_with_two_degrees() -> None:
    sequence = hits(250, 3, 4, 90, 91, 200)
    parts = var.unconditional_coverage(sequence, 0.99), var.independence(sequence)
    found = var.conditional_coverage(sequence, 0.99)
    assert found.statistic == pytest.approx(sum(part.statistic for part in parts))
    assert found.p_value == pytest.approx(stats.chi2.sf(found.statistic, 2), rel=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.3, 3.841, 6.635, 9.21, 40.0])
def test_tails_are_those_of_chi_squared(value: float) -> None:
    for degrees in (1, 2):
        assert var.chi_squared_tail(value, degrees) == pytest.approx(stats.chi2.sf(value, degrees), rel=1e-12)


def test_a_right_forecast_is_rejected_about_as_often_as_it_should_be() -> None:
    draw = np.random.default_rng(4)
    rejected = [var.unconditional_coverage(draw.random(1000) < 0.05, 0.95).p_value < 0.05 for _ in range(400)]
    assert 0.02 < np.mean(rejected) < 0.09


def test_no_day_judges_nothing() -> None:
    found = var.backtest([math.nan], [1.0], 0.99)
    assert (found.days, found.rejected()) == (0, ())
    assert math.isnan(found.unconditional.p_value)


def test_a_historical_loss_is_the_kth_largest_and_the_mean_of_k() -> None:
    gains = np.array([5.0, -10.0, 3.0, -40.0, -20.0] + [1.0] * 195)  # 200 days at 99 %: the two largest losses
    assert var.historical(gains, 0.99) == (20.0, 30.0)
    assert var.historical(gains[:50], 0.99) == (40.0, 40.0)
    assert math.isnan(var.historical(np.append(gains, math.nan), 0.99).value_at_risk)


def test_a_parametric_loss_is_that_of_the_normal_distribution() -> None:
    found = var.parametric(1000.0, 0.975)
    assert found.value_at_risk == pytest.approx(1000 * stats.norm.ppf(0.975), rel=1e-9)
    beyond = stats.norm.expect(lambda x: x, lb=stats.norm.ppf(0.975)) / 0.025
    assert found.expected_shortfall == pytest.approx(1000 * beyond, rel=1e-6)


MODEL = RiskModelSettings(sessions=60, half_life_sessions=10, confidence=0.95)


def test_forecasts_use_nothing_of_later_days_and_gains_are_of_what_was_held_before() -> None:
    draw = np.random.default_rng(7)
    gains, contracts = draw.normal(0, 100, (120, 3)), draw.integers(-5, 6, (120, 3)).astype(float)
    found = var.forecasts(gains, contracts, MODEL)
    shorter = var.forecasts(gains[:80], contracts[:80], MODEL)
    np.testing.assert_array_equal(found.historical[:80], shorter.historical)
    np.testing.assert_array_equal(found.parametric[:80], shorter.parametric)
    assert found.gain_base[50] == pytest.approx(sum(contracts[49, i] * gains[50, i] for i in range(3)))
    past = [sum(contracts[99, i] * gains[day, i] for i in range(3)) for day in range(40, 100)]
    assert found.historical[99] == pytest.approx(sorted((-gain for gain in past), reverse=True)[2])  # 3 of 60
    weights = [0.5 ** (age / 10) for age in range(59, -1, -1)]
    spread = math.sqrt(sum(w * g * g for w, g in zip(weights, past, strict=True)) / sum(weights))
    assert found.parametric[99] == pytest.approx(1.6448536269514722 * spread)
    assert np.isnan(found.historical[:19]).all()
    assert np.isfinite(found.historical[19])


def test_normal_gains_pass_their_own_backtest_and_underestimated_ones_do_not() -> None:
    draw = np.random.default_rng(11)
    gains = draw.standard_normal((1500, 1)) * 1000
    found = var.forecasts(gains, np.ones((1500, 1)), RiskModelSettings(sessions=250, half_life_sessions=200))
    right = var.backtest(found.parametric[:-1], found.gain_base[1:], 0.99)
    assert right.rejected() == ()
    assert right.exceedances == pytest.approx(right.expected, abs=10)
    wrong = var.backtest(found.parametric[:-1] / 2, found.gain_base[1:], 0.99)
    assert "unconditional coverage" in wrong.rejected()
