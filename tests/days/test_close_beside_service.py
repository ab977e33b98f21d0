"""The close and the order job beside a risk service whose workers hold headroom of the same book: what the desk sends
is held there, and what strategies were granted counts here. Does not belong here: announcing by itself
(`tests/contracts/test_desk_orders.py`), or the service.

The desk wants 30 gold; 40 is what it and the strategies may hold of it together.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from assets import book as closing
from pipelines.orders import orders
from pipelines.risk_desk import DeskInputs
from pipelines.settings import place
from pipelines.wiring import ledger, reservation_log, risk_inputs_cache
from resources.memory import MemoryBroker, MemoryFrames, MemoryLedger, MemoryReference
from resources.risk_memory import MemoryDecisionLog, MemoryReservations
from trading.book.orders import Fill
from trading.config.models import DeskSettings
from trading.errors import StoreUnavailable
from trading.frames import DAILY_PRICES, FX_RATES, OPTIMAL_POSITIONS, PNL, Dataset, to_pandas, to_table
from trading.market.instruments import Instrument
from trading.ports import ReservationLog, Span
from trading.risk.announced import DeskOrders
from trading.risk.book import Book
from trading.risk.decision import Asked
from trading.risk.kept import Wanted
from trading.risk.reservations import Base, Filled, Log, Released, Reserved, is_of_desk

THU, FRI, JUN = date(2022, 2, 24), date(2022, 2, 25), 20220600
NOW = datetime(2022, 2, 25, 22, tzinfo=UTC)
GOLD = Instrument("GOLD", "Gold", "COMEX", "USD", 100.0, 0.1, "metals", "precious", "US")
RULE = {"rule": "ewmac", "parameters": {"fast": 2, "slow": 8}, "weight": 1.0}


def settings(most: int, **decisions: bool) -> DeskSettings:
    """1.6 million, one strategy, and so many contracts of a line."""
    limits = [{"rule": "contract_position", "refuse": most}]
    return DeskSettings.model_validate(
        {
            "trading": {"capital": {"capital_base": 1_600_000.0}},
            "risk": {"limits": limits, "decisions": decisions},
            "strategies": [{"name": "trend", "rules": {"x": RULE}}],
        }
    )


ID = f"{FRI}:trend:GOLD:{JUN}:target"


class Home:
    """A desk with prices of Thursday and Friday that wants 30 gold after both, and a log of reservations."""

    def __init__(self) -> None:
        self.frames, self.ledger, self.log = MemoryFrames(), MemoryLedger(), MemoryReservations()
        self.reference, self.decisions = MemoryReference([GOLD]), MemoryDecisionLog()
        self.broker = MemoryBroker(fill=lambda _: None)
        self.desk, self.down, self.now = settings(40), "", NOW
        each = [{"instrument": "GOLD", "session": day, "strategy": "trend", "currency": "USD"} for day in (THU, FRI)]
        self.put(DAILY_PRICES, each, price=1800.0, price_contract=JUN, volume=1000.0, stamp=pd.Timestamp(FRI))
        self.put(FX_RATES, each, rate=1.0, quoted_on=THU)
        self.want(30.0)

    def want(self, contracts: float) -> None:
        """What the signals layer leaves of both sessions."""
        each = [{"instrument": "GOLD", "session": day, "strategy": "trend"} for day in (THU, FRI)]
        found = {"optimal_contracts": contracts, "daily_volatility_base": 1000.0}
        self.put(OPTIMAL_POSITIONS, each, forecast=10.0, half_width_contracts=0.0, **found)

    def put(self, dataset: Dataset, rows: Iterable[dict[str, Any]], **same: Any) -> None:
        whole = [{name: (row | same).get(name) for name in dataset.schema.names} for row in rows]
        self.frames.replace(dataset, to_table(pd.DataFrame(whole), dataset), Span(THU, FRI))

    def opened(self) -> Log:
        if self.down:
            raise StoreUnavailable(self.down)
        return self.log

    def shared(self) -> DeskOrders:
        return DeskOrders(self.opened, self.desk.risk, self.now.timestamp, lambda _: None)

    def close(self, session: date = FRI, shared: bool = True) -> None:
        works = closing.Desk(
            self.ledger, self.broker, self.desk, lambda: self.now, self.decisions,
            shared=self.shared() if shared else None,
        )  # fmt: skip
        rows = closing.close_range([session], self.frames, self.reference, works)
        closing.write(self.frames, rows, Span.session(session))

    def job(self) -> dg.ExecuteInProcessResult:
        names = ("frames", "ledger", "reference", "broker", "desk", "decisions")
        resources = {name: getattr(self, name) for name in names}
        resources |= {"clock": lambda: self.now, "desk_orders": self.shared()}
        return orders.execute_in_process(
            run_config={"ops": {"propose": {"config": {"session": FRI.isoformat()}}}},
            resources={name: dg.ResourceDefinition.hardcoded_resource(value) for name, value in resources.items()},
        )

    def orders(self) -> dict[str, str]:
        """Status of contract orders, by id."""
        rows = self.ledger.rows("orders", {"level": "contract"})
        return {str(row["order_id"]): str(row["status"]) for row in rows}

    def refusal(self) -> str:
        (row,) = [row for row in self.ledger.rows("orders", {"level": "contract"}) if row["status"] == "refused"]
        return str(row["refusal"])

    # --- the service --------------------------------------------------------------------------------------------------
    def begin(self) -> None:
        """A worker's first word, on an empty book."""
        empty = Book(1.6e6, 1.6e6, {}, {}, 0.2, {}, strategies=("carry", "trend"))
        self.log.begin(Base(self.log.mark(), THU, empty), None)

    def reserve(self, contracts: int, name: str = "s", lasts_s: float = 60.0) -> None:
        """A strategy that the desk does not run is granted headroom."""
        at = self.now.timestamp()
        order = Asked("carry", "GOLD", JUN, contracts, None, name)
        self.log.append(Reserved(self.log.mark(), (order,), False, at, at + lasts_s), self.log.since(None).end)

    def tell(self, contracts: int, fill_id: str, name: str = "s") -> None:
        """A strategy tells a fill, now."""
        fill = Filled(
            self.log.mark(), Asked("carry", "GOLD", JUN, contracts, None, name), self.now.timestamp(), fill_id
        )
        self.log.append(fill, self.log.since(None).end)

    def held(self) -> dict[str, int]:
        return held(self.log)


def held(log: Log) -> dict[str, int]:
    """What the desk holds in a log by announcement, by id of the order."""
    found: dict[str, int] = {}
    for one in log.since(None).missed:
        if isinstance(one, Reserved) and is_of_desk(one.mark):
            found |= {each.order_id: int(each.quantity_contracts) for each in one.orders}
        elif isinstance(one, Released):
            found = {name: count for name, count in found.items() if name not in one.names}
    return found


@pytest.fixture
def home() -> Home:
    found = Home()
    found.begin()
    return found


@pytest.fixture(params=["close", "job"])
def decide(request: pytest.FixtureRequest, home: Home) -> Callable[[], object]:
    """Decides Friday's orders, either way."""
    return home.close if request.param == "close" else home.job


# --- what strategies hold counts --------------------------------------------------------------------------------------
def test_what_a_strategy_holds_keeps_an_order_back_until_it_is_over(home: Home, decide: Callable[[], object]) -> None:
    """Eleven are held: 41 of 40. A minute later they are not."""
    home.reserve(11)
    decide()
    assert home.orders() == {ID: "refused"}
    assert "41 contracts passes the limit of 40" in home.refusal()
    assert " That counts what the risk service holds: " in home.refusal()
    assert home.held() == {}
    home.now += timedelta(seconds=61)
    decide()
    assert home.orders() == {ID: "refused", f"{ID}:2": "sent"}
    assert home.held() == {f"{ID}:2": 30}, "under the id that it went out under"


def test_what_is_within_the_limit_together_goes_out_and_is_held(home: Home, decide: Callable[[], object]) -> None:
    home.reserve(10)
    decide()
    assert home.orders() == {ID: "sent"}
    assert home.held() == {ID: 30}


def test_a_fill_that_the_journal_has_not_counts(home: Home, decide: Callable[[], object]) -> None:
    """Eleven were bought, and told to the service after the broker was asked."""
    home.reserve(11)
    home.tell(11, "f1")
    home.now += timedelta(seconds=61)
    decide()
    assert home.orders() == {ID: "refused"}
    assert home.held() == {}


def test_a_fill_that_the_journal_has_counts_once(home: Home) -> None:
    """Ten were bought: 40 with the thirty. Counted twice it would be fifty."""
    home.reserve(10)
    home.tell(10, "f1")
    home.broker = MemoryBroker(
        fill=lambda _: None, fills=[Fill("f1", "s", "carry", "GOLD", JUN, FRI, 10, 1800.0)]
    )  # fmt: skip
    home.now += timedelta(seconds=61)
    home.close()
    assert home.orders()[ID] == "sent"


def test_a_desk_that_nobody_shares_is_judged_by_its_journal(home: Home) -> None:
    home.reserve(11)
    home.close(shared=False)
    assert home.orders() == {ID: "sent"}
    assert home.held() == {}


def test_orders_kept_back_by_targets_are_not_announced(home: Home) -> None:
    home.desk = settings(29, fail_on_targets=True)
    before = home.log.since(None).end
    home.close()
    assert home.orders() == {ID: "refused"}
    assert home.log.since(None).end == before


# --- again ------------------------------------------------------------------------------------------------------------
def test_a_close_that_is_run_again_holds_nothing_twice(home: Home, decide: Callable[[], object]) -> None:
    home.close()
    before = home.log.since(None).end
    decide()
    assert home.held() == {ID: 30}
    assert home.log.since(None).end == before
    assert home.orders() == {ID: "sent"}


def test_an_order_that_is_decided_otherwise_is_held_beside_the_one_it_replaces(
    home: Home, decide: Callable[[], object]
) -> None:
    """Thirty are at work, and thirty-five are wanted now: the broker is told later that the thirty are not."""
    home.close()
    home.want(35.0)
    decide()
    assert home.orders() == {ID: "cancelled", f"{ID}:2": "sent"}
    assert home.held() == {ID: 30, f"{ID}:2": 35}
    decide()
    assert home.held() == {f"{ID}:2": 35}


def test_what_a_run_that_died_announced_is_the_next_ones(home: Home, decide: Callable[[], object]) -> None:
    """It announced 30 gold, and more that is not wanted any more; its journal says nothing of them."""
    left = tuple(Asked("trend", "GOLD", JUN, 30, None, name) for name in (ID, "other"))
    home.log.append(Reserved("desk" + home.log.mark()[4:], left, False, 0.0, 1e12), home.log.since(None).end)
    decide()
    assert home.orders() == {ID: "sent"}
    assert home.held() == {ID: 30}


def test_an_order_of_the_day_before_is_held_until_it_is_filled_and_read(home: Home) -> None:
    """Thursday's thirty are filled on Friday: nothing more is wanted, and the log has the order until workers read the
    journal."""
    home.close(THU)
    thursday = f"{THU}:trend:GOLD:{JUN}:target"
    assert home.held() == {thursday: 30}
    home.broker._fills.append(Fill("f1", thursday, "trend", "GOLD", JUN, FRI, 30, 1800.0))
    home.want(35.0)
    home.close(FRI)
    assert home.orders() == {thursday: "filled", ID: "sent"}
    assert home.held() == {thursday: 30, ID: 5}


# --- a log that is away -----------------------------------------------------------------------------------------------
def test_a_log_that_is_away_keeps_back_what_adds_and_the_close_goes_on(
    home: Home, decide: Callable[[], object]
) -> None:
    home.down = "the reservations cannot be reached."
    decide()
    assert home.orders() == {ID: "refused"}
    assert f"the reservations cannot be reached. When that is mended, close {FRI} again" in home.refusal()
    (kept,) = home.decisions.read(Wanted(sessions=(FRI, FRI)))
    assert [reason.code for reason in kept.reasons] == ["reservation_truth_unreachable"]
    home.down = ""
    home.now += timedelta(minutes=1)
    decide()
    assert home.orders() == {ID: "refused", f"{ID}:2": "sent"}


def test_a_log_that_is_away_keeps_back_nothing_that_reduces_and_profit_is_written(home: Home) -> None:
    """50 were bought at 1,790 and are worth 1,800: 50,000 are earned, and 20 are sold."""
    home.broker = MemoryBroker(fill=lambda _: None, fills=[Fill("f1", "o", "trend", "GOLD", JUN, FRI, 50, 1790.0)])
    home.down = "the reservations cannot be reached."
    home.close()
    (pnl,) = to_pandas(home.frames.history(PNL, through=FRI, since=FRI)).to_dict("records")
    assert pnl["total_base"] == 50_000.0
    assert [(order.quantity_contracts, order.order_id) for order in home.broker.orders.values()] == [(-20, ID)]


# --- a desk as it is wired --------------------------------------------------------------------------------------------
DAY = "2021-03-30"
SERVICE = """
[risk.service]
truth = "{truth}"
[risk.service.tokens.strategy]
token = {{ env = "ANY" }}
"""


def with_service(loaded: Path, home: Path, truth: str) -> Path:
    shutil.copytree(loaded, home)
    with (home / "desk.toml").open("a") as file:
        file.write(SERVICE.format(truth=truth))
    return home


def begun(home: Path) -> ReservationLog:
    """The log of a home, as a worker begins it."""
    log = reservation_log(place(home), "file")
    log.begin(Base(log.mark(), date(2021, 3, 29), Book(1e6, 1e6, {}, {}, 0.2, {}, strategies=("trend",))), None)
    return log


def sent(home: Path) -> dict[str, int]:
    """Orders at work in the journal."""
    found = ledger(place(home)).rows("orders", {"level": "contract", "status": "sent"})
    return {str(row["order_id"]): int(str(row["quantity_contracts"])) for row in found}


def test_a_desk_with_a_service_announces_what_its_close_sends(
    loaded_two: Path, tmp_path: Path, daybook: Callable[..., Any]
) -> None:
    """As `daybook close` runs it; what a worker reads of the journal then has the same orders, under the same ids."""
    home = with_service(loaded_two, tmp_path / "home", "file")
    log = begun(home)
    ended = daybook("close", "--home", home, "--session", DAY)
    assert ended.code in (0, 1), ended.err  # a quarter is too short for some checks
    assert held(log) == sent(home) != {}
    where = place(home)
    found = DeskInputs(where, risk_inputs_cache(DeskSettings().risk.inputs, "test")).desk()
    assert {each.order_id: each.quantity_contracts for each in found.record.working} == held(log)
    log.close()


def test_a_desk_that_nobody_asks_announces_nothing(
    loaded_two: Path, tmp_path: Path, daybook: Callable[..., Any]
) -> None:
    home = tmp_path / "home"
    shutil.copytree(loaded_two, home)
    log = begun(home)
    daybook("close", "--home", home, "--session", DAY)
    assert sent(home) != {}
    assert held(log) == {}
    log.close()


def test_a_close_without_the_redis_that_the_settings_name_goes_on(
    loaded_two: Path, tmp_path: Path, daybook: Callable[..., Any]
) -> None:
    home = with_service(loaded_two, tmp_path / "home", "redis")
    ended = daybook("close", "--home", home, "--session", DAY)
    assert ended.code in (0, 1), ended.err
    assert sent(home) == {}
    refused = ledger(place(home)).rows("orders", {"level": "contract", "status": "refused"})
    assert refused
    assert all("REDIS_URL is not set" in str(row["refusal"]) for row in refused)


def test_two_readings_of_a_journal_that_ends_with_the_same_instant_are_told_apart(home: Home) -> None:
    """A worker that read the close's fills and not yet its orders reads those later: both are of one instant."""
    from assets.risk_inputs import told
    from pipelines.risk_desk import _on_record

    home.broker = MemoryBroker(fill=lambda _: None, fills=[Fill("f1", "o", "trend", "GOLD", JUN, FRI, 5, 1790.0)])
    home.close()
    events = told(home.ledger).events
    fills = tuple(event for event in events if event.kind == "fill")
    assert {event.at for event in events} == {NOW}
    early, late = (_on_record(known, FRI, (), 0) for known in (fills, events))
    assert early.at < late.at < NOW.timestamp() + 0.001
    assert early.as_of == late.as_of == NOW.timestamp()
