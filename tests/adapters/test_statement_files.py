"""CSV statements, and orders as files: what is read, what is refused, and which trade is of which order.

Does not belong here: Flex files (`test_flex_statement.py`), or what every broker promises (`tests/contracts/`).
"""

import csv
import os
import sqlite3
import threading
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from resources.brokers.csv_statement import CsvStatements
from resources.brokers.listing import Symbols
from resources.brokers.order_files import OrderFiles
from resources.brokers.statement_file import StatementFileBroker
from trading.book.orders import Fill, Order
from trading.book.statements import Statement
from trading.config.live import PaperPermit
from trading.config.trading import StatementColumns
from trading.errors import BadInput, BrokerError, ConfigError
from trading.market.instruments import Instrument

THU, FRI, MON = date(2022, 2, 24), date(2022, 2, 25), date(2022, 2, 28)
GOLD, CORN = ("GOLD", 20220400), ("CORN", 20220500)
HEADER = "record,symbol,contract,quantity,price,currency,amount,trade_id,commission,executed_at"
TEXT = f"""{HEADER}
position,GC,202204,3,1887.6,,,,,
position,CORN,20220500,-2,,,,,,
position,ZW,202205,1,801.5,,,,,
trade,GC,202204,1,1890.2,,,8812,2.1,2022-02-25T15:02:11Z
trade,GC,202204,1,1889.0,,,8811,-2.1,2022-02-25T09:00:00-05:00
trade,ZW,202205,1,801.5,,,8813,2.8,
cash,,,,,USD,1002345.67,,,
cash,,,,,EUR,-10.5,,,
"""


def symbols(given: dict[str, str] | None = None) -> Symbols:
    """Gold is GC there, corn is CORN."""
    known = {code: Instrument(code, code, "X", "USD", 100.0, 0.1, "any", "any", "any") for code in ("GOLD", "CORN")}
    return Symbols({"GC": "GOLD"} if given is None else given, lambda _: known, lambda _: {})


def broker(home: Path, columns: StatementColumns | None = None, **texts: str) -> StatementFileBroker:
    """A broker with statements of Friday, or of names given with _ for -."""
    place = home / "statements"
    place.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (place / f"{name.replace('_', '-')}.csv").write_text(text)
    statements = CsvStatements(place, columns or StatementColumns(), symbols())
    orders = OrderFiles(
        home / "broker.sqlite",
        home,
        {"GOLD": "GC"},
        permit=PaperPermit(),
        clock=lambda: datetime(2022, 2, 25, tzinfo=UTC),
    )
    return StatementFileBroker(statements, orders)


def friday(home: Path, text: str = TEXT, **columns: object) -> Statement:
    found = broker(home, StatementColumns.model_validate(columns), bank_2022_02_25=text).statement(FRI)
    assert found is not None
    return found


# --- what is read -----------------------------------------------------------------------------------------------------
def test_positions_trades_cash_and_unknown_names(tmp_path: Path) -> None:
    found = friday(tmp_path)
    assert found.positions == {GOLD: 3, CORN: -2}
    assert found.average_points == {GOLD: 1887.6}
    assert found.cash_local == {"USD": 1002345.67, "EUR": -10.5}
    assert found.unknown == ("ZW 202205",)
    assert found.settles_daily
    assert found.trades == (  # in the order they were done
        Fill("2022-02-25:8811", "", "", *GOLD, FRI, 1, 1889.0, 2.1, "2022-02-25T14:00:00+00:00"),
        Fill("2022-02-25:8812", "", "", *GOLD, FRI, 1, 1890.2, 2.1, "2022-02-25T15:02:11+00:00"),
    )


def test_a_session_without_a_file_has_no_statement_yet(tmp_path: Path) -> None:
    it = broker(tmp_path, bank_2022_02_25=TEXT)
    assert it.statement(MON) is None
    assert it.fills(MON) == []


def test_another_mapping_of_the_same(tmp_path: Path) -> None:
    text = "Kontrakt;Anzahl;Einstand;Bank\nGCJ2;3;1887.6;größer\n"
    columns = StatementColumns(
        record="", symbol="Kontrakt", contract="", quantity="Anzahl", price="Einstand", delimiter=";",
        encoding="latin-1", date_format="%d.%m.%y", settles_daily=False,
    )  # fmt: skip
    it = broker(tmp_path, columns)
    (tmp_path / "statements" / "Depot 25.02.22.csv").write_bytes(text.encode("latin-1"))
    found = it.statement(FRI)
    assert found is not None
    assert (found.positions, found.average_points) == ({GOLD: 3}, {GOLD: 1887.6})
    assert (found.cash_local, found.trades, found.settles_daily) == (None, None, False)  # not stated, which is not none


def test_byte_order_mark_windows_lines_and_further_columns_are_read_right(tmp_path: Path) -> None:
    wide = "\n".join(f"{line},more" for line in TEXT.splitlines())
    assert friday(tmp_path, "\ufeff" + wide.replace("\n", "\r\n")) == friday(tmp_path / "plain")


def test_flat_positions_are_none_and_cash_without_a_row_is_not_stated(tmp_path: Path) -> None:
    found = friday(tmp_path, f"{HEADER}\nposition,GC,202204,0,,,,,,\n")
    assert (found.positions, found.trades, found.cash_local) == ({}, (), None)


def test_a_file_without_rows_is_not_read_as_flat(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"line 1: a header and no rows, .*with a position of 0 in any contract"):
        friday(tmp_path, f"{HEADER}\n")


# --- what is refused --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("old", "new", "said"), [
    (HEADER, HEADER.replace("quantity", "lots"),
     r"line 1, column quantity: the column is missing; .*Add it, or map it in trading\.broker\.columns"),
    (HEADER, HEADER.replace("executed_at", "symbol"), r"line 1, column executed_at: the column is missing"),
    ("GC,202204,3,", "GC,202204,2.5,", r"line 2, column quantity: not a whole number of contracts \(value '2\.5'\)"),
    ("GC,202204,3,", "GC,202204,many,", r"line 2, column quantity: not a number \(value 'many'\)"),
    ("GC,202204,3,", "GC,202204,20220400,", r"line 2, column quantity: not a whole number of contracts"),
    ("GC,202204,3,", "GC,APR22,3,", r"line 2, column contract: not a contract month \(value 'APR22'\)"),
    ("GC,202204,3,", "GC,202213,3,", r"line 2, column contract: not a contract month \(value '202213'\)"),
    ("GC,202204,3,", ",202204,3,", r"line 2, column symbol: no symbol"),
    ("GC,202204,3,1887.6", "GC,202204,3,1.887,6", r"line 2: the line has 11 fields, the header 10"),
    ("position,CORN,20220500", "position,GC,20220400",
     r"line 3, column symbol: a second position in GOLD/20220400 \(value 'GC'\)\. Keep one row"),
    ("position,CORN", "holding,CORN", r"line 3, column record: not a kind of record \(value 'holding'\)"),
    ("1890.2", "inf", r"line 5, column price: not a number \(value 'inf'\)"),
    ("1890.2", "", r"line 5, column price: not a number \(value ''\)"),
    ("GC,202204,1,1890.2", "GC,202204,0,1890.2", r"line 5, column quantity: a trade of nothing \(value '0'\)"),
    ("8811", "8812", r"line 6, column trade_id: a trade twice \(value '8812'\)"),
    ("8811", "", r"line 6, column trade_id: a trade without an id"),
    ("2022-02-25T15:02:11Z", "noon", r"line 5, column executed_at: not a time \(value 'noon'\)"),
    ("EUR,-10.5", "USD,-10.5", r"line 9, column currency: cash in this currency twice \(value 'USD'\)"),
    ("EUR,-10.5", "Euro,-10.5", r"line 9, column currency: not a currency \(value 'Euro'\)"),
    ("cash,,,,,EUR,-10.5,,,\n", "cash,,,,", r"line 9: the line has 5 fields, the header 10 .*cut off"),
    (TEXT, "", r"the file is empty"),
])  # fmt: skip
def test_what_is_wrong_is_named_by_line_and_column(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in TEXT
    with pytest.raises(BadInput, match=rf"bank-2022-02-25\.csv.*{said}"):
        friday(tmp_path, TEXT.replace(old, new))


def test_another_encoding_is_refused(tmp_path: Path) -> None:
    it = broker(tmp_path, bank_2022_02_25=TEXT)
    (tmp_path / "statements" / "bank-2022-02-25.csv").write_bytes(TEXT.encode("utf-16"))
    with pytest.raises(BadInput, match=r"looks like UTF-16.*set trading\.broker\.columns\.encoding"):
        it.fills(FRI)


def test_two_statements_of_one_session_are_refused(tmp_path: Path) -> None:
    it = broker(tmp_path, bank_2022_02_25=TEXT, bank_2022_02_25_2=TEXT)
    with pytest.raises(BadInput, match=r"bank-2022-02-25\.csv: a second statement of 2022-02-25, beside bank-2022-02-"):
        it.statement(FRI)


def test_a_file_without_a_session_in_its_name_is_refused(tmp_path: Path) -> None:
    it = broker(tmp_path, bank_2022_2_25=TEXT)
    with pytest.raises(BadInput, match=r"no session in the file name, written as %Y-%m-%d\. Rename or remove"):
        it.statement(FRI)


def test_a_date_format_that_no_name_can_hold_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"trading\.broker\.columns\.date_format '%x' cannot be found"):
        broker(tmp_path, StatementColumns(date_format="%x"))


def test_a_file_that_cannot_be_read_is_no_answer(tmp_path: Path) -> None:
    it = broker(tmp_path)
    file = tmp_path / "statements" / "bank-2022-02-25.csv"
    file.symlink_to(file)
    with pytest.raises(BrokerError, match=r"did not answer: .*bank-2022-02-25\.csv cannot be read"):
        it.statement(FRI)


def test_a_folder_that_is_gone_is_no_answer(tmp_path: Path) -> None:
    it = broker(tmp_path)
    (tmp_path / "statements").rmdir()
    with pytest.raises(BrokerError, match=r"did not answer: .*statements cannot be read \(No such file"):
        it.statement(FRI)


# --- orders as files --------------------------------------------------------------------------------------------------
def order(name: str, quantity: int, session: date = THU, key: tuple[str, int] = GOLD, reason: str = "target") -> Order:
    return Order(name, f"strategy of {name}", *key, session, quantity, reason, 1890.5)


def shown(home: Path, session: date = THU) -> dict[str, tuple[str, str]]:
    """Filled contracts and status by order, as in the file."""
    with (home / "paper-orders" / f"PAPER-{session}.csv").open() as file:
        return {row["order_id"]: (row["filled"], row["status"]) for row in csv.DictReader(file)}


def trades(*rows: str) -> str:
    """A statement of nothing but trades in gold: quantity, id and perhaps an order reference."""
    lines = [f"trade,GC,202204,{q},1890.0,,,{name},4,,{ref}" for q, name, ref in (row.split(":") for row in rows)]
    return "\n".join([f"{HEADER},reference", *lines]) + "\n"


REFERENCED = StatementColumns(order_reference="reference")


def placed(home: Path, orders: list[Order], *rows: str) -> StatementFileBroker:
    it = broker(home, REFERENCED, bank_2022_02_25=trades(*rows))
    it.place(orders)
    return it


def fills(it: StatementFileBroker) -> list[tuple[str, str, int, float]]:
    return [(f.fill_id, f.order_id, f.quantity_contracts, f.commission_local) for f in it.fills(FRI)]


def test_orders_are_shown_whole_and_once(tmp_path: Path) -> None:
    it = broker(tmp_path)
    it.place([order("a", 2), order("b", -1, key=CORN)])
    it.place([order("a", 9), order("b", -1, key=CORN)])
    assert (tmp_path / "paper-orders" / "PAPER-2022-02-24.csv").read_text() == (
        "order_id,strategy,instrument,symbol,contract,quantity,reason,reference_price,filled,status\n"
        "a,strategy of a,GOLD,GC,20220400,2,target,1890.5,0,working\n"
        "b,strategy of b,CORN,CORN,20220500,-1,target,1890.5,0,working\n"
    )
    assert os.listdir(tmp_path / "paper-orders") == ["PAPER-2022-02-24.csv"]


def test_no_orders_make_no_file(tmp_path: Path) -> None:
    it = broker(tmp_path)
    it.place([])
    it.cancel(["nobody knows it"])
    assert not (tmp_path / "paper-orders").exists()


def test_what_is_left_of_an_order_is_withdrawn(tmp_path: Path) -> None:
    it = placed(tmp_path, [order("a", 2), order("b", 3)], "3:1:b")
    it.fills(FRI)
    it.cancel(["a", "b", "unknown"])
    assert shown(tmp_path) == {"a": ("0", "cancelled"), "b": ("3", "filled")}


def test_a_trade_goes_to_the_oldest_order_of_its_contract_and_side(tmp_path: Path) -> None:
    others = [order("sell", -2), order("corn", 2, key=CORN), order("friday", 2, FRI)]
    it = placed(tmp_path, [*others, order("first", 2), order("second", 2)], "2:1:", "1:2:")
    assert fills(it) == [("2022-02-25:1", "first", 2, 4.0), ("2022-02-25:2", "second", 1, 4.0)]
    assert shown(tmp_path)["second"] == ("1", "part_filled")


def test_a_roll_trades_in_its_own_session(tmp_path: Path) -> None:
    it = placed(tmp_path, [order("roll", 2, FRI, reason="roll")], "2:1:")
    assert fills(it) == [("2022-02-25:1", "roll", 2, 4.0)]


def test_a_trade_of_several_orders_is_shared_and_the_rest_is_nobodys(tmp_path: Path) -> None:
    it = placed(tmp_path, [order("a", 1), order("b", 2)], "4:1:")
    assert fills(it) == [("2022-02-25:1/1", "a", 1, 1.0), ("2022-02-25:1/2", "b", 2, 2.0)]
    found = it.statement(FRI)
    assert found is not None
    rest = (found.trades or ())[2]
    assert (rest.fill_id, rest.order_id, rest.strategy, rest.quantity_contracts) == ("2022-02-25:1/3", "", "", 1)


def test_a_reference_wins_even_over_what_is_left(tmp_path: Path) -> None:
    it = placed(tmp_path, [order("a", 1), order("b", 1)], "2:1:b", "1:2:corn of another desk")
    assert fills(it) == [("2022-02-25:1", "b", 2, 4.0), ("2022-02-25:2", "a", 1, 4.0)]


def test_a_match_stays_whatever_is_ordered_cancelled_or_delivered_later(tmp_path: Path) -> None:
    it = placed(tmp_path, [order("a", 2)], "1:1:")
    before = fills(it)
    it.cancel(["a"])
    it.place([order("earlier", 1, date(2022, 2, 23))])
    broker(tmp_path, REFERENCED, bank_2022_02_25=trades("1:0:", "1:1:"))
    assert fills(it) == [("2022-02-25:0", "earlier", 1, 4.0), *before]


def test_a_trade_of_nobody_is_asked_again_when_there_are_orders(tmp_path: Path) -> None:
    it = placed(tmp_path, [], "1:1:")
    assert fills(it) == []
    it.place([order("late", 1)])
    assert fills(it) == [("2022-02-25:1", "late", 1, 4.0)]


def test_a_fill_may_cross_a_cancellation_for_a_week(tmp_path: Path) -> None:
    it = broker(tmp_path, REFERENCED, bank_2022_02_25=trades("1:1:", "1:2:"))
    it.place([order("crossed", 1), order("forgotten", 1, date(2022, 2, 17))])
    it.cancel(["crossed", "forgotten"])
    assert fills(it) == [("2022-02-25:1", "crossed", 1, 4.0)]


def test_another_quantity_of_a_known_trade_stays_with_its_orders(tmp_path: Path) -> None:
    it = placed(tmp_path, [order("a", 1), order("b", 2)], "3:1:")
    assert [name for _, name, *_ in fills(it)] == ["a", "b"]
    broker(tmp_path, REFERENCED, bank_2022_02_25=trades("2:1:"))
    assert fills(it) == [("2022-02-25:1/1", "a", 1, 2.0), ("2022-02-25:1/2", "b", 1, 2.0)]


def test_orders_survive_their_process_and_many_place_at_once(tmp_path: Path) -> None:
    def one(number: int) -> None:
        broker(tmp_path).place([order(f"{number}", 1), order("shared", 1)])

    threads = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(shown(tmp_path)) == {*"012345", "shared"}
    with sqlite3.connect(tmp_path / "broker.sqlite") as books:
        assert books.execute("SELECT COUNT(*) FROM handed_orders").fetchone() == (7,)


def test_orders_that_cannot_be_shown_are_not_known_either(tmp_path: Path) -> None:
    it = broker(tmp_path)
    (tmp_path / "paper-orders").write_text("a file where the folder belongs")
    with pytest.raises(BrokerError, match=r"did not answer: its orders at .*orders"):
        it.place([order("a", 1)])
    (tmp_path / "paper-orders").unlink()
    it.place([order("a", 2)])
    assert shown(tmp_path) == {"a": ("0", "working")}
    assert ",2,target," in (tmp_path / "paper-orders" / "PAPER-2022-02-24.csv").read_text()
