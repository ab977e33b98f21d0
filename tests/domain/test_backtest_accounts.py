"""Accounts of a backtest, worked by hand: fills, gross, costs and net, under every option."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from trading.backtest.account_basis import basis
from trading.backtest.accounts import Account, account, capital_multiplier
from trading.backtest.costs import (
    ROLL,
    TRADE,
    CostRisk,
    Costs,
    Holdings,
    cash_fills,
    of_sessions,
    sharpe_per_trade,
    turnover,
)
from trading.backtest.panel import Panel
from trading.config.strategies import (
    BufferSettings,
    CostSettings,
    ExecutionSettings,
    RuleSettings,
    StrategySettings,
)
from trading.errors import CalculationError
from trading.kernels.fills import deflators, unstable_order

NAN = float("nan")
REFERENCE = {
    "commission": "largest", "commission_price": "adjusted", "rolls": "calendar", "deflator": "final_volatility",
    "first_cost": "lost", "same_date": "last",
}  # fmt: skip


def strategy(execution: dict[str, str] | None = None, whole: bool = True, **costs: str) -> StrategySettings:
    """The sound settings, and what differs."""
    return StrategySettings(
        name="test",
        rules={"any": RuleSettings(rule="ewmac", weight=1.0)},
        buffer=BufferSettings(whole_contracts=whole),
        execution=ExecutionSettings.model_validate(execution or {}),
        costs=CostSettings.model_validate(costs),
    )


def reference(**costs: str) -> StrategySettings:
    """The reference's settings, and what differs."""
    return strategy({"fills": "next_session", "rates": "midnight", "start": "rounded"}, **(REFERENCE | costs))


def panel(prices: dict[str, list[float]], start: str = "2024-01-01", **given: object) -> Panel:
    """Sessions from `start` on; a point is worth 10 and slippage is 0.1 points; what differs is given."""
    price = np.column_stack([np.array(values, dtype=float) for values in prices.values()])
    rows, columns = price.shape
    sessions = np.busday_offset(start, np.arange(rows), roll="forward")
    years = sessions[[0, -1]].astype("datetime64[Y]")
    days = int(((years[1] + 1).astype("datetime64[D]") - years[0].astype("datetime64[D]")).astype(int))
    present = [np.flatnonzero(~np.isnan(price[:, column])) for column in range(columns)]
    first = np.array([own[0] for own in present])
    last = np.array([own[-1] for own in present])
    nothing = np.zeros(columns)
    made = Panel(
        sessions=sessions, instruments=tuple(prices), currencies=("USD",) * columns, base="USD", version="test",
        first=first, last=last, held_first=first, held_last=last, price=price, held=price.copy(),
        carry=np.full(price.shape, NAN), rolls=np.zeros(price.shape), rate=np.ones(price.shape),
        first_day=years[0].astype("datetime64[D]"), rate_midnight=np.ones((days, columns)),
        point_value=np.full(price.shape, 10.0), slippage=nothing + 0.1, per_contract=nothing, per_trade=nothing,
        fraction=nothing, rolls_a_year=nothing + NAN, anchor=nothing,
    )  # fmt: skip
    known = {name: np.asarray(value, dtype=float) for name, value in given.items() if name not in ("first", "last")}
    return replace(made, **known)


def wide(*columns: list[float]) -> np.ndarray:
    return np.column_stack([np.array(column, dtype=float) for column in columns])


def made(where: Panel, how: StrategySettings, *decided: list[float], **more: object) -> Account:
    return account(where, wide(*decided), how, 100_000.0, **more)  # type: ignore[arg-type]


def same(found: np.ndarray, expected: list[float]) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12, equal_nan=True)


# --- the sound settings -----------------------------------------------------------------------------------------------
def test_five_sessions_by_hand() -> None:
    # Decided 0, 75, 23, 8, 8 are held one session later: 0, 0, 75, 23, 8. Only session 5 earns: 23 x 3 points x 10 =
    # 690. A contract costs 0.1 x 10 + 2 = 3: 75, 52 and 15 of them. In percent of 100 000.
    where = panel({"A": [100, 103, 103, 103, 106]}, per_contract=[2.0])
    found = made(where, strategy(), [0, 75, 23, 8, 8])
    same(found.holdings.held[:, 0], [0, 0, 75, 23, 8])
    same(found.percent.gross, [0, 0, 0, 0, 0.69])
    same(found.percent.costs, [0, 0, -0.225, -0.156, -0.045])
    same(found.percent.net, [0, 0, -0.225, -0.156, 0.645])
    same(found.currency.net, [0, 0, -225, -156, 645])
    assert (found.percent.cost_sessions == where.sessions).all()


def test_a_target_waits_for_a_price_and_the_move_over_the_gap_is_earned() -> None:
    # 5 decided with the first close, 7 with the second; no price on the third: 5 stay, and earn all of 100 to 104.
    found = made(panel({"A": [100, 100, NAN, 104, 104]}), strategy(), [5, 7, 7, 7, 7])
    same(found.holdings.held[:, 0], [0, 5, 5, 7, 7])
    same(found.currency.gross, [0, 0, 0, 5 * 4 * 10, 0])
    same(found.currency.costs, [0, -5, 0, -2, 0])


def test_both_legs_of_each_roll_pay_slippage_and_every_commission() -> None:
    # A leg of 4 contracts: 4 x (1 + 2) + 3 for the trade + 0.001 x 4 x 100 x 10 = 19. Session 3 rolls once: two legs.
    # Session 4 rolls twice and sells 1 more: four legs, and 1 x (1 + 2) + 3 + 1 = 7.
    rolls = wide([0, 0, 1, 2])
    where = panel({"A": [100] * 4}, rolls=rolls, per_contract=[2.0], per_trade=[3.0], fraction=[0.001])
    found = made(where, strategy(), [4, 4, 3, 3])
    same(found.holdings.held[:, 0], [0, 4, 4, 3])
    same(found.currency.costs, [0, -19, -38, -4 * 19 - 7])
    assert found.costs.fills is not None
    assert found.costs.fills.kinds.tolist() == [TRADE, ROLL, ROLL, TRADE]


def test_costs_are_what_the_paper_broker_charges() -> None:
    # Slippage 0.1 x 10 x 3 = 3, and commissions of a fill of 3 at 100: 3 x 2 + 5 + 0.0002 x 3 x 100 x 10 = 11.6.
    from trading.book.costs import commission_local
    from trading.market.instruments import Instrument

    listed = Instrument("A", "A", "WEEKDAYS", "USD", 10.0, 0.01, "equity", "", "", 0.1, 2.0, 5.0, 0.0002)
    where = panel({"A": [100] * 3}, per_contract=[2.0], per_trade=[5.0], fraction=[0.0002])
    found = made(where, strategy(), [-3, -3, -3])
    same(found.currency.costs, [0, -3 - 11.6, 0])
    assert commission_local(listed, -3, 100.0) == pytest.approx(11.6)


def test_an_instrument_that_ends_keeps_its_contracts_and_earns_nothing() -> None:
    where = panel({"A": [100, 101, 102, NAN, NAN], "B": [50, 50, 50, 51, 52]})
    found = made(where, strategy(), [2, 2, 9, NAN, NAN], [1, 1, 1, 1, 1])
    same(found.holdings.held[:, 0], [0, 2, 2, 2, 2])
    same(found.instruments_currency.gross[:, 0], [0, 0, 20, NAN, NAN])
    same(found.instruments_currency.net[:, 0], [0, -2, 20, NAN, NAN])
    same(found.currency.net, [0, -3, 20, 10, 10])


def test_money_counts_from_the_first_rate_on() -> None:
    # The currency has no rate in the first two sessions, then 2 and 3: the fill of session 2 and the move of session 3.
    where = panel({"A": [100, 101, 102, 103]}, rate=wide([NAN, NAN, 2, 3]))
    found = made(where, strategy(), [1, 1, 1, 1])
    same(found.earned[:, 0], [NAN, NAN, 20, 30])
    same(found.currency.gross, [0, 0, 20, 30])
    same(found.currency.net, [0, 0, 20, 30])
    same(found.costs.local, [-1])
    same(found.costs.base, [NAN])


def test_each_session_has_its_own_point_value() -> None:
    where = panel({"A": [100, 101, 102, 103]}, point_value=wide([10, 10, 20, 20]))
    found = made(where, strategy(), [1, 1, 2, 2])
    same(found.currency.gross, [0, 0, 20, 20])
    same(found.currency.costs, [0, -1, 0, -2])


def test_fractions_of_contracts_are_held_where_contracts_are_not_whole() -> None:
    where = panel({"A": [100, 100, 101, 102]})
    same(made(where, strategy(whole=False), [1.5, 0.25, 0, 0]).holdings.held[:, 0], [0, 1.5, 0.25, 0])
    same(made(where, strategy(), [1.5, 2.5, -0.4, 0]).holdings.held[:, 0], [0, 2, 2, 0])


@pytest.mark.parametrize("cut", [1, 5, 37, 120, 199])
def test_nothing_of_the_future_is_known(cut: int) -> None:
    chance = np.random.default_rng(3)
    prices = {code: list(100 + chance.normal(size=200).cumsum()) for code in "ABC"}
    prices["B"][50:60] = [NAN] * 10
    rolls, decided = chance.random((200, 3)) < 0.05, np.rint(chance.normal(size=(200, 3)) * 5)
    whole = account(panel(prices, rolls=rolls), decided, strategy(), 1e5)
    early = {code: values[:cut] for code, values in prices.items()}
    part = account(panel(early, rolls=rolls[:cut]), decided[:cut], strategy(), 1e5)
    for kind in ("gross", "costs", "net"):
        np.testing.assert_array_equal(getattr(whole.percent, kind)[:cut], getattr(part.percent, kind))
    np.testing.assert_array_equal(whole.holdings.held[:cut], part.holdings.held)


# --- the reference's choices ------------------------------------------------------------------------------------------
def test_the_next_weekday_fills_whatever_happens_and_the_first_position_is_no_fill() -> None:
    found = made(panel({"A": [100, NAN, 104, 105]}), strategy({"fills": "next_session"}), [5, 7, 7, 7])
    same(found.holdings.held[:, 0], [NAN, 5, 7, 7])
    same(found.currency.gross, [0, 0, 5 * 4 * 10, 7 * 10])
    same(found.currency.costs, [0, 0, -2, 0])


def test_outside_an_instruments_rows_nothing_is_held() -> None:
    where = panel({"A": [NAN, 100, 101, 103, NAN], "B": [1, 1, 1, 1, 1]})
    found = made(where, reference(), [NAN, 2, 2, 2, NAN], [0, 0, 0, 0, 0])
    same(found.holdings.held[:, 0], [NAN, NAN, 2, 2, NAN])
    same(found.instruments_currency.gross[:, 0], [NAN, NAN, 0, 40, NAN])
    same(found.currency.gross, [NAN, 0, 0, 40, 0])


@pytest.mark.parametrize(
    ("commission", "price", "cost"),
    [
        ("sum", "held", 10 + 20 + 30 + 50),  # 10 x 0.1 x 10; 10 x 2; 30; 0.001 x 10 x 500 x 10
        ("sum", "adjusted", 10 + 20 + 30 + 20),  # 0.001 x 10 x (120 + 80) x 10
        ("largest", "held", 10 + 50),
        ("largest", "adjusted", 10 + 30),
    ],
)
def test_commissions_are_added_or_the_largest_counts(commission: str, price: str, cost: float) -> None:
    where = panel(
        {"A": [120, 120, 120]}, held=wide([500, 500, 500]), anchor=[80.0], per_contract=[2.0], per_trade=[30.0],
        fraction=[0.001],
    )  # fmt: skip
    found = made(where, strategy(commission=commission, commission_price=price), [10, 10, 10])
    same(found.currency.costs, [0, -cost, 0])


def test_a_fraction_of_a_missing_price_does_not_count_among_the_largest() -> None:
    # Filled on a weekday without a price: slippage 2 and 2 x 3 for the contracts are paid; sold at 100 at 1 %: 20.
    where = panel({"A": [100, NAN, 100, 100]}, per_contract=[3.0], fraction=[0.01], slippage=[0.1])
    how = strategy({"fills": "next_session"}, commission="largest", commission_price="adjusted")
    fills = made(where, how, [0, 0, 2, 2]).costs.fills
    assert fills is not None
    same(fills.local, [-2 - 20])
    where = panel({"A": [100, 100, NAN, 100]}, per_contract=[3.0], fraction=[0.01])
    fills = made(where, how, [0, 2, 2, 2]).costs.fills
    assert fills is not None
    same(fills.local, [-2 - 6])
    same(fills.prices, [NAN])


def test_a_roll_on_a_sunday_is_fridays_among_costs_and_mondays_in_net() -> None:
    # One roll a year: 1 January + 182 days is Sunday 2 July 2023. From Monday 26 June on 4 contracts are decided, held
    # from Tuesday: 4 on average until then (the first row holds nothing known). One fill: 4 x 0.1 x 10 = 4.
    where = panel({"A": [100, 101, 102, 103, 104, 105, 106]}, "2023-06-26", rolls_a_year=[1.0])
    found = made(where, strategy({"fills": "next_session"}, rolls="calendar"), [4] * 7)
    assert found.costs.dates.tolist() == [np.datetime64("2023-07-02").item()]
    same(found.currency.costs, [0, 0, 0, 0, -4, 0, 0])
    same(found.currency.gross, [0, 0, 40, 40, 40, 40, 40])
    same(found.currency.net, [0, 0, 40, 40, 40, 36, 40])


def test_a_roll_counts_what_was_held_since_the_last_one() -> None:
    # Twelve a year: step 30, from 16 January on; the next is 15 February. 2024-01-15 is a Monday: rows 0 to 22 end on
    # Wednesday 14 February, row 23 is the 15th. Held: NaN, 2, then 6 from the 17th on (decided on the 16th), 8 on the
    # last row. First roll on Tuesday the 16th: mean of 2. Second: 2, then 21 x 6, then 8.
    days = 24
    where = panel({"A": [100] * days}, "2024-01-15", rolls_a_year=[12.0])
    found = made(where, strategy({"fills": "next_session"}, rolls="calendar"), [2] + [6] * (days - 3) + [8, 8])
    fills = found.costs.fills
    assert fills is not None
    rolled = fills.kinds == ROLL
    assert [str(day) for day in fills.dates[rolled][:3]] == ["2024-01-16", "2024-02-15", "2024-03-16"]
    same(found.holdings.held[[1, 2, 22, 23], 0], [2, 6, 6, 8])
    same(fills.contracts[rolled][:3], [2, (2 + 21 * 6 + 8) / 23, 8])
    same(fills.contracts[rolled][3:], [0] * 9)
    assert (fills.prices[rolled] == 100).tolist() == [True] * 12


def test_the_references_rolls_have_no_price_and_pay_for_a_trade_of_nothing() -> None:
    # The roll of 2024 is on 1 July, after the last session: nothing is held. Price 0, so no fraction of value.
    where = panel({"A": [100] * 5}, "2024-01-01", rolls_a_year=[1.0], per_trade=[7.0], fraction=[0.5])
    fills = made(where, reference(deflator="none"), [0] * 5).costs.fills
    assert fills is not None
    same(fills.prices, [0])
    same(fills.local, [-7])


def test_costs_are_deflated_and_a_weekends_by_the_deflator_of_the_cost_before() -> None:
    # Changes 1, 2, -1, 3, 0: deviations sqrt(7/3) of the first three, sqrt(35/12) of four, sqrt(2.5) of five.
    # Prices from Monday 26 June 2023; the roll is on Sunday 2 July. Held: NaN 1 1 1 3 3: one fill, on Friday.
    # Friday's deflator sqrt(35/12 / 2.5); Sunday's roll has no session and gets Friday's.
    where = panel({"A": [10, 11, 13, 12, 15, 15]}, "2023-06-26", rolls_a_year=[1.0])
    found = made(where, reference(), [1, 1, 1, 3, 3, 3])
    assert [str(day) for day in found.costs.dates] == ["2023-06-30", "2023-07-02"]
    deflator = np.sqrt(35 / 12 / 2.5)
    same(found.costs.local, [-2 * deflator, -(1 + 1 + 1 + 3) / 4 * deflator])


def test_the_deflator_is_the_deviation_of_the_last_180_changes() -> None:
    chance = np.random.default_rng(5)
    price = 1000.0 + np.cumsum(chance.normal(size=900) * np.linspace(1, 20, 900))
    found = deflators(price[:, None], np.array([0]), np.array([899]), 180, 3)[:, 0]
    changes = np.diff(price)
    expected = [changes[max(0, row - 180) : row].std(ddof=1) if row >= 3 else NAN for row in range(900)]
    np.testing.assert_allclose(found, np.array(expected) / expected[-1], rtol=1e-12, equal_nan=True)


def test_rates_of_the_session_or_as_known_when_the_day_began() -> None:
    # A rate of 2 from Tuesday evening on: that session's; as known at midnight, from Wednesday on.
    midnight = np.ones((366, 1))
    midnight[2:] = 2.0
    where = panel({"A": [100, 100, 101, 102]}, rate=wide([1, 2, 2, 2]), rate_midnight=midnight)
    of_session = made(where, strategy(), [1, 1, 1, 1])
    same(of_session.costs.base, [-2])
    same(of_session.currency.gross, [0, 0, 20, 20])
    at_midnight = made(where, strategy({"rates": "midnight"}), [1, 1, 1, 1])
    same(at_midnight.costs.base, [-1])
    same(at_midnight.currency.gross, [0, 0, 20, 20])


def test_the_first_cost_is_lost() -> None:
    # Held NaN 1 1 2 2 3: fills in sessions 4 and 6, 1 each. Gross 0, 0, 10, 10, 20, 20, of which the first is missing.
    # The sum of costs is known from session 4 on: net has nothing until then, and its curve begins one later. The
    # curve of costs differs from the cost before, so its first is missing too.
    how = reference(deflator="none")
    found = made(panel({"A": [100, 101, 102, 103, 104, 105]}), how, [1, 1, 2, 2, 3, 3])
    same(found.holdings.held[:, 0], [NAN, 1, 1, 2, 2, 3])
    same(found.instruments_currency.gross[:, 0], [NAN, 0, 10, 10, 20, 20])
    same(found.instruments_currency.net[:, 0], [NAN, NAN, NAN, NAN, NAN, 19])
    same(found.instruments_currency.costs[:, 0], [NAN, NAN, -1])
    assert str(found.instruments_currency.cost_sessions[0]) == "2024-01-04"
    assert str(found.instruments_currency.cost_sessions[-1]) == "2024-01-08"


def test_a_cost_without_a_rate_hides_net_until_the_next_one_is_known() -> None:
    # Held NaN 1 1 2 3 4 4 4: fills in sessions 4, 5 and 6; there is no rate on 5 January, the fifth. The sum of costs
    # is known on the fourth, not on the fifth, and again on the sixth: net has its first value on the seventh.
    midnight = np.ones((366, 1))
    midnight[4] = NAN
    where = panel({"A": [100, 101, 102, 103, 104, 105, 106, 107]}, rate_midnight=midnight)
    found = made(where, reference(deflator="none"), [1, 1, 2, 3, 4, 4, 4, 4])
    same(found.costs.base, [-1, NAN, -1])
    same(found.instruments_currency.gross[:, 0], [NAN, 0, 10, 10, NAN, 30, 40, 40])
    same(found.instruments_currency.net[:, 0], [NAN] * 7 + [40])


def test_a_roll_of_nothing_is_free_where_commissions_are_added() -> None:
    where = panel({"A": [100] * 5}, "2024-01-01", rolls_a_year=[1.0], per_trade=[7.0])
    same(made(where, strategy(rolls="calendar"), [0] * 5).costs.local, [0])


def test_a_cost_before_the_first_session_is_lost_in_percent_only() -> None:
    # The first roll (1 July) comes before the first price (8 July): 7 for a trade of nothing. In currency it is the
    # first known cost, so the fill of the third session, 5 contracts, counts; in percent that fill is the first.
    where = panel({"A": [100] * 5}, "2024-07-08", rolls_a_year=[1.0], per_trade=[7.0])
    found = made(where, reference(deflator="none"), [0, 5, 5, 5, 5])
    same(found.costs.local, [-7, -5 - 7])
    same(found.currency.net, [NAN, NAN, -12, 0, 0])
    same(found.percent.net, [NAN, NAN, NAN, NAN, 0])
    assert str(found.currency.cost_sessions[0]) == "2024-07-01"


def test_two_costs_on_a_date_are_added_or_the_last_is_kept() -> None:
    # Monday 1 July 2024 is the roll of the year, and 2 more contracts are bought: 2, and 4 / 3 held on average.
    where = panel({"A": [100] * 6}, "2024-06-26", rolls_a_year=[1.0])
    how = {"execution": {"fills": "next_session"}, "rolls": "calendar"}
    decided = [1.0, 1.0, 3.0, 3.0, 3.0, 3.0]
    added = made(where, strategy(**how), decided)  # type: ignore[arg-type]
    same(added.holdings.held[:, 0], [NAN, 1, 1, 3, 3, 3])
    assert [str(day) for day in added.costs.dates] == ["2024-07-01", "2024-07-01"]
    same(added.currency.costs, [0, 0, 0, -2 - 5 / 3, 0, 0])
    last = made(where, strategy(**how, same_date="last"), decided)  # type: ignore[arg-type]
    same(last.currency.costs, [0, 0, 0, -5 / 3, 0, 0])


def test_a_caller_may_say_which_cost_is_left() -> None:
    where = panel({"A": [100] * 6}, "2024-06-26", rolls_a_year=[1.0])
    how = strategy({"fills": "next_session"}, rolls="calendar")
    for amount in (-2.0, -5 / 3):
        left = {"A": (np.array(["2024-07-01"], dtype="datetime64[D]"), np.array([amount * 1.001]))}
        found = made(where, how, [1, 1, 3, 3, 3, 3], survivors=left)
        same(found.currency.costs, [0, 0, 0, amount, 0, 0])


@pytest.mark.parametrize("size", [1, 2, 15, 16, 17, 200, 3000])
def test_equal_dates_change_places_as_numpy_sorts_datetimes(size: int) -> None:
    # numpy's own sort of datetimes is the one the reference used. Fills ascend, and rolls after them ascend again.
    chance = np.random.default_rng(size)
    for spread in (20, 13_000):
        fills = np.sort(chance.integers(0, spread, size))
        days = np.concatenate([fills, np.linspace(0, spread, max(1, size // 5)).astype(np.int64)])
        np.testing.assert_array_equal(unstable_order(days), np.argsort(days.astype("datetime64[D]"), kind="quicksort"))


# --- Sharpe units -----------------------------------------------------------------------------------------------------
def test_costs_in_sharpe_units() -> None:
    # Price 100 and volatility 1 a day, so 16 points a year: 16 %. A contract costs 1 + 4 of 1000: 0.5 %, and opening
    # and closing 1 %: 0.0625 Sharpe. Two rolls a year: 0.0625 x 2 / 2. Positions 0 2 0 2 0 against an average of 4:
    # each of four changes is half of it, so 128 a year. Together 128 x 0.0625 + 0.0625 = 8.0625.
    # A day of it: 8.0625 x 4 contracts x 16 points x 10 / 365.25.
    where = panel({"A": [100] * 5}, per_contract=[4.0], rolls_a_year=[2.0])
    risk = CostRisk(wide([NAN, 4, 4, 4, 4]), wide([NAN, 1, 1, 1, 1]))
    first_known = CostRisk(wide([4, 4, 4, 4, 4]), risk.volatility)
    how = strategy({"fills": "next_session"}, method="sharpe")
    decided = [0.0, 2.0, 0.0, 2.0, 0.0]
    per_trade, holding = sharpe_per_trade(where, risk, how)
    same(per_trade, [0.0625])
    same(holding, [0.0625])
    same(turnover(wide(decided), first_known.average_position), [128])
    found = made(where, how, decided, risk=first_known)
    day = 8.0625 * 4 * 16 * 10 / 365.25
    same(found.currency.costs, [0, -day, -day, -day, -day])


def test_sharpe_costs_are_for_calendar_days_and_of_the_last_year() -> None:
    # Thursday to Tuesday: the weekend is three days. Prices of 2021 and 2022 do not count in April 2023's last year.
    where = panel({"A": [5.0] * 300 + [100.0] * 300}, "2021-01-01")
    risk = CostRisk(np.full((600, 1), 4.0), wide([9.0] * 300 + [1.0] * 300))
    per_trade, _ = sharpe_per_trade(where, risk, strategy())
    same(per_trade, [2 * (1 / 1000) / 0.16])
    short = panel({"A": [100] * 4}, "2024-01-04", rolls_a_year=[1.0])
    given = CostRisk(wide([1] * 4), wide([1] * 4))
    costs = made(short, strategy(method="sharpe"), [1, 1, 1, 1], risk=given).currency.costs
    same(costs[2] / costs[1], 3.0)  # type: ignore[arg-type]
    assert costs[1] == pytest.approx(-(0.0125 / 2) * 16 * 10 / 365.25)


def test_sharpe_costs_of_a_portfolio_are_known_as_nothing_in_the_first_row() -> None:
    # An instrument's first row has no row before it, so its cost is missing; in a sum missing counts as nothing. So the
    # portfolio's net is there from the second row on, where a single instrument's needs one more.
    where = panel({"A": [100] * 5}, "2024-01-01", rolls_a_year=[1.0])
    found = made(where, reference(method="sharpe"), [1] * 5, risk=CostRisk(wide([1] * 5), wide([1] * 5)))
    assert np.isnan(found.currency.net).tolist() == [True, True, False, False, False]
    assert np.isnan(found.instruments_currency.net[:, 0]).tolist() == [True, True, True, False, False]


def test_costs_of_a_time_without_any_instrument_are_known_when_the_next_begins() -> None:
    where = panel({"A": [5, 5, 5, NAN, NAN, NAN, NAN, NAN], "B": [NAN] * 5 + [7, 7, 7]})

    def paid(*_: object) -> Costs:
        return Costs(where.sessions[[0, 4]], np.array([0, 0]), np.array([-1.0, -8.0]), np.array([-1.0, -8.0]))

    decided = [1, 1, 1, NAN, NAN, NAN, NAN, NAN], [NAN] * 5 + [1, 1, 1]
    found = made(where, reference(), *decided, model=paid)
    same(found.currency.net, [NAN, NAN, 0, NAN, NAN, -8, 0, 0])


def test_a_year_without_positions_has_no_calendar_rolls() -> None:
    # Prices from Thursday 30 December 2021 on, positions from Monday 3 January 2022: only the roll of 2 July 2022.
    where = panel({"A": [5.0] * 140}, "2021-12-30", rolls_a_year=[1.0], per_trade=[3.0])
    found = made(where, reference(), [NAN, NAN] + [1.0] * 138)
    assert found.costs.dates.astype(str).tolist() == ["2022-07-02"]


def test_rows_without_a_price_stay_an_instruments_own_where_earlier_ones_are_cut_off() -> None:
    # B has a row without a price as its first, in session 2, and as its last, in session 5.
    where = panel({"A": [1, NAN, 2, 3, 4, 5], "B": [NAN, NAN, 2, 3, 4, NAN]})
    where = replace(where, first=np.array([0, 1]), last=np.array([5, 5]), held_first=np.array([0, 1]))
    cut = where.since(date(2024, 1, 2))
    assert (cut.first.tolist(), cut.last.tolist()) == ([1, 0], [4, 4])
    assert (cut.held_first.tolist(), cut.held_last.tolist()) == ([1, 0], [4, 3])
    assert (where.since(date(2024, 1, 8)).first.tolist(), where.since(date(2024, 1, 8)).last.tolist()) == (
        [0, 0],
        [0, -1],
    )


def test_sharpe_costs_without_risk_are_refused() -> None:
    with pytest.raises(CalculationError, match=r"needs average positions and volatility\. Run it"):
        made(panel({"A": [1, 2]}), strategy(method="sharpe"), [1, 1])


# --- other models, capital, and what is refused -----------------------------------------------------------------------
def test_trading_is_free_without_costs() -> None:
    found = made(panel({"A": [100, 100, 101]}), strategy(method="none"), [3, 3, 3])
    same(found.currency.net, [0, 0, 30])
    same(found.currency.costs, [0, 0, 0])
    same(made(panel({"A": [100, 100, 101]}), reference(method="none"), [3, 3, 3]).currency.net, [NAN, 0, 30])


def test_another_cost_model_may_be_given() -> None:
    found = made(
        panel({"A": [100, 100, 101]}), strategy(), [3, 3, 3],
        model=lambda where, held, how, ready, risk: of_sessions(where, wide([0, -8, NAN])),
    )  # fmt: skip
    same(found.currency.costs, [0, -8, 0])
    same(found.currency.net, [0, -8, 30])


def test_percent_are_of_the_capital_of_the_session() -> None:
    # Capital 100 000, then twice and half of it.
    where = panel({"A": [100, 101, 102]})
    found = made(where, strategy(), [10, 10, 10], multiplier=np.array([1.0, 2.0, 0.5]))
    same(found.capital, [100_000, 200_000, 50_000])
    same(found.percent.gross, [0, 0, 0.2])
    same(found.percent.costs, [0, -0.005, 0])


def test_capital_grows_and_shrinks_with_earlier_sessions() -> None:
    # +10 %, -50 %, missing, +20 %: each session has what the ones before it made.
    returns = np.array([10.0, -50.0, NAN, 20.0, 5.0])
    same(capital_multiplier(returns, "fixed"), [1, 1, 1, 1, 1])
    same(capital_multiplier(returns, "full"), [1, 1.1, 0.55, 0.55, 0.66])
    # half: min(1, 1.1) = 1; 1 x (1 - 0.5) = 0.5; 0.5; 0.5 x (1 + 0.5 x 0.2) = 0.55
    same(capital_multiplier(returns, "half"), [1, 1, 0.5, 0.5, 0.55])
    same(capital_multiplier(np.array([-200.0, 50.0, 50.0]), "full"), [1, 0, 0])


def test_what_does_not_depend_on_positions_is_made_once() -> None:
    where, how = panel({"A": [100, 101, 102]}), strategy()
    ready = basis(where, how)
    same(made(where, how, [1, 1, 1], made=ready).currency.net, made(where, how, [1, 1, 1]).currency.net.tolist())
    with pytest.raises(CalculationError, match=r"another panel or other settings.*Make it anew"):
        made(where, strategy(commission="largest"), [1, 1, 1], made=ready)
    with pytest.raises(CalculationError, match=r"another panel"):
        made(replace(where, version="other"), how, [1, 1, 1], made=ready)


def test_positions_of_another_shape_are_refused() -> None:
    with pytest.raises(CalculationError, match=r"shape \(2, 1\), the panel \(3, 1\)"):
        made(panel({"A": [1, 2, 3]}), strategy(), [1, 1])


def test_an_instrument_without_any_rows_has_no_account() -> None:
    where = replace(
        panel({"A": [100, 101, 102], "B": [1, 1, 1]}, rolls_a_year=[1.0, 1.0]), price=wide([100, 101, 102], [NAN] * 3),
        first=np.array([0, 0]), last=np.array([2, -1]), held_first=np.array([0, 0]), held_last=np.array([2, -1]),
    )  # fmt: skip
    for how in (strategy(), reference()):
        found = made(where, how, [1, 1, 1], [NAN, NAN, NAN])
        assert np.isnan(found.instruments_currency.net[:, 1]).all()
        assert np.nansum(found.currency.gross) == 10.0


def test_rows_are_those_with_a_price_series() -> None:
    # The held contract's rows begin one session before the adjusted price's and end one after it.
    where = panel({"A": [NAN, 100, 101, 102, NAN]}, held=wide([99, 100, 101, 102, 103]))
    where = replace(where, held_first=np.array([0]), held_last=np.array([4]))
    found = made(where, reference(), [0, 1, 1, 1, 1])
    assert found.rows == (1, 4)
    same(found.holdings.held[:, 0], [NAN, 0, 1, 1, 1])
    same(found.currency.gross, [NAN, NAN, 0, 10, NAN])
    same(made(where, strategy(), [0, 1, 1, 1, 1]).currency.gross, [0, 0, 0, 10, 0])


def test_fills_are_listed_with_what_they_cost() -> None:
    where, how = panel({"A": [100, 101, 102], "B": [10, 10, 10]}), strategy()
    found = made(where, how, [1, 3, 3], [0, -2, -2])
    fills = cash_fills(where, Holdings(found.holdings.decided, found.holdings.held), how, basis(where, how))
    assert [str(day) for day in fills.dates] == ["2024-01-02", "2024-01-03", "2024-01-03"]
    assert fills.columns.tolist() == [0, 0, 1]
    same(fills.contracts, [1, 2, -2])
    same(fills.prices, [101, 102, 10])
    same(fills.local, [-1, -2, -2])
