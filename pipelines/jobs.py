"""The jobs: which assets run together, and how.

Belongs here: selections and executors. Does not belong here: when they run (`schedules.py`, `sensors.py`), or assets.

Names of strategy files are read when this is loaded: reload the code location after adding one. The job `backtest`
runs those that trade, or all where none does; any other is an asset to be run by itself.
Every job runs in one process: a process a step would pay seconds of imports for each of thirty steps.
"""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from assets import (
    analytics,
    attribution,
    backtests,
    backups,
    book,
    clean,
    continuous,
    history,
    milestones,
    quality,
    raw,
    reconciliation,
    reports,
    risk,
    signals,
    signing,
    sweeps,
)
from checks import expectations
from checks.look_ahead import look_ahead_checks
from pipelines.settings import place, strategy_files, traded_names

BY_SESSION = [
    *raw.ASSETS, *clean.ASSETS, *continuous.ASSETS, *analytics.ASSETS, signals.signals, book.book,
    attribution.attribution, *risk.ASSETS, reconciliation.breaks, *quality.ASSETS, signing.signature,
    reports.daily_report, *milestones.ASSETS,
]  # fmt: skip
STRATEGIES = tuple(strategy_files(place()))
TRADED = frozenset(traded_names(place()))
BACKTESTS = dict(zip(STRATEGIES, backtests.backtest_assets(STRATEGIES), strict=True))
BACKTEST_CHECKS = look_ahead_checks(STRATEGIES)
UNPARTITIONED = [history.history, *BACKTESTS.values(), sweeps.variants, backups.backup]
PRICES = [*raw.ASSETS, *clean.ASSETS, *continuous.ASSETS]
CALCULATED = [*PRICES, *analytics.ASSETS, signals.signals]  # made of data and settings; nothing is traded or signed


def _job(name: str, assets: Sequence[dg.AssetsDefinition], description: str) -> Any:
    return dg.define_asset_job(
        name,
        selection=dg.AssetSelection.assets(*assets) - dg.AssetSelection.checks(*expectations.CHECKS),
        description=description,
        executor_def=dg.in_process_executor,
        tags={"daybook/job": name},
    )


INGEST = _job("ingest", [history.history], "Loads all history of the desk's vendor.")
PRICES_OF_SESSION = _job("prices", PRICES, "Takes in one session's prices: raw, clean and continuous.")
CLOSE = _job("close", BY_SESSION, "The end of the day: prices checked, measured, traded on paper, valued, reported.")
RECALCULATE = _job(
    "recalculate", CALCULATED, "A session's prices, measures and signals again, or some: never the book or its risk."
)
RECONCILE = _job("reconcile", [reconciliation.breaks], "One session's book against the broker's statement, again.")
BACKFILL = _job("backfill", BY_SESSION, "The close of many sessions, in order, in one run.")
_RUN = [asset for name, asset in BACKTESTS.items() if name in TRADED] or list(BACKTESTS.values())
BACKTEST = _job("backtest", _RUN, "Strategies over history, curves drawn.")
SWEEP = _job("sweep", [sweeps.variants], "Many variants of one strategy over history, the best shown.")
BACKUP = _job("backup", [backups.backup], "A snapshot of the whole desk.")
JOBS = [INGEST, PRICES_OF_SESSION, CLOSE, RECALCULATE, RECONCILE, BACKFILL, BACKTEST, SWEEP, BACKUP]
