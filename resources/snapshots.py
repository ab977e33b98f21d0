"""Snapshots of a desk's home: what must survive the disk, stored once by content, restored whole or not at all.

Belongs here: which files of a home are a snapshot, copying them out and back, and proving that they came back. Does not
belong here: what a manifest says (`trading/continuity/`), or how blobs are kept (a `BlobStore`).

A home is <home>/frames/<dataset>/ (Delta tables), ledger.sqlite, broker.sqlite, desk.toml, strategies/, reference/,
reports/, risk/decisions/ and blobs/. A ledger that a server keeps is in a snapshot as ledger.jsonl: all entries, as
they were recorded. Caches, locks, logs and Dagster's own storage are left out: losing them loses nothing that was
decided. Writers may go on meanwhile: a table's log is read first and its files are immutable, a database is copied by
SQLite itself, what follows from other things is looked at before them (P&L before prices, all datasets before the
ledger, the ledger before the broker), so a snapshot holds everything that something in it was made of. The manifest is
written last, by one rename: a killed backup leaves blobs that the next one uses, and no snapshot.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from resources.disk_errors import refusal
from resources.durable import synced
from resources.file_lock import held
from resources.journal_file import JournalFile, record_journal, require_empty, write_journal
from trading.continuity.manifest import (
    DatasetState,
    Identity,
    LedgerState,
    Manifest,
    StoredFile,
    differences,
    snapshot_name,
)
from trading.continuity.retention import Retention, retained
from trading.errors import BackupError, DatasetNotFound, StoreError, StoreUnavailable, UsageError
from trading.frames import DATASETS
from trading.ports import BlobStore, FrameStore, Ledger, Progress, Taken

FRAMES, LEDGER, JOURNAL, BROKER = "frames", "ledger.sqlite", "ledger.jsonl", "broker.sqlite"
# Everything else that belongs to a desk, by part. Checked in this order, after the datasets and before the ledger.
_PLAIN = (
    ("configuration", "desk.toml"),
    ("configuration", "desk.yaml"),
    ("configuration", "*.csv"),  # tables of symbols
    ("configuration", "strategies/**/*.toml"),
    (
        "configuration",
        "config/current",
    ),  # before what it names, which is there when it is: the ledger, copied last, may
    ("configuration", "config/pointed"),
    ("configuration", "config/live.json"),  # be ahead of it, and then it is moved on
    ("configuration", "config/documents/??/[0-9a-f]*"),
    ("configuration", "config/snapshots/*.snapshot"),
    ("reference", "reference/**/*.csv"),
    ("reports", "reports/**/*.html"),
    ("decisions", "risk/decisions/*/*.log"),  # one that is being written is whole up to its last frame
    ("signed", "signed/??/[0-9a-f]*"),
    ("keys", "keys/*.pub"),  # what verifies; the key that signs stays at home, and a new one is made where it is lost
    ("blobs", "blobs/??/[0-9a-f]*"),  # pages by content, as runs name them; earlier renderings of a report too
)
_ORDER = {name: place for place, name in enumerate(DATASETS)}  # what follows from other datasets comes after them
_DATABASES = ("ledger", "broker")  # copies of live files: their time stamps do not tell whether they changed
_COMMIT = re.compile(r"\d{20}\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint.*\.parquet")


@dataclass(frozen=True, slots=True)
class _Source:
    """A file to keep: where its bytes are, and where in the home they belong."""

    file: Path
    path: str
    part: str


def in_its_home(home: Path) -> Ledger | None:
    """Where the ledger of a home is that no server keeps."""
    return None


def silent(done: int, total: int, what: str) -> None:
    """A Progress that says nothing."""


class Snapshots:
    """Backups of `home` in the folder `destination`: blobs in `blobs`, manifests in <destination>/snapshots.

    `open_frames` and `open_ledger` open the stores of a home by path: hashes are of what was copied, and of what was
    restored, never of what is live meanwhile. `server_of` gives the ledger of a home whose settings keep it on a
    server.
    """

    def __init__(
        self,
        home: Path,
        destination: Path,
        blobs: BlobStore,
        open_frames: Callable[[Path], FrameStore],
        open_ledger: Callable[[Path], Ledger],
        wait_s: float = 30.0,
        server_of: Callable[[Path], Ledger | None] = in_its_home,
    ) -> None:
        self.home, self.destination, self.blobs = Path(home), Path(destination), blobs
        self._open_frames, self._open_ledger, self._wait_s = open_frames, open_ledger, wait_s
        self._server_of = server_of

    # --- taking ---
    def take(self, identity: Identity, at: datetime, progress: Progress = silent) -> Taken:
        """As the port. Two at once wait for each other (StoreBusy after `wait_s`)."""
        with self._translated(self.destination), self._alone(), self._staging() as staging:
            before = self.newest()
            sources = list(self._sources(staging))
            known = {file.path: file for file in before.files} if before else {}
            files, fresh = [], set[str]()
            for done, source in enumerate(sources):
                progress(done, len(sources), source.path)
                file, is_new = self._stored(source, None if source.part in _DATABASES else known.get(source.path))
                files.append(file)
                fresh |= {file.sha256} if is_new else set()
            progress(len(sources), len(sources), "hashes of the datasets")
            manifest = self._described(tuple(files), identity, at, before, staging)
            self._keep(manifest)
        new = {file.sha256: file.size for file in files if file.sha256 in fresh}
        return Taken(manifest, len(new), len(files) - len(new), sum(new.values()))

    def _sources(self, staging: Path) -> Iterator[_Source]:
        """Files in the order that keeps a snapshot consistent while others write."""
        tables = [log.parent for log in (self.home / FRAMES).glob("*/_delta_log")]
        for table in sorted(tables, key=lambda table: (-_ORDER.get(table.name, len(_ORDER)), table.name)):
            yield from self._table(table)
        for part, pattern in _PLAIN:
            for file in sorted(self.home.glob(pattern)):
                yield _Source(file, file.relative_to(self.home).as_posix(), part)
        server = self._server_of(self.home)
        if server is not None:
            write_journal(server, staging / JOURNAL)
            yield _Source(staging / JOURNAL, JOURNAL, "ledger")
        for part, name in zip(_DATABASES, (LEDGER, BROKER), strict=True):
            if (self.home / name).exists() and not (part == "ledger" and server):
                yield _Source(_copied_database(self.home / name, staging / name), name, part)

    def _table(self, table: Path) -> Iterator[_Source]:
        """One Delta table as of its newest commit now: the data files that its log names, then the log."""
        log = sorted(path for path in (table / "_delta_log").iterdir() if _COMMIT.fullmatch(path.name))
        if not log:
            return
        newest = int(log[-1].stem)
        checkpoints = [path for path in (table / "_delta_log").iterdir() if _is_checkpoint(path, newest)]
        data = {name for commit in log for name in _added(commit)}
        present = [table / name for name in sorted(data) if (table / name).exists()]
        for file in [*present, *sorted(checkpoints), *log]:
            yield _Source(file, file.relative_to(self.home).as_posix(), FRAMES)

    def _stored(self, source: _Source, known: StoredFile | None) -> tuple[StoredFile, bool]:
        """The file as it is kept, and whether its bytes were new to the destination. Unchanged files are not read."""
        found = source.file.stat()
        stamp = (found.st_size, found.st_mtime_ns)
        if known and (known.size, known.modified_ns) == stamp and self.blobs.exists(known.sha256):
            return known, False
        content = source.file.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        is_new = not self.blobs.exists(digest)
        if is_new:
            self.blobs.put(content)
        return StoredFile(source.path, source.part, digest, len(content), found.st_mtime_ns), is_new

    def _described(
        self, files: tuple[StoredFile, ...], identity: Identity, at: datetime, before: Manifest | None, staging: Path
    ) -> Manifest:
        return Manifest(
            name=self._free_name(at),
            created_at=at,
            identity=identity,
            files=files,
            datasets=self._dataset_states(files, before),
            ledger=self._ledger_in(staging),
        )

    def _dataset_states(self, files: Sequence[StoredFile], before: Manifest | None) -> dict[str, DatasetState]:
        """Version and content hash of each table as copied; equal files as before have the hash of before."""
        frames = self._open_frames(self.home / FRAMES)
        states = {}
        for name, version in _versions(files).items():
            if before and name in before.datasets and _files_of(files, name) == _files_of(before.files, name):
                states[name] = before.datasets[name]
            elif name in DATASETS:
                states[name] = DatasetState(version, frames.content_hash(DATASETS[name], as_of=version))
        return states

    def _free_name(self, at: datetime) -> str:
        """The time as a name; a second snapshot of the same second gets a number."""
        name, count = snapshot_name(at), 1
        while self._manifest_file(name).exists():
            count += 1
            name = f"{snapshot_name(at)}_{count}"
        return name

    def _keep(self, manifest: Manifest) -> None:
        place = self._manifest_file(manifest.name)
        place.parent.mkdir(parents=True, exist_ok=True)
        begun = place.with_suffix(".tmp")
        with begun.open("w") as handle:
            handle.write(manifest.to_json())
            handle.flush()
            os.fsync(handle.fileno())
        begun.replace(place)
        synced(place.parent)

    # --- looking ---
    def snapshots(self) -> list[Manifest]:
        """As the port. Raises BackupError naming a damaged manifest."""
        return [self._read(name) for name in self.names()]

    def names(self) -> list[str]:
        """As the port."""
        return sorted((path.stem for path in (self.destination / "snapshots").glob("*.json")), key=_by_time)

    def newest(self) -> Manifest | None:
        """The last snapshot taken that can be read; None if there is none."""
        for name in reversed(self.names()):
            try:
                return self._read(name)
            except BackupError:  # a damaged manifest must not stop the next backup; `snapshots` reports it
                continue
        return None

    def damaged(self, name: str, progress: Progress = silent) -> list[str]:
        """Files of a snapshot whose bytes are missing or changed in the destination, as phrases; reads all of them."""
        found = []
        files = self._read(name).files
        for done, file in enumerate(files):
            progress(done, len(files), file.path)
            try:
                self._content(file, name)
            except BackupError as error:
                found.append(str(error))
        return found

    def verify(self, snapshot: str, home: Path) -> list[str]:
        """What a home has otherwise than the snapshot's manifest says: content hashes computed through its stores."""
        server = self._server_of(home)
        ledger = self._ledger_in(home) or (_ledger_state(server) if server is not None else None)
        return self._differences(snapshot, home, ledger)

    def _differences(self, snapshot: str, home: Path, ledger: LedgerState | None) -> list[str]:
        frames = self._open_frames(home / FRAMES)
        hashes = {name: frames.content_hash(DATASETS[name]) for name in frames.written() if name in DATASETS}
        return differences(self._read(snapshot), hashes, ledger)

    def _ledger_in(self, folder: Path) -> LedgerState | None:
        """The ledger in a folder: a file of entries, or a database, which is read from a copy because opening one may
        leave files beside it. None where a server keeps it, or nobody."""
        if (folder / JOURNAL).exists():
            return _ledger_state(JournalFile(folder / JOURNAL))
        if not (folder / LEDGER).exists():
            return None
        with tempfile.TemporaryDirectory() as other:
            return _ledger_state(self._open_ledger(_copied_database(folder / LEDGER, Path(other) / LEDGER)))

    # --- restoring ---
    def restore(self, name: str, into: Path, progress: Progress = silent) -> Manifest:
        """As the port: files go to a folder beside `into`, are verified through the stores, then take its place."""
        manifest = self._read(name)
        into = Path(into).absolute()
        if into.exists() and (not into.is_dir() or any(into.iterdir())):
            raise UsageError(f"{into} is not empty: a restore never writes over anything. Name a folder that is new.")
        with self._translated(into), _sibling(into) as begun:
            for done, file in enumerate(manifest.files):
                progress(done, len(manifest.files), file.path)
                self._put_back(file, name, begun)
            progress(len(manifest.files), len(manifest.files), "hashes of the datasets")
            self._require_equal(name, begun)
            self._bring_back_ledger(begun)
            if into.exists():
                into.rmdir()
            begun.replace(into)
        return manifest

    def _bring_back_ledger(self, home: Path) -> None:
        """Brings the ledger of a restored home to where its settings keep it, if that is not where it is: from a server
        or to one. Raises UsageError where the server's is not empty."""
        server, journal = self._server_of(home), home / JOURNAL
        if server is not None:
            require_empty(server)
            if (home / LEDGER).exists():
                write_journal(self._open_ledger(home / LEDGER), journal)
        if journal.exists():
            record_journal(JournalFile(journal), server or self._open_ledger(home / LEDGER))
            journal.unlink()
        if server is not None:
            for file in home.glob(f"{LEDGER}*"):  # one book, in one place
                file.unlink()

    def _put_back(self, file: StoredFile, name: str, root: Path) -> None:
        place = root / file.path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(self._content(file, name))
        os.utime(place, ns=(file.modified_ns, file.modified_ns))

    def _content(self, file: StoredFile, name: str) -> bytes:
        """The file's bytes, checked. Raises BackupError naming the file and what to do."""
        try:
            return self.blobs.get(file.sha256)
        except DatasetNotFound as cause:
            raise BackupError(
                f"snapshot {name}: the content of {file.path} (blob {file.sha256[:12]}) is missing. {self._cure(name)}"
            ) from cause
        except StoreUnavailable:
            raise
        except StoreError as cause:
            raise BackupError(
                f"snapshot {name}: the content of {file.path} (blob {file.sha256[:12]}) was changed after it was "
                f"written. {self._cure(name)} If the desk itself still lives: delete {file.sha256} from the blobs, "
                "and the next backup writes it anew."
            ) from cause

    def _cure(self, name: str) -> str:
        others = [other for other in self.names() if other != name]
        instead = f"restore another snapshot ({', '.join(others[-3:])})" if others else "there is no other snapshot"
        return f"Copy the blob back from another copy of {self.destination}, or {instead}. Nothing was restored."

    def _require_equal(self, name: str, home: Path) -> None:
        if found := self._differences(name, home, self._ledger_in(home)):
            raise BackupError(
                f"snapshot {name} came back different: {'; '.join(found)}. Nothing was restored. "
                "Choose another snapshot, and keep this one for whoever looks into it."
            )

    # --- forgetting ---
    def prune(self, policy: Retention, now: datetime) -> tuple[str, ...]:
        """As the port. Manifests go before blobs: whoever is stopped in between leaves blobs, never half a snapshot."""
        with self._translated(self.destination), self._alone():
            manifests = self.snapshots()
            kept = retained(manifests, policy, now)
            gone = [manifest.name for manifest in manifests if manifest not in kept]
            for name in gone:
                self._manifest_file(name).unlink()
            named = {file.sha256 for manifest in kept for file in manifest.files}
            for digest in list(self.blobs.digests()):
                if digest not in named:
                    self.blobs.delete(digest)
        return tuple(gone)

    # --- places ---
    def _manifest_file(self, name: str) -> Path:
        return self.destination / "snapshots" / f"{name}.json"

    def _read(self, name: str) -> Manifest:
        place = self._manifest_file(name)
        try:
            text = place.read_text()
        except (OSError, UnicodeDecodeError) as cause:
            there = ", ".join(self.names()[-5:]) or "none"
            raise BackupError(
                f"there is no readable snapshot {name} in {self.destination}. Newest there: {there}."
            ) from cause
        return Manifest.from_json(text, str(place))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with held(self.destination / ".lock", f"the backup folder {self.destination}", self._wait_s):
            yield

    @contextmanager
    def _staging(self) -> Iterator[Path]:
        """A folder for copies of databases, emptied of what a killed backup left there."""
        place = self.destination / ".staging"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    @contextmanager
    def _translated(self, place: Path) -> Iterator[None]:
        """Turns the errors of the disk and of SQLite into ours, once."""
        try:
            yield
        except (OSError, sqlite3.Error) as cause:
            raise refusal(cause, place) or BackupError(
                f"the backup of {self.home} in {self.destination} failed: {cause}. Earlier snapshots are as they were. "
                "Mend that and run the same command again."
            ) from cause


def _copied_database(source: Path, target: Path) -> Path:
    """SQLite's own copy: whole transactions only, whoever writes meanwhile."""
    address = f"{source.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True)) as live, closing(sqlite3.connect(target)) as copy:
        live.backup(copy)
    found = source.stat()
    os.utime(target, ns=(found.st_mtime_ns, found.st_mtime_ns))
    return target


def _by_time(name: str) -> tuple[str, int]:
    """Order of snapshot names: by time, then by the number among those of one second."""
    time, _, number = name.partition("_")
    return time, int(number) if number.isdigit() else 1


def _added(commit: Path) -> Iterator[str]:
    """Data files that a commit names."""
    for line in commit.read_text().splitlines():
        action = json.loads(line)
        if "add" in action:
            yield action["add"]["path"]


def _is_checkpoint(path: Path, newest: int) -> bool:
    """Whether a file is a checkpoint of a version that is in the snapshot."""
    found = _CHECKPOINT.fullmatch(path.name)
    return found is not None and int(found.group(1)) <= newest


def _versions(files: Sequence[StoredFile]) -> dict[str, int]:
    """Newest version of each dataset in a list of files, from the names of its commits."""
    newest: dict[str, int] = {}
    for file in files:
        parts = file.path.split("/")
        if file.part == FRAMES and _COMMIT.fullmatch(parts[-1]):
            newest[parts[1]] = max(newest.get(parts[1], 0), int(parts[-1].removesuffix(".json")))
    return newest


def _files_of(files: Sequence[StoredFile], dataset: str) -> set[tuple[str, str]]:
    return {(file.path, file.sha256) for file in files if file.path.startswith(f"{FRAMES}/{dataset}/")}


def _ledger_state(ledger: Ledger | JournalFile) -> LedgerState:
    return LedgerState(ledger.sequence(), ledger.content_hash())


@contextmanager
def _sibling(into: Path) -> Iterator[Path]:
    """A new folder beside `into`, gone again unless it was renamed."""
    into.parent.mkdir(parents=True, exist_ok=True)
    begun = Path(tempfile.mkdtemp(prefix=f".{into.name}-restoring-", dir=into.parent))
    begun.chmod(0o755)
    try:
        yield begun
    finally:
        shutil.rmtree(begun, ignore_errors=True)
