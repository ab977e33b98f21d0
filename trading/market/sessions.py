"""Sessions: which desk dates are open for whom, and which session a time stamp belongs to.

Belongs here: calendar values and date arithmetic on them. Does not belong here: where holidays come from
(`resources/csv_reference.py`), or the clock.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from datetime import date


@dataclass(frozen=True, slots=True)
class SessionCalendar:
    """Open sessions of one exchange group between `first` and `last`, ascending; `early_closes` is a subset of them."""

    group: str
    first: date
    last: date
    sessions: tuple[date, ...]
    early_closes: frozenset[date] = field(default_factory=frozenset)

    def is_open(self, day: date) -> bool:
        """Whether the group trades on that desk date."""
        place = bisect_left(self.sessions, day)
        return place < len(self.sessions) and self.sessions[place] == day

    def before(self, day: date) -> date | None:
        """The last session earlier than `day`, or None."""
        place = bisect_left(self.sessions, day)
        return self.sessions[place - 1] if place else None

    def after(self, day: date) -> date | None:
        """The first session later than `day`, or None."""
        place = bisect_right(self.sessions, day)
        return self.sessions[place] if place < len(self.sessions) else None

    def between(self, first: date, last: date) -> tuple[date, ...]:
        """Sessions from `first` to `last`, both included."""
        return self.sessions[bisect_left(self.sessions, first) : bisect_right(self.sessions, last)]
