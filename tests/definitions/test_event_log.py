"""The event log of pipelines/event_log.py: a range in one run, read by a plain Dagster, whole or absent after kill -9.

The file is also the program of the child process that is killed: `python test_event_log.py FIRST LAST` runs the range
on the instance of DAGSTER_HOME and, told to by WAIT_IN, says so and waits inside that asset for ever.
"""

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus as Status
from dagster._core.storage.partition_status_cache import AssetPartitionStatus

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from pipelines.dead_runs import process_tags, reap  # noqa: E402
from pipelines.event_log import BATCH_VARIABLE, EventLog  # noqa: E402

WEEKDAYS = dg.TimeWindowPartitionsDefinition(start="2024-01-01", fmt="%Y-%m-%d", cron_schedule="0 0 * * 1-5")
ONE_RUN = dg.BackfillPolicy.single_run()
FIRST, LAST = "2024-01-01", "2024-01-26"
# Four whole weeks, Monday to Friday.
TWENTY = {(date(2024, 1, 1) + timedelta(weeks=week, days=day)).isoformat() for week in range(4) for day in range(5)}
NAMES = ("raw", "clean", "daily")
HOME = """
telemetry:
  enabled: false
storage:
  custom:
    module: pipelines.event_log
    class: Storage
    config:
      base_dir:
        env: DAGSTER_HOME
"""


def definitions() -> dg.Definitions:
    """Three assets one after another, a check of the whole run and a check of each partition."""

    @dg.asset(partitions_def=WEEKDAYS, backfill_policy=ONE_RUN)
    def raw(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return _materialized(context, "raw")

    @dg.asset(partitions_def=WEEKDAYS, backfill_policy=ONE_RUN, deps=[raw])
    def clean(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return _materialized(context, "clean")

    @dg.asset(partitions_def=WEEKDAYS, backfill_policy=ONE_RUN, deps=[clean])
    def daily(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return _materialized(context, "daily")

    @dg.asset_check(asset=raw)
    def whole(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True, metadata={"sessions": len(context.partition_keys)})

    @dg.multi_asset_check(specs=[dg.AssetCheckSpec("each", asset=clean, partitions_def=WEEKDAYS)])
    def each(context: dg.AssetCheckExecutionContext):
        for day in context.partition_keys:
            yield dg.AssetCheckEvaluation(clean.key, "each", passed=day != "2024-01-03", metadata={}, partition=day)
        yield dg.Output(None, output_name=next(iter(context.op_execution_context.selected_output_names)))

    job = dg.define_asset_job("history", dg.AssetSelection.all())
    return dg.Definitions(assets=[raw, clean, daily], asset_checks=[whole, each], jobs=[job])


def _materialized(context: dg.AssetExecutionContext, name: str) -> dg.MaterializeResult:
    if os.environ.get("WAIT_IN") == name:
        sys.stdout.write("waiting\n")
        sys.stdout.flush()
        threading.Event().wait()
    return dg.MaterializeResult(metadata={"first": context.partition_key_range.start})


def run_range(instance: dg.DagsterInstance, first: str = FIRST, last: str = LAST) -> dg.ExecuteInProcessResult:
    """The whole graph over a range of sessions in this process."""
    span = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    return (
        definitions()
        .resolve_job_def("history")
        .execute_in_process(instance=instance, tags={**process_tags(), **span}, raise_on_error=False)
    )


def rows(file: Path, question: str) -> list[tuple[object, ...]]:
    """Ask a file with nothing of Dagster's."""
    connection = sqlite3.connect(file)
    try:
        return connection.execute(question).fetchall()
    finally:
        connection.close()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Dagster home on our storage; the size of batches, which the storage sets, is forgotten after the test."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv(BATCH_VARIABLE, "0")
    monkeypatch.delenv(BATCH_VARIABLE)
    (tmp_path / "dagster.yaml").write_text(HOME)
    return tmp_path


@pytest.fixture
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    """The instance of the home, on our storage."""
    with dg.DagsterInstance.get() as made:
        yield made


@pytest.fixture
def plain(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """A second instance on the same files as Dagster makes it when dagster.yaml says nothing."""
    ref = InstanceRef.from_dir(str(home), config_dir=str(tmp_path_factory.mktemp("no_config")))
    with dg.DagsterInstance.from_ref(ref) as made:
        assert type(made.event_log_storage).__name__ == "SqliteEventLogStorage"
        yield made


@pytest.fixture
def killed(home: Path) -> str:
    """The id of a run whose process was killed (kill -9) inside its third asset."""
    child = subprocess.Popen(
        [sys.executable, __file__, FIRST, LAST],
        env={**os.environ, "WAIT_IN": "daily"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "waiting\n"
    finally:
        child.kill()
        child.communicate()
    return str(rows(home / "history" / "runs.db", "select run_id from runs")[0][0])


def grid(instance: dg.DagsterInstance, name: str) -> set[object]:
    """The states that the UI's partition grid shows for an asset over the range."""
    shown = instance.get_status_by_partition(dg.AssetKey(name), sorted(TWENTY), WEEKDAYS)
    assert shown is not None
    return set(shown.values())


def test_the_home_uses_our_storage(instance: dg.DagsterInstance) -> None:
    assert isinstance(instance.event_log_storage, EventLog)


def test_the_storage_asks_for_batches(instance: dg.DagsterInstance) -> None:
    assert os.environ[BATCH_VARIABLE] == "1000"


def test_every_partition_of_a_range_is_materialised(instance: dg.DagsterInstance) -> None:
    assert run_range(instance).success
    for name in NAMES:
        assert instance.get_materialized_partitions(dg.AssetKey(name)) == TWENTY
        assert grid(instance, name) == {AssetPartitionStatus.MATERIALIZED}


def test_the_asset_remembers_its_last_partition(instance: dg.DagsterInstance) -> None:
    run = run_range(instance)
    event = instance.get_latest_materialization_event(dg.AssetKey("daily"))
    assert event is not None
    assert (event.run_id, event.asset_materialization.partition) == (run.run_id, LAST)


def test_a_plain_dagster_reads_the_same(instance: dg.DagsterInstance, plain: dg.DagsterInstance) -> None:
    run = run_range(instance)
    assert plain.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.SUCCESS
    events = plain.fetch_materializations(dg.AssetKey("clean"), limit=100).records
    assert [record.partition_key for record in events] == sorted(TWENTY, reverse=True)
    assert {record.asset_materialization.metadata["first"].value for record in events} == {FIRST}
    assert grid(plain, "daily") == {AssetPartitionStatus.MATERIALIZED}
    kinds = [entry.dagster_event.event_type_value for entry in plain.all_logs(run.run_id) if entry.dagster_event]
    assert (kinds.count("ASSET_MATERIALIZATION"), kinds.count("ASSET_MATERIALIZATION_PLANNED")) == (60, 60)


def test_index_and_run_number_the_same_events(instance: dg.DagsterInstance, home: Path) -> None:
    run = run_range(instance)
    question = (
        "select partition, asset_key from event_logs where dagster_event_type='ASSET_MATERIALIZATION' order by id"
    )
    files = home / "history" / "runs"
    assert rows(files / "index.db", question) == rows(files / f"{run.run_id}.db", question)
    tagged = (
        "select count(*) from asset_event_tags t join event_logs e on e.id = t.event_id and e.asset_key = t.asset_key"
    )
    assert rows(files / "index.db", f"{tagged} where t.key = 'dagster/data_version'") == [(60,)]


def test_a_plain_dagster_may_run_between(instance: dg.DagsterInstance, plain: dg.DagsterInstance) -> None:
    assert run_range(instance, FIRST, "2024-01-12").success
    assert run_range(plain, "2024-01-15", "2024-01-19").success
    assert run_range(instance, "2024-01-22", LAST).success
    assert instance.get_materialized_partitions(dg.AssetKey("daily")) == TWENTY


def test_checks_are_planned_once_and_evaluated(instance: dg.DagsterInstance) -> None:
    run_range(instance)
    history = instance.event_log_storage.get_asset_check_execution_history
    whole = history(dg.AssetCheckKey(dg.AssetKey("raw"), "whole"), limit=50)
    assert [(record.status, record.partition) for record in whole] == [(Status.SUCCEEDED, None)]
    each = history(dg.AssetCheckKey(dg.AssetKey("clean"), "each"), limit=50)
    assert {record.partition for record in each} == TWENTY
    assert [record.partition for record in each if record.status is not Status.SUCCEEDED] == ["2024-01-03"]


def test_who_watches_a_run_hears_of_its_end(instance: dg.DagsterInstance, plain: dg.DagsterInstance) -> None:
    job = definitions().resolve_job_def("history")
    run = instance.create_run_for_job(job, tags={"dagster/partition": FIRST})
    failed = threading.Event()

    def hear(entry: dg.EventLogEntry, cursor: str) -> None:
        if entry.dagster_event and entry.dagster_event.is_run_failure:
            failed.set()

    plain.watch_event_logs(run.run_id, None, hear)
    instance.report_run_failed(run)
    assert failed.wait(timeout=20)


def test_a_batch_that_fails_leaves_nothing(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    run = run_range(instance)
    batch = [entry for entry in instance.all_logs(run.run_id) if entry.dagster_event.is_step_materialization]
    other = EventLog(str(tmp_path / "other"))
    with sqlite3.connect(tmp_path / "other" / "index.db") as broken:
        broken.execute("drop table asset_keys")
    with pytest.raises(Exception, match="asset_keys"):
        other.store_event_batch(batch)
    other.dispose()
    for name in ("index", run.run_id):
        assert rows(tmp_path / "other" / f"{name}.db", "select count(*) from event_logs") == [(0,)]


def test_a_wiped_home_works_on(instance: dg.DagsterInstance) -> None:
    run_range(instance)
    instance.wipe()
    assert instance.get_materialized_partitions(dg.AssetKey("raw")) == set()
    assert run_range(instance).success
    assert instance.get_materialized_partitions(dg.AssetKey("raw")) == TWENTY


def test_kill_leaves_what_was_finished_and_the_next_run_works(
    killed: str, instance: dg.DagsterInstance, plain: dg.DagsterInstance
) -> None:
    for reader in (instance, plain):
        assert reader.get_materialized_partitions(dg.AssetKey("clean")) == TWENTY
        assert reader.get_materialized_partitions(dg.AssetKey("daily")) == set()
        assert reader.get_run_by_id(killed).status is dg.DagsterRunStatus.STARTED
    assert reap(instance) == [killed]
    assert grid(plain, "daily") == {AssetPartitionStatus.FAILED}
    assert run_range(instance).success
    assert grid(plain, "daily") == {AssetPartitionStatus.MATERIALIZED}


def test_files_survive_kill_undamaged(killed: str, home: Path) -> None:
    for name in ("index", killed):
        assert rows(home / "history" / "runs" / f"{name}.db", "pragma integrity_check") == [("ok",)]


if __name__ == "__main__":
    with dg.DagsterInstance.get() as here:
        sys.exit(not run_range(here, sys.argv[1], sys.argv[2]).success)
