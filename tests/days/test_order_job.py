"""The order job and the risk sensor, in this process. Does not belong here: the close."""

from datetime import UTC, date, datetime

import dagster as dg
import pandas as pd
import pytest

from pipelines.orders import orders, risk_limits
from resources.memory import MemoryBroker, MemoryFrames, MemoryLedger, MemoryNotifier, MemoryReference
from trading.book.booking import Entered
from trading.book.orders import Fill
from trading.config.models import DeskSettings
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
    POSITIONS,
    Dataset,
    to_table,
)
from trading.market.instruments import Instrument
from trading.ports import Span

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
    assert "30 contracts pass the limit of 29" in row["refusal"]
    outputs = [event for event in result.all_events if event.event_type_value == "STEP_OUTPUT"]
    shown = {event.step_key: event.event_specific_data.metadata for event in outputs}
    assert shown["check_risk"]["refused"].value == 1


def test_a_losing_session_stops_new_orders(stores: dict) -> None:
    lost = {"currency": "USD", "session": FRI, "value_local": 0.0, "change_local": -79_901.0, "rate": 1.0,
            "change_base": -79_901.0, "booked_base": -100.0, "account_base": 1_519_999.0}  # fmt: skip
    put(stores, EQUITY, lost)  # 5 % of 1,600,000 is 80,000
    launch(stores)
    assert stores["ledger"].rows("orders")[0]["status"] == "refused"
    assert "lost 80,001" in stores["ledger"].rows("orders")[0]["refusal"]


def test_a_session_that_is_none_or_is_history_is_refused(stores: dict) -> None:
    with pytest.raises(UsageError, match="2022-02-26 is not a session"):
        launch(stores, "2022-02-26")
    launch(stores)
    with pytest.raises(UsageError, match="2022-02-24 are history"):
        launch(stores, "2022-02-24")


def tick(stores: dict, notifier: MemoryNotifier, cursor: str | None) -> str | None:
    resources = {"frames": stores["frames"], "desk": stores["desk"], "notifier": notifier}
    answer = risk_limits.evaluate_tick(dg.build_sensor_context(cursor=cursor, resources=resources))
    assert not answer.run_requests
    assert answer.skip_message
    return answer.cursor


def test_the_sensor_tells_each_breach_once_and_again_what_was_not_taken(stores: dict) -> None:
    notifier = MemoryNotifier()
    assert tick(stores, notifier, None) is None  # nothing closed yet
    row = {"strategy": "trend", "instrument": "GOLD", "contract": JUN, "session": FRI}
    put(stores, EQUITY, {"currency": "USD", "session": FRI, "value_local": 0.0, "change_local": 0.0, "rate": 1.0,
                         "change_base": 0.0, "booked_base": 0.0, "account_base": 1.0})  # fmt: skip
    put(stores, POSITIONS, row | {"quantity_contracts": 501, "notional_base": 501 * 1000.0})
    put(stores, PNL, row | {"asset_class": "metals", "currency": "USD", "held_base": -80_001.0, "traded_base": 0.0,
                            "commission_base": 0.0, "total_base": -80_001.0})  # fmt: skip
    notifier.broken = True
    cursor = tick(stores, notifier, None)
    notifier.broken = False
    cursor = tick(stores, notifier, cursor)
    assert [notice.facts["rule"] for notice in notifier.told] == ["daily_loss", "position_size"]
    tick(stores, notifier, cursor)
    assert len(notifier.told) == 2


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
