"""What `daybook config watch` does: keeps a process at the configuration in force, and in environments that take
changes from files puts saved files in force.

Belongs here: wiring the watcher to a desk. Does not belong here: the watcher (`resources/config_watcher.py`), what
becomes of files (`configuration_examination.py`), or the command line (`commands/configuration.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from datetime import datetime
from signal import SIGTERM, signal
from threading import Event, Lock, current_thread, main_thread
from typing import TYPE_CHECKING, Any, NamedTuple

from pipelines.authored import authored
from pipelines.configuration import healed
from pipelines.configuration_examination import answered, takes_files, watched_folders
from pipelines.configuration_history import compiled_files
from pipelines.configuration_status import WatchedFile, snapshot_bytes
from pipelines.in_force import CURRENT, in_force_settings
from pipelines.place import Place
from pipelines.settings import refuse_no_desk
from pipelines.telemetry import structured_log
from pipelines.wiring import notifier, utc_now
from resources.config_compiler import ConfigCompiler
from resources.config_metrics import ConfigurationMetrics
from resources.config_watcher import Observer, Pace, Watcher
from trading.config.breaker import BreakerLimits, State
from trading.config.change_events import Changed, Differences, Examined
from trading.config.in_force import InForce, Version
from trading.config.measured import Measured
from trading.config.models import DeskSettings
from trading.config.operations import ChangeSettings, NotifierSettings, OperationSettings
from trading.config.snapshot import Snapshot
from trading.errors import ConfigError, StoreUnavailable
from trading.ports import Cache, Notice, Notifier

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

SHOWN = 10  # changes or faults on the screen
METRICS = "configuration.prom"  # of the folder logs
WRITTEN_S = 30.0  # how often it is written anew though nothing happens: a figure in it is an age


class Watched(NamedTuple):
    """A desk whose configuration is watched: `in_force.now` is what holds, whoever asks and however often."""

    in_force: InForce
    watcher: Watcher
    metrics: ConfigurationMetrics


@contextmanager
def watching(
    where: Place, told: Callable[[str], None] | None = None, observers: Sequence[Observer] = ()
) -> Iterator[Watched]:
    """Keeps this process at the configuration in force while the block runs. `told` hears a line for whatever happens,
    in another thread; `observers` are asked after ours.

    Raises UsageError where there is no desk, ConfigError where nothing is in force and the files are wrong or not to be
    taken.
    """
    refuse_no_desk(where)
    changes = _settings(where).operations.changes
    with structured_log(where.home, part="configuration") as log, _compiler(changes) as child:
        work = _DeskWork(where, child)
        in_force = InForce(work.first())
        figures = _Figures(where, in_force.now)
        asked: list[Observer] = [figures, *([_Screen(told)] if told else []), *observers]
        pointer, cache = compiled_files(where).folder / CURRENT, _shared_cache(where)
        watcher = Watcher(
            in_force,
            work,
            watched_folders(where),
            pointer,
            _pace(changes),
            _Told(where, in_force, told),
            log,
            cache,
            asked,
        )
        with watcher:
            yield Watched(in_force, watcher, figures.made)


def watch(
    where: Place,
    say: Callable[[str], None],
    stopped: Event | None = None,
    metrics_port: int | None = None,
    written_s: float = WRITTEN_S,
) -> None:
    """Watches until `stopped` is set or the process is interrupted, and says what happens, a line each. With
    `metrics_port`, figures are served to this machine at it; every `written_s` seconds they are written anew. Raises as
    `watching`, and UsageError where the port is taken."""
    refuse_no_desk(where)
    ended, kept = stopped or Event(), _Kept(where)
    with closing(kept), _ended_by_signal(ended), watching(where, say, [kept]) as found:
        kept.begin(found)
        served: AbstractContextManager[Any] = found.metrics.served(metrics_port) if metrics_port else nullcontext()
        found.watcher.subscribe(lambda event: _say_changed(event, say), name="screen")
        now = found.in_force.now
        say(f"version {now.number} is in force ({now.snapshot.environment}, {now.snapshot.configuration_hash[:12]})")
        say(f"{_rule(where, now)}; Ctrl-C ends it")
        with served:
            _wait(ended, kept, written_s)


def _wait(ended: Event, kept: _Kept, written_s: float) -> None:
    with suppress(KeyboardInterrupt):
        while not ended.wait(written_s):
            with suppress(StoreUnavailable):  # a full disk ends no watcher
                kept.write_anew()


@contextmanager
def _ended_by_signal(ended: Event) -> Iterator[None]:
    """SIGTERM ends it as Ctrl-C does, where this is the thread that hears signals."""
    if current_thread() is not main_thread():
        yield
        return
    before = signal(SIGTERM, lambda *_: ended.set())
    try:
        yield
    finally:
        signal(SIGTERM, before)


def _rule(where: Place, now: Version) -> str:
    if takes_files(where, now.snapshot.environment):
        return f"files in {where.home} are watched: what is saved is judged, and comes into force"
    return f"files in {where.home} are judged only: `daybook config apply --reason` puts them in force"


def _settings(where: Place) -> DeskSettings:
    """What is in force; the files where they are to be the first."""
    return in_force_settings(where) or authored(where).settings


def _compiler(changes: ChangeSettings) -> ConfigCompiler[..., Examined | Differences]:
    return ConfigCompiler(answered, changes.validation_timeout_seconds, changes.validation_memory_mb)


def _pace(changes: ChangeSettings) -> Pace:
    most = BreakerLimits(changes.max_changes_per_minute, changes.max_refusals_per_minute, changes.pause_seconds)
    return Pace(changes.debounce_seconds, most)


def _shared_cache(where: Place) -> Cache | None:
    """The cache of a deployment with servers; in the others the pointer file says it all."""
    if where.deployment == "local":
        return None
    from pipelines.deployments import shared_cache

    return shared_cache(where)


class _DeskWork:
    """The watcher's work on a desk, in a child but for what costs nothing."""

    def __init__(self, where: Place, child: ConfigCompiler[..., Any]) -> None:
        self._where, self._child, self._files = where, child, compiled_files(where)

    def first(self) -> Version:
        """The version in force; the files' own where none is yet and they may be."""
        healed(self._where)
        if self._files.pointer() is None:
            found = self.examine()
            if found.outcome != "applied":
                raise ConfigError(f"no configuration is in force in {self._where.home}: {' '.join(found.said[:SHOWN])}")
        return self._files.version()

    def examine(self) -> Examined:
        """As the port."""
        found: Examined = self._child.ask("examine", self._where)
        return found

    def pointed(self) -> int:
        """As the port."""
        found = self._files.pointer()
        return found.number if found is not None else 0

    def opened(self) -> Version:
        """As the port."""
        return self._files.version()

    def compared(self, old: Snapshot, new: Snapshot) -> Differences:
        """As the port."""
        found: Differences = self._child.ask("compare", self._where, old.content_hash, new.content_hash)
        return found


# --- who is told ------------------------------------------------------------------------------------------------------
class _Told:
    """Whom the settings in force say, asked anew each time: a changed address is used at once. On a screen too.

    One section is read, in microseconds: settings as a whole, and what serves them, would hold up whoever decides.
    """

    def __init__(self, where: Place, in_force: InForce, told: Callable[[str], None] | None) -> None:
        self._where, self._in_force, self._told = where, in_force, told
        with suppress(ConfigError):  # it says so when there is something to tell; its imports are made by now
            self._notifier()

    def notify(self, notice: Notice) -> bool:
        """As the port, but that it raises ConfigError where the address refers to what is not set."""
        if self._told is not None and notice.level == "error":
            self._told(f"{notice.title}: {notice.text}")
        chosen = self._chosen()
        if self._told is not None and chosen.webhook is None and chosen.webhook_url is None:
            return True  # the log would say on the same screen what stands there already
        return notifier(chosen, self._where).notify(notice)

    def _notifier(self) -> Notifier:
        return notifier(self._chosen(), self._where)

    def _chosen(self) -> NotifierSettings:
        section = self._in_force.now.snapshot.section("operations")
        return OperationSettings.model_validate_json(section).notifier


class _Screen:
    """What happens, in lines for a person."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self._last = say, Examined("same")

    def examined(self, found: Examined) -> None:
        """Files were looked at; what was said before is not said again."""
        before, self._last = self._last, _bare(found)
        if found.outcome in _SAID and self._last != before:
            self._say(f"{_SAID[found.outcome]} {_few(found.said)}{_CURES.get(found.outcome, '')}")
        elif found.outcome == "same" and before.outcome in _SAID:
            self._say("the files are right again: as in force")
        for note in found.notes if found.notes != before.notes else ():
            self._say(f"note: {note}")

    def took(self, version: Version) -> None:
        """Another version was swapped in: told with its changes."""

    def breaker(self, state: State) -> None:
        """The breaker's state now."""
        self._say(f"circuit breaker of changes: {state.replace('_', ' ')}")


_SAID = {
    "refused": "REFUSED, and the old configuration stays in force:",
    "drift": "not in force:",
    "failed": "could not be looked at, tried again soon:",
}


_CURES = {"drift": " `daybook config apply --reason` puts it in force; else put the files back."}


def _bare(found: Examined) -> Examined:
    """What was found, without where and how long."""
    return Examined(found.outcome, found.configuration, found.number, found.said, notes=found.notes)


def _say_changed(event: Changed, say: Callable[[str], None]) -> None:
    lines = [change.text() for change in event.changes]
    lines += [f"{each.symbol}.{each.field}: {each.before} -> {each.after}" for each in event.symbols]
    rest = "" if event.complete else " And more than is listed."
    say(f"version {event.version.number} is in force: {_few(tuple(lines)) or 'nothing that is listed.'}{rest}")


def _few(said: tuple[str, ...]) -> str:
    more = f" ... and {len(said) - SHOWN} more" if len(said) > SHOWN else ""
    return "; ".join(each.rstrip(".") for each in said[:SHOWN]) + more + ("." if said else "")


# --- figures ----------------------------------------------------------------------------------------------------------
class _Figures:
    """What is measured, for Prometheus. Counting costs next to nothing; text is made when somebody reads it."""

    def __init__(self, where: Place, first: Version) -> None:
        self._where = where
        self.made = ConfigurationMetrics(utc_now)
        self.made.first(self._measured(first))
        self.made.breaker("closed")

    def examined(self, found: Examined) -> None:
        """Files were looked at."""
        if found.load_seconds:
            self.made.loaded(found.load_seconds)
            self.made.validated(found.validation_seconds)
        if found.outcome == "refused":
            self.made.refused()
        self.made.drifted(found.outcome in ("drift", "refused"))

    def took(self, version: Version) -> None:
        """Another version was swapped in."""
        self.made.reloaded(self._measured(version))

    def breaker(self, state: State) -> None:
        """The breaker's state now."""
        self.made.breaker(state)

    def _measured(self, version: Version) -> Measured:
        pointer, found = compiled_files(self._where).pointer(), version.snapshot
        since = datetime.fromisoformat(pointer.at) if pointer is not None else utc_now()
        size = snapshot_bytes(self._where, found)
        return Measured(version.number, found.configuration_hash, since, found.environment, size, len(found))


class _Kept:
    """What the command leaves in files of the home: figures, for a collector of text files, and what was seen last, for
    `daybook config status`. Not in every process that watches: it is one that tells."""

    def __init__(self, where: Place) -> None:
        self._file, self._seen, self._alone = where.home / "logs" / METRICS, WatchedFile(where), Lock()
        self._metrics: ConfigurationMetrics | None = None

    def begin(self, found: Watched) -> None:
        """Writes both from now on."""
        self._metrics = found.metrics
        self._metrics.watched(True)
        self.took(found.in_force.now)

    def write_anew(self) -> None:
        """Writes the figures again: ages grow though nothing happens. Raises StoreUnavailable."""
        with self._alone:
            if self._metrics is not None:
                self._metrics.write(self._file)

    def close(self) -> None:
        """Leaves figures that say that nobody watches any more."""
        if self._metrics is not None:
            self._metrics.watched(False)
            with suppress(StoreUnavailable):
                self.write_anew()

    def examined(self, found: Examined) -> None:
        """Files were looked at."""
        self._write(lambda seen: seen.examined(found))

    def took(self, version: Version) -> None:
        """Another version was swapped in."""
        self._write(lambda seen: seen.took(version))

    def breaker(self, state: State) -> None:
        """The breaker's state now."""
        self._write(lambda seen: seen.breaker(state))

    def _write(self, tell: Callable[[WatchedFile], None]) -> None:
        with self._alone:
            tell(self._seen)
            if self._metrics is not None:
                self._metrics.write(self._file)
