"""What says that the configuration may have changed: files, and messages of whoever put another version in force.

Belongs here: listening, in threads. Does not belong here: what is done about it (`config_watcher.py`), or reading
files.

Folders are watched, not files: editors write a new file and rename it over the old one, and mounted settings are
exchanged by a link.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from trading.ports import Cache

CHANNEL = "configuration"
AUTHORED = frozenset({".toml", ".yaml", ".yml", ".csv"})
_STEP_MS = 10  # quiet that ends a group of changes; the watcher waits for more
_GROUP_MS = 50
_LOOK_MS = 200  # how often folders are looked for that came, went or were exchanged
_PAUSE_S = 1.0  # before watching is tried again when the system refused
_TO_END_S = 5.0


class FileSignals:
    """Tells of authored files that changed in `folders`, asked for anew all the time, and of a pointer that was
    exchanged. Not below those folders: a home holds much else."""

    def __init__(
        self,
        folders: Callable[[], Iterable[Path]],
        pointer: Path,
        files_changed: Callable[[], None],
        pointer_moved: Callable[[], None],
        log: Any,
    ) -> None:
        self._folders, self._pointer, self._log = folders, pointer, log
        self._files_changed, self._pointer_moved = files_changed, pointer_moved
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="configuration files", daemon=True)

    def start(self) -> None:
        """Begins to listen; soon after, both are told once, since something may have changed before."""
        self._thread.start()

    def stop(self) -> None:
        """Ends listening."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join(_TO_END_S)

    def _run(self) -> None:
        while not self._stopped.is_set():
            there = self._there()
            try:
                self._watch(there)
            except Exception as cause:  # the system has no watches left, a folder went as we came: try again
                self._log.warning("configuration_files_unwatched", error=str(cause), again_in_s=_PAUSE_S)
                self._stopped.wait(_PAUSE_S)

    def _watch(self, there: dict[Path, tuple[int, int]]) -> None:
        """Listens until folders come, go or are exchanged."""
        if not there:
            self._stopped.wait(_PAUSE_S)
            return
        from watchfiles import watch

        seen = False
        for changes in watch(
            *there, watch_filter=None, debounce=_GROUP_MS, step=_STEP_MS, rust_timeout=_LOOK_MS, yield_on_timeout=True,
            stop_event=self._stopped, recursive=False, raise_interrupt=False, ignore_permission_denied=True,
        ):  # fmt: skip
            self._tell([Path(name) for _, name in changes], anyway=not seen)
            seen = True
            if self._there() != there:
                return

    def _tell(self, changed: Sequence[Path], anyway: bool) -> None:
        if anyway or any(_is_authored(path) for path in changed):
            self._files_changed()
        if anyway or any(path.name == self._pointer.name for path in changed):
            self._pointer_moved()

    def _there(self) -> dict[Path, tuple[int, int]]:
        """Folders that exist, and which they are."""
        found = {}
        for folder in (*self._folders(), self._pointer.parent):
            try:
                found[folder] = ((about := folder.stat()).st_dev, about.st_ino)
            except OSError:
                continue
        return found


class ChannelSignals:
    """Tells of messages on a cache's channel: somebody put another version in force."""

    def __init__(self, cache: Cache, pointer_moved: Callable[[], None], log: Any) -> None:
        self._cache, self._pointer_moved, self._log = cache, pointer_moved, log
        self._opened = ExitStack()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Subscribes; what is published after it returns is heard."""
        messages = self._opened.enter_context(self._cache.subscribe(CHANNEL))
        self._thread = threading.Thread(target=self._run, args=(messages,), name="configuration channel", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends listening."""
        self._stopped.set()
        self._opened.close()
        if self._thread is not None:
            self._thread.join(_TO_END_S)

    def _run(self, messages: Iterable[bytes]) -> None:
        try:
            for _ in messages:
                self._pointer_moved()
        except Exception as cause:
            if not self._stopped.is_set():  # a driver may say anything while its connection is closed
                self._log.error("configuration_channel_lost", error=f"{type(cause).__name__}: {cause}")


def authored_files(folders: Iterable[Path]) -> dict[str, tuple[int, int, int]]:
    """Files of a configuration in folders, by path, with what shows that one is another: when it was written, its size
    and which file it is, links followed."""
    found = {}
    for folder in folders:
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if os.path.splitext(entry.name)[1] in AUTHORED:
                    with suppress(OSError):
                        about = entry.stat()
                        found[entry.path] = (about.st_mtime_ns, about.st_size, about.st_ino)
    return found


def _is_authored(path: Path) -> bool:
    """Whether a change may be of a configuration; a name with two dots is a link of mounted settings."""
    return path.suffix in AUTHORED or path.name.startswith("..")
