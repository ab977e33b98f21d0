"""Cluster of worker processes on this machine, forked from one that has loaded everything.

Belongs here: giving out items, listening, watching the limits, and ending every process. Does not belong here: what
runs in the processes (`crew.py`).

On Linux the resident memory of each process is read from /proc while the work goes on; elsewhere a memory ceiling is
refused (UsageError), since an address-space limit would count memory maps that are never resident.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from resource import getpagesize
from typing import Any

from resources.clusters.crew import Pipes, lead
from resources.clusters.limits import Watch, whole_chunk
from trading.errors import UsageError
from trading.ports import NO_LIMITS, Items, Limits, Progress, Task

Numbered = tuple[int, Any]
PROC = Path("/proc")
FRESH = "import sys; sys.path[:] = sys.argv[2:]; from resources.clusters.crew import main; main()"
_TO_END_S = 2.0


def _quiet(done: int, total: int, what: str) -> None:
    """Says nothing."""


class LocalProcesses:
    """Cluster of `workers` processes (default: as many as this process may use processors)."""

    def __init__(self, workers: int | None = None) -> None:
        if workers is not None and workers < 1:
            raise UsageError(f"{workers} workers can do nothing. Give 1 or more.")
        self.workers = workers or len(os.sched_getaffinity(0))

    def map(
        self, task: Task, items: Items, limits: Limits = NO_LIMITS, progress: Progress = _quiet
    ) -> Iterator[Numbered]:
        """As the port."""
        if limits.memory_mb is not None and not PROC.is_dir():
            raise UsageError("a memory ceiling needs a system with /proc. Leave it out, or run on Linux.")
        if not items:
            return
        watch = Watch(limits, 0 if callable(items) else len(items))
        watch.look()
        crew = _Crew(task, self.workers if callable(items) else min(self.workers, len(items)), watch)
        try:
            crew.take(items() if callable(items) else items)
            for number, result in crew.results():
                watch.done += 1
                progress(watch.done, watch.total, "")
                yield number, result
        finally:
            crew.end()


class _Crew:
    """Processes at work. As many spare workers as working ones are forked and wait, in case one dies."""

    def __init__(self, task: Task, workers: int, watch: Watch) -> None:
        self._watch, self._chunk = watch, 1
        self._left: list[Numbered] = []
        self._again: list[list[Numbered]] = []  # chunks whose worker died
        self._died: dict[int, str] = {}  # numbers of items that a worker died on, and how
        self._given: dict[int, dict[int, Any]] = {}  # by worker: items it has and did not give back
        self._pids: dict[int, int] = {}
        self._exits: dict[int, int] = {}
        ours, theirs = zip(*(_pipe() for _ in range(2 * workers + 1)), strict=True)
        lifeline, self._lifeline = os.pipe()
        self._foreman = Connection(ours[-1])
        self._pipes = {number: Connection(handle) for number, handle in enumerate(ours[:-1])}
        self._spare = list(range(2 * workers - 1, workers - 1, -1))
        pipes = Pipes(theirs[:-1], theirs[-1], lifeline)
        try:
            self._pid = _started(task, pipes, (*ours, self._lifeline))
        except BaseException:
            self._close()
            raise
        finally:
            for handle in pipes.all:
                os.close(handle)
        self._idle = list(range(workers))

    def take(self, items: Sequence[Any]) -> None:
        """What there is to do."""
        self._watch.total = len(items)
        self._left, self._chunk = list(enumerate(items))[::-1], whole_chunk(len(items), len(self._idle))

    def results(self) -> Iterator[Numbered]:
        """Everything that comes back, until nothing is left. Raises as the port says."""
        while self._left or self._again or self._given:
            self._hand_out()
            self._watch.look(self._largest_bytes() if self._watch.measures_memory else 0.0)
            listening = {self._pipes[worker]: worker for worker in self._given}
            for pipe in wait([*listening, self._foreman], self._watch.pause_s()):
                if pipe is self._foreman:
                    if self._foreman.poll():  # what it said may have been heard already, while a worker was lost
                        self._hear_foreman()
                else:
                    yield from self._hear(listening[pipe])  # type: ignore[index]

    def _hand_out(self) -> None:
        """Gives every idle worker a chunk; nobody has one before the foreman is ready."""
        while self._pids and self._idle and (self._left or self._again):
            chunk = self._again.pop() if self._again else [self._left.pop() for _ in self._left[-self._chunk :]]
            worker = self._idle.pop()
            self._given[worker] = dict(chunk)
            try:
                self._pipes[worker].send(chunk)
            except OSError:
                self._lost(worker)
            except Exception as cause:
                raise UsageError(f"an item cannot be sent to a worker: {cause}. Send plain values only.") from cause

    def _hear_foreman(self) -> None:
        try:
            kind, *said = self._foreman.recv()
        except (EOFError, OSError) as cause:
            raise self._watch.lost("the process that leads the workers died") from cause
        if kind == "failed":
            raise said[0]
        if kind == "ready":
            self._pids = said[0]
            self._watch.ready()
        else:
            self._exits[said[0]] = said[1]
            self._pids.pop(said[0], None)

    def _hear(self, worker: int) -> Iterator[Numbered]:
        try:
            kind, *said = self._pipes[worker].recv()
        except (EOFError, OSError):
            self._lost(worker)
            return
        if kind == "failed":
            raise said[0]
        for number, result in said[0]:
            self._given[worker].pop(number, None)
            yield number, result
        if said[1]:
            del self._given[worker]
            self._idle.append(worker)

    def _lost(self, worker: int) -> None:
        """A worker died: its items are given out once more, to a spare one."""
        while worker not in self._exits and self._foreman.poll(_TO_END_S):
            self._hear_foreman()
        left = self._given.pop(worker)
        how = _told(self._exits.get(worker))
        if not self._spare or any(number in self._died for number in left):
            items = f"items {min(left)} to {max(left)}" if left else "none of its items"
            raise self._watch.lost(f"a worker {how} on {items}, as the one before it did")
        self._died |= dict.fromkeys(left, how)
        self._again += [list(left.items())] if left else []
        self._idle.append(self._spare.pop())

    def _largest_bytes(self) -> int:
        return max(map(_resident_bytes, (self._pid, *self._pids.values())))

    def end(self) -> None:
        """Kills every process and closes every pipe; when it returns there is none."""
        for pid in self._pids.values():
            _kill(pid)
        self._close()
        if not self._pids or not _gone(self._pid, _TO_END_S):
            _kill_group(self._pid)
            _gone(self._pid, _TO_END_S)

    def _close(self) -> None:
        os.close(self._lifeline)
        for pipe in (self._foreman, *self._pipes.values()):
            pipe.close()


def _told(exit_code: int | None) -> str:
    if exit_code is None:
        return "vanished"
    return f"was killed by {signal.Signals(-exit_code).name}" if exit_code < 0 else f"ended with code {exit_code}"


def _pipe() -> tuple[int, int]:
    ours, theirs = socket.socketpair()
    return ours.detach(), theirs.detach()


def _started(task: Task, pipes: Pipes, closed: Sequence[int]) -> int:
    """The process id of a new foreman; `closed` are ends of pipes that only this process may hold."""
    if threading.active_count() > 1:
        return _fresh(task, pipes)
    pid = os.fork()
    if pid:
        _own_group(pid)
        return pid
    try:
        _own_group(0)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for handle in closed:
            os.close(handle)
        lead(task, pipes)
    finally:
        os._exit(1)


def _own_group(pid: int) -> None:
    """Makes a process the head of its own group: by itself and by its parent, since either may come first."""
    try:
        os.setpgid(pid, pid)
    except OSError:
        return


def _fresh(task: Task, pipes: Pipes) -> int:
    """A foreman that shares nothing with this process but pipes."""
    try:
        orders = pickle.dumps((task, pipes))
    except Exception as cause:
        raise UsageError(f"the task cannot be sent to workers: {cause}. Use functions of modules.") from cause
    ours, theirs = _pipe()
    command = [sys.executable, "-c", FRESH, str(theirs), *sys.path]
    process = subprocess.Popen(command, pass_fds=(theirs, *pipes.all), process_group=0)
    process.returncode = 0  # we wait for it ourselves
    os.close(theirs)
    telling = Connection(ours)
    telling.send_bytes(orders)
    telling.close()
    return process.pid


def _resident_bytes(pid: int) -> int:
    """What a process holds; 0 when it is gone."""
    try:
        return int((PROC / str(pid) / "statm").read_text().split()[1]) * getpagesize()
    except (OSError, IndexError):
        return 0


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _kill_group(pid: int) -> None:
    _kill(pid)
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _gone(pid: int, wait_s: float) -> bool:
    """Whether a child ended within a time, and was buried."""
    pause = threading.Event()
    for _ in range(int(wait_s / 0.005)):
        try:
            if os.waitpid(pid, os.WNOHANG)[0]:
                return True
        except ChildProcessError:
            return True
        pause.wait(0.005)
    return False
