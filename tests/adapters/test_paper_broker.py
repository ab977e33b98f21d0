"""What only the paper broker does: prices, costs, closed instruments, rolls, faults, its own file."""

from datetime import date
from pathlib import Path

import pytest

from resources.brokers.paper import NO_FAULTS, PaperBroker, PaperFaults
from trading.book.orders import Order
from trading.errors import BrokerError, UnknownInstrument
from trading.market.instruments import Instrument

MON, TUE, WED = date(2022, 2, 21), date(2022, 2, 22), date(2022, 2, 23)
JUN, AUG = 20220600, 20220800
GOLD = Instrument(
    "GOLD", "Gold", "COMEX", "USD", 100.0, 0.1, "metals", "precious", "US", slippage_points=0.25,
    commission_per_contract_local=2.0, commission_per_trade_local=3.0, commission_fraction=0.0001,
)  # fmt: skip
QUOTES = {MON: {("GOLD", JUN): 1790.0}, WED: {("GOLD", JUN): 1810.0}}  # closed on Tuesday


def order(quantity: int, session: date = MON, reason: str = "target", contract: int = JUN, code: str = "GOLD") -> Order:
    return Order(f"{session}:{code}:{contract}:{reason}", "trend", code, contract, session, quantity, reason, 1805.0)


def broker(path: Path | str = ":memory:", faults: PaperFaults = NO_FAULTS) -> PaperBroker:
    return PaperBroker(path, lambda session: QUOTES.get(session, {}), lambda _: {"GOLD": GOLD}, faults)


def test_an_order_waits_for_its_next_session_with_a_price_and_pays_for_it() -> None:
    paper = broker()
    paper.place([order(-4)])
    assert paper.fills(MON) == []  # decided after Monday's close
    assert paper.fills(TUE) == []  # closed
    (fill,) = paper.fills(WED)
    assert (fill.session, fill.price_points) == (WED, 1809.75)  # sold 0.25 worse than 1810
    # 4 x 2 + 3 + 0.0001 x 4 x 1809.75 x 100
    assert fill.commission_local == pytest.approx(8 + 3 + 72.39)
    statement = paper.statement(WED)
    assert statement is not None
    assert statement.positions == {("GOLD", JUN): -4}
    assert statement.cash_local == pytest.approx({"USD": 4 * 1809.75 * 100 - 83.39})
    assert (statement.trades, paper.statement(TUE).trades) == ((fill,), ())


def test_a_trade_that_is_not_reported_is_on_the_statement_all_the_same() -> None:
    paper = broker(faults=PaperFaults(drop_fill=frozenset({"GOLD"})))
    paper.place([order(-4)])
    assert paper.fills(WED) == []
    assert [trade.quantity_contracts for trade in paper.statement(WED).trades] == [-4]


def test_roll_legs_are_filled_in_their_own_session_at_their_reference() -> None:
    paper = broker()
    paper.place([order(-2, TUE, "roll"), order(2, TUE, "roll", AUG)])
    assert [(f.contract, f.price_points) for f in paper.fills(TUE)] == [(JUN, 1804.75), (AUG, 1805.25)]


def test_a_withdrawn_order_is_not_filled() -> None:
    paper = broker()
    paper.place([order(1)])
    paper.cancel([order(1).order_id])
    paper.place([order(1)])  # its id is known
    assert paper.fills(WED) == []


def test_a_session_before_the_last_one_gets_no_new_fills() -> None:
    paper = broker()
    paper.fills(WED)
    paper.place([order(1, date(2022, 2, 18))])
    assert paper.fills(MON) == []


def test_there_is_no_statement_of_a_session_it_has_not_come_to() -> None:
    paper = broker()
    paper.fills(MON)
    assert paper.statement(TUE) is None
    assert paper.statement(MON) is not None


def test_it_remembers_in_its_file(tmp_path: Path) -> None:
    first = broker(tmp_path / "paper.sqlite")
    first.place([order(3)])
    first.close()
    second = broker(tmp_path / "paper.sqlite")
    found = second.fills(WED)
    assert [fill.quantity_contracts for fill in found] == [3]
    assert broker(tmp_path / "paper.sqlite").fills(WED) == found


def test_a_lost_fill_is_still_in_the_statement() -> None:
    paper = broker(faults=PaperFaults(drop_fill=frozenset({"GOLD"})))
    paper.place([order(3)])
    assert paper.fills(WED) == []
    assert paper.statement(WED).positions == {("GOLD", JUN): 3}


def test_a_wrong_quantity_and_a_missing_statement(tmp_path: Path) -> None:
    paper = broker(tmp_path / "p.sqlite", PaperFaults(wrong_quantity=frozenset({"GOLD"})))
    paper.place([order(3)])
    assert [fill.quantity_contracts for fill in paper.fills(WED)] == [3]
    assert paper.statement(WED).positions == {("GOLD", JUN): 4}
    assert broker(tmp_path / "p.sqlite", PaperFaults(no_statement=True)).statement(WED) is None


def test_an_unknown_instrument_is_named_and_nothing_is_booked() -> None:
    paper = PaperBroker(":memory:", lambda _: {("CORN", JUN): 4.0, ("GOLD", JUN): 1.0}, lambda _: {"GOLD": GOLD})
    paper.place([order(1), order(1, code="CORN")])
    for _ in range(2):
        with pytest.raises(UnknownInstrument, match="CORN"):
            paper.fills(TUE)
    assert paper.statement(MON) is None  # the failed session left nothing behind


def test_a_file_that_is_no_database_is_no_answer(tmp_path: Path) -> None:
    path = tmp_path / "paper.sqlite"
    path.write_text("not a database, though long enough to be looked at as one " * 20)
    with pytest.raises(BrokerError, match=r"paper\.sqlite failed"):
        broker(path).fills(MON)


def test_the_statement_is_the_same_in_any_order_and_counts_fills_another_process_booked(tmp_path: Path) -> None:
    quotes = {day: {("GOLD", JUN): 1800.0} for day in (MON, TUE, WED)}
    one, other = (PaperBroker(tmp_path / "p.sqlite", quotes.__getitem__, lambda _: {"GOLD": GOLD}) for _ in range(2))
    one.place([order(3)])
    one.fills(TUE)
    assert one.statement(TUE).positions == {("GOLD", JUN): 3}
    other.place([order(-1, session=TUE, reason="roll", contract=JUN)])  # a leg that fills in a session already folded
    other.fills(TUE)
    other.place([order(5, session=TUE, code="GOLD")])
    other.fills(WED)
    assert one.statement(TUE).positions == {("GOLD", JUN): 2}
    assert one.statement(WED).positions == {("GOLD", JUN): 7}
    assert one.statement(TUE) == other.statement(TUE)
    assert one.statement(MON) is not None
    assert one.statement(MON).positions == {}
    # Bought 3 and 5 at 1800.25, sold 1 at its reference 1805 - 0.25, 100 a point: -540075 - 900125 + 180475.
    # Commissions, 3 a trade + 2 a contract + 0.0001 of the value: 63.0075 + 103.0125 + 23.0475.
    assert one.statement(WED).cash_local == pytest.approx({"USD": -1259725 - 189.0675})
