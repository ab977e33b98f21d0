"""Which sessions a check looks at.

Belongs here: reading the run's partition, its range, or neither. Does not belong here: which sessions are open.
"""

from datetime import date

import dagster as dg

from assets.layers import Sources
from assets.partitions import session_range
from trading.errors import DatasetNotFound
from trading.frames import Dataset, day

_PARTITION_TAGS = ("dagster/partition", "dagster/asset_partition_range_start")


def examined_sessions(context: dg.AssetCheckExecutionContext, sources: Sources, dataset: Dataset) -> tuple[date, date]:
    """First and last session a check run examines: its partition, the ends of its range, or without partitions the
    dataset's newest session (today for a dataset without rows)."""
    if any(tag in context.run.tags for tag in _PARTITION_TAGS):
        return session_range(context.op_execution_context)
    newest = newest_session(sources, dataset)
    return newest, newest


def newest_session(sources: Sources, dataset: Dataset) -> date:
    """The newest session a dataset has rows of, or today."""
    today = sources.now.date()
    try:
        rows = sources.frames.latest(dataset, through=today)
    except DatasetNotFound:
        return today
    return max((day(session) for session in rows["session"].to_pylist()), default=today)
