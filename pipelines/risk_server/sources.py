"""Where a worker of a desk gets settings, facts and the rest from.

Belongs here: wiring a desk's stores to the service, and noticing that another configuration is in force or another
session was closed. Does not belong here: what is done with either (`upkeep.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from typing import Protocol

import pandas as pd
from fastapi import FastAPI

from pipelines.desk import Desk
from pipelines.in_force import CURRENT, compiled_files
from pipelines.risk_desk import DeskInputs, InputsCache, RiskDesk, patient
from pipelines.risk_server.application import application
from pipelines.risk_server.callers import Callers, callers_of
from pipelines.risk_server.figures import Figures
from pipelines.risk_server.guarded import Guard, GuardedDecisions, GuardedJournal
from pipelines.risk_server.remembered import remembered
from pipelines.risk_server.served import Clocks, Facts, Served, served_by
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
from trading.config.risk import RiskSettings
from trading.errors import ConfigError, DaybookError, StoreUnavailable
from trading.ports import DecisionLog
from trading.risk.market import Market
from trading.risk.risk_model import aged, ages_sessions
from trading.risk.shared import Following, SharedEngine

_STALE = "the desk's stores do not answer, so facts of {session} are used. Look at `daybook doctor`."
_LEFT_ALONE = "the {name} failed and is left alone for a while: what was read before is used. Look at `daybook doctor`."


class Follows(Protocol):
    """Notices that another configuration came into force."""

    @property
    def told(self) -> int:
        """The number of the one that was told last."""
        ...


class DeskSources:
    """Settings and facts of a desk. The pointer to the configuration in force is followed; in development, where files
    are in force, they are read again when one is applied."""

    def __init__(
        self, where: Place, cache: InputsCache, today: Callable[[], date] = lambda: utc_now().date(),
        opened: Callable[[Place], Desk] = Desk.open,
    ) -> None:  # fmt: skip
        self._where, self._cache, self._counted = where, cache, (0, 0)
        self._inputs, self._today = DeskInputs(where, cache, opened), today
        self._found: RiskDesk | None = None
        self._fault = ""
        self._older: tuple[Market, date, int, Market] | None = None
        self.guards = (Guard("halts"), Guard("decisions"))
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
        self._inputs.renew()
        return InForceNow(desk, desk.content_hash(), callers(desk, self._where))

    def taken(self) -> None:
        """As the port."""
        self._seen = self._reading

    def facts(self, known: Facts | None) -> Facts | None:
        """As the port: no row is read while versions are the same. Raises as `risk_desk` where there never were any."""
        try:
            self._found = self._inputs.desk()
            self._fault = _STALE.format(session=self._found.session) if self._found.stale else ""
        except DaybookError as error:
            if self._found is None:
                raise
            self._fault = str(error)
        return _other(_facts(self._dated(self._found)), known)

    def aged(self, known: Market, most: int) -> str:
        """As the port: weekdays since the session count, and the one under way is none."""
        age = sessions_between(known.session, self._today())
        if age <= most:
            return self._fault
        return (
            f"facts are of {known.session}, and {age} sessions were closed since, {most} at most, so they count as "
            "missing. Load prices and run the close, or raise risk.inputs.max_age_sessions."
        )

    def first(self) -> RiskDesk:
        """The desk as it is now, its facts as old as they are. Raises as `risk_desk`."""
        self._found = found = self._inputs.desk()
        return self._dated(found)

    def backends(self) -> Mapping[str, str]:
        """As the port: datasets and ledger as facts are read from them, and the log of decisions."""
        states = dict.fromkeys(("datasets", "ledger"), "closed") | dict(self._cache.statistics().breakers)
        told = {name: "" if state == "closed" else _LEFT_ALONE.format(name=name) for name, state in states.items()}
        return told | {guard.backend: guard.why() for guard in self.guards if guard.backend != "halts"}

    def tell(self, metrics: Figures) -> None:
        """As the port."""
        found = self._cache.statistics()
        hits, misses = found.hits + found.unchanged, found.reads + found.failures
        metrics.reads(hits - self._counted[0], misses - self._counted[1])
        self._counted = (hits, misses)
        for backend, state in found.breakers.items():
            metrics.breaker(backend, state)
        for guard in self.guards:
            metrics.breaker(guard.backend, guard.state())
        shared = self._inputs.shared_state()
        if shared is not None:
            metrics.breaker("shared_cache", shared)

    def _dated(self, found: RiskDesk) -> RiskDesk:
        return replace(found, market=self._as_old(found.market, found.settings.risk.inputs.max_age_sessions))

    def _as_old(self, market: Market, most: int) -> Market:
        """Facts as they are worth today; the same value while that is the same."""
        until = _weekday_before(self._today())
        if self._older is None or self._older[0] is not market or self._older[1:3] != (until, most):
            # of the session that they are of: the book of reservations is of that, too
            older = replace(aged(market, until, most), session=market.session)
            self._older = market, until, most, older if older.version != market.version else market
        return self._older[3]

    def _told(self) -> int:
        if self._follower is None and self._pointer.exists():
            with suppress(ConfigError, StoreUnavailable):  # it is being written
                self._follower = configuration_follower(self._where)
        return 0 if self._follower is None else self._follower.told


def desk_application(where: Place, name: str) -> FastAPI:
    """The service of a desk, for a worker of this name. Raises as `risk_desk` and `callers`."""
    inputs = patient(read_section(where, RiskSettings).inputs)  # before: what is applied now is seen
    served, upkeep = worker_of(where, name, DeskSources(where, risk_inputs_cache(inputs, name)))
    return application(served, lifespan(upkeep, served.close))


def worker_of(where: Place, name: str, sources: DeskSources) -> tuple[Served, Upkeep]:
    """What a worker answers from, warmed, and what it does beside answering, done once."""
    found = sources.first()
    served = _served(where, found, name, sources)
    warm(found.settings, found.market, found.book)
    upkeep = Upkeep(served, sources, early=(int(name) % 8) / 8.0 if name.isdecimal() else 0.0)
    for part in (upkeep.load, upkeep.halt):
        part()
    return served, upkeep


def callers(desk: DeskSettings, where: Place) -> Callers:
    """Who may ask under these settings. Raises ConfigError where a token is not found or is none."""
    service = desk.risk.service
    now = time.perf_counter()
    return callers_of(service.tokens, service.max_requests_per_second, lambda secret: revealed(secret, where), now)


def _served(where: Place, found: RiskDesk, name: str, sources: DeskSources) -> Served:
    clocks, desk, kept = Clocks(utc_now, time.time, time.perf_counter), found.settings, decision_log(where)
    halts, decisions = sources.guards
    return served_by(
        judging(where, found, kept), desk, found.market, callers(desk, where),
        GuardedDecisions(kept, decisions), GuardedJournal(ledger(where), halts),
        risk_metrics(name, where.home / FIGURES), clocks, shared=desk.risk.service.truth != "memory",
        pending=sources.pending, span=tracing(), loaded=_facts(found),
    )  # fmt: skip


def _facts(found: RiskDesk) -> Facts:
    return Facts(found.market, found.book, found.record)


def _other(found: Facts, known: Facts | None) -> Facts | None:
    """What was found, unless it is what is known: the same values, which nobody compares."""
    same = known is not None and all(one is other for one, other in zip(found, known, strict=True))
    return None if same else found


def judging(where: Place, found: RiskDesk, kept: DecisionLog) -> SharedEngine:
    """The engine over the truth of reservations that the settings name."""
    truth, settings = found.settings.risk.service.truth, found.settings
    log = reservation_log(where, truth)
    longest_s = settings.risk.service.reservation_seconds
    grace = Following().grace_s if truth == "redis" else 0.0
    return SharedEngine(
        settings, found.market, found.book, log, time.time, settings.content_hash(), time.perf_counter,
        Following(grace_s=grace), lambda now: remembered(kept, longest_s, now, log.mark), found.record,
    )  # fmt: skip


def sessions_between(session: date, today: date) -> int:
    """Sessions after a session and before today, which is under way: those that should have been closed."""
    return max(0, int(ages_sessions(pd.Series([pd.Timestamp(session)]), _weekday_before(today))[0]))


def _weekday_before(today: date) -> date:
    return today - timedelta(days={0: 3, 6: 2}.get(today.weekday(), 1))
