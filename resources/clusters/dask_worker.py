"""What a Dask worker does of a piece of Daybook's work, and what it remembers meanwhile.

Belongs here: code that runs in the workers' processes; it is imported where `distributed` is known to be installed.
Does not belong here: giving out items (`dask.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from distributed import Worker, WorkerPlugin, get_worker

from trading.ports import Task


class Prepared(WorkerPlugin):
    """What a task shares, and what each thread of the worker prepared from it; removing the plugin forgets both."""

    def __init__(self, task: Task) -> None:
        self.task = task

    def setup(self, worker: Worker) -> None:
        """As Dask asks: called on each worker."""
        self.wanted, self._own = True, threading.local()

    def teardown(self, worker: Worker) -> None:
        """As Dask asks: called when the plugin is removed."""
        self.wanted, self._own = False, threading.local()

    def state(self) -> Any:
        """What this thread prepared, prepared now if need be."""
        own = self._own
        if not hasattr(own, "state"):
            own.state = self.task.prepare(self.task.shared)
        return own.state


def compute(name: str, chunk: Sequence[tuple[int, Any]]) -> list[tuple[int, Any]]:
    """Results of a chunk of (number, item); it stops when nobody wants them any more."""
    prepared: Any = get_worker().plugins.get(name)
    if prepared is None or not prepared.wanted:
        return []
    state, done = prepared.state(), []
    for number, item in chunk:
        if not prepared.wanted:
            break
        done.append((number, prepared.task.function(state, item)))
    return done
