"""Which session a trade belongs to, and how far back a gateway of Interactive Brokers remembers.

Belongs here: the arithmetic of the gateway's days. Does not belong here: exchange calendars: the desk has a session
every Monday to Friday, whoever is closed.

A gateway tells executions and ended orders since the midnight before, TWS up to seven days where its trade log is set
to. What lies further back it leaves out without a word, so an answer that would need it is refused here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from trading.errors import ConfigError

MIDNIGHT = time(0)


@dataclass(frozen=True, slots=True)
class GatewayDays:
    """Days in the gateway's time zone. A session ends at `session_ends` of its date (None: at midnight), and what is
    traded later, or on a weekend, belongs to the next one; `history_days` are remembered, today included."""

    timezone: str
    session_ends: time | None = None
    history_days: int = 1

    def check(self) -> None:
        """Raises ConfigError where the time zone is not one."""
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError) as cause:
            raise ConfigError(
                f"trading.broker.timezone is {self.timezone!r}, which is no time zone. Write an IANA name, like "
                "America/New_York."
            ) from cause

    def session_of(self, instant: datetime) -> date:
        """The session that a trade at this instant belongs to."""
        local = instant.astimezone(ZoneInfo(self.timezone))
        late = self.session_ends is not None and local.time() >= self.session_ends
        return _weekday_from(local.date() + timedelta(days=int(late)))

    def date_of(self, instant: datetime) -> date:
        """The gateway's date."""
        return instant.astimezone(ZoneInfo(self.timezone)).date()

    def session_before(self, session: date) -> date:
        """The weekday before."""
        return session - timedelta(days=3 if session.weekday() == 0 else 1)

    def last_session(self, now: datetime) -> date:
        """The newest session whose date has come."""
        today = self.date_of(now)
        return today - timedelta(days=max(0, today.weekday() - 4))

    def remembers(self, session: date, now: datetime) -> bool:
        """Whether the gateway still knows all that was traded in a session."""
        return self._begins(session) >= self._remembered_since(now)

    def remembers_date(self, day: date, now: datetime) -> bool:
        """Whether the gateway still knows what was done on a date."""
        return day >= self._remembered_since(now).date()

    def _begins(self, session: date) -> datetime:
        """When the session's trading begins: as the session before ends."""
        before = self.session_before(session)
        if self.session_ends is None:
            return datetime.combine(before + timedelta(days=1), MIDNIGHT, ZoneInfo(self.timezone))
        return datetime.combine(before, self.session_ends, ZoneInfo(self.timezone))

    def _remembered_since(self, now: datetime) -> datetime:
        first = self.date_of(now) - timedelta(days=self.history_days - 1)
        return datetime.combine(first, MIDNIGHT, ZoneInfo(self.timezone))


def _weekday_from(day: date) -> date:
    """The day itself, or the Monday after a weekend."""
    return day + timedelta(days=7 - day.weekday()) if day.weekday() > 4 else day
