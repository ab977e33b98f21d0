"""When the day is closed: after each exchange group its prices come in, after the last one the desk closes.

Belongs here: schedules, made from the reference data's exchange groups. Does not belong here: jobs, or calendars'
content. A group that is closed that day is skipped, and the schedule says so.
"""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import dagster as dg

from pipelines.jobs import CLOSE, PRICES_OF_SESSION
from trading.market.instruments import ExchangeGroup
from trading.ports import ReferenceStore

AFTER_CLOSE = timedelta(minutes=20)  # vendors need a while to settle
DESK_AFTER = timedelta(minutes=60)  # the desk closes after the last group, and after its prices came in


def _cron(at: time, later: timedelta) -> str:
    moment = (datetime.combine(date(2000, 1, 3), at) + later).time()
    return f"{moment.minute} {moment.hour} * * 1-5"


def prices_schedule(group: ExchangeGroup) -> dg.ScheduleDefinition:
    """Takes in prices after an exchange group's last close, on its open sessions."""

    @dg.schedule(
        name=f"prices_{group.name.lower()}",
        job=PRICES_OF_SESSION,
        cron_schedule=_cron(group.close_local, AFTER_CLOSE),
        execution_timezone=group.timezone,
        description=f"Prices of {group.description or group.name}, after their close at {group.close_local:%H:%M} "
        f"{group.timezone}.",
    )
    def schedule(
        context: dg.ScheduleEvaluationContext, reference: dg.ResourceParam[ReferenceStore]
    ) -> dg.RunRequest | dg.SkipReason:
        session = context.scheduled_execution_time.astimezone(ZoneInfo(group.timezone)).date()
        if not reference.calendar(group.name, session, session).is_open(session):
            return dg.SkipReason(f"{group.name} is closed on {session}.")
        return dg.RunRequest(partition_key=session.isoformat(), run_key=f"{group.name}:{session}")

    return schedule


def last_to_close(groups: list[ExchangeGroup]) -> ExchangeGroup:
    """The group whose close is the latest instant of a desk date."""
    day = date(2000, 1, 3)
    return max(groups, key=lambda group: datetime.combine(day, group.close_local, ZoneInfo(group.timezone)))


def close_schedule(groups: list[ExchangeGroup]) -> dg.ScheduleDefinition:
    """Closes the desk after the last group of the day."""
    last = last_to_close(groups)

    @dg.schedule(
        name="close_of_day",
        job=CLOSE,
        cron_schedule=_cron(last.close_local, DESK_AFTER),
        execution_timezone=last.timezone,
        description=f"Closes the desk's day after the last exchange group ({last.name}).",
    )
    def schedule(
        context: dg.ScheduleEvaluationContext, reference: dg.ResourceParam[ReferenceStore]
    ) -> dg.RunRequest | dg.SkipReason:
        session = context.scheduled_execution_time.astimezone(ZoneInfo(last.timezone)).date()
        if not any(reference.calendar(group.name, session, session).is_open(session) for group in groups):
            return dg.SkipReason(f"every exchange group is closed on {session}.")
        return dg.RunRequest(partition_key=session.isoformat(), run_key=f"close:{session}")

    return schedule


def schedules(groups: Callable[[], list[ExchangeGroup]]) -> list[dg.ScheduleDefinition]:
    """One schedule an exchange group, and the desk's own."""
    found = groups()
    return [*(prices_schedule(group) for group in found), close_schedule(found)]
