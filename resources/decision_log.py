"""Decisions on orders in files of the home: written before they are acknowledged, found again the newest first.

Belongs here: segments, frames and what is in them. Does not belong here: what a decision is (`trading/risk/`), or what
a frame looks like (`framed_files.py`).

    FOLDER/<session>/<writer>-<number>.log   a segment: frames, written by one process only

A segment begins with who writes it. Layouts (names of rows and elements, levels) and contexts (a layout, versions of
market and configuration) come before the first decision that they are of, in every segment, so that each is read by
itself. `append` returns when the operating system has the bytes: kill -9 of the process loses nothing that was
acknowledged. The disk has them `sync_s` later, and when the log is closed: a power cut may lose those last ones.
"""

from __future__ import annotations

import fcntl
import hashlib
import heapq
import os
import re
import socket
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, get_args

import msgpack  # type: ignore[import-untyped]
import numpy as np

from resources.disk_errors import refusal
from resources.durable import synced
from resources.framed_files import framed, places
from trading.errors import StoreUnavailable
from trading.risk.decision import Asked, Decision, Outcome, Reason, Versions
from trading.risk.kept import About, Action, Kept, Torn, Wanted
from trading.risk.layout import REDUCING, Layout, layout_of, layout_read

FORM = 1
SEGMENT_BYTES = 16 << 20
_BEGIN, _LAYOUT, _CONTEXT, _DECISION = range(4)  # kinds of frames
_OUTCOMES: tuple[Outcome, ...] = ("pass", "warn", "refuse")
_ACTIONS: tuple[Action, ...] = get_args(Action)  # what is kept names a place
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NAME = re.compile(r"[^A-Za-z0-9_.]+")
_LAYOUTS = 8  # of a process, kept packed
_ANY_TEXT = "surrogatepass"
_SLACK_S = 2.0  # a file system's clock is coarse


class DecisionFiles:
    """DecisionLog in `folder`. `writer` names this process among all that write there; None: by host, process and time.
    A segment ends at `segment_bytes`, or with its session. `joined`: processes of this name go on with each other's
    segments, one at a time, which keeps a session that is asked about often from being a file a question; such a name
    is of one session."""

    def __init__(
        self, folder: Path, writer: str | None = None, segment_bytes: int = SEGMENT_BYTES, sync_s: float = 1.0,
        joined: bool = False,
    ) -> None:  # fmt: skip
        own = f"{socket.gethostname()}_{os.getpid()}_{time.time_ns():x}"
        self.folder, self.writer = Path(folder), _NAME.sub("_", writer or own)
        self._segment_bytes, self._sync_s, self._joined = segment_bytes, sync_s, joined
        self._lock = threading.Lock()
        self._segment: _Segment | None = None
        self._turn = ExitStack()
        self._segments = self._number = 0
        self._packed: OrderedDict[int, tuple[Any, bytes, bytes]] = OrderedDict()
        self._syncing: threading.Thread | None = None
        self._closed = threading.Event()

    # --- writing ---
    def append(self, decisions: Sequence[Decision], about: About) -> int:
        """As the port."""
        if not decisions:
            return self._number
        with self._lock, _translated(self.folder):
            segment = self._segment_for(about.session)
            call, frames = self._number + 1, []  # type: int, list[bytes]
            for number, decision in enumerate(decisions, call):
                context = segment.context(self._layout_in(decision), decision.versions, frames)
                frames.append(_packed(decision, about, number, call, context))
            try:
                segment.write(framed(frames))
            except BaseException:
                self._abandon(segment)
                raise
            self._number += len(decisions)
            self._watch()
            return self._number

    def flush(self) -> None:
        """As the port."""
        with self._lock:
            segment = self._segment
            if segment is None:
                return
            held, segment.dirty = os.dup(segment.handle), False
        try:
            with _translated(self.folder):
                _synced(held)
                segment.place()
        except BaseException:
            segment.dirty = True
            raise

    def close(self) -> None:
        """As the port; the next append begins a new segment."""
        self._closed.set()
        with self._lock:
            if self._segment is not None:
                self._segment.close()
            self._segment = None
            self._turn.close()
            syncing, self._syncing = self._syncing, None
        if syncing is not None and syncing is not threading.current_thread():
            syncing.join()

    def _segment_for(self, session: date) -> _Segment:
        now = self._segment
        if now is not None and now.session == session and now.size < self._segment_bytes:
            return now
        if now is not None:
            now.close()
        folder = self.folder / session.isoformat()
        folder.mkdir(parents=True, exist_ok=True)
        if self._joined and now is None:
            self._turn.close()  # of an append that failed
            self._turn.enter_context(_turn_in(folder))
            self._segment = self._gone_on_with(folder)
            if self._segment is not None:
                return self._segment
        while True:
            self._segments += 1
            file = folder / f"{self.writer}-{self._segments}.log"
            try:
                self._segment = _Segment(file, session, self.writer)
            except FileExistsError:
                continue
            return self._segment

    def _gone_on_with(self, folder: Path) -> _Segment | None:
        """The last segment of this name, if there is room in it and it is whole; numbers go on where it ends."""
        files = sorted(folder.glob(f"{self.writer}-*.log"), key=_segment_number)
        if not files:
            return None
        self._segments, reading = _segment_number(files[-1]), _Reading(files[-1])
        self._number = max(self._number, reading.last)
        if reading.end < reading.size or reading.size >= self._segment_bytes or not reading.writer:
            return None
        return _Segment(files[-1], reading.session, self.writer, reading)

    def _abandon(self, segment: _Segment) -> None:
        """What could not be written whole is taken back; what the segment told since may be lost, so it ends."""
        self._segment = None
        segment.cut()
        with suppress(OSError):  # what went before is told by the first error
            segment.close()

    def _layout_in(self, decision: Decision) -> tuple[bytes, bytes] | None:
        """Hash and packed form of a decision's layout; None of one that was refused unseen."""
        measured = decision.measured
        if measured is None:
            return None
        found = self._packed.get(id(measured.wording))
        if found is None:
            packed = zlib.compress(msgpack.packb(layout_of(measured.wording).document()), 1)
            found = (measured.wording, hashlib.sha256(packed).digest(), packed)
            self._packed[id(measured.wording)] = found
            if len(self._packed) > _LAYOUTS:
                self._packed.popitem(last=False)
        return found[1:]

    def _watch(self) -> None:
        """Has a thread bring what was written to the disk."""
        assert self._segment is not None
        self._segment.dirty = True
        if self._syncing is None:
            self._closed.clear()
            self._syncing = threading.Thread(target=self._sync, name="decisions", daemon=True)
            self._syncing.start()

    def _sync(self) -> None:
        while not self._closed.wait(self._sync_s):
            segment = self._segment
            if segment is not None and segment.dirty:
                try:
                    self.flush()
                except (OSError, StoreUnavailable):
                    continue  # it is asked again: who closes the log hears of it

    # --- reading ---
    def read(self, wanted: Wanted = Wanted()) -> Iterator[Kept]:  # noqa: B008 -- immutable
        """As the port."""
        return islice(_newest_first(self._reading(wanted), wanted), wanted.limit)

    def torn(self) -> list[Torn]:
        """As the port. A segment that is being written is left out: its last frame may be on its way."""
        found = []
        for file in sorted(self.folder.glob("*/*.log")):
            reading = _Reading(file)
            if reading.end < reading.size and not _is_written(file):
                found.append(Torn(str(file), reading.end, reading.size - reading.end))
        return found

    def prune(self, keep_days: int, today: date) -> int:
        """As the port. Whole sessions go, but for a segment that somebody writes."""
        first, gone = today - timedelta(days=keep_days), 0
        for folder in sorted(self.folder.glob("*")):
            session = _day(folder.name)
            if session is not None and session < first:
                with _translated(folder):
                    gone += _emptied(folder)
        return gone

    def _folders(self, wanted: Wanted) -> Iterator[Path]:
        """Those of sessions that are wanted."""
        for folder in self.folder.glob("*"):
            session = _day(folder.name)
            if session is not None and wanted.takes_session(session):
                yield folder

    def _reading(self, wanted: Wanted) -> list[tuple[float, Path]]:
        """Segments that may hold what is wanted, with the latest instant of any decision in them, the latest first."""
        found = []
        for file in (file for folder in self._folders(wanted) for file in folder.glob("*.log")):
            try:
                last = file.stat().st_mtime + _SLACK_S
            except FileNotFoundError:  # it was pruned just now
                continue
            if wanted.since is None or last >= wanted.since.timestamp():
                found.append((last, file))
        return sorted(found, key=lambda pair: (-pair[0], pair[1]))


class _Segment:
    """A file that this process appends to, and what it has told already; `begun` is what another one told there."""

    def __init__(self, file: Path, session: date, writer: str, begun: _Reading | None = None) -> None:
        self.file, self.session = file, session
        made = os.O_CREAT | os.O_EXCL if begun is None else 0
        self.handle = os.open(file, os.O_WRONLY | made | os.O_APPEND | os.O_CLOEXEC, 0o644)
        fcntl.flock(self.handle, fcntl.LOCK_EX)  # nobody else writes it; who asks whether somebody does lets go at once
        self.size, self.dirty, self._placed = (0 if begun is None else begun.size), True, begun is not None
        self._layouts: set[bytes] = set() if begun is None else begun.layouts
        self._contexts: dict[tuple[bytes, str, str], int] = {} if begun is None else begun.contexts
        if begun is None:
            self.write(framed([_packb([_BEGIN, FORM, writer, session.isoformat()])]))

    def context(self, layout: tuple[bytes, bytes] | None, versions: Versions, frames: list[bytes]) -> int:
        """The number of a context; frames that tell it are added where it is new here."""
        name = (b"" if layout is None else layout[0], versions.market, versions.configuration)
        number = self._contexts.get(name)
        if number is None:
            if layout is not None and layout[0] not in self._layouts:
                self._layouts.add(layout[0])
                frames.append(_packb([_LAYOUT, *layout]))
            number = self._contexts[name] = len(self._contexts)
            frames.append(_packb([_CONTEXT, number, *name]))
        return number

    def write(self, data: bytes) -> None:
        """Has the operating system take all of it."""
        view = memoryview(data)
        while view:
            view = view[os.write(self.handle, view) :]
        self.size += len(data)

    def cut(self) -> None:
        """Takes back what was written of a call that failed, as far as that is possible."""
        with suppress(OSError):  # then a reader stops where a frame is not whole
            os.ftruncate(self.handle, self.size)

    def place(self) -> None:
        """Brings its name to the disk, once."""
        if not self._placed:
            synced(self.file.parent)
            self._placed = True

    def close(self) -> None:
        """Brings it to the disk, and ends it."""
        _synced(self.handle)
        self.place()


class _Reading:
    """A segment as it is now: where its whole frames are."""

    def __init__(self, file: Path) -> None:
        try:
            self.data = file.read_bytes()
        except FileNotFoundError:
            self.data = b""
        self.size = len(self.data)
        self.places, self.end = places(self.data)
        self.writer, self.session = "", date.min
        self._layouts: dict[bytes, Layout] = {}
        self._contexts: dict[int, tuple[bytes, str, str]] = {}
        self._packed: dict[bytes, tuple[int, int]] = {}
        self.decisions = self._decisions()

    def _decisions(self) -> list[tuple[int, int]]:
        """Places of decisions; all that is told of them is taken in."""
        found = []
        for place in self.places:
            kind = self.data[place[0] + 1]  # after the array's head, which is one byte or three
            kind = self.data[place[0] + 3] if self.data[place[0]] == _LONG else kind
            if kind == _DECISION:
                found.append(place)
            else:
                self._take(place)
        return found

    def _take(self, place: tuple[int, int]) -> None:
        kind, *said = _unpacked(self.data[place[0] : place[1]])
        if kind == _BEGIN:
            self.writer, self.session = said[1], date.fromisoformat(said[2])
        elif kind == _LAYOUT:
            self._packed[said[0]] = place
        else:
            self._contexts[said[0]] = (said[1], said[2], said[3])

    def layout(self, name: bytes) -> Layout:
        """A layout by its hash."""
        if name not in self._layouts:
            first, last = self._packed[name]
            _, _, packed = _unpacked(self.data[first:last])
            document = msgpack.unpackb(zlib.decompress(packed), strict_map_key=False)
            self._layouts[name] = layout_read(document)
        return self._layouts[name]

    @property
    def layouts(self) -> set[bytes]:
        """Hashes of the layouts it tells."""
        return set(self._packed)

    @property
    def contexts(self) -> dict[tuple[bytes, str, str], int]:
        """Numbers of the contexts it tells."""
        return {context: number for number, context in self._contexts.items()}

    @property
    def last(self) -> int:
        """The number of its last decision; 0 without one."""
        if not self.decisions:
            return 0
        first, last = self.decisions[-1]
        return int(_unpacked(self.data[first:last])[1])

    def at(self, number: int) -> int:
        """When a decision was made, microseconds."""
        first, last = self.decisions[number]
        return int(_unpacked(self.data[first:last])[3])

    def kept(self, number: int, wanted: Wanted) -> Kept | None:
        """A decision, if it is wanted."""
        first, last = self.decisions[number]
        found = _Fields(*_unpacked(self.data[first:last])[1:])
        asked, outcome = Asked(*found.asked), _OUTCOMES[found.outcome]
        expires = None if found.expires is None else _instant(found.expires)
        action = _ACTIONS[found.action]
        about = About(_instant(found.at), self.session, action, expires, found.by, found.netted)
        reasons = tuple(Reason(*reason) for reason in found.reasons)
        if not (wanted.takes(about, asked, outcome) and wanted.takes_reasons(reasons)):
            return None
        name, market, configuration = self._contexts[found.context]
        values = np.frombuffer(found.values, np.float64)
        numbers = (found.leg, values, found.outcomes)
        rules = self.layout(name).rules(*numbers) if name else ()
        return Kept(
            self.writer, found.number, found.call, about, asked, outcome, found.granted, reasons, rules,
            any(code & REDUCING for code in found.outcomes), Versions(found.book, market, configuration),
            found.microseconds, self.layout(name).no_worse(*numbers) if name else (),
        )  # fmt: skip


class _Fields(NamedTuple):
    """What a frame of a decision holds, in this order."""

    number: int
    call: int
    at: int
    action: int
    expires: int | None
    by: str
    netted: bool
    asked: Sequence[Any]
    outcome: int
    granted: int
    book: int
    microseconds: float
    context: int
    reasons: Sequence[Sequence[str]]
    leg: Sequence[int]
    values: bytes
    outcomes: bytes


_LONG = 0xDC  # how an array of more than fifteen begins


def _packed(decision: Decision, about: About, number: int, call: int, context: int) -> bytes:
    measured = decision.measured
    leg, values, outcomes = (), b"", b""  # type: Sequence[int], bytes, bytes
    if measured is not None:
        leg = [int(place) for place in measured.leg[:3]]
        values, outcomes = measured.values[measured.row].tobytes(), measured.outcomes[measured.row].tobytes()
    reasons = () if decision.outcome == "pass" else decision.reasons
    expires = None if about.expires is None else _microseconds(about.expires)
    fields = _Fields(
        number, call, _microseconds(about.at), _ACTIONS.index(about.action), expires, about.by, about.netted,
        _plain(decision.asked),
        _OUTCOMES.index(decision.outcome), decision.granted_contracts, decision.versions.book, decision.microseconds,
        context, reasons, leg, values, outcomes,
    )  # fmt: skip
    return _packb((_DECISION, *fields))


def _plain(asked: Asked) -> list[object]:
    """An order as it was asked for, in types that every program has."""
    quantity, price = asked.quantity_contracts, asked.limit_points
    quantity = quantity if type(quantity) is int else float(quantity)
    price = None if price is None else float(price)
    return [asked.strategy, asked.instrument, int(asked.contract), quantity, price, asked.order_id]


def _packb(value: object) -> bytes:
    return bytes(msgpack.packb(value, unicode_errors=_ANY_TEXT))


def _unpacked(data: bytes) -> list[Any]:
    found: list[Any] = msgpack.unpackb(data, unicode_errors=_ANY_TEXT)
    return found


def _newest_first(segments: Sequence[tuple[float, Path]], wanted: Wanted) -> Iterator[Kept]:
    """Decisions of all segments, by time, the newest first. A segment is read when its turn may have come."""
    waiting = list(reversed(segments))
    heap: list[_Next] = []
    while heap or waiting:
        while waiting and (not heap or waiting[-1][0] * 1e6 >= -heap[0].before):
            file = waiting.pop()[1]
            reading = _Reading(file)
            _push(heap, _Next(0, -_segment_number(file), str(file), 1 - len(reading.decisions), reading))
        if not heap:
            continue
        following = heapq.heappop(heap)
        if wanted.since is not None and -following.before < _microseconds(wanted.since):
            return
        kept = following.reading.kept(-following.number, wanted)
        if kept is not None:
            yield kept
        _push(heap, following._replace(number=following.number + 1))


class _Next(NamedTuple):
    """The next decision of a segment, as they sort: its time, the segment's number, its place, all negative."""

    before: int
    segment: int
    name: str
    number: int
    reading: _Reading


def _push(heap: list[_Next], following: _Next) -> None:
    if following.number <= 0 and following.reading.decisions:
        heapq.heappush(heap, following._replace(before=-following.reading.at(-following.number)))


def _segment_number(file: Path) -> int:
    found = file.stem.rpartition("-")[2]
    return int(found) if found.isdigit() else 0


def _emptied(folder: Path) -> int:
    """Deletes the segments of a session, and the folder if that leaves nothing."""
    gone = [file for file in folder.glob("*.log") if not _is_written(file)]
    for file in gone:
        file.unlink()
    with suppress(OSError):  # somebody writes there
        folder.rmdir()
    return len(gone)


def _is_written(file: Path) -> bool:
    """Whether a process that lives writes it."""
    handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _synced(handle: int) -> None:
    """Waits until a file is on the disk, and closes it."""
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _turn_in(folder: Path) -> Iterator[None]:
    """Nobody else who asks for it has a turn in the folder meanwhile."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def _translated(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as cause:
        raise refusal(cause, place) or StoreUnavailable(
            f"decisions cannot be kept in {place}: {cause}. Nothing was acknowledged. Mend the disk, and ask again."
        ) from cause


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def _instant(microseconds: int) -> datetime:
    return _EPOCH + microseconds * _MICROSECOND


def _day(name: str) -> date | None:
    try:
        return date.fromisoformat(name)
    except ValueError:
        return None
