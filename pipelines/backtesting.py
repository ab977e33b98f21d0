"""The backtest factory: whoever asks for a backtest gets its result, computed once for all who ask.

Belongs here: finding parts, keys, looking for a result before computing it, limits, retries and the audit. Does not
belong here: computing (`trading/backtest`), keeping (`resources/result_store.py`), or what people type (`commands/`).

    with Factory.open(place(), Choice(name="csv", parameters={"folder": "futures"})) as factory:
        outcome = factory.run(Backtest(strategy=strategy, capital_base=250_000.0))
        outcome.statistics["net_percent"]["sharpe"], outcome.key, outcome.cached

In this process unless a deadline, a memory ceiling or a way to cancel is asked for; then in a child that is killed.
"""

from __future__ import annotations

import getpass
import logging
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from types import TracebackType
from typing import Any, TypeVar, cast

from pipelines import wiring
from pipelines.plugins import Rules, known_rules, plugin_modules
from pipelines.settings import Place
from trading.backtest import parts as own_parts
from trading.backtest.panel import Panel
from trading.backtest.registry import Kind, Part, Parts, parts_of
from trading.backtest.result import Kept, Record, Result, Statistics
from trading.backtest.specification import (
    Backtest,
    Choice,
    CostModel,
    DataSource,
    Strategy,
    WeekendRows,
    canonical,
    require,
    require_instruments,
    require_window,
)
from trading.book.journal import Event, Scalar
from trading.errors import (
    Cancelled,
    DaybookError,
    DeadlinePassed,
    StageFailed,
    StoreBusy,
    StoreUnavailable,
    VendorError,
    WorkStopped,
    WrongSpecification,
)
from trading.ports import Limits, Progress, Task

TRANSIENT = (StoreBusy, StoreUnavailable, VendorError)
PANELS_HELD = 4
_FIRST_PAUSE_S = 0.1
_BETWEEN_LOOKS_S = 0.25
T = TypeVar("T")
_log = logging.getLogger(__name__)


def _never() -> bool:
    return False


def _quiet(done: int, total: int, what: str) -> None:
    """Says nothing."""


@dataclass(frozen=True, slots=True)
class Demand:
    """How a backtest is to be run, none of which changes its result.

    `deadline_s` seconds for each backtest, waiting for others included; `memory_mb` of resident memory; `cancelled` is
    asked several times a second. `isolated`: in a child process that is killed when one of them says so (None: where
    one is given, and wherever it is awaited). `cache`: look for a kept result first, and keep a new one. Transient
    errors of data and store are tried `attempts` times in all. `progress` hears backtests done, their number, and what
    is being done.
    """

    deadline_s: float | None = None
    memory_mb: float | None = None
    cancelled: Callable[[], bool] = _never
    isolated: bool | None = None
    cache: bool = True
    attempts: int = 3
    wait_s: float = 3600.0
    progress: Progress = _quiet

    @property
    def apart(self) -> bool:
        """Whether a child process does the work."""
        limited = self.deadline_s is not None or self.memory_mb is not None or self.cancelled is not _never
        return limited if self.isolated is None else self.isolated


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request: the result, and whether it was there already. `seconds` is what answering took."""

    backtest: Backtest
    kept: Kept
    cached: bool
    seconds: float

    @property
    def key(self) -> str:
        """Hash of specification, data, code and parts."""
        return self.kept.record.key

    @property
    def statistics(self) -> Statistics:
        """By curve, then by name."""
        return self.kept.statistics

    @property
    def result(self) -> Result:
        """Positions and curves."""
        assert self.kept.result is not None
        return self.kept.result


# --- parts ------------------------------------------------------------------------------------------------------------
def known_parts(plugins: Sequence[str] = (), *, installed: bool = False) -> Parts:
    """Daybook's own parts, those of the modules `plugins`, and, with `installed`, those of installed packages.

    Raises WrongSpecification where a module cannot be imported, or two parts of a kind have one name.
    """
    return parts_of([own_parts, *plugin_modules([wiring.SOURCES, *plugins], installed=installed)])


def listing(plugins: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Every registered part with version, capabilities and JSON schema of its parameters, as `--list` prints it."""
    return known_parts(plugins, installed=True).listing()


@dataclass(frozen=True, slots=True)
class Workshop:
    """What computes: parts, rules and a source. Can be sent to another process if its source can, which imports the
    same modules there."""

    source: Choice | DataSource
    plugins: tuple[str, ...] = ()

    def parts(self, *chosen: tuple[Kind, str]) -> Parts:
        """Parts by name; installed packages are only searched, which takes a moment, where one of `chosen` is missing
        without them."""
        found = known_parts(self.plugins)
        return found if found.held.keys() >= set(chosen) else known_parts(self.plugins, installed=True)

    def opened(self) -> DataSource:
        """The source, checked."""
        if isinstance(self.source, Choice):
            parts = self.parts(("data_source", self.source.name))
            return cast(DataSource, parts.make("data_source", self.source))
        require(self.source, DataSource, "the data source")
        return self.source

    def versions(self, backtest: Backtest) -> dict[str, str]:
        """Versions of the source, of the registered parts and of the rules of users that a backtest uses, which go into
        its key; also checks that each part can be made.

        Raises WrongSpecification where one is unknown or wrong, or the engine cannot use it.
        """
        chosen = _chosen(backtest)
        parts = self.parts(*((kind, choice.name) for kind, choice in chosen.items()))
        engine = parts.named("engine", backtest.engine.name)
        found = {"data_source": self._source_version(), **self._rule_versions(backtest, engine)}
        for kind, choice in chosen.items():
            part = parts.named(kind, choice.name)
            if kind != "engine" and kind not in engine.capabilities:
                raise WrongSpecification(f"engine {engine.name} takes no {kind} of its own, and {part.name} is asked.")
            part.made(choice.parameters)
            found[kind] = _part_version(part)
        return found

    def _source_version(self) -> str:
        """As a part's; of a source that was given as an object, its class and the hash of what it is in."""
        if isinstance(self.source, Choice):
            name = self.source.name
            return _part_version(self.parts(("data_source", name)).named("data_source", name))
        own = type(self.source)
        return f"{own.__qualname__} {wiring.plugin_version(own.__module__)}".strip()

    def _rule_versions(self, backtest: Backtest, engine: Part) -> dict[str, str]:
        """Hashes of the packages of those rules of a backtest that are not Daybook's own."""
        there = self.rules(backtest)
        used = {rule.rule: there[rule.rule].forecast for rule in backtest.strategy.rules.values() if rule.rule in there}
        modules = {name: wiring.plugin_version(function.__module__) for name, function in sorted(used.items())}
        found = {f"rule {name}": version for name, version in modules.items() if version}
        if found and "rules" not in engine.capabilities:
            raise WrongSpecification(
                f"engine {engine.name} takes no rules of plugins, and {next(iter(found))} is one. Use another engine."
            )
        return found

    def rules(self, backtest: Backtest) -> Rules:
        """Daybook's own rules, those of the plugins, and those of installed packages where the backtest needs one."""
        return known_rules(self.plugins, (rule.rule for rule in backtest.strategy.rules.values()))

    def panel(self, source: DataSource, backtest: Backtest, universe: Sequence[str], version: str) -> Panel:
        """The backtest's panel, looked over. Raises StoreBusy where the data is not of that version any more."""
        with _known(source, backtest):
            panel = source.panel(universe, *_wanted(backtest))
        if panel.version != version:
            raise StoreBusy("the data changed while it was read. Run it again when loading is over.")
        require_window(backtest, panel)
        return panel

    def given(self, backtest: Backtest) -> tuple[Strategy | None, CostModel | None]:
        """The registered strategy and cost model that a backtest names, made; None where it has its own."""
        chosen = _chosen(backtest)
        parts = self.parts(*((kind, choice.name) for kind, choice in chosen.items()))
        made = {kind: parts.make(kind, choice) for kind, choice in chosen.items() if kind != "engine"}
        return cast(Strategy | None, made.get("strategy")), cast(CostModel | None, made.get("cost_model"))

    def computed(self, backtest: Backtest, panel: Panel) -> Result:
        """What the engine finds. Raises StageFailed where a value is infinite."""
        parts = self.parts(*((kind, choice.name) for kind, choice in _chosen(backtest).items()))
        own = zip(("decided_by", "costs"), self.given(backtest), strict=True)
        given: dict[str, Any] = {name: part for name, part in own if part is not None}
        if "rules" in parts.named("engine", backtest.engine.name).capabilities:
            given["rules"] = self.rules(backtest)
        engine = parts.engine(backtest.engine)
        made = engine.evaluate(
            panel, backtest.resolved(), backtest.capital_base, first=backtest.first, seed=backtest.seed, **given
        ).plain()
        if (found := made.infinite()) is not None:
            name, instrument, session = found
            cure = "Look at the prices there, or leave the instrument out."
            raise StageFailed(_label(backtest), "computing", f"{name} is infinite. {cure}", instrument, session)
        return made


def _part_version(part: Part) -> str:
    """Name, declared version and, of a part that is not Daybook's own, the hash of its package."""
    return f"{part.name} {part.version} {wiring.plugin_version(part.module)}".strip()


def _chosen(backtest: Backtest) -> dict[Kind, Choice]:
    """Registered parts that a backtest names."""
    found: dict[Kind, Choice] = {"engine": backtest.engine}
    if backtest.decided_by.name != "rules":
        found["strategy"] = backtest.decided_by
    if backtest.costs.name != "settings":
        found["cost_model"] = backtest.costs
    return found


@contextmanager
def _known(source: DataSource, backtest: Backtest) -> Iterator[None]:
    """Says of an error whether it is that the source lacks an instrument; a source that is not in error is not asked
    what it has, which a store cannot tell without reading."""
    try:
        yield
    except TRANSIENT:
        raise
    except DaybookError:
        require_instruments(backtest, source.instruments())
        raise


def _wanted(backtest: Backtest) -> tuple[str, WeekendRows, date | None]:
    return backtest.base_currency, backtest.strategy.weekend_rows, backtest.last


def _label(backtest: Backtest) -> str:
    return backtest.strategy.name


@contextmanager
def _stage(backtest: Backtest, stage: str, *, apart: bool = False) -> Iterator[None]:
    """Says which backtest and stage an error comes from, and, where the error can tell, instrument and session. A
    child (`apart`) hands on what may pass, for its parent to try again."""
    as_they_are = (WrongSpecification, StageFailed, WorkStopped, *(TRANSIENT if apart else ()))
    try:
        yield
    except as_they_are:
        raise
    except Exception as cause:
        known = isinstance(cause, DaybookError)
        reason = str(cause) if known else f"{type(cause).__name__}: {cause}. This is a mistake in the part that ran."
        instrument, session = getattr(cause, "instrument", None), getattr(cause, "session", None)
        code = cause.exit_code if isinstance(cause, DaybookError) else 1
        raise StageFailed(_label(backtest), stage, reason, instrument, session, code) from cause


# --- a child that can be killed ---------------------------------------------------------------------------------------
@dataclass(slots=True)
class _Bench:
    """What a child works with; the panel is made by the first stage."""

    workshop: Workshop
    backtest: Backtest
    universe: tuple[str, ...]
    version: str
    panel: Panel | None = None


def _prepared(bench: _Bench) -> _Bench:
    return bench


def _worked(bench: _Bench, stage: str) -> Result | None:
    """One stage, in a child: `data` makes the panel, `computing` the result."""
    with _stage(bench.backtest, "data", apart=True):
        if bench.panel is None:
            source = bench.workshop.opened()
            bench.panel = bench.workshop.panel(source, bench.backtest, bench.universe, bench.version)
    if stage == "data":
        return None
    with _stage(bench.backtest, "computing", apart=True):
        return bench.workshop.computed(bench.backtest, bench.panel)


STAGES = ("data", "computing")


# --- the factory ------------------------------------------------------------------------------------------------------
@dataclass(slots=True)
class _Watch:
    """The limits of one request, from when it came in."""

    backtest: Backtest
    demand: Demand
    began: float = field(default_factory=time.monotonic)

    def left_s(self) -> float | None:
        """Seconds to the deadline; None without one."""
        given = self.demand.deadline_s
        return None if given is None else max(0.0, self.began + given - time.monotonic())

    def look(self, stage: str) -> None:
        """Raises Cancelled, DeadlinePassed."""
        if self.demand.cancelled():
            raise self.named(Cancelled("the work was cancelled", STAGES.index(stage), len(STAGES), ""), stage)
        if self.left_s() == 0.0:
            reason = f"the deadline of {self.demand.deadline_s:g} s passed"
            raise self.named(DeadlinePassed(reason, STAGES.index(stage), len(STAGES), ""), stage)

    def named(self, stopped: WorkStopped, stage: str) -> WorkStopped:
        """The same error, saying of which backtest and in which stage."""
        reason = stopped.reason
        if isinstance(stopped, DeadlinePassed):  # a cluster only knows what was left of it
            reason = f"the deadline of {self.demand.deadline_s:g} s passed"
        cure = "Nothing was kept. Run it again, with more time or memory if that was it."
        whole = f"backtest {_label(self.backtest)}, stage {stage}: {reason}"
        return type(stopped)(whole, stopped.done, stopped.total, cure, "stages")

    def limits(self) -> Limits:
        """As a cluster wants them."""
        return Limits(self.left_s(), self.demand.memory_mb, self.demand.cancelled)


@dataclass(slots=True)
class _Slot:
    """A panel, or the place of one that a thread makes alone."""

    alone: threading.Lock = field(default_factory=threading.Lock)
    panel: Panel | None = None


class Factory:
    """Backtests of one home from one source. Safe to use from several threads; close it, or use it in a `with`."""

    def __init__(self, where: Place, workshop: Workshop, who: str) -> None:
        self.where, self.workshop, self.who = where, workshop, who
        self._source, self._guard = workshop.opened(), threading.Lock()
        self._panels: OrderedDict[object, _Slot] = OrderedDict()
        self._owed: list[Event] = []  # audit rows that a busy ledger did not take
        self._results, self._code = wiring.result_store(where), wiring.code_version()
        self._ledger = wiring.ledger(where)

    @classmethod
    def open(
        cls, where: Place, source: Choice | DataSource, *, plugins: Sequence[str] = (), who: str | None = None
    ) -> Factory:
        """A factory; `source` is a registered data source or one's own object. Raises WrongSpecification."""
        return cls(where, Workshop(source, tuple(plugins)), who or getpass.getuser())

    def __enter__(self) -> Factory:
        return self

    def __exit__(self, kind: type[BaseException] | None, cause: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def source(self) -> DataSource:
        """Where panels come from."""
        return self._source

    def close(self) -> None:
        """Lets go of panels, writes audit rows that are still owed, and closes the source if it can be closed."""
        with self._guard:
            self._panels.clear()
        if self._owed:
            self._audit([], Demand())
        for used in (self._source, self._ledger):
            closing = getattr(used, "close", None)
            if callable(closing):
                closing()

    # --- asking ---
    def run(self, backtest: Backtest, demand: Demand = Demand()) -> Outcome:
        """The result of a backtest: kept already, or computed and kept.

        Raises WrongSpecification, StageFailed, DeadlinePassed, MemoryCeilingPassed, Cancelled; each request leaves an
        audit row (`select * from ledger_backtests`), however it ends.
        """
        return self.run_all([backtest], demand)[0]

    def run_all(self, backtests: Sequence[Backtest], demand: Demand = Demand()) -> list[Outcome]:
        """Several at once, which share panels. The first error stops; what was done before is kept, and each has its
        audit row as soon as it is answered."""
        seen: dict[object, str] = {}  # versions of data, looked at once a call
        outcomes: list[Outcome] = []
        for number, backtest in enumerate(backtests):
            demand.progress(number, len(backtests), f"backtest {_label(backtest)}")
            outcomes.append(self._answered(backtest, demand, seen))
        demand.progress(len(backtests), len(backtests), "done")
        return outcomes

    async def run_async(self, backtest: Backtest, demand: Demand = Demand()) -> Outcome:
        """As `run`, for services: cancelling the awaiting task stops the work. It is done in a child process, which is
        killed, unless `isolated=False` asks for this one, where a thread goes on to the end of its stage."""
        return (await self.run_all_async([backtest], demand))[0]

    async def run_all_async(self, backtests: Sequence[Backtest], demand: Demand = Demand()) -> list[Outcome]:
        """As `run_all`, awaitable."""
        import asyncio

        stop = threading.Event()
        apart = demand.isolated is not False
        asked = replace(demand, cancelled=lambda: stop.is_set() or demand.cancelled(), isolated=apart)
        try:
            return await asyncio.to_thread(self.run_all, backtests, asked)
        except asyncio.CancelledError:
            stop.set()
            raise

    def prewarm(self, backtest: Backtest) -> dict[str, float]:
        """Compiles kernels and makes the panel, so that the first real request does not wait; keeps no result.
        Seconds by stage."""
        began = time.monotonic()
        universe = self._universe(backtest)
        panel = self._panel(backtest, universe, self._version(backtest, universe))
        built = time.monotonic()
        self.workshop.computed(backtest, panel)
        return {"data": built - began, "computing": time.monotonic() - built}

    def key(self, backtest: Backtest) -> str:
        """The key the result of a backtest has now."""
        return self._keyed(backtest, self._version(backtest, self._universe(backtest)))

    # --- answering ---
    def _answered(self, backtest: Backtest, demand: Demand, seen: dict[object, str]) -> Outcome:
        watch, said = _Watch(backtest, demand), {"outcome": "failed"}
        try:
            outcome = self._outcome(watch, said, seen)
            said["outcome"] = "cached" if outcome.cached else "computed"
            return outcome
        except BaseException as cause:
            said["detail"] = f"{type(cause).__name__}: {cause}"[:2000]
            raise
        finally:
            self._audit([self._event(backtest, said, time.monotonic() - watch.began)], demand)

    def _audit(self, events: Sequence[Event], demand: Demand) -> None:
        """Writes audit rows, and those owed from before. A ledger that stays busy neither loses an answer nor hides why
        there is none: its rows are owed until the next request, or until this factory is closed."""
        with self._guard:
            wanted, self._owed = [*self._owed, *events], []
        try:
            _tried(lambda: self._ledger.record(wanted), demand)
        except DaybookError as cause:
            _log.warning("%d audit rows of backtests are not written yet: %s", len(wanted), cause)
            with self._guard:
                self._owed = [*wanted, *self._owed]

    def _outcome(self, watch: _Watch, said: dict[str, str], seen: dict[object, str]) -> Outcome:
        backtest, demand = watch.backtest, watch.demand
        with _stage(backtest, "data"):
            universe = _tried(lambda: self._universe(backtest), demand, watch)
            of = (universe, *_wanted(backtest))
            if of not in seen:
                seen[of] = _tried(lambda: self._version(backtest, universe), demand, watch)
            version = seen[of]
            watch.look("data")
        key = self._keyed(backtest, version)
        said |= {"key": key, "data_version": version}
        found = self._results.load(key) if demand.cache else None
        if found is not None:
            return Outcome(backtest, found, True, time.monotonic() - watch.began)
        with ExitStack() as alone:
            if demand.cache:
                self._enter(alone, key, watch)
                found = self._results.load(key)
            kept = found or self._made(watch, universe, (key, version))
        return Outcome(backtest, kept, found is not None, time.monotonic() - watch.began)

    def _enter(self, alone: ExitStack, key: str, watch: _Watch) -> None:
        """Alone with a key; while another computes it, deadline and cancellation are looked at."""
        while True:
            try:
                alone.enter_context(self._results.computing(key, _BETWEEN_LOOKS_S))
                return
            except StoreBusy:
                watch.look("data")
                if time.monotonic() - watch.began > watch.demand.wait_s:
                    raise

    def _made(self, watch: _Watch, universe: tuple[str, ...], names: tuple[str, str]) -> Kept:
        began, backtest = time.monotonic(), watch.backtest
        way = self._apart if watch.demand.apart else self._here
        result = way(watch, universe, names[1])
        record = self._record(backtest, names, time.monotonic() - began)
        kept = Kept(record, result.statistics, result)
        if watch.demand.cache:
            with _stage(backtest, "keeping"):
                _tried(lambda: self._results.keep([kept]), watch.demand)
        return kept

    def _here(self, watch: _Watch, universe: tuple[str, ...], version: str) -> Result:
        backtest = watch.backtest
        watch.look("data")
        with _stage(backtest, "data"):
            panel = _tried(lambda: self._panel(backtest, universe, version), watch.demand, watch)
        watch.look("computing")
        with _stage(backtest, "computing"):
            return self.workshop.computed(backtest, panel)

    def _panel(self, backtest: Backtest, universe: tuple[str, ...], version: str) -> Panel:
        """The panel, shared by all backtests on equal data; threads that want others do not wait for it."""
        of = (universe, *_wanted(backtest), version)
        with self._guard:
            slot = self._panels.setdefault(of, _Slot())
            self._panels.move_to_end(of)
            while len(self._panels) > PANELS_HELD:
                self._panels.popitem(last=False)
        with slot.alone:
            if slot.panel is None:
                slot.panel = self.workshop.panel(self._source, backtest, universe, version)
            panel = slot.panel
        require_window(backtest, panel)
        return panel

    def _apart(self, watch: _Watch, universe: tuple[str, ...], version: str) -> Result:
        """In a child process, killed when a limit is passed; nothing of it stays."""
        task = Task(_worked, _Bench(self.workshop, watch.backtest, universe, version), _prepared)

        def work() -> Result:
            found: dict[int, Result] = dict(wiring.processes(1).map(task, STAGES, watch.limits()))
            return found[STAGES.index("computing")]

        try:
            with _stage(watch.backtest, "data"):
                return _tried(work, watch.demand)
        except WorkStopped as stopped:
            raise watch.named(stopped, STAGES[min(stopped.done, 1)]) from stopped

    # --- names ---
    def _universe(self, backtest: Backtest) -> tuple[str, ...]:
        return backtest.universe() or require_instruments(backtest, self._source.instruments())

    def _version(self, backtest: Backtest, universe: Sequence[str]) -> str:
        with _known(self._source, backtest):
            return self._source.version(universe, *_wanted(backtest))

    def _keyed(self, backtest: Backtest, version: str) -> str:
        return backtest.key(version, self._code, self.workshop.versions(backtest))

    def _record(self, backtest: Backtest, names: tuple[str, str], seconds: float) -> Record:
        versions = self.workshop.versions(backtest)
        return Record(
            key=names[0],
            strategy=_label(backtest),
            specification=canonical(backtest.content()),
            data_version=names[1],
            code_version=self._code,
            engine=versions["engine"],
            who=self.who,
            at=wiring.utc_now(),
            seconds=seconds,
            parts=versions,
        )

    def _event(self, backtest: Backtest, said: Mapping[str, str], seconds: float) -> Event:
        """The audit row of one request."""
        at, request = wiring.utc_now(), uuid.uuid4().hex
        source = self.workshop.source
        payload: dict[str, Scalar] = {
            "request": request,
            "key": said.get("key", ""),
            "strategy": _label(backtest),
            "who": self.who,
            "asked_at": at.isoformat(timespec="microseconds"),
            "source": canonical(source.model_dump(mode="json")) if isinstance(source, Choice) else repr(source)[:500],
            "data_version": said.get("data_version", ""),
            "code_version": self._code,
            "engine": backtest.engine.name,
            "seconds": seconds,
            "cached": int(said["outcome"] == "cached"),
            "outcome": said["outcome"],
            "detail": said.get("detail", ""),
        }
        return Event(f"backtest:{request}", "backtest", at.date(), at, self.who, payload)


def _tried(work: Callable[[], T], demand: Demand, watch: _Watch | None = None) -> T:
    """What `work` gives; what may pass (a busy store, a vendor that does not answer) is waited for and tried again.
    Where `watch` is given, its limits are looked at before each time."""
    pause = threading.Event()
    for attempt in range(1, demand.attempts):
        if watch is not None:
            watch.look("data")
        try:
            return work()
        except TRANSIENT:
            if demand.cancelled():
                raise
            pause.wait(_FIRST_PAUSE_S * 2 ** (attempt - 1))
    if watch is not None:
        watch.look("data")
    return work()


def run(
    backtests: Backtest | Sequence[Backtest],
    source: Choice | DataSource,
    where: Place,
    demand: Demand = Demand(),
    *,
    plugins: Sequence[str] = (),
) -> list[Outcome]:
    """Runs one or several backtests once, as `Factory.run_all`."""
    asked = [backtests] if isinstance(backtests, Backtest) else backtests
    with Factory.open(where, source, plugins=plugins) as factory:
        return factory.run_all(asked, demand)
