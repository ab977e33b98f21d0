"""The processes of the service: started on one socket, started again when one dies, ended together.

Belongs here: the socket and the processes. Does not belong here: what a worker does (`worker.py`), or which desk it
serves (`serving.py`).

All workers accept from one socket, so what waits there when one is killed is taken by another.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from trading.errors import UsageError

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOOK_S = 0.05
CANNOT = 2  # exit code of a worker that could not begin, and would not the next time
GRACE_S = 10  # for requests under way when it is told to end
STEADY_S = 10.0  # a worker that lived so long is started again at once
LONGEST_WAIT_S = 10.0
BACKLOG = 2_048


@dataclass(slots=True, eq=False)
class _Worker:
    """One place among the workers: its process, and when it may be started again. `wait_s` grows while it keeps dying
    soon."""

    name: str
    process: subprocess.Popen[bytes] | None = None
    began: float = 0.0
    due: float = 0.0
    wait_s: float = 0.0


class Crew:
    """Workers on a socket. `command` gives what to run for a worker, by the socket's number and the worker's name;
    `say` hears what happens."""

    def __init__(
        self, command: Callable[[int, str], Sequence[str]], listening: socket.socket, count: int,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:  # fmt: skip
        self._command, self._socket, self._say = command, listening, say
        self._workers = [_Worker(str(number + 1)) for number in range(count)]
        self._failed: int | None = None
        self._steady = False  # whether any worker ever was

    def serve(self, asked: threading.Event | None = None) -> int:
        """Runs until it is told to end, by a signal or by `asked`. 0 then; the exit code of a worker that cannot begin,
        where none does."""
        ending = asked or threading.Event()
        with _noticing(ending):
            try:
                while not ending.is_set() and self._failed is None:
                    for worker in self._workers:
                        self._look_after(worker)
                    ending.wait(LOOK_S)
            finally:
                self._end()
        return self._failed or 0

    def pids(self) -> list[int]:
        """Processes at work."""
        return [worker.process.pid for worker in self._workers if worker.process is not None]

    def _look_after(self, worker: _Worker) -> None:
        now = time.monotonic()
        if worker.process is not None:
            code = worker.process.poll()
            if code is None:
                return
            self._died(worker, code, now)
        if self._failed is None and now >= worker.due:
            number = self._socket.fileno()
            worker.process = subprocess.Popen(
                self._command(number, worker.name), pass_fds=(number,), start_new_session=True
            )
            worker.began = now

    def _died(self, worker: _Worker, code: int, now: float) -> None:
        steady = code != CANNOT and now - worker.began >= STEADY_S  # beginning may take long, too
        worker.wait_s = 0.0 if steady else min(max(2.0 * worker.wait_s, 0.25), LONGEST_WAIT_S)
        worker.process, worker.due = None, now + worker.wait_s
        self._steady = self._steady or steady
        if code == CANNOT and not self._steady:
            self._failed = code
            return
        why = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        self._say(f"worker {worker.name} {why}; it is started again in {worker.wait_s:.2f} s")

    def _end(self) -> None:
        """All end: in order, or else by force."""
        alive = [worker.process for worker in self._workers if worker.process is not None]
        for process in alive:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + GRACE_S + 2.0
        for process in alive:
            try:
                process.wait(max(deadline - time.monotonic(), 0.01))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def listening_at(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises UsageError where it cannot."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        made.listen(BACKLOG)
    except OSError as cause:
        made.close()
        raise UsageError(
            f"the service cannot listen at {host}:{port}: {cause.strerror or cause}. Choose another --port or "
            "risk.service.host, or end the process that has it."
        ) from cause
    made.setblocking(False)
    os.set_inheritable(made.fileno(), True)
    return made


@contextmanager
def _noticing(asked: threading.Event) -> Iterator[None]:
    """While open, signals that end a program set `asked` instead, where this is the thread that hears them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Any] = {number: signal.signal(number, lambda *_: asked.set()) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
