"""Dagster's SQLite storage, writing many events in one transaction: what makes a long backfill affordable.

Belongs here: how events reach the SQLite files of the Dagster home. The layout of the files and their tables is
Dagster's own, so a plain Dagster reads and writes the same home. Does not belong here: what the events say, and
PostgreSQL. Measured in docs/decisions/0003-backfill-event-cost.md.
"""

import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self, cast

import sqlalchemy as db
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluation,
    AssetCheckEvaluationPlanned,
)
from dagster._core.events import ASSET_EVENTS, DagsterEventType
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData, serialize_value
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import NullPool, QueuePool

# Dagster hands events over in batches only when this variable of the environment says how many.
BATCH_VARIABLE = "DAGSTER_EVENT_BATCH_SIZE"
EVENTS_PER_BATCH = 1_000
# Files kept open by one process: the index, and the runs it touched last.
OPEN_FILES = 8
CHECK_PLANNED = DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED
# What Dagster puts into batches; each of these is mirrored in the index file.
BATCHED = frozenset(ASSET_EVENTS) | {CHECK_PLANNED}


class EventLog(SqliteEventLogStorage):
    """Dagster's event log on SQLite, except: files stay open, a batch is a transaction, a check plans once.

    With the write-ahead log and `synchronous=NORMAL`, kill -9 loses nothing that was committed and a batch is whole or
    absent; a loss of power may take the last events, and never damages a file.
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        """Open the log in `base_dir`, and ask Dagster for batches unless the user chose their size."""
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._pid = os.getpid()
        self._tables: set[str] = set()
        os.environ.setdefault(BATCH_VARIABLE, str(EVENTS_PER_BATCH))
        super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """Built by Dagster when dagster.yaml names this class itself."""
        return cls(inst_data=inst_data, **config_value)

    # Files. `_db_lock` is held by whoever calls `_engine`.

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        """A transaction on one file. Dagster opens and closes the file, and compiles each statement, every time."""
        with self._db_lock, self._engine(shard).connect() as connection, connection.begin():
            yield connection

    def _engine(self, shard: str) -> Engine:
        """The engine of a file, kept until `OPEN_FILES` others were used since, or the file was deleted."""
        self._forget_after_fork()
        engine = self._engines.pop(shard, None)
        if engine is not None and not os.path.exists(self.path_for_shard(shard)):
            engine.dispose()
            self._initialized_dbs.discard(shard)
            engine = None
        self._engines[shard] = engine or self._open(shard)
        while len(self._engines) > OPEN_FILES:
            self._engines.popitem(last=False)[1].dispose()
        return self._engines[shard]

    def _open(self, shard: str) -> Engine:
        """Open a file, with its tables if it is new."""
        if shard not in self._initialized_dbs:
            self._initdb(_closing_engine(self.conn_string_for_shard(shard)))
            self._initialized_dbs.add(shard)
        return _lasting_engine(self.conn_string_for_shard(shard))

    def _forget_after_fork(self) -> None:
        """SQLite connections do not cross a fork: leave the parent's to the parent."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            while self._engines:
                self._engines.popitem()[1].dispose(close=False)

    def _close_files(self) -> None:
        with self._db_lock:
            while self._engines:
                self._engines.popitem()[1].dispose()

    def has_table(self, table_name: str) -> bool:
        """Asked by Dagster for every event with tags; a table that was there stays there."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def wipe(self) -> None:
        """Forget every event; the files are deleted, so none may stay open."""
        self._close_files()
        super().wipe()

    def dispose(self) -> None:
        """Stop watching and close every file."""
        super().dispose()
        self._close_files()

    # Storing.

    def store_event(self, event: EventLogEntry) -> None:
        """Store one event and tell who watches the run."""
        super().store_event(event)
        self._tell_watchers(event.run_id)

    def _tell_watchers(self, run_id: str) -> None:
        """The UI follows a run by watching its file; kept open, only the log beside the file changes, so touch it."""
        os.utime(self.path_for_shard(run_id))

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store planned and materialised partitions of one run in one transaction a file, whole or not at all.

        If an insert fails both files are rolled back, so Dagster's own retry, one by one, stores nothing twice.
        """
        if len({event.run_id for event in events}) != 1 or not all(_kind(event) in BATCHED for event in events):
            super().store_event_batch(events)
            return
        rows = [self._event_to_row(event) for event in events]
        with self._db_lock, self._run_and_index(events[0].run_id) as (run_file, index):
            run_file.execute(SqlEventLogStorageTable.insert(), rows)
            insert = SqlEventLogStorageTable.insert().returning(
                SqlEventLogStorageTable.c.id, sort_by_parameter_order=True
            )
            self._index_batch(index, dict(zip(index.execute(insert, rows).scalars(), events, strict=True)))
        self._tell_watchers(events[0].run_id)

    @contextmanager
    def _run_and_index(self, run_id: str) -> Iterator[tuple[Connection, Connection]]:
        """Transactions on the run's file and on the index; the index, which the partition grid reads, commits first."""
        run_engine, index_engine = self._engine(run_id), self._engine(INDEX_SHARD_NAME)
        with run_engine.connect() as run_file, run_file.begin(), index_engine.connect() as index, index.begin():
            yield run_file, index

    def _index_batch(self, index: Connection, events: Mapping[int, EventLogEntry]) -> None:
        """What the index keeps beside the events, by event id: tags, each asset's last event, the planned checks."""
        of_assets = {event_id: event for event_id, event in events.items() if _kind(event) in ASSET_EVENTS}
        self._store_asset_event_tags(index, list(of_assets.values()), list(of_assets))
        last = {event.get_dagster_event().asset_key: event_id for event_id, event in of_assets.items()}
        for event_id in last.values():
            self._store_asset_event(index, of_assets[event_id], event_id)
        planned = [self._planned_row(events[event_id], event_id) for event_id in events.keys() - of_assets.keys()]
        if planned:
            index.execute(AssetCheckExecutionsTable.insert(), planned)

    # Checks. Dagster plans an unpartitioned check once for every partition of a run and records its one evaluation
    # without a partition, so the planned rows stay planned for ever, each with a copy of the event.

    def _planned_row(self, event: EventLogEntry, event_id: int | None) -> dict[str, Any]:
        planned = cast(AssetCheckEvaluationPlanned, event.get_dagster_event().event_specific_data)
        return {
            "asset_key": planned.asset_key.to_string(),
            "check_name": planned.check_name,
            "partition": None,
            "run_id": event.run_id,
            "execution_status": AssetCheckExecutionRecordStatus.PLANNED.value,
            "evaluation_event": serialize_value(event),
            "evaluation_event_timestamp": self._event_insert_timestamp(event),  # type: ignore[no-untyped-call]
            "evaluation_event_storage_id": event_id,
        }

    def _store_asset_check_evaluation_planned(self, event: EventLogEntry, event_id: int | None) -> None:
        """Plan a check once a run, whatever the run's partitions."""
        with self.index_connection() as index:
            index.execute(AssetCheckExecutionsTable.insert(), [self._planned_row(event, event_id)])

    def _update_asset_check_evaluation(self, event: EventLogEntry, event_id: int | None) -> None:
        """Record an evaluation; one with a partition takes over the row that was planned without."""
        evaluation = cast(AssetCheckEvaluation, event.get_dagster_event().event_specific_data)
        if evaluation.partition is not None:
            with self.index_connection() as index:
                index.execute(_give_planned_row_to(evaluation, event.run_id))
        super()._update_asset_check_evaluation(event, event_id)


class Storage(DagsterSqliteStorage):
    """Dagster's SQLite storage of runs, schedules and events, with `EventLog` for the events; same files."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        """`base_dir` is the Dagster home."""
        super().__init__(base_dir, inst_data)
        self._event_log_storage = EventLog(os.path.join(base_dir, "history", "runs", ""))

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """Built by Dagster from `storage: custom:` of dagster.yaml."""
        return cls.from_local(inst_data=inst_data, **config_value)


def _kind(event: EventLogEntry) -> DagsterEventType | None:
    return event.get_dagster_event().event_type if event.is_dagster_event else None


def _give_planned_row_to(evaluation: AssetCheckEvaluation, run_id: str) -> db.Update:
    """The statement that moves a check's planned row to the partition evaluated first; no row when it was taken."""
    table = AssetCheckExecutionsTable
    return (
        table.update()
        .where(
            table.c.asset_key == evaluation.asset_key.to_string(),
            table.c.check_name == evaluation.check_name,
            table.c.run_id == run_id,
            table.c.partition.is_(None),
            table.c.execution_status == AssetCheckExecutionRecordStatus.PLANNED.value,
        )
        .values(partition=evaluation.partition)
    )


def _closing_engine(url: str) -> Engine:
    """An engine that closes the file after each use: for making tables, which leaves the write-ahead mode behind."""
    return db.create_engine(url, poolclass=NullPool, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS})


def _lasting_engine(url: str) -> Engine:
    """An engine with one connection that stays open, waiting for the disk at checkpoints only."""
    engine = db.create_engine(
        url, poolclass=QueuePool, pool_size=1, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
    )
    db.event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=NORMAL"))
    return engine
