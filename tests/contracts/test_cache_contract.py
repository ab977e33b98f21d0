"""What every Cache promises (trading.ports.Cache), run against each adapter, Redis a real one."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from resources.memory import MemoryCache
from resources.process_cache import ProcessCache
from resources.redis_cache import RedisCache
from resources.two_level_cache import TwoLevelCache
from trading.ports import Cache

NAMES = ["memory", "process", "redis", "write_through", "lazy", "write_behind"]


@pytest.fixture(params=NAMES)
def cache(request: pytest.FixtureRequest) -> Iterator[Cache]:
    if request.param in ("memory", "process"):
        yield MemoryCache(max_entries=100) if request.param == "memory" else ProcessCache(max_entries=100)
        return
    redis = RedisCache(request.getfixturevalue("redis_url"), prefix=f"test-{uuid.uuid4()}", timeout_s=5)
    if request.param == "redis":
        yield redis
    else:
        both = TwoLevelCache(ProcessCache(max_entries=100), redis, mode=request.param)
        yield both
        both.flush()
    redis.close()


def test_absent_is_none_and_what_was_set_comes_back(cache: Cache) -> None:
    assert cache.get("a") is None
    cache.set("a", b"\x00one\xff")
    cache.set("b", b"")
    assert (cache.get("a"), cache.get("b")) == (b"\x00one\xff", b"")
    cache.set("a", b"two")
    assert cache.get("a") == b"two"


def test_delete_forgets_and_absent_is_fine(cache: Cache) -> None:
    cache.set("a", b"1")
    cache.delete("a")
    cache.delete("never")
    assert cache.get("a") is None


def test_a_value_past_its_age_is_gone(cache: Cache) -> None:
    cache.set("short", b"1", age_s=0.05)
    cache.set("long", b"2", age_s=60)
    cache.set("none", b"3", age_s=0)
    threading.Event().wait(0.1)
    assert (cache.get("short"), cache.get("long"), cache.get("none")) == (None, b"2", None)


def test_load_calls_the_loader_only_on_a_miss(cache: Cache) -> None:
    calls: list[int] = []

    def loader() -> bytes:
        calls.append(1)
        return b"loaded"

    assert [cache.load("k", loader), cache.load("k", loader)] == [b"loaded", b"loaded"]
    assert len(calls) == 1


def test_many_asking_at_once_load_once(cache: Cache) -> None:
    calls: list[int] = []
    start = threading.Barrier(16)
    answers: list[bytes] = []

    def loader() -> bytes:
        calls.append(1)
        threading.Event().wait(0.05)
        return b"v"

    def ask() -> None:
        start.wait()
        answers.append(cache.load("k", loader))

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (answers, len(calls)) == ([b"v"] * 16, 1)


def test_a_loader_that_fails_is_asked_again_next_time(cache: Cache) -> None:
    def failing() -> bytes:
        raise ValueError("no data today")

    with pytest.raises(ValueError, match="no data today"):
        cache.load("k", failing)
    assert cache.load("k", lambda: b"now") == b"now"


def test_subscribers_get_what_is_published_while_they_listen(cache: Cache) -> None:
    cache.publish("prices", b"before")
    with cache.subscribe("prices") as messages:
        cache.publish("other", b"elsewhere")
        cache.publish("prices", b"one")
        cache.publish("prices", b"two")
        assert [next(messages), next(messages)] == [b"one", b"two"]


def test_statistics_count_hits_misses_and_entries(cache: Cache) -> None:
    cache.set("a", b"1")
    for key in ("a", "a", "missing"):
        cache.get(key)
    found = cache.statistics()
    assert (found.hits, found.misses) == (2, 1)
    assert found.entries == 1


@pytest.mark.parametrize("make", [MemoryCache, ProcessCache])
def test_the_least_recently_used_go_first(make: Callable[..., Cache]) -> None:
    cache = make(max_entries=2)
    cache.set("a", b"1")
    cache.set("b", b"2")
    cache.get("a")
    cache.set("c", b"3")
    assert [cache.get(key) for key in "abc"] == [b"1", None, b"3"]
    assert cache.statistics().evictions == 1


def test_redis_stays_within_its_memory(redis_url: str) -> None:
    """The server's own bound (16 MB here) is what bounds this adapter."""
    cache = RedisCache(redis_url, prefix=f"test-{uuid.uuid4()}", timeout_s=5)
    before = cache.statistics().evictions
    for number in range(300):
        cache.set(f"k{number}", bytes(100_000))
    found = cache.statistics()
    assert cache.get("k299") is not None
    assert found.entries < 300
    assert found.evictions > before
    cache.close()


def test_redis_lost_is_an_empty_cache_and_redis_back_is_used_again(own_redis: Any) -> None:
    now = [0.0]
    cache = RedisCache(own_redis.url, clock=lambda: now[0], pause_s=5)
    cache.set("a", b"1")
    assert cache.get("a") == b"1"
    own_redis.stop()
    assert cache.get("a") is None
    assert cache.load("a", lambda: b"loaded") == b"loaded"
    own_redis.start()
    now[0] = 5.0
    cache.set("a", b"2")
    assert cache.get("a") == b"2"
    cache.close()


# --- one load for many processes --------------------------------------------------------------------------------------
def test_of_many_processes_that_ask_redis_at_once_one_makes_the_value(own_redis: Any) -> None:
    """Each process has an object of its own: they know of each other by Redis only."""
    made, found, together = [], [], threading.Barrier(8)

    def loader() -> bytes:
        made.append(1)
        threading.Event().wait(0.3)
        return b"value"

    def ask() -> None:
        cache = RedisCache(own_redis.url, timeout_s=5)
        together.wait(10)
        found.append(cache.load("k", loader, 60.0))
        cache.close()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (found, len(made)) == ([b"value"] * 8, 1)


def test_a_value_that_is_made_just_when_another_looks_is_made_once(own_redis: Any) -> None:
    """One finishes between the look of the other and its turn, now and then: of 2,000 values none is made twice."""
    made: list[int] = []
    caches = [RedisCache(own_redis.url, timeout_s=5) for _ in range(2)]

    def ask(cache: RedisCache) -> None:
        for number in range(2_000):
            cache.load(str(number), lambda: made.append(1) or b"value", 60.0)

    threads = [threading.Thread(target=ask, args=(cache,)) for cache in caches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 2_000
    for cache in caches:
        cache.close()


def test_where_the_one_who_makes_the_value_fails_another_does_at_once(own_redis: Any) -> None:
    first, second = RedisCache(own_redis.url, timeout_s=5), RedisCache(own_redis.url, timeout_s=5)

    def fails() -> bytes:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        first.load("k", fails)
    began = time.monotonic()
    assert second.load("k", lambda: b"value") == b"value"
    assert time.monotonic() - began < 1.0
    assert second.statistics().entries == 1  # nothing is left of who said that it makes it
    first.close()
    second.close()


def test_the_one_who_makes_the_value_and_was_killed_is_waited_for_a_while(own_redis: Any) -> None:
    from redis import Redis

    cache = RedisCache(own_redis.url, timeout_s=5)
    with Redis.from_url(own_redis.url) as client:
        client.set("daybook:k:being-made", b"of one that is gone", px=300)
        began = time.monotonic()
        assert cache.load("k", lambda: b"value") == b"value"
        assert 0.2 < time.monotonic() - began < 5.0
        assert client.keys() == [b"daybook:k"]
    cache.close()


def test_every_key_of_the_cache_may_be_evicted_and_nothing_else(own_redis: Any) -> None:
    """Under a policy that takes only keys with an age, a full server keeps what others keep there for good."""
    from redis import Redis

    cache = RedisCache(own_redis.url, timeout_s=5)
    with Redis.from_url(own_redis.url) as client:
        client.config_set("maxmemory-policy", "volatile-lru")
        client.set("of somebody else", bytes(1_000_000))
        for number in range(300):
            cache.set(f"k{number}", bytes(100_000))
        assert cache.get("k299") is not None
        assert client.strlen("of somebody else") == 1_000_000
    assert cache.statistics().evictions > 0
    cache.close()
