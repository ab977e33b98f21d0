"""One writer at a time, between threads and processes, by a lock the kernel drops when its holder dies.

Belongs here: the lock. Does not belong here: what is written under it.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from trading.errors import StoreBusy

_BETWEEN_TRIES_S = 0.01


@contextmanager
def held(path: Path, what: str, wait_s: float, say: Callable[[str], None] | None = None) -> Iterator[None]:
    """Holds the lock at `path` while the block runs; raises StoreBusy naming the holder after `wait_s` seconds. `say`
    hears once, when there is something to wait for, who holds it.

    flock belongs to the open file: two threads of a process exclude each other too, and kill -9 releases it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _take(handle, what, wait_s, say)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def _take(handle: int, what: str, wait_s: float, say: Callable[[str], None] | None) -> None:
    deadline = time.monotonic() + wait_s
    pause = threading.Event()
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as cause:
            if time.monotonic() >= deadline:
                raise StoreBusy(
                    f"{what} is being written by process {_holder(handle)} and was not free within {wait_s:g} s. "
                    "Wait for that process to end, or stop it, and run the same command again."
                ) from cause
            if say is not None:
                say(f"waiting up to {wait_s:g} s: {what} is being written by process {_holder(handle)}")
                say = None
        pause.wait(_BETWEEN_TRIES_S)


def _holder(handle: int) -> str:
    """The process that last took the lock, as it wrote itself down."""
    return os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
