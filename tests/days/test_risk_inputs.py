"""What the risk service and the shell read of a desk: how often, what is kept, when it is taken in anew, and what
orders are told when it is old or a store is gone. Real datasets, a real ledger, a real Redis.

Does not belong here: the cache by itself (`tests/adapters/test_risk_inputs_cache.py`), or processes
(`test_served_risk.py`).
"""

from __future__ import annotations

import asyncio
import math
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from redis import Redis

from pipelines.desk import Desk
from pipelines.risk_desk import DeskInputs, risk_desk
from pipelines.risk_server.application import application
from pipelines.risk_server.served import Served
from pipelines.risk_server.sources import DeskSources, judging, worker_of
from pipelines.risk_server.upkeep import Upkeep
from pipelines.settings import Place, place, project_folder
from pipelines.wiring import decision_log, utc_now
from resources.risk_inputs_cache import RiskInputsCache
from trading.book.journal import Event
from trading.config.risk import RiskInputSettings
from trading.errors import StoreUnavailable
from trading.frames import DAILY_PRICES, FX_RATES, to_pandas, to_table
from trading.ports import Span
from trading.risk.book import Book
from trading.risk.decision import Asked

TOKEN = "a-token-of-this-test"
NEWEST = date(2021, 3, 31)  # a Wednesday, the newest that the desk has prices of
SERVICE = """
[data.storage.ledger]
store = "sqlite"
[risk.service]
truth = "memory"
[risk.service.tokens.strategy]
token = { env = "RISK_INPUTS_TOKEN" }
scopes = ["check", "reserve", "read", "halt"]
[[risk.limits]]
rule = "stale_price"
warn = 0
[[risk.limits]]
rule = "participation"
refuse = 1e9
missing = "warn"
"""
SETTINGS = RiskInputSettings(age_seconds=100.0, failures=2, pause_seconds=10.0, timeout_seconds=60.0)
ORDER = {"strategy": "trend", "instrument": "CORN", "contract": 20221200, "quantity_contracts": 1}


class Stores:
    """Counts what is asked of a desk's stores, and may have them fail."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.down: set[str] = set()

    def open(self, where: Place) -> Desk:
        """A desk whose stores are counted."""
        desk = Desk.open(where)
        ports = desk.adapters
        counted = replace(
            ports, frames=Counted(ports.frames, "datasets", self), ledger=Counted(ports.ledger, "ledger", self)
        )
        return replace(desk, adapters=counted)

    def queries(self, backend: str) -> int:
        """So many queries that read rows, of a backend."""
        return sum(count for name, count in self.asked.items() if name.startswith(backend))


class Counted:
    """A store of which every query is counted."""

    QUERIES = ("history", "latest", "content_hash", "entries", "rows", "search", "query")

    def __init__(self, store: Any, name: str, stores: Stores) -> None:
        self._store, self._name, self._stores = store, name, stores

    def __getattr__(self, what: str) -> Any:
        found = getattr(self._store, what)
        if not callable(found):
            return found

        def call(*given: Any, **named: Any) -> Any:
            if self._name in self._stores.down:
                raise StoreUnavailable(f"the {self._name} are gone")
            if what in self.QUERIES:
                said = named.get("dataset") or (given[0] if given else "")
                self._stores.asked[f"{self._name} {what} {getattr(said, 'name', said)}"] += 1
            return found(*given, **named)

        return call


class Clock:
    """Seconds that a test lets pass, and the day."""

    def __init__(self) -> None:
        self.seconds, self.day = 0.0, NEWEST + timedelta(days=1)

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def home(closed_once: Path, copied: Callable[[Path], Path]) -> Path:
    """A desk with prices and a closed session, and who may ask."""
    found = copied(closed_once)
    with (found / "desk.toml").open("a") as file:
        file.write(SERVICE)
    os.environ["RISK_INPUTS_TOKEN"] = TOKEN
    return found


@pytest.fixture(scope="module")
def closed_once(tmp_path_factory: pytest.TempPathFactory, loaded_two: Path, daybook: Callable[..., Any]) -> Path:
    """Closed on its newest session. Not to be changed: copy it."""
    found = tmp_path_factory.mktemp("inputs") / "home"
    shutil.copytree(loaded_two, found)
    ended = daybook("close", "--home", found, "--session", NEWEST)
    assert ended.code in (0, 1), ended.err
    return found


def inputs(where: Place, stores: Stores, clock: Clock, name: str = "1") -> DeskInputs:
    """As a worker reads them."""
    return DeskInputs(where, RiskInputsCache(SETTINGS, name, clock), stores.open)


def next_prices(home: Path, session: date, raised: float = 1.0) -> None:
    """Prices and rates of a session as of the last one before it, prices some points higher; what there was of the
    session itself goes."""
    frames = Desk.open(place(str(home))).adapters.frames
    for dataset, days in ((FX_RATES, ("session", "quoted_on")), (DAILY_PRICES, ("session", "stamp"))):
        rows = to_pandas(frames.latest(dataset, through=session - timedelta(days=1)))
        rows = rows.assign(**dict.fromkeys(days, pd.Timestamp(session)))
        if dataset is DAILY_PRICES:
            rows["price"] += raised
        frames.replace(dataset, to_table(rows, dataset), Span.session(session))


# --- how often --------------------------------------------------------------------------------------------------------
def test_five_queries_of_datasets_make_all_facts_and_none_when_warm(home: Path) -> None:
    stores, clock = Stores(), Clock()
    read = inputs(place(str(home)), stores, clock)
    found = read.desk()
    assert found.session == NEWEST
    assert {name for name in stores.asked if name.startswith("datasets")} == {
        f"datasets history {name}" for name in ("daily_prices", "roll_gaps", "fx_rates", "pnl", "equity")
    }
    assert stores.queries("datasets") <= 5
    assert stores.queries("ledger") <= 4  # one pass over the journal, and three of its tables
    stores.asked.clear()
    assert all(read.desk() is found for _ in range(50))
    clock.seconds = 500.0  # older than any age: versions are asked for, and are the same
    assert read.desk() is found
    assert not stores.asked


def test_any_validation_of_the_service_asks_its_stores_nothing(home: Path) -> None:
    stores, clock = Stores(), Clock()
    with asking(home, stores, clock) as (ask, upkeep, _):
        stores.asked.clear()
        orders = [ORDER | {"quantity_contracts": count} for count in (1, -1, 7)]
        for _ in range(20):
            assert ask("POST", "/v1/check-list", {"orders": orders}).status_code == 200
        upkeep.load()
        assert not stores.asked


@pytest.mark.parametrize("session", [date(2021, 3, 15), NEWEST])
def test_an_earlier_session_is_judged_by_what_was_known_then(home: Path, session: date) -> None:
    """The facts are those of a desk that never saw a later price."""
    stores = Stores()
    found = inputs(place(str(home)), stores, Clock()).desk(session)
    assert stores.queries("datasets") <= 5
    assert (found.session, found.market.session) == (session, session)
    newest = {code: max(days) for code, days in _sessions(found).items()}
    assert set(newest.values()) == {0.0}  # marks are of the session itself


def _sessions(found: Any) -> dict[str, list[float]]:
    ages: dict[str, list[float]] = {}
    for (code, _), age in zip(found.market.contracts, found.market.mark_age_sessions, strict=True):
        ages.setdefault(code, []).append(float(age))
    return ages


def test_workers_that_start_together_share_one_reading(home: Path, own_redis: Any) -> None:
    """Six workers with a Redis between them: each dataset is read by one of them."""
    where = replace(place(str(home)), deployment="services", redis_url=own_redis.url)
    stores, clock, together = Stores(), Clock(), threading.Barrier(6)
    workers = [inputs(where, stores, clock, str(number)) for number in range(6)]
    found: list[Any] = []

    def begin(worker: DeskInputs) -> None:
        together.wait(60.0)
        found.append(worker.desk())

    threads = [threading.Thread(target=begin, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({each.market.version for each in found}) == 1
    assert len(found) == 6
    assert stores.queries("datasets") <= 5
    alone = inputs(place(str(home)), Stores(), clock).desk()
    assert alone.market.version == found[0].market.version
    with Redis.from_url(own_redis.url) as client:
        kept = client.keys()
        assert len(kept) == 5
        assert all(client.ttl(key) > 0 for key in kept)  # a server that must not evict reservations may evict these
    stores.asked.clear()
    assert inputs(where, stores, clock, "a shell").desk().session == NEWEST  # that begins later
    assert stores.queries("datasets") == 0


def test_a_redis_that_is_gone_costs_readings_and_nothing_else(home: Path, own_redis: Any) -> None:
    where = replace(place(str(home)), deployment="services", redis_url=own_redis.url)
    own_redis.stop()
    stores = Stores()
    read = inputs(where, stores, Clock())
    assert read.desk().session == NEWEST
    assert stores.queries("datasets") <= 5
    assert read.shared_state() == "open"
    assert inputs(place(str(home)), stores, Clock()).shared_state() is None


def test_reference_data_and_settings_that_change_are_taken_in(home: Path) -> None:
    stores, clock = Stores(), Clock()
    read = inputs(place(str(home)), stores, clock)
    first = read.desk()
    file = project_folder("reference") / "instruments.csv"
    (home / "reference").mkdir(exist_ok=True)
    own = [line for line in file.read_text().splitlines() if line.startswith(("code,", "CORN,"))]
    (home / "reference" / "instruments.csv").write_text("\n".join(own).replace(",50,", ",5000,") + "\n")
    clock.seconds = 500.0
    second = read.desk()
    corn = first.market.instruments.index("CORN")
    assert np.nanmax(second.market.notional_base[second.market.contract_instrument == corn]) == pytest.approx(
        100.0 * np.nanmax(first.market.notional_base[first.market.contract_instrument == corn])
    )
    with (home / "desk.toml").open("a") as file_of_desk:
        file_of_desk.write("[risk.model]\nmargin_volatilities = 8.0\n")
    read.renew()  # as the service does when settings come into force: no age has to end
    third = read.desk()
    assert third.settings.risk.model.margin_volatilities == 8.0
    assert np.allclose(third.market.margin_base, 2.0 * second.market.margin_base, equal_nan=True)


# --- by version -------------------------------------------------------------------------------------------------------
def test_a_new_close_and_a_corrected_price_are_taken_in_without_a_restart(home: Path) -> None:
    stores, clock = Stores(), Clock()
    with asking(home, stores, clock) as (ask, upkeep, served):
        first = ask("POST", "/v1/check", ORDER).json()["versions"]["market"]
        next_prices(home, date(2021, 4, 1))
        upkeep.load()
        assert served.market.session == NEWEST  # not yet: its age is not over
        clock.seconds, clock.day = 500.0, date(2021, 4, 2)
        upkeep.load()
        assert served.market.session == date(2021, 4, 1)
        second = ask("POST", "/v1/check", ORDER).json()["versions"]["market"]
        next_prices(home, date(2021, 4, 1), raised=2.0)
        clock.seconds = 1_000.0
        upkeep.load()
        third = ask("POST", "/v1/check", ORDER).json()["versions"]["market"]
        assert len({first, second, third}) == 3


def test_the_desks_orders_at_work_and_fills_told_since_its_close_stay_in_the_book(home: Path) -> None:
    """An order of the close holds headroom; two contracts of it are filled before the next session is read."""
    stores, clock = Stores(), Clock()
    with asking(home, stores, clock) as (ask, upkeep, served):
        order = max(
            inputs(place(str(home)), stores, clock).desk().working, key=lambda each: abs(each.quantity_contracts)
        )
        assert order.order_id in served.engine.working()
        before = held(served, order)
        fill = order._asdict() | {"quantity_contracts": 1 if order.quantity_contracts > 0 else -1, "fill_id": "told"}
        del fill["limit_points"]
        told = ask("POST", "/v1/fills", {"fills": [fill]}).json()["fills"][0]
        assert told["left_contracts"] == order.quantity_contracts - fill["quantity_contracts"]
        next_prices(home, date(2021, 4, 1))
        clock.seconds, clock.day = 500.0, date(2021, 4, 2)
        upkeep.load()
        assert served.market.session == date(2021, 4, 1)
        assert held(served, order) == before + fill["quantity_contracts"]
        assert ask("POST", "/v1/fills", {"fills": [fill]}).json()["fills"][0] == told
        adjust(home, order, 2)
        clock.seconds = 1_000.0
        upkeep.load()  # of the same session, and the same facts
        assert held(served, order) == before + 2 + fill["quantity_contracts"]


def held(served: Served, order: Asked) -> int:
    """Contracts of an order's line, as the service has them."""
    book: Book = served.engine.book  # type: ignore[attr-defined]
    return book.positions.get((order.strategy, order.instrument, order.contract), 0)


def adjust(home: Path, order: Asked, contracts: int) -> None:
    """The position is corrected by hand in the journal."""
    ledger = Desk.open(place(str(home))).adapters.ledger
    payload = {"adjustment_id": "a1", "strategy": order.strategy, "instrument": order.instrument,
               "contract": order.contract, "session": NEWEST.isoformat(),
               "quantity_contracts": contracts, "price_points": 1.0, "reason": "it was wrong"}  # fmt: skip
    ledger.record([Event("adjusted:a1", "position_adjusted", NEWEST, utc_now(), "Ann", payload)])


def test_the_shell_counts_what_the_service_holds_and_was_told(home: Path) -> None:
    """Of the newest session: three contracts reserved, of which one was filled, and one of an order of the close."""
    file = home / "desk.toml"
    where = place(str(home))
    file.write_text(file.read_text().replace('truth = "memory"', 'truth = "file"'))
    before = risk_desk(where)
    own = max(before.working, key=lambda each: abs(each.quantity_contracts))
    one = own._replace(quantity_contracts=math.copysign(1, own.quantity_contracts))
    shared, now = judging(where, before, decision_log(where)), time.time()
    other, contract = next(each for each in before.held.items() if each[0] != own.instrument)
    line = Asked("trend", other, contract, 3, None, "held")
    assert shared.reserve(line, now, now + 600.0).passed
    assert shared.reserve(line._replace(order_id="over"), now, now).passed
    shared.fill(line._replace(quantity_contracts=1), now, "f1")
    shared.fill(one, now, "f2")
    after = risk_desk(where)
    working = after.engine().working()
    assert set(working) == {"held", *(order.order_id for order in before.working)}
    assert working["held"].quantity_contracts == 2
    assert working[own.order_id].quantity_contracts == own.quantity_contracts - one.quantity_contracts
    gone = Counter(after.book.positions)
    gone.subtract(before.book.positions)
    assert {key: count for key, count in gone.items() if count} == {line[:3]: 1, one[:3]: one.quantity_contracts}
    earlier = risk_desk(where, NEWEST)
    assert (earlier.book.positions, earlier.working, earlier.reserved) == (before.book.positions, before.working, ())


# --- old facts --------------------------------------------------------------------------------------------------------
def test_facts_that_grow_old_are_warned_of_and_then_count_as_missing(home: Path) -> None:
    stores, clock = Stores(), Clock()
    with asking(home, stores, clock) as (ask, upkeep, _):
        assert ask("GET", "/ready").json()["parts"]["facts"] == "well"
        assert decision(ask()) == ("warn", ["missing:participation"])  # these prices come without volumes
        clock.day = date(2021, 4, 2)  # Thursday's session should have been closed
        upkeep.load()
        assert decision(ask()) == ("warn", ["missing:participation", "stale_price"])
        assert ask("GET", "/ready").json()["parts"]["facts"] == "well"
        clock.day = date(2021, 4, 6)  # three: Thursday, Friday, Monday
        upkeep.load()
        assert decision(ask())[0] == "warn"
        clock.day = date(2021, 4, 7)  # one more than risk.inputs.max_age_sessions
        upkeep.load()
        outcome, codes = decision(ask())
        assert outcome == "refuse"
        assert "missing:gross_exposure" in codes
        told = ask("GET", "/ready")
        assert told.status_code == 503
        assert told.json()["parts"]["facts"].startswith("facts are of 2021-03-31, and 4 sessions were closed since")
        next_prices(home, date(2021, 4, 6))
        clock.seconds = 500.0
        upkeep.load()
        assert decision(ask()) == ("warn", ["missing:participation"])
        assert ask("GET", "/ready").status_code == 200


def test_facts_that_are_old_when_the_service_begins_pass_nothing(home: Path) -> None:
    stores, clock = Stores(), Clock()
    clock.day = date(2026, 11, 20)
    with asking(home, stores, clock) as (ask, _, served):
        assert decision(ask())[0] == "refuse"
        assert ask("GET", "/ready").status_code == 503
        assert served.market.session == NEWEST  # the book that workers share is of that, too


# --- stores that fail -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("backend", ["datasets", "ledger"])
def test_a_store_that_fails_is_left_alone_and_told_of_while_what_was_read_serves(home: Path, backend: str) -> None:
    stores, clock = Stores(), Clock()
    with asking(home, stores, clock) as (ask, upkeep, _):
        stores.down, clock.seconds = {backend}, 500.0
        upkeep.load()
        upkeep.load()
        upkeep.tell()
        told = ask("GET", "/ready")
        assert told.status_code == 503
        assert "do not answer" in told.json()["parts"]["facts"]
        assert "left alone" in told.json()["parts"][backend]
        assert breaker(ask, backend) == 2.0  # open
        assert decision(ask())[0] == "warn"  # as before: these facts are of the newest session
        clock.day = date(2021, 4, 12)  # and while it stays away, they grow old
        upkeep.load()
        assert decision(ask())[0] == "refuse"
        stores.down, clock.seconds, clock.day = set(), 600.0, date(2021, 4, 1)
        upkeep.load()
        upkeep.tell()
        assert breaker(ask, backend) == 0.0
        assert ask("GET", "/ready").status_code == 200
        assert decision(ask())[0] == "warn"


def test_a_log_of_decisions_that_fails_is_no_readiness(home: Path) -> None:
    with asking(home, Stores(), Clock()) as (ask, upkeep, served):
        shutil.rmtree(home / "risk" / "decisions" / str(served.market.session))
        (home / "risk" / "decisions" / str(served.market.session)).write_text("a file where a folder belongs")
        for _ in range(4):
            assert ask().json()["code"] == "decisions_not_kept"
        upkeep.tell()
        assert breaker(ask, "decisions") > 0.0
        told = ask("GET", "/ready")
        assert told.status_code == 503
        assert told.json()["parts"]["decisions"].startswith("the decisions failed 3 times in a row")


def test_a_service_that_never_read_anything_does_not_begin(home: Path) -> None:
    stores = Stores()
    stores.down = {"datasets"}
    with pytest.raises(StoreUnavailable, match="cannot be read from datasets"), asking(home, stores, Clock()):
        pass


class asking:
    """A worker of a desk, asked without a network: how to ask, what it does beside answering, and its values."""

    def __init__(self, home: Path, stores: Stores, clock: Clock) -> None:
        where = place(str(home))
        cache = RiskInputsCache(SETTINGS, "1", clock)
        self.sources = DeskSources(where, cache, lambda: clock.day, stores.open)
        self._where, self._loop = where, asyncio.new_event_loop()

    def __enter__(self) -> tuple[Callable[..., httpx.Response], Upkeep, Served]:
        self._served, upkeep = worker_of(self._where, "1", self.sources)
        transport = httpx.ASGITransport(application(self._served), raise_app_exceptions=False)
        self._http = httpx.AsyncClient(transport=transport, base_url="http://risk")
        return self._ask, upkeep, self._served

    def __exit__(self, *_: object) -> None:
        self._loop.run_until_complete(self._http.aclose())
        self._served.close()
        self._loop.close()

    def _ask(self, method: str = "POST", path: str = "/v1/check", body: Any = None) -> httpx.Response:
        sent = ORDER if body is None and method == "POST" else body
        request = self._http.request(method, path, json=sent, headers={"Authorization": f"Bearer {TOKEN}"})
        return self._loop.run_until_complete(request)


def decision(answer: httpx.Response) -> tuple[str, list[str]]:
    """What was decided, and the codes of its reasons."""
    found = answer.json()
    return found["decision"], sorted(reason["code"] for reason in found["reasons"])


def breaker(ask: Callable[..., httpx.Response], backend: str) -> float:
    """Where a breaker stands, by the metrics."""
    lines: Iterator[str] = iter(ask("GET", "/metrics").text.splitlines())
    return float(next(line for line in lines if f'breaker{{backend="{backend}"' in line).split()[-1])
