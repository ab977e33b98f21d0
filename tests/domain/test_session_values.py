"""P&L and equity of three sessions worked by hand, and the identity between them as a property.

Belongs here: `settle`, `pnl` and `account`. Does not belong here: stores or a broker.
"""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.book.booking import Entered
from trading.book.close import Settled, settle
from trading.book.marks import Mark
from trading.book.orders import Fill
from trading.book.positions import by_contract, fold
from trading.book.state import BookState, SessionInputs
from trading.book.valuation import before
from trading.errors import CalculationError, MissingFxPair, UnknownInstrument
from trading.market.instruments import Instrument

MON, TUE, WED = date(2022, 2, 21), date(2022, 2, 22), date(2022, 2, 23)
JUNE, AUGUST = 20220600, 20220800
GOLD = Instrument("GOLD", "Gold", "COMEX", "USD", 100.0, 0.1, "metals", "precious", "US")
BUND = Instrument("BUND", "Bund", "EUREX", "EUR", 1000.0, 0.01, "rates", "bonds", "DE")
BOTH = {"GOLD": GOLD, "BUND": BUND}


def fill(name: str, session: date, code: str, contract: int, quantity: int, price: float, paid: float = 0.0) -> Fill:
    return Fill(name, f"order {name}", "trend", code, contract, session, quantity, price, paid)


def closed(state: BookState, session: date, prices: dict, fills: list[Fill], euro: float) -> Settled:
    """One session taken into the state."""
    inputs = SessionInputs(
        session, {key: Mark(price, session) for key, price in prices.items()}, {}, {},
        {"USD": 1.0, "EUR": euro}, BOTH,
    )  # fmt: skip
    entry = Entered(session, datetime(2022, 2, 23, tzinfo=UTC), "test")
    return settle(before(state), state, inputs, list(map(entry.filled, fills)), "USD")


@pytest.fixture(scope="module")
def three() -> list[Settled]:
    """Monday opens two positions, Tuesday rolls gold, Wednesday buys back a bund."""
    state = BookState(1_000_000.0)
    monday = [fill("1", MON, "GOLD", JUNE, 2, 1800.0, 5.0), fill("2", MON, "BUND", JUNE, -3, 170.0, 4.0)]
    # The roll trades at Monday's prices: the last moment both contracts were quoted.
    tuesday = [fill("3", TUE, "GOLD", JUNE, -2, 1803.0, 5.0), fill("4", TUE, "GOLD", AUGUST, 2, 1808.0, 5.0)]
    wednesday = [fill("5", WED, "BUND", JUNE, 1, 170.0, 4.0)]
    gold, gold_next, bund = ("GOLD", JUNE), ("GOLD", AUGUST), ("BUND", JUNE)
    return [
        closed(state, MON, {gold: 1803.0, bund: 169.90}, monday, 1.10),
        closed(state, TUE, {gold: 1801.0, gold_next: 1806.5, bund: 170.20}, tuesday, 1.12),
        closed(state, WED, {gold_next: 1810.0, bund: 169.50}, wednesday, 1.09),
    ]


def total(settled: Settled) -> dict:
    return {(row["instrument"], row["contract"]): row["total_base"] for row in settled.rows["pnl"]}


def test_monday_values_what_was_traded(three: list[Settled]) -> None:
    # gold 2 x (1803 - 1800) x 100 = 600, less 5; bund -3 x (169.90 - 170.00) x 1000 x 1.10 = 330, less 4 x 1.10.
    assert total(three[0]) == pytest.approx({("GOLD", JUNE): 595.0, ("BUND", JUNE): 325.6})
    assert all(row["held_base"] == 0 for row in three[0].rows["pnl"])


def test_tuesday_rolls_gold_without_inventing_money(three: list[Settled]) -> None:
    # June: held 2 x (1801 - 1803) x 100 = -400, sold at 1803: +400, commission 5.
    # August: 2 x (1806.5 - 1808) x 100 - 5.
    # bund: -3 x (170.20 - 169.90) x 1000 x 1.12 = -1008.
    assert total(three[1]) == pytest.approx({("GOLD", JUNE): -5.0, ("GOLD", AUGUST): -305.0, ("BUND", JUNE): -1008.0})
    june = next(row for row in three[1].rows["pnl"] if row["contract"] == JUNE and row["instrument"] == "GOLD")
    assert (june["held_base"], june["traded_base"], june["commission_base"]) == (-400.0, 400.0, -5.0)


def test_wednesday_values_what_was_held_and_traded_at_the_days_rate(three: list[Settled]) -> None:
    # gold 2 x 3.5 x 100 = 700; bund -3 x -0.70 x 1000 x 1.09 = 2289, 1 x -0.50 x 1000 x 1.09 = -545, -4 x 1.09 = -4.36.
    assert total(three[2]) == pytest.approx({("GOLD", AUGUST): 700.0, ("BUND", JUNE): 1739.64})
    assert three[2].loss_base == 0.0


def test_equity_by_hand(three: list[Settled]) -> None:
    values = [{row["currency"]: row["value_local"] for row in settled.rows["equity"]} for settled in three]
    # EUR: 300 - 4; then -900; then 2100 - 500 - 4. USD: 595; -310; +700.
    assert values == [
        pytest.approx({"EUR": 296.0, "USD": 595.0}),
        pytest.approx({"EUR": -604.0, "USD": 285.0}),
        pytest.approx({"EUR": 992.0, "USD": 985.0}),
    ]
    account = [settled.rows["equity"][0]["account_base"] for settled in three]
    assert account == pytest.approx([1_000_920.6, 999_602.6, 1_002_042.24])
    assert three[1].loss_base == pytest.approx(1318.0)


def test_positions_carry_their_mark_and_notional(three: list[Settled]) -> None:
    rows = {(row["instrument"], row["contract"]): row for row in three[2].rows["positions"]}
    assert set(rows) == {("GOLD", AUGUST), ("BUND", JUNE)}
    assert rows["BUND", JUNE]["quantity_contracts"] == -2
    assert rows["BUND", JUNE]["notional_base"] == pytest.approx(-2 * 169.5 * 1000 * 1.09)


def test_a_contract_without_a_price_keeps_its_last_mark() -> None:
    state = BookState(0.0)
    closed(state, MON, {("GOLD", JUNE): 1803.0}, [fill("1", MON, "GOLD", JUNE, 2, 1800.0)], 1.1)
    later = closed(state, TUE, {}, [], 1.1)
    assert later.rows["positions"][0]["marked_on"] == MON
    assert later.rows["pnl"][0]["total_base"] == 0.0


def test_a_fill_of_a_contract_never_quoted_is_worth_what_was_paid() -> None:
    settled = closed(BookState(0.0), MON, {}, [fill("1", MON, "GOLD", JUNE, 2, 1800.0, 5.0)], 1.1)
    assert total(settled) == {("GOLD", JUNE): -5.0}


def test_missing_reference_or_rate_is_named() -> None:
    with pytest.raises(UnknownInstrument, match="COPPER"):
        closed(BookState(0.0), MON, {}, [fill("1", MON, "COPPER", JUNE, 1, 4.0)], 1.1)
    inputs = SessionInputs(MON, {}, {}, {}, {"USD": 1.0}, BOTH)
    entry = Entered(MON, datetime(2022, 2, 21, tzinfo=UTC), "test")
    state = BookState(0.0)
    with pytest.raises(MissingFxPair, match="EUR"):
        settle(before(state), state, inputs, [entry.filled(fill("1", MON, "BUND", JUNE, 1, 170.0))], "USD")
    state.marks.clear()
    with pytest.raises(CalculationError, match="20220600 of BUND"):
        before(state)


def test_a_changed_point_value_makes_no_money() -> None:
    state = BookState(0.0)
    closed(state, MON, {("GOLD", JUNE): 1800.0}, [fill("1", MON, "GOLD", JUNE, 1, 1800.0)], 1.1)
    halved = Instrument("GOLD", "Gold", "COMEX", "USD", 50.0, 0.1, "metals", "precious", "US")
    inputs = SessionInputs(TUE, {("GOLD", JUNE): Mark(1802.0, TUE)}, {}, {}, {"USD": 1.0}, {"GOLD": halved})
    settled = settle(before(state), state, inputs, [], "USD")
    assert total(settled) == {("GOLD", JUNE): 100.0}  # 2 points x 50
    assert settled.rows["equity"][0]["change_base"] == 100.0


PRICES = st.floats(min_value=-50, max_value=5000, allow_nan=False).map(lambda x: round(x, 4))
TRADES = st.lists(
    st.tuples(st.sampled_from(["GOLD", "BUND"]), st.sampled_from([JUNE, AUGUST]), st.integers(-40, 40), PRICES,
              st.floats(0, 50)),
    max_size=6,
)  # fmt: skip
DAYS = st.lists(
    st.tuples(TRADES, st.lists(PRICES, min_size=4, max_size=4), st.floats(0.5, 2.0)), min_size=1, max_size=4
)


@settings(max_examples=150, deadline=None)
@given(DAYS)
def test_the_rows_sum_to_the_change_of_the_account(days: list) -> None:
    state, profit, size = BookState(1_000_000.0), 0.0, 1e5
    keys = [(code, contract) for code in BOTH for contract in (JUNE, AUGUST)]
    for number, (trades, prices, euro) in enumerate(days):
        session = date(2022, 2, 21 + number)
        fills = [fill(f"{number}/{i}", session, code, contract, quantity, price, paid)
                 for i, (code, contract, quantity, price, paid) in enumerate(trades)]  # fmt: skip
        settled = closed(state, session, dict(zip(keys, prices, strict=True)), fills, euro)
        gained = sum(row["total_base"] for row in settled.rows["pnl"])
        changed = sum(row["change_base"] for row in settled.rows["equity"])
        size = max(size, *(abs(row[name]) for row in settled.rows["pnl"] for name in ("held_base", "traded_base")), 0)
        assert abs(gained - changed) <= 1e-9 * size / 1e5  # floats hold 16 digits: 1e-9 of 100,000
        profit += gained
    assert state.account_base - 1_000_000.0 == pytest.approx(profit, rel=1e-9, abs=1e-6)


@given(TRADES)
def test_positions_are_the_fold_of_fills_in_any_order(trades: list) -> None:
    fills = [fill(str(i), MON, code, contract, quantity, price) for i, (code, contract, quantity, price, _) in
             enumerate(trades)]  # fmt: skip
    assert fold(fills) == fold(reversed(fills))
    assert sum(fold(fills).values()) == sum(trade[2] for trade in trades)
    assert sum(by_contract(fold(fills)).values()) == sum(trade[2] for trade in trades)
