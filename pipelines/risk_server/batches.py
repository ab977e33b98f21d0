"""Requests that came meanwhile are decided in one go and kept before any of them is answered.

Belongs here: the queue, deadlines of what waits in it, and that nothing is answered which is not kept. Does not belong
here: deciding (the engine), HTTP, or how decisions are kept (`resources/decision_log.py`).

The queue is of the event loop, and so is deciding where the truth of reservations is this process: nothing is awaited
from the first order of a batch to its last. Where the truth is shared, batches that hold or give back headroom go to
one thread, one after another, so that a truth which does not answer holds up nobody who only checks.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from pipelines.risk_server.problems import Problem, deadline_passed, of_error
from trading.errors import DaybookError, StoreError
from trading.risk.decision import Decision
from trading.risk.kept import About

MOST_WAITING = 10_000  # requests
LOOK_S, LONGEST_HELD_S = 0.005, 2.0  # while other limits are compiled
MOST_AT_ONCE = 256  # of one batch: the loop hears of new ones between two


class Keeps(Protocol):
    """Where decisions are kept, a call for each request: what was written survives the process."""

    def append(self, decisions: Sequence[Decision], about: About) -> int:
        """Keeps these. Raises StoreUnavailable where they are not."""
        ...


class Watches(Protocol):
    """Who counts what happens in a queue."""

    def decided(self, decisions: Sequence[Decision]) -> None:
        """These were decided and kept."""
        ...

    def waiting(self, count: int) -> None:
        """So many wait now."""
        ...


class Outcome(NamedTuple):
    """What became of a request: what its work gave, and the decisions in it that must be kept, with what beside."""

    value: Any
    decisions: Sequence[Decision] = ()
    about: About | None = None


@dataclass(slots=True, eq=False)
class Work:
    """A request that waits. `do` is given no time: it must not wait for anything. `undo` gives back what it held,
    where it cannot be answered."""

    do: Callable[[], Outcome]
    undo: Callable[[], None]
    until: float
    answer: asyncio.Future[Any]


class Batches:
    """One queue. `timer`: seconds of a clock that does not go back. With an `executor` (of one thread) work is done
    there. While `pending` says that other limits came into force, nothing is decided, for two seconds at most."""

    def __init__(
        self, keeps: Keeps, watches: Watches, timer: Callable[[], float], span: Callable[[str], Any] = nullcontext,
        executor: Executor | None = None, pending: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        self._keeps, self._watches, self._timer, self._executor = keeps, watches, timer, executor
        self._span, self._pending, self._held_since = span, pending, math.inf
        self._waiting: list[Work] = []
        self._running = False

    async def ask(self, do: Callable[[], Outcome], until: float, undo: Callable[[], None] = lambda: None) -> Any:
        """What the work gives, once it is done and kept. Raises Problem: the deadline `until` passed before its turn,
        the queue is full, or what it needs cannot be reached."""
        if len(self._waiting) >= MOST_WAITING:
            raise Problem(
                503, "queue_full", f"{MOST_WAITING:,} requests wait already. Ask again in a second.",
                {"Retry-After": "1"},
            )  # fmt: skip
        loop = asyncio.get_running_loop()
        work = Work(do, undo, until, loop.create_future())
        self._waiting.append(work)
        if not self._running:
            self._running = True
            loop.call_soon(self._run, loop)
        return await work.answer

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._must_wait():
            loop.call_later(LOOK_S, self._run, loop)
            return
        batch, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
        self._watches.waiting(len(self._waiting))
        wanted = [work for work in batch if not work.answer.done()]  # who hung up is not decided for
        if self._executor is None:
            self._answer(wanted, self._done(wanted), loop)
            return
        found = loop.run_in_executor(self._executor, self._done, wanted)
        found.add_done_callback(lambda done: self._answer(wanted, done.result(), loop))

    def _must_wait(self) -> bool:
        """Whether limits that came into force are being compiled: what waits is decided by those."""
        if not self._pending():
            self._held_since = math.inf
            return False
        now = self._timer()
        self._held_since = min(self._held_since, now)
        return now - self._held_since < LONGEST_HELD_S

    def _done(self, batch: Sequence[Work]) -> list[Outcome | Problem]:
        """What became of each; nothing here may raise."""
        with self._span("decide"):
            found = [self._one(work) for work in batch]
        with self._span("append"):
            return [self._kept(work, outcome) for work, outcome in zip(batch, found, strict=True)]

    def _kept(self, work: Work, outcome: Outcome | Problem) -> Outcome | Problem:
        if isinstance(outcome, Problem) or outcome.about is None:
            return outcome
        try:
            self._keeps.append(outcome.decisions, outcome.about)
        except (StoreError, OSError) as cause:
            return _unkept(work, cause)
        self._watches.decided(outcome.decisions)
        return outcome

    def _one(self, work: Work) -> Outcome | Problem:
        late = self._timer() - work.until
        if late > 0:
            return deadline_passed(late)
        try:
            return work.do()
        except Problem as problem:
            return problem
        except DaybookError as error:
            return of_error(error)
        except Exception as error:
            return _broken(error)

    def _answer(
        self, batch: Sequence[Work], found: Sequence[Outcome | Problem], loop: asyncio.AbstractEventLoop
    ) -> None:
        for work, outcome in zip(batch, found, strict=True):
            if work.answer.done():
                continue
            if isinstance(outcome, Problem):
                work.answer.set_exception(outcome)
            else:
                work.answer.set_result(outcome.value)
        if self._waiting:
            loop.call_soon(self._run, loop)
        else:
            self._running = False


def _unkept(work: Work, cause: Exception) -> Problem:
    """A decision that could not be kept is none: what it held is given back."""
    with suppress(DaybookError):  # then it is held until its time is over
        work.undo()
    return Problem(
        503, "decisions_not_kept",
        f"decisions cannot be kept, so none is given, and nothing is held: {cause} Ask again when that is mended.",
        {"Retry-After": "1"},
    )  # fmt: skip


def _broken(error: Exception) -> Problem:
    problem = Problem(
        500, "internal", f"the service made a mistake ({type(error).__name__}). Its log says more; nothing is held."
    )
    problem.__cause__ = error
    return problem
