"""What changes under an engine while it answers. Does not belong here: values of rules, or many threads at once."""

from datetime import date
from threading import Thread

import numpy as np
import pytest

from trading.config.models import DeskSettings
from trading.errors import UsageError
from trading.risk.book import WHOLE, Book, Standing
from trading.risk.decision import Asked
from trading.risk.engine import RiskEngine
from trading.risk.market import DIMENSIONS, Market, group

GOLD, COPPER = ("GOLD", 20240400), ("COPPER", 20240500)
LOSSES = [-100.0, -90.0, -80.0, -70.0, -60.0, -50.0, -40.0, -30.0, -20.0, -10.0]


def market() -> Market:
    """Two instruments; gold lost 10 to 100 dollars a contract on ten days looked back on; 1,000 are traded a day."""
    two, none = np.ones(2), np.zeros((0, 2))
    return Market(
        version="made up", session=date(2024, 1, 8), instruments=("COPPER", "GOLD"), contracts=(COPPER, GOLD),
        contract_instrument=np.arange(2), mark_points=100.0 * two, mark_age_sessions=0.0 * two,
        notional_base=1_000.0 * two, roll_state=np.zeros(2, np.int64), volatility_base=50.0 * two,
        median_volume=1_000.0 * two, low_volume=500.0 * two, spread_fraction=1e-4 * two, margin_base=200.0 * two,
        groups={name: group(["all", "all"]) for name in DIMENSIONS}, factor_loadings=none, component_loadings=none,
        stresses=none, scenarios=np.array([[0.0, loss] for loss in LOSSES]), covariance_loadings=50.0 * np.eye(2),
        covariance_rest=0.0 * two,
    )  # fmt: skip


def desk(confidence: float = 0.9, exit_fraction: float = 0.1, **level: float) -> DeskSettings:
    limits = [{"rule": rule, "refuse": value} for rule, value in level.items()]
    model = {"confidence": confidence, "exit_fraction": exit_fraction}
    return DeskSettings.model_validate({"risk": {"limits": limits, "model": model}})


def engine(settings: DeskSettings) -> RiskEngine:
    return RiskEngine(
        settings, market(), Book(10_000.0, 10_000.0, {}, standing={WHOLE: Standing()}, strategies=("trend",))
    )


def value(held: RiskEngine, rule: str, contracts: int = 10) -> float:
    decision = held.check(Asked("trend", *GOLD, contracts))
    return next(row.value for row in decision.rules if row.rule == rule)


def test_a_limit_that_is_changed_is_in_force_for_the_next_check() -> None:
    held, asked = engine(desk(net_exposure=1.0)), Asked("trend", *GOLD, 11)
    assert [reason.code for reason in held.check(asked).reasons] == ["net_exposure"]
    held.limit(desk(net_exposure=1.1), "another")
    decision = held.check(asked)
    assert (decision.outcome, decision.versions.configuration) == ("pass", "another")
    assert next(row.limit for row in decision.rules if row.rule == "net_exposure") == 1.1


def test_the_confidence_and_the_exit_of_changed_settings_count_too() -> None:
    held = engine(desk(confidence=0.9))
    # Ten contracts: one day of ten, then two of them; 10 over a tenth, then half of 1,000.
    assert value(held, "value_at_risk") == pytest.approx(1_000.0 / 10_000.0)
    assert value(held, "days_to_exit") == pytest.approx(0.1)
    held.limit(desk(confidence=0.8, exit_fraction=0.5))
    assert value(held, "value_at_risk") == pytest.approx(900.0 / 10_000.0)
    assert value(held, "expected_shortfall") == pytest.approx(950.0 / 10_000.0)
    assert value(held, "days_to_exit") == pytest.approx(0.02)
    assert value(held, "parametric_value_at_risk") == pytest.approx(0.8416212 * 500.0 / 10_000.0, rel=1e-6)


def test_a_fill_of_something_else_than_its_order_is_refused_and_changes_nothing() -> None:
    held = engine(desk())
    assert held.reserve(Asked("trend", *GOLD, 5, None, "a")).passed
    with pytest.raises(UsageError, match="cannot be of order a, which is of trend's GOLD/20240400"):
        held.fill(Asked("trend", *COPPER, 5, None, "a"))
    assert list(held.working()) == ["a"]
    assert value(held, "position_size", 1) == 6.0


def test_who_asks_while_the_book_is_replaced_waits_for_the_new_one() -> None:
    held = engine(desk(contract_position=20.0))
    answers: list[str] = []

    def ask() -> None:
        for number in range(300):
            answers.append(held.check(Asked("trend", *GOLD, 1 + number % 3)).outcome)

    asking = Thread(target=ask)
    asking.start()
    for contracts in range(1, 15):
        held.load(
            market(),
            Book(
                10_000.0, 10_000.0, {("trend", *GOLD): contracts}, standing={WHOLE: Standing()}, strategies=("trend",)
            ),
        )
    asking.join(timeout=60)
    assert len(answers) == 300
    assert value(held, "contract_position", 3) == 17.0


def test_a_decision_names_the_book_it_was_judged_by_not_the_one_it_leads_to() -> None:
    held = engine(desk(net_exposure=1.0))
    first = held.reserve(Asked("trend", *GOLD, 1, None, "a"))
    second = held.reserve_list([Asked("trend", *GOLD, 1, None, "b"), Asked("trend", *GOLD, 1, None, "c")])
    looked = held.check(Asked("trend", *GOLD, 1))
    assert [first.versions.book, second[0].versions.book, looked.versions.book] == [0, 1, 2]


def test_orders_that_cannot_be_judged_are_refused_among_many_as_alone() -> None:
    held = engine(desk(net_exposure=1.0))
    gold = [Asked("trend", *GOLD, number) for number in (1, 0, 1.5, float("nan"), 10**400, 11, -1)]
    unknown = [Asked("nobody", *GOLD, 1), Asked("trend", "TIN", 20240400, 1), Asked("trend", "GOLD", 1, 1)]
    orders = [gold[0], *unknown, Asked("trend", *GOLD, 1, float("nan")), *gold[1:]]
    expected = ["pass", *["refuse"] * 9, "pass"]
    assert held.check_each(orders) == expected
    assert [held.check(asked).outcome for asked in orders] == expected
    assert held.check_each([]) == []


def test_another_number_of_reservations_counts_for_the_next_engine_and_keeps_no_book_from_being_loaded() -> None:
    held = engine(desk(net_exposure=1.0))
    held.reserve(Asked("trend", *GOLD, 4, None, "a"))
    risk = {"limits": [{"rule": "net_exposure", "refuse": 1.0}], "service": {"max_reservations": 1}}
    held.limit(DeskSettings.model_validate({"risk": risk}), "fewer")
    held.load(market(), Book(10_000.0, 10_000.0, {}, standing={WHOLE: Standing()}, strategies=("trend",)))
    assert set(held.working()) == {"a"}
    assert held.reserve(Asked("trend", *GOLD, 4, None, "b")).outcome == "pass"
    assert held.reserve(Asked("trend", *GOLD, 4, None, "c")).outcome == "refuse"


def test_a_check_a_reservation_and_a_fill_look_at_nothing_of_other_positions() -> None:
    held = RiskEngine(
        desk(net_exposure=9.0),
        market(),
        Book(10_000.0, 10_000.0, {("trend", *COPPER): 5}, standing={WHOLE: Standing()}, strategies=("trend",)),
    )
    asked, state, copper = Asked("trend", *GOLD, 2, None, "a"), held._arrays.state, 0
    expected = {(row.rule, row.axis): row.value for row in held.check(asked).rules}
    others = [state.lines[:, copper], state.own[:, copper], state.holdings[:, copper]]
    others += [state.line_weights[:, copper], state.own_weights[:, copper], state.directions[copper]]
    others += [state.scenarios[copper]]
    was = [part.copy() for part in others]
    for part in others:
        part[:] = np.nan
    assert {(row.rule, row.axis): row.value for row in held.check(asked).rules} == pytest.approx(expected, nan_ok=True)
    assert held.check_each([asked]) == ["pass"]
    assert held.reserve(asked).outcome == "pass"
    assert held.fill(asked) == 0
    for part, before in zip(others, was, strict=True):
        part[:] = before
    assert held.recompute().largest <= 1e-12


def test_a_sum_that_is_no_number_is_no_drift_of_nothing() -> None:
    held = engine(desk(net_exposure=9.0))
    state = held._arrays.state
    state.totals[state.rows[state.spans[3, 0], 5]] = np.nan
    assert np.isnan(held.recompute().largest)
    assert held.recompute().largest == 0.0


def test_nothing_granted_elsewhere_is_nothing_to_hold() -> None:
    held = engine(desk(net_exposure=9.0))
    held.adopt(())
    assert held.working() == {}


def test_a_gate_is_said_to_be_one() -> None:
    held = engine(desk(net_exposure=9.0))
    held.stop(np.full((1, 2), 3.0))
    assert [reason.message for reason in held.check(Asked("trend", *GOLD, 1)).reasons] == [
        "halt of trend/GOLD: it does not let this order through. Ask who set it; resuming needs a name."
    ]


def test_an_account_of_nothing_is_nothing_whatever_its_sign() -> None:
    held = RiskEngine(
        desk(leverage=9.0), market(), Book(10_000.0, -0.0, {}, standing={WHOLE: Standing()}, strategies=("trend",))
    )
    assert [reason.code for reason in held.check(Asked("trend", *GOLD, 1)).reasons] == ["leverage"]
