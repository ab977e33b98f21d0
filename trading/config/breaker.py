"""A circuit breaker for changes of the configuration: values, the time passed in.

Belongs here: when a storm of changes, or of bad ones, is held back, and when it is tried again. Does not belong here:
the clock, who is told (`resources/config_watcher.py`), or what a change is.

Closed, at most so many changes and so many refusals are taken within a window. The attempt after that opens it: nothing
is tried for a pause. Then it is half open: one attempt is let through, which closes it when it is good and opens it
again when it is not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

State = Literal["closed", "open", "half_open"]
Cause = Literal["changes", "refusals"]


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    """How many changes and refusals there may be within `window_seconds`, and how long nothing is tried after that."""

    max_changes: int
    max_refusals: int
    pause_seconds: float
    window_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Breaker:
    """Where a breaker stands. Every `now` is seconds of one clock that does not go back; methods give a new value.

    `changes` and `refusals` are the instants of those within the window. `cause` says what there was too much of, and
    `reason` says it in words; none while it is closed.
    """

    limits: BreakerLimits
    state: State = "closed"
    changes: tuple[float, ...] = ()
    refusals: tuple[float, ...] = ()
    opened_at: float = 0.0
    cause: Cause | None = None
    reason: str = ""

    def asked(self, now: float) -> Breaker:
        """Before an attempt: opens where there were too many, and becomes half open when the pause is over. The attempt
        may be made unless the result is open."""
        if self.state == "open":
            return replace(self, state="half_open") if self.wait_seconds(now) <= 0 else self
        if self.state == "half_open":
            return self
        recent = self._recent(now)
        if len(recent.changes) >= self.limits.max_changes:
            return recent._opened(now, "changes", self._many(len(recent.changes), self.limits.max_changes, "changes"))
        if len(recent.refusals) >= self.limits.max_refusals:
            said = self._many(len(recent.refusals), self.limits.max_refusals, "refused configurations")
            return recent._opened(now, "refusals", said)
        return recent

    def changed(self, now: float) -> Breaker:
        """After an attempt that changed the configuration. One that was let through although this is open leaves it
        open."""
        if self.state == "open":
            return self
        kept = self._recent(now) if self.state == "closed" else Breaker(self.limits)
        return replace(kept, changes=(*kept.changes, now))

    def refused(self, now: float) -> Breaker:
        """After an attempt that was refused."""
        if self.state == "half_open":
            return self._opened(now, "refusals", "the attempt after the pause was refused too")
        kept = self._recent(now)
        return replace(kept, refusals=(*kept.refusals, now))

    def unchanged(self, now: float) -> Breaker:
        """After an attempt that found nothing to change: it counts for nothing, and closes what was half open."""
        return self._recent(now) if self.state == "closed" else Breaker(self.limits)

    def wait_seconds(self, now: float) -> float:
        """How long until an attempt may be made; 0 where it may be made now."""
        return max(0.0, self.opened_at + self.limits.pause_seconds - now) if self.state == "open" else 0.0

    def _recent(self, now: float) -> Breaker:
        since = now - self.limits.window_seconds
        changes = tuple(at for at in self.changes if at > since)
        return replace(self, changes=changes, refusals=tuple(at for at in self.refusals if at > since))

    def _many(self, count: int, most: int, what: str) -> str:
        return f"{count} {what} within {self.limits.window_seconds:g} s (at most {most} are taken)"

    def _opened(self, now: float, cause: Cause, reason: str) -> Breaker:
        return Breaker(self.limits, "open", (), (), now, cause, reason)
