"""A made-up desk and a risk service of it: for tests and benchmarks of the service.

Belongs here: markets and books of any size out of a seed, and a worker's program that serves them. Does not belong
here: what is measured or tested of it.

    python benchmarks/desks/served_desk.py SOCKET NAME FOLDER SETTINGS

runs one worker; SETTINGS is JSON: `instruments`, `strategies`, `risk` (as the section of a desk), and `halts_file`.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from fastapi import FastAPI

from pipelines.risk_server.application import application
from pipelines.risk_server.callers import Callers, callers_of
from pipelines.risk_server.remembered import remembered
from pipelines.risk_server.served import Clocks, Facts, Journal, Served, served_by
from pipelines.risk_server.upkeep import Nothing, Sources, Upkeep, lifespan
from pipelines.risk_server.worker import answer, warm
from pipelines.wiring import utc_now
from resources.decision_log import DecisionFiles
from resources.reservation_file import FileReservations
from resources.reservation_redis import RedisReservations
from resources.risk_memory import MemoryReservations
from resources.risk_metrics import RiskMetrics
from resources.sqlite_ledger import SqliteLedger
from trading.book.journal import Event
from trading.config.models import DeskSettings
from trading.config.settings import Secret
from trading.risk.book import WHOLE, Book, Standing
from trading.risk.market import DIMENSIONS, Market, group
from trading.risk.reservations import Log
from trading.risk.shared import Following, SharedEngine

SLOW, SLOW_S = "slow", 5.0
MOST_A_SESSION = 1_000_000  # orders: a load of minutes is more than a desk sends in a day
SESSION, CONTRACT = date(2026, 11, 20), 202612
TOKENS = {  # name: token, scopes, strategies
    "all": ("all-rights-0123456789", ("check", "reserve", "halt", "read"), ()),
    "looker": ("only-looks-0123456789", ("read",), ()),
    "asker": ("only-asks-0123456789", ("check",), ()),
    "mine": ("one-strategy-0123456789", ("check", "reserve", "read", "halt"), ("s0",)),
}
ALL = TOKENS["all"][0]


def codes_of(count: int) -> tuple[str, ...]:
    """Names of made-up instruments."""
    return tuple(f"I{number:05d}" for number in range(count))


def made_market(count: int, seed: int = 0, sessions: int = 256, loadings: int = 16) -> Market:
    """Facts of instruments that nobody trades, the same for a seed."""
    draw = np.random.default_rng(seed)
    codes, v = codes_of(count), draw.uniform(100.0, 2_000.0, count)
    groups = {name: group([f"{name} {number}" for number in draw.integers(0, 4, count)]) for name in DIMENSIONS}
    return Market(
        version=f"made {count} {seed}", session=SESSION, instruments=codes,
        contracts=tuple((code, CONTRACT) for code in codes), contract_instrument=np.arange(count),
        mark_points=draw.uniform(50.0, 500.0, count), mark_age_sessions=np.zeros(count),
        notional_base=draw.uniform(1e4, 1e5, count), roll_state=np.zeros(count, np.int64), volatility_base=v,
        median_volume=draw.uniform(1e4, 1e5, count), low_volume=draw.uniform(1e3, 1e4, count),
        spread_fraction=draw.uniform(1e-5, 1e-3, count), margin_base=v * 4.0, groups=groups,
        factors=("equity", "rates"),
        factor_loadings=draw.normal(size=(2, count)) * v, component_loadings=draw.normal(size=(3, count)) * v,
        stress_names=("crash", "rally"), stresses=draw.normal(size=(2, count)) * v * 5.0,
        scenarios=draw.normal(size=(sessions, count)) * v,
        covariance_loadings=draw.normal(size=(count, loadings)) * v[:, None] / np.sqrt(loadings) * 0.6,
        covariance_rest=(v * 0.5) ** 2,
    )  # fmt: skip


def made_book(count: int, strategies: Sequence[str] = ("s0", "s1")) -> Book:
    """A book that holds nothing yet and lost nothing, of 100 million."""
    lost = dict.fromkeys((WHOLE, *strategies), Standing())
    return Book(1e8, 1e8, {}, {}, 0.2, lost, {}, {}, 0, tuple(strategies))


def desk_of(risk: Mapping[str, Any]) -> DeskSettings:
    """Settings of a desk with this section."""
    trading = {"orders": {"max_per_session": MOST_A_SESSION}}
    return DeskSettings.model_validate({"risk": dict(risk), "trading": trading})


def made_callers(desk: DeskSettings) -> Callers:
    """The made-up tokens as callers."""
    tokens = DeskSettings.model_validate({"risk": {"service": {"tokens": {
        name: {"token": {"env": name.upper()}, "scopes": list(scopes), "strategies": list(strategies)}
        for name, (_, scopes, strategies) in TOKENS.items()
    }}}}).risk.service.tokens  # fmt: skip
    per_second = desk.risk.service.max_requests_per_second
    return callers_of(tokens, per_second, revealed, time.perf_counter())


def revealed(secret: Secret) -> str:
    """A made-up token by its variable's name."""
    return TOKENS[str(secret.env).lower()][0]


def clocks() -> Clocks:
    """The machine's."""
    return Clocks(utc_now, time.time, time.perf_counter)


def made_served(
    folder: Path, risk: Mapping[str, Any], count: int = 20, strategies: Sequence[str] = ("s0", "s1"),
    journal: Journal | None = None, name: str = "1", **given: Any,
) -> Served:  # fmt: skip
    """A service's values for a made-up desk: decisions and halts under `folder`."""
    desk, market = desk_of(risk), made_market(count)
    log, book = given.pop("log", None) or MemoryReservations(), made_book(count, strategies)
    following = Following(grace_s=given.pop("grace_s", 0.0))
    named = f"worker_{name}_{time.time_ns():x}"
    decisions = given.pop("decisions", None) or DecisionFiles(folder / "decisions", named)
    longest_s = desk.risk.service.reservation_seconds
    engine = SharedEngine(
        desk, market, book, log, time.time, "made", time.perf_counter, following,
        lambda now: remembered(decisions, longest_s, now, log.mark),
    )  # fmt: skip
    metrics = RiskMetrics(name, time.time, folder / "figures")
    kept = journal or SqliteLedger(folder / "ledger.sqlite")
    return served_by(engine, desk, market, made_callers(desk), decisions, kept, metrics, clocks(), **given)


def made_application(served: Served, sources: Sources | None = None, early: float = 0.0) -> FastAPI:
    """The application of these values."""
    upkeep = Upkeep(served, sources or Nothing(), early)
    return application(served, lifespan(upkeep, served.close))


def truth(said: Mapping[str, Any], folder: Path) -> tuple[Log, float]:
    """The log of reservations that a worker is told, and how long it is waited for what others know of it."""
    if "redis" in said:
        return RedisReservations(said["redis"], "made", timeout_s=0.25), 1.0
    return FileReservations(folder / "reservations.log"), 0.0


def without_tokens(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema that asks for no token: who makes requests from it gives one to each."""
    found: dict[str, Any] = json.loads(json.dumps(schema))
    del found["components"]["securitySchemes"]
    for operations in found["paths"].values():
        for operation in operations.values():
            operation.pop("security", None)
    return found


def _slowly(folder: Path) -> None:
    """Takes five seconds while there is a file `slow` in a folder."""
    if (folder / SLOW).exists():
        threading.Event().wait(SLOW_S)


class SlowJournal(SqliteLedger):
    """A journal that can be made slow."""

    def rows(self, projection: str, where: Mapping[str, object] | None = None) -> list[dict[str, object]]:
        """As the port."""
        _slowly(self.path.parent)
        return super().rows(projection, where)

    def record(self, events: Sequence[Event]) -> Any:
        """As the port."""
        _slowly(self.path.parent)
        return super().record(events)


class SlowFacts(Nothing):
    """Facts in stores that can be made slow, and never are of another session."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def facts(self, known: Facts | None) -> Facts | None:
        """As the port."""
        _slowly(self._folder)
        return None


def command(folder: Path, said: Mapping[str, Any]) -> Callable[[int, str], list[str]]:
    """What a crew runs for each worker."""
    return lambda number, name: [
        sys.executable,
        "-W",
        "ignore",
        __file__,
        str(number),
        name,
        str(folder),
        json.dumps(said),
    ]


def main() -> None:
    """A worker of a made-up desk."""
    number, name, folder, settings = sys.argv[1:5]
    said = json.loads(settings)
    strategies = [f"s{each}" for each in range(said.get("strategies", 2))]
    log, grace_s = truth(said, Path(folder))
    journal = SlowJournal(Path(folder) / "ledger.sqlite")
    given = {"log": log, "grace_s": grace_s, "shared": True, "journal": journal}
    served = made_served(
        Path(folder), said.get("risk", {}), said.get("instruments", 20), strategies, name=name, **given
    )
    warm(served.desk, served.market, made_book(len(served.market.instruments), strategies))
    answer(made_application(served, SlowFacts(Path(folder)), early=1.0), socket.socket(fileno=int(number)))


if __name__ == "__main__":
    main()
