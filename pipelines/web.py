"""`daybook ui`: the Dagster UI on a desk's own data.

Belongs here: starting and ending `dagster dev`. Does not belong here: what it shows.

The UI is five processes that outlive each other by a minute when only the first is ended. They are a process group of
their own here, and all of it ends with the command: on Ctrl-C, on SIGTERM, and when its terminal goes away.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from pipelines.runs import prepare
from pipelines.settings import PROJECT, Place
from trading.errors import UsageError

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE_S = 8.0  # for a run in progress to note that it was interrupted
POLL_S = 0.1


STANDARD_ERROR = 2


def serve(where: Place, port: int) -> int:
    """Runs the UI until it is ended; all its processes end with it. Returns its exit code, 0 when it was asked to end.

    Raises UsageError when a UI of this home runs already.
    """
    folder = prepare(where)
    workspace = PROJECT / "workspace.yaml"
    command = [sys.executable, "-W", "ignore", "-m", "dagster", "dev", "-w", str(workspace), "-p", str(port)]
    with _only_one(folder / "ui.lock", where) as lock:
        _mark_dead_runs()
        asked = threading.Event()
        with _noticing(asked), _group(command, lock.fileno()) as process:
            while process.poll() is None and not asked.wait(POLL_S):
                pass
        _mark_dead_runs()
        return 0 if asked.is_set() else process.returncode


@contextmanager
def _only_one(file: Path, where: Place) -> Iterator[IO[str]]:
    """Holds the file; the UI's first process holds it too, so a killed command does not free it while that lives."""
    with file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"a UI of {where.home} runs already. Use it, or end it and run the command again."
            ) from None
        yield lock


@contextmanager
def _noticing(asked: threading.Event) -> Iterator[None]:
    """While open, signals that end a program set `asked` instead."""
    before: dict[int, Any] = {number: signal.signal(number, lambda *_: asked.set()) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _group(command: list[str], held: int) -> Iterator[subprocess.Popen[bytes]]:
    """A program in a process group of its own, of which nothing is left afterwards."""
    process = subprocess.Popen(command, start_new_session=True, pass_fds=(held,))
    try:
        yield process
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            if _gone(process, PATIENCE_S):
                break
        process.wait()


def _gone(process: subprocess.Popen[bytes], patience_s: float) -> bool:
    """Whether no process of the group is left, waiting for it a while."""
    waiting = threading.Event()
    for _ in range(int(patience_s / POLL_S)):
        process.poll()
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return True
        waiting.wait(POLL_S)
    return False


def _mark_dead_runs() -> None:
    """Runs that a UI launched and that nobody works on any more, since it ended, are marked failed."""
    import dagster as dg

    from pipelines.dead_runs import reap, reap_launched

    with dg.DagsterInstance.get() as instance:
        reap(instance)
        reap_launched(instance)
