"""A session's rolls judged at the prices of each.

Does not belong here: judging a pair (risk/test_roll_legs.py), or days of a desk (tests/days/test_book_days.py).
"""

from datetime import UTC, date, datetime

from trading.book.booking import Entered
from trading.book.close import Circumstances
from trading.book.marks import Mark
from trading.book.rollover import roll
from trading.book.rolls import Roll
from trading.book.state import BookState, SessionInputs
from trading.config.models import DeskSettings
from trading.market.instruments import Instrument
from trading.risk.book import WHOLE, Standing

FRI, MAR, JUN, SEP = date(2022, 2, 25), 20220300, 20220600, 20220900
US10 = Instrument("US10", "US10", "CME", "USD", 1.0, 0.25, "bond", "bond", "US")


def rolled(*rolls: Roll) -> dict[int, int]:
    """Contracts traded of each month, of nine held of March at 1,000. All may be 10,000, which is the capital."""
    state = BookState(10_000.0, positions={("trend", "US10", MAR): 9})
    state.marks["US10", MAR] = Mark(1_000.0, date(2022, 2, 23))
    inputs = SessionInputs(
        FRI, {}, {"US10": rolls[-1].to_contract}, {}, {"USD": 1.0}, {"US10": US10}, rolls, "USD", None, {}
    )
    desk = DeskSettings.model_validate(
        {"trading": {"capital": {"capital_base": 10_000.0}}, "risk": {"max_gross_exposure_fraction": 1.0}}
    )
    entry = Entered(FRI, datetime(2022, 2, 25, 22, tzinfo=UTC), "close")
    found = roll(state, inputs, desk, entry, [], Circumstances({WHOLE: Standing(), "trend": Standing()}))
    traded: dict[int, int] = {}
    for order in found.step.place:
        traded[order.contract] = traded.get(order.contract, 0) + order.quantity_contracts
    return traded


def test_each_of_two_rolls_is_judged_at_its_own_prices() -> None:
    """9 x 1,003 are 9,027. Before the second roll they are 10,827, beyond the limit, and 10,800 after it: less."""
    first = Roll("US10", MAR, JUN, 1_000.0, 1_003.0)
    assert rolled(first) == {MAR: -9, JUN: 9}
    assert rolled(first, Roll("US10", JUN, SEP, 1_203.0, 1_200.0)) == {MAR: -9, JUN: 0, SEP: 9}


def test_what_the_second_of_two_rolls_passes_a_limit_by_is_cut() -> None:
    """9 x 1,150 are 10,350, and were 9,900 before: 8 are 9,200."""
    rolls = Roll("US10", MAR, JUN, 1_000.0, 1_003.0), Roll("US10", JUN, SEP, 1_100.0, 1_150.0)
    assert rolled(*rolls) == {MAR: -9, JUN: 0, SEP: 8}
