"""What the risk engine keeps, in the memory of one process.

Belongs here: decisions and reservations in lists, for tests, backtests and a desk of one process. Does not belong here:
anything that survives the process.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from itertools import islice

from resources.reservation_entries import new_mark
from trading.risk.decision import Decision, Measured
from trading.risk.kept import About, Kept, Torn, Wanted
from trading.risk.layout import REDUCING, layout_of
from trading.risk.reservations import Answer, Base, Entry, LogLost, Place


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
            _no_worse(measured) if measured is not None else (),
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


def _no_worse(measured: Measured) -> tuple[bool | None, ...]:
    values, outcomes = measured.values[measured.row], measured.outcomes[measured.row].tobytes()
    return layout_of(measured.wording).no_worse(measured.leg, values, outcomes)


class MemoryReservations:
    """ReservationLog in a list, for engines of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._epoch, self._base, self._first, self._mark = "", None, 0, ""  # type: str, Base | None, int, str
        self._entries: list[Entry] = []

    def mark(self) -> str:
        """As the port."""
        return new_mark()

    def append(self, entry: Entry, at: Place) -> Answer:
        """As the port."""
        with self._lock:
            missed = self._since(at)
            if missed.missed or missed.base is not None:
                return missed
            self._entries.append(entry)
            return Answer(True, self._end(), len(self._entries))

    def since(self, at: Place | None) -> Answer:
        """As the port."""
        with self._lock:
            return self._since(at)

    def begin(self, base: Base, instead: Place | None) -> Answer:
        """As the port."""
        with self._lock:
            if instead == (None if self._base is None else self._end()):
                self._epoch, self._base, self._first, self._mark = new_mark(), base, 0, base.mark
                self._entries = []
            return self._since(None)

    def compact(self, base: Base, at: Place) -> bool:
        """As the port."""
        with self._lock:
            gone = at.number - self._first
            if at.epoch != self._epoch or gone <= 0 or self._mark_at(at.number) != at.mark:
                return False
            self._base, self._first, self._mark = base, at.number, at.mark
            self._entries = self._entries[gone:]
            return True

    def close(self) -> None:
        """As the port: nothing is open."""

    def _end(self) -> Place:
        mark = self._entries[-1].mark if self._entries else self._mark
        return Place(self._epoch, self._first + len(self._entries), mark)

    def _mark_at(self, number: int) -> str | None:
        behind = number - self._first
        if not 0 <= behind <= len(self._entries):
            return None
        return self._entries[behind - 1].mark if behind else self._mark

    def _since(self, at: Place | None) -> Answer:
        if self._base is None:
            raise LogLost("there is no log of reservations.")
        if at is not None and (at.epoch != self._epoch or at.number > self._first + len(self._entries)):
            raise LogLost("the log of reservations is not the one that was known.")
        if at is None or at.number < self._first:
            return Answer(False, self._end(), len(self._entries), tuple(self._entries), self._base)
        if self._mark_at(at.number) != at.mark:
            raise LogLost("the log of reservations went on otherwise.")
        return Answer(False, self._end(), len(self._entries), tuple(self._entries[at.number - self._first :]))
