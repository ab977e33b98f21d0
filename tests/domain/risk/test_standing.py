"""What a book stands at, on numbers worked by hand."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from trading.book.marks import Mark
from trading.book.orders import Fill, Order
from trading.config.models import DeskSettings
from trading.market.instruments import Instrument
from trading.risk.book import WHOLE, Book, Standing
from trading.risk.decision import Asked
from trading.risk.engine import RiskEngine
from trading.risk.marked import marked
from trading.risk.standing import Course, Held, book_after, book_of, held, standing, standings

FRIDAY, MONDAY, TUESDAY, WEDNESDAY = date(2024, 1, 5), date(2024, 1, 8), date(2024, 1, 9), date(2024, 1, 10)
CORN = Instrument("CORN", "Corn", "CBOT", "USD", 50.0, 0.25, "ags", "grain", "US")
CURVE = [(FRIDAY, 1050.0), (MONDAY, 1100.0), (TUESDAY, 1080.0), (WEDNESDAY, 990.0)]


def fill(number: int, instrument: str, contracts: int, session: date, strategy: str = "trend") -> Fill:
    return Fill(f"f{number}", f"o{number}", strategy, instrument, 20240300, session, contracts, 100.0, 0.0, None)


def test_losses_are_of_the_day_of_the_week_from_monday_and_from_the_peak() -> None:
    found = standing(CURVE, WEDNESDAY, 1000.0)
    assert found.day_base == pytest.approx(90.0)  # 1080 - 990
    assert found.week_base == pytest.approx(60.0)  # Friday's 1050 - 990
    assert found.drawdown_fraction == pytest.approx(110 / 1100)


def test_nothing_later_than_the_session_counts() -> None:
    assert standing(CURVE, MONDAY, 1000.0) == standing(CURVE[:2], MONDAY, 1000.0) == Standing(-50.0, -50.0, 0.0)


def test_a_session_without_a_value_lost_nothing_yet() -> None:
    found = standing(CURVE[:3], WEDNESDAY, 1000.0)
    assert found.day_base == 0.0
    assert found.week_base == pytest.approx(-30.0)


def test_the_capital_is_where_a_curve_begins_and_may_be_its_peak() -> None:
    assert standing([(FRIDAY, 900.0)], FRIDAY, 1000.0) == Standing(100.0, 100.0, 0.1)
    assert standing([], FRIDAY, 1000.0) == Standing(0.0, 0.0, 0.0)
    assert standing([], FRIDAY, 0.0).drawdown_fraction == 1.0


def test_what_is_held_and_was_not_valued_since_is_not_known_to_have_lost_nothing() -> None:
    gains = {"trend": [(FRIDAY, 50.0), (TUESDAY, -20.0)], "carry": [(MONDAY, -7.0)]}
    whole = standings(CURVE[:3], gains, WEDNESDAY, 1000.0, holding=["trend"], strategies=["trend", "carry", "new"])
    assert set(whole) == {"carry", "new"}
    assert (whole["carry"], whole["new"]) == (Standing(0.0, 7.0, 0.007), Standing())
    flat = standings(CURVE[:3], gains, WEDNESDAY, 1000.0, strategies=["new"])
    assert (flat[WHOLE].day_base, set(flat)) == (0.0, {WHOLE, "trend", "carry", "new"})
    assert set(standings(CURVE, gains, WEDNESDAY, 1000.0, holding=["trend"])) == {WHOLE, "trend", "carry"}
    assert standings([], {}, FRIDAY, 1000.0) == {WHOLE: Standing()}, "a desk that never held anything"


def test_what_a_book_does_not_say_is_not_known_to_the_engine() -> None:
    limits = [{"rule": rule, "refuse": 0.0} for rule in ("weekly_loss", "drawdown")]
    limits += [{"rule": "weekly_loss", "by": "strategy", "strategy": "trend", "refuse": 0.0}]
    desk = DeskSettings.model_validate({"risk": {"limits": limits}})
    market = marked(FRIDAY, [("CORN", 20240300)], {("CORN", 20240300): Mark(1.0, FRIDAY)}, {}, {"CORN": CORN},
                    {"USD": 1.0})  # fmt: skip
    asked = Asked("trend", "CORN", 20240300, 1)
    unknown = RiskEngine(desk, market, Book(1e6, 1e6, strategies=("trend",))).check(asked)
    losses = ("daily_loss", "weekly_loss", "drawdown", "weekly_loss")
    assert sorted(reason.code for reason in unknown.reasons) == sorted(f"missing:{rule}" for rule in losses)
    assert "is known of closed sessions only. Close the session, or set missing" in unknown.reasons[0].message
    known = Book(1e6, 1e6, standing={WHOLE: Standing(), "trend": Standing()}, strategies=("trend",))
    assert RiskEngine(desk, market, known).check(asked).outcome == "pass"


def test_a_course_stands_where_its_whole_curve_does() -> None:
    draw, days = np.random.default_rng(3), [FRIDAY + timedelta(days=int(n)) for n in range(60)]
    days = [day for day in days if day.weekday() < 5 and day.day % 7]  # some Mondays are no sessions
    curve = [(day, float(value)) for day, value in zip(days, 1000.0 + draw.normal(0, 50, len(days)), strict=True)]
    course = Course.begun(1000.0, curve[:5])
    for number in range(5, len(curve)):
        assert course.move(*curve[number]) == pytest.approx(standing(curve[: number + 1], curve[number][0], 1000.0))


def test_the_book_for_orders_that_come_counts_from_what_the_session_left() -> None:
    desk = DeskSettings.model_validate(
        {"trading": {"capital": {"capital_base": 1000.0, "volatility_target_percent": 25.0}}}
    )
    corn, gold = ("trend", "CORN", 20240300), ("carry", "GOLD", 20240400)
    sent = [Order(f"o{size}", *corn, TUESDAY, size, "target") for size in (2, -3, -4)]
    filled = [Order("w", *gold, MONDAY, 5, "target"), Order("v", *corn, MONDAY, -1, "target")]
    found = book_after(desk, {corn: 3}, 1080.0, {}, {"CORN": "in dispute"}, sent, filled, ["idle"])
    assert found.opening == {corn: 3}
    assert found.positions == {corn: 2, gold: 5}
    assert found.traded_contracts == {}
    assert found.orders == 2, "one that buys more, and one that sells through flat"
    assert found.strategies == ("carry", "idle", "trend")
    assert (found.capital_base, found.equity_base, found.volatility_target_fraction) == (1000.0, 1080.0, 0.25)
    assert found.locks == {"CORN": "in dispute"}


def test_positions_are_what_fills_come_to_now_and_at_the_open() -> None:
    fills = [fill(1, "CORN", 5, FRIDAY), fill(2, "CORN", -2, MONDAY), fill(3, "GOLD", 1, MONDAY),
             fill(4, "GOLD", -1, MONDAY), fill(5, "CORN", 9, TUESDAY)]  # fmt: skip
    found = held(fills, MONDAY)
    assert found.opening == {("trend", "CORN", 20240300): 5}
    assert found.positions == {("trend", "CORN", 20240300): 3}
    assert found.traded == {"CORN": 2, "GOLD": 2}


def test_a_book_has_the_account_and_every_strategy_that_holds_something() -> None:
    desk = DeskSettings.model_validate(
        {"trading": {"capital": {"capital_base": 1000.0, "volatility_target_percent": 25.0}}}
    )
    gains = {"trend": [(FRIDAY, 50.0), (MONDAY, -80.0), (WEDNESDAY, -1e6)]}
    holdings = Held({("old", "CORN", 20240300): 3}, {}, {"CORN": 4})
    found = book_of(desk, TUESDAY, holdings, CURVE, gains, {"CORN": "in dispute"}, 7)
    assert (found.capital_base, found.equity_base, found.volatility_target_fraction) == (1000.0, 1080.0, 0.25)
    assert found.strategies == ("old",)
    assert found.standing[WHOLE] == standing(CURVE, TUESDAY, 1000.0)
    assert found.standing["trend"].week_base == pytest.approx(80.0)
    assert found.standing["trend"].drawdown_fraction == pytest.approx(80 / 1050)
    assert (found.traded_contracts, found.locks, found.orders) == ({"CORN": 4}, {"CORN": "in dispute"}, 7)
