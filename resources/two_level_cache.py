"""Two caches as one: a near one (this process) before a far one (shared).

Belongs here: what is written where, and when. Does not belong here: either cache.

A value under a key is expected never to change (keys are content hashes), so a near copy that outlives the far one is
harmless; `near_age_s` bounds how long it may.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Literal

from resources.single_flight import SingleFlight
from trading.ports import Cache, CacheStatistics

_log = logging.getLogger(__name__)
Mode = Literal["write_through", "lazy", "write_behind"]
_Write = tuple[str, bytes, float | None]


class TwoLevelCache:
    """`near` before `far`. What `set` does is the mode:

    - `write_through`: both are written before it returns;
    - `lazy`: only the far one is written, and the near one filled by whoever reads next;
    - `write_behind`: the near one is written, and a thread writes the far one soon; when `backlog` of
      them wait, `set` waits too. `flush` waits for all.
    """

    def __init__(
        self, near: Cache, far: Cache, mode: Mode = "write_through", near_age_s: float = 60.0, backlog: int = 10_000
    ) -> None:
        self._near, self._far, self._mode, self._near_age_s = near, far, mode, near_age_s
        self._flights = SingleFlight()
        self._hits = self._misses = 0
        self._lock = threading.Lock()
        self._behind: queue.Queue[_Write] = queue.Queue(backlog)
        self._writer: threading.Thread | None = None

    def get(self, key: str) -> bytes | None:
        """As the port: near, else far, which then is near too."""
        value = self._near.get(key)
        if value is None:
            value = self._far.get(key)
            if value is not None:
                self._near.set(key, value, self._near_age_s)
        with self._lock:
            self._hits += value is not None
            self._misses += value is None
        return value

    def set(self, key: str, value: bytes, age_s: float | None = None) -> None:
        """As the port, in the way of the mode."""
        if self._mode == "lazy":
            self._near.delete(key)
        else:
            self._near.set(key, value, min(self._near_age_s, math.inf if age_s is None else age_s))
        self._write_far((key, value, age_s))

    def delete(self, key: str) -> None:
        """As the port, in both."""
        self.flush()
        self._near.delete(key)
        self._far.delete(key)

    def load(self, key: str, loader: Callable[[], bytes], age_s: float | None = None) -> bytes:
        """As the port."""
        value = self.get(key)
        return value if value is not None else self._flights.do(key, lambda: self._loaded(key, loader, age_s))

    def publish(self, channel: str, message: bytes) -> None:
        """As the port, through the far cache."""
        self._far.publish(channel, message)

    def subscribe(self, channel: str) -> AbstractContextManager[Iterator[bytes]]:
        """As the port, through the far cache."""
        return self._far.subscribe(channel)

    def statistics(self) -> CacheStatistics:
        """As the port: hits in either, misses of both, evictions of both, entries near."""
        near, far = self._near.statistics(), self._far.statistics()
        return CacheStatistics(self._hits, self._misses, near.evictions + far.evictions, near.entries)

    def flush(self) -> None:
        """Waits until nothing is left to write behind."""
        self._behind.join()

    def _loaded(self, key: str, loader: Callable[[], bytes], age_s: float | None) -> bytes:
        there = self._near.get(key)
        if there is not None:  # somebody finished between our miss and our turn
            return there
        value = loader()
        self.set(key, value, age_s)
        return value

    def _write_far(self, write: _Write) -> None:
        if self._mode != "write_behind":
            self._far.set(*write)
            return
        with self._lock:
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_all, name="cache write-behind", daemon=True)
                self._writer.start()
        self._behind.put(write)

    def _write_all(self) -> None:
        while True:
            write = self._behind.get()
            try:
                self._far.set(*write)
            except Exception:  # the thread must live on: without it every later write would wait
                _log.warning("the value of %s was not shared", write[0], exc_info=True)
            finally:
                self._behind.task_done()
