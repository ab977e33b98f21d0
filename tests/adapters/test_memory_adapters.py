"""What the in-memory vendor, broker, reference store and notifier do, so that tests may lean on them."""

from __future__ import annotations

from datetime import date, datetime

import pyarrow as pa
import pytest

from resources.memory import MemoryBroker, MemoryNotifier, MemoryReference, MemoryVendor
from trading.book.orders import Fill, Order
from trading.book.statements import Statement
from trading.errors import BrokerError, VendorError
from trading.frames import RAW_BARS, RAW_MULTIPLE_PRICES
from trading.market.instruments import Instrument
from trading.ports import Broker, Failure, Notice, Notifier, PriceVendor, ReferenceStore, Request

FRIDAY, MONDAY = date(2022, 2, 25), date(2022, 2, 28)
US10 = Instrument("US10", "10-year note", "us_rates", "USD", 1000.0, 1 / 64, "bonds", "government", "US")


def order(name: str, quantity: int, points: float | None) -> Order:
    return Order(name, "trend", "US10", 20220600, FRIDAY, quantity, "target", points)


def vendor() -> MemoryVendor:
    rows = [("US10", 24), ("US10", 25), ("SP500", 25), ("GOLD", 25)]
    stamps = [datetime.fromisoformat(f"2022-02-{day}") for _, day in rows]
    table = pa.table({"instrument": [code for code, _ in rows], "stamp": stamps})
    return MemoryVendor({"raw_multiple_prices": table})


def test_they_are_what_the_ports_ask_for() -> None:
    assert isinstance(MemoryBroker(), Broker)
    assert isinstance(MemoryReference(), ReferenceStore)
    assert isinstance(vendor(), PriceVendor)
    assert isinstance(MemoryNotifier(), Notifier)


def test_vendor_tells_no_data_from_failed() -> None:
    one = vendor()
    one.failing["GOLD"] = "timeout"
    answer = one.fetch(RAW_MULTIPLE_PRICES, Request(("US10", "GOLD", "WHEAT"), since=FRIDAY))
    assert answer.rows["instrument"].to_pylist() == ["US10"]
    assert answer.no_data == ("WHEAT",)
    assert answer.failed == (Failure("GOLD", "timeout"),)
    assert one.instruments() == ["GOLD", "SP500", "US10"]


def test_vendor_that_is_down_or_does_not_deliver() -> None:
    one = vendor()
    with pytest.raises(VendorError, match="does not deliver raw_bars"):
        one.fetch(RAW_BARS, Request())
    one.down = "no route to host"
    with pytest.raises(VendorError, match="no route to host"):
        one.fetch(RAW_MULTIPLE_PRICES, Request())


def test_broker_fills_at_reference_once_and_states_what_it_holds() -> None:
    broker = MemoryBroker()
    orders = [order("o1", 2, 127.5), order("o2", -3, 128.0), order("o3", 1, None)]
    broker.place(orders)
    broker.place(orders)
    assert [(fill.order_id, fill.quantity_contracts, fill.price_points) for fill in broker.fills(FRIDAY)] == [
        ("o1", 2, 127.5), ("o2", -3, 128.0)
    ]  # fmt: skip
    assert [working.order_id for working in broker.working] == ["o3"]
    broker.cancel(["o1", "o3", "unknown"])
    assert broker.working == []
    assert broker.statement(FRIDAY) == Statement("memory", FRIDAY, {("US10", 20220600): -1})
    assert broker.fills(MONDAY) == []


def test_broker_answers_scripts_and_fails_when_told() -> None:
    scripted = Fill("f9", "o9", "trend", "US10", 20220600, MONDAY, 7, 127.0)
    broker = MemoryBroker(fill=lambda _: None, statements={FRIDAY: None}, fills=[scripted])
    broker.place([order("o1", 2, 127.5)])
    assert broker.fills(MONDAY) == [scripted]
    assert broker.statement(FRIDAY) is None
    broker.down = "connection refused"
    with pytest.raises(BrokerError, match="connection refused"):
        broker.statement(FRIDAY)


def test_reference_is_effective_dated_and_hashed_by_content() -> None:
    later = Instrument(**{**{name: getattr(US10, name) for name in US10.__slots__}, "point_value_local": 2000.0,
                          "effective_from": MONDAY})  # fmt: skip
    reference = MemoryReference([later, US10], sessions={"holiday": [MONDAY]})
    assert reference.instruments(FRIDAY)["US10"].point_value_local == 1000.0
    assert reference.instruments(MONDAY)["US10"].point_value_local == 2000.0
    assert reference.calendar("any", date(2022, 2, 24), MONDAY).sessions == (date(2022, 2, 24), FRIDAY, MONDAY)
    assert reference.calendar("holiday", FRIDAY, MONDAY).sessions == (MONDAY,)
    assert reference.content_hash() != MemoryReference([US10]).content_hash()
    assert reference.content_hash() == MemoryReference([later, US10], sessions={"holiday": [MONDAY]}).content_hash()


def test_notifier_keeps_what_it_was_told_unless_broken() -> None:
    notifier = MemoryNotifier()
    notice = Notice("info", "Closed", "All good")
    assert notifier.notify(notice)
    notifier.broken = True
    assert not notifier.notify(notice)
    assert notifier.told == [notice]
