"""Orders judged, case by case: the decision and the reason code, with numbers worked by hand.

One small book: 5 contracts of GOLD bought, 4 of OIL sold, and US10 flat, on a capital of 1,000,000. Does not belong
here: random books (`test_risk_agreement.py`), threads (`test_risk_concurrency.py`), which limit is in force
(`test_limit_table.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import pytest

from trading.config.models import DeskSettings
from trading.risk.book import WHOLE, Book, Standing
from trading.risk.decision import Asked, Decision
from trading.risk.engine import RiskEngine
from trading.risk.limit_table import rules
from trading.risk.market import Market, group

SESSION = date(2024, 3, 15)
APR, JUN = 202404, 202406
FREE, REDUCE_ONLY, CLOSE_ONLY, NOTHING = range(4)
NAN = math.nan

# GOLD APR, GOLD JUN, OIL APR, US10 JUN; and GOLD, OIL, US10. The covariance is one common direction and a rest:
# 1200^2 + 1600^2 = 2000^2 of GOLD and OIL, 300^2 + 400^2 = 500^2 of US10; GOLD and OIL go together by 0.36.
MARKET = Market(
    version="by hand", session=SESSION, instruments=("GOLD", "OIL", "US10"),
    contracts=(("GOLD", APR), ("GOLD", JUN), ("OIL", APR), ("US10", JUN)), contract_instrument=np.array([0, 0, 1, 2]),
    mark_points=np.array([2000.0, 2100.0, 80.0, 110.0]), mark_age_sessions=np.array([2.0, 0.0, 1.0, 0.0]),
    notional_base=np.array([200_000.0, 210_000.0, 80_000.0, 110_000.0]), roll_state=np.array([1, 0, 2, 0]),
    volatility_base=np.array([2000.0, 2000.0, 500.0]), median_volume=np.array([1000.0, 500.0, 100.0]),
    low_volume=np.array([400.0, 200.0, 50.0]), spread_fraction=np.array([0.0001, 0.0005, 0.0002]),
    margin_base=np.array([10_000.0, 8_000.0, 2_000.0]),
    groups={
        "sector": group(["Metals", "Energy", "Bonds"]), "asset_class": group(["Commodity", "Commodity", "Rates"]),
        "country": group(["US", "UK", "US"]), "currency": group(["USD", "USD", "USD"]),
        "exchange_group": group(["CME", "ICE", "CME"]),
    },
    factors=("dollar",), factor_loadings=np.array([[-1000.0, -500.0, 0.0]]),
    component_loadings=np.array([[1500.0, 1500.0, -200.0]]), stress_names=("squeeze",),
    stresses=np.array([[-5000.0, 10_000.0, 0.0]]),
    scenarios=np.array([[-3000.0, -2000.0, 500.0], [1000.0, 4000.0, -500.0], [-1000.0, -6000.0, 0.0],
                        [2000.0, 0.0, 1000.0], [0.0, 1000.0, -1000.0]]),
    covariance_loadings=np.array([[1200.0], [1200.0], [-300.0]]),
    covariance_rest=np.array([2_560_000.0, 2_560_000.0, 160_000.0]),
)  # fmt: skip
BOOK = Book(
    capital_base=1_000_000.0, equity_base=500_000.0,
    positions={("trend", "GOLD", APR): 5, ("carry", "OIL", APR): -4},
    opening={("trend", "GOLD", APR): 3, ("carry", "OIL", APR): -4}, volatility_target_fraction=0.2,
    standing={WHOLE: Standing(20_000.0, 40_000.0, 0.1), "trend": Standing(10_000.0, 30_000.0, 0.05)},
    traded_contracts={"GOLD": 10}, orders=7, strategies=("carry", "trend"),
)  # fmt: skip
BUY = Asked("trend", "GOLD", APR, 2, 2040.0)
SELL = Asked("trend", "GOLD", APR, -2)


def settings(limits: Sequence[Mapping[str, Any]] = (), **given: Any) -> DeskSettings:
    """Limits over settings that stop nothing here. Given: settings of every symbol, of orders and of risk."""
    symbols = {"max_position_contracts": 1_000_000, "max_exposure_fraction": 1000.0}
    orders, risk = {"max_per_session": 1_000_000}, {"max_gross_exposure_fraction": 1000.0, "max_daily_loss_fraction": 1}
    for name, value in given.items():
        place = orders if name in orders else risk if name in risk else symbols
        place[name] = value
    model = {"confidence": 0.7, "exit_fraction": 0.1}
    return DeskSettings.model_validate({
        "symbols": {"defaults": symbols}, "trading": {"orders": orders},
        "risk": {**risk, "limits": list(limits), "model": model, "service": {"max_reservations": 3}},
    })  # fmt: skip


def engine(
    limits: Sequence[Mapping[str, Any]] = (), market: Market = MARKET, book: Book = BOOK, **given: Any
) -> RiskEngine:
    """An engine of the small book."""
    return RiskEngine(settings(limits, **given), market, book, "by hand")


def said(decision: Decision) -> tuple[str, list[str]]:
    """Outcome and reason codes."""
    return decision.outcome, [reason.code for reason in decision.reasons]


def facts(**arrays: Any) -> Market:
    """The market with other arrays."""
    return replace(MARKET, **{name: np.array(values, dtype=float) for name, values in arrays.items()})


# --- every rule: within, warned of, refused ---------------------------------------------------------------------------
# What buying 2 more GOLD APR at 2040 comes to: 7 GOLD (3 at the open), 4 OIL sold, after two fills of US10 by trend.
BEFORE = math.sqrt(106.4e6)  # (5 - 4)^2 1200^2 + (25 + 16) 1600^2
AFTER = math.sqrt(179.36e6)  # (7 - 4)^2 1200^2 + (49 + 16) 1600^2
QUANTILE = 0.5244005127080407  # of the normal distribution at 0.7
DENSITY = math.exp(-(QUANTILE**2) / 2) / math.sqrt(2 * math.pi)
VALUES = [
    ("order_size", "holding", 2.0),
    ("order_notional", "holding", 0.4),  # 2 x 200,000
    ("price_collar", "instrument", 0.02),  # 2040 / 2000
    ("order_rate", "portfolio", 1.0),
    ("order_rate", "strategy", 1.0),
    ("trade_rate", "portfolio", 2.0),
    ("trade_rate", "strategy", 2.0),
    ("session_orders", "portfolio", 8.0),  # 7 before it
    ("strategy_position", "holding", 7.0),
    ("position_size", "instrument", 7.0),
    ("contract_position", "contract", 7.0),
    ("portfolio_position", "portfolio", 11.0),
    ("strategy_position_change", "holding", 4.0),
    ("position_change", "instrument", 4.0),
    ("contract_position_change", "contract", 4.0),
    ("portfolio_position_change", "portfolio", 4.0),  # OIL is where it was
    ("gross_exposure", "portfolio", 1.72),  # 7 x 200,000 + 4 x 80,000
    ("gross_exposure", "sector", 1.4),
    ("gross_exposure", "asset_class", 1.72),
    ("gross_exposure", "country", 1.4),
    ("gross_exposure", "currency", 1.72),
    ("gross_exposure", "exchange_group", 1.4),
    ("instrument_exposure", "instrument", 1.4),
    ("net_exposure", "portfolio", 1.08),  # 1,000,000 - 320,000 + 400,000
    ("net_exposure", "sector", 1.4),
    ("net_exposure", "asset_class", 1.08),
    ("net_exposure", "country", 1.4),
    ("net_exposure", "currency", 1.08),
    ("net_exposure", "exchange_group", 1.4),
    ("gross_volatility", "portfolio", 0.352),  # 16 x (7 x 2000 + 4 x 2000)
    ("gross_volatility", "sector", 0.224),
    ("gross_volatility", "asset_class", 0.352),
    ("gross_volatility", "country", 0.224),
    ("gross_volatility", "currency", 0.352),
    ("gross_volatility", "exchange_group", 0.224),
    ("net_volatility", "portfolio", 0.096),  # 16 x (7 - 4) x 2000
    ("net_volatility", "sector", 0.224),
    ("net_volatility", "asset_class", 0.096),
    ("net_volatility", "country", 0.224),
    ("net_volatility", "currency", 0.096),
    ("net_volatility", "exchange_group", 0.224),
    ("leverage", "portfolio", 3.44),  # 1,720,000 / 500,000
    ("margin", "portfolio", 0.204),  # (7 x 10,000 + 4 x 8,000) / 500,000
    ("factor_exposure", "factor", 0.005),  # |7 x -1000 - 4 x -500|
    ("component_exposure", "component", 0.0045),  # (7 - 4) x 1500
    ("stress", "scenario", 0.075),  # 7 x 5000 + 4 x 10,000
    ("portfolio_volatility", "portfolio", 16 * AFTER / 200_000),
    ("marginal_volatility", "portfolio", 16 * (AFTER - BEFORE) / 200_000),
    ("concentration", "instrument", 11_120 / 22_000),  # (7 x 2000 - 0.36 x 4 x 2000) / (7 x 2000 + 4 x 2000)
    # Days lose 7,000 + 6,000, 11,000, -19,000 + 2,000, -10,000 and 4,000; two of five days are 0.3 and more
    ("value_at_risk", "portfolio", 0.011),
    ("expected_shortfall", "portfolio", 0.012),
    ("parametric_value_at_risk", "portfolio", QUANTILE * AFTER / 1e6),
    ("parametric_expected_shortfall", "portfolio", DENSITY / 0.3 * AFTER / 1e6),
    ("participation", "instrument", 0.012),  # 10 traded and 2 of 1000
    ("low_participation", "instrument", 0.03),
    ("days_to_exit", "instrument", 0.07),  # 7 of 100 a session
    ("spread", "instrument", 0.0001),
    ("daily_loss", "portfolio", 0.02),
    ("daily_loss", "strategy", 0.01),
    ("weekly_loss", "portfolio", 0.04),
    ("weekly_loss", "strategy", 0.03),
    ("drawdown", "portfolio", 0.1),
    ("drawdown", "strategy", 0.05),
    ("stale_price", "contract", 2.0),
    ("roll_state", "contract", 1.0),
    ("restricted", "holding", 1.0),
]
SET_ELSEWHERE = {  # their refusing level is a setting, not an entry of risk.limits
    ("order_size", "holding"): "max_order_contracts", ("position_size", "instrument"): "max_position_contracts",
    ("instrument_exposure", "instrument"): "max_exposure_fraction", ("session_orders", "portfolio"): "max_per_session",
    ("gross_exposure", "portfolio"): "max_gross_exposure_fraction",
    ("daily_loss", "portfolio"): "max_daily_loss_fraction",
}  # fmt: skip
ROUNDING = 1e-12


def limited(rule: str, axis: str, refuse: float, warn: float | None = None) -> RiskEngine:
    """An engine with one limit, after two fills that leave US10 flat."""
    setting = SET_ELSEWHERE.get((rule, axis))
    entry = {"rule": rule, "by": axis, **({} if setting else {"refuse": refuse}), **({"warn": warn} if warn else {})}
    whole = setting in ("max_order_contracts", "max_position_contracts", "max_per_session")
    given = {setting: int(refuse) if whole else refuse} if setting else {}
    made = engine([entry] if len(entry) > 2 else [], **given)
    for contracts in (1, -1):
        made.fill(Asked("trend", "US10", JUN, contracts), now=100.0)
    return made


def ids(row: tuple[str, str, float]) -> str:
    return f"{row[0]}/{row[1]}"


@pytest.mark.parametrize(("rule", "axis", "value"), VALUES, ids=[ids(row) for row in VALUES])
def test_what_is_at_its_limit_passes(rule: str, axis: str, value: float) -> None:
    decision = limited(rule, axis, value * (1 + ROUNDING)).check(BUY, now=130.0)
    assert said(decision) == ("pass", [])
    found = next(row for row in decision.rules if (row.rule, row.axis) == (rule, axis))
    assert found.value == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(("rule", "axis", "value"), VALUES, ids=[ids(row) for row in VALUES])
def test_what_is_over_its_warning_level_warns(rule: str, axis: str, value: float) -> None:
    decision = limited(rule, axis, value * (1 + ROUNDING), value * 0.99).check(BUY, now=130.0)
    assert said(decision) == ("warn", [rule])
    assert decision.granted_contracts == 2


@pytest.mark.parametrize(("rule", "axis", "value"), VALUES, ids=[ids(row) for row in VALUES])
def test_what_is_over_its_limit_is_refused(rule: str, axis: str, value: float) -> None:
    decision = limited(rule, axis, value * 0.99).check(BUY, now=130.0)
    assert said(decision) == ("refuse", [rule])
    assert decision.granted_contracts == 0


@pytest.mark.parametrize(("rule", "axis", "value"), VALUES, ids=[ids(row) for row in VALUES])
def test_among_many_an_order_comes_to_the_same(rule: str, axis: str, value: float) -> None:
    assert limited(rule, axis, value * (1 + 1e-8)).check_each([BUY, BUY], now=130.0) == ["pass"] * 2
    assert limited(rule, axis, value * 0.99).check_each([BUY, BUY], now=130.0) == ["refuse"] * 2
    warned = limited(rule, axis, value * (1 + ROUNDING), value * (1 - 1e-8))
    assert warned.check_each([BUY, BUY], now=130.0) == ["warn"] * 2


def test_no_rule_is_left_out() -> None:
    told = {rule for rule, _, _ in VALUES} | {
        "trading_mode",
        "instrument_lock",
        "halt",
    }  # cases of their own
    assert told == {rule.name for rule in rules()}
    assert {(rule.name, axis) for rule in rules() for axis in rule.axes if rule.name in {r for r, _, _ in VALUES}} == {
        (rule, axis) for rule, axis, _ in VALUES
    }


# --- orders that are no orders ----------------------------------------------------------------------------------------
REFUSED_UNSEEN = {
    "unknown instrument": (BUY._replace(instrument="GOLDD"), "unknown_instrument"),
    "unknown contract": (BUY._replace(contract=202412), "unknown_contract"),
    "contract of another instrument": (BUY._replace(instrument="OIL", contract=JUN), "unknown_contract"),
    "unknown strategy": (BUY._replace(strategy="trendy"), "unknown_strategy"),
    "quantity zero": (BUY._replace(quantity_contracts=0), "quantity_zero"),
    "quantity minus zero": (BUY._replace(quantity_contracts=-0.0), "quantity_zero"),
    "quantity a fraction": (BUY._replace(quantity_contracts=1.5), "quantity_not_whole"),
    "quantity a small fraction": (BUY._replace(quantity_contracts=1e-9), "quantity_not_whole"),
    "quantity NaN": (BUY._replace(quantity_contracts=NAN), "quantity_not_a_number"),
    "quantity infinite": (BUY._replace(quantity_contracts=math.inf), "quantity_too_large"),
    "quantity huge": (BUY._replace(quantity_contracts=1e9 + 1), "quantity_too_large"),
    "quantity hugely sold": (BUY._replace(quantity_contracts=-1e300), "quantity_too_large"),
    "price NaN": (BUY._replace(limit_points=NAN), "price_not_a_number"),
    "price infinite": (BUY._replace(limit_points=math.inf), "price_not_a_number"),
    "price minus infinite": (BUY._replace(limit_points=-math.inf), "price_not_a_number"),
}


@pytest.mark.parametrize("name", REFUSED_UNSEEN)
def test_what_is_no_order_is_refused_unseen(name: str) -> None:
    asked, code = REFUSED_UNSEEN[name]
    made = engine()
    assert said(made.check(asked)) == ("refuse", [code])
    assert said(made.reserve(asked._replace(order_id="a"))) == ("refuse", [code])
    assert made.working() == {}


# --- one order, one decision ------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Case:
    """An order, what is in force, and what comes out."""

    asked: Asked
    outcome: str
    codes: tuple[str, ...] = ()
    limits: tuple[Mapping[str, Any], ...] = ()
    market: Market = MARKET
    book: Book = BOOK
    halt: int = FREE
    given: Mapping[str, Any] | None = None


def limit(rule: str, refuse: float | None = None, **given: Any) -> dict[str, Any]:
    return {"rule": rule, **({} if refuse is None else {"refuse": refuse}), **given}


NO_GOLD_VALUE = facts(notional_base=[NAN, 210_000.0, 80_000.0, 110_000.0])
NO_OIL_RISK = facts(covariance_rest=[2_560_000.0, NAN, 160_000.0])
NO_US10_RISK = facts(covariance_rest=[2_560_000.0, 2_560_000.0, NAN])
HUGE = facts(notional_base=[1e300, 210_000.0, 80_000.0, 110_000.0])
OTHERS = Asked("carry", "GOLD", APR, -5)
OFFSET = replace(BOOK, positions={("trend", "GOLD", APR): 5, ("carry", "GOLD", APR): -5})
SPREAD = replace(BOOK, positions={("trend", "GOLD", APR): 5, ("trend", "GOLD", JUN): -5})
LOCKED = replace(BOOK, locks={"GOLD": "the broker counts 3 of GOLD, the book 5"})
CLOSE = SELL._replace(quantity_contracts=-5)
TURN = SELL._replace(quantity_contracts=-7)
CASES = {
    "a sale of what is held passes all that lets reducing pass": Case(
        SELL, "pass", (), (limit("contract_position", 0.0), limit("order_notional", 0.0), limit("margin", 0.0))),
    "a sale is judged where a limit says so": Case(
        SELL, "refuse", ("order_notional",), (limit("order_notional", 0.1, reducing="judge"),)),
    "a sale that closes passes": Case(CLOSE, "pass", (), (limit("order_notional", 0.0),)),
    "a sale beyond what is held is judged": Case(
        SELL._replace(quantity_contracts=-6), "refuse", ("order_notional",), (limit("order_notional", 0.0),)),
    "a sale of what is not held is judged": Case(
        SELL._replace(contract=JUN), "refuse", ("order_notional",), (limit("order_notional", 0.0),)),
    "over a limit already, and made no worse": Case(
        Asked("carry", "US10", JUN, 1), "pass", (), (limit("gross_exposure", 0.1, by="sector", sector="Metals"),)),
    "over a limit already, and made worse": Case(
        BUY, "refuse", ("gross_exposure",), (limit("gross_exposure", 0.1, by="sector", sector="Metals"),)),
    "over a limit already, and turned round to as much": Case(  # 5 bought becomes 2 sold: 2 is over 1
        TURN, "refuse", ("contract_position",), (limit("contract_position", 1.0),)),
    "limit of zero": Case(BUY, "refuse", ("order_notional",), (limit("order_notional", 0.0),)),
    "limit of zero, value of zero": Case(
        BUY._replace(limit_points=None), "pass", (), (limit("price_collar", 0.0),)),
    "expired limit": Case(BUY, "pass", (), (limit("order_notional", 0.0, effective_until=date(2024, 3, 14)),)),
    "limit on its last day": Case(
        BUY, "refuse", ("order_notional",), (limit("order_notional", 0.0, effective_until=SESSION),)),
    "future limit": Case(BUY, "pass", (), (limit("order_notional", 0.0, effective_from=date(2024, 3, 18)),)),
    "limit on its first day": Case(
        BUY, "refuse", ("order_notional",), (limit("order_notional", 0.0, effective_from=SESSION),)),
    "negative price under a collar": Case(  # |-2000 / 2000 - 1| = 2
        BUY._replace(limit_points=-2000.0), "refuse", ("price_collar",), (limit("price_collar", 0.5),)),
    "negative price where nothing says it may not be": Case(BUY._replace(limit_points=-2000.0), "pass"),
    "a collar holds for sales too": Case(
        SELL._replace(limit_points=3000.0), "refuse", ("price_collar",), (limit("price_collar", 0.4),)),
    "no mark, and a price": Case(
        BUY, "refuse", ("missing:price_collar",), (limit("price_collar", 0.5),),
        facts(mark_points=[NAN, 2100.0, 80.0, 110.0])),
    "no mark, at market": Case(
        BUY._replace(limit_points=None), "pass", (), (limit("price_collar", 0.5),),
        facts(mark_points=[NAN, 2100.0, 80.0, 110.0])),
    "largest quantity that is looked at": Case(
        BUY._replace(quantity_contracts=10**9), "refuse", ("contract_position",), (limit("contract_position", 1e6),),
        given={"max_position_contracts": 1_000_000, "max_gross_exposure_fraction": 1000.0}),
    "overflow": Case(BUY._replace(quantity_contracts=10**9), "refuse", (), (), HUGE),
    "stale price": Case(BUY, "refuse", ("stale_price",), (limit("stale_price", 1.0),)),
    "age of the price not known": Case(
        BUY, "refuse", ("missing:stale_price",), (limit("stale_price", 1.0),),
        facts(mark_age_sessions=[NAN, 0, 0, 0])),
    "age of the price not known, lenient": Case(
        BUY, "warn", ("missing:stale_price",), (limit("stale_price", 1.0, missing="warn"),),
        facts(mark_age_sessions=[NAN, 0, 0, 0])),
    "volume not known": Case(
        BUY, "refuse", ("missing:participation",), (limit("participation", 0.5),),
        facts(median_volume=[NAN, 500, 100])),
    "volume not known, and no limit on it": Case(BUY, "pass", (), (), facts(median_volume=[NAN, 500, 100])),
    "nothing is traded": Case(
        BUY, "refuse", ("participation",), (limit("participation", 0.5),), facts(median_volume=[0.0, 500, 100])),
    "no way out, and none before": Case(
        BUY, "refuse", ("days_to_exit",), (limit("days_to_exit", 5.0),), facts(median_volume=[0.0, 500, 100])),
    "value not known": Case(
        BUY, "refuse", ("missing:gross_exposure", "missing:instrument_exposure"), (), NO_GOLD_VALUE),
    "value not known, lenient": Case(
        BUY, "warn", ("missing:gross_exposure", "missing:instrument_exposure"),
        (limit("gross_exposure", missing="warn"), limit("instrument_exposure", missing="warn")), NO_GOLD_VALUE),
    "value not known, and the order reduces": Case(SELL, "pass", (), (), NO_GOLD_VALUE),
    "risk of another position not known": Case(
        BUY, "refuse", ("missing:portfolio_volatility",), (limit("portfolio_volatility", 5.0),), NO_OIL_RISK),
    "risk of what nobody holds not known": Case(
        BUY, "pass", (), (limit("portfolio_volatility", 5.0),), NO_US10_RISK),
    "no scenarios": Case(
        BUY, "refuse", ("missing:value_at_risk",), (limit("value_at_risk", 5.0),),
        facts(scenarios=np.zeros((0, 3)))),
    "the account is worth nothing": Case(
        BUY, "refuse", ("leverage",), (limit("leverage", 100.0),), book=replace(BOOK, equity_base=0.0)),
    "the account owes": Case(
        BUY, "refuse", ("leverage",), (limit("leverage", 100.0),), book=replace(BOOK, equity_base=-1.0)),
    "what the account is worth is not known": Case(
        BUY, "refuse", ("missing:leverage",), (limit("leverage", 100.0),), book=replace(BOOK, equity_base=NAN)),
    "halted": Case(BUY, "refuse", ("halt",), halt=NOTHING),
    "halted, and the order reduces": Case(SELL, "refuse", ("halt",), halt=NOTHING),
    "halted but for reducing": Case(BUY, "refuse", ("halt",), halt=REDUCE_ONLY),
    "halted but for reducing, and the order reduces": Case(SELL, "pass", halt=REDUCE_ONLY),
    "halted but for reducing, and the order turns round": Case(TURN, "refuse", ("halt",), halt=REDUCE_ONLY),
    "halted but for closing, and the order reduces": Case(SELL, "refuse", ("halt",), halt=CLOSE_ONLY),
    "halted but for closing, and the order closes": Case(CLOSE, "pass", halt=CLOSE_ONLY),
    # carry holds no GOLD: what it sells is trend's to reduce, and a position of its own
    "another strategy's to reduce, halted but for reducing": Case(OTHERS, "refuse", ("halt",), halt=REDUCE_ONLY),
    "another strategy's to reduce, halted but for closing": Case(OTHERS, "refuse", ("halt",), halt=CLOSE_ONLY),
    "another strategy's to reduce, and a loss": Case(
        OTHERS, "refuse", ("daily_loss",), given={"max_daily_loss_fraction": 0.019}),
    "another strategy's to reduce, and a limit of its own": Case(
        OTHERS, "refuse", ("strategy_position",), (limit("strategy_position", 4.0, strategy="carry"),)),
    "own to reduce, offset by another's, halted but for reducing": Case(CLOSE, "pass", book=OFFSET, halt=REDUCE_ONLY),
    "own to reduce, offset by another's, is judged": Case(
        CLOSE, "refuse", ("position_size",), book=OFFSET, given={"max_position_contracts": 4}),
    "one leg of a spread is judged": Case(
        CLOSE, "refuse", ("net_exposure",), (limit("net_exposure", 0.7),), book=SPREAD),
    "locked by a break": Case(BUY, "refuse", ("instrument_lock",), book=LOCKED),
    "locked by a break, and the order reduces": Case(SELL, "refuse", ("instrument_lock",), book=LOCKED),
    "another instrument is locked": Case(Asked("carry", "US10", JUN, 1), "pass", book=LOCKED),
    "restricted": Case(BUY, "refuse", ("restricted",), (limit("restricted", 0.0, instrument="GOLD"),)),
    "restricted, and the order reduces": Case(
        SELL, "refuse", ("restricted",), (limit("restricted", 0.0, instrument="GOLD"),)),
    "restricted but for reducing": Case(
        SELL, "pass", (), (limit("restricted", 0.0, instrument="GOLD", reducing="pass"),)),
    "restricted to another strategy": Case(BUY, "pass", (), (limit("restricted", 0.0, strategy="carry"),)),
    "trading_mode none": Case(SELL, "refuse", ("trading_mode",), given={"trading_mode": "none"}),
    "trading_mode reduce_only": Case(BUY, "refuse", ("trading_mode",), given={"trading_mode": "reduce_only"}),
    "trading_mode reduce_only, and the order reduces": Case(SELL, "pass", given={"trading_mode": "reduce_only"}),
    "rolled away": Case(Asked("carry", "OIL", APR, -1), "refuse", ("roll_state",), (limit("roll_state", 1.0),)),
    "rolled away, and the order reduces": Case(Asked("carry", "OIL", APR, 1), "pass", (), (limit("roll_state", 1.0),)),
    "a loss stops all but reducing": Case(BUY, "refuse", ("daily_loss",), given={"max_daily_loss_fraction": 0.019}),
    "a loss does not stop reducing": Case(SELL, "pass", given={"max_daily_loss_fraction": 0.019}),
    "several limits at once, refusals first": Case(
        BUY, "refuse", ("order_notional", "spread"), (limit("order_notional", 0.0), limit("spread", warn=0.0))),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_case(name: str) -> None:
    case = CASES[name]
    made = engine(case.limits, case.market, case.book, **(case.given or {}))
    made.stop(np.full((2, 3), float(case.halt)))
    outcome, codes = said(made.check(case.asked))
    assert outcome == case.outcome
    assert made.check_each([case.asked, case.asked]) == [case.outcome] * 2
    if abs(case.asked.quantity_contracts) == 10**9:  # passes what every symbol has, too
        assert {*case.codes, "gross_exposure", "instrument_exposure", "order_size"} <= set(codes)
    else:
        assert tuple(codes) == case.codes


# --- lists ------------------------------------------------------------------------------------------------------------
def order(contracts: int, instrument: str = "US10", contract: int = JUN, name: str = "") -> Asked:
    return Asked("carry", instrument, contract, contracts, None, name)


FIVE = [limit("portfolio_position", 14.0)]  # 9 are held
SPREAD_TRADE = [order(3, "GOLD", JUN), order(-3, "OIL", APR)]


def granted(decisions: Sequence[Decision]) -> list[tuple[str, int]]:
    return [(decision.outcome, decision.granted_contracts) for decision in decisions]


def test_a_list_is_all_or_nothing() -> None:
    found = engine(FIVE).check_list([order(3), order(3)])
    assert granted(found) == [("refuse", 0), ("refuse", 0)]
    assert [said(decision)[1] for decision in found] == [["list"], ["portfolio_position"]]


def test_the_longest_prefix_of_a_list() -> None:
    found = engine(FIVE).check_list([order(2), order(3), order(1)], "prefix")
    assert granted(found) == [("pass", 2), ("pass", 3), ("refuse", 0)]
    assert said(found[2])[1] == ["list"]


def test_a_prefix_ends_at_the_first_refused_order() -> None:
    found = engine(FIVE).check_list([order(2), order(6), order(1)], "prefix")
    assert granted(found) == [("pass", 2), ("refuse", 0), ("refuse", 0)]


def test_nothing_of_a_list_whose_first_order_is_refused() -> None:
    found = engine(FIVE).check_list([order(6), order(1)], "prefix")
    assert granted(found) == [("refuse", 0), ("refuse", 0)]
    assert said(found[0])[1] == ["portfolio_position"]


def test_the_best_scaling_of_a_list() -> None:
    # 5 is what may be had: 63% to 74% of 8 come to it, 75% to 6. Of -1 nothing is left below 100%.
    found = engine(FIVE).check_list([order(8), order(-1, "OIL", APR)], "scale")
    assert granted(found) == [("pass", 5), ("refuse", 0)]


def test_a_list_scaled_both_ways() -> None:
    # Two orders of 4: 62% of 4 is 2 each, together 4; 75% is 3 each, together 6 which is over 5; 74% leaves 2.
    found = engine(FIVE).check_list([order(4), order(-4, "OIL", APR)], "scale")
    assert granted(found) == [("pass", 2), ("pass", -2)]


def test_offsetting_legs_are_netted_where_that_is_asked_for() -> None:
    # Net notional is 680,000. 3 GOLD JUN bought are 630,000 more; 3 OIL sold 240,000 less.
    made = engine([limit("net_exposure", 1.08)])
    apart = [said(each) for each in made.check_list(SPREAD_TRADE)]
    assert apart == [("refuse", ["net_exposure"]), ("refuse", ["list"])]
    assert granted(made.check_list(SPREAD_TRADE, netted=True)) == [("pass", 3), ("pass", -3)]  # 1,070,000


def test_netted_legs_that_turn_a_line_round_together_do_not_reduce() -> None:
    made = engine([limit("order_notional", 0.1)])
    assert granted(made.check_list([SELL, SELL], netted=True)) == [("pass", -2), ("pass", -2)]
    both = [SELL._replace(quantity_contracts=-3)] * 2
    assert granted(made.check_list(both, netted=True)) == [("refuse", 0), ("refuse", 0)]


def test_a_list_with_an_order_that_is_none_is_refused_unseen() -> None:
    found = engine().check_list([order(1), order(0)])
    assert [said(each) for each in found] == [("refuse", ["list"]), ("refuse", ["quantity_zero"])]


def test_orders_of_a_list_count_one_after_another() -> None:
    made = engine(max_per_session=9)  # 7 were sent
    assert granted(made.check_list([order(1), order(1)])) == [("pass", 1), ("pass", 1)]
    assert said(made.check_list([order(1), order(1), order(1)])[2]) == ("refuse", ["session_orders"])


# --- headroom ---------------------------------------------------------------------------------------------------------
def test_two_orders_cannot_both_take_the_last_of_it() -> None:
    made = engine(FIVE)
    assert said(made.reserve(order(5, name="a"))) == ("pass", [])
    assert said(made.reserve(order(1, name="b"))) == ("refuse", ["portfolio_position"])
    assert made.release("a") == 5
    assert said(made.reserve(order(5, name="b"))) == ("pass", [])


def test_a_sale_at_work_makes_no_room() -> None:
    made = engine(FIVE)
    assert made.reserve(SELL._replace(quantity_contracts=-5, order_id="sale")).passed
    assert said(made.check(order(6))) == ("refuse", ["portfolio_position"])
    assert made.fill(SELL._replace(quantity_contracts=-5, order_id="sale")) == 0
    assert said(made.check(order(6))) == ("pass", [])  # 4 OIL and 6


def test_what_is_filled_holds_no_headroom_any_more_but_is_held() -> None:
    made = engine(FIVE)
    made.reserve(order(5, name="a"))
    assert made.fill(order(2, name="a")) == 3
    assert said(made.check(order(1))) == ("refuse", ["portfolio_position"])
    assert made.release("a") == 3
    assert said(made.check(order(3))) == ("pass", [])
    assert said(made.check(order(4))) == ("refuse", ["portfolio_position"])


def test_headroom_of_an_order_whose_time_is_over_is_given_back() -> None:
    made = engine(FIVE)
    made.reserve(order(5, name="a"), expires=60.0)
    assert made.expire(59.0) == []
    assert made.expire(60.0) == ["a"]
    assert said(made.check(order(5))) == ("pass", [])


def test_an_id_at_work_is_not_used_again() -> None:
    made = engine()
    made.reserve(order(1, name="a"))
    assert said(made.reserve(order(1, name="a"))) == ("refuse", ["duplicate_order"])
    made.release("a")
    assert said(made.reserve(order(1, name="a"))) == ("pass", [])


def test_an_id_twice_in_a_list_is_refused() -> None:
    found = engine().reserve_list([order(1, name="a"), order(1, name="a")])
    assert [said(each) for each in found] == [("refuse", ["list"]), ("refuse", ["duplicate_order"])]


def test_as_many_orders_at_work_as_there_may_be() -> None:
    made = engine()
    assert made.reserve_list([order(1, name=name) for name in "ab"])[1].passed
    assert said(made.reserve_list([order(1, name=name) for name in "cd"])[0]) == ("refuse", ["reservations_full"])
    assert made.reserve(order(1, name="c")).passed
    assert said(made.reserve(order(1, name="d"))) == ("refuse", ["reservations_full"])
    assert said(made.check(order(1))) == ("pass", [])
    made.fill(order(1, name="b"))
    assert made.reserve(order(1, name="d")).passed


def test_orders_of_the_last_minute() -> None:
    made = engine([limit("order_rate", 2.0)])
    assert made.reserve(order(1, name="a"), now=10.0).passed
    assert made.reserve(order(1, name="b"), now=20.0).passed
    assert said(made.check(order(1), now=69.0)) == ("refuse", ["order_rate"])
    assert said(made.check(order(1), now=70.0)) == ("pass", [])  # the one of second 10 is a minute old


def test_a_changed_limit_is_in_force_for_the_next_check() -> None:
    made = engine()
    assert said(made.check(BUY)) == ("pass", [])
    made.limit(settings([limit("order_notional", 0.0)]), "other")
    decision = made.check(BUY)
    assert said(decision) == ("refuse", ["order_notional"])
    assert decision.versions.configuration == "other"


def test_another_book_keeps_what_is_at_work() -> None:
    made = engine(FIVE)
    made.reserve(order(5, name="a"))
    made.load(MARKET, replace(BOOK, positions={("trend", "GOLD", APR): 8}))
    assert said(made.check(order(1))) == ("pass", [])  # 8 held, 5 at work, 1
    assert said(made.check(order(2))) == ("refuse", ["portfolio_position"])
