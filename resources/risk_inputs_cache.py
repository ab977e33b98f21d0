"""Facts that risk is measured by, read once for all who ask, and kept while they are what the backend has.

Belongs here: ages, one read for many at the same time, versions, and leaving a backend alone that fails. Does not
belong here: what is read (`assets/risk_inputs.py`), or bytes of the desk's cache (`process_cache.py`).

Nothing is read while a value is younger than its age. Then its version is asked for, which reads no rows: if it is
still the same, so is the value. Ages differ by key and by process, so that they do not all end at once. A value
outlives a backend that does not answer; whoever gets it is told that it is old.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from resources.single_flight import SingleFlight
from trading.config.risk import RiskInputSettings
from trading.errors import DaybookError, StoreUnavailable
from trading.risk.backend_breaker import BackendBreaker, State

T = TypeVar("T")
STAGGER = 0.2  # ages end up to so much earlier or later
MOST = 8  # values kept, each as large as all prices looked back on


@dataclass(frozen=True, slots=True)
class KeptInput(Generic[T]):
    """A value, the version of what it was made from, and when that was last known to be the newest, seconds of the
    cache's clock. `stale`: the backend did not say so now."""

    value: T
    version: str
    seen_at: float
    stale: bool = False


@dataclass(frozen=True, slots=True)
class InputStatistics:
    """Answers that read nothing, that asked for a version only, that read, and that could not; and where the breaker
    around each backend stands."""

    hits: int
    unchanged: int
    reads: int
    failures: int
    breakers: Mapping[str, State]


class RiskInputsCache:
    """Values by key, each of one backend. `seed` differs by process. Threads share it: of those who ask for one key at
    the same time one reads. `clock` counts seconds."""

    def __init__(
        self, settings: RiskInputSettings, seed: str = "", clock: Callable[[], float] = time.monotonic, most: int = MOST
    ) -> None:
        self._settings, self._seed, self._clock, self._most = settings, seed, clock, most
        self._held: OrderedDict[str, tuple[KeptInput[Any], float]] = OrderedDict()  # with the instant its age ends
        self._breakers: dict[str, BackendBreaker] = {}
        self._counts = {"hits": 0, "unchanged": 0, "reads": 0, "failures": 0}
        self._lock = threading.Lock()
        self._flights = SingleFlight()

    def load(self, backend: str, key: str, version: Callable[[], str], read: Callable[[], T]) -> KeptInput[T]:
        """The value of a key: as it is kept, or what `read` gives. `version` says what would be read, without reading
        it. Where the backend fails or is left alone, what was kept, stale. Raises StoreUnavailable without that."""
        found = self._fresh(key)
        if found is not None:
            return found
        flown: KeptInput[T] = self._flights.do(
            f"{backend} {key}", lambda: self._fresh(key) or self._asked(backend, key, version, read)
        )
        return flown

    def look_again(self) -> None:
        """All ages end now: whoever asks next has the version asked for. What is kept stays."""
        with self._lock:
            self._held = OrderedDict((key, (kept, float("-inf"))) for key, (kept, _) in self._held.items())

    def statistics(self) -> InputStatistics:
        """Counts since it was made, and breakers now."""
        now = self._clock()
        with self._lock:
            states = {name: breaker.state(now) for name, breaker in sorted(self._breakers.items())}
            return InputStatistics(**self._counts, breakers=states)

    # --- asking -------------------------------------------------------------------------------------------------------
    def _fresh(self, key: str) -> KeptInput[Any] | None:
        with self._lock:
            found = self._held.get(key)
            if found is None or self._clock() >= found[1]:
                return None
            self._counts["hits"] += 1
            self._held.move_to_end(key)
            return found[0]

    def _kept(self, key: str) -> KeptInput[Any] | None:
        with self._lock:
            found = self._held.get(key)
        return found[0] if found else None

    def _asked(self, backend: str, key: str, version: Callable[[], str], read: Callable[[], T]) -> KeptInput[T]:
        before = self._kept(key)
        if not self._may(backend):
            return self._as_it_was(backend, key, before, None)
        try:
            found, how = _within(self._settings.timeout_seconds, lambda: _newest(before, version, read))
        except Exception as cause:
            self._failed(backend)
            if not isinstance(cause, DaybookError | OSError | TimeoutError):
                raise
            return self._as_it_was(backend, key, before, cause)
        now = self._clock()
        kept = KeptInput(found.value, found.version, now)
        with self._lock:
            self._counts[how] += 1
            self._breakers[backend] = self._breakers[backend].succeeded()
            self._held[key] = kept, now + self._age(key)
            self._held.move_to_end(key)
            while len(self._held) > self._most:
                self._held.popitem(last=False)
        return kept

    def _age(self, key: str) -> float:
        """How long a key's value is used: always the same in a process, spread over keys and processes."""
        share = hashlib.sha256(f"{self._seed} {key}".encode()).digest()[0] / 255.0
        return self._settings.age_seconds * (1.0 - STAGGER + 2.0 * STAGGER * share)

    # --- a backend that fails -----------------------------------------------------------------------------------------
    def _may(self, backend: str) -> bool:
        with self._lock:
            new = BackendBreaker(self._settings.failures, self._settings.pause_seconds)
            self._breakers[backend], allowed = self._breakers.get(backend, new).asked(self._clock())
            return allowed

    def _failed(self, backend: str) -> None:
        with self._lock:
            self._counts["failures"] += 1
            self._breakers[backend] = self._breakers[backend].failed(self._clock())

    def _as_it_was(
        self, backend: str, key: str, before: KeptInput[T] | None, cause: BaseException | None
    ) -> KeptInput[T]:
        if before is not None:
            return KeptInput(before.value, before.version, before.seen_at, stale=True)
        with self._lock:
            wait = self._breakers[backend].wait_seconds(self._clock())
        said = f" ({cause})" if cause else f": it failed, and is left alone for another {wait:.0f} s"
        raise StoreUnavailable(
            f"{key} cannot be read from {backend}{said}. Orders that need it are refused meanwhile; see whether the "
            "store answers: daybook doctor."
        ) from cause


def _newest(before: KeptInput[T] | None, version: Callable[[], str], read: Callable[[], T]) -> tuple[KeptInput[T], str]:
    """What there is now, and whether it had to be read. The version is asked for first: what is written meanwhile is
    found the next time."""
    name = version()
    if before is not None and before.version == name:
        return before, "unchanged"
    return KeptInput(read(), name, 0.0), "reads"


def _within(seconds: float, call: Callable[[], T]) -> T:
    """What a call gives, in a thread of its own. Raises TimeoutError when it takes longer; the thread is left to
    itself."""
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(call())
        except BaseException as cause:
            answer.set_exception(cause)

    threading.Thread(target=run, name="risk inputs", daemon=True).start()
    try:
        return answer.result(seconds)
    except TimeoutError as cause:
        raise TimeoutError(f"no answer within {seconds:g} s") from cause
