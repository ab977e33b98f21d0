"""Performance figures by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from trading.analytics.performance import drawdowns, statistics

DAILY = pd.Series([np.nan, 1.0, -2.0, 0.0, 4.0, -1.0])


def test_figures_by_hand() -> None:
    found = statistics(DAILY)
    # sum 2 over 6 rows; five values of mean 0.4: squared distances 0.36 + 5.76 + 0.16 + 12.96 + 1.96 = 21.2
    mean, std = 2 / 6 * 256, math.sqrt(21.2 / 4) * 16
    assert (found.rows, found.present) == (6, 5)
    assert found.annual_mean_percent == pytest.approx(mean)
    assert found.annual_std_percent == pytest.approx(std)
    assert found.sharpe == pytest.approx(mean / std)
    assert found.sortino == pytest.approx(mean / (0.5 * 16))  # losses -2 and -1: population deviation 0.5
    # cumulative 1, -1, -1, 3, 2 under highs 1, 1, 1, 3, 3
    assert drawdowns(DAILY).iloc[1:].tolist() == [0.0, -2.0, -2.0, 0.0, -1.0]
    assert found.average_drawdown_percent == pytest.approx(-1.0)
    assert found.worst_drawdown_percent == pytest.approx(-2.0)
    assert found.time_in_drawdown_fraction == pytest.approx(3 / 5)
    assert found.calmar == pytest.approx(mean / 2)
    # third powers: 0.216 - 13.824 - 0.064 + 46.656 - 2.744 = 30.24
    assert found.skew == pytest.approx(30.24 / 5 / (21.2 / 5) ** 1.5)
    assert found.hit_rate_fraction == pytest.approx(0.5)
    assert (found.average_gain_percent, found.average_loss_percent) == (2.5, -1.5)
    assert found.gain_to_loss == pytest.approx(2.5 / 1.5)
    assert found.profit_factor == pytest.approx(5 / 3)
    assert found.t_statistic == pytest.approx(0.4 / math.sqrt(21.2 / 4 / 5))


def test_nothing_has_no_figures() -> None:
    for empty in (pd.Series(dtype="float64"), pd.Series([np.nan, np.nan])):
        figures = statistics(empty).figures()
        assert figures.pop("rows") == len(empty)
        assert figures.pop("present") == 0
        assert all(math.isnan(value) or value == 0.0 for value in figures.values())


def test_only_gains() -> None:
    found = statistics(pd.Series([1.0, 2.0]))
    assert found.hit_rate_fraction == 1.0
    assert math.isnan(found.profit_factor)
    assert math.isnan(found.calmar)
