"""Reservations that workers of one machine share, in a file that is only appended to.

Belongs here: the file, its lock, and what a killed writer left. Does not belong here: bytes of entries
(`reservation_entries.py`), or what a frame looks like (`framed_files.py`).

    FILE        frames: where the log begins (epoch, number, mark, base), then entries
    FILE.lock   held while anybody looks whether the log ends where he knows it, and adds to it

What was added is the operating system's when the call returns: kill -9 of any worker loses nothing. A power cut ends
all workers; what the disk has not got then, no worker of now was granted. A frame that is not whole was never
acknowledged: who has the lock takes it away. The file is replaced by a shorter one as a whole.
"""

from __future__ import annotations

import fcntl
import os
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgpack  # type: ignore[import-untyped]

from resources.disk_errors import refusal
from resources.framed_files import framed, places
from resources.reservation_entries import MARK_BYTES, new_mark, packed, packed_base, unpacked, unpacked_base
from trading.errors import StoreBusy, StoreUnavailable
from trading.risk.reservations import Answer, Base, Entry, LogLost, Place

FORM = 1
_TURN_S = 0.0005


class FileReservations:
    """ReservationLog in `file`. Waits `wait_s` for other workers, then StoreBusy."""

    def __init__(self, file: Path, wait_s: float = 1.0) -> None:
        self.file = Path(file)
        self._wait_s = wait_s
        self._turn = threading.Lock()
        self._gate = -1
        self._seen: _Seen | None = None

    def mark(self) -> str:
        """As the port."""
        return new_mark()

    def append(self, entry: Entry, at: Place) -> Answer:
        """As the port."""
        with self._alone():
            seen = self._look()
            if at.epoch == seen.epoch and at.number == seen.end.number and at.mark == seen.end.mark:
                seen.add(packed(entry))
                return Answer(True, seen.end, len(seen.ends))
            return seen.since(at)

    def since(self, at: Place | None) -> Answer:
        """As the port."""
        with self._alone():
            return self._look().since(at)

    def begin(self, base: Base, instead: Place | None) -> Answer:
        """As the port."""
        with self._alone():
            try:
                there: Place | None = self._look().end
            except LogLost:
                there = None
            if there == instead:
                self._replace([new_mark(), 0, base.mark, packed_base(base)], b"")
            return self._look().since(None)

    def compact(self, base: Base, at: Place) -> bool:
        """As the port."""
        with self._alone():
            seen = self._look()
            if at.epoch != seen.epoch or at.number <= seen.first or seen.mark_at(at.number) != at.mark:
                return False
            self._replace([seen.epoch, at.number, at.mark, packed_base(base)], seen.behind(at.number))
            return True

    def close(self) -> None:
        """Lets go of the file; the next call opens it again."""
        with self._turn:
            self._forget()
            if self._gate >= 0:
                os.close(self._gate)
            self._gate = -1

    # --- the file ---
    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While no other thread and no other process looks at the file."""
        until = time.monotonic() + self._wait_s
        if not self._turn.acquire(timeout=self._wait_s):
            raise self._busy()
        try:
            with _translated(self.file):
                self._take(until)
                try:
                    yield
                finally:
                    fcntl.flock(self._gate, fcntl.LOCK_UN)
        finally:
            self._turn.release()

    def _take(self, until: float) -> None:
        if self._gate < 0:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self._gate = os.open(f"{self.file}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        pause = threading.Event()
        while True:
            try:
                fcntl.flock(self._gate, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError as cause:
                if time.monotonic() > until:
                    raise self._busy() from cause
            pause.wait(random.uniform(0.0, _TURN_S))

    def _busy(self) -> StoreBusy:
        return StoreBusy(
            f"the reservations in {self.file} were held by another worker for more than {self._wait_s:g} s. Ask again; "
            "if that stays so, look which process is stopped."
        )

    def _look(self) -> _Seen:
        """The file as it is now. Raises LogLost where there is none."""
        try:
            there = os.stat(self.file)
        except FileNotFoundError:
            self._forget()
            raise LogLost(f"there is no log of reservations at {self.file}.") from None
        if self._seen is None or self._seen.node != (there.st_dev, there.st_ino):
            self._forget()
            self._seen = _Seen(self.file)
        self._seen.read(there.st_size)
        return self._seen

    def _forget(self) -> None:
        if self._seen is not None:
            os.close(self._seen.handle)
        self._seen = None

    def _replace(self, begins: list[object], rest: bytes) -> None:
        """Puts a whole file in the place of what is there."""
        handle, name = tempfile.mkstemp(dir=self.file.parent, prefix=f"{self.file.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(framed([bytes(msgpack.packb([FORM, *begins]))]) + rest)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self.file)
        except BaseException:
            with suppress(OSError):
                os.unlink(name)
            raise


class _Seen:
    """A file that was read so far: where its entries end, by number after the base, and where they begin."""

    def __init__(self, file: Path) -> None:
        self.handle = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        found = os.fstat(self.handle)
        self.node = (found.st_dev, found.st_ino)
        self.size, self.begins = 0, 0
        self.epoch, self.first, self.first_mark, self.base = "", 0, "", b""
        self.ends: list[int] = []
        self.marks: list[str] = []

    @property
    def end(self) -> Place:
        """Where the log ends."""
        number = self.first + len(self.ends)
        return Place(self.epoch, number, self.marks[-1] if self.marks else self.first_mark)

    def read(self, size: int) -> None:
        """Takes in what was appended; what is not whole is taken away."""
        if size == self.size:
            return
        if size < self.size:
            raise LogLost("the log of reservations was cut.")
        data = _read(self.handle, self.size, size - self.size)
        found, stop = places(data)
        if not self.size:
            if not found:
                raise LogLost("the log of reservations does not begin as one.")
            self._begin(data[found[0][0] : found[0][1]], found.pop(0)[1])
        for first, last in found:
            self.marks.append(data[first : first + MARK_BYTES].decode().strip())
            self.ends.append(self.size + last)
        self.size += stop
        if self.size < size:
            os.ftruncate(self.handle, self.size)

    def _begin(self, data: bytes, ends: int) -> None:
        form, self.epoch, self.first, self.first_mark, self.base = msgpack.unpackb(data)
        if form != FORM:
            raise StoreUnavailable(f"the log of reservations is of form {form}; this Daybook knows {FORM}.")
        self.begins = ends

    def add(self, content: bytes) -> None:
        """Appends an entry, whole or not at all."""
        data = framed([content])
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self.handle, view) :]
        except OSError:
            with suppress(OSError):
                os.ftruncate(self.handle, self.size)
            raise
        self.size += len(data)
        self.ends.append(self.size)
        self.marks.append(content[:MARK_BYTES].decode().strip())

    def mark_at(self, number: int) -> str | None:
        """The mark of an entry; None where there is none of that number."""
        behind = number - self.first
        if not 0 <= behind <= len(self.ends):
            return None
        return self.marks[behind - 1] if behind else self.first_mark

    def behind(self, number: int) -> bytes:
        """Frames of entries after a number."""
        behind = number - self.first
        start = self.ends[behind - 1] if behind else self.begins
        return _read(self.handle, start, self.size - start)

    def since(self, at: Place | None) -> Answer:
        """As the port."""
        if at is not None and (at.epoch != self.epoch or at.number > self.end.number):
            raise LogLost("the log of reservations is not the one that was known.")
        if at is None or at.number < self.first:
            return Answer(False, self.end, len(self.ends), self._entries(self.first), unpacked_base(self.base))
        if self.mark_at(at.number) != at.mark:
            raise LogLost("the log of reservations went on otherwise.")
        return Answer(False, self.end, len(self.ends), self._entries(at.number))

    def _entries(self, number: int) -> tuple[Entry, ...]:
        if number == self.end.number:
            return ()
        data = self.behind(number)
        return tuple(unpacked(data[first:last]) for first, last in places(data)[0])


def _read(handle: int, start: int, count: int) -> bytes:
    parts = []
    while count > 0:
        part = os.pread(handle, count, start)
        if not part:
            break
        parts.append(part)
        start, count = start + len(part), count - len(part)
    return b"".join(parts)


@contextmanager
def _translated(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as cause:
        raise refusal(cause, file) or StoreUnavailable(
            f"the reservations in {file} cannot be reached: {cause}. Nothing is granted until they can."
        ) from cause
