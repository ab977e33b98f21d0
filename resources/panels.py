"""Panels on disk by version, opened as memory maps: a second process starts at once.

Belongs here: the file of a panel, keeping a few of them, and making one only once. Does not belong here: what a panel
is made of (`csv_panels.py`, `frame_panels.py`). Losing these files loses nothing: they are made again.

One file a panel, `VERSION.panel`: a fixed preamble, a JSON header, then the arrays, each on a 64-byte boundary. The
header says where each array lies and the sum and exclusive-or of its 64-bit words, which are checked when the file is
opened (a gigabyte takes about 0.2 s; six instruments over fifty years 1 ms).
"""

from __future__ import annotations

import json
import logging
import math
import mmap
import os
import re
import struct
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import fields
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from resources.disk_errors import refusal
from resources.durable import synced
from resources.file_lock import held
from trading.backtest.panel import Panel
from trading.backtest.specification import DataSource, WeekendRows
from trading.errors import StoreBusy, StoreUnavailable, UsageError

_MAGIC, _ALIGNED, _PREAMBLE = b"DAYPANL1", 64, struct.Struct("<8sQQ")  # magic, bytes of the header, its CRC
_VERSION = re.compile(r"[0-9a-f]{16,128}")
_SUFFIX, _NEW = ".panel", ".new-"
_ABANDONED_S = 3600.0
_PLAIN = ("instruments", "currencies", "base", "version", "first_day")  # fields that are in the header whole
_log = logging.getLogger(__name__)

_JUST_NOW_S = 1.0
_Request = tuple[tuple[str, ...], str, WeekendRows, date | None]
Array = npt.NDArray[Any]


class PanelFiles:
    """Panels under the folder `root`, at most `keep` of them: those opened longest ago go first.

    A panel that is open stays readable when its file is deleted. Arrays are private to the process: writing to them
    changes no file and no other process. Whoever waits for another process to make a panel waits `wait_s` at most.
    """

    def __init__(self, root: Path, keep: int = 16, wait_s: float = 600.0) -> None:
        self.root, self._keep, self._wait_s = Path(root), keep, wait_s

    def get(self, version: str) -> Panel | None:
        """The panel, or None where there is none or its file is damaged. Raises UsageError on what is no version."""
        path = self._path(version)
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            panel = _read(handle)
        finally:
            os.close(handle)
        if panel is None or panel.version != version:
            _log.warning("%s is damaged and will be made again", path)
            return None
        with suppress(OSError):
            os.utime(path)
        return panel

    def put(self, panel: Panel) -> None:
        """Keeps a panel under its version: whole when this returns, and never seen half. Raises StoreUnavailable."""
        path = self._path(panel.version)
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            _replace(path, panel)
            self._prune(path)
        except OSError as cause:
            raise refusal(cause, self.root) or StoreUnavailable(f"{self.root} cannot be used: {cause}.") from cause

    def load(self, version: str, maker: Callable[[], Panel]) -> Panel:
        """The panel as kept, or as `maker` gives it: called once, however many threads and processes ask.

        Where it cannot be kept (disk full, read-only) it is given all the same, with a warning in the log. A panel of
        data that changed while it was read says so by its own version, and is kept under that. Raises what `maker`
        raises.
        """
        found = self.get(version)
        if found is not None:
            return found
        with self._alone(version):
            found = self.get(version)
            return found if found is not None else self._kept(maker())

    def versions(self) -> list[str]:
        """Versions kept, sorted."""
        return sorted(path.stem for path in self.root.glob(f"*{_SUFFIX}"))

    def _kept(self, panel: Panel) -> Panel:
        """The panel out of its file, so that its pages are shared; itself where it could not be kept."""
        try:
            self.put(panel)
        except StoreUnavailable as cause:
            _log.warning("the panel was not kept: %s", cause)
        return self.get(panel.version) or panel

    @contextmanager
    def _alone(self, version: str) -> Iterator[None]:
        """Alone in making this version. Where no lock can be had, not alone: the work is done twice, and right."""
        with ExitStack() as stack:
            try:
                lock = self.root / ".locks" / version[:2]
                stack.enter_context(held(lock, f"the panel {version[:12]}", self._wait_s))
            except (OSError, StoreBusy) as cause:
                _log.warning("no lock for the panel %s: %s", version[:12], cause)
            yield

    def _path(self, version: str) -> Path:
        if not _VERSION.fullmatch(version):
            raise UsageError(f"{version!r} is not the version of a panel: give its hexadecimal digits.")
        return self.root / f"{version}{_SUFFIX}"

    def _prune(self, newest: Path) -> None:
        """Deletes the panels opened longest ago, and what killed writers left."""
        at = {path: path.stat().st_mtime for path in self._there(f"*{_SUFFIX}") if path != newest}
        for path in sorted(at, key=lambda path: at[path], reverse=True)[max(self._keep - 1, 0) :]:
            path.unlink(missing_ok=True)
        for path in self._there(f"{_NEW}*"):
            if newest.stat().st_mtime - path.stat().st_mtime > _ABANDONED_S:
                path.unlink(missing_ok=True)

    def _there(self, pattern: str) -> list[Path]:
        return [path for path in self.root.glob(pattern) if path.exists()]


# --- the file ---------------------------------------------------------------------------------------------------------
def _replace(path: Path, panel: Panel) -> None:
    """Puts a panel in place at once: a reader sees none of it or all, and a power cut leaves none or all."""
    import tempfile

    handle, name = tempfile.mkstemp(dir=path.parent, prefix=_NEW)
    try:
        with os.fdopen(handle, "wb") as file:
            for part in _parts(panel):
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
    synced(path.parent)


def _parts(panel: Panel) -> Iterator[Any]:
    """Preamble, header and arrays, each padded to the boundary."""
    arrays = {field.name: _words(panel, field.name) for field in fields(panel) if field.name not in _PLAIN}
    header = json.dumps({"plain": _plain(panel), "arrays": _described(panel, arrays)}).encode()
    preamble = _PREAMBLE.pack(_MAGIC, len(header), zlib.crc32(header))
    for part in (preamble + header, *(words.data.cast("B") for words in arrays.values())):
        yield part
        yield bytes(_padded(len(part)) - len(part))


def _words(panel: Panel, name: str) -> Array:
    """An array as 64-bit words, flat."""
    return np.ascontiguousarray(getattr(panel, name)).reshape(-1).view(np.uint64)


def _plain(panel: Panel) -> dict[str, object]:
    values = {name: getattr(panel, name) for name in _PLAIN}
    return values | {"first_day": str(panel.first_day)}


def _described(panel: Panel, arrays: Mapping[str, Array]) -> dict[str, object]:
    """Type, shape, place (counted from the first array) and sums of each array."""
    described: dict[str, object] = {}
    place = 0
    for name, words in arrays.items():
        own = getattr(panel, name)
        described[name] = [own.dtype.str, own.shape, place, _sums(words)]
        place += _padded(words.nbytes)
    return described


def _read(handle: int) -> Panel | None:
    """The panel of an open file, its arrays mapped; None where the file is damaged."""
    size = os.fstat(handle).st_size
    if size < _PREAMBLE.size:
        return None
    mapped = mmap.mmap(handle, 0, access=mmap.ACCESS_COPY)
    magic, length, crc = _PREAMBLE.unpack_from(mapped)
    header = mapped[_PREAMBLE.size : _PREAMBLE.size + length] if magic == _MAGIC else b""
    if len(header) != length or not length or zlib.crc32(header) != crc:
        return None
    said = json.loads(header)
    start = _padded(_PREAMBLE.size + length)
    arrays = {name: _array(mapped, size, start, *where) for name, where in said["arrays"].items()}
    if any(array is None for array in arrays.values()):
        return None
    plain = said["plain"] | {name: tuple(said["plain"][name]) for name in ("instruments", "currencies")}
    plain["first_day"] = np.datetime64(plain["first_day"], "D")
    return Panel(**plain, **arrays)


def _array(mapped: mmap.mmap, size: int, start: int, kind: str, shape: list[int], place: int, sums: list[int]) -> Any:
    """An array of a mapped file, or None where its bytes are not those that were written."""
    count = math.prod(shape)
    if start + place + 8 * count > size:
        return None
    words: Array = np.frombuffer(mapped, dtype=np.uint64, count=count, offset=start + place)
    return words.view(np.dtype(kind)).reshape(shape) if _sums(words) == sums else None


def _sums(words: Array) -> list[int]:
    """Sum and exclusive-or of 64-bit words."""
    return [int(np.add.reduce(words)), int(np.bitwise_xor.reduce(words))]


def _padded(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED


class KeptPanels:
    """A data source whose panels are kept as files: the next who asks for the same version maps them.

    The source is asked for its version once for each panel: by the caller's `version` a moment before, which the next
    `panel` of the same request takes up, or else by `panel`. So data that changed is read again; a panel of data that
    changed between the two bears its own version, and the caller sees that it is not the one that was asked for.
    """

    def __init__(self, source: DataSource, files: PanelFiles) -> None:
        self._source, self._files = source, files
        self._asked: tuple[_Request, str, float] | None = None  # the last request, its version, and when

    def instruments(self) -> Sequence[str]:
        """As the source's."""
        return self._source.instruments()

    def version(
        self, instruments: Sequence[str], base: str, weekend_rows: WeekendRows, through: date | None = None
    ) -> str:
        """As the source's."""
        found = self._source.version(instruments, base, weekend_rows, through)
        self._asked = ((tuple(instruments), base, weekend_rows, through), found, time.monotonic())
        return found

    def panel(
        self, instruments: Sequence[str], base: str, weekend_rows: WeekendRows, through: date | None = None
    ) -> Panel:
        """The source's panel, out of its file where there is one."""
        request = (tuple(instruments), base, weekend_rows, through)
        version = self._known(request) or self._source.version(*request)
        return self._files.load(version, lambda: self._source.panel(*request))

    def _known(self, request: _Request) -> str | None:
        """The version the caller asked for a moment ago, once; None where it asked for something else."""
        asked, self._asked = self._asked, None
        return asked[1] if asked and asked[0] == request and time.monotonic() - asked[2] < _JUST_NOW_S else None
