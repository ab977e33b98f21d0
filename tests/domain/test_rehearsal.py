"""The fixtures that users' own tests get: a market, and a backtest on it."""

from __future__ import annotations

import numpy as np

TREND = {
    "name": "mine",
    "rules": {"x": {"rule": "ewmac", "weight": 1.0, "scalar": 10.6, "parameters": {"fast": 2, "slow": 8}}},
}


def test_a_strategy_runs_on_a_market_out_of_a_seed(daybook_market, daybook_backtest) -> None:
    panel = daybook_market(seed=3)
    assert np.array_equal(panel.price, daybook_market(seed=3).price, equal_nan=True)
    found = daybook_backtest(TREND, panel)
    assert found.statistics["net_percent"]["n_rows"] == len(panel.sessions)
    assert found.statistics["gross_percent"]["ann_std"] > 1.0


def test_given_prices_are_held_as_they_are(daybook_prices, daybook_backtest) -> None:
    panel = daybook_prices({"B": [1.0, 2.0, 3.0], "A": [np.nan, 5.0, np.nan]}, first="2020-01-03")
    assert panel.instruments == ("A", "B")
    assert [str(day) for day in panel.sessions] == ["2020-01-03", "2020-01-06", "2020-01-07"]
    assert (panel.first.tolist(), panel.last.tolist()) == ([1, 0], [1, 2])
    # The year of the sessions, day by day: 2020 has 366.
    assert panel.rate_midnight.shape == (366, 2)
    assert np.nansum(daybook_backtest(TREND, panel).curves["net_base"]) == 0.0  # no volatility yet, so no position
