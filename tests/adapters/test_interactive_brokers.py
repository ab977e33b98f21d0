"""Interactive Brokers against a scripted gateway: what every answer is made of, and that no failure looks like one.

Does not belong here: what every broker promises (`tests/contracts/test_broker_contract.py`).
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time as clock
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from scripted_gateway import (
    ALL_OPEN_ORDERS,
    CANCEL,
    CLOCK,
    COMPLETED,
    CONTRACT,
    EXECUTIONS,
    PLACE,
    POSITIONS,
    START,
    SUMMARY,
    Faults,
    ScriptedContract,
    ScriptedExecution,
    ScriptedGateway,
    ScriptedOrder,
    corrected,
)

from pipelines.brokers import broker_of
from pipelines.settings import Place
from resources.brokers.ib_days import GatewayDays
from resources.brokers.ib_futures import ListedFuture, listed_futures, renamed
from resources.brokers.interactive_brokers import InteractiveBrokers
from resources.csv_reference import CsvReference
from resources.memory import MemoryFrames
from trading.book.orders import Fill, Order, order_id
from trading.config.live import PaperPermit
from trading.config.models import DeskSettings
from trading.config.symbol_fields import SymbolSettings
from trading.errors import BadInput, BrokerError, ConfigError, ReferenceDataError
from trading.market.instruments import Instrument
from trading.ports import Broker

ROOT = Path(__file__).resolve().parents[2]
FRI, MON, TUE, WED = date(2022, 2, 18), date(2022, 2, 21), date(2022, 2, 22), date(2022, 2, 23)
TUESDAY_EVENING = datetime(2022, 2, 22, 22, 30, tzinfo=UTC)  # 17:30 in New York


def instrument(code: str, point_value: float, tick: float = 0.01) -> Instrument:
    return Instrument(code, code, "X", "USD", point_value, tick, "metals", "any", "US")


INSTRUMENTS = {
    one.code: one
    for one in (
        instrument("GOLD", 100.0, 0.1), instrument("CRUDE_W", 1000.0), instrument("COFFEE", 37500.0, 0.0005),
        instrument("CORN", 50.0, 0.25),
    )
}  # fmt: skip
FUTURES = {
    one.instrument: one
    for one in (
        ListedFuture("GOLD", "GC", "COMEX", "USD", 100.0), ListedFuture("CRUDE_W", "CL", "NYMEX", "USD", 1000.0),
        ListedFuture("COFFEE", "KC", "NYBOT", "USD", 37500.0, 100),
        ListedFuture("CORN", "ZC", "CBOT", "USD", 5000.0, 100),
    )
}  # fmt: skip
GC = ScriptedContract(11, "GC", "202206", "20220628", "COMEX", "USD", "100")
CL = ScriptedContract(12, "CL", "202212", "20221121", "NYMEX", "USD", "1000")  # trades last in November
KC = ScriptedContract(13, "KC", "202205", "20220518", "NYBOT", "USD", "37500", 100)
ZC = ScriptedContract(14, "ZC", "202205", "20220513", "CBOT", "USD", "5000", 100)
MGC = ScriptedContract(15, "MGC", "202206", "20220628", "COMEX", "USD", "10")
SHARE = ScriptedContract(16, "SPY", "", "", "ARCA", "USD", "", kind="STK")
ALL = [GC, CL, KC, ZC, MGC, SHARE]
ID = order_id(TUE, "trend", "GOLD", 20220600, "target")
ORDER = Order(ID, "trend", "GOLD", 20220600, TUE, 2, "target", 1800.04)
BOUGHT = ScriptedExecution("0000e0d5.6214f1a2.01.01", GC, "BOT", 2, 1800.1, "20220222 15:30:00 UTC", ID, 4.7)


@pytest.fixture
def gateway() -> Iterator[ScriptedGateway]:
    scripted = ScriptedGateway(now=TUESDAY_EVENING)
    scripted.contracts = list(ALL)
    with scripted:
        yield scripted
        assert scripted.is_left(), "a connection was left open"


def broker(gateway: ScriptedGateway, **more: Any) -> InteractiveBrokers:
    given: dict[str, Any] = {"timeout_s": 5.0, "futures": FUTURES, "instruments": lambda _: INSTRUMENTS}
    given |= {"permit": PaperPermit(), "clock": lambda: gateway.now} | more
    return InteractiveBrokers(port=gateway.port, **given)


def limited(offset_fraction: float = 0.0) -> Callable[[str, str], SymbolSettings]:
    """Limit orders, so far beyond the reference price."""
    return lambda *_: SymbolSettings(order_type="limit", limit_offset_fraction=offset_fraction)


QUESTIONS: dict[str, Callable[[InteractiveBrokers], object]] = {
    "place": lambda asked: asked.place([ORDER]),
    "cancel": lambda asked: asked.cancel([ID]),
    "fills": lambda asked: asked.fills(TUE),
    "corrections": lambda asked: asked.corrections(TUE),
    "ended": lambda asked: asked.ended([ID], TUE),
    "statement": lambda asked: asked.statement(TUE),
}
asks = pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS)


# --- the statement --------------------------------------------------------------------------------------------------
def test_a_statement_has_what_our_account_holds_by_contract_month(gateway: ScriptedGateway) -> None:
    gateway.positions = [
        ("DU1", GC, 2, 180_010.0),
        ("DU1", CL, -3, 91_500.0),
        ("DU2", GC, 9, 1.0),  # another account of the same login
        ("DU1", ZC, 0, 0.0),  # closed today
    ]
    gateway.accounts = "DU1,DU2"
    statement = broker(gateway, account="DU1").statement(TUE)
    assert statement is not None
    assert (statement.broker, statement.session) == ("interactive_brokers", TUE)
    assert statement.positions == {("GOLD", 20220600): 2, ("CRUDE_W", 20221200): -3}
    assert statement.average_points == {("GOLD", 20220600): 1800.1, ("CRUDE_W", 20221200): 91.5}
    assert statement.as_of == TUESDAY_EVENING
    assert statement.settles_daily
    assert statement.trades == ()
    assert statement.unknown == ()


def test_cash_is_by_currency_without_the_total(gateway: ScriptedGateway) -> None:
    gateway.accounts = "DU1,DU2"
    gateway.cash = [
        ("DU1", "CashBalance", "1012345.67", "BASE"), ("DU1", "CashBalance", "1000000.5", "USD"),
        ("DU1", "CashBalance", "-11000.25", "EUR"), ("DU1", "NetLiquidationByCurrency", "5", "USD"),
        ("DU2", "CashBalance", "77", "USD"),
    ]  # fmt: skip
    statement = broker(gateway, account="DU1").statement(TUE)
    assert statement is not None
    assert statement.cash_local == {"USD": 1000000.5, "EUR": -11000.25}


def test_prices_quoted_in_cents_become_our_points(gateway: ScriptedGateway) -> None:
    # Coffee: 180.5 cents a pound, 37,500 pounds: 67,687.50 a contract; ours is in dollars. Corn is in cents on both.
    gateway.positions = [("DU1", KC, 1, 67_687.5), ("DU1", ZC, -2, 32_512.5)]
    gateway.executions = [
        replace(BOUGHT, execution_id="a.01", contract=KC, price=180.5),
        replace(BOUGHT, execution_id="b.01", contract=ZC, price=650.25),
    ]
    asked = broker(gateway)
    statement = asked.statement(TUE)
    assert statement is not None
    assert statement.average_points == {("COFFEE", 20220500): 1.805, ("CORN", 20220500): 650.25}
    assert {fill.instrument: fill.price_points for fill in asked.fills(TUE)} == {"COFFEE": 1.805, "CORN": 650.25}


def test_what_nobody_here_knows_is_named(gateway: ScriptedGateway) -> None:
    gateway.positions = [("DU1", MGC, 1, 18_000.0), ("DU1", SHARE, 100.5, 430.0)]
    gateway.executions = [replace(BOUGHT, contract=SHARE, quantity=0.5, reference="")]
    statement = broker(gateway).statement(TUE)
    assert statement is not None
    assert statement.positions == {}
    assert statement.trades == ()
    assert statement.unknown == ("MGC202206", "SPY")


def test_flat_is_an_empty_list_that_was_ended(gateway: ScriptedGateway) -> None:
    statement = broker(gateway).statement(TUE)
    assert statement is not None
    assert statement.positions == {}


def test_only_the_newest_session_has_a_statement(gateway: ScriptedGateway) -> None:
    asked = broker(gateway)
    assert [asked.statement(session) is None for session in (FRI, MON, TUE, WED)] == [True, True, False, True]
    assert len([message for message in gateway.asked if message[0] == POSITIONS]) == 1


def test_friday_still_stands_on_a_weekend_until_monday_trades(gateway: ScriptedGateway) -> None:
    gateway.now = datetime(2022, 2, 20, 23, 30, tzinfo=UTC)  # Sunday, 18:30 in New York
    asked = broker(gateway)
    friday = asked.statement(FRI)
    assert friday is not None
    assert friday.trades is None  # the gateway has forgotten Friday's
    gateway.executions = [replace(BOUGHT, at="20220220 18:05:00 US/Eastern")]
    assert asked.statement(FRI) is None


def test_trades_are_listed_whoever_ordered_them_in_their_newest_version(gateway: ScriptedGateway) -> None:
    by_hand = ScriptedExecution("0000e0d5.1.01.01", CL, "SLD", 1, 91.5, "20220222 16:00:00 UTC", commission=None)
    gateway.executions = [BOUGHT, by_hand, corrected(BOUGHT, 2, 1799.9, None), replace(by_hand, account="DU2")]
    statement = broker(gateway).statement(TUE)
    assert statement is not None
    first, second = "2022-02-22T15:30:00+00:00", "2022-02-22T16:00:00+00:00"
    assert statement.trades == (
        Fill("0000e0d5.6214f1a2.01.01", ID, "trend", "GOLD", 20220600, TUE, 2, 1799.9, 4.7, first),
        Fill("0000e0d5.1.01.01", "", "", "CRUDE_W", 20221200, TUE, -1, 91.5, 0.0, second),
    )


# --- orders that ended ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("status", "how"), [("Submitted", None), ("Filled", None), ("Inactive", "rejected"), ("ApiCancelled", "cancelled")]
)
def test_what_became_of_an_order_today(gateway: ScriptedGateway, status: str, how: str | None) -> None:
    asked = broker(gateway)
    asked.place([ORDER])
    gateway.orders[0].status = status
    found = [(end.order_id, end.how, end.reason) for end in asked.ended([ID, "never placed"], TUE)]
    assert found == ([] if how is None else [(ID, how, f"its status is {status}")])


def test_an_order_of_an_earlier_day_that_is_not_at_work_has_expired(gateway: ScriptedGateway) -> None:
    asked = broker(gateway)
    asked.place([ORDER])
    gateway.now, gateway.orders = at(WED), []  # forgotten at midnight
    assert [(end.order_id, end.how) for end in asked.ended([ID, "never placed"], WED)] == [(ID, "expired")]


# --- fills and corrections ------------------------------------------------------------------------------------------
def test_an_execution_of_our_order_is_a_fill(gateway: ScriptedGateway) -> None:
    gateway.executions = [BOUGHT]
    assert broker(gateway).fills(TUE) == [
        Fill("0000e0d5.6214f1a2.01.01", ID, "trend", "GOLD", 20220600, TUE, 2, 1800.1, 4.7, "2022-02-22T15:30:00+00:00")
    ]


def test_fills_are_ours_in_the_order_they_were_done(gateway: ScriptedGateway) -> None:
    gateway.executions = [
        replace(BOUGHT, execution_id="c.01", at="20220222 16:00:00 UTC", side="SLD", quantity=1),
        replace(BOUGHT, execution_id="b.01", reference=""),
        replace(BOUGHT, execution_id="a.01", reference="someone else's"),
        BOUGHT,
    ]
    asked = broker(gateway)
    found = [(fill.fill_id, fill.quantity_contracts) for fill in asked.fills(TUE)]
    assert found == [("0000e0d5.6214f1a2.01.01", 2), ("c.01", -1)]
    assert asked.fills(TUE) == asked.fills(TUE)


@pytest.mark.parametrize(("written", "executed"), [
    ("20220222 10:30:00 US/Eastern", "2022-02-22T15:30:00+00:00"),
    ("20220222 16:30:00 Europe/Berlin", "2022-02-22T15:30:00+00:00"),
    ("20220222  10:30:00", "2022-02-22T15:30:00+00:00"),  # without a zone: in the gateway's own
])  # fmt: skip
def test_times_become_utc(gateway: ScriptedGateway, written: str, executed: str) -> None:
    gateway.executions = [replace(BOUGHT, at=written)]
    assert [fill.executed_at for fill in broker(gateway).fills(TUE)] == [executed]


def test_a_commission_that_comes_late_is_waited_for(gateway: ScriptedGateway) -> None:
    gateway.executions = [replace(BOUGHT, late=True)]
    assert [fill.commission_local for fill in broker(gateway).fills(TUE)] == [4.7]


def test_a_commission_that_never_comes_is_no_commission_of_zero(gateway: ScriptedGateway) -> None:
    gateway.executions = [replace(BOUGHT, commission=None)]
    with pytest.raises(BrokerError, match=r"did not answer within 1 s: the commission of execution 0000e0d5\.6214f1a2"):
        broker(gateway, timeout_s=1.0).fills(TUE)


def test_a_commission_in_another_currency_is_not_taken_for_ours(gateway: ScriptedGateway) -> None:
    gateway.executions = [replace(BOUGHT, currency="EUR")]
    with pytest.raises(BrokerError, match=r"states 4\.7 EUR, where USD"):
        broker(gateway).fills(TUE)


def test_a_correction_leaves_the_fill_and_is_told_apart(gateway: ScriptedGateway) -> None:
    gateway.executions = [BOUGHT]
    asked = broker(gateway)
    first = asked.fills(TUE)
    assert asked.corrections(TUE) == []
    gateway.executions += [corrected(BOUGHT, 3, 1799.5, 4.6), corrected(BOUGHT, 2, 1799.9, None)]
    assert asked.fills(TUE) == first
    assert asked.corrections(TUE) == [
        (replace(first[0], price_points=1799.9), 1),
        (replace(first[0], price_points=1799.5, commission_local=4.6), 2),
    ]


def test_a_correction_whose_fill_is_not_told_any_more_is_no_second_fill(gateway: ScriptedGateway) -> None:
    gateway.executions = [corrected(BOUGHT, 2, 1799.9, 4.7)]
    asked = broker(gateway)
    assert asked.fills(TUE) == []
    assert [(fill.fill_id, fill.price_points, version) for fill, version in asked.corrections(TUE)] == [
        ("0000e0d5.6214f1a2.01.01", 1799.9, 1)
    ]


def test_a_session_the_gateway_has_forgotten_has_no_fills_that_could_be_none(gateway: ScriptedGateway) -> None:
    gateway.executions = [BOUGHT]
    with pytest.raises(BrokerError, match="remembers 1 days and not all of that session"):
        broker(gateway).fills(MON)
    assert broker(gateway, history_days=7).fills(MON) == []
    assert broker(gateway).fills(WED) == []  # it has not begun


def test_an_evening_belongs_to_the_next_session_where_sessions_end_before(gateway: ScriptedGateway) -> None:
    gateway.executions = [replace(BOUGHT, at="20220221 18:01:00 US/Eastern")]
    with pytest.raises(BrokerError, match="not all of that session"):
        broker(gateway, session_ends=time(17)).fills(TUE)  # Monday evening is forgotten
    late = broker(gateway, session_ends=time(17), history_days=7)
    assert [fill.session for fill in late.fills(TUE)] == [TUE]
    assert late.fills(MON) == []


def test_our_order_in_a_contract_nobody_lists_stops(gateway: ScriptedGateway) -> None:
    gateway.executions = [replace(BOUGHT, contract=MGC)]
    with pytest.raises(BrokerError, match="MGC202206, which no row names"):
        broker(gateway).fills(TUE)


@pytest.mark.parametrize(("instant", "session"), [
    (datetime(2022, 2, 18, 21, 0, tzinfo=UTC), FRI),
    (datetime(2022, 2, 18, 22, 0, tzinfo=UTC), MON),  # 17:00 on a Friday
    (datetime(2022, 2, 20, 23, 0, tzinfo=UTC), MON),  # Sunday evening
    (datetime(2022, 2, 22, 4, 0, tzinfo=UTC), TUE),  # Monday, 23:00
])  # fmt: skip
def test_sessions_end_where_they_are_set_to(instant: datetime, session: date) -> None:
    assert GatewayDays("America/New_York", time(17)).session_of(instant) == session


def test_a_time_zone_that_is_none(gateway: ScriptedGateway) -> None:
    with pytest.raises(ConfigError, match=r"trading\.broker\.timezone is 'New York', which is no time zone"):
        broker(gateway, timezone="New York")


# --- orders ---------------------------------------------------------------------------------------------------------
def test_an_order_is_a_market_order_for_the_day_with_our_reference(gateway: ScriptedGateway) -> None:
    broker(gateway).place([ORDER, replace(ORDER, order_id=ID + ":2", quantity_contracts=-3)])
    first, second = gateway.orders
    assert first == ScriptedOrder(first.number, 1, GC, "BUY", 2, "MKT", "", "DAY", "DU1", ID)
    assert (second.action, second.quantity, second.reference) == ("SELL", 3, ID + ":2")
    assert first.number != second.number


def test_a_large_multiplier_is_written_out(gateway: ScriptedGateway) -> None:
    gateway.contracts = [ScriptedContract(17, "JPY", "202203", "20220314", "CME", "USD", "12500000")]
    yen = {"JPY": instrument("JPY", 12_500_000.0)}
    asked = broker(gateway, futures=listed_futures([ROOT / "reference"]), instruments=lambda _: yen)
    asked.place([replace(ORDER, instrument="JPY", contract=20220300)])
    assert [message[9] for message in gateway.asked if message[0] == CONTRACT] == ["12500000"]


@pytest.mark.parametrize(("order", "limit"), [
    (ORDER, "1800.0"),  # 1800.04 to the next tick of 0.1
    (replace(ORDER, instrument="COFFEE", contract=20220500, reference_points=1.8052), "180.5"),  # in cents there
])  # fmt: skip
def test_a_limit_is_the_reference_price_in_their_units(gateway: ScriptedGateway, order: Order, limit: str) -> None:
    broker(gateway, symbol=limited()).place([order])
    assert [(order.kind, order.limit) for order in gateway.orders] == [("LMT", limit)]


@pytest.mark.parametrize(("count", "limit"), [(2, "1809.0"), (-2, "1791.0")])
def test_a_limit_may_lie_beyond_the_reference_price(gateway: ScriptedGateway, count: int, limit: str) -> None:
    # half a percent of 1800 is 9: bought for up to 9 more, sold for down to 9 less
    order = replace(ORDER, quantity_contracts=count, reference_points=1800.0)
    broker(gateway, symbol=limited(0.005)).place([order])
    assert [(order.kind, order.limit) for order in gateway.orders] == [("LMT", limit)]


def test_an_order_without_a_reference_price_is_not_limited_and_nothing_is_placed(gateway: ScriptedGateway) -> None:
    with pytest.raises(BrokerError, match="no reference price to limit it to"):
        broker(gateway, symbol=limited()).place([ORDER, replace(ORDER, order_id="b", reference_points=None)])
    assert gateway.placed() == []


@pytest.mark.parametrize("becomes", ["open", "filled", "cancelled"])
def test_a_known_order_is_not_placed_again_by_anybody(gateway: ScriptedGateway, becomes: str) -> None:
    gateway.fills_at = {"GC": 1800.0} if becomes == "filled" else {}
    broker(gateway).place([ORDER, ORDER])
    if becomes == "cancelled":
        broker(gateway).cancel([ID])
    broker(gateway, client_id=2).place([replace(ORDER, quantity_contracts=9)])
    assert len(gateway.placed()) == 1


def test_an_execution_alone_is_enough_to_know_an_order(gateway: ScriptedGateway) -> None:
    gateway.executions = [BOUGHT]
    broker(gateway).place([ORDER])
    assert gateway.placed() == []


def test_an_order_whose_acknowledgement_was_lost_is_not_placed_twice(gateway: ScriptedGateway) -> None:
    gateway.faults.hang_up = frozenset({PLACE})
    with pytest.raises(BrokerError, match="did not answer"):
        broker(gateway).place([ORDER])
    gateway.faults = Faults()
    broker(gateway).place([ORDER])
    assert len(gateway.orders) == 1


def test_a_note_about_an_order_at_work_is_no_refusal(gateway: ScriptedGateway) -> None:
    gateway.faults.notes = [(399, "Order Message: it will not be placed before the market opens"), (2109, "ignored")]
    broker(gateway).place([ORDER])
    assert [order.status for order in gateway.orders] == ["Submitted"]


def test_nothing_to_do_needs_no_gateway() -> None:
    with ScriptedGateway() as gone:
        pass
    broker(gone).place([])
    broker(gone).cancel([])


def test_a_refused_order_is_named_and_the_others_are_placed(gateway: ScriptedGateway) -> None:
    gateway.faults.refusals = {"CL": (201, "Order rejected - reason: no margin")}
    crude = replace(ORDER, order_id="crude", instrument="CRUDE_W", contract=20221200)
    with pytest.raises(
        BrokerError, match=r"did not take 1 of 2 orders: crude \(201: Order rejected - reason: no margin"
    ):
        broker(gateway).place([crude, ORDER])
    assert [order.reference for order in gateway.orders] == [ID]


def test_a_refused_order_is_named_once(gateway: ScriptedGateway) -> None:
    gateway.faults.refusals = {"GC": (201, "Order rejected")}
    asked = broker(gateway)
    with pytest.raises(BrokerError, match="did not take 1 of 1 orders"):
        asked.place([ORDER])
    asked.place([ORDER])  # it would stop every close from here on
    assert len(gateway.placed()) == 1


def test_a_reference_that_comes_back_cut_is_withdrawn(gateway: ScriptedGateway) -> None:
    gateway.faults.cuts_references_to = 20
    with pytest.raises(BrokerError, match="its reference came back changed"):
        broker(gateway).place([ORDER])
    assert [order.status for order in gateway.orders] == ["Cancelled"]


@pytest.mark.parametrize(("order", "found"), [
    (replace(ORDER, instrument="TEA"), "no row of reference/brokers/interactive_brokers.csv says which future TEA"),
    (replace(ORDER, contract=20220700), "0 contracts there are GC 202207"),
])  # fmt: skip
def test_nothing_is_placed_where_one_contract_is_not_known(gateway: ScriptedGateway, order: Order, found: str) -> None:
    with pytest.raises(BrokerError, match=found):
        broker(gateway).place([ORDER, replace(order, order_id="other")])
    assert gateway.placed() == []


def test_a_contract_that_could_be_two_is_not_guessed(gateway: ScriptedGateway) -> None:
    gateway.contracts.append(replace(GC, number=99, trading_class="weekly"))
    with pytest.raises(BrokerError, match="2 contracts there are GC 202206"):
        broker(gateway).place([ORDER])
    assert gateway.placed() == []
    told_apart = {"GOLD": replace(FUTURES["GOLD"], trading_class="weekly")}
    broker(gateway, futures=told_apart).place([ORDER])
    assert [message[2] for message in gateway.placed()] == ["99"]


def at(session: date) -> datetime:
    return datetime.combine(session, time(22, 30), UTC)


def test_orders_at_work_since_yesterday_are_not_placed_again(gateway: ScriptedGateway, tmp_path: Path) -> None:
    gateway.fills_at = {"GC": 1800.0}
    broker(gateway, sent=tmp_path / "sent.sqlite").place([ORDER])
    gateway.now, gateway.executions, gateway.orders = at(WED), [], []  # forgotten at midnight
    broker(gateway, sent=tmp_path / "sent.sqlite").place([ORDER])
    broker(gateway).place([ORDER])  # whose file is lost, and who cannot know
    assert len(gateway.placed()) == 1
    assert gateway.is_left()


def test_orders_that_were_never_sent_can_be_on_the_next_day_and_not_later(
    gateway: ScriptedGateway, tmp_path: Path
) -> None:
    gateway.now = at(MON)
    broker(gateway, sent=tmp_path / "sent.sqlite").place([replace(ORDER, session=MON, order_id="first")])
    gateway.now = at(WED)  # on Tuesday the gateway was down
    broker(gateway, sent=tmp_path / "sent.sqlite").place([ORDER])
    gateway.now = at(date(2022, 2, 24))
    broker(gateway, sent=tmp_path / "sent.sqlite").place([replace(ORDER, order_id="late"), ORDER])
    assert [order.reference for order in gateway.orders] == ["first", ID]


def test_an_order_lost_on_its_way_is_placed_where_the_gateway_can_tell_and_never_later(
    gateway: ScriptedGateway, tmp_path: Path
) -> None:
    asked = broker(gateway, sent=tmp_path / "sent.sqlite", timeout_s=0.6)
    gateway.now = at(MON)
    asked.place([replace(ORDER, session=MON, order_id="first")])
    gateway.now = at(TUE)
    gateway.faults.silent = frozenset({PLACE})
    for name in ("a", "b"):
        with pytest.raises(BrokerError, match="did not come to an end"):
            asked.place([replace(ORDER, order_id=name)])
    gateway.faults = Faults()
    asked.place([replace(ORDER, order_id="a")])
    gateway.now = at(WED)
    asked.place([replace(ORDER, order_id="b")])  # may have been traded on Tuesday
    assert [order.reference for order in gateway.orders] == ["first", "a"]


def test_whose_order_it_was_is_remembered_for_ids_of_any_form(gateway: ScriptedGateway, tmp_path: Path) -> None:
    gateway.fills_at = {"GC": 1800.0}
    broker(gateway, sent=tmp_path / "sent.sqlite").place([replace(ORDER, order_id="a", strategy="carry")])
    found = broker(gateway, sent=tmp_path / "sent.sqlite").fills(TUE)
    assert [(fill.order_id, fill.strategy) for fill in found] == [("a", "carry")]
    assert broker(gateway).fills(TUE) == []


def test_a_file_that_cannot_be_written_stops_before_anything_is_sent(gateway: ScriptedGateway, tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=r"what was handed over is kept in .*nowhere"):
        broker(gateway, sent=tmp_path / "nowhere" / "sent.sqlite").place([ORDER])
    assert gateway.placed() == []


def test_a_price_magnifier_that_is_another_one_stops(gateway: ScriptedGateway) -> None:
    gateway.contracts = [replace(KC, magnifier=1)]
    gateway.positions = [("DU1", KC, 1, 67_687.5)]
    with pytest.raises(BrokerError, match="KC has a price magnifier of 1 there and of 100"):
        broker(gateway).statement(TUE)


def test_cancelling_withdraws_what_is_at_work_only(gateway: ScriptedGateway) -> None:
    asked = broker(gateway)
    asked.place([ORDER])
    gateway.fills_at = {"GC": 1800.0}
    asked.place([replace(ORDER, order_id=ID + ":2")])
    asked.cancel([ID, ID + ":2", "never heard of"])
    assert [order.status for order in gateway.orders] == ["Cancelled", "Filled"]
    assert len([message for message in gateway.asked if message[0] == CANCEL]) == 1


def test_the_end_of_another_clients_order_is_not_that_of_ours(gateway: ScriptedGateway) -> None:
    gateway.orders = [ScriptedOrder(1, 1, GC, "BUY", 2, "MKT", "", "DAY", "DU1", ID)]
    gateway.faults = Faults(
        say_first={CANCEL: [3, 1, "Cancelled", 0.0, 2.0, 0.0, 901, 0, 0.0, 9, "", 0]}, never_end=frozenset({CANCEL})
    )
    with pytest.raises(BrokerError, match="the end of order number 1 did not come to an end"):
        broker(gateway, timeout_s=0.6).cancel([ID])


def test_an_order_of_another_client_cannot_be_withdrawn_and_that_is_said(gateway: ScriptedGateway) -> None:
    broker(gateway, client_id=7).place([ORDER])
    with pytest.raises(BrokerError, match="API client 7 placed it, and we are client 1"):
        broker(gateway).cancel([ID])
    assert [order.status for order in gateway.orders] == ["Submitted"]


# --- what is not an answer ------------------------------------------------------------------------------------------
@asks
def test_nobody_who_listens(ask: Callable[[InteractiveBrokers], object]) -> None:
    with ScriptedGateway() as gone:
        pass
    with pytest.raises(BrokerError, match=r"did not answer: nobody listens at 127\.0\.0\.1:\d+ .*Start the gateway"):
        ask(broker(gone))


@asks
def test_a_gateway_that_says_nothing(gateway: ScriptedGateway, ask: Callable[[InteractiveBrokers], object]) -> None:
    gateway.faults.silent_to_all = True
    began = clock.monotonic()
    with pytest.raises(BrokerError, match=r"did not answer within 0\.5 s: the handshake did not come to an end"):
        ask(broker(gateway, timeout_s=0.5))
    assert clock.monotonic() - began < 3.0


@pytest.mark.parametrize(("question", "what", "named"), [
    ("statement", POSITIONS, "positions"), ("statement", SUMMARY, "cash"), ("statement", EXECUTIONS, "executions"),
    ("statement", CLOCK, "its clock"), ("statement", CONTRACT, "contract number 11"),
    ("fills", EXECUTIONS, "executions"), ("corrections", EXECUTIONS, "executions"),
    ("place", EXECUTIONS, "executions"), ("place", ALL_OPEN_ORDERS, "open orders"),
    ("place", COMPLETED, "completed orders"), ("place", CONTRACT, "contract GC"),
    ("place", PLACE, f"news of order {ID}"), ("place", START, "the handshake"),
    ("cancel", ALL_OPEN_ORDERS, "open orders"), ("cancel", CANCEL, "the end of order number 1"),
])  # fmt: skip
def test_an_answer_that_is_not_whole(gateway: ScriptedGateway, question: str, what: str, named: str) -> None:
    gateway.positions = [("DU1", GC, 2, 180_010.0), ("DU1", CL, 1, 91_500.0)]
    gateway.executions = [replace(BOUGHT, reference="x")]
    if question == "cancel":
        gateway.orders = [ScriptedOrder(1, 1, GC, "BUY", 2, "MKT", "", "DAY", "DU1", ID)]
    gateway.faults.silent = frozenset({what})
    with pytest.raises(BrokerError, match=rf"did not answer within 0\.6 s: {named} did not come to an end"):
        QUESTIONS[question](broker(gateway, timeout_s=0.6))
    gateway.faults = Faults(hang_up=frozenset({what}))
    if what != CANCEL:
        with pytest.raises(BrokerError, match="did not answer: the connection ended before the answer was whole"):
            QUESTIONS[question](broker(gateway))


@pytest.mark.parametrize(("question", "what"), [
    ("statement", CLOCK), ("statement", POSITIONS), ("statement", CONTRACT), ("statement", SUMMARY),
    ("statement", EXECUTIONS), ("place", CLOCK), ("place", COMPLETED), ("place", EXECUTIONS),
    ("place", ALL_OPEN_ORDERS), ("place", CONTRACT), ("cancel", ALL_OPEN_ORDERS), ("fills", CLOCK),
])  # fmt: skip
def test_a_connection_that_ends_between_two_answers(gateway: ScriptedGateway, question: str, what: str) -> None:
    gateway.positions = [("DU1", GC, 2, 180_010.0)]
    if question == "cancel":
        gateway.orders = [ScriptedOrder(1, 1, GC, "BUY", 2, "MKT", "", "DAY", "DU1", ID)]
    gateway.faults.hang_up_after = frozenset({what})
    with pytest.raises(BrokerError, match="did not answer: the connection ended before the answer was whole"):
        QUESTIONS[question](broker(gateway))
    assert gateway.placed() == []


@pytest.mark.parametrize("what", [POSITIONS, SUMMARY, EXECUTIONS])
def test_rows_without_their_end_are_no_answer(gateway: ScriptedGateway, what: str) -> None:
    gateway.faults.never_end = frozenset({what})
    with pytest.raises(BrokerError, match="did not come to an end"):
        broker(gateway, timeout_s=0.6).statement(TUE)


@pytest.mark.parametrize("nonsense", [
    [61, 3, "DU1", "eleven", "GC", "FUT", "20220628", 0.0, "", "100", "", "USD", "GC202206", "", 2, 180_010.0],
    [61, 3, "DU1", 11, "GC"],  # cut off
    [999, "never heard of"],
    ["words", "and", "words"],
])  # fmt: skip
def test_a_row_that_cannot_be_read_is_not_left_out(gateway: ScriptedGateway, nonsense: list[Any]) -> None:
    gateway.faults.say_first = {POSITIONS: nonsense}
    with pytest.raises(BrokerError, match="sent a message that cannot be read"):
        broker(gateway).statement(TUE)


@asks
@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0\0\7garbage", b"\0\0\0\3a\0b"])
def test_something_else_that_listens(
    gateway: ScriptedGateway, ask: Callable[[InteractiveBrokers], object], greeting: bytes
) -> None:
    gateway.faults.greeting = greeting
    with pytest.raises(BrokerError, match="did not answer"):
        ask(broker(gateway, timeout_s=0.6))


@asks
def test_a_connection_that_ends_at_once(gateway: ScriptedGateway, ask: Callable[[InteractiveBrokers], object]) -> None:
    gateway.faults.hang_up_unsaid = True
    with pytest.raises(BrokerError, match="the connection ended before the answer was whole"):
        ask(broker(gateway))


@asks
@pytest.mark.parametrize("code", [502, 504, 1100, 2110])
def test_a_gateway_that_lost_its_broker(
    gateway: ScriptedGateway, ask: Callable[[InteractiveBrokers], object], code: int
) -> None:
    gateway.faults.at_start = [(code, "not connected")]
    with pytest.raises(BrokerError, match=rf"did not answer: error {code}: not connected .*then run again"):
        ask(broker(gateway))


def test_connectivity_that_is_lost_in_the_middle_is_not_flat(gateway: ScriptedGateway) -> None:
    gateway.faults.errors = {POSITIONS: (1100, "Connectivity between IB and TWS has been lost")}
    with pytest.raises(BrokerError, match=r"error 1100.*wait until it says that it is connected"):
        broker(gateway).statement(TUE)


def test_connectivity_that_is_lost_after_the_positions_is_not_flat(gateway: ScriptedGateway) -> None:
    gateway.faults.say_first = {EXECUTIONS: [4, 2, -1, 2110, "Connectivity between TWS and server is broken", ""]}
    with pytest.raises(BrokerError, match="error 2110"):
        broker(gateway).statement(TUE)


def test_notes_about_data_farms_are_no_failures(gateway: ScriptedGateway) -> None:
    gateway.faults.at_start = [(2103, "Market data farm connection is broken"), (1102, "restored"), (2158, "OK")]
    assert broker(gateway).statement(TUE) is not None


@pytest.mark.parametrize("what", [SUMMARY, EXECUTIONS, CONTRACT])
def test_a_question_that_is_refused(gateway: ScriptedGateway, what: str) -> None:
    gateway.positions = [("DU1", GC, 2, 180_010.0)]
    gateway.faults.errors = {what: (322, "Error processing request")}
    with pytest.raises(BrokerError, match=r"did not answer: asked for .* said 322: Error processing request"):
        broker(gateway).statement(TUE)


def test_a_held_contract_that_the_gateway_cannot_describe_is_not_left_out(gateway: ScriptedGateway) -> None:
    gateway.positions, gateway.contracts = [("DU1", GC, 2, 180_010.0)], []
    with pytest.raises(BrokerError, match="did not answer which month contract GC202206"):
        broker(gateway).statement(TUE)


@asks
def test_an_account_that_is_not_there(gateway: ScriptedGateway, ask: Callable[[InteractiveBrokers], object]) -> None:
    with pytest.raises(BrokerError, match=r"shows DU1, and U99 is not among them. Set trading\.broker\.account"):
        ask(broker(gateway, account="U99"))
    gateway.accounts = "DU1,DU2"
    with pytest.raises(BrokerError, match="shows DU1, DU2, and none is named"):
        ask(broker(gateway))
    assert gateway.placed() == []


@pytest.mark.parametrize("cash", [[], [("DU2", "CashBalance", "1", "USD")], [("DU1", "CashBalance", "", "USD")]])
def test_an_account_without_a_ledger_has_not_no_cash(
    gateway: ScriptedGateway, cash: list[tuple[str, str, str, str]]
) -> None:
    gateway.cash = cash
    with pytest.raises(BrokerError, match="ledger came without a cash balance"):
        broker(gateway).statement(TUE)


def test_parts_of_contracts_are_not_rounded(gateway: ScriptedGateway) -> None:
    gateway.positions = [("DU1", GC, 1.5, 180_010.0)]
    with pytest.raises(BrokerError, match=r"whole contracts: 1\.5 of GC202206"):
        broker(gateway).statement(TUE)


def test_a_client_id_that_is_still_being_freed_is_waited_for(gateway: ScriptedGateway) -> None:
    gateway.faults.holds_client_id = 2
    assert broker(gateway).statement(TUE) is not None


@asks
def test_a_client_id_that_is_taken(gateway: ScriptedGateway, ask: Callable[[InteractiveBrokers], object]) -> None:
    gateway.faults.holds_client_id = 10_000
    with pytest.raises(BrokerError, match=r"error 326: .* Give this desk its own number in trading\.broker\.client_id"):
        ask(broker(gateway, timeout_s=1.0))


# --- where it runs --------------------------------------------------------------------------------------------------
def test_it_keeps_the_port(gateway: ScriptedGateway) -> None:
    assert isinstance(broker(gateway), Broker)


def test_it_works_within_a_running_loop(gateway: ScriptedGateway) -> None:
    async def within() -> object:
        found = broker(gateway).statement(TUE)
        await asyncio.sleep(0)  # the loop still works
        return found

    assert asyncio.run(within()) is not None


def test_it_works_in_any_thread_and_leaves_that_threads_loop_alone(gateway: ScriptedGateway) -> None:
    found: list[object] = []

    def in_a_thread() -> None:
        own = asyncio.new_event_loop()
        asyncio.set_event_loop(own)
        found.append(broker(gateway).statement(TUE))
        found.append(asyncio.get_event_loop_policy().get_event_loop() is own and not own.is_closed())
        own.close()

    thread = threading.Thread(target=in_a_thread)
    thread.start()
    thread.join(20.0)
    assert found[0] is not None
    assert found[1] is True


def test_two_threads_take_turns_with_one_client_id(gateway: ScriptedGateway) -> None:
    asked, found = broker(gateway), []
    threads = [threading.Thread(target=lambda: found.append(asked.statement(TUE))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20.0)
    assert len(found) == 4
    assert None not in found


def test_no_thread_no_connection_and_no_line_of_a_log_is_left(
    gateway: ScriptedGateway, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    mine = {thread for thread in threading.enumerate() if thread not in gateway.threads()}
    asked = broker(gateway, timeout_s=0.5)
    asked.place([ORDER])
    asyncio.run(_ask_within_a_loop(asked))
    gateway.faults = Faults(say_first={POSITIONS: ["words"]})
    with pytest.raises(BrokerError):
        asked.statement(TUE)
    gateway.faults = Faults(silent=frozenset({POSITIONS}))
    with pytest.raises(BrokerError):
        asked.statement(TUE)
    asked.close()
    assert gateway.is_left()
    assert {thread for thread in threading.enumerate() if thread not in gateway.threads()} == mine
    assert [line.name for line in caplog.records if line.name != "asyncio"] == []
    assert capfd.readouterr() == ("", "")


async def _ask_within_a_loop(asked: InteractiveBrokers) -> None:
    asked.fills(TUE)


# --- which future an instrument is ----------------------------------------------------------------------------------
def test_every_listed_future_fits_the_reference_data() -> None:
    known = CsvReference([ROOT / "reference"]).instruments(date(2026, 1, 2))
    futures = listed_futures([ROOT / "reference"])
    assert renamed(futures, {}) == futures  # no two are the same
    assert set(known) - set(futures) == {"EDOLLAR", "US30"}  # no longer traded; which bond is meant is not certain
    for code, future in futures.items():
        assert future.currency == known[code].currency
        assert future.points_per_unit(known[code]) == (0.01 if code == "COFFEE" else 1.0), code


def test_a_later_folder_replaces_a_row(tmp_path: Path) -> None:
    (tmp_path / "brokers").mkdir()
    header = "instrument,symbol,exchange,currency,multiplier,price_magnifier,trading_class\n"
    (tmp_path / "brokers" / "interactive_brokers.csv").write_text(header + "GOLD,MGC,COMEX,USD,10,1,\n")
    found = listed_futures([ROOT / "reference", tmp_path])
    assert found["GOLD"] == ListedFuture("GOLD", "MGC", "COMEX", "USD", 10.0)
    assert found["SILVER"].symbol == "SI"


@pytest.mark.parametrize(("row", "column"), [
    ("GOLD,,COMEX,USD,100,1,", "symbol"), ("GOLD,GC,COMEX,USD,many,1,", "multiplier"),
    ("GOLD,GC,COMEX,USD,100,0,", "price_magnifier"), ("GOLD,GC,COMEX,USD,inf,1,", "multiplier"),
])  # fmt: skip
def test_a_wrong_row_is_named(tmp_path: Path, row: str, column: str) -> None:
    (tmp_path / "brokers").mkdir()
    header = "instrument,symbol,exchange,currency,multiplier,price_magnifier,trading_class\n"
    (tmp_path / "brokers" / "interactive_brokers.csv").write_text(header + row + "\n")
    with pytest.raises(BadInput, match=f"line 2, column {column}"):
        listed_futures([tmp_path])


def test_symbols_of_ones_own(gateway: ScriptedGateway) -> None:
    gateway.contracts = [replace(GC, symbol="XAU")]
    gateway.positions = [("DU1", gateway.contracts[0], 2, 180_010.0)]
    statement = broker(gateway, symbols={"XAU": "GOLD"}).statement(TUE)
    assert statement is not None
    assert statement.positions == {("GOLD", 20220600): 2}
    with pytest.raises(ReferenceDataError, match=r"trading\.broker\.symbols names TEA"):
        broker(gateway, symbols={"T": "TEA"})
    with pytest.raises(ReferenceDataError, match="the same future"):
        broker(gateway, futures=FUTURES | {"GOLD_2": replace(FUTURES["GOLD"], instrument="GOLD_2")})


def test_the_settings_make_it(gateway: ScriptedGateway, tmp_path: Path) -> None:
    gateway.now = datetime(2022, 2, 22, 12, 0, tzinfo=UTC)
    gateway.executions = [replace(BOUGHT, at="20220221 17:30:00", reference=ID)]
    settings = DeskSettings.model_validate({
        "trading": {"broker": {
            "name": "interactive_brokers", "port": gateway.port, "session_ends": "17:00", "history_days": 7,
        }},
    })  # fmt: skip
    reference = CsvReference([ROOT / "reference"])
    made = broker_of(Place(tmp_path, "local", tmp_path), settings, MemoryFrames(), reference)
    assert [(fill.instrument, fill.session) for fill in made.fills(TUE)] == [("GOLD", TUE)]
