"""Fixtures for tests of one's own rules, strategies and parts; pytest finds them where Daybook is installed.

Belongs here: fixtures, each a function to call. Does not belong here: what they make
(`trading/backtest/simulated.py`, `rehearsal.py`).

    def test_my_rule(daybook_market, daybook_backtest):
        panel = daybook_market(seed=3)
        found = daybook_backtest({"name": "mine", "rules": {"x": {"rule": "ewmac", "weight": 1.0,
                                  "parameters": {"fast": 4, "slow": 16}}}}, panel)
        assert found.statistics["net_percent"]["n_rows"] == len(panel.sessions)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from trading.backtest.panel import Panel
    from trading.backtest.result import Result
    from trading.config.strategies import StrategySettings


@pytest.fixture(scope="session")
def daybook_market() -> Callable[..., Panel]:
    """`simulated_panel`: a market out of a seed, the same for the same seed."""
    from trading.backtest.simulated import simulated_panel

    return simulated_panel


@pytest.fixture(scope="session")
def daybook_prices() -> Callable[..., Panel]:
    """`made_panel`: a market of given prices."""
    from trading.backtest.rehearsal import made_panel

    return made_panel


@pytest.fixture(scope="session")
def daybook_backtest() -> Callable[..., Result]:
    """A function from a strategy (settings, or a mapping as its file holds) and a panel to a result, nothing kept."""
    from trading.backtest.engine import bench_of, evaluate, result, sizing_of
    from trading.config.strategies import StrategySettings

    def run(strategy: StrategySettings | Mapping[str, Any], panel: Panel, capital_base: float = 1_000_000.0) -> Result:
        settings = strategy if isinstance(strategy, StrategySettings) else StrategySettings.model_validate(strategy)
        sizing = sizing_of(settings, capital_base, target_percent=20.0)
        return result(evaluate(bench_of(panel, settings), settings, sizing))

    return run
