"""A breaker around a backend that facts are read from: after failures in a row it is left alone, each time longer.

Belongs here: the value, time passed in. Does not belong here: reading (`resources/risk_inputs_cache.py`), or the
breaker around changes of the configuration (`trading/config/breaker.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

State = Literal["closed", "open", "half_open"]
LONGEST_DOUBLINGS = 4  # a pause grows up to 16 times the first


@dataclass(frozen=True, slots=True)
class BackendBreaker:
    """Where it stands. `now` is seconds of one clock that does not go back; methods give a new value. `most` failures
    in a row open it for `pause_seconds`; one attempt is made then, and if it fails the pause doubles, up to 16 times.
    """

    most: int
    pause_seconds: float
    failures: int = 0
    openings: int = 0
    opened_at: float = 0.0
    trying: bool = False

    def state(self, now: float) -> State:
        """Closed: attempts are made; open: none; half open: one is made, or is under way."""
        if not self.openings:
            return "closed"
        return "half_open" if self.trying or self.wait_seconds(now) <= 0.0 else "open"

    def wait_seconds(self, now: float) -> float:
        """How long until the next attempt; 0 where one may be made."""
        if not self.openings:
            return 0.0
        pause = self.pause_seconds * 2.0 ** min(self.openings - 1, LONGEST_DOUBLINGS)
        return max(0.0, self.opened_at + pause - now)

    def asked(self, now: float) -> tuple[BackendBreaker, bool]:
        """Before an attempt: whether it may be made. Of those who ask while it is half open, one may."""
        if not self.openings:
            return self, True
        if self.trying or self.wait_seconds(now) > 0.0:
            return self, False
        return replace(self, trying=True), True

    def succeeded(self) -> BackendBreaker:
        """After an attempt that did."""
        return BackendBreaker(self.most, self.pause_seconds)

    def failed(self, now: float) -> BackendBreaker:
        """After one that did not."""
        failures = self.failures + 1
        if not self.openings and failures < self.most:
            return replace(self, failures=failures)
        return replace(self, failures=failures, openings=self.openings + 1, opened_at=now, trying=False)
