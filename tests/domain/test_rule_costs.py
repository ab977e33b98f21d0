"""Costs of following a rule, worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from trading.strategies.rule_costs import affordable, forecast_turnover, pooled_turnover


def test_turnover_is_the_mean_change_over_the_average_a_year() -> None:
    # Changes 5, 10 (a missing row drops two of them): mean 7.5; 256 x 7.5 / 10.
    capped = np.array([[0.0], [5.0], [-5.0], [np.nan], [20.0]])
    assert forecast_turnover(capped, 10.0, np.array([0]), np.array([4])) == pytest.approx([192.0])
    assert forecast_turnover(capped, 10.0, np.array([0]), np.array([1])) == pytest.approx([128.0])
    assert np.isnan(forecast_turnover(capped, 10.0, np.array([3]), np.array([4]))).all()


def test_instruments_weigh_what_they_have_rows() -> None:
    assert pooled_turnover(np.array([10.0, 20.0, np.nan]), np.array([300, 100, 500])) == pytest.approx(12.5)
    assert math.isnan(pooled_turnover(np.array([np.nan]), np.array([5])))


def test_what_costs_more_than_the_ceiling_has_no_weight() -> None:
    weights, costs = np.array([[0.6, 0.6], [0.4, 0.4]]), np.array([[0.2, 0.13], [0.05, np.nan]])
    np.testing.assert_array_equal(affordable(weights, costs, 0.13), [[0.0, 0.6], [0.4, 0.0]])
