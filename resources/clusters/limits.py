"""When work is stopped, the same on every cluster.

Belongs here: reading the limits of `trading.ports.Limits` against a clock and a measure of memory. Does not belong
here: workers.
"""

from __future__ import annotations

import time

from trading.errors import Cancelled, DeadlinePassed, MemoryCeilingPassed, WorkerLost, WorkStopped
from trading.ports import Limits

BETWEEN_LOOKS_S = 0.05  # how often limits are looked at while nothing happens
_MEGABYTE = 1024 * 1024
_AGAIN = "Run it again to do the rest, or give it"


class Watch:
    """The limits of one piece of work, which began when this was made; `total` items are to be done."""

    def __init__(self, limits: Limits, total: int) -> None:
        self._limits, self.total, self.done = limits, total, 0
        self._counted = time.monotonic() + limits.starting_s  # when the deadline begins to count

    def ready(self) -> None:
        """Workers are ready: the deadline counts from now, if it did not before."""
        self._counted = min(self._counted, time.monotonic())

    @property
    def measures_memory(self) -> bool:
        """Whether anybody wants to know what workers hold."""
        return self._limits.memory_mb is not None

    def pause_s(self) -> float:
        """How long to wait before looking again."""
        if self._limits.deadline_s is None:
            return BETWEEN_LOOKS_S
        left = self._counted + self._limits.deadline_s - time.monotonic()
        return min(BETWEEN_LOOKS_S, max(left, 0.0))

    def look(self, largest_bytes: float = 0.0) -> None:
        """Raises where a limit is passed; `largest_bytes` is what the largest worker holds."""
        given = self._limits
        if given.cancelled():
            raise self._stopped(Cancelled, "the work was cancelled", "Run it again to do the rest.")
        if given.deadline_s is not None and time.monotonic() - self._counted >= given.deadline_s:
            reason = f"the deadline of {given.deadline_s:g} s passed"
            raise self._stopped(DeadlinePassed, reason, f"{_AGAIN} more time.")
        held = largest_bytes / _MEGABYTE
        if given.memory_mb is not None and held > given.memory_mb:
            reason = f"a worker held {held:,.0f} MB, more than the {given.memory_mb:g} MB allowed"
            raise self._stopped(MemoryCeilingPassed, reason, f"{_AGAIN} a higher ceiling or fewer instruments.")

    def lost(self, reason: str) -> WorkStopped:
        """The error for a worker that died twice on the same items."""
        cure = "Look for what kills it (the kernel's log, if memory ran out), give it fewer workers, and run it again."
        return self._stopped(WorkerLost, reason, cure)

    def _stopped(self, kind: type[WorkStopped], reason: str, cure: str) -> WorkStopped:
        return kind(reason, self.done, self.total, cure)


def whole_chunk(items: int, workers: int) -> int:
    """Items to give a worker at once: some eight turns each, 64 at most."""
    return max(1, min(64, -(-items // (8 * max(workers, 1)))))
