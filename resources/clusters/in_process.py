"""Cluster of one: the process that asks does the work itself, for tests, debuggers and profilers.

Belongs here: doing items one after the other in this process. Does not belong here: other processes (`processes.py`),
other machines (`dask.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from resource import getpagesize
from typing import Any

from resources.clusters.limits import Watch
from trading.ports import NO_LIMITS, Items, Limits, Progress, Task


def _quiet(done: int, total: int, what: str) -> None:
    """Says nothing."""


class InProcess:
    """Cluster without workers. Gap: limits are looked at between items, so an item that does not end is not stopped,
    and an item that kills its process kills the caller."""

    workers = 1

    def map(
        self, task: Task, items: Items, limits: Limits = NO_LIMITS, progress: Progress = _quiet
    ) -> Iterator[tuple[int, Any]]:
        """As the port."""
        items = items() if callable(items) else items
        watch = Watch(limits, len(items))
        state = task.prepare(task.shared) if items else None
        watch.ready()
        for index, item in enumerate(items):
            watch.look(_resident_bytes() if watch.measures_memory else 0.0)
            result = task.function(state, item)
            watch.done += 1
            progress(watch.done, watch.total, "")
            yield index, result
        if watch.measures_memory:
            watch.look(_resident_bytes())


def _resident_bytes() -> int:
    """What this process holds now; 0 where the system has no /proc."""
    statistics = Path("/proc/self/statm")
    return int(statistics.read_text().split()[1]) * getpagesize() if statistics.exists() else 0
