"""What single cache adapters do beyond the contract: bytes, losing Redis, the modes of two levels."""

from __future__ import annotations

import logging
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from resources.memory import MemoryCache
from resources.process_cache import ProcessCache
from resources.redis_cache import RedisCache
from resources.two_level_cache import TwoLevelCache


def dead_url() -> str:
    """A port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"redis://127.0.0.1:{probe.getsockname()[1]}/0"


def test_process_cache_is_bounded_by_bytes() -> None:
    cache = ProcessCache(max_bytes=10)
    cache.set("a", b"12345")
    cache.set("b", b"12345")
    cache.set("c", b"1")
    cache.set("huge", b"12345678901")
    assert [cache.get(key) for key in ("a", "b", "c", "huge")] == [None, b"12345", b"1", None]


def test_replacing_a_value_frees_its_bytes() -> None:
    cache = ProcessCache(max_bytes=10)
    for _ in range(5):
        cache.set("a", b"123456")
    cache.set("b", b"1234")
    assert (cache.get("a"), cache.get("b")) == (b"123456", b"1234")
    assert cache.statistics().evictions == 0


def test_age_follows_the_clock() -> None:
    now = [100.0]
    cache = ProcessCache(clock=lambda: now[0])
    cache.set("a", b"1", age_s=10)
    now[0] = 109.999
    assert cache.get("a") == b"1"
    now[0] = 110.0
    assert cache.get("a") is None


def test_without_redis_the_cache_is_empty_drops_writes_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    cache = RedisCache(dead_url(), clock=lambda: now[0], pause_s=5)
    with caplog.at_level(logging.WARNING):
        cache.set("a", b"1")
        for now[0] in (1.0, 6.0, 12.0, 59.0):
            assert cache.get("a") is None
        assert cache.load("a", lambda: b"loaded") == b"loaded"
        cache.publish("channel", b"message")
        cache.delete("a")
        assert cache.statistics().entries == 0
        assert len(caplog.records) == 1
        now[0] = 80.0
        cache.get("a")
    assert len(caplog.records) == 2
    assert "goes on without it" in caplog.text


def test_without_redis_a_call_costs_nothing_during_the_pause() -> None:
    cache = RedisCache(dead_url(), pause_s=60)
    cache.get("a")
    begin = time.perf_counter()
    for _ in range(1000):
        cache.get("a")
    assert time.perf_counter() - begin < 0.5


def test_the_pause_doubles_while_redis_is_away_and_is_short_again_once_it_answered(own_redis: Any) -> None:
    now = [0.0]
    cache = RedisCache(own_redis.url, clock=lambda: now[0], pause_s=2, longest_pause_s=5, timeout_s=5)
    other = RedisCache(own_redis.url, timeout_s=5, pause_s=0)

    def asks_again(at: float) -> bool:
        """Whether Redis, which is there now, is asked."""
        now[0] = at
        return cache.get("a") == b"1"

    def lost(*moments: float) -> None:
        """Redis is asked at these moments, and is not there."""
        own_redis.stop()
        for now[0] in moments:
            assert cache.get("a") is None
        own_redis.start()
        other.set("a", b"1")

    lost(0.0, 2.0)
    assert [asks_again(5.9), asks_again(6.0)] == [False, True], "4 seconds after the second time"
    lost(10.0)
    assert [asks_again(11.9), asks_again(12.0)] == [False, True], "2 seconds again, since it answered"
    lost(20.0, 22.0, 26.0, 31.0)
    assert [asks_again(35.9), asks_again(36.0)] == [False, True], "5 seconds is the longest"


def test_a_process_has_no_more_connections_than_it_may(own_redis: Any) -> None:
    cache = RedisCache(own_redis.url, max_connections=2, timeout_s=5)
    with ThreadPoolExecutor(8) as many:
        list(many.map(lambda number: cache.set(str(number), b"x"), range(200)))
        assert list(many.map(lambda number: cache.get(str(number)), range(200))) == [b"x"] * 200
    from redis import Redis

    clients = Redis.from_url(own_redis.url).client_list()
    assert len([each for each in clients if each["cmd"] != "client|list"]) <= 2


def test_write_through_writes_both_and_near_answers_without_far() -> None:
    near, far = MemoryCache(), MemoryCache()
    TwoLevelCache(near, far, "write_through").set("a", b"1")
    assert (near.get("a"), far.get("a")) == (b"1", b"1")


def test_lazy_writes_far_and_fills_near_on_the_next_read() -> None:
    near, far = MemoryCache(), MemoryCache()
    cache = TwoLevelCache(near, far, "lazy")
    near.set("a", b"old")
    cache.set("a", b"1")
    assert (near.get("a"), far.get("a")) == (None, b"1")
    assert cache.get("a") == b"1"
    assert near.get("a") == b"1"


class SlowCache(MemoryCache):
    """A far cache whose writes wait until they are let through."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    def set(self, key: str, value: bytes, age_s: float | None = None) -> None:
        self.gate.wait(10)
        super().set(key, value, age_s)


def test_write_behind_answers_at_once_and_far_follows() -> None:
    near, far = MemoryCache(), SlowCache()
    cache = TwoLevelCache(near, far, "write_behind")
    cache.set("a", b"1")
    assert (cache.get("a"), far.get("a")) == (b"1", None)
    far.gate.set()
    cache.flush()
    assert far.get("a") == b"1"
    cache.delete("a")
    assert (near.get("a"), far.get("a")) == (None, None)


def test_a_near_copy_is_no_older_than_allowed() -> None:
    now = [0.0]
    near, far = MemoryCache(clock=lambda: now[0]), MemoryCache()
    cache = TwoLevelCache(near, far, near_age_s=5)
    cache.set("a", b"1")
    far.set("a", b"2")
    now[0] = 4.9
    assert cache.get("a") == b"1"
    now[0] = 5.0
    assert cache.get("a") == b"2"
