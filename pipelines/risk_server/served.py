"""What a worker answers from, as one value: the engine, who may ask, where things are kept, and what is not well.

Belongs here: the value, and the promises it is made of. Does not belong here: HTTP (`application.py`), what is done
beside answering (`upkeep.py`), or how any of it is made (`serving.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from pipelines.risk_server.batches import Batches
from pipelines.risk_server.callers import Callers
from pipelines.risk_server.door import Admission
from pipelines.risk_server.figures import Figures
from trading.book.journal import Event
from trading.config.models import DeskSettings
from trading.risk.book import Book
from trading.risk.decision import Asked, Decision, Judged, Mode, Versions
from trading.risk.engine import Drift
from trading.risk.halts import Halt
from trading.risk.kept import About, Kept, Wanted
from trading.risk.limit_table import LimitTable, limit_table
from trading.risk.market import Market
from trading.risk.reservations import OnRecord


class Judges(Protocol):
    """An engine over a truth of reservations: `trading.risk.shared.SharedEngine`."""

    def check(self, asked: Asked, now: float = 0.0) -> Decision:
        """As the engine."""
        ...

    def check_list(
        self, orders: Sequence[Asked], mode: Mode = "all", netted: bool = False, now: float = 0.0
    ) -> list[Decision]:
        """As the engine."""
        ...

    def reserve(self, asked: Asked, now: float = 0.0, expires: float = ...) -> Decision:
        """As the engine."""
        ...

    def reserve_list(
        self, orders: Sequence[Asked], mode: Mode = "all", netted: bool = False, now: float = 0.0, expires: float = ...
    ) -> list[Decision]:
        """As the engine."""
        ...

    def fill(self, asked: Asked, now: float = 0.0, fill_id: str = "") -> int:
        """As the engine."""
        ...

    def release(self, order_id: str) -> int:
        """As the engine."""
        ...

    def expire(self, now: float) -> list[str]:
        """As the engine."""
        ...

    def working(self) -> dict[str, Asked]:
        """As the engine."""
        ...

    def limit(self, desk: DeskSettings, configuration: str = "") -> None:
        """As the engine."""
        ...

    def load(self, market: Market, book: Book, record: OnRecord = ...) -> None:
        """As the engine, with what is on record beside the book."""
        ...

    def stop(self, modes: npt.NDArray[np.float64]) -> None:
        """As the engine."""
        ...

    def recompute(self) -> Drift:
        """As the engine."""
        ...

    def standing(self, now: float = 0.0) -> tuple[Judged, ...]:
        """As the engine."""
        ...

    @property
    def instruments(self) -> tuple[str, ...]:
        """As the engine."""
        ...

    @property
    def strategies(self) -> tuple[str, ...]:
        """As the engine."""
        ...

    @property
    def book(self) -> Book:
        """As the shared engine."""
        ...

    @property
    def versions(self) -> Versions:
        """As the engine."""
        ...


class Decisions(Protocol):
    """Where decisions are kept and found."""

    def append(self, decisions: Sequence[Decision], about: About) -> int:
        """As `trading.ports.DecisionLog`."""
        ...

    def read(self, wanted: Wanted = ...) -> Iterator[Kept]:
        """As `trading.ports.DecisionLog`."""
        ...

    def close(self) -> None:
        """As `trading.ports.DecisionLog`."""
        ...


class Journal(Protocol):
    """Where halts are kept: a ledger."""

    def record(self, events: Sequence[Event]) -> Any:
        """As `trading.ports.Ledger`."""
        ...

    def rows(self, projection: str, where: Mapping[str, object] | None = None) -> list[dict[str, object]]:
        """As `trading.ports.Ledger`."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Clocks:
    """`utc`: the instant; `seconds`: seconds since 1970, the same for all workers; `timer`: of how long things take."""

    utc: Callable[[], datetime]
    seconds: Callable[[], float]
    timer: Callable[[], float]


class Facts(NamedTuple):
    """What an engine is loaded with."""

    market: Market
    book: Book
    record: OnRecord


@dataclass(frozen=True, slots=True)
class Counting:
    """Counts what happens in one queue."""

    metrics: Figures
    queue: str

    def decided(self, decisions: Sequence[Decision]) -> None:
        """These were decided and kept."""
        self.metrics.decided(decisions)

    def waiting(self, count: int) -> None:
        """So many wait now."""
        self.metrics.waiting(self.queue, count)


@dataclass(slots=True, eq=False)
class Served:
    """What a worker answers from. `checks`, `holds` and `lists` are the queues of requests that only ask, of those that
    hold or give back headroom, and of those that ask about many orders at once. `faults`: what is not well, by part;
    nothing where all is."""

    engine: Judges
    desk: DeskSettings
    market: Market
    callers: Callers
    decisions: Decisions
    journal: Journal
    metrics: Figures
    clocks: Clocks
    checks: Batches
    holds: Batches
    lists: Batches
    parts: tuple[str, ...] = ("facts", "reservations", "configuration", "halts", "sums")
    faults: dict[str, str] = field(default_factory=dict)
    halts: tuple[Halt, ...] = ()
    span: Callable[[str], Any] = nullcontext
    loaded: Facts | None = None  # what the engine was loaded with last, out of stores

    def admission(self) -> Admission:
        """What is asked of requests now."""
        return Admission(self.callers, self.desk.risk.service)

    def table(self) -> LimitTable:
        """Limits in force, compiled anew."""
        return limit_table(self.desk, self.market, self.engine.strategies, self.engine.versions.configuration)

    def close(self) -> None:
        """Decisions are brought to the disk."""
        self.decisions.close()
        self.metrics.leave()

    def well(self, part: str) -> None:
        """A part is well again, or still."""
        self.faults.pop(part, None)
        self.metrics.ready(not self.faults)

    def unwell(self, part: str, why: str) -> None:
        """A part is not well: orders are still judged, and readiness says why they should not be asked about here."""
        self.faults[part] = why
        self.metrics.ready(False)


def served_by(
    engine: Judges, desk: DeskSettings, market: Market, callers: Callers, decisions: Decisions, journal: Journal,
    metrics: Figures, clocks: Clocks, *, shared: bool = False, pending: Callable[[], bool] = lambda: False,
    span: Callable[[str], Any] = nullcontext, loaded: Facts | None = None,
) -> Served:  # fmt: skip
    """What answers from these. `shared`: the truth of reservations is elsewhere, so asking it has a thread of its own.
    `pending`: whether other limits came into force and are being compiled."""

    def queue(name: str, own: bool) -> Batches:
        executor = ThreadPoolExecutor(1, name) if own else None
        return Batches(decisions, Counting(metrics, name), clocks.timer, span, executor, pending)

    checks, lists = queue("checks", own=False), queue("lists", own=True)
    holds = queue("reservations", own=True) if shared else checks
    return Served(
        engine, desk, market, callers, decisions, journal, metrics, clocks, checks, holds, lists, span=span,
        loaded=loaded,
    )  # fmt: skip
