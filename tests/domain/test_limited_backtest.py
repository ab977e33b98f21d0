"""Backtests whose orders pass limits first. Does not belong here: what limits measure, or backtests without them."""

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

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


def test_rates_of_a_minute_are_not_what_a_session_of_a_backtest_is_judged_by(
    panel: Panel, strategy: StrategySettings, free: Result
) -> None:
    """No order of a session has an instant: each is the only one of its minute, and no trade of it."""
    one_each = limited(
        panel, strategy, limits=[{"rule": "order_rate", "refuse": 1}, {"rule": "trade_rate", "refuse": 0}]
    )
    assert (np.count_nonzero(np.diff(np.nan_to_num(free.positions), axis=0), axis=1) > 1).any(), "orders side by side"
    assert one_each.statistics["refusals"]["orders"] == 0.0
    assert np.array_equal(one_each.positions, free.positions, equal_nan=True)
    none = limited(panel, strategy, limits=[{"rule": "order_rate", "refuse": 0}])
    assert not np.nan_to_num(none.positions).any(), "a rate of nothing is nothing"


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


# --- what the model names ---------------------------------------------------------------------------------------------
def stressed(scenario: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Options under which nothing may be lost in a scenario."""
    return {"limits": [{"rule": "stress", "refuse": 0.0}], "model": {"scenarios": {"crash": scenario}}, **more}


BY_NAME = stressed({"instruments": {"AAA": -0.2}})
BY_CLASS = stressed({"asset_classes": {"metal": -0.2}}, classes={"AAA": {"asset_class": "metal"}})


@pytest.mark.parametrize("options", [BY_NAME, BY_CLASS], ids=["by name", "by class"])
def test_a_scenario_of_the_model_is_a_stress_of_every_session(
    panel: Panel, strategy: StrategySettings, free: Result, options: dict[str, Any]
) -> None:
    """AAA falls in it, so it is never bought beyond nothing; what does not move in it trades as without limits."""
    found = limited(panel, strategy, **options)
    column = found.instruments.index("AAA")
    assert np.nanmax(free.positions[:, column]) > 0.0
    assert np.nanmax(found.positions[:, column]) <= 0.0
    assert np.nanmin(found.positions[:, column]) < 0.0, "and sold as ever"
    others = [place for place in range(3) if place != column]
    assert np.array_equal(found.positions[:, others], free.positions[:, others], equal_nan=True)
    assert found.statistics["refusals"]["by_stress"] > 0


def test_a_stress_is_the_move_of_what_is_held(panel: Panel, strategy: StrategySettings) -> None:
    """A dollar a point: a fifth of contracts x price may be at most a hundredth of a million."""
    found = limited(panel, strategy, **BY_NAME | {"limits": [{"rule": "stress", "refuse": 0.01}]})
    column = found.instruments.index("AAA")
    held, price = np.nan_to_num(found.positions[:, column]), panel.held[:, column]
    bought = np.flatnonzero(held[1:] > np.maximum(held[:-1], 0.0)) + 1
    assert len(bought) > 0
    assert (0.2 * held[bought] * price[bought] <= 0.01 * CAPITAL).all()
    assert found.statistics["refusals"]["by_stress"] > 0


@pytest.fixture(scope="module")
def short() -> Panel:
    """The same walks, their first 160 sessions."""
    return made_up_panel(NAMES, 160, 7)


FACTORS = {"given": {"loadings": {"AAA": 1.0}}, "a basket": {"basket": {"AAA": 1.0}}}


@pytest.mark.parametrize("factor", FACTORS.values(), ids=list(FACTORS))
def test_a_named_factor_of_the_model_is_measured(
    short: Panel, strategy: StrategySettings, factor: dict[str, Any]
) -> None:
    """AAA loads on it wholly, so that none of it may be added once its volatility is known."""
    limits = [{"rule": "factor_exposure", "refuse": 0.0, "missing": "warn"}]
    found = limited(short, strategy, limits=limits, model={"factors": {"own": factor}})
    column = found.instruments.index("AAA")
    held = np.abs(np.nan_to_num(found.positions[30:, column]))
    assert not (held[1:] > held[:-1]).any()
    assert found.statistics["refusals"]["by_factor_exposure"] > 0
    other = found.instruments.index("BBB")
    if "loadings" in factor:  # which say that it has none
        free = DailyEngine().evaluate(short, strategy, CAPITAL)
        assert np.array_equal(found.positions[:, other], free.positions[:, other], equal_nan=True)


def test_margins_are_as_given(short: Panel, strategy: StrategySettings) -> None:
    """Of AAA so large that the account allows half of what would be held most, of the others nothing."""
    free = DailyEngine().evaluate(short, strategy, CAPITAL)
    column = free.instruments.index("AAA")
    margin = 0.1 * CAPITAL / (0.5 * float(np.nanmax(np.abs(free.positions[:, column]))))
    model = {"margins_local": {"AAA": margin}, "margin_volatilities": 0.0}
    found = limited(short, strategy, limits=[{"rule": "margin", "refuse": 0.1, "missing": "warn"}], model=model)
    held = np.nan_to_num(found.positions)
    worth = CAPITAL + np.concatenate([[0.0], np.cumsum((np.diff(short.price, axis=0) * held[:-1]).sum(axis=1))])
    adds = np.abs(held[1:, column]) > np.abs(held[:-1, column])
    assert adds.any()
    assert (margin * np.abs(held[1:, column])[adds] <= 0.1 * worth[1:][adds] * (1 + 1e-9)).all()
    assert found.statistics["refusals"]["by_margin"] > 0


def test_the_first_order_of_an_empty_book_is_all_of_its_risk(short: Panel, strategy: StrategySettings) -> None:
    """So that a limit on concentration below 1 keeps a book from ever starting, as the page on the engine says."""
    kept = limited(short, strategy, limits=[{"rule": "concentration", "refuse": 0.999}])
    assert not np.nan_to_num(kept.positions).any()
    assert kept.statistics["refusals"]["by_concentration"] > 0
    started = limited(short, strategy, limits=[{"rule": "concentration", "refuse": 1.0 + 1e-9}])
    assert np.nan_to_num(started.positions).any()


STRANGE: list[tuple[dict[str, Any], str]] = [
    (stressed({"asset_classes": {"metal": -0.2}}), "names the asset class metal, and there is none of that name"),
    ({"limits": [{"rule": "stress", "scenario": "crash", "refuse": 0.1}]}, "names the scenario crash"),
    ({"limits": [{"rule": "factor_exposure", "factor": "dollar", "refuse": 0.1}]}, "names the factor dollar"),
    ({"limits": [{"rule": "component_exposure", "component": 4, "refuse": 0.1}]}, "principal component 4"),
    ({"limits": [{"rule": "gross_exposure", "sector": "grains", "refuse": 0.1}]}, "names the sector grains"),
    ({"limits": [{"rule": "spred", "refuse": 0.1}]}, "there is no rule spred. Did you mean spread?"),
    ({"classes": {"AAA": {"asset_clas": "metal"}}}, "classes of AAA name a asset_clas; they can name sector"),
]


@pytest.mark.parametrize(("options", "said"), STRANGE, ids=[said for _, said in STRANGE])
def test_what_would_limit_nothing_is_refused_with_the_specification(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        RiskOptions.model_validate(options)
