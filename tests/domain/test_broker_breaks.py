"""Every kind of break with the broker, one at a time, and what each does from session to session.

Does not belong here: brokers, or many breaks at once (`test_seeded_breaks.py`).
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import permutations

import pytest

from resources.memory import MemoryLedger
from trading.book.break_life import Reporter, assigned, closed, follow
from trading.book.breaks import (
    Finding,
    age_sessions,
    breaks_of,
    locked,
    open_before,
    open_breaks,
    session_rows,
    stopping,
)
from trading.book.journal import Event
from trading.book.orders import Fill
from trading.book.our_side import OurSide
from trading.book.reconciliation import Asked, Ours, reconcile
from trading.book.statements import Statement
from trading.book.trade_matching import Trades
from trading.config.trading import ReconciliationSettings
from trading.market.instruments import Instrument

THU, FRI, MON = date(2022, 2, 24), date(2022, 2, 25), date(2022, 2, 28)
TUE, WED = date(2022, 3, 1), date(2022, 3, 2)
JUN, SEP = 20220600, 20220900
SETTINGS = ReconciliationSettings(owner="anna")
NIGHT = datetime(2022, 2, 26, 1, tzinfo=UTC)
US10 = Instrument("US10", "Ten years", "CBOT", "USD", 1000.0, 0.01, "rates", "bonds", "US")
GOLD = Instrument("GOLD", "Gold", "COMEX", "USD", 100.0, 0.1, "metals", "precious", "US")
KNOWN = {"US10": US10, "GOLD": GOLD}


def trade(name: str, quantity: int, price: float = 127.5, **more: object) -> Fill:
    values = {"order_id": f"o-{name}", "strategy": "trend", "instrument": "US10", "contract": JUN, "session": FRI}
    return Fill(name, quantity_contracts=quantity, price_points=price, **{**values, **more})


def said(**given: object) -> Asked:
    return Asked("ib", Statement("ib", **{"session": FRI, "positions": {}, **given}))


def found(ours: Ours, answer: Asked, session: date = FRI) -> list[Finding]:
    return list(reconcile(ours, answer, session, SETTINGS).findings)


def numbers(findings: Iterable[Finding]) -> list[tuple]:
    return [(each.kind, each.item, each.ours, each.theirs) for each in findings]


# --- one comparison ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("ours", "theirs", "expected"), [
    ({("US10", JUN): 3}, {("US10", JUN): 3}, []),
    ({}, {("US10", JUN): 3}, [("missing_here", "US10/20220600", 0.0, 3.0)]),
    ({("US10", JUN): 3}, {}, [("missing_there", "US10/20220600", 3.0, 0.0)]),
    ({("US10", JUN): 3}, {("US10", JUN): -3}, [("quantity", "US10/20220600", 3.0, -3.0)]),
    ({("US10", JUN): 3}, {("US10", SEP): 3}, [("missing_here", "US10/20220900", 0.0, 3.0),
                                              ("missing_there", "US10/20220600", 3.0, 0.0)]),
])  # fmt: skip
def test_positions_by_contract(ours: dict, theirs: dict, expected: list) -> None:
    assert numbers(found(Ours(ours), said(positions=theirs))) == expected


@pytest.mark.parametrize(("theirs", "expected"), [
    (127.5, []), (127.5 * 1.00009, []), (127.53, [("price", "US10/20220600", 127.5, 127.53)]), (float("nan"), []),
])  # fmt: skip
def test_average_prices_agree_to_a_ten_thousandth(theirs: float, expected: list) -> None:
    key = ("US10", JUN)
    answer = said(positions={key: 3}, average_points={key: theirs})
    assert numbers(found(Ours({key: 3}, {key: 127.5}), answer)) == expected


def test_the_price_of_positions_that_differ_is_not_looked_at() -> None:
    key = ("US10", JUN)
    answer = said(positions={key: 4}, average_points={key: 200.0})
    assert [each.kind for each in found(Ours({key: 3}, {key: 127.5}), answer)] == ["quantity"]


@pytest.mark.parametrize(("ours", "theirs", "expected"), [
    ({"USD": 100.0, "EUR": 0.005}, {"USD": 100.009}, []),
    ({"USD": 100.0}, {"USD": 100.02}, [("cash", "USD", 100.0, 100.02)]),
    ({}, {"EUR": 7.0}, [("cash", "EUR", 0.0, 7.0)]),
    ({"USD": 100.0}, {}, [("cash", "USD", 100.0, 0.0)]),
    ({"USD": 100.0}, None, []),
])  # fmt: skip
def test_cash_agrees_to_a_cent_over_the_currencies_of_both_sides(ours: dict, theirs: dict, expected: list) -> None:
    assert numbers(found(Ours({}, cash_local=ours), said(cash_local=theirs))) == expected


def test_cash_of_an_account_that_settles_daily_has_the_profit_of_open_positions() -> None:
    ours = Ours({}, cash_local={"USD": -382_500.0}, settled_local={"USD": 1_500.0})
    assert found(ours, said(cash_local={"USD": 1_500.0}, settles_daily=True)) == []
    unknown = replace(ours, settled_local=None)
    assert found(unknown, said(cash_local={"USD": 7.0}, settles_daily=True)) == []


@pytest.mark.parametrize(("answer", "kind", "word"), [
    (Asked("ib", None), "statement_missing", "no statement for 2022-02-25"),
    (Asked("ib", None, "broker ib did not answer: the line is dead."), "statement_missing", "the line is dead"),
    (said(session=THU), "stale", "is of 2022-02-24"),
    (said(as_of=datetime(2022, 2, 24, 17, 59, tzinfo=UTC)), "stale", "2022-02-24 17:59"),
])  # fmt: skip
def test_what_is_no_answer_is_one_break_and_never_flat(answer: Asked, kind: str, word: str) -> None:
    ours = Ours({("US10", JUN): 3}, cash_local={"USD": 5.0}, trades=Trades([trade("a", 3)]))
    (only,) = found(ours, answer)
    assert (only.kind, only.item, only.ours, only.theirs) == (kind, "ib", None, None)
    assert word in only.message


def test_a_statement_drawn_up_thirty_hours_before_the_end_of_the_session_still_counts() -> None:
    assert found(Ours({}), said(as_of=datetime(2022, 2, 24, 18, tzinfo=UTC))) == []


def test_contracts_that_nobody_knows() -> None:
    ours = Ours({}, worth={"US10": ("USD", 1000.0)})
    answer = said(positions={("RICE", JUN): 2}, unknown=("ZRN2",))
    assert numbers(found(ours, answer)) == [
        ("unknown_contract", "RICE/20220600", 0.0, 2.0), ("unknown_contract", "ZRN2", None, None)
    ]  # fmt: skip


def test_totals_of_strategies_are_compared_with_the_journal() -> None:
    kept = {("trend", "US10", JUN): 3, ("carry", "US10", JUN): -1}
    journal = {("trend", "US10", JUN): 2, ("carry", "US10", JUN): -1}
    ours = Ours({("US10", JUN): 1}, totals=(kept, journal))
    answer = said(positions={("US10", JUN): 1})
    assert numbers(found(ours, answer)) == [("strategy_total", "US10/20220600/trend", 3.0, 2.0)]
    assert "strategy_total" in [each.kind for each in found(ours, Asked("ib", None))]


# --- trades one by one ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("ours", "theirs", "expected"), [
    ([trade("a", 2)], [trade("a", 2)], []),
    ([trade("a", 2)], [trade("x", 2)], []),
    ([trade("a", 5, 127.5)], [trade("x", 3, 127.4), trade("y", 2, 127.65)], []),  # 382.2 + 255.3 = 5 x 127.5
    ([trade("a", 2)], [], [("trade_missing_there", "US10/20220600/a", 2.0, 0.0)]),
    ([], [trade("x", -2)], [("trade_missing_here", "US10/20220600/x", 0.0, -2.0)]),
    ([trade("a", 2)], [trade("a", 3)], [("trade", "US10/20220600/a", 2.0, 3.0)]),
    ([trade("a", 2)], [trade("a", 2, 128.0)], [("trade", "US10/20220600/a", 127.5, 128.0)]),
    ([trade("a", 2)], [trade("x", 2, 128.0)], [("trade", "US10/20220600/a", 127.5, 128.0)]),
    ([trade("a", 2), trade("b", 2)], [trade("x", 2)], [("trade_missing_there", "US10/20220600/b", 2.0, 0.0)]),
    ([trade("a", 2)], [trade("a", 2, contract=SEP)], [("trade_missing_here", "US10/20220900/a", 0.0, 2.0),
                                                      ("trade_missing_there", "US10/20220600/a", 2.0, 0.0)]),
])  # fmt: skip
def test_trades(ours: list, theirs: list, expected: list) -> None:
    found_each = [found(Ours({}, trades=Trades(list(some))), said(trades=tuple(theirs))) for some in permutations(ours)]
    assert numbers(found_each[0]) == expected
    assert len({len(each) for each in found_each}) == 1


def test_trades_are_not_missing_where_the_statement_lists_none() -> None:
    assert found(Ours({}, trades=Trades([trade("a", 2)])), said()) == []


def test_what_is_only_late_is_said_to_be() -> None:
    late = trade("a", 2, executed_at="2022-02-26T02:00:00+00:00")
    early = trade("x", -1, session=MON)
    ours = Ours(
        {("US10", JUN): 2}, cash_local={"USD": -255_000.0}, trades=Trades([late]), worth={"US10": ("USD", 1000.0)}
    )
    there = found(ours, said(as_of=NIGHT, trades=()))
    assert {(each.kind, each.timing) for each in there} == {
        ("trade_missing_there", True), ("missing_there", True), ("cash", True)
    }  # fmt: skip
    here = found(Ours({}), said(trades=(early,)))
    assert [(each.kind, each.timing) for each in here] == [("trade_missing_here", True)]
    on_time = trade("a", 2, executed_at="2022-02-25T20:00:00+00:00")
    (punctual, _) = found(replace(ours, trades=Trades([on_time]), cash_local={}), said(as_of=NIGHT, trades=()))
    assert not punctual.timing


# --- our side ---------------------------------------------------------------------------------------------------------
def event(kind: str, name: str, on: date = FRI, **payload: object) -> Event:
    return Event(f"{kind}:{name}", kind, on, NIGHT, "test", {"strategy": "trend", **payload})


def fill(name: str, quantity: int, price: float, session: date = FRI, **more: object) -> Event:
    told = trade(name, quantity, price, session=session, **more)
    values = {
        "fill_id": name, "order_id": told.order_id, "strategy": told.strategy, "instrument": told.instrument,
        "contract": told.contract, "session": session.isoformat(), "quantity_contracts": quantity,
        "price_points": price, "commission_local": told.commission_local, "executed_at": told.executed_at,
    }  # fmt: skip
    return event("fill", name, session, **values)


def test_our_side_counts_corrections_busts_adjustments_and_cash() -> None:
    side = OurSide()
    side.take([fill("a", 1, 100.0), fill("b", 1, 110.0), fill("c", 5, 90.0)], KNOWN)
    corrected = event("fill_corrected", "b:1", MON, **{**fill("b", 1, 120.0).payload, "version": 1})
    busted = event("fill_busted", "c", MON, fill_id="c", instrument="US10", contract=JUN, reason="not ours")
    adjusted = event("position_adjusted", "d", MON, adjustment_id="d", instrument="US10", contract=JUN,
                     session="2022-02-28", quantity_contracts=2, price_points=115.0, reason="given up")  # fmt: skip
    paid = Event("cash:1", "cash_booked", MON, NIGHT, "test", {"currency": "EUR", "amount_local": 12.5})
    side.take([corrected, busted, adjusted, paid], KNOWN)
    ours = side.ours(KNOWN, [("US10", JUN), ("US10", SEP)])
    assert ours.positions == {("US10", JUN): 4}
    # 100 and 120 and twice 115: 450 / 4. Cash: all at 1,000 a point, what was taken back has come back.
    assert ours.average_points == {("US10", JUN): 112.5}
    assert ours.cash_local == {"USD": -450_000.0, "EUR": 12.5}
    assert ours.trades.today == []
    assert sorted(ours.trades.standing) == ["a", "b", "d"]


def test_the_average_price_is_moved_by_opening_trades_only() -> None:
    side = OurSide()
    side.take([fill("a", 2, 100.0), fill("b", 2, 110.0), fill("c", -3, 500.0)], KNOWN)
    assert side.average(("US10", JUN)) == 105.0
    side.take([fill("d", -3, 90.0, MON)], KNOWN)  # through flat to 2 short
    assert side.average(("US10", JUN)) == 90.0
    side.take([fill("e", 2, 95.0, TUE)], KNOWN)
    assert side.average(("US10", JUN)) is None


@pytest.mark.parametrize("kind", ["order_cancelled", "order_expired", "order_refused", "order_rejected"])
def test_a_fill_of_an_order_that_was_withdrawn(kind: str) -> None:
    side = OurSide()
    side.take([fill("b", 1, 100.0), event(kind, "a", order_id="o-a"), event(kind, "b", order_id="o-b")], KNOWN)
    side.take([fill("a", 2, 100.0, MON)], KNOWN)
    (only,) = found(side.ours(KNOWN), said(session=MON, positions={("US10", JUN): 3}, cash_local=None), MON)
    assert (only.kind, only.item, only.theirs) == ("withdrawn_filled", "o-a", 2.0)
    side.take([event("fill_busted", "a", TUE, fill_id="a", instrument="US10", contract=JUN, reason="theirs")], KNOWN)
    assert found(side.ours(KNOWN), said(session=TUE, positions={("US10", JUN): 1}, cash_local=None), TUE) == []


# --- the life of a break ----------------------------------------------------------------------------------------------
class Kept:
    """A ledger in memory, and sessions reconciled against it."""

    def __init__(self) -> None:
        self.ledger = MemoryLedger()

    @property
    def breaks(self) -> list:
        return breaks_of(self.ledger.rows("breaks"))

    def run(self, session: date, ours: Ours, answer: Asked | None) -> list[tuple]:
        """Reconciles, and gives kind, item and age of what is open."""
        told = answer or Asked("ib", None)
        comparison = reconcile(ours, told, session, SETTINGS, open_before(self.breaks, session))
        self.ledger.record(follow(comparison, self.breaks, self.reporter(session)))
        rows = session_rows(self.breaks, session, comparison)
        return [(row["kind"], row["item"], row["age_sessions"]) for row in rows]

    def held(self, session: date, ours: int, theirs: int) -> list[tuple]:
        key = ("US10", JUN)
        return self.run(session, Ours({key: ours}), said(session=session, positions={key: theirs}))

    def reporter(self, session: date, actor: str = "reconciliation") -> Reporter:
        heads = self.ledger.heads()
        entries = heads["breaks"].number if "breaks" in heads else 0
        return Reporter(session, NIGHT, actor, entries, SETTINGS.owner)


ITEM = "US10/20220600"


def test_a_break_is_opened_aged_and_closed_when_it_healed() -> None:
    kept = Kept()
    assert kept.held(FRI, 3, 4) == [("quantity", ITEM, 0)]
    assert kept.held(MON, 3, 4) == [("quantity", ITEM, 1)]
    assert kept.held(TUE, 3, 5) == [("quantity", ITEM, 2)]
    assert kept.held(WED, 5, 5) == []
    (row,) = kept.ledger.rows("breaks")
    assert (row["break_id"], row["opened"], row["seen"]) == (f"quantity:{ITEM}:2022-02-25", "2022-02-25", "2022-03-01")
    assert (row["ours"], row["theirs"], row["owner"]) == (3.0, 5.0, "anna")
    assert (row["state"], row["closed"], row["closed_by"]) == ("closed", "2022-03-02", "reconciliation")
    assert row["reason"] == "both sides agree on 2022-03-02"
    assert [entry.event.kind for entry in kept.ledger.entries(streams=["breaks"])] == [
        "break_opened", "break_seen", "break_seen", "break_closed"
    ]  # fmt: skip


def test_the_same_session_again_records_nothing() -> None:
    kept = Kept()
    for session, theirs in ((FRI, 4), (FRI, 4), (MON, 4), (MON, 4), (TUE, 3), (TUE, 3)):
        before = kept.ledger.sequence()
        kept.held(session, 3, theirs)
        again = kept.ledger.sequence()
        kept.held(session, 3, theirs)
        assert kept.ledger.sequence() == again
        assert again - before in (0, 1)
    assert kept.ledger.sequence() == 3


def test_a_session_that_changes_back_and_forth_is_followed() -> None:
    kept = Kept()
    for theirs in (4, 5, 4, 5, 3, 4, 3, 4):
        expected = [] if theirs == 3 else [("quantity", ITEM, 0)]
        assert kept.held(FRI, 3, theirs) == expected
    ids = [found.break_id for found in kept.breaks]
    assert ids == [f"quantity:{ITEM}:2022-02-25", f"quantity:{ITEM}:2022-02-25:2", f"quantity:{ITEM}:2022-02-25:3"]
    assert [found.state for found in kept.breaks] == ["closed", "closed", "open"]


def test_a_break_of_a_position_keeps_its_age_when_its_kind_changes() -> None:
    kept = Kept()
    kept.held(FRI, 3, 0)
    assert kept.held(MON, 3, 1) == [("quantity", ITEM, 1)]
    old, new = sorted(kept.breaks, key=lambda found: found.kind, reverse=True)[1], kept.breaks[-1]
    assert {(each.kind, each.state) for each in (old, new)} == {("missing_there", "closed"), ("quantity", "open")}
    assert kept.held(TUE, 3, 3) == []


def test_without_an_answer_breaks_age_and_none_heals() -> None:
    kept = Kept()
    kept.held(FRI, 3, 4)
    assert kept.run(MON, Ours({}), None) == [("quantity", ITEM, 1), ("statement_missing", "ib", 0)]
    assert kept.run(TUE, Ours({}), said(session=MON)) == [
        ("quantity", ITEM, 2), ("statement_missing", "ib", 1), ("stale", "ib", 0)
    ]  # fmt: skip
    assert kept.held(WED, 3, 3) == []
    assert {found.reason for found in kept.breaks if found.item == "ib"} == {"there is a statement of 2022-03-02"}


def test_an_earlier_session_again_changes_nothing_that_later_ones_found() -> None:
    kept = Kept()
    kept.held(FRI, 3, 4)
    kept.held(MON, 3, 4)
    before = kept.ledger.content_hash()
    assert kept.held(FRI, 4, 4) == []  # put right since
    assert kept.held(FRI, 3, 5) == [("quantity", ITEM, 0)]
    assert kept.ledger.content_hash() == before
    kept.held(TUE, 3, 3)
    after = kept.ledger.content_hash()
    assert kept.held(MON, 3, 4) == [("quantity", ITEM, 1)]
    assert kept.ledger.content_hash() == after


def by_hand(kept: Kept, reason: str = "agreed on the telephone") -> None:
    (only,) = open_breaks(kept.breaks)
    kept.ledger.record([closed(only, reason, kept.reporter(only.seen, "bert"))])


def test_a_person_closes_a_quantity_for_the_session_and_it_comes_back_with_the_next() -> None:
    kept = Kept()
    kept.held(FRI, 3, 4)
    by_hand(kept)
    assert kept.held(FRI, 3, 4) == []
    assert kept.held(MON, 3, 4) == [("quantity", ITEM, 0)]
    first = kept.breaks[0]
    assert (first.closed_by, first.reason, first.closed) == ("bert", "agreed on the telephone", FRI)


def test_a_person_closes_cash_as_long_as_the_difference_stays() -> None:
    kept = Kept()

    def cash(session: date, ours: float, theirs: float) -> list[tuple]:
        return kept.run(session, Ours({}, cash_local={"USD": ours}), said(session=session, cash_local={"USD": theirs}))

    assert cash(FRI, 100.0, 100.5) == [("cash", "USD", 0)]
    by_hand(kept)
    assert cash(MON, 900.0, 900.5) == []
    assert cash(TUE, 900.0, 900.6) == [("cash", "USD", 0)]


def test_a_person_closes_a_trade_for_good() -> None:
    kept = Kept()
    ours = Ours({}, trades=Trades([], standing={"a": trade("a", 2)}))
    kept.run(FRI, replace(ours, trades=Trades([trade("a", 2)])), said(trades=()))
    by_hand(kept)
    assert kept.run(MON, ours, said(session=MON, trades=())) == []


def test_an_owner_is_given_once() -> None:
    kept = Kept()
    kept.held(FRI, 3, 4)
    for owner, recorded in (("cleo", 1), ("cleo", 0), ("anna", 1), ("cleo", 1)):
        (only,) = open_breaks(kept.breaks)
        told = kept.ledger.record(assigned(only, owner, "on duty", kept.reporter(FRI, "bert")))
        assert told.new == recorded
    assert kept.breaks[0].owner == "cleo"


# --- trades from session to session -----------------------------------------------------------------------------------
def test_a_trade_that_is_late_there_closes_itself_with_the_next_statement() -> None:
    kept, late = Kept(), trade("a", 2, executed_at="2022-02-26T02:00:00+00:00")
    kept.run(FRI, Ours({}, trades=Trades([late])), said(as_of=NIGHT, trades=()))
    (row,) = kept.ledger.rows("breaks")
    assert (row["kind"], row["timing"]) == ("trade_missing_there", 1)
    assert locked(kept.ledger.rows("breaks"), []) == {}
    then = Ours({}, trades=Trades([], standing={"a": late}))
    assert kept.run(MON, then, said(session=MON, trades=(late,))) == []
    assert kept.breaks[0].reason == "the broker's statement of 2022-02-28 has it"


def test_a_trade_that_was_only_late_and_never_comes_is_missing() -> None:
    kept, late = Kept(), trade("a", 2, executed_at="2022-02-26T02:00:00+00:00")
    kept.run(FRI, Ours({}, trades=Trades([late])), said(as_of=NIGHT, trades=()))
    then = Ours({}, trades=Trades([], standing={"a": late}))
    drawn = datetime(2022, 3, 1, 1, tzinfo=UTC)
    assert kept.run(MON, then, said(session=MON, as_of=drawn, trades=())) == [
        ("trade_missing_there", "US10/20220600/a", 1)
    ]
    assert not kept.breaks[0].timing
    assert set(locked(kept.ledger.rows("breaks"), [])) == {"US10"}


@pytest.mark.parametrize("name", ["x", "mine"])
def test_a_trade_missing_here_heals_when_it_is_booked(name: str) -> None:
    kept, theirs = Kept(), trade("x", 2)
    kept.run(FRI, Ours({}), said(trades=(theirs,)))
    assert kept.run(MON, Ours({}), said(session=MON, trades=())) == [("trade_missing_here", "US10/20220600/x", 1)]
    booked = trade(name, 2, session=TUE)
    then = Ours({}, trades=Trades([booked], standing={name: booked}))
    assert kept.run(TUE, then, said(session=TUE, trades=())) == []
    assert kept.breaks[0].reason == f"it was booked here as {name}"


def test_a_trade_missing_here_heals_by_an_adjustment_with_its_quantity() -> None:
    kept = Kept()
    kept.run(FRI, Ours({}), said(trades=(trade("x", 2),)))
    adjusted = trade("adjusted", 2, order_id="", session=MON)
    assert kept.run(MON, Ours({}, trades=Trades([], [adjusted])), said(session=MON, trades=())) == []


def test_a_trade_that_was_taken_back_is_not_missing() -> None:
    kept = Kept()
    kept.run(FRI, Ours({}, trades=Trades([trade("a", 2)])), said(trades=()))
    assert kept.run(MON, Ours({}), said(session=MON, trades=())) == []
    assert kept.breaks[0].reason == "it was taken back here"


def test_a_trade_told_differently_heals_when_one_side_corrects_it() -> None:
    ours = Ours({}, trades=Trades([trade("a", 2)], standing={"a": trade("a", 2)}))
    for correction, heals in ((trade("a", 2, 128.0), True), (trade("a", 2, 127.5), False)):
        kept = Kept()
        kept.run(FRI, ours, said(trades=(trade("a", 2, 128.0),)))
        then = Ours({}, trades=Trades([], standing={"a": correction}))
        assert (kept.run(MON, then, said(session=MON, trades=())) == []) is heals


# --- what it locks and stops ------------------------------------------------------------------------------------------
def override(item: str, session: str | None = None, state: str = "set", scope: str = "instrument") -> dict:
    return {"scope": scope, "item": item, "session": session, "state": state, "actor": "bert", "reason": "checked"}


def test_an_open_quantity_locks_its_instrument_until_it_healed_was_closed_or_overridden() -> None:
    kept = Kept()
    kept.held(FRI, 3, 4)
    rows = kept.ledger.rows("breaks")
    sentence = locked(rows, [])["US10"]
    assert f"quantity:{ITEM}:2022-02-25" in sentence
    assert "US10 takes no new orders since 2022-02-25" in sentence
    assert locked(rows, [override("GOLD"), override("US10", state="cleared"), override("US10", scope="check")])
    assert locked(rows, [override("US10")]) == {}
    assert locked(rows, [override("US10", "2022-02-28")], MON) == {}
    assert locked(rows, [override("US10", "2022-02-28")], TUE)
    by_hand(kept)
    assert locked(kept.ledger.rows("breaks"), []) == {}
    assert locked(kept.ledger.rows("breaks"), [], MON) == {}


def test_orders_of_a_session_do_not_depend_on_how_often_it_was_closed() -> None:
    kept = Kept()
    kept.held(FRI, 3, 4)
    assert locked(kept.ledger.rows("breaks"), [], FRI) == {}  # decided before the statement of that session came
    first = locked(kept.ledger.rows("breaks"), [], MON)
    kept.held(MON, 4, 4)
    assert locked(kept.ledger.rows("breaks"), [], MON).keys() == first.keys() == {"US10"}
    assert locked(kept.ledger.rows("breaks"), [], TUE) == locked(kept.ledger.rows("breaks"), []) == {}


def test_what_locks_and_what_stops() -> None:
    key = ("US10", JUN)
    cases = {
        "price": (Ours({key: 1}, {key: 1.0}), said(positions={key: 1}, average_points={key: 2.0})),
        "cash": (Ours({}), said(cash_local={"USD": 1.0})),
        "trade": (Ours({}, trades=Trades([trade("a", 1)])), said(trades=(trade("a", 1, 1.0),))),
        "trade_missing_here": (Ours({}), said(trades=(trade("a", 1),))),
        "withdrawn_filled": (Ours({}, withdrawn={"o": 1}), said()),
        "unknown_contract": (Ours({}), said(unknown=("ZRN2",))),
        "statement_missing": (Ours({}), Asked("ib", None)),
        "missing_here": (Ours({}), said(positions={key: 1})),
    }
    told = {}
    for name, (ours, answer) in cases.items():
        kept = Kept()
        assert [kind for kind, _, _ in kept.run(FRI, ours, answer)] == [name]
        rows = kept.ledger.rows("breaks")
        told[name] = (set(locked(rows, [])), len(stopping(session_rows(kept.breaks, FRI), rows)))
    assert told == {
        "price": (set(), 0), "cash": (set(), 0), "trade": (set(), 0), "trade_missing_here": ({"US10"}, 1),
        "withdrawn_filled": (set(), 1), "unknown_contract": ({"ZRN2"}, 1), "statement_missing": (set(), 1),
        "missing_here": ({"US10"}, 1),
    }  # fmt: skip


@pytest.mark.parametrize(("opened", "session", "age"), [
    (FRI, FRI, 0), (FRI, MON, 1), (FRI, date(2022, 3, 4), 5), (date(2021, 12, 30), date(2022, 1, 4), 3),
    (date(2020, 12, 31), date(2021, 1, 4), 1),  # New Year's Day was a Friday
])  # fmt: skip
def test_age_in_sessions(opened: date, session: date, age: int) -> None:
    assert age_sessions(opened, session) == age
