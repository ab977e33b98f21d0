"""When the day is closed: after each exchange group its prices come in, after the last one the desk closes.

Belongs here: schedules, made from the reference data's exchange groups. Does not belong here: jobs, or calendars'
content. A group that is closed that day is skipped, and the schedule says so.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import dagster as dg

from assets.partitions import SESSIONS
from assets.raw import FX_GROUP
from pipelines.desk import followed_groups
from pipelines.in_force import tags_of
from pipelines.jobs import CLOSE, PRICES_OF_SESSION
from trading.config.models import DeskSettings
from trading.market.instruments import ExchangeGroup
from trading.ports import PriceVendor, ReferenceStore

AFTER_CLOSE = timedelta(minutes=20)  # vendors need a while to settle
DESK_AFTER = timedelta(minutes=60)  # the desk closes after the last group, and after its prices came in
SAMPLED = [date(2024, 1, 1) + timedelta(weeks=week) for week in range(53)]  # clocks change on weekends: Mondays do

Asked = dg.RunRequest | dg.SkipReason


@dataclass(frozen=True, slots=True)
class Tick:
    """A time of day in a zone at which a session's work begins: `later` than the close of that session."""

    close_local: time
    later: timedelta
    timezone: str

    def cron(self) -> str:
        """Monday to Friday; Tuesday to Saturday where the tick lies beyond midnight."""
        moment = datetime.combine(date(2024, 1, 1), self.close_local) + self.later
        return f"{moment.minute} {moment.hour} * * {'1-5' if moment.day == 1 else '2-6'}"

    def session(self, scheduled: datetime) -> date:
        """The session that closed before a scheduled instant."""
        return (scheduled.astimezone(ZoneInfo(self.timezone)) - self.later).date()


@dataclass(frozen=True, slots=True)
class Asking:
    """A schedule's question when it ticks: is there a session to work on? Some of `groups` must have traded."""

    name: str
    tick: Tick
    groups: Sequence[str]

    def answer(
        self, scheduled: datetime, reference: ReferenceStore, desk: DeskSettings, followed: Collection[str]
    ) -> Asked:
        """The run of the tick's session, or why there is none. `followed` are the exchange groups of the desk."""
        session = self.tick.session(scheduled)
        mine = [group for group in self.groups if group in followed]
        if not SESSIONS.has_partition_key(session.isoformat()):
            return dg.SkipReason(f"{session} is not a session of the desk.")
        if not mine:
            return dg.SkipReason(f"this desk follows no instrument of {', '.join(self.groups)}.")
        if desk.data.prices.calendar == "exchange" and not _any_open(mine, session, reference):
            return dg.SkipReason(f"{session} is a holiday: {', '.join(mine)} closed.")
        key = f"{self.name}:{session}"
        return dg.RunRequest(run_key=key, partition_key=session.isoformat(), tags=tags_of(desk))


def _any_open(groups: Sequence[str], session: date, reference: ReferenceStore) -> bool:
    return any(reference.calendar(group, session, session).is_open(session) for group in groups)


def prices_schedule(group: ExchangeGroup) -> dg.ScheduleDefinition:
    """Takes in prices after an exchange group's last close, on its open sessions."""
    tick = Tick(group.close_local, AFTER_CLOSE, group.timezone)
    asking = Asking(f"prices_{group.name.lower()}", tick, [group.name])

    @dg.schedule(
        name=asking.name,
        job=PRICES_OF_SESSION,
        cron_schedule=tick.cron(),
        execution_timezone=tick.timezone,
        description=f"Prices of {group.description or group.name}, after their close at {group.close_local:%H:%M} "
        f"{group.timezone}.",
    )
    def schedule(
        context: dg.ScheduleEvaluationContext,
        reference: dg.ResourceParam[ReferenceStore],
        desk: dg.ResourceParam[DeskSettings],
        vendor: dg.ResourceParam[PriceVendor],
    ) -> Asked:
        scheduled = context.scheduled_execution_time
        followed = followed_groups(tick.session(scheduled), reference, desk, vendor) | {FX_GROUP}
        return asking.answer(scheduled, reference, desk, followed)

    return schedule


def last_to_close(groups: Sequence[ExchangeGroup]) -> ExchangeGroup:
    """The group whose close is the latest instant of a desk date, on most weeks of a year."""
    latest = [max(groups, key=lambda group: _closed_at(group, day)).name for day in SAMPLED]
    return max(groups, key=lambda group: latest.count(group.name))


def overhang(last: ExchangeGroup, groups: Sequence[ExchangeGroup]) -> timedelta:
    """How much later than `last` another group ever closes: clocks change on different weekends."""
    return max(_closed_at(group, day) - _closed_at(last, day) for group in groups for day in SAMPLED)


def _closed_at(group: ExchangeGroup, day: date) -> datetime:
    """The close as an instant: subtracting times of one zone would leave out a change of the clocks."""
    return datetime.combine(day, group.close_local, ZoneInfo(group.timezone)).astimezone(ZoneInfo("UTC"))


def close_schedule(groups: Sequence[ExchangeGroup]) -> dg.ScheduleDefinition:
    """Closes the desk after the last group of the day, whatever the clocks do. Currencies alone are no reason to."""
    last = last_to_close(groups)
    tick = Tick(last.close_local, DESK_AFTER + overhang(last, groups), last.timezone)
    asking = Asking("close_of_day", tick, [group.name for group in groups])

    @dg.schedule(
        name=asking.name,
        job=CLOSE,
        cron_schedule=tick.cron(),
        execution_timezone=tick.timezone,
        description=f"Closes the desk's day after the last exchange group ({last.name}).",
    )
    def schedule(
        context: dg.ScheduleEvaluationContext,
        reference: dg.ResourceParam[ReferenceStore],
        desk: dg.ResourceParam[DeskSettings],
        vendor: dg.ResourceParam[PriceVendor],
    ) -> Asked:
        scheduled = context.scheduled_execution_time
        followed = followed_groups(tick.session(scheduled), reference, desk, vendor)
        return asking.answer(scheduled, reference, desk, followed)

    return schedule


def schedules(groups: Callable[[], list[ExchangeGroup]]) -> list[dg.ScheduleDefinition]:
    """One schedule an exchange group, and the desk's own."""
    found = groups()
    return [*(prices_schedule(group) for group in found), close_schedule(found)]
