"""What is kept of risk's facts: when it is read again, by how many, and what happens when the backend fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from resources.risk_inputs_cache import RiskInputsCache
from trading.config.risk import RiskInputSettings
from trading.errors import StoreUnavailable

SETTINGS = RiskInputSettings(age_seconds=100.0, timeout_seconds=0.2, failures=2, pause_seconds=10.0)


class Backend:
    """A store whose version and health a test sets."""

    def __init__(self) -> None:
        self.now, self.name, self.asked, self.reads, self.down = 0.0, "v1", 0, 0, False
        self.slow_s = 0.0

    def clock(self) -> float:
        return self.now

    def version(self) -> str:
        self.asked += 1
        if self.down:
            raise StoreUnavailable("no answer")
        return self.name

    def read(self) -> str:
        self.reads += 1
        threading.Event().wait(self.slow_s)
        return f"facts of {self.name}"


@pytest.fixture
def backend() -> Backend:
    return Backend()


@pytest.fixture
def cache(backend: Backend) -> RiskInputsCache:
    return RiskInputsCache(SETTINGS, "worker 1", backend.clock)


@pytest.fixture
def get(cache: RiskInputsCache, backend: Backend) -> Callable[..., object]:
    return lambda key="facts": cache.load("frames", key, backend.version, backend.read)


def test_nothing_is_read_or_asked_while_it_is_young(get, backend, cache) -> None:
    assert [get().value for _ in range(50)] == ["facts of v1"] * 50
    assert (backend.asked, backend.reads) == (1, 1)
    assert (cache.statistics().hits, cache.statistics().reads) == (49, 1)


def test_an_old_value_is_kept_while_its_version_is_the_newest_and_read_when_not(get, backend, cache) -> None:
    get()
    backend.now = 130.0
    assert get().value == "facts of v1"
    assert (backend.asked, backend.reads, cache.statistics().unchanged) == (2, 1, 1)
    backend.now, backend.name = 260.0, "v2"
    assert get().value == "facts of v2"
    assert backend.reads == 2


def test_ages_are_spread_over_keys_and_processes(backend: Backend) -> None:
    """Of 200 values read at one instant, none is asked for again before four fifths of the age, and all are later."""
    cache = RiskInputsCache(SETTINGS, "worker 1", backend.clock, most=200)
    again = []
    for now in (0.0, 79.0, 90.0, 100.0, 110.0, 121.0):
        backend.now, before = now, backend.asked
        for number in range(200):
            cache.load("frames", f"key {number}", backend.version, backend.read)
        again.append(backend.asked - before)
    assert again[:2] == [200, 0]
    assert all(30 <= count <= 70 for count in again[2:])
    assert sum(again[2:]) == 200


def test_many_who_ask_at_once_make_one_read(get, backend) -> None:
    backend.slow_s = 0.1
    answers: list[object] = []
    threads = [threading.Thread(target=lambda: answers.append(get().value)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["facts of v1"] * 16
    assert backend.reads == 1


def test_what_was_read_outlives_a_backend_that_fails_and_says_so(get, backend, cache) -> None:
    get()
    backend.now, backend.down = 130.0, True
    found = get()
    assert (found.value, found.stale) == ("facts of v1", True)
    assert cache.statistics().failures == 1


def test_without_anything_kept_a_backend_that_fails_is_told_of(get, backend) -> None:
    backend.down = True
    with pytest.raises(StoreUnavailable, match="facts cannot be read from frames"):
        get()


def test_a_backend_that_fails_is_left_alone_for_longer_each_time(get, backend, cache) -> None:
    get()
    backend.now, backend.down = 130.0, True
    for _ in range(5):
        get()
    assert backend.asked == 1 + 2  # two failures open the breaker
    assert cache.statistics().breakers == {"frames": "open"}
    backend.now = 140.5  # the pause of 10 s is over: one attempt
    get(), get()
    assert backend.asked == 4
    backend.now = 155.0  # now it is 20 s
    get()
    assert backend.asked == 4
    backend.now, backend.down = 161.0, False
    assert get().stale is False
    assert cache.statistics().breakers == {"frames": "closed"}


def test_a_backend_that_is_slow_is_not_waited_for(get, backend) -> None:
    get()
    backend.now, backend.name, backend.slow_s = 130.0, "v2", 5.0
    begun = time.monotonic()
    assert get().stale is True
    assert time.monotonic() - begun < 2.0


def test_each_backend_has_a_breaker_of_its_own(cache, backend) -> None:
    backend.down = True
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            cache.load("frames", "facts", backend.version, backend.read)
    assert cache.load("ledger", "book", lambda: "1", lambda: 7).value == 7
    assert cache.statistics().breakers == {"frames": "open", "ledger": "closed"}


def test_where_versions_are_to_be_looked_at_again_they_are_and_only_what_changed_is_read(get, backend, cache) -> None:
    get()
    cache.look_again()
    get()
    assert (backend.asked, backend.reads) == (2, 1)
    backend.name = "v2"
    cache.look_again()
    assert get().value == "facts of v2"
    backend.down = True
    cache.look_again()
    assert (get().value, get().stale) == ("facts of v2", True)


def test_it_is_bounded_and_what_was_not_used_for_longest_goes(backend: Backend) -> None:
    cache = RiskInputsCache(SETTINGS, "", backend.clock, most=3)
    for key in "abcda":
        cache.load("frames", key, backend.version, backend.read)
    assert backend.reads == 5  # the first was read again: four are more than are kept
    cache.load("frames", "d", backend.version, backend.read)
    assert backend.reads == 5


def test_a_mistake_in_reading_is_no_answer(cache) -> None:
    def wrong() -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cache.load("frames", "facts", lambda: "1", wrong)
    assert cache.statistics().failures == 1
