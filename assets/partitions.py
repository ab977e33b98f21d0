"""The partitions of the project: one a desk session, Monday to Friday.

Belongs here: the partitions definition and how a run's partition or range becomes sessions. Does not belong here: which
exchange group is open on a session (an exchange that is closed is *closed*, its desk date still a session).
"""

from datetime import date

import dagster as dg

FIRST_SESSION = date(2000, 1, 3)

# end_offset: the session of today can be closed today, after the last exchange has closed.
SESSIONS = dg.TimeWindowPartitionsDefinition(
    start=FIRST_SESSION.isoformat(),
    fmt="%Y-%m-%d",
    cron_schedule="0 0 * * 1-5",
    end_offset=1,
    exclusions=["0 0 1 1 *"],
)


def session_range(context: dg.AssetExecutionContext | dg.OpExecutionContext) -> tuple[date, date]:
    """First and last session of the run: equal for one partition, the ends of the range for a single-run backfill."""
    keys = context.partition_key_range
    return date.fromisoformat(keys.start), date.fromisoformat(keys.end)
