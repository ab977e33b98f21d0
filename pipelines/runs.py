"""Runs a job in this process, shows its steps, and says how it ended.

Belongs here: the Dagster instance of a home, running a job, and reading its outcome. Does not belong here: what the
jobs are (`definitions.py`) or what people type (`commands/`).
"""

from __future__ import annotations

import getpass
import logging
import os
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from pipelines import processes
from pipelines.mishaps import CHECK_STOPPED, root_cause
from pipelines.settings import Place, project_folder
from pipelines.telemetry import structured_log, write_metrics
from trading import errors


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. `failed_checks` are those of error severity; `exit_code` is what the shell gets."""

    run_id: str
    success: bool
    seconds: float
    failed_steps: Mapping[str, str] = field(default_factory=dict)
    failed_checks: Mapping[str, str] = field(default_factory=dict)
    exit_code: int = 0
    materialized: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def metadata(self, asset: str) -> dict[str, Any]:
        """Plain values (text and numbers) of an asset's metadata, by name with underscores; empty if it did not run."""
        found = self.materialized.get(asset, {})
        plain = {name: getattr(value, "value", None) for name, value in found.items()}
        return {name.replace(" ", "_"): value for name, value in plain.items() if isinstance(value, str | int | float)}


def prepare(place: Place) -> Path:
    """Makes the home and its Dagster folder, points this process at them, and returns DAGSTER_HOME."""
    folder = place.home / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = (project_folder("config") / "dagster.yaml").read_text()
    file = folder / "dagster.yaml"
    if not file.exists() or file.read_text() != wanted:
        file.write_text(wanted)
    os.environ["DAGSTER_HOME"] = str(folder)
    os.environ["DAYBOOK_HOME"] = str(place.home)
    os.environ["DAYBOOK_DEPLOYMENT"] = place.deployment
    os.environ["DAYBOOK_BACKUPS"] = str(place.backups)
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "yes")
    return folder


def run(
    place: Place,
    job: str,
    *,
    span: tuple[date, date] | None = None,
    config: Mapping[str, Any] | None = None,
    quiet: bool = False,
    alone: bool = False,
    process: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> Outcome:
    """Runs a job of the project in this process: over a span of sessions, or unpartitioned.

    Runs of the same home that died are marked as such first, and named. `alone`: the caller holds the desk
    (`deployments.sole_run`); a run that writes takes it by itself otherwise. `process`: what the journal calls the run
    (default: its job). `tags`: more of them on the run. Never raises for a failing step: see `Outcome`.
    """
    with _calm():
        prepare(place)
        import dagster as dg

        from assets.milestones import ACTOR_TAG
        from pipelines.dead_runs import process_tags, reap
        from pipelines.definitions import defs
        from pipelines.deployments import resources

        with dg.DagsterInstance.get() as instance:
            run_id = _begun(place, instance, reap(instance), process or job, span)
            began = time.monotonic()
            result = defs.resolve_job_def(job).execute_in_process(
                instance=instance,
                run_id=run_id,
                run_config=_run_config(config, quiet),
                tags={**process_tags(), **_span_tags(span), ACTOR_TAG: getpass.getuser(), **(tags or {})},
                raise_on_error=False,
                # The definitions know the home of their import, which may be another.
                resources=resources(place, alone=alone),
            )
            return _outcome(result, time.monotonic() - began)


def _begun(place: Place, instance: Any, dead: list[str], process: str, span: tuple[date, date] | None) -> str:
    """Says which runs died, records that this one starts, and returns its id. A job that only reads is recorded when it
    ends: a snapshot must not hold its own backup at work."""
    from dagster._core.utils import make_new_run_id

    from pipelines.deployments import READING, utc_now

    run_id = make_new_run_id()
    if process in READING:
        return run_id
    for row in processes.settle(place, instance, dead):
        aside(f"{processes.told(row)}; going on from there")
    session = span[1] if span else utc_now().date()
    processes.begin(place, processes.Process(process, run_id, session))
    return run_id


def aside(line: str) -> None:
    """Says something that is no result: on standard error."""
    sys.stderr.write(f"  {line}\n")
    sys.stderr.flush()


def finished(place: Place, process: str, outcome: Outcome, span: tuple[date | None, date | None]) -> dict[str, Any]:
    """Records how a run ended, in the structured log, the metrics and the ledger, and returns it for printing. One that
    cannot be written to keeps nothing from the others, and is raised."""
    from pipelines.deployments import utc_now

    session = span[1] or utc_now().date()
    state = "done" if outcome.exit_code == 0 else "failed"
    reasons = {**outcome.failed_steps, **outcome.failed_checks}
    detail = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    try:
        _watched(place, process, outcome, session, state)
    finally:
        processes.end(place, processes.Process(process, outcome.run_id, session), state, detail)
    return {
        "run_id": outcome.run_id,
        "state": state,
        "seconds": round(outcome.seconds, 2),
        "failed_steps": dict(outcome.failed_steps),
        "failed_checks": dict(outcome.failed_checks),
        "exit_code": outcome.exit_code,
    }


def _watched(place: Place, process: str, outcome: Outcome, session: date, state: str) -> None:
    """Tells whoever watches the log and the metrics how a run ended."""
    from pipelines.deployments import utc_now

    failed = {**outcome.failed_steps, **outcome.failed_checks}
    with structured_log(place.home, run=outcome.run_id, session=str(session), process=process) as log:
        log.info("run ended", state=state, seconds=round(outcome.seconds, 2), failed=failed)
    figures = {"run_seconds": outcome.seconds, "run_ok": float(outcome.exit_code == 0)}
    write_metrics(place.home, process, {**figures, "run_ended_timestamp_seconds": utc_now().timestamp()})


def _run_config(config: Mapping[str, Any] | None, quiet: bool) -> dict[str, Any]:
    logger = {"console": {"config": {"log_level": "CRITICAL"}}} if quiet else {"step_lines": {}}
    return {**(config or {}), "loggers": logger}


def _span_tags(span: tuple[date, date] | None) -> dict[str, str]:
    if span is None:
        return {}
    first, last = (day.isoformat() for day in span)
    if first == last:
        return {"dagster/partition": first}
    return {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}


def _outcome(result: Any, seconds: float) -> Outcome:
    steps: dict[str, str] = {}
    checks: dict[str, str] = {}
    codes = [0]
    made: dict[str, Mapping[str, Any]] = {}
    for event in result.all_events:
        if event.event_type_value == "STEP_FAILURE":
            name, message = root_cause(event.step_failure_data.error)
            codes.append(_exit_code(name))
            if name == CHECK_STOPPED:  # the check is named below
                continue
            steps[event.step_key or "?"] = message
        elif event.event_type_value == "ASSET_CHECK_EVALUATION":
            found = event.asset_check_evaluation_data
            if not found.passed and found.severity.value == "ERROR":
                name = f"{found.asset_key.to_user_string()}/{found.check_name}"
                checks[name] = found.description or "failed"
                codes.append(1)
        elif event.event_type_value == "ASSET_MATERIALIZATION":
            made[event.asset_key.to_user_string()] = event.materialization.metadata
        elif (
            event.event_type_value == "PIPELINE_FAILURE"
            and not (steps or checks)
            and event.job_failure_data.error is not None
        ):
            name, steps["start"] = root_cause(event.job_failure_data.error)
            codes.append(_exit_code(name))
    if not result.success:
        codes.append(1)
    code = 2 if 2 in codes else max(codes)
    return Outcome(result.run_id, result.success, seconds, steps, checks, code, made)


def _exit_code(class_name: str) -> int:
    kind = getattr(errors, class_name, None)
    return kind.exit_code if isinstance(kind, type) and issubclass(kind, errors.DaybookError) else 1


@contextmanager
def _calm() -> Iterator[None]:
    """Without the framework's own chatter: its console lines, and warnings that parts of it are still preview."""
    logging.getLogger("dagster").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        for word in ("Beta", "Preview", "Superseded"):
            warnings.filterwarnings("ignore", message=f".*{word.lower()}.*")
        yield
        sys.stderr.flush()
