"""What a worker does beside answering: times that are over, sums made anew, other limits, other facts, halts.

Belongs here: when it is done, in threads off the path of decisions, and what is said where it fails. Does not belong
here: where settings and facts come from (`sources.py`), or answering.

What fails is tried again, twice as late each time: up to half a minute for facts, to a second for all else. Readiness
says why meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, Protocol

from fastapi import FastAPI

from pipelines.risk_server.callers import Callers
from pipelines.risk_server.figures import Figures
from pipelines.risk_server.served import Facts, Served
from pipelines.risk_server.stops import brought_to_engine
from trading.config.models import DeskSettings
from trading.errors import DaybookError, StoreError
from trading.risk.drift import too_far
from trading.risk.market import Market

EXPIRY_S, HALTS_S, FACTS_S, FIGURES_S, RECOMPUTE_S, LOOK_S = 0.2, 0.25, 30.0, 1.0, 60.0, 0.05
LONGEST_WAIT_S, SOON_S = 30.0, 1.0
_LOG = logging.getLogger(__name__)
_DRIFTED = (
    "the largest of {found.sums} sums that orders are judged by was {found.largest:.3g} of its size off when they were "
    "made anew. Decisions of the last minute may be wrong: look at them with `daybook risk decisions`, and report it."
)


class InForceNow(NamedTuple):
    """Settings that came into force, their hash, and who may ask under them."""

    desk: DeskSettings
    configuration: str
    callers: Callers


class Sources(Protocol):
    """Where settings and facts come from. Asked in threads; raises DaybookError."""

    def settings(self) -> InForceNow | None:
        """Settings that came into force since this was last asked; None where none did."""
        ...

    def taken(self) -> None:
        """Those that `settings` gave last hold from now on, or cannot be used: until others come into force, nothing
        is pending."""
        ...

    def pending(self) -> bool:
        """Whether others are in force than those that were taken last: no more than a look at memory."""
        ...

    def facts(self, known: Facts | None) -> Facts | None:
        """Facts and book other than those known, as old as they are today: what is too old is NaN. None where those
        known are still what there is."""
        ...

    def aged(self, known: Market, most: int) -> str:
        """Why facts are not to be relied on: older than `most` sessions, or of stores that do not answer. Empty where
        they are."""
        ...

    def backends(self) -> Mapping[str, str]:
        """By backend that has a breaker, why it is left alone; empty where it is not."""
        ...

    def tell(self, metrics: Figures) -> None:
        """How often facts were read, and where breakers stand."""
        ...


class Nothing:
    """Sources of a service that is made of values: nothing ever changes."""

    def settings(self) -> InForceNow | None:
        """None."""
        return None

    def taken(self) -> None:
        """Nothing."""

    def pending(self) -> bool:
        """Never."""
        return False

    def facts(self, known: Facts | None) -> Facts | None:
        """None."""
        return None

    def aged(self, known: Market, most: int) -> str:
        """Never."""
        return ""

    def backends(self) -> Mapping[str, str]:
        """None."""
        return {}

    def tell(self, metrics: Figures) -> None:
        """Nothing."""


class Upkeep:
    """Work beside answering, for one worker. `early` is how much sooner than others it looks for facts, of 1, so that
    workers do not all ask at once."""

    def __init__(self, served: Served, sources: Sources, early: float = 0.0) -> None:
        self._served, self._sources, self._early = served, sources, early
        served.parts = (*dict.fromkeys([*served.parts, *sources.backends()]),)

    def work(self) -> Sequence[tuple[str, float, Callable[[], None]]]:
        """What is done, by part, and the seconds between."""
        sooner = 1.0 - self._early / 2.0
        return (
            ("configuration", LOOK_S, self.configure),
            ("reservations", EXPIRY_S, self.expire),
            ("halts", HALTS_S, self.halt),
            ("facts", FACTS_S * sooner, self.load),
            ("sums", RECOMPUTE_S * sooner, self.recompute),
            ("figures", FIGURES_S, self.tell),
        )

    @asynccontextmanager
    async def during(self, app: FastAPI) -> AsyncIterator[None]:
        """Does it while the application runs."""
        tasks = [asyncio.create_task(self._every(part, seconds, do)) for part, seconds, do in self.work()]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _every(self, part: str, seconds: float, do: Callable[[], None]) -> None:
        wait = seconds
        while True:
            await asyncio.sleep(wait)
            longest = LONGEST_WAIT_S if part == "facts" else SOON_S
            wait = seconds if await self._done(part, do) else max(seconds, min(2.0 * max(wait, 0.1), longest))

    async def _done(self, part: str, do: Callable[[], None]) -> bool:
        try:
            if part != "configuration" or self._sources.pending():  # a thread each time would be felt
                await asyncio.to_thread(do)
        except DaybookError as error:
            self._served.unwell(part, str(error))
            return False
        except Exception as error:  # whatever it is, answering goes on, and readiness says it
            self._served.unwell(part, f"{type(error).__name__}: {error}"[:500])
            return False
        return True

    # --- what is done -------------------------------------------------------------------------------------------------
    def configure(self) -> None:
        """Limits that came into force hold for whoever asks next. What cannot be used leaves the old in force."""
        try:
            found = self._sources.settings()
            if found is None:
                return
            self._served.engine.limit(found.desk, found.configuration)
            self._served.desk, self._served.callers = found.desk, found.callers.continuing(self._served.callers)
            self._served.well("configuration")
        finally:
            self._sources.taken()

    def expire(self) -> None:
        """Reservations whose time is over give back what they hold."""
        served = self._served
        try:
            served.metrics.expired(len(served.engine.expire(served.clocks.seconds())))
        except StoreError:
            served.metrics.breaker("reservations", "open")
            raise
        served.metrics.breaker("reservations", "closed")
        served.well("reservations")

    def halt(self) -> None:
        """Halts in force, as the journal has them now."""
        brought_to_engine(self._served)
        self._served.well("halts")

    def load(self) -> None:
        """Facts and book of a session that was closed meanwhile, and facts that grew older: what is too old to be
        relied on counts as missing from now on, so that rules say so."""
        served = self._served
        found = self._sources.facts(served.loaded)
        if found is not None:
            served.engine.load(*found)
            served.market, served.loaded = found.market, found
        self._told("facts", self._sources.aged(served.market, served.desk.risk.inputs.max_age_sessions))

    def _told(self, part: str, fault: str) -> None:
        if fault:
            self._served.unwell(part, fault)
        else:
            self._served.well(part)

    def recompute(self) -> None:
        """All sums anew, so that what they drift by stays small and is known. Sums that were far off are a fault: what
        was decided by them may be wrong."""
        found = self._served.engine.recompute()
        self._served.metrics.drifted(found.largest)
        wrong = too_far(found)
        if wrong:
            _LOG.error("%s", _DRIFTED.format(found=found))
        self._told("sums", _DRIFTED.format(found=found) if wrong else "")

    def tell(self) -> None:
        """Figures that are looked up, and all of them for the other workers."""
        served = self._served
        served.metrics.reservations(len(served.engine.working()))
        served.metrics.versions(served.engine.versions)
        for backend, fault in self._sources.backends().items():
            self._told(backend, fault)
        served.metrics.ready(not served.faults)
        self._sources.tell(served.metrics)
        served.metrics.leave()


def lifespan(upkeep: Upkeep, closing: Callable[[], Any]) -> Callable[[FastAPI], Any]:
    """What an application does while it runs, and at its end."""

    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        async with upkeep.during(app):
            yield
        await asyncio.to_thread(closing)

    return running
