"""What every ReservationLog promises (trading.ports.ReservationLog), run against each adapter, with a real Redis; and
what the one in a file and the one in Redis survive."""

from __future__ import annotations

import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import msgpack
import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from risk_desk import JUN, SESSION, asked, book  # noqa: E402

from resources.reservation_entries import MARK_BYTES, packed, packed_base, unpacked, unpacked_base  # noqa: E402
from resources.reservation_file import FileReservations  # noqa: E402
from resources.reservation_redis import RedisReservations  # noqa: E402
from resources.risk_memory import MemoryReservations  # noqa: E402
from trading.errors import ConfigError, StoreBusy, StoreUnavailable  # noqa: E402
from trading.ports import ReservationLog  # noqa: E402
from trading.risk.book import Book, Standing  # noqa: E402
from trading.risk.reservations import Base, Booked, Filled, LogLost, OnRecord, Place, Released, Reserved  # noqa: E402

Make = Callable[[], ReservationLog]


@pytest.fixture(params=["memory", "file", "redis"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Makes adapters of one and the same log."""
    made: list[ReservationLog] = []
    memory, prefix = MemoryReservations(), f"test-{uuid.uuid4()}"
    url = request.getfixturevalue("own_redis").url if request.param == "redis" else ""

    def one() -> ReservationLog:
        found = {
            "memory": lambda: memory,
            "file": lambda: FileReservations(tmp_path / "risk" / "reservations.log"),
            "redis": lambda: RedisReservations(url, prefix, timeout_s=5),
        }[request.param]()
        made.append(found)
        return found

    yield one
    for log in made:
        log.close()


@pytest.fixture
def log(make: Make) -> ReservationLog:
    return make()


def base(log: ReservationLog, **more: object) -> Base:
    return replace(Base(log.mark(), SESSION, book({("trend", "GOLD", JUN): 3})), **more)  # type: ignore[arg-type]


def entry(log: ReservationLog, name: str = "o1") -> Reserved:
    return Reserved(log.mark(), (asked(2, order_id=name),), False, 100.0, 160.0)


def begun(log: ReservationLog) -> Place:
    return log.begin(base(log), None).end


# --- every one of them ------------------------------------------------------------------------------------------------
def test_without_a_log_there_is_none(log: ReservationLog) -> None:
    for ask in (lambda: log.since(None), lambda: log.append(entry(log), Place("x", 0, "y"))):
        with pytest.raises(LogLost):
            ask()


def test_a_log_begins_once(make: Make) -> None:
    one, other = make(), make()
    first, second = base(one), base(other)
    begins = one.begin(first, None)
    assert (begins.base, begins.missed, begins.length, begins.end.number) == (first, (), 0, 0)
    assert other.begin(second, None) == begins


def test_an_entry_is_added_where_the_log_ends_and_nowhere_else(make: Make) -> None:
    one, other = make(), make()
    start = begun(one)
    first, second = entry(one, "a"), entry(other, "b")
    added = one.append(first, start)
    assert (added.added, added.length, added.end) == (True, 1, Place(start.epoch, 1, first.mark))
    refused = other.append(second, start)
    assert (refused.added, refused.missed, refused.base, refused.end) == (False, (first,), None, added.end)
    assert other.append(second, refused.end).added
    assert one.since(added.end).missed == (second,)
    assert one.since(one.since(added.end).end).missed == ()
    assert one.since(None).missed == (first, second)


def test_every_kind_of_entry_comes_back(log: ReservationLog) -> None:
    held = Book(
        1e6, 9e5, {("trend", "GOLD", JUN): -3}, {("carry", "GOLD", JUN): 2}, 0.25, {"": Standing(1.5, -2.0, 0.1)},
        {"GOLD": 7}, {"US10": "in dispute: é"}, 12, ("carry", "trend"),
    )  # fmt: skip
    unit = (asked(2, order_id="a"), asked(-1, "CORN", "carry", "b")._replace(limit_points=401.25))
    place = begun(log)
    sent = (
        Reserved(log.mark(), unit, True, 100.5, float("inf")),
        Filled(log.mark(), asked(-2, order_id="a"), 101.0, "f1"),
        Released(log.mark(), ("a", "b"), True),
        Booked(log.mark(), SESSION, held),
        Booked(log.mark(), SESSION, held, OnRecord(unit, ("f1", "f2"), 99.5, 100.25, 7)),
    )
    for one in sent:
        place = log.append(one, place).end
    assert log.since(None).missed == sent
    whole = Base(log.mark(), SESSION, held, (sent[0],), ("f1", "f2"), Place("e", 3, "m"), 17.5, 60.25)
    whole = replace(whole, told=(sent[1],), desk=("a", "b"), recorded=100.25)
    assert log.begin(whole, place).base == whole


def test_a_log_begins_anew_only_instead_of_the_one_that_is_there(log: ReservationLog) -> None:
    start = begun(log)
    end = log.append(entry(log), start).end
    other = base(log)
    for instead in (None, start, end._replace(epoch="x")):
        assert log.begin(other, instead).end == end
    anew = log.begin(other, end)
    assert (anew.base, anew.end.number) == (other, 0)
    assert anew.end.epoch != end.epoch
    for ask in (lambda: log.since(end), lambda: log.append(entry(log), end)):
        with pytest.raises(LogLost):
            ask()


def test_a_log_that_went_on_otherwise_is_lost_to_who_knew_it(log: ReservationLog) -> None:
    start = begun(log)
    end = log.append(entry(log), start).end
    for place in (end._replace(mark="x" * 16), end._replace(number=5), start._replace(mark="x" * 16)):
        with pytest.raises(LogLost):
            log.since(place)
        with pytest.raises(LogLost):
            log.append(entry(log), place)
    assert log.since(None).length == 1


def test_a_compacted_log_goes_on_for_who_knew_enough_of_it(make: Make) -> None:
    log, other = make(), make()
    places, entries = [begun(log)], []
    for number in range(6):
        entries.append(entry(log, f"o{number}"))
        places.append(log.append(entries[-1], places[-1]).end)
    shorter = base(log, units=(entries[1],))
    assert log.compact(shorter, places[4])
    for each in (log, other):
        assert each.since(places[4]).missed == tuple(entries[4:])
        assert each.since(places[4]).base is None
        assert each.since(places[6]).missed == ()
        begins = each.since(places[3])
        assert (begins.base, begins.missed, begins.end, begins.length) == (
            shorter, tuple(entries[4:]), places[6], 2,
        )  # fmt: skip
        assert each.since(None) == begins
        refused = each.append(entry(each), places[0])
        assert (refused.added, refused.base) == (False, shorter)
    assert not log.compact(shorter, places[4])
    assert not log.compact(shorter, places[2])
    assert not log.compact(shorter, places[5]._replace(mark="x" * 16))
    assert not log.compact(shorter, places[5]._replace(epoch="x"))
    assert other.append(entry(other), places[6]).end.number == 7


def test_of_many_at_one_place_one_is_added(make: Make) -> None:
    begun(make())
    added: list[str] = []

    def add(name: int) -> None:
        log = make()
        place = log.since(None).end
        for number in range(25):
            one = entry(log, f"{name}-{number}")
            while not (answer := log.append(one, place)).added:
                place = answer.end
            place = answer.end
            added.append(one.orders[0].order_id)

    threads = [threading.Thread(target=add, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [one.orders[0].order_id for one in make().since(None).missed]  # type: ignore[union-attr]
    assert sorted(found) == sorted(added) == sorted(f"{a}-{b}" for a in range(8) for b in range(25))


def test_a_log_is_found_again(make: Make) -> None:
    one = make()
    end = one.append(first := entry(one), begun(one)).end
    one.close()
    assert (make().since(None).missed, one.since(end).missed) == ((first,), ())


# --- bytes ------------------------------------------------------------------------------------------------------------
def test_text_of_any_kind_is_kept() -> None:
    one = Reserved("m", (asked(1, "é\ud800", "a b", "\n"),), False, 1.0, 2.0)
    assert unpacked(packed(one)) == one
    whole = Base("m", SESSION, book())
    assert unpacked_base(packed_base(whole)) == whole
    for known in (7, 8):  # as it was written before `unsure`, and before `told`
        assert unpacked_base(msgpack.packb(msgpack.unpackb(packed_base(whole))[:known])) == whole
    loaded = Booked("m", SESSION, book())
    before = msgpack.unpackb(packed(loaded)[MARK_BYTES:])[:-1]  # before `record`
    assert unpacked(packed(loaded)[:MARK_BYTES] + msgpack.packb(before)) == loaded


# --- in a file --------------------------------------------------------------------------------------------------------
def test_what_a_killed_worker_left_half_is_taken_away(tmp_path: Path) -> None:
    file = tmp_path / "r.log"
    log, other = FileReservations(file), FileReservations(file)
    end = log.append(entry(log), begun(log)).end
    whole = file.read_bytes()
    with file.open("ab") as handle:
        handle.write(whole[-30:-3])  # a writer died within a frame
    assert other.since(None).end == end
    assert file.read_bytes() == whole
    second = entry(other)
    assert other.append(second, end).added
    assert log.since(end).missed == (second,)


def test_a_file_that_was_replaced_cut_or_lost_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "r.log"
    log = FileReservations(file)
    end = log.append(entry(log), begun(log)).end
    whole = file.read_bytes()
    file.write_bytes(whole[:-5])
    with pytest.raises(LogLost):
        log.since(end)
    file.unlink()
    with pytest.raises(LogLost):
        log.since(None)
    file.write_bytes(b"nonsense")
    with pytest.raises(LogLost):
        log.since(None)
    assert log.begin(base(log), None).end.number == 0


def test_a_worker_that_is_stopped_with_the_file_is_told_of(tmp_path: Path) -> None:
    import fcntl

    log = FileReservations(tmp_path / "r.log", wait_s=0.05)
    begun(log)
    with (tmp_path / "r.log.lock").open("r+") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(StoreBusy, match="held by another worker"):
            log.since(None)
    assert log.since(None).length == 0


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable):
        FileReservations(tmp_path / "file" / "r.log").since(None)


# --- in Redis ---------------------------------------------------------------------------------------------------------
def test_a_redis_that_is_gone_is_asked_again_after_a_pause(own_redis) -> None:
    now = [0.0]
    log = RedisReservations(own_redis.url, timeout_s=1, pause_s=1.0, longest_pause_s=4.0, clock=lambda: now[0])
    end = begun(log)
    own_redis.stop()
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        log.append(entry(log), end)
    own_redis.start()
    with pytest.raises(StoreUnavailable):
        log.since(end)  # it is left alone
    now[0] = 1.1
    with pytest.raises(LogLost):
        log.since(end)  # it lost its memory
    log.close()


def test_keys_that_are_gone_are_a_lost_log(own_redis) -> None:
    from redis import Redis

    prefix = f"test-{uuid.uuid4()}"
    log = RedisReservations(own_redis.url, prefix, timeout_s=5)
    client = Redis.from_url(own_redis.url)
    for part in ("head", "entries"):
        there = log.since(None).end if part == "entries" else None
        end = log.append(entry(log), there or begun(log)).end
        client.delete(f"{prefix}:{{reservations}}:{part}")
        for place in (end, None):
            with pytest.raises(LogLost):
                log.since(place)
        assert log.begin(base(log), None).end.number == 0
    client.close()
    log.close()


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random"])
def test_a_redis_that_would_forget_reservations_is_not_used(own_redis, policy: str) -> None:
    """Changed while it runs, it is noticed within a minute; changed back, at the next look."""
    from redis import Redis

    now = [0.0]
    log = RedisReservations(own_redis.url, timeout_s=5, clock=lambda: now[0])
    log.refuse_evicting()
    end = begun(log)
    with Redis.from_url(own_redis.url) as client:
        client.config_set("maxmemory-policy", policy)
        now[0] = 61.0
        for ask in (lambda: log.append(entry(log), end), lambda: log.since(end), lambda: log.begin(base(log), end)):
            with pytest.raises(StoreUnavailable, match=f"maxmemory-policy is {policy}. Nothing is granted"):
                ask()
        with pytest.raises(ConfigError, match="CONFIG SET maxmemory-policy noeviction"):
            RedisReservations(own_redis.url, timeout_s=5).refuse_evicting()
        client.config_set("maxmemory", 0)  # without an end nothing is evicted
        RedisReservations(own_redis.url, timeout_s=5).refuse_evicting()
        client.config_set("maxmemory", "16mb")
        client.config_set("maxmemory-policy", "noeviction")
    now[0] = 63.0
    assert log.append(entry(log), end).added
    log.close()


def test_a_policy_that_takes_only_keys_with_an_age_takes_no_reservation(own_redis) -> None:
    """The server is filled until it evicts: every key with an age is at risk, and the log is whole."""
    from redis import Redis
    from redis.exceptions import RedisError

    log = RedisReservations(own_redis.url, timeout_s=5)
    end = log.append(entry(log), begun(log)).end
    with Redis.from_url(own_redis.url) as client:
        client.config_set("maxmemory-policy", "volatile-lru")
        for number in range(40):
            try:
                client.set(f"filling {number}", bytes(1_000_000), px=600_000)
            except RedisError:
                break
        assert client.info("stats")["evicted_keys"] > 0
        assert log.since(end).end == end
    log.close()


def test_a_redis_that_does_not_say_what_it_forgets_is_told_of(own_redis, caplog: pytest.LogCaptureFixture) -> None:
    from redis import Redis

    with Redis.from_url(own_redis.url) as client:
        client.execute_command("ACL", "SETUSER", "some", "on", ">secret", "~*", "+@all", "-config", "-info")
    log = RedisReservations(own_redis.url.replace("redis://", "redis://some:secret@"), timeout_s=5)
    log.refuse_evicting()
    assert begun(log).number == 0
    assert ["nobody knows whether it would forget" in line.message for line in caplog.records] == [True]
    log.close()


def test_a_redis_that_is_away_at_the_start_is_looked_at_when_it_is_there(own_redis) -> None:
    own_redis.stop()
    now = [0.0]
    log = RedisReservations(own_redis.url, timeout_s=1, clock=lambda: now[0])
    log.refuse_evicting()
    own_redis.policy = "allkeys-lru"
    own_redis.start()
    now[0] = 1.0
    with pytest.raises(StoreUnavailable, match="would forget reservations"):
        begun(log)
    log.close()
