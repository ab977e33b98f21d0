"""The order job and the risk sensor, in this process. Does not belong here: the close."""

import math
from datetime import UTC, date, datetime

import dagster as dg
import pandas as pd
import pytest

from pipelines.orders import orders
from pipelines.risk_limits import halts_for, risk_limits, tell
from resources.memory import MemoryBroker, MemoryFrames, MemoryLedger, MemoryNotifier, MemoryReference
from resources.risk_memory import MemoryDecisionLog
from trading.book.booking import Entered
from trading.book.orders import Fill
from trading.config.models import DeskSettings
from trading.config.risk import DecisionSettings, RiskLimit, RiskSettings
from trading.config.strategies import RuleSettings, StrategySettings
from trading.config.symbols import SymbolDefaults, SymbolsSettings
from trading.config.trading import Capital, TradingSettings
from trading.errors import UsageError
from trading.frames import (
    DAILY_PRICES,
    EQUITY,
    FX_RATES,
    OPTIMAL_POSITIONS,
    PNL,
    Dataset,
    to_table,
)
from trading.market.instruments import Instrument
from trading.ports import Span
from trading.risk.decision import Judged
from trading.risk.halts import halts_of, new_halt

FRI, JUN = date(2022, 2, 25), 20220600
GOLD = Instrument("GOLD", "Gold", "COMEX", "USD", 100.0, 0.1, "metals", "precious", "US")
CROSSOVER = RuleSettings(rule="ewmac", parameters={"fast": 2, "slow": 8}, weight=1.0)
STRATEGY = StrategySettings(name="trend", rules={"x": CROSSOVER})
DESK = DeskSettings(trading=TradingSettings(capital=Capital(capital_base=1_600_000.0)), strategies=(STRATEGY,))


@pytest.fixture
def stores() -> dict:
    """Adapters of a desk with one session's prices; the strategy wants 30 contracts of gold, give or take 3."""
    found = {
        "frames": MemoryFrames(),
        "ledger": MemoryLedger(),
        "reference": MemoryReference([GOLD]),
        "broker": MemoryBroker(fill=lambda _: None),
        "desk": DESK,
        "clock": lambda: datetime(2022, 2, 25, 22, tzinfo=UTC),
        "decisions": MemoryDecisionLog(),
        "desk_orders": None,
    }
    row = {"instrument": "GOLD", "session": FRI, "strategy": "trend"}
    put(found, DAILY_PRICES, row | {"stamp": pd.Timestamp("2022-02-25 23:00"), "price": 1800.0, "price_contract": JUN})
    want(found, 30.0)
    put(found, FX_RATES, {"currency": "USD", "session": FRI, "rate": 1.0})
    return found


def put(stores: dict, dataset: Dataset, row: dict) -> None:
    whole = dict.fromkeys(dataset.schema.names) | row
    stores["frames"].replace(dataset, to_table(pd.DataFrame([whole]), dataset), Span.session(FRI))


def want(stores: dict, contracts: float) -> None:
    """What the signals layer leaves of the session."""
    row = {"strategy": "trend", "instrument": "GOLD", "session": FRI, "forecast": 10.0, "daily_volatility_base": 1000.0}
    put(stores, OPTIMAL_POSITIONS, row | {"optimal_contracts": contracts, "half_width_contracts": contracts / 10})


def launch(stores: dict, session: str = "2022-02-25", **changes: object) -> dg.ExecuteInProcessResult:
    resources = {name: dg.ResourceDefinition.hardcoded_resource(value) for name, value in (stores | changes).items()}
    return orders.execute_in_process(
        run_config={"ops": {"propose": {"config": {"session": session}}}}, resources=resources
    )


def test_the_job_places_what_the_forecast_wants_once(stores: dict) -> None:
    result = launch(stores)
    assert result.output_for_node("place") == ["2022-02-25:trend:GOLD:20220600:target"]
    assert [order.quantity_contracts for order in stores["broker"].working] == [30]
    sequence = stores["ledger"].sequence()
    assert launch(stores).success
    assert stores["ledger"].sequence() == sequence == 4  # the instrument order; its contract order, approved, sent
    assert len(stores["broker"].working) == 1


def test_what_is_held_counts(stores: dict) -> None:
    held = Fill("f", "o", "trend", "GOLD", JUN, date(2022, 2, 24), 20, 1790.0)
    entry = Entered(date(2022, 2, 24), datetime(2022, 2, 24, 22, tzinfo=UTC), "test")
    stores["ledger"].record([entry.filled(held)])
    launch(stores)
    assert [order.quantity_contracts for order in stores["broker"].working] == [10]


def test_a_refused_order_is_recorded_and_fails_nothing(stores: dict) -> None:
    limited = DESK.model_copy(update={"symbols": SymbolsSettings(defaults=SymbolDefaults(max_position_contracts=29))})
    result = launch(stores, desk=limited)
    assert result.success
    assert stores["broker"].working == []
    row, parent = stores["ledger"].rows("orders")
    assert (row["status"], row["quantity_contracts"]) == (parent["status"], 30) == ("refused", 30)
    assert "30 contracts passes the limit of 29" in row["refusal"]
    outputs = [event for event in result.all_events if event.event_type_value == "STEP_OUTPUT"]
    shown = {event.step_key: event.event_specific_data.metadata for event in outputs}
    assert shown["check_risk"]["refused"].value == 1


def test_a_losing_session_stops_new_orders(stores: dict) -> None:
    lost = {"currency": "USD", "session": FRI, "value_local": 0.0, "change_local": -79_901.0, "rate": 1.0,
            "change_base": -79_901.0, "booked_base": -100.0, "account_base": 1_519_999.0}  # fmt: skip
    put(stores, EQUITY, lost)  # 5 % of 1,600,000 is 80,000
    launch(stores)
    assert stores["ledger"].rows("orders")[0]["status"] == "refused"
    assert "(80,001 of 80,000)" in stores["ledger"].rows("orders")[0]["refusal"]


def test_what_risk_says_is_kept_once_and_halts_stop_the_job(stores: dict) -> None:
    """The job decides again what it decided before, and says it only once; what a halt changed is said anew."""
    launch(stores)
    launch(stores)
    (kept,) = stores["decisions"].read()
    assert kept.microseconds > 0.0
    assert (kept.about.by, kept.about.session, kept.outcome, kept.asked.quantity_contracts) == (
        "orders",
        FRI,
        "pass",
        30,
    )
    at = datetime(2022, 2, 25, 21, tzinfo=UTC)
    stores["ledger"].record([new_halt("instrument", "GOLD", "nothing", "anna", "a drill", at).set_event(FRI)])
    want(stores, 40.0)
    launch(stores)
    newest, before = stores["decisions"].read()
    assert ([reason.code for reason in newest.reasons], newest.outcome, before) == (["halt"], "refuse", kept)
    statuses = {row["status"] for row in stores["ledger"].rows("orders", {"level": "contract"})}
    assert "refused" in statuses


def test_a_session_that_is_none_or_is_history_is_refused(stores: dict) -> None:
    with pytest.raises(UsageError, match="2022-02-26 is not a session"):
        launch(stores, "2022-02-26")
    launch(stores)
    with pytest.raises(UsageError, match="2022-02-24 are history"):
        launch(stores, "2022-02-24")


def test_a_refusal_fails_the_job_where_that_is_asked_for(stores: dict) -> None:
    risk = RiskSettings(decisions=DecisionSettings(fail_on_refusal=True))
    symbols = SymbolsSettings(defaults=SymbolDefaults(max_position_contracts=29))
    with pytest.raises(dg.Failure, match="1 orders were refused"):
        launch(stores, desk=DESK.model_copy(update={"symbols": symbols, "risk": risk}))
    assert {row["status"] for row in stores["ledger"].rows("orders")} == {"refused"}, "recorded all the same"
    assert launch(stores, desk=DESK.model_copy(update={"risk": risk})).success


# --- the sensor -------------------------------------------------------------------------------------------------------
def tick(stores: dict, notifier: MemoryNotifier, cursor: str | None) -> tuple[str | None, str]:
    """The cursor after a look, and what it said."""
    names = ("frames", "ledger", "reference", "desk", "clock")
    resources = {name: stores[name] for name in names} | {"notifier": notifier}
    answer = risk_limits.evaluate_tick(dg.build_sensor_context(cursor=cursor, resources=resources))
    assert not answer.run_requests
    return answer.cursor, str(answer.skip_message)


def held_at_a_loss(stores: dict, contracts: int = 501, lost: float = 80_001.0) -> None:
    """A closed session that holds gold and lost money, of a desk of 1,600,000."""
    entry = Entered(FRI, datetime(2022, 2, 25, 22, tzinfo=UTC), "test")
    stores["ledger"].record([entry.filled(Fill("f", "o", "trend", "GOLD", JUN, FRI, contracts, 1800.0))])
    put(stores, EQUITY, {"currency": "USD", "session": FRI, "value_local": 0.0, "change_local": 0.0, "rate": 1.0,
                         "change_base": 0.0, "booked_base": 0.0, "account_base": 1_600_000.0 - lost})  # fmt: skip
    row = {"strategy": "trend", "instrument": "GOLD", "contract": JUN, "session": FRI}
    put(stores, PNL, row | {"asset_class": "metals", "currency": "USD", "held_base": -lost, "traded_base": 0.0,
                            "commission_base": 0.0, "total_base": -lost})  # fmt: skip


def test_the_sensor_tells_each_breach_once_and_again_what_was_not_taken(stores: dict) -> None:
    notifier = MemoryNotifier()
    assert tick(stores, notifier, None) == (None, "no session is closed yet")
    held_at_a_loss(stores)
    notifier.broken = True
    cursor, _ = tick(stores, notifier, None)
    notifier.broken = False
    cursor, _ = tick(stores, notifier, cursor)
    # 501 contracts of 180,000 are 56 times the capital, 20 is the limit; 80,001 is more than 5 % of 1,600,000.
    assert {notice.facts["rule"] for notice in notifier.told} == {"daily_loss", "gross_exposure", "position_size"}
    (loss,) = (notice for notice in notifier.told if notice.facts["rule"] == "daily_loss")
    assert (loss.level, "(80,001 of 80,000)" in loss.text) == ("error", True)
    assert tick(stores, notifier, cursor)[1] == "nothing changed since the last look"
    assert len(notifier.told) == 3
    assert stores["ledger"].rows("halts") == [], "nobody asked for halts"


def test_a_warning_level_is_told_as_a_warning(stores: dict) -> None:
    stores["desk"] = DESK.model_copy(
        update={"risk": RiskSettings(limits=(RiskLimit(rule="gross_exposure", warn=1.0),))}
    )
    held_at_a_loss(stores, contracts=10, lost=0.0)  # 1.8 million are 1.125 times the capital
    notifier = MemoryNotifier()
    tick(stores, notifier, None)
    (notice,) = notifier.told
    assert (notice.level, notice.facts["rule"], notice.facts["value"]) == ("warning", "gross_exposure", "1.125")


def test_a_breach_halts_all_but_reducing_orders_where_that_is_asked_for(stores: dict) -> None:
    risk = RiskSettings(decisions=DecisionSettings(halt_on=("daily_loss", "position_size")))
    stores["desk"] = DESK.model_copy(update={"risk": risk})
    held_at_a_loss(stores)
    notifier = MemoryNotifier()
    cursor, said = tick(stores, notifier, None)
    assert said.endswith("3 told, 2 halts set")
    halts = {(row["scope"], row["item"]): row for row in stores["ledger"].rows("halts")}
    assert set(halts) == {("everything", ""), ("instrument", "GOLD")}
    assert {(row["mode"], row["actor"]) for row in halts.values()} == {("reduce_only", "risk_limits")}
    assert "daily_loss of book is 0.0500006" in str(halts["everything", ""]["reason"])
    cursor, said = tick(stores, notifier, cursor)
    assert said.endswith("0 halts set"), "they are in force"
    now = datetime(2022, 2, 25, 23, tzinfo=UTC)
    stores["clock"] = lambda: now
    held = [halt for halt in halts_of(stores["ledger"].rows("halts")) if halt.scope == "everything"]
    stores["ledger"].record([held[0].cleared_event("ann", "decided by hand", FRI, now)])
    assert tick(stores, notifier, cursor)[1].endswith("0 halts set"), "what somebody resumed stays resumed"
    assert len(notifier.told) == 3


UNKNOWN = {"rule": "portfolio_volatility", "refuse": 9.0}  # one price has no volatility


@pytest.mark.parametrize(("missing", "halted", "level"), [("refuse", True, "error"), ("warn", False, "warning")])
def test_what_cannot_be_measured_is_told_as_that_and_halts_where_it_refuses(
    stores: dict, missing: str, halted: bool, level: str
) -> None:
    limit = RiskLimit.model_validate(UNKNOWN | {"missing": missing})
    halting = DecisionSettings(halt_on=("portfolio_volatility",))
    stores["desk"] = DESK.model_copy(update={"risk": RiskSettings(limits=(limit,), decisions=halting)})
    held_at_a_loss(stores, contracts=10, lost=0.0)
    notifier = MemoryNotifier()
    cursor, _ = tick(stores, notifier, None)
    (notice,) = [each for each in notifier.told if each.facts["rule"] == "portfolio_volatility"]
    assert (notice.level, notice.title) == (level, "Risk limit cannot be measured: portfolio_volatility of book")
    assert notice.facts["value"] == "not measured"
    assert "cannot be measured" in notice.text
    halts = stores["ledger"].rows("halts")
    assert [(row["scope"], row["mode"]) for row in halts] == [("everything", "reduce_only")] * halted
    assert all("portfolio_volatility of book cannot be measured" in str(row["reason"]) for row in halts)
    tick(stores, notifier, cursor)
    assert len(stores["ledger"].rows("halts")) == len(halts), "it is said once"
    assert len(notifier.told) == 1


def test_a_limit_that_is_passed_after_it_could_not_be_measured_is_told_and_halts_then(stores: dict) -> None:
    halting = DESK.model_copy(update={"risk": RiskSettings(decisions=DecisionSettings(halt_on=("daily_loss",)))})
    known, notifier = Judged("daily_loss", "portfolio", "book", 0.06, math.inf, 0.05, "refuse", ""), MemoryNotifier()
    unknown, at = known._replace(value=math.nan), datetime(2022, 2, 25, 22, tzinfo=UTC)
    told = tell(FRI, [unknown], [], notifier, 1_600_000.0)
    assert tell(FRI, [unknown], told, notifier, 1_600_000.0) == told
    assert len(notifier.told) == 1
    (halt,) = halts_for([known], told, FRI, halting, stores["ledger"], at)
    assert halt.why == "daily_loss of book is 0.06, past its limit of 0.05"
    tell(FRI, [known], told, notifier, 1_600_000.0)
    assert [notice.title.partition(":")[0] for notice in notifier.told] == [
        "Risk limit cannot be measured", "Risk limit passed",
    ]  # fmt: skip


def test_a_cancel_that_the_broker_never_heard_of_is_told_again(stores: dict) -> None:
    class Dying(MemoryBroker):
        def cancel(self, order_ids: list[str]) -> None:
            raise KeyboardInterrupt

    broker = Dying(fill=lambda _: None)
    launch(stores, broker=broker)
    want(stores, 15.0)
    with pytest.raises(KeyboardInterrupt):
        launch(stores, broker=broker)
    broker.__class__ = MemoryBroker  # the process is started again
    launch(stores, broker=broker)
    assert [order.quantity_contracts for order in broker.working] == [15]
