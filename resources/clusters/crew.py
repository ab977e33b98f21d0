"""The workers of one piece of local work: how they are forked, what they say, and how they end.

Belongs here: what runs in the forked processes. Does not belong here: who gives out the items (`processes.py`).

A foreman prepares the task, then forks the workers, so that they share what was prepared (panel, loaded kernels) copy
on write. The foreman is forked from the process that asks where that has one thread only; else it is a fresh process
(`main`), since a fork of many threads may copy a lock that nobody will open. Foreman and
workers are a process group of their own: an interrupt typed at the terminal reaches only who asked.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from trading.errors import CalculationError
from trading.ports import Task

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # as malloc.h names them
SAID_EVERY_S = 0.05  # results wait this long at most before they are sent, and the first ones hardly
SAID_AFTER = 0.1  # of the time since the first was begun


@dataclass(frozen=True, slots=True)
class Pipes:
    """File numbers that a crew needs: of each worker's pipe, of the foreman's, and of one that ends with who asked."""

    workers: tuple[int, ...]
    foreman: int
    lifeline: int

    @property
    def all(self) -> tuple[int, ...]:
        """Every number."""
        return (*self.workers, self.foreman, self.lifeline)


def lead(task: Task, pipes: Pipes) -> None:
    """The foreman's life: prepares, forks, tells who they are, and buries them. Never returns."""
    foreman = Connection(pipes.foreman)
    try:
        state = task.prepare(task.shared)
    except BaseException as cause:
        foreman.send(("failed", sendable(cause)))
        os._exit(1)
    gc.freeze()  # a collection in a worker must not touch, and so copy, what is shared
    crew = {_forked(task, state, pipes, number): number for number in range(len(pipes.workers))}
    for handle in pipes.workers:
        os.close(handle)
    _tell(foreman, ("ready", {number: pid for pid, number in crew.items()}))
    while crew:
        pid, status = os.wait()
        if pid in crew:
            _tell(foreman, ("ended", crew.pop(pid), os.waitstatus_to_exitcode(status)))
    os._exit(0)


def _forked(task: Task, state: Any, pipes: Pipes, number: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    for handle in (*pipes.workers[:number], *pipes.workers[number + 1 :], pipes.foreman):
        os.close(handle)
    threading.Thread(target=_end_with, args=(pipes.lifeline,), daemon=True).start()
    keep_freed_memory()
    try:
        _work(task, state, Connection(pipes.workers[number]))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(0)  # nobody asks any more
    finally:
        os._exit(1)


def _end_with(lifeline: int) -> None:
    """Ends this process when the one that asked is gone, whatever is being computed."""
    os.read(lifeline, 1)
    os._exit(0)


def keep_freed_memory() -> None:
    """Lets this process keep what it frees: arrays of a megabyte, made and dropped for each item, would otherwise be
    asked of the kernel and zeroed each time (a quarter of a sweep). Only glibc can be told; elsewhere nothing changes.
    """
    import ctypes

    try:
        tell = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    for setting, value in ((_M_MMAP_THRESHOLD, 1 << 30), (_M_TRIM_THRESHOLD, 1 << 30), (_M_TOP_PAD, 64 << 20)):
        tell(setting, value)


def _work(task: Task, state: Any, asking: Connection) -> None:
    """Does chunks of (number, item) and says ("done", results, whether the chunk is over), until nobody asks."""
    began = 0.0
    while True:
        chunk: list[tuple[int, Any]] = asking.recv()
        done: list[tuple[int, Any]] = []
        said = time.monotonic()
        began = began or said
        for number, item in chunk:
            try:
                done.append((number, task.function(state, item)))
            except Exception as cause:
                asking.send(("done", done, False))
                asking.send(("failed", sendable(cause)))
                return
            now = time.monotonic()
            if now - said > min(SAID_EVERY_S, SAID_AFTER * (now - began)):
                asking.send(("done", done, False))
                done, said = [], now
        asking.send(("done", done, True))


def sendable(cause: BaseException) -> BaseException:
    """The error itself where it survives the way between processes, else its sentence."""
    try:
        pickle.loads(pickle.dumps(cause))
    except Exception:
        return CalculationError(f"{type(cause).__name__}: {cause}")
    return cause


def _tell(foreman: Connection, what: Sequence[Any]) -> None:
    """Says something to who asked, who may be gone."""
    try:
        foreman.send(what)
    except OSError:
        return


def main() -> None:
    """A fresh foreman: the file number of its orders is the only argument."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    orders = Connection(int(sys.argv[1]))
    task, pipes = pickle.loads(orders.recv_bytes())
    orders.close()
    lead(task, pipes)
