"""The jobs: which assets run together, and how.

Belongs here: selections and executors. Does not belong here: when they run (`schedules.py`, `sensors.py`), or assets.

Every job runs in one process: a process a step would pay seconds of imports for each of thirty steps.
"""

from collections.abc import Sequence

import dagster as dg

from assets import (
    analytics,
    backtests,
    backups,
    book,
    clean,
    continuous,
    history,
    raw,
    reconciliation,
    reports,
    signals,
)
from assets.partitions import SESSIONS

BY_SESSION = [
    *raw.ASSETS, *clean.ASSETS, *continuous.ASSETS, *analytics.ASSETS, *signals.ASSETS, *book.ASSETS,
    *reconciliation.ASSETS, *reports.ASSETS,
]  # fmt: skip
UNPARTITIONED = [*history.ASSETS, *backtests.ASSETS, *backups.ASSETS]
PRICES = [*raw.ASSETS, *clean.ASSETS, *continuous.ASSETS]


def _job(
    name: str, assets: Sequence[dg.AssetsDefinition], description: str, *, by_session: bool = True
) -> dg.UnresolvedAssetJobDefinition:
    return dg.define_asset_job(
        name,
        selection=dg.AssetSelection.assets(*assets),
        description=description,
        partitions_def=SESSIONS if by_session else None,
        executor_def=dg.in_process_executor,
        tags={"daybook/job": name},
    )


INGEST = _job("ingest", history.ASSETS, "Loads all history of the desk's vendor.", by_session=False)
PRICES_OF_SESSION = _job("prices", PRICES, "Takes in one session's prices: raw, clean and continuous.")
CLOSE = _job(
    "close", BY_SESSION, "The end of the day: prices in, checked, measured, traded on paper, valuedreported."
)
BACKFILL = _job("backfill", BY_SESSION, "The close of many sessions, in order, in one run.")
BACKTEST = _job("backtest", backtests.ASSETS, "A strategy over history, its curve drawn.", by_session=False)
BACKUP = _job("backup", backups.ASSETS, "A snapshot of the whole desk.", by_session=False)
JOBS = [INGEST, PRICES_OF_SESSION, CLOSE, BACKFILL, BACKTEST, BACKUP]
