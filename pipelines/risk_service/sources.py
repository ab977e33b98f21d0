"""Where a worker of a desk gets settings, facts and the rest from.

Belongs here: wiring a desk's stores to the service, and noticing that another configuration is in force or another
session was closed. Does not belong here: what is done with either (`upkeep.py`).
"""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import date, timedelta
from typing import TYPE_CHECKING

from fastapi import FastAPI

from pipelines.in_force import compiled_files
from pipelines.risk_desk import RiskDesk, newest_price, risk_desk
from pipelines.risk_service.application import application
from pipelines.risk_service.callers import Callers, callers_of
from pipelines.risk_service.served import Clocks, Judges, Served, served_by
from pipelines.risk_service.serving import FIGURES
from pipelines.risk_service.traces import tracing
from pipelines.risk_service.upkeep import InForceNow, Upkeep, lifespan
from pipelines.risk_service.worker import warm
from pipelines.settings import Place, read_settings, revealed
from pipelines.wiring import decision_log, ledger, utc_now
from resources.risk_metrics import RiskMetrics
from trading.config.models import DeskSettings
from trading.errors import ConfigError, StoreUnavailable
from trading.risk.book import Book
from trading.risk.market import Market

if TYPE_CHECKING:
    from resources.compiled_files import Follower


class DeskSources:
    """Settings and facts of a desk. The pointer to the configuration in force is followed; in development, where files
    are in force, they are read again when one is applied."""

    def __init__(self, where: Place) -> None:
        self._where = where
        self._follower: Follower | None = None
        self._seen = self._told()

    def pending(self) -> bool:
        """As the port: 8 bytes of a mapped page."""
        return self._told() != self._seen

    def settings(self) -> InForceNow | None:
        """As the port. What cannot be read leaves the old in force; it is read again when another is applied."""
        told = self._told()
        if told == self._seen:
            return None
        try:
            desk = read_settings(self._where)
            return InForceNow(desk, desk.content_hash(), callers(desk, self._where))
        finally:
            self._seen = told

    def facts(self, known: Market) -> tuple[Market, Book] | None:
        """As the port."""
        from pipelines.desk import Desk

        if newest_price(Desk.open(self._where)) <= known.session:
            return None
        found = risk_desk(self._where)
        return found.market, found.book

    def aged(self, known: Market, most: int) -> str:
        """As the port: weekdays since the session count, and the one under way is none."""
        missing = _weekdays_between(known.session, utc_now().date())
        if missing <= most:
            return ""
        return (
            f"facts are of {known.session}, and {missing} sessions were closed since, {most} at most. Load prices and "
            "run the close, or raise risk.inputs.max_age_sessions."
        )

    def _told(self) -> int:
        if self._follower is None:
            from resources.compiled_files import Follower

            with suppress(ConfigError, StoreUnavailable):  # nothing was ever applied
                self._follower = Follower(compiled_files(self._where).folder)
        return 0 if self._follower is None else self._follower.told


def desk_application(where: Place, name: str) -> FastAPI:
    """The service of a desk, for a worker of this name. Raises as `risk_desk` and `callers`."""
    sources = DeskSources(where)
    found = risk_desk(where)
    served = _served(where, found, name, sources)
    warm(found.settings, found.market, found.book)
    upkeep = Upkeep(served, sources, early=(int(name) % 8) / 8.0 if name.isdecimal() else 0.0)
    upkeep.load()
    upkeep.halt()
    return application(served, lifespan(upkeep, served.close))


def callers(desk: DeskSettings, where: Place) -> Callers:
    """Who may ask under these settings. Raises ConfigError where a token is not found or is none."""
    service = desk.risk.service
    now = time.perf_counter()
    return callers_of(service.tokens, service.max_requests_per_second, lambda secret: revealed(secret, where), now)


def _served(where: Place, found: RiskDesk, name: str, sources: DeskSources) -> Served:
    clocks = Clocks(utc_now, time.time, time.perf_counter)
    desk = found.settings
    return served_by(
        judging(where, found), desk, found.market, callers(desk, where), decision_log(where), ledger(where),
        RiskMetrics(name, time.time, where.home / FIGURES), clocks, shared=desk.risk.service.truth != "memory",
        pending=sources.pending, span=tracing(),
    )  # fmt: skip


def judging(where: Place, found: RiskDesk) -> Judges:
    """The engine over the truth of reservations that the settings name."""
    return found.engine()


def _weekdays_between(session: date, today: date) -> int:
    """Weekdays after a session and before today: sessions that should have been closed."""
    days = max((today - session).days - 1, 0)
    whole, rest = divmod(days, 7)
    first = session + timedelta(days=1 + 7 * whole)
    return 5 * whole + sum((first + timedelta(days=number)).weekday() < 5 for number in range(rest))
