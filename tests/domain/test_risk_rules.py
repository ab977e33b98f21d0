"""Each risk rule at and over its limit, and the pre-trade check. Does not belong here: the order job."""

from datetime import date

import pytest

from trading.book.orders import Order, order_id
from trading.config.symbol_fields import SymbolSettings
from trading.errors import CalculationError
from trading.risk.book_limits import Limits
from trading.risk.exposure import Exposure
from trading.risk.limits import breaches, check_orders, rules

FRI, JUN, SEP = date(2022, 2, 25), 20220600, 20220900
LIMITS = Limits(2.0, 0.05, of=lambda code, strategy=None: SymbolSettings(max_position_contracts=10))
NOTIONAL = {("US10", JUN): 1_000.0, ("US10", SEP): 1_000.0, ("GOLD", JUN): 2_000.0}
CAPITAL = 10_000.0  # so 20,000 gross and 500 of loss are the limits


def order(quantity: int, code: str = "US10", contract: int = JUN) -> Order:
    return Order(order_id(FRI, "trend", code, contract, "target"), "trend", code, contract, FRI, quantity, "target")


def refusals(orders: list[Order], positions: dict, loss: float = 0.0) -> dict[str, str]:
    _, refused = check_orders(orders, positions, NOTIONAL, LIMITS, CAPITAL, loss)
    return {f"{o.instrument} {o.quantity_contracts}": breach.rule for o, breach in refused}


def test_the_rules_are_found() -> None:
    assert [rule.name for rule in rules()] == [
        "daily_loss", "gross_exposure", "instrument_exposure", "instrument_lock", "order_size", "position_size",
        "session_orders", "trading_mode",
    ]  # fmt: skip


@pytest.mark.parametrize(("quantity", "expected"), [(10, {}), (11, {"US10 11": "position_size"}), (-10, {}),
                                                    (-11, {"US10 -11": "position_size"})])  # fmt: skip
def test_position_at_and_over_its_limit(quantity: int, expected: dict) -> None:
    assert refusals([order(quantity)], {}) == expected


def test_position_counts_all_contract_months() -> None:
    assert refusals([order(4, contract=SEP)], {("US10", JUN): 7}) == {"US10 4": "position_size"}
    assert refusals([order(3, contract=SEP)], {("US10", JUN): 7}) == {}


@pytest.mark.parametrize(("quantity", "expected"), [(5, {}), (6, {"GOLD 6": "gross_exposure"})])
def test_gross_exposure_at_and_over_its_limit(quantity: int, expected: dict) -> None:
    # 10 contracts of 1,000 short are 10,000; 5 of 2,000 make exactly 20,000.
    assert refusals([order(quantity, "GOLD")], {("US10", JUN): -10}) == expected


@pytest.mark.parametrize(("loss", "expected"), [(500.0, {}), (500.01, {"US10 1": "daily_loss"})])
def test_daily_loss_at_and_over_its_limit(loss: float, expected: dict) -> None:
    assert refusals([order(1)], {}, loss) == expected


def test_reducing_orders_always_pass_and_make_room() -> None:
    over = {("US10", JUN): 30}
    assert refusals([order(-5)], over, loss=9_999.0) == {}
    assert refusals([order(-30)], over) == {}
    assert refusals([order(-45)], over) == {"US10 -45": "position_size"}  # through flat to 15 short
    # 20,000 are used up; the reduction of US10 sorts after GOLD by id, yet is counted first.
    held = {("US10", JUN): 10, ("GOLD", JUN): 5}
    assert refusals([order(1, "GOLD"), order(-2)], held) == {}


def of(**settings: object) -> Limits:
    """Limits of which one setting of every instrument of the strategy `trend` is another, and none matters else."""

    def found(code: str, strategy: str | None = None) -> SymbolSettings:
        return SymbolSettings(**settings) if strategy == "trend" else SymbolSettings()  # type: ignore[arg-type]

    return Limits(1000.0, 1.0, of=found)


def judged(limits: Limits, orders: list[Order], positions: dict | None = None) -> list[tuple[str, int, str]]:
    _, refused = check_orders(orders, positions or {}, NOTIONAL, limits, CAPITAL, 0.0)
    return [(each.instrument, each.quantity_contracts, breach.rule) for each, breach in refused]


def test_an_order_at_and_over_its_size() -> None:
    limits = of(max_order_contracts=4)
    assert judged(limits, [order(4), order(-4, contract=SEP)]) == []
    assert judged(limits, [order(5)]) == [("US10", 5, "order_size")]
    assert judged(limits, [order(-9)], {("US10", JUN): 9}) == [], "what reduces passes"


def test_orders_of_a_session_are_counted_and_reducing_ones_are_not() -> None:
    limits = Limits(1000.0, 1.0, max_orders=1)
    held = {("US10", SEP): 3}
    orders = [order(1, "GOLD"), order(-2, contract=SEP), order(1)]
    assert judged(limits, orders, held) == [("US10", 1, "session_orders")]
    assert judged(Limits(1000.0, 1.0, max_orders=2), orders, held) == []


def test_an_instrument_that_is_not_traded_freely() -> None:
    held = {("US10", JUN): 5}
    orders = [order(-5), order(1, contract=SEP)]
    assert judged(of(trading_mode="free"), orders, held) == []
    assert judged(of(trading_mode="reduce_only"), orders, held) == [("US10", 1, "trading_mode")]
    assert judged(of(trading_mode="none"), orders, held) == [
        ("US10", -5, "trading_mode"), ("US10", 1, "trading_mode"),
    ]  # fmt: skip


def test_exposure_of_an_instrument_at_and_over_its_limit() -> None:
    # 0.4 of 10,000 is 4,000: two contracts of gold, over all its contract months, whichever way.
    def narrow(code: str, strategy: str | None = None) -> SymbolSettings:
        return SymbolSettings(max_exposure_fraction=0.4 if code == "GOLD" else 1000.0)

    limits = Limits(1000.0, 1.0, of=narrow)
    assert judged(limits, [order(2, "GOLD"), order(9)]) == []
    assert judged(limits, [order(3, "GOLD"), order(9)]) == [("GOLD", 3, "instrument_exposure")]


def test_a_locked_instrument_takes_no_order_not_even_a_reducing_one() -> None:
    held = {("US10", JUN): 10, ("GOLD", JUN): 1}
    orders = [order(-3), order(1, "GOLD"), order(-1, contract=SEP)]
    approved, refused = check_orders(orders, held, NOTIONAL, LIMITS, CAPITAL, 0.0, {"US10": "US10 is in dispute."})
    assert [o.instrument for o in approved] == ["GOLD"]
    assert [(o.quantity_contracts, breach.rule, breach.message) for o, breach in refused] == [
        (-3, "instrument_lock", "US10 is in dispute."),
        (-1, "instrument_lock", "US10 is in dispute."),
    ]


def test_one_refusal_leaves_the_others() -> None:
    approved, refused = check_orders([order(11), order(1, "GOLD")], {}, NOTIONAL, LIMITS, CAPITAL, 0.0)
    assert [o.instrument for o in approved] == ["GOLD"]
    assert refused[0][1].message == (
        "US10: 11 contracts pass the limit of 10. Reduce the position, or raise max_position_contracts."
    )


def test_standing_breaches_of_the_book() -> None:
    book = Exposure({("US10", JUN): -12, ("GOLD", JUN): 5}, NOTIONAL, CAPITAL, 501.0)
    found = {(breach.rule, breach.item): (breach.value, breach.limit) for breach in breaches(book, LIMITS)}
    assert found == {
        ("daily_loss", "book"): (501.0, 500.0),
        ("gross_exposure", "book"): (22_000.0, 20_000.0),
        ("position_size", "US10"): (12.0, 10.0),
    }


def test_a_contract_without_a_price_stops_the_check() -> None:
    with pytest.raises(CalculationError, match="20220600 of CORN"):
        check_orders([order(1, "CORN")], {}, NOTIONAL, LIMITS, CAPITAL, 0.0)
