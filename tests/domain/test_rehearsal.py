"""The fixtures that users' own tests get: a market, and a backtest on it."""

from __future__ import annotations

import numpy as np

TREND = {
    "name": "mine",
    "rules": {"x": {"rule": "ewmac", "weight": 1.0, "scalar": 10.6, "parameters": {"fast": 2, "slow": 8}}},
}


def test_a_market_is_the_same_for_the_same_seed(daybook_market) -> None:
    one, again, other = daybook_market(seed=3), daybook_market(seed=3), daybook_market(seed=4)
    assert np.array_equal(one.price, again.price)
    assert not np.array_equal(one.price, other.price)
    assert one.price.shape == (750, 3)
    assert str(one.sessions[0]) == "2015-01-01"
    assert np.is_busday(one.sessions).all()


def test_trend_earns_where_prices_trend_and_not_where_they_do_not(daybook_market, daybook_backtest) -> None:
    trending = daybook_backtest(TREND, daybook_market(drift=0.5, seed=2))
    aimless = [daybook_backtest(TREND, daybook_market(seed=seed)) for seed in range(5)]
    assert trending.statistics["net_percent"]["sharpe"] > 3.0
    assert abs(np.mean([found.statistics["net_percent"]["sharpe"] for found in aimless])) < 0.7


def test_given_prices_are_held_as_they_are(daybook_prices, daybook_backtest) -> None:
    panel = daybook_prices({"B": [1.0, 2.0, 3.0], "A": [np.nan, 5.0, np.nan]}, first="2020-01-03")
    assert panel.instruments == ("A", "B")
    assert [str(day) for day in panel.sessions] == ["2020-01-03", "2020-01-06", "2020-01-07"]
    assert (panel.first.tolist(), panel.last.tolist()) == ([1, 0], [1, 2])
    # The year of the sessions, day by day: 2020 has 366.
    assert panel.rate_midnight.shape == (366, 2)
    assert np.nansum(daybook_backtest(TREND, panel).curves["net_base"]) == 0.0  # no volatility yet, so no position
