"""The rolling quantile against values worked by hand, and against pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from trading.kernels.quantiles import rolling_quantile

NAN = float("nan")


def test_by_hand() -> None:
    """Windows of three rows: {4}, {4 1}, {4 1 3}, {1 3 .}, {3 . 2}, {. 2 2}; a quarter of the way between ranks."""
    values = np.array([[4.0], [1.0], [3.0], [NAN], [2.0], [2.0]])
    found = rolling_quantile(values, window=3, min_periods=2, quantile=0.25)
    np.testing.assert_allclose(found[:, 0], [NAN, 1.75, 2.0, 1.5, 2.25, 2.0], rtol=0, atol=1e-15)


def test_nothing_present_is_missing_even_where_no_value_is_demanded() -> None:
    assert np.isnan(rolling_quantile(np.array([[NAN], [NAN]]), 2, 0, 0.5)).all()
    assert rolling_quantile(np.empty((0, 3)), 5, 1, 0.5).shape == (0, 3)


@pytest.mark.parametrize("quantile", [0.0, 0.05, 0.5, 0.99, 1.0])
@pytest.mark.parametrize(("window", "least"), [(1, 1), (7, 3), (60, 20), (500, 10)])
def test_as_pandas_with_gaps_ties_and_late_starts(window: int, least: int, quantile: float) -> None:
    random = np.random.default_rng(5)
    values = np.cumsum(random.normal(size=(400, 4)), axis=0)
    values[:, 1] = np.round(values[:, 1])
    values[random.random(values.shape) < 0.1] = NAN
    values[:150, 2] = NAN
    values[100:300, 3] = NAN
    theirs = pd.DataFrame(values).rolling(window, min_periods=least).quantile(quantile).to_numpy()
    np.testing.assert_array_equal(rolling_quantile(values, window, least, quantile), theirs)


def test_later_rows_change_nothing_before_them() -> None:
    values = np.random.default_rng(6).normal(size=(300, 2))
    whole = rolling_quantile(values, 50, 5, 0.99)
    for cut in (1, 49, 50, 51, 299):
        np.testing.assert_array_equal(rolling_quantile(values[:cut], 50, 5, 0.99), whole[:cut])
