"""Datasets as Delta Lake tables on a disk: one table a dataset, one commit a write.

Belongs here: the table's life (commits, versions, locks) and what its errors mean. Does not belong here: how a data
file is laid out (`delta_files.py`), or what may be done to rows (`frame_rows.py`).

A write puts whole new data files beside the old ones and then commits once: added files, removed files, who and why.
Whoever dies before the commit leaves the old version and a file nobody names; after it, the new version. Removed files
stay on disk, so every version stays readable. Layout and numbers: docs/decisions/0001-frame-store-layout.md.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from resources.delta_files import TARGET_ROWS, DataFile, chunked, described, last_rows, read, written_file
from resources.disk_errors import refusal
from resources.durable import synced
from resources.file_lock import held
from resources.frame_rows import (
    equal_content,
    fitted,
    in_key_order,
    inside,
    not_yet_there,
    require_kind,
    require_within,
    selected_columns,
    sessions_of,
    version_at,
)
from trading.errors import DatasetNotFound, StoreError
from trading.frames import Dataset, content_hash
from trading.ports import AsOf, Span, Version

if TYPE_CHECKING:
    from deltalake import DeltaTable

# Delta forgets versions after 30 days at the next checkpoint unless told otherwise, and any vacuum deletes files that
# were removed more than a week ago; pinned versions never expire.
_CONFIGURATION = {
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.deletedFileRetentionDuration": "interval 36500 days",
    "delta.enableExpiredLogCleanup": "false",
    "delta.checkpointInterval": "50",
}
_CHECKPOINT_EVERY = 50
_SMALL_FILES_AT_MOST = 8
_log = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the time of a write is the store's own to say


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """A table at one version. `signature` tells whether the commit file is still the one that was read."""

    number: int
    files: tuple[DataFile, ...]
    signature: tuple[int, int]
    table: DeltaTable


FEW_SERIES = 16  # so many values are cheaper looked for than all rows read


class DeltaFrames:
    """FrameStore on Delta Lake under the folder `root`. A writer waits `wait_s` for another one, then StoreBusy."""

    def __init__(
        self,
        root: Path,
        wait_s: float = 30.0,
        target_rows: int = TARGET_ROWS,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self.root = Path(root)
        self._wait_s, self._target_rows, self._clock = wait_s, target_rows, clock
        self._snapshots: dict[str, _Snapshot] = {}
        self._logs: dict[str, list[tuple[Version, tuple[int, int]]]] = {}
        self._file_hashes: dict[tuple[str, int, int, int], str] = {}
        self._guard = threading.Lock()

    # --- writing ---
    def replace(self, dataset: Dataset, rows: pa.Table, span: Span, note: Mapping[str, str] | None = None) -> Version:
        """As the port. Only files that hold sessions of the span are read and written again."""
        require_kind(dataset, appending=False)
        rows = fitted(rows, dataset)
        require_within(rows, dataset, span)
        with self._writing(dataset) as now:
            touched = [file for file in now.files if file.overlaps(span.first, span.last)] if now else []
            there = self._rows(dataset, touched)
            mask = inside(there, dataset, span)
            if now and equal_content(in_key_order(there.filter(mask), dataset), rows, dataset):
                return self._version(dataset, now.number)
            kept = there.filter(pc.invert(mask))
            return self._commit(dataset, now, pa.concat_tables([kept, rows]), touched, note)

    def append(self, dataset: Dataset, rows: pa.Table, note: Mapping[str, str] | None = None) -> Version:
        """As the port. Only files that hold sessions of the rows are read."""
        require_kind(dataset, appending=True)
        rows = fitted(rows, dataset)
        with self._writing(dataset) as now:
            new = not_yet_there(rows, self._alongside(dataset, now, rows), dataset)
            if now and not new.num_rows:
                return self._version(dataset, now.number)
            return self._commit(dataset, now, new, [], note)

    def compact(self, dataset: Dataset) -> Version | None:
        """Merges small files into whole ones and deletes data files that no version names (what killed writers left).

        Every version stays readable. Returns the version it made, or None if there was nothing to merge.
        """
        with self._writing(dataset) as now:
            if now is None:
                raise _never_written(dataset)
            self._sweep(dataset)
            if len(now.files) <= len(self._whole(now)) + 1:
                return None
            rows = in_key_order(self._rows(dataset, now.files), dataset)
            return self._commit(dataset, now, rows, list(now.files), {"operation": "compact"})

    # --- reading ---
    def history(
        self,
        dataset: Dataset,
        *,
        through: date,
        since: date | None = None,
        series: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        as_of: AsOf = None,
    ) -> pa.Table:
        """As the port."""
        wanted = selected_columns(dataset, columns)
        first = since or date.min
        with self._translated(dataset):
            files = [file for file in self._snapshot_at(dataset, as_of).files if file.overlaps(first, through)]
            names = list(dict.fromkeys([*dataset.key, *wanted]))
            table = read(self._place(dataset), files, dataset, names, Span(first, through, _tuple(series)))
        return in_key_order(table, dataset).select(wanted)

    def latest(
        self, dataset: Dataset, *, through: date, rows: int = 1, series: Sequence[str] | None = None
    ) -> pa.Table:
        """As the port. Old files are opened only for series that newer ones did not answer for."""
        with self._translated(dataset):
            files = self._snapshot_at(dataset, None).files
            return last_rows(self._place(dataset), files, dataset, through, rows, _tuple(series))

    def versions(self, dataset: Dataset) -> list[Version]:
        """As the port. A compaction is a version too, with equal content and the note `operation`: `compact`."""
        with self._translated(dataset), self._guard:
            known = self._logs.setdefault(dataset.name, [])
            if known and _signature(self._commit_file(dataset, known[-1][0].number)) != known[-1][1]:
                known.clear()
            while _signature(path := self._commit_file(dataset, len(known))) is not None:
                known.append((_version_in(path, dataset.name, len(known)), _required_signature(path)))
            return [version for version, _ in known]

    def content_hash(self, dataset: Dataset, as_of: AsOf = None) -> str:
        """As the port."""
        return content_hash(self.history(dataset, through=date.max, as_of=as_of), dataset)

    def stored_hash(self, dataset: Dataset, as_of: AsOf = None) -> str:
        """As the port: the version's own commit, and the bytes of every file of it with what the log says of it. A file
        that nothing touched since (as the kernel tells) is read once."""
        with self._translated(dataset):
            found = self._snapshot_at(dataset, as_of)
            digest = hashlib.sha256(self._commit_file(dataset, found.number).read_bytes())
            for file in sorted(found.files, key=lambda file: file.path):
                digest.update(f"{file} {self._file_hash(self._place(dataset) / file.path)}\n".encode())
        return digest.hexdigest()

    def written(self) -> list[str]:
        """As the port."""
        return sorted(path.parent.name for path in self.root.glob("*/_delta_log") if _first_commit(path).exists())

    def _file_hash(self, path: Path) -> str:
        found = os.stat(path)
        key = (str(path), found.st_ino, found.st_ctime_ns, found.st_size)
        if key not in self._file_hashes:
            self._file_hashes[key] = hashlib.sha256(path.read_bytes()).hexdigest()
        return self._file_hashes[key]

    # --- one table ---
    def _place(self, dataset: Dataset) -> Path:
        return self.root / dataset.name

    def _commit_file(self, dataset: Dataset, number: int) -> Path:
        return self._place(dataset) / "_delta_log" / f"{number:020}.json"

    def _table(self, dataset: Dataset, number: int | None = None) -> DeltaTable:
        from deltalake import DeltaTable

        return DeltaTable(self._place(dataset), version=number)

    @contextmanager
    def _writing(self, dataset: Dataset) -> Iterator[_Snapshot | None]:
        """Alone with the dataset's newest snapshot; None where nothing was ever written."""
        with self._translated(dataset), held(self.root / ".locks" / dataset.name, dataset.name, self._wait_s):
            yield self._newest(dataset)

    def _newest(self, dataset: Dataset) -> _Snapshot | None:
        """The newest snapshot: the one read last, unless another commit followed it (one look at the disk)."""
        known = self._snapshots.get(dataset.name)
        if known is not None and self._is_newest(dataset, known):
            return known
        if not _first_commit(self._place(dataset) / "_delta_log").exists():
            return None
        snapshot = self._opened(dataset, None)
        self._snapshots[dataset.name] = snapshot
        return snapshot

    def _is_newest(self, dataset: Dataset, known: _Snapshot) -> bool:
        return (
            not self._commit_file(dataset, known.number + 1).exists()
            and _signature(self._commit_file(dataset, known.number)) == known.signature
        )

    def _opened(self, dataset: Dataset, number: int | None) -> _Snapshot:
        table = self._table(dataset, number)
        found = table.version()
        return _Snapshot(found, described(table), _required_signature(self._commit_file(dataset, found)), table)

    def _snapshot_at(self, dataset: Dataset, as_of: AsOf) -> _Snapshot:
        newest = self._newest(dataset)
        if newest is None:
            raise _never_written(dataset)
        if as_of is None or as_of == newest.number:
            return newest
        if isinstance(as_of, int) and 0 <= as_of < newest.number:
            return self._opened(dataset, as_of)
        return self._opened(dataset, version_at(self.versions(dataset), dataset.name, as_of).number)

    def _rows(self, dataset: Dataset, files: Sequence[DataFile]) -> pa.Table:
        return read(self._place(dataset), files, dataset, dataset.schema.names)

    def _alongside(self, dataset: Dataset, now: _Snapshot | None, rows: pa.Table) -> pa.Table:
        """Stored rows of the sessions that `rows` touch, of their series where they are few, in key order."""
        if now is None or not rows.num_rows:
            return dataset.schema.empty_table()
        series = rows[dataset.series[0]].unique()
        few = tuple(series.to_pylist()) if len(series) <= FEW_SERIES else None
        span = Span(*sessions_of(rows), few)
        files = [file for file in now.files if file.overlaps(span.first, span.last)]
        table = read(self._place(dataset), files, dataset, dataset.schema.names, span)
        return in_key_order(table, dataset)

    def _whole(self, now: _Snapshot) -> list[DataFile]:
        return [file for file in now.files if 2 * file.rows >= self._target_rows]

    # --- one commit ---
    def _commit(
        self,
        dataset: Dataset,
        now: _Snapshot | None,
        rows: pa.Table,
        touched: Sequence[DataFile],
        note: Mapping[str, str] | None,
    ) -> Version:
        """Writes `rows` to new files in place of the `touched` ones. Too many small files are merged in passing."""
        removed = list(touched)
        whole = set(self._whole(now)) if now else set()
        small = [file for file in now.files if file not in whole and file not in removed] if now else []
        if len(small) >= _SMALL_FILES_AT_MOST:
            rows, removed = pa.concat_tables([self._rows(dataset, small), rows]), removed + small
        place = self._place(dataset)
        place.mkdir(parents=True, exist_ok=True)
        added: list[DataFile] = []
        try:
            for chunk in chunked(rows, self._target_rows):
                added.append(written_file(place, in_key_order(chunk, dataset), dataset))
            number = self._committed(dataset, now, added, removed, note)
        except BaseException:
            self._discard(dataset, now, added)
            raise
        self._snapshots[dataset.name] = self._settled(dataset, now, number)
        return self._version(dataset, number)

    def _committed(
        self,
        dataset: Dataset,
        now: _Snapshot | None,
        added: Sequence[DataFile],
        removed: Sequence[DataFile],
        note: Mapping[str, str] | None,
    ) -> int:
        """Commits files that are on the disk already. Raises what the driver raises; then nothing is committed."""
        from deltalake import CommitProperties, PostCommitHookProperties, Schema
        from deltalake.transaction import RemoveAction, create_table_with_add_actions

        at = self._write_time(dataset, now)
        schema = Schema.from_arrow(pa.schema([field.remove_metadata() for field in dataset.schema]))
        properties: dict[str, Any] = {
            "commit_properties": CommitProperties(
                custom_metadata={"writtenAt": at.isoformat(timespec="microseconds"), "note": dict(note or {})}
            ),
            # A checkpoint that fails must not look like a write that failed: it is made apart, afterwards.
            "post_commithook_properties": PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False),
        }
        adds = [file.add_action(at) for file in added]
        if now is None:
            uri = str(self._place(dataset))
            create_table_with_add_actions(uri, schema, adds, configuration=_CONFIGURATION, **properties)
            return 0
        number = now.number + self._columns_added(dataset, now, properties) + 1
        drops = [RemoveAction(file.path, True, _milliseconds(at), file.size, {}) for file in removed]
        now.table.create_write_transaction([*adds, *drops], "append", schema, **properties)
        return number

    def _columns_added(self, dataset: Dataset, now: _Snapshot, properties: Mapping[str, Any]) -> int:
        """Tells the table of columns the dataset gained since; 1 if that took a commit of its own."""
        from deltalake import Field, Schema

        known = {field.name for field in now.table.schema().fields}
        gained = [field for field in dataset.schema if field.name not in known]
        if not gained:
            return 0
        kinds = Schema.from_arrow(pa.schema([field.remove_metadata() for field in gained])).fields
        now.table.alter.add_columns([Field(kind.name, kind.type, nullable=True) for kind in kinds], **properties)
        return 1

    def _settled(self, dataset: Dataset, now: _Snapshot | None, number: int) -> _Snapshot:
        """The snapshot after a commit: on the disk for good, with a checkpoint every so many commits."""
        log = self._place(dataset) / "_delta_log"
        for path in (self._commit_file(dataset, number), log, log.parent):
            synced(path)
        if now is None:
            return self._opened(dataset, None)
        now.table.update_incremental()
        if number % _CHECKPOINT_EVERY == 0:
            self._checkpoint(dataset, now.table)
        signature = _required_signature(self._commit_file(dataset, number))
        return _Snapshot(number, described(now.table), signature, now.table)

    def _checkpoint(self, dataset: Dataset, table: DeltaTable) -> None:
        """A checkpoint only makes opening faster: one that fails is logged, and the next is tried in its turn."""
        try:
            table.create_checkpoint()
        except Exception:
            _log.warning("no checkpoint was made of %s at version %s", dataset.name, table.version(), exc_info=True)

    def _discard(self, dataset: Dataset, now: _Snapshot | None, added: Sequence[DataFile]) -> None:
        """Deletes data files of a write that failed, unless its commit went through after all."""
        if self._commit_file(dataset, now.number + 1 if now else 0).exists():
            return
        for file in added:
            (self._place(dataset) / file.path).unlink(missing_ok=True)

    def _sweep(self, dataset: Dataset) -> None:
        """Deletes data files that no commit ever named. Alone with the dataset, so none of them is being written."""
        log = sorted((self._place(dataset) / "_delta_log").glob("*.json"))
        if [path.stem for path in log] != [f"{number:020}" for number in range(len(log))]:
            return  # somebody else cleaned the log: what it named is not known any more
        lines = (json.loads(line) for path in log for line in path.read_text().splitlines())
        named = {line["add"]["path"] for line in lines if "add" in line}
        for path in self._place(dataset).glob("*.parquet"):
            if path.name not in named:
                path.unlink()

    def _write_time(self, dataset: Dataset, now: _Snapshot | None) -> datetime:
        """Now, or just after the version before if the clock stepped back: instants order versions."""
        at = self._clock()
        return at if now is None else max(at, self._version(dataset, now.number).written_at + timedelta(microseconds=1))

    def _version(self, dataset: Dataset, number: int) -> Version:
        return _version_in(self._commit_file(dataset, number), dataset.name, number)

    @contextmanager
    def _translated(self, dataset: Dataset) -> Iterator[None]:
        """Turns the errors of the disk and of the driver into ours, once."""
        from deltalake.exceptions import DeltaError

        try:
            yield
        except (OSError, DeltaError, pa.ArrowException) as cause:
            raise refusal(cause, self.root) or StoreError(
                f"{dataset.name} in {self.root} cannot be used: {cause}. If a file of it is missing or damaged, "
                "restore it from a backup."
            ) from cause


def _never_written(dataset: Dataset) -> DatasetNotFound:
    return DatasetNotFound(f"{dataset.name} was never written. Run the step that makes it first.")


def _first_commit(log: Path) -> Path:
    return log / f"{0:020}.json"


def _signature(path: Path) -> tuple[int, int] | None:
    """What tells a file from another one put in its place; None if there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def _required_signature(path: Path) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_ino, found.st_mtime_ns


def _version_in(path: Path, dataset: str, number: int) -> Version:
    """The version a commit file tells of; commits of other programs have their own time and no note."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    said: dict[str, Any] = next((line["commitInfo"] for line in lines if "commitInfo" in line), {})
    if "writtenAt" in said:
        at = datetime.fromisoformat(said["writtenAt"])
    else:
        at = datetime.fromtimestamp(said.get("timestamp", 0) / 1000, UTC)
    return Version(dataset, number, at, said.get("note", {}))


def _milliseconds(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def _tuple(series: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if series is None else tuple(series)
