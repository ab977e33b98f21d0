"""P&L by cause: each cause alone, worked by hand, then all together; the residual of random books, whole and damaged.

Does not belong here: reading either side from stores (`tests/days/`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.book.attribution import CAUSES, Reference, SessionMoves, Slope, attribution_rows, causes, slope
from trading.book.orders import Fill
from trading.book.position_accounts import Booked, PositionAccounts, earned
from trading.book.positions import Key
from trading.errors import CalculationError
from trading.market.instruments import Instrument

FRI, MON = date(2022, 2, 25), date(2022, 2, 28)
MAR, JUN = 20220300, 20220600
GOLD = Instrument("GOLD", "Gold", "COMEX", "USD", 100.0, 0.1, "metals", "precious", "US")
BUND = Instrument("BUND", "Bund", "EUREX", "EUR", 1000.0, 0.01, "rates", "bonds", "DE")
INSTRUMENTS = {"GOLD": GOLD, "BUND": BUND}
GOLD_MAR, BUND_MAR = ("trend", "GOLD", MAR), ("trend", "BUND", MAR)


def moves(**given: object) -> SessionMoves:
    """A Monday after a Friday with nothing in it."""
    plain: dict[str, object] = {
        "session": MON, "days": 3, "before": {}, "marks_before": {}, "marks": {}, "instruments": INSTRUMENTS,
        "rates_before": {"USD": 1.0, "EUR": 1.1}, "rates": {"USD": 1.0, "EUR": 1.2},
    }  # fmt: skip
    return SessionMoves(**(plain | given))  # type: ignore[arg-type]


def fill(quantity: int, price: float, commission: float = 0.0, **given: object) -> Fill:
    plain: dict[str, object] = {
        "fill_id": "b:1", "order_id": "o1", "strategy": "trend", "instrument": "GOLD", "contract": MAR, "session": MON,
        "quantity_contracts": quantity, "price_points": price, "commission_local": commission,
    }  # fmt: skip
    return Fill(**(plain | given))  # type: ignore[arg-type]


def only(found: Mapping[tuple[str, str, int, str], Mapping[str, float]]) -> dict[str, float]:
    """The causes that are not nothing, of the one key there is."""
    (mine,) = found.values()
    return {cause: amount for cause, amount in mine.items() if amount}


# --- each cause alone -------------------------------------------------------------------------------------------------
def test_the_price_moves_what_was_held() -> None:
    held = moves(before={GOLD_MAR: 2}, marks_before={("GOLD", MAR): 1900.0}, marks={("GOLD", MAR): 1910.5})
    assert only(causes(held)) == {"price": 2100.0}  # 2 x 10.5 x 100


def test_carry_is_what_the_curve_said_and_the_price_is_the_rest() -> None:
    """June is 3.6525 points dearer than March a quarter away: 14.61 points a year, 0.04 a day, against a long March."""
    curve = slope(
        {"price": 1903.6525, "price_contract": JUN, "carry": 1900.0, "carry_contract": MAR, "instrument": "GOLD"}
    )
    assert curve is not None
    assert curve.points_a_day == pytest.approx(-0.04, rel=1e-12)
    held = moves(
        before={("trend", "GOLD", JUN): 5}, marks_before={("GOLD", JUN): 1903.6525}, marks={("GOLD", JUN): 1904.6525},
        slopes={"GOLD": curve},
    )  # fmt: skip
    found = only(causes(held))
    assert found["carry"] == pytest.approx(-60.0)  # 5 x 3 days x -0.04 x 100
    assert found["price"] == pytest.approx(560.0)  # 5 x (1 + 0.12) x 100
    assert sum(found.values()) == pytest.approx(500.0)


def test_a_curve_of_other_contracts_says_nothing() -> None:
    held = moves(
        before={GOLD_MAR: 1}, marks_before={("GOLD", MAR): 10.0}, marks={("GOLD", MAR): 11.0},
        slopes={"GOLD": Slope((JUN, 20220900), -1.0)},
    )  # fmt: skip
    assert only(causes(held)) == {"price": 100.0}


@pytest.mark.parametrize(
    ("price", "held", "carry", "against", "a_year"),
    [
        (100.0, JUN, 102.0, MAR, 8.0),  # the nearer one dearer: a long position earns 2 a quarter
        (100.0, MAR, 98.0, JUN, 8.0),  # the same said of the next contract
        (100.0, 20220315, 98.0, 20220327, 200.0),  # twelve days of the id: a hundredth of a year
        (100.0, 20220315, 98.0, 20220316, 2 * 365.25),  # closer than a day (1/1200 of a year) is one day
        (100.0, MAR, 100.0, JUN, 0.0),
    ],
)
def test_slopes_count_contracts_as_the_reference_does(
    price: float, held: int, carry: float, against: int, a_year: float
) -> None:
    found = slope({"price": price, "price_contract": held, "carry": carry, "carry_contract": against})
    assert found is not None
    assert found.contracts == (held, against)
    assert found.points_a_day == pytest.approx(a_year / 365.25, rel=1e-9)


@pytest.mark.parametrize(
    "missing",
    [{"carry": None}, {"carry": math.nan}, {"price": None}, {"carry_contract": None}, {"carry_contract": MAR}],
)
def test_without_two_contracts_and_prices_there_is_no_slope(missing: dict[str, object]) -> None:
    row = {"price": 100.0, "price_contract": MAR, "carry": 98.0, "carry_contract": JUN}
    assert slope(row | missing) is None


def test_a_currency_moves_the_profit_of_the_session_and_nothing_else() -> None:
    """The bund falls by half a point: 500 EUR lost, 550 USD at Friday's rate, and 50 more as the euro rose to 1.2."""
    held = moves(before={BUND_MAR: 1}, marks_before={("BUND", MAR): 167.0}, marks={("BUND", MAR): 166.5})
    found = only(causes(held))
    assert found == {"price": pytest.approx(-550.0), "fx": pytest.approx(-50.0)}
    unknown = only(causes(replace(held, rates_before={"USD": 1.0})))
    assert unknown == {"price": pytest.approx(-600.0)}


def test_a_trade_is_measured_from_its_reference_and_slippage_apart() -> None:
    """Decided at 1900, bought 2 at 1900.5, now 1904; 2.1 a contract."""
    traded = moves(
        fills=[fill(2, 1900.5, 4.2)], marks={("GOLD", MAR): 1904.0}, orders={"o1": Reference("target", 1900.0)}
    )
    found = only(causes(traded))
    assert found == {"trades": 800.0, "slippage": -100.0, "commission": -4.2}
    sold = replace(traded, fills=[fill(-2, 1900.5, 4.2)])
    assert only(causes(sold)) == {"trades": -800.0, "slippage": 100.0, "commission": -4.2}


@pytest.mark.parametrize("orders", [{}, {"o1": Reference("target", None)}, {"o1": Reference("target", math.nan)}])
def test_without_a_reference_a_trade_is_measured_from_its_own_price(orders: dict[str, Reference]) -> None:
    traded = moves(fills=[fill(2, 1900.5)], marks={("GOLD", MAR): 1904.0}, orders=orders)
    assert only(causes(traded)) == {"trades": 700.0}


def test_the_legs_of_a_roll_are_a_cause_of_their_own() -> None:
    """Three March sold at 1900 less 0.05, three June bought at 1903 and 0.05; both a point dearer at the close."""
    legs = [fill(-3, 1899.95, order_id="r1"), fill(3, 1903.05, order_id="r2", fill_id="b:2", contract=JUN)]
    rolled = moves(
        before={GOLD_MAR: 3}, marks_before={("GOLD", MAR): 1900.0},
        marks={("GOLD", MAR): 1901.0, ("GOLD", JUN): 1904.0}, fills=legs,
        orders={"r1": Reference("roll", 1900.0), "r2": Reference("roll", 1903.0)},
    )  # fmt: skip
    found = causes(rolled)
    old, new = found["trend", "GOLD", MAR, "USD"], found["trend", "GOLD", JUN, "USD"]
    assert (old["price"], old["roll"], new["roll"]) == (
        300.0,
        -300.0,
        300.0,
    )  # held gained 1, sold before it
    assert old["slippage"] == pytest.approx(-15.0)
    assert new["slippage"] == pytest.approx(-15.0)
    assert "trades" not in old
    assert "trades" not in new


def test_a_bust_takes_the_trade_back_at_its_price_and_gives_its_commission_back() -> None:
    """2 bought at 1900.5 on Friday, marked 1904, busted on Monday at 1910: what they earned, 950 each, is undone."""
    taken_back = fill(-2, 1900.5, -4.2, fill_id="b:1~busted")
    busted = moves(
        before={GOLD_MAR: 2}, marks_before={("GOLD", MAR): 1904.0}, marks={("GOLD", MAR): 1910.0}, fills=[taken_back],
        orders={"o1": Reference("target", 1900.0)},
    )  # fmt: skip
    found = only(causes(busted))
    assert found == {"price": 1200.0, "corrections": pytest.approx(-1895.8)}  # -2 x 9.5 x 100 + 4.2
    assert sum(found.values()) == pytest.approx(-700.0 + 4.2)  # what Friday had booked of it, taken back


def test_a_correction_is_the_reverse_and_the_new_fill() -> None:
    """Bought at 1900.5 it said on Friday; it was 1901: half a point of 2 contracts lost, on whatever day it is told."""
    told = [fill(-2, 1900.5, -4.2, fill_id="b:1~1-"), fill(2, 1901.0, 4.2, fill_id="b:1~1")]
    corrected = moves(
        before={GOLD_MAR: 2}, marks_before={("GOLD", MAR): 1904.0}, marks={("GOLD", MAR): 1904.0}, fills=told
    )
    assert only(causes(corrected)) == {"corrections": pytest.approx(-100.0)}


def test_an_adjustment_is_a_correction() -> None:
    adjusted = moves(fills=[fill(1, 1900.0, order_id="", fill_id="adj")], marks={("GOLD", MAR): 1904.0})
    assert only(causes(adjusted)) == {"corrections": 400.0}


def test_interest_and_fees_are_financing_and_deposits_are_not() -> None:
    booked = [Booked("EUR", -10.0, "fee"), Booked("EUR", 5.0, "interest"), Booked("USD", 1e6, "deposit")]
    assert causes(moves(financing=booked)) == {("", "", 0, "EUR"): {"financing": pytest.approx(-6.0)}}
    assert earned(booked, {"EUR": 1.2, "USD": 1.0}) == {
        ("", "", 0, "EUR"): pytest.approx(Decimal("-6"), abs=Decimal("1e-15"))
    }


def test_what_is_missing_is_named() -> None:
    held = moves(before={BUND_MAR: 1}, marks_before={("BUND", MAR): 167.0})
    with pytest.raises(CalculationError, match="contract 20220300 of BUND has no price"):
        causes(held)
    with pytest.raises(CalculationError, match="exchange rate of EUR is known on 2022-02-28"):
        causes(replace(held, marks={("BUND", MAR): 166.0}, rates={"USD": 1.0}))
    with pytest.raises(CalculationError, match="exchange rate of EUR, in which cash was booked"):
        earned([Booked("EUR", 1.0, "fee")], {"USD": 1.0})


# --- all together, and the total --------------------------------------------------------------------------------------
def total(
    past: Sequence[Fill], today: SessionMoves, marks: Mapping[tuple[str, int], float] | None = None
) -> dict[tuple[str, str, int, str], Decimal]:
    """What the accounts of the positions gained, given all fills before the session."""
    accounts = PositionAccounts()
    for each in past:
        accounts.apply(each)
    gained = accounts.gained(today.fills, today.marks_before, marks or today.marks, today.instruments, today.rates)
    return {**gained, **earned(today.financing, today.rates)}


def test_all_causes_together_are_the_change_of_the_account() -> None:
    """A long bund held, cut by one with slippage and commission, a correction of an old gold fill, a fee in euros."""
    past = [
        fill(3, 166.0, 6.0, instrument="BUND", fill_id="b:0"),
        fill(1, 1890.0, 2.1),
    ]
    today = moves(
        before={BUND_MAR: 3, GOLD_MAR: 1},
        marks_before={("BUND", MAR): 167.0, ("GOLD", MAR): 1900.0},
        marks={("BUND", MAR): 168.0, ("GOLD", MAR): 1895.0},
        slopes={"BUND": Slope((MAR, JUN), 0.01)},
        fills=[
            fill(-1, 167.4, 2.0, instrument="BUND", fill_id="b:2", order_id="o2"),
            fill(-1, 1890.0, -2.1, fill_id="b:1~1-"),
            fill(1, 1889.0, 2.1, fill_id="b:1~1"),
        ],
        orders={"o2": Reference("target", 167.5)},
        financing=[Booked("EUR", -100.0, "fee")],
    )
    rows = {row["instrument"]: row for row in attribution_rows(MON, causes(today), total(past, today), INSTRUMENTS)}
    bund, gold, cash = rows["BUND"], rows["GOLD"], rows[""]
    # 3 x 0.03 x 1000 x 1.1;  3 x 0.97 x 1000 x 1.1;  3 x 1 x 1000 x 0.1
    assert [bund[f"{cause}_base"] for cause in ("carry", "price", "fx")] == pytest.approx([99.0, 3201.0, 300.0])
    # -1 x (168 - 167.5) x 1000 x 1.2;  -1 x (167.5 - 167.4) x 1000 x 1.2;  -2 x 1.2
    assert [bund[f"{cause}_base"] for cause in ("trades", "slippage", "commission")] == pytest.approx(
        [-600.0, -120.0, -2.4]
    )
    # 2 x 168 + 167.4 against 3 x 167 is 2.4 points: 2400 EUR less 2 of commission, at 1.2
    assert bund["total_base"] == pytest.approx(2877.6)
    assert (gold["price_base"], gold["corrections_base"]) == (-500.0, pytest.approx(100.0))
    assert gold["total_base"] == pytest.approx(-400.0)
    assert (cash["financing_base"], cash["total_base"], cash["asset_class"]) == (-120.0, -120.0, "")
    assert max(abs(row["residual_base"]) for row in rows.values()) < 1e-9
    assert [row["explained_base"] for row in rows.values()] == pytest.approx(
        [math.fsum(row[f"{cause}_base"] for cause in CAUSES) for row in rows.values()]
    )


def test_a_point_value_that_changed_is_no_profit() -> None:
    """Two bought at 1890 when a point was worth 100, marked 1900; a point is worth 10 now, and it rose by one."""
    mini = {**INSTRUMENTS, "GOLD": replace(GOLD, point_value_local=10.0)}
    today = moves(
        before={GOLD_MAR: 2}, marks_before={("GOLD", MAR): 1900.0}, marks={("GOLD", MAR): 1901.0}, instruments=mini
    )
    (gold,) = attribution_rows(MON, causes(today), total([fill(2, 1890.0)], today), mini)
    assert (gold["price_base"], gold["total_base"], gold["residual_base"]) == (20.0, 20.0, 0.0)


def test_what_was_sold_out_keeps_what_it_earned_and_moves_no_more() -> None:
    """Bought at 1890 and sold at 1895 before today: flat and untraded, it has no row."""
    accounts = PositionAccounts()
    for each in (fill(1, 1890.0), fill(-1, 1895.0)):
        accounts.apply(each)
    assert accounts.gained([], {}, {}, INSTRUMENTS, {"USD": 1.0}) == {}
    again = accounts.gained([fill(1, 1900.0, 2.0)], {}, {("GOLD", MAR): 1903.0}, INSTRUMENTS, {"USD": 1.0})
    assert again == {("trend", "GOLD", MAR, "USD"): Decimal("298.0")}


def test_what_only_one_side_knows_is_residual() -> None:
    """A fill of 2 at 1900 that the session's fills lack; the account has it, and it gained 400."""
    today = moves(fills=[fill(2, 1900.0)], marks={("GOLD", MAR): 1902.0})
    totals = total([], today)
    (lost,) = attribution_rows(MON, causes(replace(today, fills=[])), totals, INSTRUMENTS)
    assert (lost["explained_base"], lost["total_base"], lost["residual_base"]) == (0.0, 400.0, 400.0)
    (invented,) = attribution_rows(MON, causes(today), {}, INSTRUMENTS)
    assert invented["residual_base"] == -400.0


# --- random books -----------------------------------------------------------------------------------------------------
PRICES = st.floats(-50.0, 5000.0).map(lambda price: round(price, 4))
CONTRACTS = st.sampled_from([("GOLD", MAR), ("GOLD", JUN), ("BUND", MAR)])
FILLS = st.builds(
    lambda strategy, contract, quantity, price, paid, kind: fill(
        quantity, price, paid, strategy=strategy, instrument=contract[0], contract=contract[1],
        order_id=kind[0], fill_id=kind[1],
    ),
    st.sampled_from(["trend", "carry"]), CONTRACTS, st.integers(-20, 20).filter(bool), PRICES,
    st.floats(0.0, 50.0).map(lambda paid: round(paid, 2)),
    st.sampled_from([("o1", "f"), ("o2", "f"), ("o3", "f"), ("o1", "f~1"), ("o1", "f~busted"), ("", "adjusted")]),
)  # fmt: skip
MARKS = st.fixed_dictionaries(dict.fromkeys([("GOLD", MAR), ("GOLD", JUN), ("BUND", MAR)], PRICES))
RATES = st.fixed_dictionaries({"USD": st.just(1.0), "EUR": st.floats(0.5, 2.0)})
SLOPES = st.dictionaries(
    st.sampled_from(["GOLD", "BUND"]), st.builds(Slope, st.just((MAR, JUN)), st.floats(-2.0, 2.0)), max_size=2
)


def held_after(fills: Sequence[Fill]) -> dict[Key, int]:
    held: dict[Key, int] = {}
    for each in fills:
        key = (each.strategy, each.instrument, each.contract)
        held[key] = held.get(key, 0) + each.quantity_contracts
    return {key: quantity for key, quantity in held.items() if quantity}


@st.composite
def sessions(draw: st.DrawFn) -> tuple[list[Fill], SessionMoves]:
    past = draw(st.lists(FILLS, max_size=12))
    today = moves(
        before=held_after(past), marks_before=draw(MARKS), marks=draw(MARKS), rates_before=draw(RATES),
        rates=draw(RATES), slopes=draw(SLOPES), fills=draw(st.lists(FILLS, min_size=1, max_size=12)),
        orders={"o1": Reference("target", draw(PRICES)), "o2": Reference("roll", draw(PRICES))},
        financing=draw(st.lists(st.builds(Booked, st.sampled_from(["USD", "EUR"]), PRICES, st.just("fee")))),
    )  # fmt: skip
    return past, today


def residual(explained: SessionMoves, totals: Mapping[tuple[str, str, int, str], Decimal]) -> float:
    return math.fsum(abs(row["residual_base"]) for row in attribution_rows(MON, causes(explained), totals, INSTRUMENTS))


@given(sessions())
def test_a_random_book_is_explained(book: tuple[list[Fill], SessionMoves]) -> None:
    past, today = book
    assert residual(today, total(past, today)) < 1e-6


@given(sessions(), st.integers(0, 11), st.sampled_from(["quantity", "price", "commission", "lost", "twice"]))
def test_one_damaged_fill_shows(book: tuple[list[Fill], SessionMoves], place: int, damage: str) -> None:
    """On the explained side; the account has it as it was. A quantity is seen where the fill is not at its mark."""
    past, today = book
    totals = total(past, today)
    fills = list(today.fills)
    chosen = fills[place % len(fills)]
    gap = today.marks[chosen.instrument, chosen.contract] - chosen.price_points
    worth = chosen.quantity_contracts * gap * INSTRUMENTS[chosen.instrument].point_value_local
    rest = [each for number, each in enumerate(fills) if number != place % len(fills)]
    damaged = {
        "quantity": [replace(chosen, quantity_contracts=chosen.quantity_contracts + 1)],
        "price": [replace(chosen, price_points=chosen.price_points + 0.01)],
        "commission": [replace(chosen, commission_local=chosen.commission_local + 0.05)],
        "lost": [],
        "twice": [chosen, chosen],
    }[damage]
    seen = (
        abs(gap) > 1e-3 if damage == "quantity"
        else abs(worth - chosen.commission_local) > 0.05 if damage in ("lost", "twice")
        else True
    )  # fmt: skip
    if seen:
        assert residual(replace(today, fills=[*rest, *damaged]), totals) > 0.01


@given(sessions(), CONTRACTS)
def test_one_damaged_mark_shows(book: tuple[list[Fill], SessionMoves], key: tuple[str, int]) -> None:
    """Where anything is held of it after the session: a mark of what was sold out moves no money."""
    past, today = book
    totals = total(past, today)
    held = held_after([*past, *today.fills])
    wrong = replace(today, marks={**today.marks, key: today.marks[key] + 0.01})
    here = [quantity for held_key, quantity in held.items() if held_key[1:] == key]
    if here:
        assert residual(wrong, totals) > 0.2  # 0.01 x 100 or 1000 x at least 0.5 base currency
    else:
        assert residual(wrong, totals) < 1e-6
