"""What the service has counted: the promise of who counts it.

Belongs here: the promise. Does not belong here: counting (`resources/risk_metrics.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from trading.risk.decision import Decision, Versions


class Figures(Protocol):
    """Figures of one worker, and those of the others beside them. No call waits for anything, but `text` and `leave`,
    which read and write files."""

    def answered(self, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        ...

    def refused_request(self, code: str) -> None:
        """A request was not answered as asked."""
        ...

    def decided(self, decisions: Sequence[Decision]) -> None:
        """These were decided and kept."""
        ...

    def waiting(self, queue: str, count: int) -> None:
        """So many requests wait in a queue."""
        ...

    def expired(self, count: int) -> None:
        """Reservations whose time was over."""
        ...

    def reservations(self, count: int) -> None:
        """Orders at work."""
        ...

    def drifted(self, largest: float) -> None:
        """How far sums kept were off."""
        ...

    def breaker(self, backend: str, state: str) -> None:
        """A backend's breaker: closed, half_open or open."""
        ...

    def reads(self, hits: int, misses: int) -> None:
        """So many more reads of facts that the cache had, and had not."""
        ...

    def ready(self, is_ready: bool) -> None:
        """Whether orders can be judged."""
        ...

    def versions(self, found: Versions) -> None:
        """What decisions are made from."""
        ...

    def text(self) -> str:
        """Figures of all workers, as Prometheus reads them."""
        ...

    def leave(self) -> None:
        """Leaves this worker's figures for the others."""
        ...
