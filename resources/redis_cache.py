"""The cache shared by processes, in Redis.

Belongs here: commands to Redis, and what happens without it. Does not belong here: a copy in this process
(`two_level_cache.py`). The bound on its size is the server's: `maxmemory` with `maxmemory-policy volatile-lru`, or
`allkeys-lru` where nothing else is kept there. Every key has an age, so that the former may take it, and leaves alone
what has none (reservations of the risk service).

A Redis that cannot be reached is asked again after a pause, not at every call, so that losing it costs time once.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

from resources.single_flight import SingleFlight
from trading.ports import CacheStatistics

_log = logging.getLogger(__name__)
_LOG_EVERY_S = 60.0
_LISTEN_S = 0.1
_CLAIM_S = 10.0  # how long others wait for who said that it makes a value
_LOOK_S = 0.02
_LONGEST_AGE_S = 30 * 86_400.0
_UNCLAIM = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
Answer = TypeVar("Answer")


class RedisCache:
    """Cache at a Redis `url`; its keys and channels start with `prefix:`. Waits `timeout_s` for an answer, and after
    one that did not come leaves Redis alone for `pause_s`, twice as long after each further one, up to
    `longest_pause_s`. Has `max_connections` at most; who finds all of them in use waits for one."""

    def __init__(
        self,
        url: str,
        prefix: str = "daybook",
        timeout_s: float = 0.5,
        pause_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
        longest_pause_s: float = 60.0,
        max_connections: int = 16,
    ) -> None:
        self._url, self._prefix, self._timeout_s, self._clock = url, prefix, timeout_s, clock
        self._pause_s, self._longest_pause_s, self._lost = pause_s, max(pause_s, longest_pause_s), 0
        self._max_connections = max_connections
        self._opened: Any = None
        self._retry_at = self._log_at = float("-inf")
        self._hits = self._misses = 0
        self._lock, self._opening = threading.Lock(), threading.Lock()
        self._flights = SingleFlight()

    def get(self, key: str) -> bytes | None:
        """As the port."""
        value = self._asked(lambda redis: redis.get(self._name(key)), None)
        with self._lock:
            self._hits += value is not None
            self._misses += value is None
        return value

    def set(self, key: str, value: bytes, age_s: float | None = None) -> None:
        """As the port; kept for 30 days at most. An age below a millisecond is none at all: the key is forgotten."""
        milliseconds = int(min(_LONGEST_AGE_S if age_s is None else age_s, _LONGEST_AGE_S) * 1000)
        if milliseconds < 1:
            self.delete(key)
            return
        self._asked(lambda redis: redis.set(self._name(key), value, px=milliseconds), None)

    def delete(self, key: str) -> None:
        """As the port."""
        self._asked(lambda redis: redis.delete(self._name(key)), None)

    def load(self, key: str, loader: Callable[[], bytes], age_s: float | None = None) -> bytes:
        """As the port, and once in all processes: who comes while another makes the value waits for it, for ten
        seconds at most."""
        value = self.get(key)
        return value if value is not None else self._flights.do(key, lambda: self._loaded(key, loader, age_s))

    def publish(self, channel: str, message: bytes) -> None:
        """As the port, to subscribers in every process."""
        self._asked(lambda redis: redis.publish(self._name(channel), message), None)

    @contextmanager
    def subscribe(self, channel: str) -> Iterator[Iterator[bytes]]:
        """As the port; iterating ends when the context closes. A lost connection is taken up again."""
        closed = threading.Event()
        messages = self._client().pubsub()
        self._asked(lambda _: self._joined(messages, channel), None)
        try:
            yield self._heard(messages, channel, closed)
        finally:
            closed.set()
            messages.close()

    def statistics(self) -> CacheStatistics:
        """As the port. Hits and misses are this object's; evictions and entries the server's (entries: our prefix)."""
        info: dict[str, Any] = self._asked(lambda redis: redis.info("stats"), {})
        entries = self._asked(lambda redis: sum(1 for _ in redis.scan_iter(self._name("*"), count=1000)), 0)
        return CacheStatistics(self._hits, self._misses, int(info.get("evicted_keys", 0)), entries)

    def state(self) -> Literal["closed", "open", "half_open"]:
        """Whether Redis is asked: it is; it is left alone after it did not answer; or it would be asked again."""
        if not self._lost:
            return "closed"
        return "open" if self._clock() < self._retry_at else "half_open"

    def reachable(self) -> bool:
        """Whether Redis answers now, asked without a pause."""
        self._retry_at = float("-inf")
        return bool(self._asked(lambda redis: redis.ping(), False))

    def close(self) -> None:
        """Closes the connections; the next call opens them again."""
        if self._opened is not None:
            self._opened.close()
            self._opened.connection_pool.disconnect()
        self._opened = None

    def _name(self, key: str) -> str:
        return f"{self._prefix}:{key}"

    def _client(self) -> Any:
        from redis import BlockingConnectionPool, Redis

        with self._opening:  # two pools would be twice the connections
            if self._opened is None:
                pool = BlockingConnectionPool.from_url(
                    self._url,
                    max_connections=self._max_connections,
                    timeout=self._timeout_s,
                    socket_connect_timeout=self._timeout_s,
                    socket_timeout=self._timeout_s,
                )
                self._opened = Redis(connection_pool=pool)
            return self._opened

    def _asked(self, question: Callable[[Any], Any], unreachable: Answer) -> Answer:
        """Redis's answer, or `unreachable`."""
        from redis.exceptions import RedisError

        if self._clock() < self._retry_at:
            return unreachable
        try:
            answer: Answer = question(self._client())
        except (RedisError, OSError) as cause:
            self._missed(cause)
            return unreachable
        self._lost = 0
        return answer

    def _pause(self) -> float:
        """How long Redis is left alone after what was lost so far."""
        return min(self._longest_pause_s, self._pause_s * 2.0 ** min(self._lost, 30))

    def _missed(self, cause: Exception) -> None:
        now = self._clock()
        self._retry_at = now + self._pause()
        self._lost += 1
        if now >= self._log_at + _LOG_EVERY_S:
            self._log_at = now
            _log.warning("the cache cannot use Redis (%s) and goes on without it: %s", self._prefix, cause)

    def _loaded(self, key: str, loader: Callable[[], bytes], age_s: float | None) -> bytes:
        word, until = uuid.uuid4().bytes, time.monotonic() + _CLAIM_S
        while True:
            claimed = self._claimed(key, word)  # before the look: who made it until then has written it
            there: bytes | None = self._asked(lambda redis: redis.get(self._name(key)), None)
            if there is not None or claimed != "taken" or time.monotonic() >= until:
                break
            threading.Event().wait(_LOOK_S)
        try:
            value = loader() if there is None else there
            if there is None:
                self.set(key, value, age_s)
        finally:
            if claimed == "ours":
                self._asked(lambda redis: redis.eval(_UNCLAIM, 1, self._claim(key), word), None)
        return value

    def _claimed(self, key: str, word: bytes) -> Literal["ours", "taken", "unreachable"]:
        """Says to other processes that this one makes a value."""
        age = int(_CLAIM_S * 1000)
        put = self._asked(lambda redis: bool(redis.set(self._claim(key), word, nx=True, px=age)), None)
        return "unreachable" if put is None else "ours" if put else "taken"

    def _claim(self, key: str) -> str:
        return f"{self._name(key)}:being-made"

    def _joined(self, messages: Any, channel: str) -> None:
        messages.subscribe(self._name(channel))
        messages.get_message(timeout=self._timeout_s)  # the server's word that what is published now will come

    def _heard(self, messages: Any, channel: str, closed: threading.Event) -> Iterator[bytes]:
        from redis.exceptions import RedisError

        while not closed.is_set():
            try:
                if not messages.subscribed:
                    self._joined(messages, channel)
                message = messages.get_message(ignore_subscribe_messages=True, timeout=_LISTEN_S)
            except (RedisError, OSError, ValueError) as cause:
                self._missed(cause)
                closed.wait(self._retry_at - self._clock())
                continue
            if message is not None:
                yield message["data"]
