"""Backtests whose orders pass limits first. Does not belong here: what limits measure, or backtests without them."""

from typing import Any

import numpy as np
import pytest

from trading.backtest.panel import Panel
from trading.backtest.parts.engines import DailyEngine, LimitedEngine, RiskOptions
from trading.backtest.parts.made_up import made_up_panel
from trading.backtest.result import Result
from trading.config.strategies import StrategySettings

CAPITAL = 1_000_000.0
NAMES = ("AAA", "BBB", "CCC")


@pytest.fixture(scope="module")
def panel() -> Panel:
    """Three random walks of 400 sessions around 100 points, a dollar a point."""
    return made_up_panel(NAMES, 400, 7)


@pytest.fixture(scope="module")
def strategy() -> StrategySettings:
    """One speed of trend, at twenty percent."""
    rule = {"rule": "ewmac", "parameters": {"fast": 8, "slow": 32}, "weight": 1.0, "scalar": 5.0}
    return StrategySettings.model_validate(
        {"name": "trend", "rules": {"fast": rule}, "instruments": NAMES, "volatility_target_percent": 20.0}
    )


def limited(panel: Panel, strategy: StrategySettings, **options: Any) -> Result:
    return LimitedEngine(RiskOptions.model_validate(options)).evaluate(panel, strategy, CAPITAL)


@pytest.fixture(scope="module")
def free(panel: Panel, strategy: StrategySettings) -> Result:
    return DailyEngine().evaluate(panel, strategy, CAPITAL)


def gross(panel: Panel, positions: Any) -> Any:
    """Of each session, a dollar a point: contracts x price over capital."""
    return np.nansum(np.abs(positions) * np.abs(panel.held), axis=1) / CAPITAL


def test_without_limits_it_is_the_backtest(panel: Panel, strategy: StrategySettings, free: Result) -> None:
    found = limited(panel, strategy)
    assert np.array_equal(found.positions, free.positions, equal_nan=True)
    assert np.array_equal(found.curves["net_percent"], free.curves["net_percent"], equal_nan=True)
    assert found.statistics["refusals"] == {"orders": 0.0, "contracts": 0.0, "sessions": 0.0}


def test_a_cap_on_gross_exposure_is_kept_where_orders_could_pass_it(
    panel: Panel, strategy: StrategySettings, free: Result
) -> None:
    uncapped = gross(panel, free.positions)
    cap = float(np.quantile(uncapped[uncapped > 0], 0.5))
    found = limited(panel, strategy, max_gross_exposure_fraction=cap)
    after, held = gross(panel, found.positions), np.nan_to_num(found.positions)
    bought = np.abs(held[1:]) > np.abs(held[:-1])
    # Prices may carry what is held over the cap; an order that adds may not.
    assert (after[1:][bought.any(axis=1)] <= cap * (1 + 1e-12)).all()
    assert uncapped.max() > 1.5 * cap, "the cap means something"
    refused = found.curves["refused_orders"]
    assert found.statistics["refusals"]["orders"] == refused.sum() > 0
    assert found.statistics["refusals"]["by_gross_exposure"] == refused.sum()
    assert found.statistics["refusals"]["sessions"] == (refused > 0).sum()
    first = int(np.flatnonzero(refused)[0])
    assert np.array_equal(held[:first], np.nan_to_num(free.positions)[:first]), "nothing differs before"
    assert not np.array_equal(held[first], np.nan_to_num(free.positions)[first])


def test_what_is_not_known_yet_refuses(panel: Panel, strategy: StrategySettings) -> None:
    """Volatility needs twenty gains; a strategy that starts sooner is refused until then, by name."""
    quick = strategy.model_copy(update={"volatility": strategy.volatility.model_copy(update={"min_periods": 3})})
    found = limited(panel, quick, limits=[{"rule": "portfolio_volatility", "refuse": 100.0}])
    by = found.curves["refused_by_missing_portfolio_volatility"]
    assert by[:20].sum() > 0
    assert by[30:].sum() == 0


def test_a_limit_of_a_group_holds_for_instruments_that_are_said_to_be_in_it(
    panel: Panel, strategy: StrategySettings, free: Result
) -> None:
    of_class = {"rule": "gross_exposure", "by": "asset_class", "asset_class": "metal", "refuse": 0.0}
    found = limited(panel, strategy, limits=[of_class], classes={"BBB": {"asset_class": "metal"}})
    column = found.instruments.index("BBB")
    assert not np.nan_to_num(found.positions[:, column]).any()
    others = [place for place in range(3) if place != column]
    assert np.array_equal(found.positions[:, others], free.positions[:, others], equal_nan=True)


def test_a_stop_of_losses_lets_only_reducing_orders_through(panel: Panel, strategy: StrategySettings) -> None:
    found = limited(panel, strategy, limits=[{"rule": "drawdown", "refuse": 0.02}])
    held = np.nan_to_num(found.positions)
    stopped = np.flatnonzero(found.curves["refused_orders"])
    assert len(stopped) > 0
    earned = np.concatenate([[0.0], np.cumsum((np.diff(panel.price, axis=0) * held[:-1]).sum(axis=1))])
    worth = CAPITAL + earned
    fall = 1.0 - worth / np.maximum.accumulate(worth)
    adds = (np.abs(held[1:]) > np.abs(held[:-1])).any(axis=1)
    assert (fall[1:][adds] <= 0.02 + 1e-12).all()
    assert (fall[stopped] > 0.02).all()
