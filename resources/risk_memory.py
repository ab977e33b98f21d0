"""What the risk engine keeps, in the memory of one process.

Belongs here: decisions and reservations in lists, for tests, backtests and a desk of one process. Does not belong here:
anything that survives the process.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from itertools import islice

from trading.risk.decision import Decision
from trading.risk.kept import About, Kept, Torn, Wanted
from trading.risk.layout import REDUCING


class MemoryDecisionLog:
    """DecisionLog in a list."""

    def __init__(self, writer: str = "memory") -> None:
        self.writer = writer
        self._lock = threading.Lock()
        self._kept: list[Kept] = []
        self._number = 0

    def append(self, decisions: Sequence[Decision], about: About) -> int:
        """As the port."""
        with self._lock:
            call = self._number + 1
            for number, decision in enumerate(decisions, call):
                self._kept.append(self._made(decision, about, number, call))
            self._number += len(decisions)
            return self._number

    def _made(self, decision: Decision, about: About, number: int, call: int) -> Kept:
        measured, reasons = decision.measured, () if decision.outcome == "pass" else decision.reasons
        reduces = measured is not None and bool((measured.outcomes[measured.row] & REDUCING).any())
        return Kept(
            self.writer, number, call, about, decision.asked, decision.outcome, decision.granted_contracts, reasons,
            decision.rules if measured is not None else (), reduces, decision.versions, decision.microseconds,
        )  # fmt: skip

    def read(self, wanted: Wanted = Wanted()) -> Iterator[Kept]:  # noqa: B008 -- immutable
        """As the port."""
        with self._lock:
            held = sorted(self._kept, key=lambda one: (one.about.at, one.number), reverse=True)
        found = (
            one for one in held
            if wanted.takes(one.about, one.asked, one.outcome)
            and wanted.takes_reasons(one.reasons)
        )  # fmt: skip
        return islice(found, wanted.limit)

    def torn(self) -> list[Torn]:
        """As the port: there are none."""
        return []

    def prune(self, keep_days: int, today: date) -> int:
        """As the port; a session counts as one segment."""
        first = today - timedelta(days=keep_days)
        with self._lock:
            gone = {one.about.session for one in self._kept if one.about.session < first}
            self._kept = [one for one in self._kept if one.about.session not in gone]
        return len(gone)

    def flush(self) -> None:
        """As the port: nothing is waited for."""

    def close(self) -> None:
        """As the port: nothing is open."""
