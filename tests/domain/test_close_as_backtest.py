"""The close sizes what was backtested: the last row of a day's panel against that row of the whole history's backtest.

Belongs here: the two roads held together over settings. Does not belong here: orders and fills (test_book_days.py).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from trading.backtest.agreement import Closed, compared
from trading.backtest.engine import bench_of, evaluate
from trading.backtest.panel import Panel
from trading.backtest.rehearsal import made_panel
from trading.backtest.simulated import simulated_panel
from trading.config.models import DeskSettings
from trading.config.refusals import refusal
from trading.config.strategies import StrategySettings
from trading.config.trading import Capital
from trading.strategies.closing import Sized, sized, sizing
from trading.strategies.optimal import Sizing

CAPITAL = Capital(capital_base=50_000_000.0)
LENGTH = 760
RULES: dict[str, Any] = {
    "carry": {"rule": "carry", "scalar": 30.0, "weight": 0.5},
    "trend": {"rule": "ewmac", "parameters": {"fast": 4, "slow": 16}, "scalar": 7.5, "weight": 0.5},
}
ONLY_TREND = {"trend": {**RULES["trend"], "weight": 1.0}}
ESTIMATE = {"min_periods": 10}
VARIATIONS: dict[str, dict[str, Any]] = {
    "a trend alone": {"rules": ONLY_TREND},
    "carry": {},
    "prices since a date": {"prices_since": date(2000, 11, 6)},
    "prices since a date, estimated": {
        "prices_since": date(2000, 11, 6), "portfolio": {"multiplier": "estimated", "estimate": ESTIMATE},
    },
    "estimated instrument multiplier": {"portfolio": {"multiplier": "estimated", "estimate": ESTIMATE}},
    "estimated forecast multiplier": {"forecasts": {"multiplier": "estimated", "estimate": ESTIMATE}},
    "estimated scalar": {
        "rules": {"trend": {**ONLY_TREND["trend"], "scalar": "estimated"}}, "forecasts": {"scalar_min_periods": 200},
    },
    "risk overlay": {"risk_overlay": {"normal_fraction": 0.8, "shocked_fraction": 1.0, "leverage": 2.0}},
    "robust volatility": {"volatility": {"method": "robust"}},
    "some instruments": {"instruments": ["ALPHA", "GAMMA"]},
    "weights": {"instruments": ["ALPHA", "BETA"], "portfolio": {"weights": {"BETA": 0.7, "ALPHA": 0.3}}},
    "buffer around the position": {"buffer": {"method": "position"}},
}  # fmt: skip


def strategy(**settings: Any) -> StrategySettings:
    """A strategy whose other settings are the sound defaults."""
    return StrategySettings.model_validate({"name": "t", "rules": RULES} | settings)


def history(sessions: int) -> Panel:
    """Prices of some sessions, each instrument's rows ending with its last price, as those read from files do."""
    panel = simulated_panel(sessions=sessions)
    last = sessions - 1 - np.isfinite(panel.price)[::-1].argmax(axis=0)
    return replace(panel, last=last, held_last=last)


@pytest.fixture(scope="module")
def whole() -> Panel:
    """All history."""
    return history(LENGTH)


@pytest.fixture(scope="module")
def days(whole: Panel) -> list[int]:
    """Lengths of shorter histories: two that end while an instrument has a holiday, and three that do not."""
    priced = np.isfinite(whole.price)
    some = np.flatnonzero(priced.any(axis=1) & ~priced.all(axis=1))
    every = np.flatnonzero(priced.all(axis=1))
    rows = [*some[some > 420][[0, 9]], *every[every > 400][[0, 150, 300]]]
    assert len(rows) == 5
    return [int(row) + 1 for row in rows]


@pytest.mark.parametrize("settings", list(VARIATIONS.values()), ids=list(VARIATIONS))
def test_the_close_of_a_day_is_the_row_of_the_backtest(settings: dict[str, Any], whole: Panel, days: list[int]) -> None:
    wanted = strategy(**settings)
    found = evaluate(bench_of(whole, wanted), wanted, sizing(wanted, CAPITAL)).decisions.optimal
    start = bench_of(whole, wanted).panel.sessions[0]
    for length in days:
        closed = sized(history(length), wanted, CAPITAL)
        assert closed is not None
        panel = closed.bench.panel
        assert panel.sessions[0] == start
        row = len(panel.sessions) - 1
        assert np.abs(found.notional[row]).max() > 1.0
        for name in ("value_volatility", "average", "notional", "half_width"):
            np.testing.assert_allclose(
                getattr(closed.optimal, name)[row], getattr(found, name)[row], 1e-12, err_msg=name
            )


def test_before_its_first_price_a_strategy_wants_nothing() -> None:
    assert sized(simulated_panel(sessions=100), strategy(prices_since=date(2020, 1, 1)), CAPITAL) is None


# --- the check that compares them -------------------------------------------------------------------------------------
def closed_by(found: Sized, first: date, last: date) -> Closed:
    """What a close that sized so would leave, with nothing held."""
    wanted = {(day, code): found.wanted(row, column) for day, code, row, column in found.cells(first, last)}
    return Closed(wanted, {}, {})


def test_the_check_compares_with_the_backtest_itself(whole: Panel) -> None:
    since, terms = strategy(prices_since=date(2000, 11, 6)), sizing(strategy(), CAPITAL)
    first, last = whole.sessions[-30].item(), whole.sessions[-1].item()
    right, wrong = (sized(whole, each, CAPITAL) for each in (since, strategy()))
    assert right is not None
    assert wrong is not None
    agreed = compared(whole, since, terms, closed_by(right, first, last), first, last)
    assert agreed.differences == ()
    assert agreed.positions > 80
    differences = compared(whole, since, terms, closed_by(wrong, first, last), first, last).differences
    assert any("daily_volatility_base is" in text for text in differences)


def test_on_a_holiday_at_the_end_the_check_carries_too(whole: Panel, days: list[int]) -> None:
    panel = history(days[0])
    assert panel.last.min() < len(panel.sessions) - 1
    found, last = sized(panel, strategy(), CAPITAL), panel.sessions[-1].item()
    assert found is not None
    agreed = compared(panel, strategy(), sizing(strategy(), CAPITAL), closed_by(found, last, last), last, last)
    assert (agreed.positions, agreed.differences) == (3, ())


def test_an_instrument_without_prices_yet_is_left_out_of_both() -> None:
    panel, listed = history(500), strategy(instruments=["ALPHA", "BETA", "UNBORN"])
    found, last = sized(panel, listed, CAPITAL), panel.sessions[-1].item()
    assert found is not None
    assert found.bench.panel.instruments == ("ALPHA", "BETA")
    agreed = compared(panel, listed, sizing(listed, CAPITAL), closed_by(found, last, last), last, last)
    assert (agreed.positions, agreed.differences) == (2, ())


def test_an_instrument_that_begins_late_is_compared_too() -> None:
    panel = history(500)
    begin = np.array([0, 0, 600])
    none = np.arange(500)[:, None] < begin
    empty = replace(
        panel,
        price=np.where(none, np.nan, panel.price), held=np.where(none, np.nan, panel.held),
        carry=np.where(none, np.nan, panel.carry), first=np.zeros(3, dtype=np.int64),
        last=np.where(begin > 500, -1, panel.last), held_first=np.zeros(3, dtype=np.int64),
        held_last=np.where(begin > 500, -1, panel.last),
    )  # fmt: skip
    found, last = sized(empty, strategy(), CAPITAL), panel.sessions[-1].item()
    assert found is not None
    agreed = compared(empty, strategy(), sizing(strategy(), CAPITAL), closed_by(found, last, last), last, last)
    assert (agreed.positions, agreed.differences) == (2, ())


# --- capital ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("compounding", ["half", "full"])
def test_a_strategy_that_compounds_is_not_traded(compounding: str) -> None:
    with pytest.raises(ValidationError) as cause:
        DeskSettings(strategies=(strategy(compounding=compounding),))
    told = refusal(cause.value, DeskSettings, "desk.toml")
    assert f"strategy t has compounding = '{compounding}' and cannot be traded" in told
    assert "capital.capital_base" in told


# --- nothing to size by -----------------------------------------------------------------------------------------------
STEPS = 300
FALLING, STILL = 1000.0 - np.arange(STEPS), np.full(STEPS, 50.0)
THROUGH_ZERO = 100.7 - np.arange(STEPS) * 1.1


@pytest.mark.parametrize("prices", [FALLING, STILL, THROUGH_ZERO], ids=["falling", "still", "through zero"])
@pytest.mark.parametrize("method", ["mixed", "robust", "ewma", "simple"])
def test_a_price_that_moves_by_the_same_step_is_not_sized(prices: np.ndarray, method: str) -> None:
    walk = 100.0 + np.random.default_rng(3).normal(0, 1.0, STEPS).cumsum()
    panel = made_panel({"DEAD": prices, "LIVE": walk})
    found = strategy(rules=ONLY_TREND, volatility={"method": method})
    positions = evaluate(bench_of(panel, found), found, Sizing(1e6, 20.0)).decisions.positions
    assert np.nanmax(np.abs(positions[:, 0])) == 0.0
    assert 0.0 < np.nanmax(np.abs(positions[:, 1])) < 1e5


def test_the_reference_sizes_it_all_the_same() -> None:
    found = strategy(rules=ONLY_TREND, volatility={"method": "ewma", "unknown_below_fraction": 0.0})
    panel = made_panel({"DEAD": FALLING})
    positions = evaluate(bench_of(panel, found), found, Sizing(1e6, 20.0)).decisions.positions
    assert np.nanmax(np.abs(positions)) > 1e9
