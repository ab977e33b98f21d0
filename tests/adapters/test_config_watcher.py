"""A configuration that changes while the process goes on: real files, a real child, a real Redis. Every wait ends."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import structlog

sys.path.insert(0, str(Path(__file__).parent))
import watched_desk as desk

from resources.config_compiler import ConfigCompiler
from resources.config_signals import CHANNEL
from resources.config_watcher import Pace, Watcher
from resources.mailbox import MOST, Mailbox
from resources.process_cache import ProcessCache
from resources.redis_cache import RedisCache
from trading.config.breaker import BreakerLimits
from trading.config.change_events import Changed, Differences, Examined, Interest, SymbolChange
from trading.config.diffs import Change
from trading.config.in_force import InForce, Version
from trading.config.snapshot import Snapshot
from trading.errors import ConfigError
from trading.ports import Cache, Notice

SOON_S = 15.0
QUIET_S = 0.05
MANY = BreakerLimits(max_changes=1000, max_refusals=1000, pause_seconds=1)


def eventually(true: Callable[[], Any], within_s: float = SOON_S) -> Any:
    """What a function gives as soon as that is true; fails when it is not in time."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if found := true():
            return found
        threading.Event().wait(0.005)
    raise AssertionError(f"not true within {within_s} s")


class Here:
    """Work done in this process."""

    def __init__(self, home: Path, applies: bool = True) -> None:
        self.home, self.applies, self.files, self.looks = home, applies, desk.files(home), 0

    def examine(self) -> Examined:
        """As the port."""
        self.looks += 1
        return desk.examine(self.home, self.applies)

    def pointed(self) -> int:
        """As the port."""
        found = self.files.pointer()
        return found.number if found else 0

    def opened(self) -> Version:
        """As the port."""
        return self.files.version()

    def compared(self, old: Snapshot, new: Snapshot) -> Differences:
        """As the port."""
        return desk.compared(self.home, old.content_hash, new.content_hash)


class InChild(Here):
    """Work done in a child."""

    def __init__(self, home: Path, child: ConfigCompiler[..., Any]) -> None:
        super().__init__(home)
        self.child = child

    def examine(self) -> Examined:
        """As the port."""
        return self.child.ask("examine", self.home)

    def compared(self, old: Snapshot, new: Snapshot) -> Differences:
        """As the port."""
        return self.child.ask("compare", self.home, old.content_hash, new.content_hash)


@dataclass
class Told:
    """Whoever is told, with what: notices, log lines, figures."""

    notices: list[Notice] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)
    figures: list[tuple[str, Any]] = field(default_factory=list)

    def notify(self, notice: Notice) -> bool:
        """As the port."""
        self.notices.append(notice)
        return True

    def log(self) -> Any:
        """A structured logger that keeps its lines."""
        keep = lambda _, level, line: self.lines.append({"level": level, **line}) or ""  # noqa: E731
        return structlog.wrap_logger(structlog.PrintLogger(open("/dev/null", "w")), processors=[keep])

    def said(self, event: str) -> list[dict[str, Any]]:
        """Lines of an event."""
        return [line for line in self.lines if line["event"] == event]

    def examined(self, found: Examined) -> None:
        """As the observer."""
        self.figures.append(("examined", found.outcome))

    def took(self, version: Version) -> None:
        """As the observer."""
        self.figures.append(("took", version.number))

    def breaker(self, state: str) -> None:
        """As the observer."""
        self.figures.append(("breaker", state))


@dataclass
class Desk:
    """A watched desk."""

    home: Path
    watcher: Watcher
    in_force: InForce
    told: Told
    work: Here

    def save(self, text: str) -> None:
        """Saves desk.toml as editors do: a new file, renamed over the old one."""
        draft = self.home / ".desk.toml.swp"
        draft.write_text(text)
        draft.replace(self.home / "desk.toml")

    def spike(self) -> float:
        """The number in force."""
        return float(self.in_force.now.snapshot.value("CORN", "max_spike"))


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    """Makes a watched desk with 5.0 in force, in its file too; it is stopped afterwards."""
    with ExitStack() as opened:

        def make(
            limits: BreakerLimits = MANY, cache: Cache | None = None, work: Any = None, files_say: str = "spike = 5.0"
        ) -> Desk:
            home = tmp_path
            (home / "desk.toml").write_text(files_say)
            desk.apply(home, 5.0)
            told, work = Told(), work or Here(home)
            in_force = InForce(desk.files(home).version())
            watcher = Watcher(
                in_force, work, [home, home / "tables"], home / "config" / "current", Pace(QUIET_S, limits), told,
                told.log(), cache, [told],
            )  # fmt: skip
            made = Desk(home, opened.enter_context(watcher), in_force, told, work)
            eventually(lambda: told.said("configuration_examined"))
            return made

        yield make


# --- files ------------------------------------------------------------------------------------------------------------
def test_a_saved_file_comes_into_force(watched: Callable[..., Desk]) -> None:
    found = watched()
    assert (found.spike(), found.in_force.now.number) == (5.0, 1)
    found.save("spike = 6.0")
    eventually(lambda: found.spike() == 6.0)
    assert found.in_force.now.number == 2
    line = eventually(lambda: found.told.said("configuration_in_force"))[0]
    assert (line["version"], line["before"], line["configuration"]) == (2, 1, desk.called(6.0))
    assert line["ms"] > 0


def test_a_file_written_in_place_and_one_that_comes_back_too(watched: Callable[..., Desk]) -> None:
    found = watched()
    (found.home / "desk.toml").write_text("spike = 6.0")
    eventually(lambda: found.spike() == 6.0)
    (found.home / "desk.toml").unlink()
    (found.home / "desk.toml").write_text("spike = 7.0")
    eventually(lambda: found.spike() == 7.0)


def test_a_bad_file_leaves_the_old_one_in_force_and_every_fault_is_told(watched: Callable[..., Desk]) -> None:
    found = watched()
    found.save("spike = 0.5\nspke = 7.0\nextra = 1")
    notice = eventually(lambda: found.told.notices)[0]
    assert "spke is not a setting. extra is not a setting. spike is 0.5, but must be" in notice.text
    assert notice.level == "warning"
    line = found.told.said("configuration_examined")[-1]
    assert (line["outcome"], line["version"], len(line["said"])) == ("refused", 1, 3)
    assert (found.spike(), found.in_force.now.number) == (5.0, 1)
    found.save("spike = 8.0")
    eventually(lambda: found.spike() == 8.0)


def test_an_error_that_stops_the_work_is_a_refusal_too(watched: Callable[..., Desk]) -> None:
    found = watched()
    found.save("spike = 7.0\nfault = true")
    assert "fault is not a setting" in eventually(lambda: found.told.notices)[0].text
    assert found.spike() == 5.0


def test_many_saves_at_once_are_looked_at_together(watched: Callable[..., Desk]) -> None:
    found = watched()
    before = found.work.looks
    for number in range(20):
        found.save(f"spike = {number + 10}.0")
    eventually(lambda: found.spike() == 29.0)
    assert found.work.looks - before <= 5


def test_a_moved_pointer_does_not_cut_short_the_wait_for_quiet_files(tmp_path: Path) -> None:
    (tmp_path / "desk.toml").write_text("spike = 5.0")
    desk.apply(tmp_path, 5.0)
    in_force, told, work = InForce(desk.files(tmp_path).version()), Told(), Here(tmp_path)
    pointer = tmp_path / "config" / "current"
    with Watcher(in_force, work, [tmp_path], pointer, Pace(3.0, MANY), told, told.log()):
        eventually(lambda: work.looks)
        (tmp_path / "desk.toml").write_text("spike = ")  # half of it
        threading.Event().wait(0.2)
        desk.apply(tmp_path, 6.0)
        eventually(lambda: in_force.now.number == 2, 2.0)
        (tmp_path / "desk.toml").write_text("spike = 7.0")
        eventually(lambda: in_force.now.number == 3)
    assert [line["outcome"] for line in told.said("configuration_examined")] == ["same", "applied"]


def test_what_is_no_configuration_is_not_looked_at(watched: Callable[..., Desk]) -> None:
    found = watched()
    before = found.work.looks
    (found.home / "ledger.sqlite").write_bytes(b"x")
    (found.home / ".desk.toml.swp").write_text("spike = 9.0")
    (found.home / "desk.toml").touch()  # seen, but says the same
    eventually(lambda: found.work.looks > before)
    assert found.work.looks - before == 1
    assert found.told.said("configuration_in_force") == []


def test_a_folder_that_comes_later_is_watched(watched: Callable[..., Desk]) -> None:
    found = watched()
    before = found.work.looks
    (found.home / "tables").mkdir()
    (found.home / "tables" / "symbols.csv").write_text("symbol\nCORN\n")
    eventually(lambda: found.work.looks > before)
    seen = found.work.looks
    (found.home / "tables" / "symbols.csv").write_text("symbol\nCORN\nUS10\n")
    eventually(lambda: found.work.looks > seen)


def test_mounted_settings_exchanged_by_a_link_are_seen(watched: Callable[..., Desk]) -> None:
    found = watched()
    for number in (1, 2):
        (found.home / f"..{number}").mkdir()
        (found.home / f"..{number}" / "desk.toml").write_text(f"spike = 1{number}.0")
    (found.home / "..data").symlink_to("..1")
    (found.home / "desk.toml").unlink()
    (found.home / "desk.toml").symlink_to("..data/desk.toml")
    eventually(lambda: found.spike() == 11.0)
    (found.home / "..new").symlink_to("..2")
    (found.home / "..new").replace(found.home / "..data")
    eventually(lambda: found.spike() == 12.0)


def test_what_changed_while_nobody_watched_is_taken_up_at_the_start(watched: Callable[..., Desk]) -> None:
    found = watched(files_say="spike = 9.0")
    eventually(lambda: found.spike() == 9.0)


def test_where_files_are_only_judged_what_is_in_force_stays(tmp_path: Path, watched: Callable[..., Desk]) -> None:
    found = watched(work=Here(tmp_path, applies=False))
    found.save("spike = 6.0")
    notice = eventually(lambda: found.told.notices)[0]
    assert "daybook config apply" in notice.text
    assert "risk.spike: ... -> 6.0" in notice.text
    assert found.told.said("configuration_examined")[-1]["outcome"] == "drift"
    (found.home / "desk.toml").touch()
    eventually(lambda: len(found.told.said("configuration_examined")) == 3)
    assert len(found.told.notices) == 1, "the same drift is told once"
    found.save("spike = 0.1")
    assert "must be a number of 1 or more" in eventually(lambda: found.told.notices[1:])[0].text
    assert (found.spike(), found.in_force.now.number) == (5.0, 1)


def test_a_store_that_does_not_answer_is_no_fault_of_the_files(watched: Callable[..., Desk]) -> None:
    found = watched()
    found.save("busy = true")
    line = eventually(lambda: [each for each in found.told.lines if each.get("outcome") == "failed"])[0]
    assert line["said"] == ["the journal cannot be reached. Start it."]
    assert found.watcher.breaker.refusals == ()
    eventually(lambda: len([each for each in found.told.lines if each.get("outcome") == "failed"]) == 2)


# --- the pointer ------------------------------------------------------------------------------------------------------
def test_a_version_that_another_process_put_in_force_is_followed(watched: Callable[..., Desk]) -> None:
    found = watched()
    desk.apply(found.home, 6.0)
    eventually(lambda: found.spike() == 6.0, 1.5)  # sooner than it is looked for without being told


def test_several_versions_at_once_are_followed_to_the_last(watched: Callable[..., Desk]) -> None:
    found = watched()
    last = [desk.apply(found.home, 10.0 + number) for number in range(20)][-1]
    eventually(lambda: found.in_force.now.number == last)
    assert found.spike() == 29.0


@pytest.mark.parametrize("kind", ["process", "redis"])
def test_a_message_is_enough(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Files are not watched here: the only road is the channel, and it is faster than looking every few seconds."""
    cache: Any = ProcessCache()
    if kind == "redis":
        cache = RedisCache(request.getfixturevalue("redis_url"), prefix=f"test-{uuid.uuid4()}", timeout_s=5)
    (tmp_path / "desk.toml").write_text("spike = 5.0")
    desk.apply(tmp_path, 5.0)
    in_force, told = InForce(desk.files(tmp_path).version()), Told()
    elsewhere = tmp_path / "unwatched" / "current"
    with Watcher(in_force, Here(tmp_path), [], elsewhere, Pace(QUIET_S, MANY), told, told.log(), cache):
        for number in (6.0, 7.0):
            desk.apply(tmp_path, number)
            began = time.monotonic()
            cache.publish(CHANNEL, b"")
            eventually(lambda number=number: in_force.now.snapshot.value("CORN", "max_spike") == number)
            assert time.monotonic() - began < 1.0
    if kind == "redis":
        cache.close()


def test_a_redis_that_dies_delays_nothing_for_long(own_redis: Any, watched: Callable[..., Desk]) -> None:
    cache = RedisCache(own_redis.url, timeout_s=0.5)
    found = watched(cache=cache)
    own_redis.stop()
    desk.apply(found.home, 6.0)
    eventually(lambda: found.spike() == 6.0)
    found.save("spike = 7.0")
    eventually(lambda: found.spike() == 7.0)
    cache.close()


def test_a_version_that_cannot_be_opened_is_told_once_and_the_old_one_stays(watched: Callable[..., Desk]) -> None:
    found = watched()
    pointer = found.home / "config" / "current"
    good = json.loads(pointer.read_text())
    pointer.write_text(json.dumps({**good, "number": 2, "snapshot": "0" * 64}))
    notice = eventually(lambda: found.told.notices)[0]
    assert "is not there" in notice.text
    assert notice.level == "error"
    found.watcher.look().result(SOON_S)
    assert (len(found.told.notices), found.in_force.now.number) == (1, 1)
    pointer.write_text(json.dumps(good))
    desk.apply(found.home, 6.0)
    eventually(lambda: found.spike() == 6.0)


# --- who is told ------------------------------------------------------------------------------------------------------
def test_subscribers_get_what_changed(watched: Callable[..., Desk]) -> None:
    found, heard = watched(), []
    found.watcher.subscribe(heard.append)
    found.save("spike = 6.0")
    event = eventually(lambda: heard)[0]
    assert (event.old.number, event.version.number, event.complete) == (1, 2, True)
    assert event.changes == (Change("risk.spike", 5.0, 6.0),)
    assert list(event.symbols) == [SymbolChange("CORN", "max_spike", 5.0, 6.0)]
    assert event.version is found.in_force.now


def test_each_hears_only_of_its_own(watched: Callable[..., Desk]) -> None:
    found = watched()
    heard: dict[str, list[Changed]] = {name: [] for name in ("risk", "data", "CORN", "US10", "all")}
    for section in ("risk", "data"):
        found.watcher.subscribe(heard[section].append, Interest.of(sections=[section]), section)
    for symbol in ("CORN", "US10"):
        found.watcher.subscribe(heard[symbol].append, Interest.of(symbols=[symbol]), symbol)
    found.watcher.subscribe(heard["all"].append)
    found.save("spike = 6.0")
    eventually(lambda: heard["all"] and heard["risk"] and heard["CORN"])
    assert {name: len(events) for name, events in heard.items()} == {
        "risk": 1,
        "data": 0,
        "CORN": 1,
        "US10": 0,
        "all": 1,
    }
    assert heard["CORN"][0].changes == ()


def test_a_subscriber_that_fails_or_hangs_stops_nobody(watched: Callable[..., Desk]) -> None:
    found, heard, release = watched(), [], threading.Event()

    def failing(event: Changed) -> None:
        raise ZeroDivisionError(f"cannot cope with {event.version.number}")

    bad = found.watcher.subscribe(failing, name="bad")
    found.watcher.subscribe(lambda _: release.wait(SOON_S), name="slow")
    found.watcher.subscribe(heard.append, name="good")
    try:
        for number in (6.0, 7.0):
            found.save(f"spike = {number}")
            eventually(lambda number=number: found.spike() == number)
        assert [event.version.number for event in eventually(lambda: heard[1:] and heard)] == [2, 3]
        eventually(lambda: bad.failures == 2)
    finally:
        release.set()
    lines = found.told.said("subscriber_failed")
    assert [(line["subscriber"], line["failures"]) for line in lines] == [("bad", 1), ("bad", 2)]
    assert lines[0]["error"] == "ZeroDivisionError: cannot cope with 2"


def test_a_subscriber_that_left_hears_no_more(watched: Callable[..., Desk]) -> None:
    found, gone, stays = watched(), [], []
    mailbox = found.watcher.subscribe(gone.append)
    found.watcher.subscribe(stays.append)
    found.watcher.unsubscribe(mailbox)
    found.save("spike = 6.0")
    eventually(lambda: stays)
    assert gone == []


def test_a_full_mailbox_drops_the_oldest_and_says_so() -> None:
    told, begun, release, read = Told(), threading.Event(), threading.Event(), []

    def slow(letter: int) -> None:
        begun.set()
        release.wait(SOON_S)
        read.append(letter)

    mailbox = Mailbox(slow, "slow", told.log(), most=3, after_loss=lambda letter: -letter)
    mailbox.put(1)
    begun.wait(SOON_S)
    for letter in (2, 3, 4, 5, 6):
        mailbox.put(letter)
    release.set()
    eventually(lambda: len(read) == 4)
    assert read == [1, -4, 5, 6]
    assert (mailbox.dropped, [line["dropped"] for line in told.said("mailbox_full")]) == (2, [1, 2])
    mailbox.close()


def test_figures_are_taken_and_one_who_fails_at_it_disturbs_nobody(watched: Callable[..., Desk]) -> None:
    found = watched()
    found.save("spike = 6.0")
    eventually(lambda: found.spike() == 6.0)
    eventually(lambda: found.told.figures == [("examined", "same"), ("examined", "applied"), ("took", 2)])


# --- asked for --------------------------------------------------------------------------------------------------------
def test_a_look_can_be_asked_for_from_a_thread_and_awaited(watched: Callable[..., Desk]) -> None:
    found = watched()
    assert found.watcher.look().result(SOON_S).outcome == "same"

    async def saved() -> tuple[Examined, list[Changed]]:
        async with found.watcher.events() as events:
            found.save("spike = 6.0")
            looked = await asyncio.wait_for(found.watcher.looked(), SOON_S)
            return looked, [await asyncio.wait_for(anext(events), SOON_S)]

    looked, events = asyncio.run(saved())
    assert looked.outcome in ("applied", "same"), "whether it was asked first, or the file was seen first"
    assert found.spike() == 6.0
    assert [event.version.number for event in events] == [2]


def test_who_asked_for_a_look_and_left_disturbs_nobody(watched: Callable[..., Desk]) -> None:
    found = watched()

    async def impatient() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(found.watcher.looked(), 0)

    asyncio.run(impatient())
    gone = found.watcher.look()
    gone.cancel()
    assert found.watcher.look().result(SOON_S).outcome == "same"
    found.save("spike = 6.0")
    eventually(lambda: found.spike() == 6.0)


class Held(Here):
    """Work that takes as long as the test wants."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.go = threading.Event()
        self.go.set()

    def examine(self) -> Examined:
        """As the port."""
        found = super().examine()
        self.go.wait(SOON_S)
        return found


def test_stopping_ends_every_thread_and_who_waits_is_told(tmp_path: Path, watched: Callable[..., Desk]) -> None:
    work = Held(tmp_path)
    found = watched(work=work)
    looks = work.looks
    work.go.clear()
    done = found.watcher.look()
    eventually(lambda: work.looks > looks)
    waiting = found.watcher.look()
    stopping = threading.Thread(target=found.watcher.stop)
    stopping.start()
    eventually(lambda: "configuration files" not in {thread.name for thread in threading.enumerate()})
    assert not waiting.done()
    work.go.set()
    stopping.join(SOON_S)
    assert done.result(0).outcome == "same", "what was being done is finished"
    assert waiting.cancelled()
    assert not [thread for thread in threading.enumerate() if "configuration" in thread.name]
    found.save("spike = 6.0")
    assert found.spike() == 5.0


def test_who_asks_after_it_stopped_is_told_at_once(watched: Callable[..., Desk]) -> None:
    found = watched()
    found.watcher.stop()
    assert found.watcher.look().cancelled()

    async def asked() -> list[Changed]:
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(found.watcher.looked(), SOON_S)
        async with found.watcher.events() as events:
            return await asyncio.wait_for(_all(events), SOON_S)

    assert asyncio.run(asked()) == []


async def _all(events: AsyncIterator[Changed]) -> list[Changed]:
    return [event async for event in events]


def test_stopping_ends_who_iterates_over_events(watched: Callable[..., Desk]) -> None:
    found = watched()

    async def heard() -> list[Changed]:
        async with found.watcher.events() as events:
            reading = asyncio.ensure_future(_all(events))
            found.save("spike = 6.0")
            await asyncio.to_thread(eventually, lambda: found.spike() == 6.0)
            await asyncio.to_thread(found.watcher.stop)
            return await asyncio.wait_for(reading, SOON_S)

    assert [event.version.number for event in asyncio.run(heard())] == [2]


def test_a_slow_event_loop_is_told_that_it_missed_something(watched: Callable[..., Desk]) -> None:
    found, over = watched(), 3

    async def heard() -> list[Changed]:
        async with found.watcher.events() as events:
            for number in range(MOST + over):  # and the loop does nothing meanwhile
                desk.apply(found.home, 10.0 + number)
                eventually(lambda number=number: found.spike() == 10.0 + number)
            await asyncio.to_thread(found.watcher.stop)
            return await asyncio.wait_for(_all(events), SOON_S)

    events = asyncio.run(heard())
    assert len(events) == MOST
    assert (events[0].version.number, events[0].complete) == (2 + over, False)
    assert {event.complete for event in events[1:]} == {True}
    assert events[-1].version.number == 1 + MOST + over
    assert [line["subscriber"] for line in found.told.said("mailbox_full")] == ["events"] * over


# --- storms -----------------------------------------------------------------------------------------------------------
def test_a_storm_of_bad_ones_opens_the_breaker_which_says_so_and_closes_again(watched: Callable[..., Desk]) -> None:
    found = watched(BreakerLimits(max_changes=100, max_refusals=2, pause_seconds=1.0))
    for number in (1, 2):
        found.save(f"bad{number} = 1")
        eventually(lambda number=number: len(found.told.notices) == number)
    looks = found.work.looks
    found.save("spike = 6.0")
    notice = eventually(lambda: [each for each in found.told.notices if each.level == "error"])[0]
    assert notice.title == "changes of the configuration are held back"
    assert notice.text.startswith(
        "2 refused configurations within 60 s (at most 2 are taken). Version 1 stays in force"
    )
    assert (found.spike(), found.work.looks, found.watcher.breaker.state) == (5.0, looks, "open")
    eventually(lambda: found.spike() == 6.0)
    states = [line["state"] for line in found.told.said("configuration_breaker")]
    assert states == ["open", "half_open", "closed"]
    assert [figure for figure in found.told.figures if figure[0] == "breaker"] == [("breaker", s) for s in states]


def test_a_storm_of_good_ones_is_held_back_too_and_the_last_one_is_taken(watched: Callable[..., Desk]) -> None:
    found = watched(BreakerLimits(max_changes=3, max_refusals=100, pause_seconds=1.0))
    for number in range(3):
        found.save(f"spike = {number + 10}.0")
        eventually(lambda number=number: found.spike() == number + 10.0)
    for number in range(5):
        found.save(f"spike = {number + 50}.0")
    eventually(lambda: found.watcher.breaker.state == "open")
    assert found.in_force.now.number == 4
    eventually(lambda: found.spike() == 54.0)
    assert found.in_force.now.number == 5


def test_versions_put_in_force_elsewhere_are_held_back_by_the_same_breaker(watched: Callable[..., Desk]) -> None:
    found = watched(BreakerLimits(max_changes=2, max_refusals=100, pause_seconds=1.0))
    for number in range(2):
        desk.apply(found.home, 10.0 + number)
        eventually(lambda number=number: found.spike() == 10.0 + number)
    desk.apply(found.home, 20.0)
    eventually(lambda: found.watcher.breaker.state == "open")
    assert found.spike() == 11.0
    eventually(lambda: found.spike() == 20.0)


def test_bad_files_do_not_hold_back_what_somebody_applied(watched: Callable[..., Desk]) -> None:
    found = watched(BreakerLimits(max_changes=100, max_refusals=1, pause_seconds=30.0))
    found.save("bad1 = 1")
    eventually(lambda: found.told.notices)
    found.save("bad2 = 2")
    eventually(lambda: found.watcher.breaker.state == "open")
    desk.apply(found.home, 6.0)
    eventually(lambda: found.spike() == 6.0, 10.0)
    assert found.watcher.breaker.state == "open"


# --- in a child -------------------------------------------------------------------------------------------------------
def test_with_a_child_that_dies_and_comes_again(tmp_path: Path, watched: Callable[..., Desk]) -> None:
    with ConfigCompiler(desk.answer, timeout_s=20, memory_mb=1000) as child:
        found, heard = watched(work=InChild(tmp_path, child)), []
        found.watcher.subscribe(heard.append)
        found.save("spike = 6.0")
        eventually(lambda: heard)
        assert heard[0].changes == (Change("risk.spike", 5.0, 6.0),)
        assert list(heard[0].symbols) == [SymbolChange("CORN", "max_spike", 5.0, 6.0)]
        found.save("die = true")
        assert "died, and so did the one after it" in eventually(lambda: found.told.notices)[0].text
        found.save("spike = 7.0")
        eventually(lambda: found.spike() == 7.0)
        assert child.restarts == 2


def test_what_cannot_be_compared_is_told_as_anything(tmp_path: Path, watched: Callable[..., Desk]) -> None:
    class Dumb(Here):
        def compared(self, old: Snapshot, new: Snapshot) -> Differences:
            raise ConfigError("the old one is gone.")

    found, heard = watched(work=Dumb(tmp_path)), []
    found.watcher.subscribe(heard.append, Interest.of(strategies=["trend"]))
    found.save("spike = 6.0")
    assert eventually(lambda: heard)[0].complete is False
