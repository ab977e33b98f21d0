"""Takes up another configuration while the process goes on: looks when something may have changed, swaps what is in
force, and tells who wants to know.

Belongs here: when files are looked at, what is done with what was found, and who is told. Does not belong here: what
files say and whether it is right (`Work`, done in a child process), listening (`config_signals.py`), or when a storm is
held back (`trading/config/breaker.py`).

One thread does all of it, one thing after another; whoever reads `InForce.now` never waits for it. What is refused
leaves the old configuration in force. A version that somebody put in force is taken up by its pointer, which is also
looked at every few seconds: a message that was lost delays it by that, and loses nothing.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import Future, InvalidStateError
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from resources.config_signals import ChannelSignals, FileSignals, authored_files
from resources.mailbox import LoopMailbox, Mailbox
from trading.config.breaker import Breaker, BreakerLimits, State
from trading.config.change_events import EVERYTHING, UNKNOWN, Changed, Differences, Examined, Interest
from trading.config.in_force import InForce, Version
from trading.config.snapshot import Snapshot
from trading.errors import DaybookError, StoreError
from trading.ports import Cache, Notice, Notifier

HEARTBEAT_S = 2.0  # how often the pointer is looked at without being told
RETRY_S = 5.0  # after files could not be looked at, for a reason that is not theirs
_LONGEST_WAIT = 10  # times the debounce, however long files go on changing
_TO_END_S = 10.0
_SHOWN = 20  # faults of one notice


class Work(Protocol):
    """What a watcher has done for it. May take long, and raise any DaybookError."""

    def examine(self) -> Examined:
        """Reads the files and judges them; where the environment allows it, puts what they say in force."""
        ...

    def pointed(self) -> int:
        """The number of the version in force; 0 where none is."""
        ...

    def opened(self) -> Version:
        """The version in force."""
        ...

    def compared(self, old: Snapshot, new: Snapshot) -> Differences:
        """What differs between two snapshots."""
        ...


class Observer(Protocol):
    """Somebody who measures. Called in the watcher's thread, so it must be quick; what it raises is logged."""

    def examined(self, found: Examined) -> None:
        """Files were looked at."""
        ...

    def took(self, version: Version) -> None:
        """Another version was swapped in."""
        ...

    def breaker(self, state: State) -> None:
        """The breaker's state now."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """When changes are taken up: after files were quiet for `debounce_seconds`, and not more than `breaker` allows."""

    debounce_seconds: float
    breaker: BreakerLimits


@dataclass(slots=True)
class _Due:
    """What is to be done, and since when; guarded by the watcher's condition."""

    files_since: float | None = None
    files_last: float = 0.0
    pointer: bool = False
    not_before: float = 0.0  # nothing is tried earlier: the breaker is open, or a store did not answer
    asked: list[Future[Examined]] = field(default_factory=list)


class Watcher:
    """Keeps `in_force`, which nobody else swaps, at what was put in force last: from `start` until `stop`.

    `folders` are where files lie, with those that a look finds, and `pointer` the file that is exchanged when a version
    is put in force. With a `cache`, messages on its channel `configuration` are heard too. `log` is a structlog logger.
    """

    def __init__(
        self,
        in_force: InForce,
        work: Work,
        folders: Iterable[Path],
        pointer: Path,
        pace: Pace,
        notifier: Notifier,
        log: Any,
        cache: Cache | None = None,
        observers: Iterable[Observer] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._in_force, self._work, self._pace, self._log, self._clock = in_force, work, pace, log, clock
        self._first, self._observers = tuple(folders), tuple(observers)
        self._folders = self._first
        self._breaker, self._drift, self._unusable = Breaker(pace.breaker), "", ""
        self._seen: dict[str, tuple[int, int, int]] | None = None
        self._due, self._changed, self._stopped = _Due(), threading.Condition(), threading.Event()
        self._notices = Mailbox(notifier.notify, "notices", log)
        self._subscribers: list[tuple[Interest, Mailbox[Changed] | LoopMailbox[Changed]]] = []
        self._files = FileSignals(lambda: self._folders, pointer, self._files_changed, self._pointer_moved, log)
        self._channel = ChannelSignals(cache, self._pointer_moved, log) if cache is not None else None
        self._thread = threading.Thread(target=self._run, name="configuration watcher", daemon=True)

    # --- from outside -------------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Begins. Files are looked at once, soon: they may have changed while nobody watched."""
        if self._channel is not None:
            self._channel.start()
        self._files.start()
        self._thread.start()

    def stop(self) -> None:
        """Ends; what is being done is finished first, and who waits for a look is told that there is none."""
        self._stopped.set()
        with self._changed:
            self._changed.notify_all()
        for signals in (self._files, self._channel):
            if signals is not None:
                signals.stop()
        if self._thread.ident is not None:
            self._thread.join(_TO_END_S)
        self._notices.close()
        for _, mailbox in self._subscribers:
            mailbox.close()
        self._dismiss()

    def __enter__(self) -> Watcher:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def breaker(self) -> Breaker:
        """Where the circuit breaker stands."""
        return self._breaker

    def look(self) -> Future[Examined]:
        """Looks at the files now, whether they changed or not, unless the breaker is open: then it waits with the
        rest. The answer comes when what was found is in force; after `stop` it is cancelled at once."""
        answer: Future[Examined] = Future()
        with self._changed:
            self._due.asked.append(answer)
            self._changed.notify_all()
        if self._stopped.is_set():
            self._dismiss()
        return answer

    async def looked(self) -> Examined:
        """As `look`, for an event loop; CancelledError after `stop`."""
        return await asyncio.wrap_future(self.look())

    def subscribe(
        self, tell: Callable[[Changed], object], interest: Interest = EVERYTHING, name: str = "subscriber"
    ) -> Mailbox[Changed]:
        """Calls `tell` with the part of every change that is of interest, in a thread of its own; at most a hundred
        wait for it, and after more it is told that its next event is not complete. Its failures are counted and logged,
        and nobody else waits for it."""
        mailbox = Mailbox(tell, name, self._log, after_loss=_not_complete)
        self._add(interest, mailbox)
        return mailbox

    def _add(self, interest: Interest, mailbox: Mailbox[Changed] | LoopMailbox[Changed]) -> None:
        with self._changed:
            self._subscribers.append((interest, mailbox))
        if self._stopped.is_set():
            mailbox.close()

    def unsubscribe(self, mailbox: Mailbox[Changed] | LoopMailbox[Changed]) -> None:
        """Tells it nothing more."""
        with self._changed:
            self._subscribers = [each for each in self._subscribers if each[1] is not mailbox]
        mailbox.close()

    @asynccontextmanager
    async def events(self, interest: Interest = EVERYTHING) -> AsyncIterator[AsyncIterator[Changed]]:
        """While the context is open, iterating gives changes of interest, waiting for each in the event loop, until the
        watcher stops. At most a hundred wait, as for `subscribe`."""
        mailbox = LoopMailbox[Changed]("events", self._log, after_loss=_not_complete)
        self._add(interest, mailbox)
        try:
            async with aclosing(mailbox.letters()) as events:
                yield events
        finally:
            self.unsubscribe(mailbox)

    # --- when ---------------------------------------------------------------------------------------------------------
    def _files_changed(self) -> None:
        with self._changed:
            now = self._clock()
            self._due.files_last = now
            if self._due.files_since is None:
                self._due.files_since = now
            self._changed.notify_all()

    def _pointer_moved(self) -> None:
        with self._changed:
            self._due.pointer = True
            self._changed.notify_all()

    def _dismiss(self) -> None:
        """Tells who waits for a look that there will be none."""
        with self._changed:
            asked, self._due.asked = self._due.asked, []
        for waiting in asked:
            waiting.cancel()

    def _run(self) -> None:
        while not self._stopped.is_set():
            due = self._next()
            try:
                self._do(due)
            except Exception as cause:  # whatever it is, the next change is looked at
                self._log.exception("configuration_watcher_failed", error=f"{type(cause).__name__}: {cause}")
                for waiting in due.asked:
                    with suppress(InvalidStateError):  # who asked may have gone
                        waiting.set_exception(cause)
        self._dismiss()

    def _next(self) -> _Due:
        """What is due, taken out of what there is to do; nothing but the pointer when nobody said anything."""
        heartbeat = self._clock() + HEARTBEAT_S
        with self._changed:
            while not self._stopped.is_set():
                now = self._clock()
                if (taken := self._taken(now)) is not None:
                    return taken
                if heartbeat <= now:
                    break
                self._changed.wait(min(max(self._quiet_at(), self._due.not_before), heartbeat) - now)
        return _Due(pointer=True)

    def _taken(self, now: float) -> _Due | None:
        """All that is due; the pointer alone while files are not quiet yet."""
        due = self._due
        if now < due.not_before:
            return None
        if due.asked or self._quiet_at() <= now:
            self._due = _Due()
            return due
        if due.pointer:
            due.pointer = False
            return _Due(pointer=True)
        return None

    def _quiet_at(self) -> float:
        """When files were quiet for long enough, or changed for too long; never while none did."""
        if self._due.files_since is None:
            return float("inf")
        quiet = self._pace.debounce_seconds
        return min(self._due.files_last + quiet, self._due.files_since + quiet * _LONGEST_WAIT)

    def _later(self, due: _Due, seconds: float) -> None:
        """Puts back what could not be done now."""
        with self._changed:
            asked = [*due.asked, *self._due.asked]
            since = self._clock() if due.files_since is not None or due.asked else self._due.files_since
            self._due = replace(self._due, files_since=since, pointer=True, asked=asked)
            self._due.not_before = self._clock() + seconds

    # --- what ---------------------------------------------------------------------------------------------------------
    def _do(self, due: _Due) -> None:
        files = authored_files(self._folders) if due.files_since is not None or due.asked else self._seen
        look = bool(due.asked) or files != self._seen
        if not look and self._newer() is None:
            return
        if self._held_back(due, look):
            return
        if look:
            self._seen = files
            self._look(due)
        else:
            self._follow(self._clock())

    def _held_back(self, due: _Due, look: bool) -> bool:
        """Whether the breaker is open. Bad files do not hold back what somebody applied."""
        before, now = self._breaker.state, self._clock()
        self._set(self._breaker.asked(now))
        if self._breaker.state != "open":
            return False
        if before == "closed":
            self._say_open()
        if not look and self._breaker.cause == "refusals":
            return False
        self._later(due, self._breaker.wait_seconds(now))
        return True

    def _look(self, due: _Due) -> None:
        began = self._clock()
        found = self._examined()
        self._observe(lambda observer: observer.examined(found))
        self._folders = tuple(dict.fromkeys((*self._first, *map(Path, found.folders))))
        self._follow(began if due.files_since is None else due.files_since)
        self._judge(found)
        self._log.log(
            _LEVELS[found.outcome], "configuration_examined", outcome=found.outcome, configuration=found.configuration,
            ms=round((self._clock() - began) * 1000, 1), load_ms=round(found.load_seconds * 1000, 1),
            validation_ms=round(found.validation_seconds * 1000, 1), version=self._in_force.now.number,
            said=list(found.said),
        )  # fmt: skip
        if found.outcome == "failed":
            self._seen = None
            self._later(replace(due, asked=[], files_since=began), RETRY_S)
        for waiting in due.asked:
            with suppress(InvalidStateError):
                waiting.set_result(found)

    def _examined(self) -> Examined:
        try:
            return self._work.examine()
        except StoreError as cause:
            return Examined("failed", said=(str(cause),))
        except DaybookError as cause:
            return Examined("refused", said=(str(cause),))

    def _judge(self, found: Examined) -> None:
        """Tells people, and counts, what changed nothing."""
        now = self._clock()
        if found.outcome == "refused":
            again = self._breaker.state == "half_open"
            self._set(self._breaker.refused(now))
            self._notify("warning", "a configuration was refused", _listed(found.said), found)
            if again:
                self._say_open()
        elif found.outcome in ("same", "drift"):
            self._set(self._breaker.unchanged(now))
        if found.outcome == "drift" and found.configuration != self._drift:
            text = f"What is in force stays. Put it in force with `daybook config apply`. {_listed(found.said)}"
            self._notify("warning", "files say something else than what is in force", text, found)
        self._drift = found.configuration if found.outcome == "drift" else ""

    def _newer(self) -> Version | None:
        """The version that the pointer names, where it is newer than ours. One that cannot be opened is told once."""
        try:
            if self._work.pointed() <= self._in_force.now.number:
                return None
            return self._work.opened()
        except DaybookError as cause:
            self._say_unusable(str(cause))
            return None

    def _follow(self, since: float) -> None:
        """Swaps in the version that the pointer names, if it is newer, and tells of it; `since` somebody said so."""
        old, found = self._in_force.now, self._newer()
        if found is None:
            return
        new = self._in_force.swap(old.number, found.snapshot, found.number)
        swapped = self._clock()
        self._unusable = ""
        self._set(self._breaker.changed(swapped))
        self._observe(lambda observer: observer.took(new))
        self._tell(old, new)
        self._log.info(
            "configuration_in_force", version=new.number, before=old.number, ms=round((swapped - since) * 1000, 1),
            configuration=new.snapshot.configuration_hash, told_ms=round((self._clock() - swapped) * 1000, 1),
        )  # fmt: skip
        if self._drift:  # whether files still say something else
            self._seen = None
            self._files_changed()

    def _tell(self, old: Version, new: Version) -> None:
        with self._changed:
            subscribers = list(self._subscribers)
        if not subscribers:
            return
        try:
            found = self._work.compared(old.snapshot, new.snapshot)
        except DaybookError as cause:
            self._log.warning("configuration_not_compared", version=new.number, error=str(cause))
            found = UNKNOWN
        event = Changed(new, old, found.settings, found.symbols, found.complete)
        for interest, mailbox in subscribers:
            part = interest.within(event)
            if part is not None:
                mailbox.put(part)

    # --- who is told --------------------------------------------------------------------------------------------------
    def _set(self, breaker: Breaker) -> None:
        before, self._breaker = self._breaker, breaker
        if breaker.state != before.state:
            self._log.warning("configuration_breaker", state=breaker.state, before=before.state, reason=breaker.reason)
            self._observe(lambda observer: observer.breaker(breaker.state))

    def _observe(self, call: Callable[[Observer], None]) -> None:
        for observer in self._observers:
            try:
                call(observer)
            except Exception as cause:
                self._log.error("configuration_observer_failed", error=f"{type(cause).__name__}: {cause}")

    def _say_open(self) -> None:
        pause = self._breaker.limits.pause_seconds
        held = "nothing" if self._breaker.cause == "changes" else "nothing from files"
        text = (
            f"{self._breaker.reason}. Version {self._in_force.now.number} stays in force, and {held} is taken up for "
            f"{pause:g} s; then what is there by then is tried. Find out who changes the configuration, and stop it."
        )
        self._notify("error", "changes of the configuration are held back", text)

    def _say_unusable(self, why: str) -> None:
        if why != self._unusable:
            self._unusable = why
            self._log.error("configuration_unusable", version=self._in_force.now.number, error=why)
            text = f"{why} Version {self._in_force.now.number} stays in force in this process."
            self._notify("error", "a version that was put in force cannot be used", text)

    def _notify(self, level: Any, title: str, text: str, found: Examined | None = None) -> None:
        facts = {"version": str(self._in_force.now.number)}
        facts |= {"configuration": found.configuration} if found is not None and found.configuration else {}
        self._notices.put(Notice(level, title, text, facts))


_LEVELS = {"applied": 20, "same": 20, "drift": 30, "refused": 30, "failed": 40}  # as logging's


def _listed(said: tuple[str, ...]) -> str:
    more = f" And {len(said) - _SHOWN} more." if len(said) > _SHOWN else ""
    return " ".join(said[:_SHOWN]) + more


def _not_complete(event: Changed) -> Changed:
    return replace(event, complete=False)
