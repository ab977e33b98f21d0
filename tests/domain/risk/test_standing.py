"""What a book stands at, on numbers worked by hand."""

from __future__ import annotations

from datetime import date

import pytest

from trading.book.orders import Fill
from trading.config.models import DeskSettings
from trading.risk.book import WHOLE, Standing
from trading.risk.standing import Held, book_of, held, standing

FRIDAY, MONDAY, TUESDAY, WEDNESDAY = date(2024, 1, 5), date(2024, 1, 8), date(2024, 1, 9), date(2024, 1, 10)
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
