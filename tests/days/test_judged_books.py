"""Orders decided after a session are judged in one and the same book, whoever judges them: the close, the order job,
and who asks between closes. Does not belong here: what rules measure, or what becomes of orders."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from assets import book as closing
from assets.risk_inputs import risk_books
from pipelines.orders import orders
from resources.memory import MemoryBroker, MemoryFrames, MemoryLedger, MemoryReference
from resources.risk_memory import MemoryDecisionLog
from trading.book.booking import Entered
from trading.book.orders import Fill, Order
from trading.config.models import DeskSettings
from trading.frames import DAILY_PRICES, FX_RATES, OPTIMAL_POSITIONS, Dataset, to_table
from trading.market.instruments import Instrument, RollParameters
from trading.ports import Span
from trading.risk.book import WHOLE, Book, Standing
from trading.risk.decision import Judged
from trading.risk.kept import Wanted
from trading.risk.marked import marked
from trading.risk.target_gate import is_of

THU, FRI, MON, JUN = date(2022, 2, 24), date(2022, 2, 25), date(2022, 2, 28), 20220600
GOLD = Instrument("GOLD", "Gold", "COMEX", "USD", 100.0, 0.1, "metals", "precious", "US")
SILVER = Instrument("SILVER", "Silver", "COMEX", "USD", 5000.0, 0.1, "metals", "precious", "US")
RULE = {"rule": "ewmac", "parameters": {"fast": 2, "slow": 8}, "weight": 1.0}
Rows = dict[tuple[str, str], float]


def settings(*limits: dict[str, Any], **risk: Any) -> DeskSettings:
    """1.6 million, two strategies of which one never trades; every order may be as large as the volume."""
    whole = {"rule": "participation", "refuse": 1.0}
    return DeskSettings.model_validate(
        {
            "trading": {"capital": {"capital_base": 1_600_000.0}},
            "risk": {"limits": [whole, *limits], **risk},
            "strategies": [{"name": name, "rules": {"x": RULE}} for name in ("idle", "trend")],
        }
    )


def filled_on_friday(order: Order) -> Fill | None:
    """Thursday's orders fill at 1,810, ten above Friday's price."""
    if order.session != THU:
        return None
    name, contracts = order.order_id, order.quantity_contracts
    return Fill(f"f:{name}", name, order.strategy, order.instrument, order.contract, FRI, contracts, 1810.0)


class Home:
    """A desk that holds 30 gold since Friday, bought at 1,810 and worth 1,800: 30,000 are lost. It wants 40."""

    def __init__(self, desk: DeskSettings, wanted: float = 40.0) -> None:
        self.desk, self.frames, self.ledger = desk, MemoryFrames(), MemoryLedger()
        self.reference, self.decisions = MemoryReference([GOLD, SILVER]), MemoryDecisionLog()
        self.broker = MemoryBroker(fill=filled_on_friday)
        self.now = datetime(2022, 2, 25, 22, tzinfo=UTC)
        days = (THU, FRI, MON)
        each = [{"instrument": "GOLD", "session": day, "strategy": "trend", "currency": "USD"} for day in days]
        self.put(DAILY_PRICES, each, price=1800.0, price_contract=JUN, volume=1000.0, stamp=pd.Timestamp(FRI))
        self.put(FX_RATES, each, rate=1.0, quoted_on=THU)
        rows = [row | {"optimal_contracts": size} for row, size in zip(each, (30.0, wanted, wanted), strict=True)]
        self.put(OPTIMAL_POSITIONS, rows, forecast=10.0, daily_volatility_base=1000.0, half_width_contracts=0.0)

    def put(self, dataset: Dataset, rows: Iterable[dict[str, Any]], **same: Any) -> None:
        names = dataset.schema.names
        whole = [{name: (row | same).get(name) for name in names} for row in rows]
        self.frames.replace(dataset, to_table(pd.DataFrame(whole), dataset), Span(THU, MON))

    def close(self, *sessions: date) -> None:
        """Closes sessions in one run."""
        over = Span(sessions[0], sessions[-1])
        works = closing.Desk(self.ledger, self.broker, self.desk, lambda: self.now, self.decisions)
        closing.write(
            self.frames, closing.close_range(list(sessions), self.frames, self.reference, works), over
        )  # fmt: skip

    def decided(self, session: date) -> list[tuple[str, Rows]]:
        """What the close, or the job, said of a session's orders."""
        kept = self.decisions.read(Wanted(sessions=(session, session)))
        return [(each.outcome, {(row.rule, row.axis): row.value for row in each.rules}) for each in kept]

    def job(self, session: date) -> dg.ExecuteInProcessResult:
        names = ("frames", "ledger", "reference", "broker", "desk", "decisions")
        resources = {name: getattr(self, name) for name in names} | {"clock": lambda: self.now, "desk_orders": None}
        return orders.execute_in_process(
            run_config={"ops": {"propose": {"config": {"session": session.isoformat()}}}},
            resources={name: dg.ResourceDefinition.hardcoded_resource(value) for name, value in resources.items()},
        )

    def asked(self, session: date) -> list[tuple[str, Rows]]:
        """What the job says."""
        found = self.job(session).output_for_node("check_risk").decisions
        return [(each.outcome, {(row.rule, row.axis): row.value for row in each.rules}) for each in found]

    def after(self, session: date) -> Book:
        """The book of who asks between closes."""
        return risk_books(self.frames, self.ledger, self.desk, session).after(session)


EXPECTED = {
    ("portfolio_position_change", "portfolio"): 10.0,
    ("position_change", "instrument"): 10.0,
    ("session_orders", "portfolio"): 1.0,
    ("participation", "instrument"): 10 / 1000,
    ("daily_loss", "portfolio"): 30_000 / 1_600_000,
    ("daily_loss", "strategy"): 30_000 / 1_600_000,
    ("weekly_loss", "strategy"): 30_000 / 1_600_000,
    ("drawdown", "portfolio"): 30_000 / 1_600_000,
    ("leverage", "portfolio"): 40 * 180_000 / 1_570_000,
    ("order_rate", "portfolio"): 1.0,
    ("trade_rate", "portfolio"): 0.0,
}


@pytest.fixture
def home() -> Home:
    found = Home(settings())
    found.close(THU)
    found.close(FRI)
    return found


def test_the_close_judges_in_the_book_that_the_session_left_and_knows_every_loss(home: Home) -> None:
    ((outcome, values),) = home.decided(FRI)
    assert outcome == "pass"
    assert {key: values[key] for key in EXPECTED} == pytest.approx(EXPECTED)


def test_the_order_job_says_the_same_before_and_after_the_close(home: Home) -> None:
    ((_, after),) = home.asked(FRI)
    assert {key: after[key] for key in EXPECTED} == pytest.approx(EXPECTED)
    early = Home(settings())
    early.close(THU)
    early.ledger.record([event.event for event in home.ledger.entries(kinds=("fill",))])
    ((_, before),) = early.asked(FRI)
    assert {key: before[key] for key in EXPECTED} == pytest.approx(EXPECTED)


def test_who_asks_between_closes_has_that_book_and_the_order_that_was_sent(home: Home) -> None:
    found = home.after(FRI)
    assert found.positions == found.opening == {("trend", "GOLD", JUN): 30}
    assert (found.traded_contracts, found.orders, found.equity_base) == ({}, 1, 1_570_000.0)
    lost = Standing(30_000.0, 30_000.0, 30_000 / 1_600_000)
    assert found.standing == {WHOLE: lost, "trend": lost, "idle": Standing()}
    went = risk_books(home.frames, home.ledger, home.desk, FRI).book(FRI)
    assert (went.opening, went.traded_contracts) == ({}, {"GOLD": 30}), "the session as it went"


def test_a_loss_that_nobody_valued_yet_is_not_known(home: Home) -> None:
    """Monday has prices and was not closed: what gold lost since is not in any account."""
    found = home.after(MON)
    assert found.standing == {"idle": Standing()}
    flat = Home(settings(), wanted=0.0)
    flat.close(THU)
    assert set(flat.after(MON).standing) == {WHOLE, "idle", "trend"}, "nothing is held, nothing is lost"
    assert set(Home(settings()).after(MON).standing) == {WHOLE, "idle", "trend"}, "nothing was ever held"


def test_a_stop_of_a_strategy_holds_in_the_close() -> None:
    """30,000 of 1,600,000 is more than one percent."""
    stopped = Home(settings({"rule": "daily_loss", "by": "strategy", "strategy": "trend", "refuse": 0.01}))
    stopped.close(THU, FRI)
    assert [outcome for outcome, _ in stopped.decided(FRI)] == ["refuse"]


def test_sessions_closed_one_by_one_or_in_one_run_are_judged_alike(home: Home) -> None:
    at_once = Home(settings())
    at_once.close(THU, FRI)
    ((_, values),) = at_once.decided(FRI)
    assert values == pytest.approx(home.decided(FRI)[0][1], nan_ok=True)


def test_an_order_sent_before_is_one_of_the_session_and_of_its_minute() -> None:
    """The close sent 10; half a minute later, and again after a minute, the job wants 14."""
    home = Home(settings())
    home.close(THU, FRI)
    (order,) = [each for each in home.broker.orders.values() if each.session == FRI]
    home.put(OPTIMAL_POSITIONS, [{"strategy": "trend", "instrument": "GOLD", "session": FRI}], forecast=10.0,
             daily_volatility_base=1000.0, optimal_contracts=44.0, half_width_contracts=0.0)  # fmt: skip
    for seconds, rate in ((30, 2.0), (61, 1.0)):
        home.now = datetime(2022, 2, 25, 22, tzinfo=UTC) + timedelta(seconds=seconds)
        ((_, values),) = home.asked(FRI)
        assert order.quantity_contracts == 10
        assert values["order_rate", "portfolio"] == rate, "the first one of another size was sent before"
        assert values["session_orders", "portfolio"] == 1.0, "this one takes its place"
        home.ledger, kept = MemoryLedger(), home.ledger
        home.ledger.record([entry.event for entry in kept.entries() if entry.event.at.second == 0])


def test_orders_of_a_session_are_those_that_add_and_were_not_withdrawn(home: Home) -> None:
    assert home.after(THU).orders == 1
    (order,) = [each for each in home.broker.orders.values() if each.session == FRI]
    home.ledger.record([Entered(FRI, home.now, "test").cancelled(order)])
    assert home.after(FRI).orders == 0


def test_a_contract_that_is_about_to_be_left_is_that_to_the_close_too() -> None:
    """June is due on 4 March, a week and a day after Thursday."""
    home = Home(settings({"rule": "roll_state", "refuse": 0.0}))
    home.reference = MemoryReference([GOLD, SILVER], [RollParameters("GOLD", "HMUZ", "HMUZ", -89, 0, 1)])
    home.close(THU)
    ((outcome, values),) = home.decided(THU)
    assert (outcome, values["roll_state", "contract"]) == ("refuse", 1.0)


# --- targets ----------------------------------------------------------------------------------------------------------
def strict(**limits: Any) -> DeskSettings:
    return settings(decisions={"fail_on_targets": True}, **limits)


def test_orders_towards_targets_that_pass_a_limit_do_not_leave_where_that_fails_the_close() -> None:
    """40 gold of 180,000 are 4.5 times the capital."""
    home = Home(strict(max_gross_exposure_fraction=4.4))
    home.close(THU, FRI)
    row = next(row for row in home.ledger.rows("orders", {"session": str(FRI)}) if row["level"] == "contract")
    assert row["status"] == "refused"
    assert "targets, all held, pass a limit: gross_exposure" in row["refusal"]
    assert [order.session for order in home.broker.orders.values()] == [THU]
    assert home.job(FRI).output_for_node("place") == []
    assert home.decided(FRI) == [], "it was not asked about"


def test_targets_within_limits_leave_and_so_do_orders_that_reduce() -> None:
    home = Home(strict(max_gross_exposure_fraction=4.5))
    home.close(THU, FRI)
    assert [order.quantity_contracts for order in home.broker.orders.values()] == [30, 10]
    less = Home(strict(max_gross_exposure_fraction=20.0), wanted=25.0)
    less.close(THU)
    less.desk = strict(max_gross_exposure_fraction=2.0)  # 25 are 2.8 times the capital
    less.close(FRI)
    assert [order.quantity_contracts for order in less.broker.orders.values()] == [30, -5]


def test_a_target_stops_what_its_limitis_of() -> None:
    market = marked(FRI, [("GOLD", JUN), ("SILVER", JUN)], {}, {}, {"GOLD": GOLD, "SILVER": SILVER}, {"USD": 1.0})
    gold = Order("o", "trend", "GOLD", JUN, FRI, 1, "target")
    elements = {"portfolio": "book", "strategy": "trend", "instrument": "GOLD", "contract": f"GOLD/{JUN}",
                "holding": "trend/GOLD", "asset_class": GOLD.asset_class, "scenario": "crash"}  # fmt: skip
    for axis, element in elements.items():
        row = Judged("rule", axis, element, 2.0, 1.0, 1.0, "refuse", "contracts")
        assert is_of(row, gold, market)
        assert is_of(row._replace(element="other"), gold, market) is (axis in ("portfolio", "scenario"))
