"""Rolls against the limits of the whole book: what leaves, and how much goes into the next contract.

Does not belong here: which legs a roll has (test_orders_and_rolls.py), or a desk that rolls (test_judged_rolls.py).
Ten thousand of capital; a contract of US10 is worth 1,000 in June, and what a case says in September.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import pytest

from trading.book.marks import Mark
from trading.book.orders import Order
from trading.book.rolls import Pair, Roll, roll_orders
from trading.config.models import DeskSettings
from trading.market.instruments import Instrument
from trading.risk.book import WHOLE, Book, Standing
from trading.risk.decision import Asked
from trading.risk.halts import HaltMode, new_halt
from trading.risk.marked import marked
from trading.risk.reservations import Reserved
from trading.risk.roll_legs import RollVerdict, judged_roll

FRI, JUN, SEP, CAPITAL = date(2022, 2, 25), 20220600, 20220900, 10_000.0
NOTHING_LOST = Standing()
US10 = Instrument("US10", "US10", "CME", "USD", 1.0, 0.25, "bond", "bond", "US", slippage_points=2.0)
Held = Mapping[str, int]  # contracts of June by strategy


def desk(limits: Sequence[Mapping[str, Any]] = (), gross: float = 20.0, **symbols: Any) -> DeskSettings:
    risk = {"max_gross_exposure_fraction": gross, "limits": [dict(limit) for limit in limits]}
    return DeskSettings.model_validate({"symbols": {"defaults": symbols}, "risk": risk})


def rolled(
    held: Held, settings: DeskSettings, september: float = 1_010.0, halt: tuple[str, str, HaltMode] | None = None,
    locks: Mapping[str, str] | None = None, standing: Standing = NOTHING_LOST, others: Sequence[Reserved] = (),
    also: Mapping[tuple[str, str, int], int] | None = None,
) -> RollVerdict:  # fmt: skip
    positions = {(name, "US10", JUN): count for name, count in held.items()} | dict(also or {})
    pairs: list[Pair] = []

    def seen(found: Sequence[Pair], _: object) -> list[Order]:
        pairs.extend(found)
        return []

    roll_orders(FRI, [Roll("US10", JUN, SEP, 1_000.0, september)], positions, [], seen)
    marks = {("US10", JUN): Mark(1_000.0, FRI), ("US10", SEP): Mark(september, FRI)}
    market = marked(FRI, marks, marks, {"US10": SEP}, {"US10": US10}, {"USD": 1.0})
    names = tuple(sorted({*held, "other"}))
    lost = dict.fromkeys((WHOLE, *names), standing)
    book = Book(CAPITAL, CAPITAL, positions, positions, 0.2, lost, locks=locks or {}, strategies=names)
    halts = [new_halt(*halt, "anna", "a drill", datetime(2022, 2, 25, tzinfo=UTC))] if halt else []
    return judged_roll(pairs, book, market, settings, halts, held=others)


def legs(found: RollVerdict) -> list[tuple[str, int, int]]:
    return [(leg.strategy, leg.contract, leg.quantity_contracts) for leg in found.approved]


def into(found: RollVerdict) -> dict[str, int]:
    """What goes into September, by strategy."""
    return {leg.strategy: leg.quantity_contracts for leg in found.approved if leg.contract == SEP}


def test_a_roll_within_all_limits_leaves_whole() -> None:
    found = rolled({"trend": 10}, desk(gross=1.01))  # 10 x 1,010 are 1.01 times the capital: at the limit
    assert legs(found) == [("trend", JUN, -10), ("trend", SEP, 10)]
    assert found.refused == []
    assert [each.outcome for each in (*found.out, *found.into)] == ["pass", "pass"]
    (gross,) = (row for row in found.into[0].rules if (row.rule, row.axis) == ("gross_exposure", "portfolio"))
    assert (gross.value, gross.limit) == (pytest.approx(1.01, abs=1e-12), 1.01)


def test_what_passes_a_limit_by_rolling_does_not_go_into_the_next_contract() -> None:
    found = rolled({"trend": 10}, desk(gross=1.0))  # 9 x 1,010 are 9,090, 10 are 10,100
    assert legs(found) == [("trend", JUN, -10), ("trend", SEP, 9)]
    ((left, breach),) = found.refused
    assert (left.order_id, left.contract, left.quantity_contracts) == (
        "2022-02-25:trend:US10:20220900:roll-20220600-20220900:rest", SEP, 1
    )  # fmt: skip
    assert (breach.rule, breach.item, breach.value, breach.limit) == ("gross_exposure", "book", pytest.approx(1.01), 1)
    assert breach.message.endswith(
        "1 contracts of trend leave US10/20220600 and do not go into 20220900: only an order towards a target may "
        "trade them again."
    )
    whole, part = found.into
    assert (whole.outcome, whole.granted_contracts, whole.asked.quantity_contracts) == ("refuse", 0, 10)
    assert (part.outcome, part.granted_contracts, part.asked.order_id) == (
        "pass",
        9,
        left.order_id.removesuffix(":rest"),
    )
    assert whole.asked.order_id == left.order_id
    assert [each.outcome for each in found.out] == ["pass"]


@pytest.mark.parametrize(("september", "kept"), [(990.0, 11), (1_000.0, 11), (1_000.5, 10), (1_010.0, 10),
                                                 (1_150.0, 9), (12_000.0, 0)])  # fmt: skip
def test_a_book_beyond_a_limit_keeps_what_makes_it_no_worse(september: float, kept: int) -> None:
    """11 x 1,000 are 1.1 times the capital, of which 1 is let through: as much as that may stay, and is not sold."""
    assert into(rolled({"trend": 11}, desk(gross=1.0), september)).get("trend", 0) == kept


def test_where_nothing_is_left_what_is_held_leaves_all_the_same() -> None:
    found = rolled({"trend": -2}, desk([{"rule": "contract_position", "refuse": 0}]))
    assert legs(found) == [("trend", JUN, 2)]
    ((left, breach),) = found.refused
    assert (left.order_id, left.quantity_contracts, breach.rule) == (
        "2022-02-25:trend:US10:20220900:roll-20220600-20220900", -2, "contract_position"
    )  # fmt: skip
    assert [(each.outcome, each.asked.order_id) for each in found.into] == [("refuse", left.order_id)]


def test_all_strategies_are_cut_in_proportion() -> None:
    found = rolled({"carry": 4, "trend": 8}, desk([{"rule": "contract_position", "refuse": 6}]))
    assert into(found) == {"carry": 2, "trend": 4}
    assert [(left.strategy, left.quantity_contracts) for left, _ in found.refused] == [("carry", 2), ("trend", 4)]
    assert {leg.contract: leg.quantity_contracts for leg in found.approved if leg.strategy == "trend"} == {
        JUN: -8,
        SEP: 4,
    }


def test_positions_that_offset_each_other_do_so_while_they_roll() -> None:
    """5 and -3 are 2 in each month. One after the other they would be 8 for a moment: 5 in September, 3 in June."""
    found = rolled({"carry": -3, "trend": 5}, desk(gross=0.202))
    assert into(found) == {"carry": -3, "trend": 5}
    assert found.refused == []


STANDS = {
    "a loss": {"standing": Standing(600.0, 900.0, 0.3)},
    "a halt but for reducing": {"halt": ("everything", "", "reduce_only")},
    "a halt but for closing": {"halt": ("instrument", "US10", "close_only")},
    "a lock": {"locks": {"US10": "an open break"}},
}
NEVER_ASKED = [
    {"rule": "order_rate", "refuse": 0}, {"rule": "session_orders", "warn": 0}, {"rule": "drawdown", "refuse": 0.1},
    {"rule": "roll_state", "refuse": 0}, {"rule": "price_collar", "refuse": 0},
]  # fmt: skip


@pytest.mark.parametrize("given", STANDS.values(), ids=STANDS)
def test_what_stops_new_risk_stops_no_roll(given: dict[str, Any]) -> None:
    found = rolled({"trend": 10}, desk(NEVER_ASKED), **given)
    assert legs(found) == [("trend", JUN, -10), ("trend", SEP, 10)]
    told = {reason.code for each in (*found.out, *found.into) for reason in each.reasons}
    assert told == ({"instrument_lock"} if "locks" in given else set())  # it is not known what is held: that is told


STOPS = {
    "a halt of everything": ({"halt": ("everything", "", "nothing")}, {}, (), "halt"),
    "a halt of the strategy": ({"halt": ("strategy", "trend", "nothing")}, {}, (), "halt"),
    "an instrument that is not traded": ({}, {"trading_mode": "none"}, (), "trading_mode"),
    "an instrument on the restricted list": (
        {}, {}, ({"rule": "restricted", "instrument": "US10", "refuse": 0},), "restricted"),
}  # fmt: skip


@pytest.mark.parametrize(("given", "symbols", "limits", "rule"), STOPS.values(), ids=STOPS)
def test_what_lets_nothing_be_traded_stops_both_legs(given: Any, symbols: Any, limits: Any, rule: str) -> None:
    found = rolled({"trend": 10}, desk(limits, **symbols), **given)
    assert found.approved == []
    assert [(leg.contract, leg.quantity_contracts, breach.rule) for leg, breach in found.refused] == [
        (JUN, -10, rule), (SEP, 10, rule)
    ]  # fmt: skip
    assert "10 contracts of trend stay in US10/20220600, which rolls" in found.refused[0][1].message
    assert [each.outcome for each in found.out] == ["refuse"]
    assert found.into == []


def test_a_halt_of_one_strategy_lets_the_others_roll() -> None:
    found = rolled({"carry": 4, "trend": 8}, desk(), halt=("strategy", "trend", "nothing"))
    assert legs(found) == [("carry", JUN, -4), ("carry", SEP, 4)]
    assert {left.strategy for left, _ in found.refused} == {"trend"}


def test_an_instrument_that_may_only_be_reduced_rolls() -> None:
    assert into(rolled({"trend": 10}, desk(trading_mode="reduce_only"))) == {"trend": 10}


SIZES = [
    ({"rule": "order_notional", "refuse": 0.5}, {}),
    ({"rule": "position_change", "refuse": 5, "reducing": "judge"}, {}),
    ({"rule": "contract_position_change", "refuse": 5}, {}),
    ({"rule": "order_size", "warn": 4}, {"max_order_contracts": 5}),
]


@pytest.mark.parametrize(("limit", "symbols"), SIZES, ids=lambda given: given.get("rule", ""))
def test_the_size_of_an_order_warns_and_does_not_sell_what_is_held(limit: dict[str, Any], symbols: Any) -> None:
    found = rolled({"trend": 10}, desk([limit], **symbols))
    assert into(found) == {"trend": 10}
    if limit["rule"] == "position_change":  # of its instrument as much is held as before
        assert found.into[0].outcome == "pass"
    else:
        assert [reason.code for reason in found.into[0].reasons] == [limit["rule"]]
        (row,) = (row for row in found.into[0].rules if row.rule == limit["rule"] and row.outcome == "warn")
        assert (row.limit, row.warn) == (float("inf"), limit.get("warn", limit.get("refuse")))


def test_a_limit_says_whether_it_cuts_a_roll() -> None:
    notional = {"rule": "order_notional", "refuse": 0.5}  # 5,000: 4 contracts of 1,010
    assert into(rolled({"trend": 10}, desk([notional | {"rolling": "cut"}]))) == {"trend": 4}
    contract = {"rule": "contract_position", "refuse": 6}
    assert into(rolled({"trend": 10}, desk([contract]))) == {"trend": 6}
    found = rolled({"trend": 10}, desk([contract | {"rolling": "warn"}]))
    assert (into(found), [reason.code for reason in found.into[0].reasons]) == ({"trend": 10}, ["contract_position"])


def test_a_leg_that_offsets_what_is_held_of_the_next_contract_is_judged_as_any() -> None:
    """18 are short in September: 5 bought there reduce, which an order's own limits would let pass unseen."""
    notional = {"rule": "order_notional", "refuse": 0.2, "rolling": "cut"}  # 2,000: 1 contract of 1,010
    found = rolled({"trend": 5}, desk([notional]), also={("trend", "US10", SEP): -18})
    assert into(found) == {"trend": 1}


def test_what_cannot_be_measured_is_told_and_sells_nothing() -> None:
    limits = [{"rule": "portfolio_volatility", "refuse": 1.5}, {"rule": "participation", "refuse": 0.1}]
    found = rolled({"trend": 10}, desk(limits))  # neither volatility nor volumes are known
    assert into(found) == {"trend": 10}
    assert [reason.code for reason in found.into[0].reasons] == [
        "missing:participation",
        "missing:portfolio_volatility",
    ]


def test_what_others_hold_is_counted() -> None:
    """3 of June that somebody was granted, and 10 held: 13,000 at worst. With 10 of September that is 13,100."""
    granted = Reserved("mark", (Asked("other", "US10", JUN, 3, None, "theirs"),), False, 0.0, 1e12)
    assert into(rolled({"trend": 10}, desk(gross=1.31), others=[granted])) == {"trend": 10}
    assert into(rolled({"trend": 10}, desk(gross=1.30), others=[granted])) == {"trend": 9}
    assert into(rolled({"trend": 10}, desk(gross=1.30))) == {"trend": 10}
