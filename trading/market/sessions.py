"""Sessions: which desk dates are open for whom, and which session a time stamp belongs to.

Belongs here: calendar values and date arithmetic on them. Does not belong here: where holidays come from
(`resources/csv_reference.py`), or the clock.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from trading.errors import CalculationError

if TYPE_CHECKING:  # the ports name a calendar, and reading them must not cost what pandas does
    import pandas as pd


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


def desk_dates(first: date | pd.Timestamp, last: date | pd.Timestamp) -> pd.DatetimeIndex:
    """Every Monday to Friday from `first` to `last`, both included, at midnight (datetime64[us])."""
    import pandas as pd

    return pd.DatetimeIndex(pd.bdate_range(first, last).to_numpy(dtype="datetime64[us]"), name="session")


def assign_sessions(stamps: pd.Series, calendar: SessionCalendar | None = None) -> pd.Series:
    """The session each time stamp belongs to: midnights (datetime64[us]) on the index of `stamps`.

    Without a calendar (`weekdays`): the stamp's own date, Saturday and Sunday counted to the Friday before (reference
    numbers, section 1). With one: the first open session at or after the stamp's date, so that a Sunday evening or a
    holiday belongs to the session it opens. Raises CalculationError for a missing stamp, or one that the calendar does
    not reach.
    """
    import pandas as pd

    days = stamps.dt.normalize().to_numpy(dtype="datetime64[D]")
    if np.isnat(days).any():
        raise CalculationError(
            f"{int(np.isnat(days).sum())} of {len(days)} time stamps are missing, so their session is unknown. "
            "Quarantine those rows first."
        )
    sessions = _weekdays_of(days) if calendar is None else _sessions_of(days, calendar)
    return pd.Series(sessions.astype("datetime64[us]"), index=stamps.index, name="session")


def _weekdays_of(days: npt.NDArray[np.datetime64]) -> npt.NDArray[np.datetime64]:
    return np.asarray(np.busday_offset(days, 0, roll="backward"))


def _sessions_of(days: npt.NDArray[np.datetime64], calendar: SessionCalendar) -> npt.NDArray[np.datetime64]:
    sessions = np.array(calendar.sessions, dtype="datetime64[D]")
    if not len(days):
        return days
    earliest, latest = days.min(), days.max()
    if earliest < np.datetime64(calendar.first) or not len(sessions) or latest > sessions[-1]:
        raise CalculationError(
            f"time stamps from {earliest} to {latest} do not fit the calendar of {calendar.group}, whose sessions are "
            f"known from {calendar.first} to {calendar.last}. Ask the reference data for a wider calendar."
        )
    return sessions[np.searchsorted(sessions, days)]
