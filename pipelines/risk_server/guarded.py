"""Stores that the service writes to and asks while it answers, each left alone for a while after it failed.

Belongs here: a breaker around calls of the ledger and of the decision log. Does not belong here: facts, whose breakers
are the cache's (`resources/risk_inputs_cache.py`), or reservations, whose log waits by itself.

A person's halt is never held back: it is recorded, or the store's own error is the answer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pipelines.risk_server.served import Decisions, Journal
from trading.book.journal import Event
from trading.errors import StoreError, StoreUnavailable
from trading.risk.backend_breaker import BackendBreaker, State
from trading.risk.decision import Decision
from trading.risk.kept import About, Kept, Wanted

T = TypeVar("T")
FAILURES, PAUSE_S = 3, 0.25  # a pause grows to 16 times that


class Guard:
    """A breaker around calls of one backend, for threads. `most` failures in a row open it for `pause_s` seconds of
    `clock`, and longer each time."""

    def __init__(
        self, backend: str, most: int = FAILURES, pause_s: float = PAUSE_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.backend, self._clock, self._why = backend, clock, ""
        self._breaker, self._lock = BackendBreaker(most, pause_s), threading.Lock()

    def call(self, do: Callable[[], T], urgent: bool = False) -> T:
        """What `do` gives. Raises StoreUnavailable at once while the backend is left alone, unless it is `urgent`."""
        with self._lock:
            self._breaker, allowed = self._breaker.asked(self._clock())
        if not allowed and not urgent:
            raise StoreUnavailable(self.why())
        try:
            found = do()
        except (StoreError, OSError) as cause:
            with self._lock:
                self._breaker, self._why = self._breaker.failed(self._clock()), str(cause)
            raise
        except BaseException:  # it answered
            self._answered()
            raise
        self._answered()
        return found

    def state(self) -> State:
        """Where the breaker stands."""
        return self._breaker.state(self._clock())

    def why(self) -> str:
        """Why the backend is left alone, and for how long; empty where it is not."""
        with self._lock:
            if self._breaker.state(self._clock()) == "closed":
                return ""
            wait = self._breaker.wait_seconds(self._clock())
            return (
                f"the {self.backend} failed {self._breaker.failures} times in a row and is left alone for another "
                f"{wait:.1f} s: {self._why}"
            )

    def _answered(self) -> None:
        with self._lock:
            self._breaker = self._breaker.succeeded()


class GuardedDecisions:
    """A decision log behind a guard. Reading is not guarded: nobody's order waits for it."""

    def __init__(self, log: Decisions, guard: Guard) -> None:
        self._log, self._guard = log, guard

    def append(self, decisions: Sequence[Decision], about: About) -> int:
        """As the port."""
        return self._guard.call(lambda: self._log.append(decisions, about))

    def read(self, wanted: Wanted = Wanted()) -> Iterator[Kept]:  # noqa: B008 -- a value
        """As the port."""
        return self._log.read(wanted)

    def close(self) -> None:
        """As the port."""
        self._log.close()


class GuardedJournal:
    """A ledger behind a guard."""

    def __init__(self, ledger: Journal, guard: Guard) -> None:
        self._ledger, self._guard = ledger, guard

    def record(self, events: Sequence[Event]) -> Any:
        """As the port; tried whatever was before."""
        return self._guard.call(lambda: self._ledger.record(events), urgent=True)

    def rows(self, projection: str, where: Mapping[str, object] | None = None) -> list[dict[str, object]]:
        """As the port."""
        return self._guard.call(lambda: self._ledger.rows(projection, where))
