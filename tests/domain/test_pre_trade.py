"""A session's orders against the limits of the desk. Does not belong here: the engine's values, or the order job."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest

from trading.book.marks import Mark
from trading.book.orders import Order, order_id
from trading.config.models import DeskSettings
from trading.market.instruments import Instrument, RollParameters
from trading.risk.book import WHOLE, Book, Standing
from trading.risk.breach import Breach
from trading.risk.marked import marked
from trading.risk.market import HOLD, ROLL_SOON, ROLLED, Market
from trading.risk.pre_trade import Sending, adding_orders, judged

FRI, JUN, SEP = date(2022, 2, 25), 20220600, 20220900
PRICES = {("US10", JUN): 1_000.0, ("US10", SEP): 1_000.0, ("GOLD", JUN): 2_000.0}  # a point is a dollar
INSTRUMENTS = {
    code: Instrument(code, code, "CME", "USD", 1.0, 0.25, sort, sort, "US", slippage_points=2.0)
    for code, sort in (("US10", "bond"), ("GOLD", "metal"))
}
CAPITAL = 10_000.0


def order(quantity: int, code: str = "US10", contract: int = JUN) -> Order:
    return Order(order_id(FRI, "trend", code, contract, "target"), "trend", code, contract, FRI, quantity, "target")


def desk(**settings: Any) -> DeskSettings:
    """Ten contracts, twice the capital gross and 5 % of loss, but for what is given."""
    symbols = {"defaults": {"max_position_contracts": 10, **settings.pop("symbols", {})}, **settings.pop("tables", {})}
    risk = {"max_gross_exposure_fraction": 2.0, "max_daily_loss_fraction": 0.05, **settings.pop("risk", {})}
    return DeskSettings.model_validate({"symbols": symbols, "risk": risk, **settings})


def checked(
    orders: list[Order],
    positions: Mapping[tuple[str, int], int],
    settings: DeskSettings | None = None,
    loss: float = 0.0,
    locks: Mapping[str, str] | None = None,
    sending: Sending | None = None,
) -> tuple[list[Order], list[tuple[Order, Breach]]]:
    held = {("trend", code, contract): quantity for (code, contract), quantity in positions.items()}
    keys = {*positions, *((each.instrument, each.contract) for each in orders)}
    marks = {key: Mark(price, FRI) for key, price in PRICES.items()}
    market = marked(FRI, keys, marks, {}, INSTRUMENTS | {"CORN": INSTRUMENTS["GOLD"]}, {"USD": 1.0})
    book = Book(CAPITAL, CAPITAL, held, held, 0.2, {WHOLE: Standing(loss)}, locks=locks or {}, strategies=("trend",))
    found = judged(orders, book, market, settings or desk(), sending=sending)
    return found.approved, found.refused


def refusals(orders: list[Order], positions: Mapping[tuple[str, int], int], loss: float = 0.0) -> dict[str, str]:
    _, refused = checked(orders, positions, loss=loss)
    return {f"{each.instrument} {each.quantity_contracts}": breach.rule for each, breach in refused}


@pytest.mark.parametrize(("quantity", "expected"), [(10, {}), (11, {"US10 11": "position_size"}), (-10, {}),
                                                    (-11, {"US10 -11": "position_size"})])  # fmt: skip
def test_position_at_and_over_its_limit(quantity: int, expected: dict[str, str]) -> None:
    assert refusals([order(quantity)], {}) == expected


def test_position_counts_all_contract_months() -> None:
    assert refusals([order(4, contract=SEP)], {("US10", JUN): 7}) == {"US10 4": "position_size"}
    assert refusals([order(3, contract=SEP)], {("US10", JUN): 7}) == {}


@pytest.mark.parametrize(("quantity", "expected"), [(5, {}), (6, {"GOLD 6": "gross_exposure"})])
def test_gross_exposure_at_and_over_its_limit(quantity: int, expected: dict[str, str]) -> None:
    # 10 contracts of 1,000 short are 10,000; 5 of 2,000 make exactly 20,000.
    assert refusals([order(quantity, "GOLD")], {("US10", JUN): -10}) == expected


@pytest.mark.parametrize(("loss", "expected"), [(500.0, {}), (500.01, {"US10 1": "daily_loss"})])
def test_daily_loss_at_and_over_its_limit(loss: float, expected: dict[str, str]) -> None:
    assert refusals([order(1)], {}, loss) == expected


def test_reducing_orders_always_pass_and_make_room() -> None:
    over = {("US10", JUN): 30}
    assert refusals([order(-5)], over, loss=9_999.0) == {}
    assert refusals([order(-30)], over) == {}
    assert list(refusals([order(-45)], over)) == ["US10 -45"], "through flat to 15 short"
    assert refusals([order(-21)], {("US10", JUN): 10}) == {"US10 -21": "position_size"}, "to 11 short"
    assert refusals([order(-20)], {("US10", JUN): 10}) == {}, "to 10 short"
    # 20,000 are used up; the reduction of US10 sorts after GOLD by id, yet is counted first.
    held = {("US10", JUN): 10, ("GOLD", JUN): 5}
    assert refusals([order(1, "GOLD"), order(-2)], held) == {}


def told(settings: DeskSettings, orders: list[Order], positions: Mapping[tuple[str, int], int] | None = None) -> Any:
    _, refused = checked(orders, positions or {}, settings)
    return [(each.instrument, each.quantity_contracts, breach.rule) for each, breach in refused]


def test_an_order_at_and_over_its_size() -> None:
    narrow = desk(tables={"strategies": {"trend": {"max_order_contracts": 4}}})
    assert told(narrow, [order(4), order(-4, contract=SEP)]) == []
    assert told(narrow, [order(5)]) == [("US10", 5, "order_size")]
    assert told(narrow, [order(-9)], {("US10", JUN): 9}) == [], "what reduces passes"


def test_orders_of_a_session_are_counted_and_reducing_ones_are_not() -> None:
    held = {("US10", SEP): 3}
    orders = [order(1, "GOLD"), order(-2, contract=SEP), order(1)]
    assert told(desk(trading={"orders": {"max_per_session": 1}}), orders, held) == [("US10", 1, "session_orders")]
    assert told(desk(trading={"orders": {"max_per_session": 2}}), orders, held) == []


def test_an_instrument_that_is_not_traded_freely() -> None:
    held = {("US10", JUN): 5}
    orders = [order(-5), order(1, contract=SEP)]
    assert told(desk(symbols={"trading_mode": "free"}), orders, held) == []
    assert told(desk(symbols={"trading_mode": "reduce_only"}), orders, held) == [("US10", 1, "trading_mode")]
    assert told(desk(symbols={"trading_mode": "none"}), orders, held) == [
        ("US10", -5, "trading_mode"), ("US10", 1, "trading_mode"),
    ]  # fmt: skip


def test_exposure_of_an_instrument_at_and_over_its_limit() -> None:
    # 0.4 of 10,000 is 4,000: two contracts of gold, over all its contract months, whichever way.
    narrow = desk(tables={"symbols": {"GOLD": {"max_exposure_fraction": 0.4}}})
    assert told(narrow, [order(2, "GOLD"), order(9)]) == []
    assert told(narrow, [order(3, "GOLD"), order(9)]) == [("GOLD", 3, "instrument_exposure")]


def test_a_limit_of_a_group_holds_for_its_instruments() -> None:
    metal = {"rule": "net_exposure", "by": "asset_class", "asset_class": "metal", "refuse": 0.4}
    settings = desk(risk={"limits": [metal]})
    assert told(settings, [order(2, "GOLD"), order(9)]) == []
    assert told(settings, [order(-3, "GOLD"), order(9)]) == [("GOLD", -3, "net_exposure")]


def test_a_locked_instrument_takes_no_order_not_even_a_reducing_one() -> None:
    held = {("US10", JUN): 10, ("GOLD", JUN): 1}
    orders = [order(-3), order(1, "GOLD"), order(-1, contract=SEP)]
    approved, refused = checked(orders, held, locks={"US10": "US10 is in dispute."})
    assert [each.instrument for each in approved] == ["GOLD"]
    assert [(each.quantity_contracts, breach.rule, breach.message) for each, breach in refused] == [
        (-3, "instrument_lock", "US10 is in dispute."),
        (-1, "instrument_lock", "US10 is in dispute."),
    ]


def test_one_refusal_leaves_the_others_and_says_what_to_do() -> None:
    approved, refused = checked([order(11), order(1, "GOLD")], {})
    assert [each.instrument for each in approved] == ["GOLD"]
    assert refused[0][1].message == (
        "position_size of US10: 11 contracts passes the limit of 10. Reduce the position, or raise "
        "max_position_contracts."
    )
    assert (refused[0][1].item, refused[0][1].value, refused[0][1].limit) == ("US10", 11.0, 10.0)


def test_a_contract_without_a_price_is_refused_as_its_worth_is_not_known() -> None:
    approved, refused = checked([order(1, "CORN"), order(1, "GOLD")], {})
    assert [each.instrument for each in approved] == ["GOLD"]
    assert refused[0][1].rule == "missing:gross_exposure"
    assert "Load them" in refused[0][1].message


def test_what_is_held_without_a_price_stops_what_adds_and_not_what_reduces() -> None:
    held = {("CORN", JUN): 3}
    _, refused = checked([order(1), order(-1, "CORN")], held)
    assert [(each.instrument, breach.rule) for each, breach in refused] == [("US10", "missing:gross_exposure")]


def test_no_orders_need_no_engine() -> None:
    assert checked([], {}) == ([], [])


def test_an_order_that_takes_something_on_for_anybody_adds() -> None:
    held = {("trend", "US10", JUN): 5, ("carry", "US10", JUN): 3, ("carry", "US10", SEP): -6, ("trend", "GOLD", JUN): 4}
    sells = [order(-1), order(-2), order(-3), order(-4, "GOLD"), order(-5, "GOLD"), order(1, "GOLD")]
    assert [(each.instrument, each.quantity_contracts) for each in adding_orders(sells, held)] == [
        ("US10", -3), ("GOLD", -5), ("GOLD", 1),
    ], "5 + 3 - 6 = 2 of US10 are held in all"  # fmt: skip
    others = [replace(order(-1), strategy="carry"), replace(order(1), strategy="new")]
    assert adding_orders(others, held) == others, "carry is short in all, new holds nothing"


# --- rates ------------------------------------------------------------------------------------------------------------
THREE = [order(1, code, contract) for code, contract in sorted(PRICES)]


def rates(orders: int = 1000, trades: int = 1000) -> DeskSettings:
    limits = [{"rule": "order_rate", "refuse": orders}, {"rule": "trade_rate", "refuse": trades}]
    return desk(risk={"limits": limits})


def test_orders_of_which_nobody_knows_when_they_go_out_are_each_the_only_one_of_their_minute() -> None:
    assert told(rates(orders=1), THREE) == []
    assert [rule for *_, rule in told(rates(orders=0), THREE[1:])] == ["order_rate"] * 2


def test_orders_that_go_out_at_once_are_of_one_minute() -> None:
    approved, refused = checked(THREE[1:], {}, rates(orders=1), sending=Sending(1_000.5))
    assert [each.contract for each in approved] == [JUN]
    assert [breach.rule for _, breach in refused] == ["order_rate"]
    assert checked(THREE[1:], {}, rates(orders=2), sending=Sending(1_000.5))[1] == []


def test_orders_sent_before_count_for_a_minute_and_only_as_sent() -> None:
    one, other = THREE[1:]
    held = {("US10", JUN): 0}  # the contract is known
    within, before = Sending(1_000.0, [(941.0, one)]), Sending(1_000.0, [(940.0, one)])
    refused = checked([other], held, rates(orders=1), sending=within)[1]
    assert [(breach.rule, breach.value) for _, breach in refused] == [("order_rate", 2.0)]
    assert checked([other], held, rates(orders=1), sending=before)[1] == []
    once = {"trading": {"orders": {"max_per_session": 1}}, "symbols": {"max_position_contracts": 1}}
    assert checked([other], held, desk(**once), sending=within)[1] == [], "neither an order of the session nor at work"


@pytest.mark.parametrize("sending", [None, Sending(1_000.0)])
def test_what_passes_is_no_trade_yet(sending: Sending | None) -> None:
    assert checked(THREE[1:], {}, rates(trades=0), sending=sending)[1] == []


# --- the market of marks ----------------------------------------------------------------------------------------------
def market(**changes: Any) -> Market:
    marks = {("US10", JUN): Mark(-1_000.0, FRI - timedelta(days=4)), ("GOLD", JUN): Mark(2_000.0, FRI)}
    keys = [("US10", JUN), ("GOLD", JUN), ("US10", SEP)]
    given = {"held": {"US10": SEP}, "rates": {"USD": 0.5}, **changes}
    return marked(FRI, keys, marks, given["held"], INSTRUMENTS, given["rates"], given.get("risk"))


def test_contracts_at_their_marks() -> None:
    found = market()
    assert found.contracts == (("GOLD", JUN), ("US10", JUN), ("US10", SEP))
    assert found.notional_base[:2].tolist() == [1_000.0, 500.0]
    assert np.isnan(found.notional_base[2])
    assert found.mark_age_sessions[:2].tolist() == [0.0, 4.0], "Monday to Friday"
    assert found.roll_state.tolist() == [0, ROLLED, 0], "an earlier month than the one to hold"
    assert found.spread_fraction[0] == 4.0 / 2_000.0
    assert found.groups["asset_class"].names == ("bond", "metal")
    assert np.isnan(found.volatility_base).all()


def test_ages_and_states_of_rolling_are_those_of_the_model_that_others_are_judged_by() -> None:
    """New Year's Day of 2021 was a Friday: from Thursday to Monday is one session. March is due on 8 January."""
    monday, march, expired = date(2021, 1, 4), 20210300, 20201200
    keys, rolls = [("GOLD", expired), ("GOLD", march), ("GOLD", JUN)], RollParameters("GOLD", "HMUZ", "HMUZ", -52, 0, 1)
    found = marked(
        monday, keys, {("GOLD", march): Mark(1.0, date(2020, 12, 31))}, {"GOLD": march}, INSTRUMENTS, {"USD": 1.0},
        None, {"GOLD": rolls},
    )  # fmt: skip
    assert found.mark_age_sessions.tolist()[1] == 1.0
    assert np.isnan(found.mark_age_sessions[[0, 2]]).all()
    assert found.roll_state.tolist() == [ROLLED, ROLL_SOON, HOLD]
    unknown = marked(monday, keys, {}, {}, INSTRUMENTS, {"USD": 1.0}, None, {"GOLD": rolls})
    assert unknown.roll_state.tolist() == [ROLLED, HOLD, HOLD], "nobody says which one is held, one is over"


def test_the_version_names_what_is_in_it() -> None:
    assert market().version == market().version
    assert market().version != market(rates={"USD": 0.6}).version


def test_facts_of_a_model_are_taken_by_instrument_and_others_are_missing() -> None:
    whole = market()
    model = Market(
        "m", FRI, ("US10",), (("US10", JUN),), np.zeros(1, np.int64), np.ones(1), np.zeros(1), np.ones(1),
        np.zeros(1, np.int64), np.array([7.0]), np.array([50.0]), np.array([20.0]), np.ones(1), np.array([9.0]),
        whole.groups, ("rates",), np.array([[3.0]]), np.zeros((0, 1)), ("crash",), np.array([[-5.0]]),
        np.array([[1.0], [-2.0]]), np.array([[7.0]]), np.array([0.0]),
    )  # fmt: skip
    found = market(risk=model)
    assert found.volatility_base.tolist()[1] == 7.0
    assert np.isnan(found.volatility_base[0])
    assert found.scenarios[:, 1].tolist() == [1.0, -2.0]
    assert np.isnan(found.scenarios[:, 0]).all()
    assert (found.factors, found.stress_names, found.stresses[0, 1]) == (("rates",), ("crash",), -5.0)
