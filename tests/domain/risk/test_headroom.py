"""What a standing book comes to under every rule, against sums made plainly here."""

from __future__ import annotations

import math
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest

from trading.config.models import DeskSettings
from trading.frames import HEADROOM, to_table
from trading.reports.drawings import limit_bars
from trading.risk import value_at_risk as var
from trading.risk.book import WHOLE, Book, Standing
from trading.risk.decision import Asked, Judged
from trading.risk.engine import RiskEngine
from trading.risk.headroom import outcome_of
from trading.risk.market import DIMENSIONS, Market, group
from trading.risk.session_rows import beyond_limits, headroom_rows

CODES = ("AAA", "BBB", "CCC", "DDD")
HELD = np.array([5.0, -3.0, 0.0, 2.0])


def market(**changed: Any) -> Market:
    draw = np.random.default_rng(5)
    sigma = np.array([100.0, 300.0, 50.0, 1000.0])
    facts = {
        "version": "v", "session": date(2024, 1, 2), "instruments": CODES,
        "contracts": tuple((code, 20240300) for code in CODES), "contract_instrument": np.arange(4),
        "mark_points": np.array([100.0, 50.0, 25.0, 10.0]), "mark_age_sessions": np.array([0.0, 1.0, 9.0, 2.0]),
        "notional_base": np.array([1e4, 2e4, 3e4, 4e4]), "roll_state": np.array([0, 1, 2, 0]),
        "volatility_base": sigma, "median_volume": np.array([100.0, 50.0, 10.0, np.nan]),
        "low_volume": np.array([80.0, 40.0, 8.0, np.nan]), "spread_fraction": np.array([0.001, 0.002, 0.003, 0.004]),
        "margin_base": 4 * sigma,
        "groups": {name: group(["one", "one", "two", "two"]) for name in DIMENSIONS},
        "factors": ("level",), "factor_loadings": sigma[None, :] * 0.5, "component_loadings": sigma[None, :] * 0.7,
        "stress_names": ("crash",), "stresses": np.array([[-2e3, -4e3, -6e3, 0.0]]),
        "scenarios": draw.normal(0, 1, (200, 4)) * sigma,
        "covariance_loadings": draw.normal(0, 0.5, (4, 2)) * sigma[:, None], "covariance_rest": (sigma * 0.3) ** 2,
    }  # fmt: skip
    return Market(**(facts | changed))


def book(**changed: Any) -> Book:
    positions = {("s", code, 20240300): int(held) for code, held in zip(CODES, HELD, strict=True) if held}
    facts = {"capital_base": 1e6, "equity_base": 2e6, "positions": positions, "opening": {("s", "AAA", 20240300): 1},
             "standing": {WHOLE: Standing(7e4, 8e4, 0.125), "s": Standing(-5.0, 10.0, 0.0)},
             "traded_contracts": {"BBB": 10}, "orders": 3, "strategies": ("s",)}  # fmt: skip
    return Book(**(facts | changed))


def desk(*limits: dict[str, Any]) -> DeskSettings:
    return DeskSettings.model_validate({"risk": {"limits": limits}})


def engine(*limits: dict[str, Any], facts: Market | None = None) -> RiskEngine:
    return RiskEngine(desk(*limits), market() if facts is None else facts, book())


def by_name(rows: tuple[Judged, ...]) -> dict[tuple[str, str, str], Judged]:
    found = {(row.rule, row.axis, row.element): row for row in rows}
    assert len(found) == len(rows)
    return found


def test_every_value_of_a_book_at_rest() -> None:
    facts, rows = market(), by_name(engine().standing())
    sigma = var.deviation(facts, HELD)
    plain = HELD @ facts.covariance_loadings
    assert sigma == pytest.approx(math.sqrt(plain @ plain + (HELD**2 * facts.covariance_rest).sum()))
    losses = sorted(-(facts.scenarios @ HELD), reverse=True)
    expected = {
        ("gross_exposure", "portfolio", "book"): (5e4 + 6e4 + 8e4) / 1e6,
        ("gross_exposure", "sector", "two"): 8e4 / 1e6,
        ("net_exposure", "portfolio", "book"): (5e4 - 6e4 + 8e4) / 1e6,
        ("net_exposure", "country", "one"): 1e4 / 1e6,
        ("instrument_exposure", "instrument", "CCC"): 0.0,
        ("gross_volatility", "portfolio", "book"): 16 * (500 + 900 + 2000) / 1e6,
        ("net_volatility", "portfolio", "book"): 16 * (500 - 900 + 2000) / 1e6,
        ("leverage", "portfolio", "book"): 19e4 / 2e6,
        ("margin", "portfolio", "book"): 4 * 3400 / 2e6,
        ("factor_exposure", "factor", "level"): 800 / 1e6,
        ("component_exposure", "component", "1"): 1120 / 1e6,
        ("stress", "scenario", "crash"): 0.0,  # it gains: -10,000 + 12,000
        ("portfolio_volatility", "portfolio", "book"): 16 * sigma / 1e6 / 0.2,
        ("value_at_risk", "portfolio", "book"): losses[1] / 1e6,
        ("expected_shortfall", "portfolio", "book"): (losses[0] + losses[1]) / 2 / 1e6,
        ("parametric_value_at_risk", "portfolio", "book"): 2.3263478740408408 * sigma / 1e6,
        ("strategy_position", "holding", "s/BBB"): 3.0,
        ("position_change", "instrument", "AAA"): 4.0,
        ("portfolio_position", "portfolio", "book"): 10.0,
        ("days_to_exit", "instrument", "AAA"): 5 / (0.1 * 100),
        ("days_to_exit", "instrument", "CCC"): 0.0,
        ("daily_loss", "portfolio", "book"): 0.07,
        ("weekly_loss", "strategy", "s"): 1e-5,
        ("drawdown", "portfolio", "book"): 0.125,
        ("stale_price", "contract", "BBB/20240300"): 1.0,
        ("roll_state", "contract", "BBB/20240300"): 1.0,
        ("participation", "instrument", "BBB"): 10 / 50,
        ("spread", "instrument", "DDD"): 0.004,
        ("session_orders", "portfolio", "book"): 3.0,
        ("order_rate", "strategy", "s"): 0.0,
    }  # fmt: skip
    for key, value in expected.items():
        assert rows[key].value == pytest.approx(value, rel=1e-12, abs=1e-15), key
    assert math.isnan(rows["days_to_exit", "instrument", "DDD"].value)
    assert ("stale_price", "contract", "CCC/20240300") not in rows  # nothing is held of it


def test_rules_on_an_order_alone_have_no_row() -> None:
    names = {row.rule for row in engine().standing()}
    assert not names & {"order_size", "order_notional", "price_collar", "restricted", "trading_mode", "halt",
                        "instrument_lock", "concentration", "marginal_volatility"}  # fmt: skip


def test_orders_at_work_count_as_if_filled_where_that_is_worse() -> None:
    found = RiskEngine(desk(), market(), book(standing={WHOLE: Standing()}))
    found.reserve(Asked("s", "AAA", 20240300, 4, None, "buy"), now=100.0)
    found.reserve(Asked("s", "BBB", 20240300, 1, None, "cover"), now=100.0)
    rows = by_name(found.standing(now=130.0))
    assert rows["position_size", "instrument", "AAA"].value == 9.0
    assert rows["position_size", "instrument", "BBB"].value == 3.0
    assert rows["gross_exposure", "portfolio", "book"].value == pytest.approx((9e4 + 6e4 + 8e4) / 1e6)
    assert rows["net_exposure", "portfolio", "book"].value == pytest.approx((9e4 - 4e4 + 8e4) / 1e6)
    assert rows["participation", "instrument", "BBB"].value == pytest.approx(11 / 50)
    assert rows["order_rate", "portfolio", "book"].value == 2.0
    assert by_name(found.standing(now=161.0))["order_rate", "portfolio", "book"].value == 0.0


def test_what_passes_a_level_is_told_with_its_headroom() -> None:
    limits = [{"rule": "net_exposure", "refuse": 0.05, "warn": 0.01}, {"rule": "drawdown", "refuse": 0.2, "warn": 0.1}]
    rows = by_name(engine(*limits).standing())
    net, drawdown = rows["net_exposure", "portfolio", "book"], rows["drawdown", "portfolio", "book"]
    assert (net.outcome, net.limit, round(net.headroom, 9)) == ("refuse", 0.05, -0.02)
    assert (drawdown.outcome, drawdown.headroom) == ("warn", pytest.approx(0.075))
    assert rows["daily_loss", "portfolio", "book"].outcome == "refuse"  # 7 % of 5 % allowed
    assert rows["gross_volatility", "portfolio", "book"].headroom == math.inf


def test_what_cannot_be_measured_is_refused_where_a_limit_is_set() -> None:
    facts = market(notional_base=np.array([1e4, np.nan, 3e4, 4e4]), scenarios=np.full((30, 4), np.nan))
    limits = [{"rule": "net_exposure", "refuse": 9.0}, {"rule": "value_at_risk", "refuse": 9.0, "missing": "warn"}]
    rows = by_name(engine(*limits, facts=facts).standing())
    assert rows["net_exposure", "portfolio", "book"].outcome == "refuse"
    assert rows["value_at_risk", "portfolio", "book"].outcome == "warn"
    assert rows["net_exposure", "sector", "two"].value == pytest.approx(0.08)


@pytest.mark.parametrize("equity", [0.0, -1.0, -1e6])
def test_of_an_account_that_is_gone_anything_is_infinitely_much(equity: float) -> None:
    """As in a check: an order that adds is refused by the same rules."""
    limits = desk({"rule": "leverage", "refuse": 9.0}, {"rule": "margin", "refuse": 9.0})
    found = RiskEngine(limits, market(), book(equity_base=equity, standing={WHOLE: Standing(), "s": Standing()}))
    rows = by_name(found.standing())
    adds = {row.rule: row for row in found.check(Asked("s", "AAA", 20240300, 1)).rules}
    for rule in ("leverage", "margin"):
        row = rows[rule, "portfolio", "book"]
        assert (row.value, row.outcome, row.headroom) == (math.inf, "refuse", -math.inf)
        assert (adds[rule].value, adds[rule].outcome) == (math.inf, "refuse")
    whole = [row for row in rows.values() if row.axis == "portfolio"]
    kept = to_table(pd.DataFrame(headroom_rows(whole, date(2024, 1, 2))), HEADROOM).to_pylist()
    _, leverage = sorted(beyond_limits(kept), reverse=True)
    assert leverage.startswith("2024-01-02: leverage of the book is inf times equity, beyond the limit of 9.")
    (axes,) = limit_bars(pd.DataFrame(kept)).axes
    assert max(bar.get_width() for bar in axes.patches) == 1000.0, "percent: it can be drawn all the same"


@pytest.mark.parametrize(("value", "expected"), [(1.0, "pass"), (1.5, "warn"), (2.0, "warn"), (2.1, "refuse")])
def test_at_a_level_is_within_it(value: float, expected: str) -> None:
    assert outcome_of(value, 1.0, 2.0, False) == expected
    assert outcome_of(value, math.inf, math.inf, False) == "pass"
    assert outcome_of(math.nan, math.inf, 2.0, False) == "refuse"
