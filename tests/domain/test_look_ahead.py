"""Nothing of the future is known: the check fails on a rule that peeks and on each option that does, by its name, and
passes on every sound choice. Prices are files out of a seed, rebuilt from the rows through each cut."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resources.csv_panels import CsvPanels
from trading.backtest.look_ahead import Finding, PanelThrough, Subject, cuts, look_ahead, of_backtest, panels_of
from trading.backtest.panel import Panel
from trading.backtest.parts.costs import NoCosts
from trading.backtest.specification import Backtest
from trading.config.settings import Settings
from trading.config.strategies import SEES_THE_FUTURE, StrategySettings
from trading.errors import CalculationError, WrongSpecification
from trading.strategies.optimal import Sizing
from trading.strategies.rule import Market, forecast_rule, rules

FIRST, COUNT = np.datetime64("2018-01-01"), 1100
CODES = ("CORN", "DAX", "NEW")
SIZING = Sizing(1_000_000.0, 20.0)
LATE = 700  # the row from which a rule of these tests speaks
CONFIG = "Instrument,Pointsize,Percentage,PerBlock,PerTrade,AssetClass,Currency,Description,Slippage"
ROLLS = "Instrument,HoldRollCycle,RollOffsetDays,CarryOffset,PricedRollCycle,ExpiryOffset"
MULTIPLE = "DATETIME,CARRY,CARRY_CONTRACT,PRICE,PRICE_CONTRACT,FORWARD,FORWARD_CONTRACT"


class Nothing(Settings):
    """No parameters."""


@forecast_rule(Nothing)
def peeking(market: Market, _: Nothing) -> np.ndarray:
    """The change of the next session's price: what nobody can know."""
    change = np.full_like(market.price, np.nan)
    change[:-1] = market.price[1:] - market.price[:-1]
    return change / market.scale


@forecast_rule(Nothing)
def late(market: Market, _: Nothing) -> np.ndarray:
    """Zero for a long time, then not: it uses no later row."""
    rows = np.arange(len(market.price))[:, None]
    return np.where(np.isfinite(market.volatility), np.where(rows < LATE, 0.0, 5.0), np.nan)


KNOWN = rules() | {rule.name: rule for rule in (peeking, late)}


# --- prices -----------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three instruments in pysystemtrade's layout: evening rows of each weekday, some of a Sunday, holidays, quarterly
    rolls; one in euros, one that begins two years later."""
    root = tmp_path_factory.mktemp("futures")
    chance = np.random.default_rng(11)
    for place, code in enumerate(CODES):
        _write_instrument(root, code, chance, begin=500 if code == "NEW" else 10 * place)
    stamps, rates = _stamps(0, chance), 1.1 + chance.normal(0, 0.004, 2 * COUNT).cumsum()
    _write(
        root / "fx_prices_csv/EURUSD.csv",
        "DATETIME,PRICE",
        [f"{s},{r:.5f}" for s, r in zip(stamps, rates, strict=False)],
    )
    money = {"DAX": "EUR"}
    config = [f"{code},25,0.0001,2.1,1,Test,{money.get(code, 'USD')},{code},0.02" for code in CODES]
    _write(root / "csvconfig/instrumentconfig.csv", CONFIG, config)
    _write(root / "csvconfig/rollconfig.csv", ROLLS, [f"{code},HMUZ,-5,1,HMUZ,0" for code in CODES])
    return root


def _stamps(begin: int, chance: np.random.Generator) -> list[str]:
    """Evenings of weekdays, three in a hundred left out, and of half the Sundays."""
    days = np.busday_offset(FIRST, np.arange(begin, COUNT), roll="forward")
    days = days[chance.random(len(days)) > 0.03]
    sundays = np.arange(days[0], days[-1])
    sundays = sundays[(sundays.astype(int) + 3) % 7 == 6]
    both = np.sort(np.concatenate([days, sundays[chance.random(len(sundays)) < 0.5]]))
    return [f"{day} 23:00:00" for day in both]


def _write_instrument(root: Path, code: str, chance: np.random.Generator, begin: int) -> None:
    stamps = _stamps(begin, chance)
    moves = chance.normal(0, np.where(np.arange(len(stamps)) % 400 < 200, 1.0, 2.0))
    price = 200.0 + (moves + 0.3 * np.sign(np.sin(np.arange(len(stamps)) / 60))).cumsum()
    adjusted = [f"{stamp},{value:.4f}" for stamp, value in zip(stamps, price, strict=True)]
    _write(root / f"adjusted_prices_csv/{code}.csv", "DATETIME,price", adjusted)
    held = [_held(stamp, value, chance.normal(1.0, 0.5)) for stamp, value in zip(stamps, price, strict=True)]
    _write(root / f"multiple_prices_csv/{code}.csv", MULTIPLE, held)


def _held(stamp: str, price: float, spread: float) -> str:
    year, month = int(stamp[:4]), int(stamp[5:7])
    quarter = 3 * ((month - 1) // 3) + 3
    now, later = f"{year}{quarter:02d}00", f"{year + 1}{quarter:02d}00"
    return f"{stamp},{price - spread:.4f},{later},{price:.4f},{now},,"


def _write(path: Path, header: str, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *lines]) + "\n")


@pytest.fixture(scope="module")
def panels(folder: Path) -> PanelThrough:
    """Panels through any session, each made once."""
    made: dict[tuple[str, date | None], Panel] = {}
    fresh = panels_of(CsvPanels(folder), CODES, "USD")

    def through(weekend_rows: Any, last: date | None) -> Panel:
        if (weekend_rows, last) not in made:
            made[weekend_rows, last] = fresh(weekend_rows, last)
        return made[weekend_rows, last]

    return through


@pytest.fixture(scope="module")
def sessions(panels: PanelThrough) -> tuple[date, ...]:
    """Fifty sessions by chance."""
    return cuts(panels("session", None).sessions, 50, seed=4)


@pytest.fixture(scope="module")
def found(panels: PanelThrough, sessions: tuple[date, ...]) -> Callable[..., list[Finding]]:
    """Findings on a strategy. To the fifty cuts come those after the first volatilities of the late instrument: there
    alone the risk overlay's backfill shows, which reaches two sessions back."""
    first = [day.item() for day in panels("session", None).sessions[508:516]]
    days = sorted({*sessions, *first})
    return lambda **settings: look_ahead(panels, Subject(strategy(**settings), SIZING, KNOWN), days)


def strategy(rule: str = "", scalar: float | str = 7.5, **settings: Any) -> StrategySettings:
    """Two rules (`scalar` is of the second) and the sound defaults, a third rule if one is named, and what differs."""
    named: dict[str, Any] = {
        "carry": {"rule": "carry", "scalar": 30.0, "weight": 0.5},
        "trend": {"rule": "ewmac", "parameters": {"fast": 4, "slow": 16}, "scalar": scalar, "weight": 0.5},
    }
    if rule:
        named[rule] = {"rule": rule, "weight": 0.5}
        settings["forecasts"] = {"sum_of_weights": "any", **settings.get("forecasts", {})}
    return StrategySettings.model_validate({"name": "test", "rules": named} | settings)


ESTIMATED = {"min_periods": 10}
LIMITS = {"normal_fraction": 1.0, "shocked_fraction": 1.5, "sum_absolute_fraction": 3.0, "leverage": 5.0}
SOUND: dict[str, dict[str, Any]] = {
    "defaults": {},
    "rules that change late": {"rule": "late"},
    "robust volatility": {"volatility": {"method": "robust"}},
    "simple volatility, returns lost": {"volatility": {"method": "simple", "returns": "consecutive"}},
    "quick volatility": {"volatility": {"method": "ewma"}},
    "estimated forecast multiplier": {"forecasts": {"multiplier": "estimated", "estimate": ESTIMATED}},
    "estimated instrument multiplier": {"portfolio": {"multiplier": "estimated", "estimate": ESTIMATED}},
    "estimated scalar": {"scalar": "estimated", "forecasts": {"scalar_min_periods": 400}},
    "risk overlay": {"risk_overlay": LIMITS},
    "weights at once": {"forecasts": {"weight_smoothing_span": 0}, "portfolio": {"weight_smoothing_com": 0}},
    "to the edge of a position's zone": {"buffer": {"method": "position", "trade_to": "edge"}},
    "reference fills": {"execution": {"fills": "next_session", "rates": "midnight", "start": "rounded"}},
    "reference costs": {"costs": {"commission": "largest", "first_cost": "lost", "commission_price": "adjusted"}},
    "no costs": {"costs": {"method": "none"}},
    "half compounding": {"compounding": "half"},
    "full compounding": {"compounding": "full"},
    "prices since a date": {"prices_since": date(2018, 9, 3), "compounding": "half"},
}
PEEKS: dict[str, dict[str, Any]] = {
    "volatility.backfill": {"volatility": {"backfill": True, "min_periods": 600}},
    "forecasts.zero_rules": {"rule": "late", "forecasts": {"zero_rules": "missing"}},
    "forecasts.scalar_backfill": {
        "scalar": "estimated",
        "forecasts": {"scalar_backfill": True, "scalar_min_periods": 600},
    },
    "forecasts.cost_ceiling_sharpe": {"forecasts": {"cost_ceiling_sharpe": 0.65}},
    "forecasts.refits": {"forecasts": {"refits": "from_end", "multiplier": "estimated", "estimate": ESTIMATED}},
    "portfolio.refits": {"portfolio": {"refits": "from_end", "multiplier": "estimated", "estimate": ESTIMATED}},
    "risk_overlay.refits": {"risk_overlay": {"refits": "from_end", "normal_fraction": 0.5}},
    "risk_overlay.backfill": {"risk_overlay": {"backfill": True, "shocked_fraction": 0.2}},
    "costs.rolls": {"costs": {"rolls": "calendar", "commission": "largest"}},
    "costs.deflator": {"costs": {"deflator": "final_volatility"}},
    "costs.method": {"costs": {"method": "sharpe"}},
    "costs.same_date": {"costs": {"same_date": "last"}},
    "weekend_rows": {"weekend_rows": "friday"},
}


# --- cuts -------------------------------------------------------------------------------------------------------------
def test_cuts_are_fifty_sessions_and_fridays_among_them(sessions: tuple[date, ...]) -> None:
    assert len(set(sessions)) == 50
    assert sum(day.weekday() == 4 for day in sessions) >= 10
    assert list(sessions) == sorted(sessions)


def test_too_few_sessions_to_cut() -> None:
    with pytest.raises(CalculationError, match="5 sessions are too few for 50 cuts"):
        cuts(np.arange("2022-01-03", "2022-01-08", dtype="datetime64[D]"), 50)


# --- what passes, and what does not -----------------------------------------------------------------------------------
@pytest.mark.parametrize("settings", list(SOUND.values()), ids=list(SOUND))
def test_a_sound_choice_passes(settings: dict[str, Any], found: Callable[..., list[Finding]]) -> None:
    assert [finding.sentence() for finding in found(**settings)] == []


def test_a_rule_that_peeks_is_found(found: Callable[..., list[Finding]], sessions: tuple[date, ...]) -> None:
    told = found(rule="peeking")
    assert {finding.options for finding in told} == {()}
    stages = {finding.stage for finding in told}
    assert {"forecast peeking", "forecast combined", "optimal position", "position"} <= stages
    assert "forecast trend" not in stages
    assert "risk of a contract" not in stages
    first = next(finding for finding in told if finding.stage == "forecast peeking")
    assert first.session == first.cut == sessions[0]
    assert "No option is to blame: a rule of the strategy uses later rows." in first.sentence()


@pytest.mark.parametrize("path", sorted(PEEKS))
def test_an_option_that_sees_the_future_is_found_by_its_name(path: str, found: Callable[..., list[Finding]]) -> None:
    told = found(**PEEKS[path])
    assert told
    assert {finding.options for finding in told} == {(path,)}
    assert f"Leave {path} at the default." in told[0].sentence()


def test_every_option_that_sees_the_future_is_tried() -> None:
    assert set(PEEKS) == set(SEES_THE_FUTURE)


def test_of_two_options_each_is_blamed_for_what_it_does_alone(found: Callable[..., list[Finding]]) -> None:
    backfill = {"backfill": True, "min_periods": 600}
    told = {each.stage: each.options for each in found(volatility=backfill, costs={"deflator": "final_volatility"})}
    assert told["risk of a contract"] == ("volatility.backfill",)
    assert told["costs"] == ("volatility.backfill", "costs.deflator")


class LaterMean:
    """Decides by the mean of all prices, later ones too."""

    def positions(self, panel: Panel, strategy: StrategySettings, capital_base: float) -> np.ndarray:
        return np.where(np.nan_to_num(panel.price) > np.nanmean(panel.price, axis=0), 5.0, -5.0)


class LaterCosts:
    """Charges a fill as the last price is."""

    def costs(self, panel: Panel, held: np.ndarray, filled: np.ndarray, strategy: StrategySettings) -> np.ndarray:
        last = np.nan_to_num(panel.price[panel.last, np.arange(len(panel.instruments))])
        return -np.abs(filled) * np.abs(last)


def test_registered_parts_of_a_backtest_are_examined(folder: Path) -> None:
    source, whole = CsvPanels(folder), strategy(volatility_target_percent=20.0)
    asked = {"strategy": whole, "capital_base": 1e6, "instruments": ("CORN", "DAX")}
    decided = Backtest(**asked, decided_by={"name": "later_mean"})
    told = of_backtest(source, decided, count=5, decided_by=LaterMean())
    assert "position" in {finding.stage for finding in told}
    assert "optimal position" not in {finding.stage for finding in told}
    told = of_backtest(source, Backtest(**asked, costs={"name": "later_costs"}), count=5, model=LaterCosts())
    assert {finding.stage for finding in told} == {"costs", "net P&L"}
    assert of_backtest(source, Backtest(**asked, costs={"name": "free"}), count=5, model=NoCosts()) == []


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"engine": {"name": "faster"}}, "only be told of the engine daybook, and faster is asked"),
        ({"costs": {"name": "flat"}}, "cannot be told without its costs, flat"),
        ({"decided_by": {"name": "mine"}}, "cannot be told without its decided_by, mine"),
    ],
)
def test_parts_that_are_not_there_are_not_left_out(folder: Path, given: dict[str, Any], says: str) -> None:
    asked = Backtest(strategy=strategy(volatility_target_percent=20.0), capital_base=1e6, **given)
    with pytest.raises(WrongSpecification, match=says):
        of_backtest(CsvPanels(folder), asked, count=5)


def test_a_strategy_that_uses_late_prices_is_cut_among_them(folder: Path) -> None:
    late = strategy(volatility_target_percent=20.0, prices_since=date(2021, 6, 1))
    assert of_backtest(CsvPanels(folder), Backtest(strategy=late, capital_base=1e6), count=20) == []


def test_a_backtest_is_examined_as_it_would_be_run(folder: Path) -> None:
    source, last = CsvPanels(folder), date(2021, 6, 30)
    target = {"volatility_target_percent": 20.0}
    sound = Backtest(strategy=strategy(**target), capital_base=1e6, last=last, instruments=("CORN", "DAX"))
    assert of_backtest(source, sound, count=5) == []
    peeks = strategy(costs={"deflator": "final_volatility"}, **target)
    told = of_backtest(source, Backtest(strategy=peeks, capital_base=1e6, last=last), count=5)
    assert {finding.options for finding in told} == {("costs.deflator",)}
    assert max(finding.cut for finding in told) < last
