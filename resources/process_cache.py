"""The cache in this process: bounded by entries and by bytes, the least recently used going first.

Belongs here: values of one process. Does not belong here: sharing them (`redis_cache.py`, `two_level_cache.py`).
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from resources.single_flight import Channels, SingleFlight
from trading.ports import CacheStatistics


class ProcessCache:
    """Cache of at most `max_entries` values and `max_bytes` bytes of values. `clock` counts seconds.

    A value larger than `max_bytes` is not kept at all.
    """

    def __init__(
        self, max_entries: int = 10_000, max_bytes: int = 256_000_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_entries, self._max_bytes, self._clock = max_entries, max_bytes, clock
        self._held: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._bytes = 0
        self._hits = self._misses = self._evictions = 0
        self._lock = threading.Lock()
        self._flights, self._channels = SingleFlight(), Channels()

    def get(self, key: str) -> bytes | None:
        """As the port."""
        with self._lock:
            found = self._held.get(key)
            if found is not None and self._clock() < found[1]:
                self._held.move_to_end(key)
                self._hits += 1
                return found[0]
            self._drop(key)
            self._misses += 1
            return None

    def set(self, key: str, value: bytes, age_s: float | None = None) -> None:
        """As the port."""
        with self._lock:
            self._drop(key)
            if len(value) > self._max_bytes:
                return
            self._held[key] = (value, math.inf if age_s is None else self._clock() + age_s)
            self._bytes += len(value)
            while len(self._held) > self._max_entries or self._bytes > self._max_bytes:
                self._drop(next(iter(self._held)))
                self._evictions += 1

    def delete(self, key: str) -> None:
        """As the port."""
        with self._lock:
            self._drop(key)

    def load(self, key: str, loader: Callable[[], bytes], age_s: float | None = None) -> bytes:
        """As the port."""
        value = self.get(key)
        return value if value is not None else self._flights.do(key, lambda: self._loaded(key, loader, age_s))

    def publish(self, channel: str, message: bytes) -> None:
        """As the port, to subscribers in this process."""
        self._channels.publish(channel, message)

    def subscribe(self, channel: str) -> AbstractContextManager[Iterator[bytes]]:
        """As the port; iterating ends when the context closes."""
        return self._channels.subscribe(channel)

    def statistics(self) -> CacheStatistics:
        """As the port."""
        with self._lock:
            return CacheStatistics(self._hits, self._misses, self._evictions, len(self._held))

    def _loaded(self, key: str, loader: Callable[[], bytes], age_s: float | None) -> bytes:
        with self._lock:  # somebody may have finished between our miss and our turn
            found = self._held.get(key)
        if found is not None and self._clock() < found[1]:
            return found[0]
        value = loader()
        self.set(key, value, age_s)
        return value

    def _drop(self, key: str) -> None:
        found = self._held.pop(key, None)
        self._bytes -= len(found[0]) if found is not None else 0
