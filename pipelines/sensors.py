"""What the desk reacts to: files that arrive, runs that fail.

Belongs here: the drop-folder sensor and the failure sensor. Does not belong here: limits (`orders.py`), or what a
notice looks like at the other end (`resources/notifiers/`).
"""

import hashlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import dagster as dg

from pipelines.in_force import tags_of
from pipelines.jobs import INGEST, JOBS
from pipelines.orders import orders
from pipelines.place import located, place
from pipelines.processes import end_elsewhere
from pipelines.quality import QUALITY
from trading.config.models import DeskSettings
from trading.ports import Ledger, Notice, Notifier

WATCHED = [*JOBS, orders, QUALITY]
SETTLED_S = 10.0  # a file younger than this may still be written


def fingerprint(folder: Path, now_s: float) -> str | None:
    """A hash of names, sizes and times of all CSV files; None while there are none or one is still being written."""
    files = sorted(file for file in folder.rglob("*.csv") if file.is_file())
    facts = [(str(file.relative_to(folder)), file.stat().st_size, file.stat().st_mtime) for file in files]
    if not facts or any(now_s - written < SETTLED_S for _, _, written in facts):
        return None
    return hashlib.sha256(repr(facts).encode()).hexdigest()


@dg.sensor(
    job=INGEST,
    minimum_interval_seconds=30,
    description="Loads the vendor's folder again when its files change (or <home>/drop, for vendors without a folder).",
)
def drop_folder(
    context: dg.SensorEvaluationContext,
    desk: dg.ResourceParam[DeskSettings],
    home: dg.ResourceParam[Path],
    clock: dg.ResourceParam[Callable[[], datetime]],
) -> dg.RunRequest | dg.SkipReason:
    """One run for each settled state of the folder."""
    folder = located(desk.data.vendor.source, place(home)) if desk.data.vendor.source else home / "drop"
    if not folder.is_dir():
        return dg.SkipReason(f"{folder} is not a folder.")
    found = fingerprint(folder, clock().timestamp())
    if found is None:
        return dg.SkipReason(f"{folder} has no CSV files, or one is still being written.")
    if found == context.cursor:
        return dg.SkipReason(f"nothing has changed in {folder}.")
    context.update_cursor(found)
    return dg.RunRequest(run_key=found, tags={"daybook/drop_folder": str(folder), **tags_of(desk)})


@dg.run_failure_sensor(
    monitored_jobs=WATCHED,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells people that a run failed: in the log, and at the webhook where one is configured.",
)
def run_failed(
    context: dg.RunFailureSensorContext, notifier: dg.ResourceParam[Notifier], ledger: dg.ResourceParam[Ledger]
) -> None:
    """One notice for each failed run, and its end in the journal."""
    run = context.dagster_run
    end_elsewhere(ledger, run, "failed")
    session = run.tags.get("dagster/partition") or run.tags.get("dagster/asset_partition_range_end") or "none"
    facts = {"job": run.job_name, "run": run.run_id, "session": session}
    notifier.notify(Notice("error", f"{run.job_name} failed", context.failure_event.message or "", facts))


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    monitored_jobs=WATCHED,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Records in the journal that a run which the UI, a schedule or a sensor started has ended well.",
)
def run_done(context: dg.RunStatusSensorContext, ledger: dg.ResourceParam[Ledger]) -> None:
    """The end of each run that no command of ours carried out."""
    end_elsewhere(ledger, context.dagster_run, "done")


SENSORS = [drop_folder, run_failed, run_done]
