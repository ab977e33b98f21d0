"""Where a worker of a desk gets settings, facts and the rest from.

Belongs here: wiring a desk's stores to the service, and noticing that another configuration is in force or another
session was closed. Does not belong here: what is done with either (`upkeep.py`).
"""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import date, timedelta
from typing import Protocol

from fastapi import FastAPI

from pipelines.in_force import CURRENT, compiled_files
from pipelines.risk_desk import RiskDesk, newest_price, risk_desk
from pipelines.risk_server.application import application
from pipelines.risk_server.callers import Callers, callers_of
from pipelines.risk_server.figures import Figures
from pipelines.risk_server.remembered import remembered
from pipelines.risk_server.served import Clocks, Served, served_by
from pipelines.risk_server.serving import FIGURES
from pipelines.risk_server.traces import tracing
from pipelines.risk_server.upkeep import InForceNow, Upkeep, lifespan
from pipelines.risk_server.worker import warm
from pipelines.settings import Place, read_section, read_settings, revealed
from pipelines.wiring import (
    configuration_follower,
    decision_log,
    ledger,
    reservation_log,
    risk_inputs_cache,
    risk_metrics,
    utc_now,
)
from trading.config.models import DeskSettings
from trading.config.risk import RiskInputSettings, RiskSettings
from trading.errors import ConfigError, StoreUnavailable
from trading.ports import DecisionLog
from trading.risk.book import Book
from trading.risk.market import Market
from trading.risk.shared import Following, SharedEngine

PATIENCE_S = 120.0


class KeptDesk(Protocol):
    """A desk as a cache has it."""

    @property
    def value(self) -> RiskDesk:
        """The desk."""
        ...

    @property
    def stale(self) -> bool:
        """Whether its stores did not say that it is the newest."""
        ...


class Follows(Protocol):
    """Notices that another configuration came into force."""

    @property
    def told(self) -> int:
        """The number of the one that was told last."""
        ...


class DeskSources:
    """Settings and facts of a desk. The pointer to the configuration in force is followed; in development, where files
    are in force, they are read again when one is applied."""

    def __init__(self, where: Place, inputs: RiskInputSettings, name: str) -> None:
        self._where, self._cache, self._counted = where, risk_inputs_cache(_patient(inputs), name), (0, 0)
        self._follower: Follows | None = None
        self._pointer = compiled_files(where).folder / CURRENT
        self._seen = self._reading = self._told()

    def pending(self) -> bool:
        """As the port: 8 bytes of a mapped page."""
        return self._told() != self._seen

    def settings(self) -> InForceNow | None:
        """As the port."""
        self._reading = self._told()
        if self._reading == self._seen:
            return None
        desk = read_settings(self._where)
        return InForceNow(desk, desk.content_hash(), callers(desk, self._where))

    def taken(self) -> None:
        """As the port."""
        self._seen = self._reading

    def facts(self, known: Market) -> tuple[Market, Book] | None:
        """As the port. Raises StoreUnavailable where the store does not say whether there is anything newer."""
        found = self._kept()
        if found.stale:
            raise StoreUnavailable(
                f"the desk's stores do not answer, so facts of {known.session} are used. Look at `daybook doctor`."
            )
        desk: RiskDesk = found.value
        return (desk.market, desk.book) if desk.session > known.session else None

    def first(self) -> RiskDesk:
        """The desk as it is now. Raises as `risk_desk`."""
        desk: RiskDesk = self._kept().value
        return desk

    def tell(self, metrics: Figures) -> None:
        """As the port."""
        found = self._cache.statistics()
        hits, misses = found.hits + found.unchanged, found.reads + found.failures
        metrics.reads(hits - self._counted[0], misses - self._counted[1])
        self._counted = (hits, misses)
        for backend, state in found.breakers.items():
            metrics.breaker(backend, state)

    def aged(self, known: Market, most: int) -> str:
        """As the port: weekdays since the session count, and the one under way is none."""
        missing = _weekdays_between(known.session, utc_now().date())
        if missing <= most:
            return ""
        return (
            f"facts are of {known.session}, and {missing} sessions were closed since, {most} at most. Load prices and "
            "run the close, or raise risk.inputs.max_age_sessions."
        )

    def _kept(self) -> KeptDesk:
        return self._cache.load("stores", "desk", self._newest, lambda: risk_desk(self._where))

    def _newest(self) -> str:
        from pipelines.desk import Desk

        return newest_price(Desk.open(self._where)).isoformat()

    def _told(self) -> int:
        if self._follower is None and self._pointer.exists():
            with suppress(ConfigError, StoreUnavailable):  # it is being written
                self._follower = configuration_follower(self._where)
        return 0 if self._follower is None else self._follower.told


def desk_application(where: Place, name: str) -> FastAPI:
    """The service of a desk, for a worker of this name. Raises as `risk_desk` and `callers`."""
    sources = DeskSources(where, read_section(where, RiskSettings).inputs, name)  # before: what is applied now is seen
    found = sources.first()
    served = _served(where, found, name, sources)
    warm(found.settings, found.market, found.book)
    upkeep = Upkeep(served, sources, early=(int(name) % 8) / 8.0 if name.isdecimal() else 0.0)
    for part in (upkeep.load, upkeep.halt):
        part()
    return application(served, lifespan(upkeep, served.close))


def callers(desk: DeskSettings, where: Place) -> Callers:
    """Who may ask under these settings. Raises ConfigError where a token is not found or is none."""
    service = desk.risk.service
    now = time.perf_counter()
    return callers_of(service.tokens, service.max_requests_per_second, lambda secret: revealed(secret, where), now)


def _served(where: Place, found: RiskDesk, name: str, sources: DeskSources) -> Served:
    clocks, desk, kept = Clocks(utc_now, time.time, time.perf_counter), found.settings, decision_log(where)
    return served_by(
        judging(where, found, kept), desk, found.market, callers(desk, where), kept, ledger(where),
        risk_metrics(name, where.home / FIGURES), clocks, shared=desk.risk.service.truth != "memory",
        pending=sources.pending, span=tracing(),
    )  # fmt: skip


def judging(where: Place, found: RiskDesk, kept: DecisionLog) -> SharedEngine:
    """The engine over the truth of reservations that the settings name."""
    truth, settings = found.settings.risk.service.truth, found.settings
    log = reservation_log(where, truth)
    longest_s = settings.risk.service.reservation_seconds
    grace = Following().grace_s if truth == "redis" else 0.0
    return SharedEngine(
        settings, found.market, found.book, log, time.time, settings.content_hash(), time.perf_counter,
        Following(grace_s=grace), lambda now: remembered(kept, longest_s, now, log.mark, found.working),
    )  # fmt: skip


def _patient(inputs: RiskInputSettings) -> RiskInputSettings:
    """A whole desk takes longer than one read of a backend, and nobody waits for it."""
    return inputs.model_copy(update={"timeout_seconds": max(PATIENCE_S, inputs.timeout_seconds)})


def _weekdays_between(session: date, today: date) -> int:
    """Weekdays after a session and before today: sessions that should have been closed."""
    days = max((today - session).days - 1, 0)
    whole, rest = divmod(days, 7)
    first = session + timedelta(days=1 + 7 * whole)
    return 5 * whole + sum((first + timedelta(days=number)).weekday() < 5 for number in range(rest))
