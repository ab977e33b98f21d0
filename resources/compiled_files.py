"""Compiled snapshots as files that many processes map, the pointer to the one in force, and followers.

Belongs here: putting snapshots on a disk whole, moving the pointer, and noticing in another process that it moved. Does
not belong here: what a snapshot says (`trading/config/snapshot.py`), or the history of versions, whose truth is the
journal (`pipelines/configuration.py`): a pointer that lags behind the journal is moved on by whoever comes next.

    FOLDER/snapshots/<content hash>.snapshot   never changed: readers keep what they mapped, even when it is deleted
    FOLDER/current                             the pointer, JSON, replaced at once
    FOLDER/pointed                             the same, written first: who finds no pointer knows that there was one
    FOLDER/generation                          the number of the version in force, 8 bytes: what followers look at
    FOLDER/.lock                               held by who moves the pointer

A writer who dies leaves the old version in force or the new one: a snapshot is on the disk before the pointer names it,
and a follower reads the pointer, whatever the number says.
"""

from __future__ import annotations

import json
import mmap
import os
import re
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Lock

from resources.disk_errors import refusal
from resources.durable import synced
from resources.file_lock import held
from trading.config.in_force import InForce, Version
from trading.config.in_force import Pointer as Pointer
from trading.config.snapshot import Snapshot
from trading.errors import ConfigError, SnapshotRefused, StaleVersion, StoreUnavailable

WAIT_S = 30.0
PAGE_BYTES = 8
LOOK_S = 0.05
_HASH = re.compile(r"[0-9a-f]{64}")
_LONGEST_POINTER = 10_000  # bytes
_APPLY = "Put a configuration in force: daybook config apply --reason."
_STATUS = "Run `daybook config status`, which puts it right from the journal."


class CompiledFiles:
    """Snapshots under `folder`. `durable=False` does not wait for the disk: a power cut may then lose what was last
    written, but readers still see versions whole."""

    def __init__(self, folder: Path, durable: bool = True) -> None:
        self.folder, self.durable = Path(folder), durable

    def put(self, content: bytes | memoryview | Snapshot) -> str:
        """Keeps a snapshot and returns its content hash, against which bytes from elsewhere are checked first. What is
        there already and whole is left as it is. Raises SnapshotRefused, StoreUnavailable."""
        if isinstance(content, Snapshot):
            name, whole = content.content_hash, content.content()
        else:
            name, whole = Snapshot.verified(content).content_hash, bytes(content)
        file = self._file(name)
        with _translated(self.folder):
            if not (file.exists() and file.read_bytes() == whole):
                file.parent.mkdir(parents=True, exist_ok=True)
                self._replace(file, whole)
            elif self.durable:  # whoever wrote it may have died before it was on the disk
                synced(file)
                synced(file.parent)
        return name

    def open(self, content_hash: str) -> Snapshot:
        """The snapshot of a content hash, mapped: its header is checked, the rest is read when asked for. Raises
        SnapshotRefused on one that is damaged, cut short, of another version, or not there."""
        return self._opened(content_hash, Snapshot.open)

    def verify(self, content_hash: str) -> Snapshot:
        """As `open`, every byte checked."""
        return self._opened(content_hash, Snapshot.verified)

    def hashes(self) -> list[str]:
        """Content hashes of the snapshots kept, sorted; what a killed writer left is not among them."""
        return sorted(file.stem for file in self.folder.glob("snapshots/*.snapshot") if _HASH.fullmatch(file.stem))

    def forget(self, keep: Collection[str], spare_s: float = 0.0) -> int:
        """Deletes snapshots that are neither among `keep` nor in force, and what killed writers left; how many those
        were. What was written in the last `spare_s` seconds before the pointer moved stays: another writer may be about
        to point at it. Who has one mapped keeps it."""
        with self._alone(), _translated(self.folder):
            now = self.pointer()
            kept = {f"{name}.snapshot" for name in (*keep, *([now.snapshot] if now else ()))}
            others = [file for file in self.folder.glob("snapshots/*") if file.name not in kept]
            gone = [file for file in others if not spare_s or self._older(file, spare_s)]
            for file in gone:
                file.unlink(missing_ok=True)
        return len(gone)

    def _older(self, file: Path, seconds: float) -> bool:
        """Whether a file is that much older than the pointer; not, where its writer has just renamed it."""
        try:
            return file.stat().st_mtime < (self.folder / "current").stat().st_mtime - seconds
        except FileNotFoundError:
            return False

    def pointer(self) -> Pointer | None:
        """Which version is in force; None where none ever was. Raises ConfigError on a pointer that cannot be read."""
        return self._read("current")

    def last(self) -> Pointer | None:
        """Which version was put in force last, though the pointer be lost or damaged since; None where none ever was.
        Raises ConfigError where that cannot be read either."""
        return self._read("pointed")

    def point(self, pointer: Pointer, expected: int | None = None) -> None:
        """Puts a version in force, and says so to followers. Repeating it changes nothing but makes sure that followers
        know. `expected`: the number that must be in force (0: none), if given. Raises SnapshotRefused where its
        snapshot cannot be opened, StaleVersion where another version or a later one is in force, StoreBusy. A pointer
        that cannot be read is kept as `current.damaged`, and replaced like one that is not there."""
        self.open(pointer.snapshot)
        with self._alone():
            now = self._sound_or_kept()
            if now != pointer:
                _refuse_stale(now, pointer, expected)
            for name in ("pointed", "current"):
                self._say(name, json.dumps(pointer._asdict()).encode())
            self._tell(pointer.number)

    def told(self) -> int:
        """The number that followers were told last; 0 where they were told none. Behind that of the pointer, its writer
        died before telling: `point` with the same pointer tells them."""
        with _translated(self.folder):
            try:
                return int.from_bytes((self.folder / "generation").read_bytes()[:8], "little")
            except FileNotFoundError:
                return 0

    def version(self) -> Version:
        """The version in force. Raises ConfigError where none is, and as `open`."""
        now = self._pointed()
        while True:
            try:
                return Version(now.number, self.open(now.snapshot))
            except SnapshotRefused:
                before, now = now, self._pointed()
                if now == before:  # else it moved on, and its snapshot was forgotten, between two reads
                    raise

    def tell(self) -> None:
        """Says to followers which version the pointer names, as `point` does last. Raises ConfigError where there is
        none."""
        with self._alone():
            self._tell(self._pointed().number)

    # --- inside -------------------------------------------------------------------------------------------------------
    def _file(self, content_hash: str) -> Path:
        if not _HASH.fullmatch(content_hash):
            raise ConfigError(f"{content_hash[:80]!r} is not a content hash: give its 64 hexadecimal digits.")
        return self.folder / "snapshots" / f"{content_hash}.snapshot"

    def _opened(self, content_hash: str, read: Callable[[memoryview], Snapshot]) -> Snapshot:
        file = self._file(content_hash)
        try:
            with _translated(self.folder):
                mapped = _mapped(file)
            mapped.madvise(mmap.MADV_RANDOM)  # only the header: the disk need not read ahead for it
            snapshot = read(memoryview(mapped))
            mapped.madvise(mmap.MADV_NORMAL)
        except (FileNotFoundError, ValueError) as cause:
            raise SnapshotRefused(f"snapshot {file} is not there, or empty. {_APPLY}") from cause
        except SnapshotRefused as cause:
            raise SnapshotRefused(f"snapshot {file}: {cause}") from cause
        if snapshot.content_hash != content_hash:
            raise SnapshotRefused(f"snapshot {file} holds another one, {snapshot.content_hash}. {_APPLY}")
        return snapshot

    def _pointed(self) -> Pointer:
        now = self.pointer()
        if now is None:
            raise ConfigError(f"no configuration was ever put in force in {self.folder}. {_APPLY}")
        return now

    def _read(self, name: str) -> Pointer | None:
        with _translated(self.folder):
            try:
                with (self.folder / name).open("rb") as file:
                    text = file.read(_LONGEST_POINTER)
            except FileNotFoundError:
                return None
        try:
            found = Pointer(**json.loads(text))
            if isinstance(found.number, int) and all(_HASH.fullmatch(each) for each in found[1:3]):
                return found
            raise ValueError("its number or one of its hashes is no such thing")
        except (ValueError, TypeError, RecursionError) as cause:
            raise ConfigError(
                f"{self.folder / name} does not say which configuration is in force ({cause}). {_STATUS}"
            ) from cause

    def _sound_or_kept(self) -> Pointer | None:
        """The pointer. One that cannot be read is copied, not moved: until another is there, there must be one."""
        try:
            return self.pointer()
        except ConfigError:
            with _translated(self.folder):
                self._replace(self.folder / "current.damaged", (self.folder / "current").read_bytes())
            return None

    def _say(self, name: str, content: bytes) -> None:
        with _translated(self.folder):
            file = self.folder / name
            if not (file.exists() and file.read_bytes() == content):
                self._replace(file, content)

    def _replace(self, file: Path, content: bytes) -> None:
        """Puts bytes in place at once: a reader sees the old file or the new one."""
        handle, draft = tempfile.mkstemp(dir=file.parent, prefix=".new-")
        try:
            with os.fdopen(handle, "wb") as written:
                written.write(content)
                written.flush()
                if self.durable:
                    os.fsync(written.fileno())
            os.chmod(draft, 0o644)
            os.replace(draft, file)
        except BaseException:
            with suppress(OSError):
                os.unlink(draft)
            raise
        if self.durable:
            synced(file.parent)

    def _tell(self, number: int) -> None:
        """Writes the number that followers look at, in place: they have this file mapped."""
        with _translated(self.folder):
            handle = os.open(self.folder / "generation", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                os.pwrite(handle, number.to_bytes(PAGE_BYTES, "little"), 0)
            finally:
                os.close(handle)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with _translated(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        with held(self.folder / ".lock", f"the configuration in {self.folder}", WAIT_S):
            yield


class Follower:
    """The version in force, for a process that reads it again and again while others put new ones in force.

    `now` compares 8 bytes of a mapped page; when they moved it opens the new snapshot. Versions never go back, and no
    reader waits for another: while one thread opens the new one, the others have the old one, whole. A new one that
    cannot be opened leaves the old one in force until the number moves again, and `fault` says why. Where not even one
    reader may wait for a disk, `keep` does the opening in a thread.
    """

    __slots__ = ("_files", "_now", "_opening", "_page", "_seen", "fault")

    def __init__(self, folder: Path) -> None:
        """Raises ConfigError where no configuration was ever put in force in `folder`, or where it cannot be read."""
        self._files = CompiledFiles(folder)
        first = self._files.version()
        page = self._files.folder / "generation"
        if not page.is_file() or page.stat().st_size != PAGE_BYTES:
            self._files.tell()  # its writer died before he could
        self._page = memoryview(_mapped(page)).cast("Q")
        self._opening = Lock()
        self._seen, self._now = -1, first
        self.fault: ConfigError | StoreUnavailable | None = None

    @property
    def told(self) -> int:
        """The number that followers were told last, opened or not: a look at 8 bytes of a mapped page."""
        return int(self._page[0])

    @property
    def now(self) -> Version:
        """The version in force: read it once for a decision."""
        return self._now if self._page[0] == self._seen else self._moved()

    def keep(self, in_force: InForce, stop: Event, every_s: float = LOOK_S) -> None:
        """Puts each new version into a reference of this process, until `stop` is set: for a thread of its own, so that
        those who decide by `in_force` never open a file. Raises nothing: `fault` says what went wrong last, and it is
        tried again."""
        while not stop.wait(every_s):
            if self.fault is not None:
                self._seen = -1
            new, held_now = self.now, in_force.now.number
            if new.number > held_now:
                with suppress(StaleVersion):  # somebody else swapped: the next look sees it
                    in_force.swap(held_now, new.snapshot, new.number)

    def _moved(self) -> Version:
        if not self._opening.acquire(blocking=False):
            return self._now
        try:
            # Read before the pointer: if the pointer moves after this, so will the number, and we come here again.
            seen = self._page[0]
            if seen != self._seen:
                self._take()
                self._seen = seen
            return self._now
        finally:
            self._opening.release()

    def _take(self) -> None:
        try:
            found = self._files.version()
        except (ConfigError, StoreUnavailable) as cause:
            self.fault = cause
            return
        self.fault = None
        if found.number > self._now.number:
            found.snapshot.remember(self._now.snapshot)
            self._now = found


def _refuse_stale(now: Pointer | None, wanted: Pointer, expected: int | None) -> None:
    number = now.number if now else 0
    if expected is not None and number != expected:
        raise StaleVersion(
            f"version {expected} was to be replaced by {wanted.number}, but version {number} is in force: somebody "
            "else was first, and nothing was changed. Look at what is in force, and decide again."
        )
    if wanted.number <= number:
        raise StaleVersion(f"version {wanted.number} is not later than version {number}, which is in force.")


def _mapped(file: Path) -> mmap.mmap:
    """A file's bytes, read-only, shared with every process that maps it."""
    with file.open("rb") as opened:
        return mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)


@contextmanager
def _translated(place: Path) -> Iterator[None]:
    """FileNotFoundError is for the caller to explain."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as cause:
        raise refusal(cause, place) or StoreUnavailable(f"{place} cannot be used: {cause}.") from cause
