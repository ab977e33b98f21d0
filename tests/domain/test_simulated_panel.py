"""The simulated panel that users test their strategies on: repeatable, of the shape real ones have."""

from __future__ import annotations

import numpy as np
import pytest

from trading.backtest.simulated import simulated_panel
from trading.errors import UsageError


def test_the_same_arguments_give_the_same_market() -> None:
    one, other, third = simulated_panel(seed=1), simulated_panel(seed=1), simulated_panel(seed=2)
    for name in ("price", "held", "carry", "rolls", "rate", "rate_midnight"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes(), name
    assert one.price.tobytes() != third.price.tobytes()
    assert len({one.version, third.version, simulated_panel(sessions=100).version}) == 3


def test_a_longer_or_wider_market_contains_the_smaller() -> None:
    small, large = simulated_panel(["B"], 300, currencies=["EUR"]), simulated_panel(["A", "B"], 900, currencies=["EUR"])
    for name in ("price", "held", "carry", "rolls", "rate"):
        assert getattr(small, name)[:, 0].tobytes() == getattr(large, name)[:300, 1].tobytes(), name


def test_it_looks_like_a_market() -> None:
    panel = simulated_panel(sessions=5000)
    assert panel.price.shape == (5000, 3)
    assert str(panel.sessions[0]) == "2000-01-03"
    assert panel.currencies == ("USD", "EUR", "USD")
    assert 0.02 < np.isnan(panel.price).mean() < 0.04
    changes = np.diff(panel.price, axis=0)
    assert 0.9 < np.nanstd(changes) < 1.15
    assert (panel.rolls.sum(axis=0) == 5000 // 65).all()
    assert np.nanmin(panel.held) >= 1.0
    assert np.nanmin(panel.rate) > 0.8 - 1e-9
    assert np.nanmax(panel.rate) < 1.5
    assert list(panel.rolls_a_year) == [4.0] * 3


def test_nothing_asked_is_said() -> None:
    with pytest.raises(UsageError, match="no instruments"):
        simulated_panel([])
