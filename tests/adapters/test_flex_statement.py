"""Interactive Brokers Flex statements: a sample in the documented layout against a book made by hand, and what is wrong
with files. Account, ids and numbers of the sample are made up.

The book, worked by hand (USD 500,000 and EUR 50,000 paid in; 10,000 EUR bought at 1.12 for a fee of 2 USD):

    SP500    +1 at 4300.25 on the 24th, +1 at 4361.75 on the 25th: +2 at 4331; at 4380 that is +4,900, less 4.20
    CRUDE_W  -1 at 81.20 on the 25th; at 82.05 that is -850, less 2.30
    BUND     +1 at 165.30 on the 24th; at 166.10 that is +800 EUR, less 1.50 EUR
    CORN     +1 at 655.5 on the 24th, -1 at 690.25 on the 25th: +1,737.50, less 5.60
    GOLD     +1 at 1889.20 on the 25th (booked at 1890.20 first, and cancelled); at 1887.60 that is -160, less 2.10
    USD      500,000 + 4,900 - 850 + 1,737.50 - 160 - 14.20 - 11,202 = 494,411.30
    EUR      50,000 + 10,000 + 800 - 1.50 = 60,798.50
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from resources.brokers.flex_statement import FlexStatements
from resources.brokers.listing import Symbols
from resources.brokers.order_files import OrderFiles
from resources.brokers.statement_file import StatementFileBroker
from trading.book.orders import Fill, Order
from trading.book.reconciliation import Asked, Ours, reconcile
from trading.book.statements import Statement
from trading.book.trade_matching import Trades
from trading.config.live import PaperPermit
from trading.config.trading import ReconciliationSettings
from trading.errors import BadInput, BrokerError, ConfigError
from trading.market.instruments import Instrument, RollParameters

SAMPLE = Path(__file__).with_name("flex_sample.xml").read_text()
THU, FRI, MON = date(2022, 2, 24), date(2022, 2, 25), date(2022, 2, 28)
SYMBOLS = {"ES": "SP500", "CL": "CRUDE_W", "GBL": "BUND", "ZC": "CORN", "GC": "GOLD"}
WORTH = {"SP500": ("USD", 50.0), "CRUDE_W": ("USD", 1000.0), "BUND": ("EUR", 1000.0), "CORN": ("USD", 50.0),
         "GOLD": ("USD", 100.0)}  # fmt: skip
SPX, OIL, BUND, CORN, GOLD = (
    ("SP500", 20220600), ("CRUDE_W", 20221200), ("BUND", 20220600), ("CORN", 20220500), ("GOLD", 20220400),
)  # fmt: skip
BOUGHT = Fill("ours-1", "a", "trend", *SPX, FRI, 1, 4361.75, 2.1)
SOLD = Fill("ours-2", "b", "trend", *OIL, FRI, -1, 81.2, 2.3)
CLOSED = Fill("ours-3", "c", "trend", *CORN, FRI, -1, 690.25, 2.8)
OPENED = Fill("ours-4", "d", "trend", *GOLD, FRI, 1, 1889.2, 2.1)
OURS = Ours(
    positions={SPX: 2, OIL: -1, BUND: 1, GOLD: 1},
    average_points={SPX: 4331.0, OIL: 81.2, BUND: 165.3, GOLD: 1889.2},
    settled_local={"USD": 494_411.30, "EUR": 60_798.50},
    trades=Trades((BOUGHT, SOLD, CLOSED, OPENED)),
    worth=WORTH,
)


def instruments(_: date) -> dict[str, Instrument]:
    """The five, as in reference data."""
    return {
        code: Instrument(code, code, "X", currency, worth, 0.01, "any", "any", "any")
        for code, (currency, worth) in WORTH.items()
    }


def rolls(_: date) -> dict[str, RollParameters]:
    """Crude oil expires eleven days before the first of its contract month."""
    return {"CRUDE_W": RollParameters("CRUDE_W", "Z", "FGHJKMNQUVXZ", -42, -11, -1)}


def folder(home: Path, **texts: str) -> Path:
    """A folder of statements by name."""
    place = home / "statements"
    place.mkdir(exist_ok=True)
    for name, text in texts.items():
        (place / f"{name}.xml").write_text(text)
    return place


def broker(home: Path, text: str = SAMPLE, account: str | None = None, **more: str) -> StatementFileBroker:
    """A broker whose one file, and perhaps others, says this."""
    symbols = Symbols(SYMBOLS, instruments, rolls, {"GOLD": (100.0,)})
    statements = FlexStatements(folder(home, daily=text, **more), account, symbols)
    now = datetime(2022, 2, 25, tzinfo=UTC)
    orders = OrderFiles(home / "broker.sqlite", home, permit=PaperPermit(), clock=lambda: now)
    return StatementFileBroker(statements, orders)


def stated(home: Path, text: str = SAMPLE, session: date = FRI, **more: str) -> Statement:
    found = broker(home, text, **more).statement(session)
    assert found is not None
    return found


def changed(old: str, new: str, count: int = -1) -> str:
    """The sample with something else in it."""
    assert old in SAMPLE
    return SAMPLE.replace(old, new, count)


def kinds(statement: Statement) -> dict[str, str]:
    """Breaks of the book made by hand with a statement, item by kind."""
    found = reconcile(OURS, Asked("statement_file", statement), FRI, ReconciliationSettings())
    return {each.kind: each.item for each in found.findings}


# --- the sample agrees ------------------------------------------------------------------------------------------------
def test_the_sample_reconciles_with_the_book(tmp_path: Path) -> None:
    assert kinds(stated(tmp_path)) == {}


def test_the_sample_says_what_was_worked_by_hand(tmp_path: Path) -> None:
    found = stated(tmp_path)
    assert found.positions == {SPX: 2, OIL: -1, BUND: 1, GOLD: 1}
    assert found.average_points == {SPX: 4331.042, OIL: 81.1977, BUND: 165.3015, GOLD: 1889.221}
    assert found.cash_local == {"USD": 494411.3, "EUR": 60798.5}
    assert found.settles_daily
    assert found.unknown == ()
    assert found.as_of == datetime(2022, 2, 26, 9, 15, 30, tzinfo=UTC)  # 04:15:30 in New York
    assert [
        (each.fill_id, each.instrument, each.contract, each.quantity_contracts, each.price_points,
         each.commission_local, each.executed_at)
        for each in found.trades or ()
    ] == [
        ("4100000001", *SPX, 1, 4361.75, 2.1, "2022-02-25T14:35:12+00:00"),
        ("4100000002", *OIL, -1, 81.2, 2.3, "2022-02-25T16:00:04+00:00"),
        ("4100000003", *CORN, -1, 690.25, 2.8, "2022-02-25T16:30:00+00:00"),  # 6.9025 dollars are 690.25 cents
        ("4100000004", *GOLD, 1, 1889.2, 2.1, "2022-02-25T19:10:03+00:00"),
    ]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "breaks"), [
    ('position="2" markPrice', 'position="3" markPrice', {"quantity": "SP500/20220600"}),
    ('costBasisPrice="165.3015"', 'costBasisPrice="165.4"', {"price": "BUND/20220600"}),
    ('tradePrice="81.2"', 'tradePrice="81.3"', {"trade": "CRUDE_W/20221200/ours-2"}),
    ('endingCash="494411.3"', 'endingCash="494411.5"', {"cash": "USD"}),
    ('symbol="FGBL JUN 22"', 'symbol="FGBL JUL 22"',
     {"missing_here": "BUND/20220700", "missing_there": "BUND/20220600"}),
    ('underlyingSymbol="GBL"', 'underlyingSymbol="FOO"',
     {"unknown_contract": "FGBL JUN 22 20220608", "missing_there": "BUND/20220600"}),
])  # fmt: skip
def test_one_thing_changed_is_its_break(tmp_path: Path, old: str, new: str, breaks: dict[str, str]) -> None:
    assert kinds(stated(tmp_path, changed(old, new))) == breaks


def test_a_trade_that_only_one_side_has_breaks(tmp_path: Path) -> None:
    theirs = stated(tmp_path)
    assert theirs.trades is not None
    assert set(kinds(replace(theirs, trades=theirs.trades[1:]))) == {"trade_missing_there"}
    extra = Fill("4100000009", "", "", *GOLD, FRI, 1, 1889.0)
    assert kinds(replace(theirs, trades=(*theirs.trades, extra))) == {"trade_missing_here": "GOLD/20220400/4100000009"}


# --- fills of our orders ----------------------------------------------------------------------------------------------
def test_trades_are_of_the_order_they_name_else_of_the_oldest_of_their_contract(tmp_path: Path) -> None:
    it = broker(tmp_path)
    named = Order("2022-02-24:trend:SP500:20220600:target", "trend", *SPX, THU, 1, "target", 4310.0)
    older = Order("older", "carry", *SPX, THU, 1, "target")
    oil, gold = Order("oil", "carry", *OIL, THU, -1, "target"), Order("gold", "trend", *GOLD, FRI, 1, "target")
    it.place([older, named, oil, gold])
    assert [(fill.fill_id, fill.order_id, fill.strategy) for fill in it.fills(FRI)] == [
        ("4100000001", "2022-02-24:trend:SP500:20220600:target", "trend"),
        ("4100000002", "oil", "carry"),
    ]  # the gold order was decided at Friday's close: it cannot have traded on Friday
    found = it.statement(FRI)
    assert found is not None
    assert [fill.order_id for fill in found.trades or ()][2:] == ["", ""]
    assert it.fills(MON) == []
    assert it.statement(MON) is None


# --- cancellations and corrections ------------------------------------------------------------------------------------
HEAD = '<FlexQueryResponse><FlexStatements count="1">'
TAIL = "</FlexStatements></FlexQueryResponse>"


def statement_of(day: str, trades: str, first: str = "", positions: str = "", account: str = "U0000017") -> str:
    return (
        f'<FlexStatement accountId="{account}" fromDate="{first or day}" toDate="{day}" whenGenerated="">'
        f"<Trades>{trades}</Trades><OpenPositions>{positions}</OpenPositions></FlexStatement>"
    )


def one(day: str, trades: str, first: str = "", positions: str = "") -> str:
    return HEAD + statement_of(day, trades, first, positions) + TAIL


def trade(
    name: str, quantity: int, price: float, more: str = "", kind: str = "ExchTrade", day: str = "20220228"
) -> str:
    paid = "2.1" if kind == "TradeCancel" else "-2.1"
    return (
        f'<Trade assetCategory="FUT" symbol="GCJ2" underlyingSymbol="GC" multiplier="100" currency="USD" '
        f'expiry="20220427" tradeID="{name}" tradeDate="{day}" transactionType="{kind}" quantity="{quantity}" '
        f'tradePrice="{price}" ibCommission="{paid}" ibCommissionCurrency="USD" {more}/>'
    )


def cancel(original: str, quantity: int, price: float, more: str = "") -> str:
    return trade("", quantity, price, f'origTradeID="{original}" notes="Ca" transactionID="9{original}" {more}',
                 kind="TradeCancel")  # fmt: skip


def listed(home: Path, trades: str, day: str = "20220228", first: str = "") -> list[tuple[str, int, float, float]]:
    found = stated(home, one(day, trades, first), MON)
    return [(e.fill_id, e.quantity_contracts, e.price_points, e.commission_local) for e in found.trades or ()]


def test_a_cancelled_trade_drops_out_with_its_cancellation(tmp_path: Path) -> None:
    assert listed(tmp_path, trade("1", 2, 1890.0) + trade("2", 1, 1891.0) + cancel("1", -2, 1890.0)) == [
        ("2", 1, 1891.0, 2.1)
    ]


def test_a_cancellation_of_an_earlier_statement_takes_back_what_its_order_got(tmp_path: Path) -> None:
    both = {"friday": one("20220225", trade("1", 2, 1890.0, day="20220225"))}
    it = broker(tmp_path, one("20220228", cancel("1", -2, 1890.0) + trade("7", 2, 1895.0)), **both)
    it.place([Order("gold", "trend", *GOLD, THU, 2, "target")])
    assert [(fill.fill_id, fill.order_id) for fill in it.fills(FRI)] == [("1", "gold")]
    assert [
        (fill.fill_id, fill.order_id, fill.quantity_contracts, fill.commission_local) for fill in it.fills(MON)
    ] == [("1~busted", "gold", -2, -2.1), ("7", "gold", 2, 2.1)]


def test_an_earlier_trade_that_is_booked_again_has_the_names_of_a_correction(tmp_path: Path) -> None:
    again = cancel("1", -2, 1890.0) + trade("1", 2, 1889.0)
    assert listed(tmp_path, again) == [("1~1-", -2, 1890.0, -2.1), ("1~1", 2, 1889.0, 2.1)]


def test_the_transaction_that_is_cancelled_is_told_from_the_one_booked_again(tmp_path: Path) -> None:
    rows = (
        trade("1", 1, 1889.0, 'transactionID="13"')
        + cancel("1", -1, 1890.0, 'origTransactionID="11"')
        + trade("1", 1, 1890.0, 'transactionID="11"')
    )
    assert listed(tmp_path, rows) == [("1", 1, 1889.0, 2.1)]


def test_a_correction_takes_the_place_of_its_original(tmp_path: Path) -> None:
    rows = trade("1", 1, 1890.0) + trade("2", 1, 1889.0, 'origTradeID="1" notes="P;Co"', kind="TradeCorrect")
    assert listed(tmp_path, rows) == [("2", 1, 1889.0, 2.1)]


def test_of_a_statement_of_many_days_trades_are_those_of_its_last(tmp_path: Path) -> None:
    rows = trade("1", 1, 1890.0, day="2022-02-25") + trade("2", 1, 1891.0, day="2022-02-28")
    late = trade("3", 1, 1892.0, 'reportDate="20220228"', day="20220225")
    assert [name for name, *_ in listed(tmp_path, rows + late, first="20220201")] == ["2", "3"]


# --- contracts and positions ------------------------------------------------------------------------------------------
def position(symbol: str, under: str, quantity: str, more: str = 'multiplier="100" currency="USD"') -> str:
    named = f'symbol="{symbol}" underlyingSymbol="{under}"'
    return f'<OpenPosition assetCategory="FUT" {named} position="{quantity}" {more} />'


def held(home: Path, *rows: str) -> Statement:
    return stated(home, one("20220228", "", positions="".join(rows)), MON)


def test_the_month_in_a_symbol_is_believed_before_the_expiry(tmp_path: Path) -> None:
    oil = 'multiplier="1000" currency="USD" expiry="20221121"'
    assert held(tmp_path, position("CLZ2", "CL", "1", oil)).positions == {OIL: 1}


def test_without_a_month_in_the_symbol_the_expiry_tells_it_as_the_instrument_expires(tmp_path: Path) -> None:
    oil = 'multiplier="1000" currency="USD" expiry="2022-11-21"'
    assert held(tmp_path, position("CL", "CL", "1", oil)).positions == {OIL: 1}


def test_a_contract_without_a_month_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"column OpenPosition\.expiry: no contract month\. Add Expiry to the sections"):
        held(tmp_path, position("GC", "GC", "1"))


@pytest.mark.parametrize(("price", "multiplier", "money"), [
    ("6.555", "5000", "32775"), ("655.5", "50", "32775"), ("655.5", "5000", "32775"), ("655.5", "50", ""),
])  # fmt: skip
def test_prices_in_dollars_and_cents_are_points(tmp_path: Path, price: str, multiplier: str, money: str) -> None:
    more = f'multiplier="{multiplier}" currency="USD" costBasisPrice="{price}" costBasisMoney="{money}"'
    assert held(tmp_path, position("ZCK2", "ZC", "1", more)).average_points == {CORN: 655.5}


def test_lots_are_added_up_where_there_is_no_summary(tmp_path: Path) -> None:
    lots = [position("GCJ2", "GC", n, f'multiplier="100" currency="USD" levelOfDetail="LOT" costBasisPrice="{p}"')
            for n, p in (("1", "1800"), ("3", "1840"))]  # fmt: skip
    found = held(tmp_path, *lots)
    assert (found.positions, found.average_points) == ({GOLD: 4}, {GOLD: 1830.0})


def test_a_micro_of_the_same_underlying_is_not_its_big_one(tmp_path: Path) -> None:
    found = held(tmp_path, position("MGCJ2", "GC", "5", 'multiplier="10" currency="USD" expiry="20220427"'))
    assert (found.positions, found.unknown) == ({}, ("MGCJ2 20220427",))


def test_what_is_no_future_is_named_and_never_dropped(tmp_path: Path) -> None:
    stock = '<OpenPosition assetCategory="STK" symbol="INTC" position="30" currency="USD" />'
    option = position("GCJ2 C1900", "GC", "1").replace("FUT", "FOP")
    found = held(tmp_path, stock, option, position("MGCJ2", "MGC", "5"), position("6ZZ2", "6Z", "0"))
    assert found.positions == {}
    assert found.unknown == ("GCJ2 C1900 FOP", "INTC STK", "MGCJ2")


def test_an_empty_section_is_flat_and_no_trades_are_none(tmp_path: Path) -> None:
    found = held(tmp_path)
    assert (found.positions, found.trades, found.cash_local) == ({}, (), None)
    silent = one("20220228", "").replace("<Trades></Trades>", "")
    assert stated(tmp_path, silent, MON).trades is None


# --- which statement --------------------------------------------------------------------------------------------------
def test_one_account_of_several_is_chosen(tmp_path: Path) -> None:
    two = HEAD + statement_of("20220228", "", account="U1") + statement_of(
        "20220228", "", positions=position("GCJ2", "GC", "1"), account="U2") + TAIL  # fmt: skip
    mine = broker(tmp_path, two, account="U2").statement(MON)
    assert mine is not None
    assert mine.positions == {GOLD: 1}
    several = r"daily\.xml, column FlexStatement\.accountId: statements of several accounts for 2022-02-28"
    with pytest.raises(BadInput, match=rf"{several} \(value 'U1, U2'\)\. Set trading\.broker\.account"):
        broker(tmp_path, two).statement(MON)
    with pytest.raises(BadInput, match=r"of another account \(value 'U1, U2'\)\. Deliver the one of U3"):
        broker(tmp_path, two, account="U3").statement(MON)


def test_a_file_of_many_days_has_a_statement_for_each(tmp_path: Path) -> None:
    days = HEAD + statement_of("20220225", "", positions=position("GCJ2", "GC", "1")) + statement_of(
        "20220228", "", positions=position("GCJ2", "GC", "2")) + TAIL  # fmt: skip
    assert [stated(tmp_path, days, day).positions for day in (FRI, MON)] == [{GOLD: 1}, {GOLD: 2}]


def test_two_statements_of_one_session_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"daily\.xml, line 1: a second statement of 2022-02-28, beside again\.xml"):
        stated(tmp_path, one("20220228", ""), MON, again=one("20220228", ""))


def test_sessions_change_their_fingerprint_with_their_files_only(tmp_path: Path) -> None:
    symbols = Symbols(SYMBOLS, instruments, rolls)
    place = folder(tmp_path, a=one("20220225", ""), b=one("20220228", ""))
    statements = FlexStatements(place, None, symbols)
    before = statements.sessions()
    assert list(before) == [FRI, MON]
    folder(tmp_path, b=one("20220228", trade("1", 1, 1.0)))
    after = statements.sessions()
    assert (after[FRI] == before[FRI], after[MON] == before[MON]) == (True, False)


# --- what is wrong ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("old", "new", "said"), [
    ("</OpenPositions>\n</FlexStatement>\n</FlexStatements>\n</FlexQueryResponse>\n", "",
     r"daily\.xml, line 29: the XML is cut off or broken \(.*\)\. Deliver the whole file again"),
    ('position="2" markPrice', 'position="2.5" markPrice',
     r"daily\.xml, line 23, column OpenPosition\.position: not a whole number of contracts \(value '2\.5'\)"),
    ('position="-1" markPrice', 'position="some" markPrice',
     r"line 26, column OpenPosition\.position: not a number \(value 'some'\)"),
    ('tradePrice="81.2"', 'tradePrice=""', r"line 14, column Trade\.tradePrice: the attribute is missing or empty"),
    ('tradePrice="81.2"', 'tradePrice="NaN"', r"line 14, column Trade\.tradePrice: not a number \(value 'NaN'\)"),
    ('endingCash="494411.3"', 'endingCash=""', r"CashReportCurrency\.endingCash: the attribute is missing or empty"),
    ('dateTime="20220225;110004"', 'dateTime="25/02/2022;110004"',
     r"column Trade\.dateTime: not a date or time .*Choose yyyyMMdd or yyyy-MM-dd"),
    ('dateTime="20220225;110004"', 'dateTime="20220231;110004"', r"column Trade\.dateTime: not a date or time"),
    ('toDate="20220225" period', 'toDate="" period', r"line 4, column FlexStatement\.toDate: the attribute is missing"),
    ('symbol="FGBL JUN 22"', 'symbol="ESM2"', r"column OpenPosition\.currency: SP500 trades in USD \(value 'EUR'\)"),
    ('underlyingSymbol="GBL" multiplier="1000"', 'underlyingSymbol="GBL" multiplier="250"',
     r"column OpenPosition\.multiplier: a contract of another size: BUND has a point value of 1000 \(value '250'\)"),
    ('levelOfDetail="EXECUTION"', 'levelOfDetail="ORDER"', r"trades, but no executions .*Choose Executions"),
    ('ibCommission="-2.3" ibCommissionCurrency="USD"', 'ibCommission="-2.3" ibCommissionCurrency="EUR"',
     r"Trade\.ibCommissionCurrency: commission in another currency than CRUDE_W trades in \(value 'EUR'\)"),
    ('tradeID="4100000002"', 'tradeID="4100000001"', r"line 14, column Trade\.tradeID: a trade twice"),
    ('levelOfDetail="LOT" openDateTime="20220224', 'levelOfDetail="SUMMARY" openDateTime="20220224',
     r"line 24, column OpenPosition\.symbol: a second position in SP500/20220600 \(value 'ESM2'\)"),
    ("OpenPositions>", "Positions>", r"line 4: the section OpenPositions is missing\. Add the section Open Positions"),
    ('<?xml version="1.0" encoding="UTF-8"?>', '<!DOCTYPE x [<!ENTITY y "z">]>', r"declares a document type"),
])  # fmt: skip
def test_what_is_wrong_is_named_by_line_and_attribute(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        broker(tmp_path, changed(old, new)).statement(FRI)


@pytest.mark.parametrize(("content", "said"), [
    (SAMPLE.replace("made up", "größer").encode("latin-1"), r"the XML is cut off or broken \(not well-formed"),
    (SAMPLE.encode()[:100], r"daily\.xml, line 3: the XML is cut off or broken"),
    (b"", r"the XML is cut off or broken \(no element found\)"),
    (b"<FlexStatementResponse><Status>Fail</Status><ErrorMessage>Statement is in progress.</ErrorMessage>"
     b"</FlexStatementResponse>", r"no FlexStatement; the broker says: Statement is in progress\."),
    (b"<html></html>", r"no FlexStatement\. Deliver the XML of an Activity Flex Query"),
])  # fmt: skip
def test_a_file_that_is_no_statement_is_never_flat(tmp_path: Path, content: bytes, said: str) -> None:
    it = broker(tmp_path)
    (tmp_path / "statements" / "daily.xml").write_bytes(content)
    asked: list[Callable[[], object]] = [lambda: it.statement(FRI), lambda: it.fills(FRI)]
    for ask in asked:
        with pytest.raises(BadInput, match=said):
            ask()


def test_times_are_of_the_zone_that_is_set_and_it_has_to_be_one(tmp_path: Path) -> None:
    symbols, place = Symbols(SYMBOLS, instruments, rolls), folder(tmp_path, daily=SAMPLE)
    found = FlexStatements(place, None, symbols, "Europe/Zurich").listing(FRI)
    assert found is not None
    assert found.as_of == datetime(2022, 2, 26, 3, 15, 30, tzinfo=UTC)
    with pytest.raises(ConfigError, match=r"trading\.broker\.timezone 'New York' is no time zone"):
        FlexStatements(place, None, symbols, "New York")


def test_a_folder_that_is_not_there_is_no_answer(tmp_path: Path) -> None:
    it = broker(tmp_path)
    (tmp_path / "statements").rename(tmp_path / "away")
    with pytest.raises(BrokerError, match=r"did not answer: .*statements cannot be read"):
        it.statement(FRI)
