"""The GARCH option: it finds the parameters that made the data, and uses no later return."""

from __future__ import annotations

import numpy as np
import pytest

from trading.strategies.garch import conditional_deviation, fitted


@pytest.fixture(scope="module")
def simulated() -> tuple[np.ndarray, np.ndarray]:
    """Returns with omega 0.05, alpha 0.1, beta 0.85, and the deviation each was drawn with."""
    shocks = np.random.default_rng(7).standard_normal(1500)
    returns, variance = np.zeros(1500), np.zeros(1501)
    variance[0] = 1.0
    for row in range(1500):
        returns[row] = shocks[row] * variance[row] ** 0.5
        variance[row + 1] = 0.05 + 0.1 * returns[row] ** 2 + 0.85 * variance[row]
    return returns[:, None], np.sqrt(variance)


def test_it_follows_the_deviation_that_made_the_returns(simulated) -> None:
    returns, true = simulated
    found = conditional_deviation(returns, 250)[:, 0]
    assert np.isnan(found[:249]).all()
    assert np.isfinite(found[249:]).all()
    assert np.corrcoef(found[800:], true[801:])[0, 1] > 0.95
    assert found[800:].mean() == pytest.approx(true[801:].mean(), rel=0.15)  # a fit on a thousand returns is not exact


def test_later_returns_change_nothing_earlier(simulated) -> None:
    returns, _ = simulated
    cut = conditional_deviation(returns[:700], 250)
    np.testing.assert_array_equal(conditional_deviation(returns, 250)[:700], cut)


def test_parameters_of_a_fit_that_did_not_converge_are_not_used(simulated) -> None:
    """Omega alone, so that the deviation is its root: 0.5 from the second fit on; the first and the third fail."""
    fits = iter([None, (0.25, 0.0, 0.0), None, (0.81, 0.0, 0.0)])
    found = conditional_deviation(simulated[0][:1100], 250, lambda _: next(fits))[:, 0]
    assert np.isnan(found[: 250 + 255]).all()
    np.testing.assert_array_equal(found[505:1017], 0.5)
    np.testing.assert_allclose(found[1017:], 0.9)


def test_what_never_moves_is_not_fitted() -> None:
    assert fitted(np.zeros(300)) is None


def test_missing_returns_repeat_the_last(simulated) -> None:
    returns = simulated[0][:600].copy()
    returns[550] = np.nan
    found = conditional_deviation(returns, 250)[:, 0]
    assert found[550] == found[549]
