"""Running a sweep: every variant once, on whatever cluster, and what can be said of all of them together.

Belongs here: what is known already, what is left to compute, keeping results as they come, and the odds that the best
is luck. Does not belong here: which variants there are (`trading/backtest/sweeps.py`), workers (`resources/clusters`),
or what people type (`sweep_request.py`).

Results are rows of `sweep_results`, some seconds' worth in one append, so that a sweep that is killed and started again
computes only the rest. No curve is kept: a variant's is that of `daybook backtest` with the same overrides.
"""

from __future__ import annotations

import base64
import getpass
import hashlib
import json
import math
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import cached_property
from typing import Any

import numpy as np

from pipelines import wiring
from pipelines.backtesting import Workshop
from pipelines.settings import Place, strategy_file
from trading.backtest.panel import Floats, Panel
from trading.backtest.result import Statistics
from trading.backtest.specification import Choice, canonical, require_instruments
from trading.backtest.sweeps import Overrides, Sweep, crossed, placed, spans, variant_text, variants
from trading.book.journal import Event, Scalar
from trading.config.strategies import StrategySettings
from trading.errors import (
    Cancelled,
    DatasetNotFound,
    DaybookError,
    DeadlinePassed,
    StoreBusy,
    UsageError,
    WorkStopped,
)
from trading.ports import NO_LIMITS, Cluster, FrameStore, Limits, Progress, Task

KEPT_EVERY_S = 1.0
WAITS_S = 3600.0  # for the same sweep elsewhere
BETWEEN_LOOKS_S = 0.1  # at deadline and cancellation while it waits
STARTING_S = 0.4  # in which workers get ready before a deadline counts: kernels load in about as long
BATCH = 20  # variants that Optuna chooses at once, whatever the number of workers, so that answers do not depend on it
CURVE = "net_percent"
_AT_ONCE = 1024  # rows of the dataset made into Python's own at once
_FAR = date(9999, 12, 31)


def _quiet(done: int, total: int, what: str) -> None:
    """Says nothing."""


# --- what workers do --------------------------------------------------------------------------------------------------
@dataclass(slots=True)
class Bench:
    """What workers share: the backtest that is varied, its panel, and what computes it.

    Workers that are forked from a process that has prepared it find everything made; to others it goes without.
    """

    workshop: Workshop
    sweep: Sweep
    panel: Panel
    runner: Runner | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Bench, (self.workshop, self.sweep, self.panel)


class Runner:
    """A worker's bench with everything that variants share, made once."""

    def __init__(self, bench: Bench) -> None:
        from trading.backtest import engine

        self._engine, self._bench, self._sweep = engine, bench, bench.sweep
        backtest = bench.sweep.backtest
        self._own = backtest.engine == Choice(name="daybook")
        self._own &= (backtest.decided_by.name, backtest.costs.name) == ("rules", "settings")
        self._work, self._rules = engine.bench_of(bench.panel, backtest.resolved()), bench.workshop.rules(backtest)

    def evaluated(self, overrides: Mapping[str, Any]) -> tuple[Statistics, Floats]:
        """Statistics by curve and name, and the net percent curve, of a variant."""
        strategy = self._sweep.varied(overrides)
        backtest = self._sweep.backtest.model_copy(update={"strategy": strategy})
        if not self._own:
            result = self._bench.workshop.computed(backtest, self._bench.panel)
            return result.statistics, result.curves[CURVE]
        resolved = backtest.resolved()
        sizing = self._engine.sizing_of(resolved, backtest.capital_base)
        self._work.once("rules", lambda: self._rules)
        made = self._engine.evaluate(self._work, resolved, sizing).account
        rows = self._engine.counted_rows(made, backtest.first)
        return self._engine.statistics(made, rows, (CURVE,)), made.percent.net[rows]


def prepared(bench: Bench) -> Runner:
    """The runner, kernels loaded and what variants share computed. Raises UsageError where the backtest itself does not
    have the objective among its statistics."""
    if bench.runner is None:
        runner = Runner(bench)
        _require_objective(bench.sweep.objective, variant_row(runner, {})[1])
        bench.runner = runner
    return bench.runner


def _require_objective(objective: str, statistics: str | None) -> None:
    """Raises UsageError naming the numbers there are, where the objective is not one of them."""
    known = [name for name, value in _numbers(statistics or "{}").items() if isinstance(value, float)]
    if known and objective not in known:
        raise UsageError(f"objective {objective} is unknown. Choose one of {', '.join(known)}.")


Row = tuple[str | None, str | None, str | None]  # error, statistics, moments: as `sweep_results` keeps them


def variant_row(runner: Runner, overrides: Mapping[str, Any]) -> Row:
    """One variant; one that cannot be computed is a row that says why."""
    from trading.analytics.overfitting import block_moments

    try:
        found, curve = runner.evaluated(overrides)
    except DaybookError as cause:
        return str(cause), None, None
    moments = block_moments(np.ascontiguousarray(curve))
    return None, _text(found), base64.b64encode(moments.tobytes()).decode()


def _text(found: Statistics) -> str:
    """Statistics as `curve.name`, JSON; what is not finite is text, which JSON has no number for."""
    flat = {f"{curve}.{name}": _said(own[name]) for curve, own in found.items() if curve in (CURVE, "risk")
            for name in own}  # fmt: skip
    return json.dumps(flat, allow_nan=False)


def _said(value: Any) -> Any:
    if isinstance(value, str):
        return value
    return float(value) if math.isfinite(value) else str(float(value))


# --- what is known of a sweep -----------------------------------------------------------------------------------------
class Kept:
    """Results of one sweep, in memory and in the dataset `sweep_results`."""

    def __init__(self, frames: FrameStore, key: str, session: date, every_s: float = KEPT_EVERY_S) -> None:
        self._frames, self.key, self._session, self._every_s = frames, key, session, every_s
        self._new: list[str] = []
        self._said = time.monotonic()

    @cached_property
    def rows(self) -> dict[str, Row]:
        """Every result by variant; what the dataset has is read when this is first asked for."""
        from trading.frames import SWEEP_RESULTS

        names = ("overrides", "error", "statistics", "moments")
        try:
            table = self._frames.history(SWEEP_RESULTS, through=_FAR, series=[self.key], columns=names)
        except DatasetNotFound:
            return {}
        rows: dict[str, Row] = {}
        for part in table.to_batches(max_chunksize=_AT_ONCE):
            texts, *columns = (part.column(name).to_pylist() for name in names)
            rows |= zip(texts, zip(*columns, strict=True), strict=True)
        del table
        _release()
        return rows

    def add(self, text: str, row: Row) -> None:
        """A new result; kept on disk now and then."""
        self.rows[text] = row
        self._new.append(text)
        if time.monotonic() - self._said > self._every_s:
            self.keep()

    def keep(self) -> None:
        """Puts what is new into the store."""
        import pyarrow as pa

        from trading.frames import SWEEP_RESULTS

        if self._new:
            names = ("error", "statistics", "moments")
            rows = [
                {"sweep": self.key, "overrides": text, "session": self._session,
                 **dict(zip(names, self.rows[text], strict=True))}
                for text in self._new
            ]  # fmt: skip
            self._frames.append(SWEEP_RESULTS, pa.Table.from_pylist(rows, SWEEP_RESULTS.schema))
            _release()
        self._new, self._said = [], time.monotonic()


def _release() -> None:
    """Gives back what Arrow freed and would keep: some 80 MB after thousands of rows were read."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()


@dataclass(frozen=True, slots=True)
class Found:
    """What became of a sweep: its variants in their order, and a row for each of them that was computed.

    `computed` now, `known` from before, `left` not done, `dropped` because a fast span was not below its slow one.
    `stopped` says why it ended early. `odds` is what is said of all variants together; empty where it ended early.
    """

    sweep: Sweep
    key: str
    variants: tuple[Overrides, ...]
    rows: tuple[Row | None, ...]
    computed: int
    known: int
    dropped: int
    seconds: float
    stopped: WorkStopped | None = None
    odds: Mapping[str, float] = field(default_factory=dict)

    @property
    def left(self) -> int:
        """Variants without a row, and those that a search that was stopped did not come to name."""
        unnamed = self.stopped is not None and (self.sweep.search == "optuna" or not self.variants)
        return sum(row is None for row in self.rows) + unnamed * (self.sweep.size - len(self.variants))

    def statistics(self) -> list[dict[str, Any]]:
        """Statistics by name of each variant; empty where there are none."""
        return list(self.told())

    def told(self) -> Iterator[dict[str, Any]]:
        """As `statistics`, one after the other: those of thousands of variants at once take tens of megabytes."""
        for row in self.rows:
            yield {} if row is None or row[1] is None else _numbers(row[1])

    def objectives(self) -> list[float]:
        """The objective of each variant; NaN where there is none."""
        return [found.get(self.sweep.objective, math.nan) for found in self.told()]

    def best(self) -> int | None:
        """Place of the variant with the highest objective, or None."""
        values = self.objectives()
        known = [place for place, value in enumerate(values) if not math.isnan(value)]
        return max(known, key=lambda place: values[place]) if known else None

    def best_statistics(self) -> dict[str, Any]:
        """Statistics by name of the best variant; empty where there is none."""
        best = self.best()
        row = None if best is None else self.rows[best]
        return {} if row is None or row[1] is None else _numbers(row[1])


def _numbers(text: str) -> dict[str, Any]:
    special = ("nan", "inf", "-inf")
    found = json.loads(text).items()
    return {sys.intern(name): float(value) if value in special else value for name, value in found}


# --- running ----------------------------------------------------------------------------------------------------------
def run(
    where: Place,
    sweep: Sweep,
    source: Choice,
    cluster: Cluster,
    limits: Limits = NO_LIMITS,
    progress: Progress = _quiet,
    plugins: Sequence[str] = (),
    keep_every_s: float = KEPT_EVERY_S,
) -> Found:
    """Runs a sweep: every variant that is not known yet, once. Killed, it loses what was done in the last
    `keep_every_s` seconds. A deadline counts from when workers are ready, or 0.4 s after they were asked for:
    panel and kernels do not use it up. While the same sweep runs elsewhere it waits, which does.

    However it ends, it leaves an audit row (`select * from ledger_backtests`).

    Raises UsageError on an unknown objective, WrongSpecification, StoreBusy where the same sweep runs elsewhere for an
    hour, and what a cluster raises but for a deadline, a memory ceiling or a cancellation: these are told in `stopped`,
    and what was done is kept.
    """
    audit = _Audit(sweep, source)
    try:
        bench, audit.key = _opened(sweep, Workshop(source, tuple(plugins)))
        audit.data_version = bench.panel.version
        kept = Kept(wiring.frame_store(where), audit.key, bench.panel.sessions[-1].item(), keep_every_s)
        work = _Work(bench, kept, cluster, limits, progress, audit.began)
        _worked(work, where)
        return audit.heard(work.found())
    except BaseException as cause:
        audit.detail = f"{type(cause).__name__}: {cause}"[:2000]
        raise
    finally:
        wiring.ledger(where).record([audit.event()])


def _worked(work: _Work, where: Place) -> None:
    """Alone with the sweep, what is not known is computed; what stopped it is told to `work`."""
    with ExitStack() as alone:
        try:
            work.enter(alone, where)
            work.search()
        except WorkStopped as stopped:
            work.stop(stopped)
        finally:
            work.keep()


@dataclass(slots=True)
class _Audit:
    """What is to be said of one request, however it ends."""

    sweep: Sweep
    source: Choice
    began: float = field(default_factory=time.monotonic)
    asked_at: datetime = field(default_factory=wiring.utc_now)
    key: str = ""
    data_version: str = ""
    outcome: str = "failed"
    detail: str = ""

    def heard(self, found: Found) -> Found:
        """What became of it, noted."""
        self.outcome = "stopped" if found.stopped else "computed" if found.computed else "cached"
        counts = f"{self.sweep.size} variants, {found.computed} computed, {found.known} known"
        self.detail = f"{counts}; {found.stopped}"[:2000] if found.stopped else counts
        return found

    def event(self) -> Event:
        """The audit row."""
        at, request, backtest = wiring.utc_now(), uuid.uuid4().hex, self.sweep.backtest
        who = getpass.getuser()
        payload: dict[str, Scalar] = {
            "request": request,
            "key": self.key,
            "strategy": backtest.strategy.name,
            "who": who,
            "asked_at": self.asked_at.isoformat(timespec="microseconds"),
            "source": canonical(self.source.model_dump(mode="json")),
            "data_version": self.data_version,
            "code_version": wiring.code_version(),
            "engine": backtest.engine.name,
            "seconds": time.monotonic() - self.began,
            "cached": int(self.outcome == "cached"),
            "outcome": self.outcome,
            "detail": self.detail,
        }
        return Event(f"backtest:{request}", "backtest", at.date(), at, who, payload)


def _prepares(sweep: Sweep, limits: Limits) -> bool:
    """Whether this process makes what workers share. It needs that itself at the end, and for each batch of Optuna; but
    with a deadline and no engine loaded yet, a worker that gets ready while what is known is read is sooner done."""
    return limits.deadline_s is None or sweep.search == "optuna" or "trading.backtest.engine" in sys.modules


def _opened(sweep: Sweep, workshop: Workshop) -> tuple[Bench, str]:
    """The bench, and the key of the sweep: that of its backtest, and whether weights are rescaled."""
    backtest, source = sweep.backtest, workshop.opened()
    universe = require_instruments(backtest, source.instruments())
    wanted = (backtest.base_currency, backtest.strategy.weekend_rows, backtest.last)
    version = source.version(universe, *wanted)
    panel = workshop.panel(source, backtest, universe, version)
    own = backtest.key(version, wiring.code_version(), workshop.versions(backtest))
    key = hashlib.sha256(f"{own} {sweep.rescale_weights}".encode()).hexdigest() if sweep.rescale_weights else own
    return Bench(workshop, sweep, panel), key


class _Work:
    """One run of a sweep."""

    def __init__(
        self, bench: Bench, kept: Kept, cluster: Cluster, limits: Limits, progress: Progress, began: float
    ) -> None:
        self._bench, self._sweep, self._kept, self._cluster = bench, bench.sweep, kept, cluster
        self._limits, self._progress, self._began = limits, progress, began
        self._started: float | None = None
        self._waited = 0.0
        self._variants: tuple[Overrides, ...] = ()
        self._texts: list[str] = []
        self._computed = self._dropped = 0
        self.stopped: WorkStopped | None = None

    def enter(self, alone: ExitStack, where: Place) -> None:
        """Alone with the sweep; while it runs elsewhere, deadline and cancellation are looked at. Raises WorkStopped,
        and StoreBusy after an hour."""
        began = time.monotonic()
        while True:
            try:
                alone.enter_context(wiring.alone_with_sweep(where, self._kept.key, BETWEEN_LOOKS_S))
                return
            except StoreBusy:
                self._waited = time.monotonic() - began
                self._look()
                if self._waited > WAITS_S:
                    raise

    def _look(self) -> None:
        """At the limits, while nothing is computed."""
        if self._limits.cancelled():
            raise Cancelled("the work was cancelled while the same sweep ran elsewhere", 0, self._sweep.size, "")
        if self._limits.deadline_s is not None and self._waited >= self._limits.deadline_s:
            raise DeadlinePassed("the deadline passed", 0, self._sweep.size, "")

    def search(self) -> None:
        """Computes what is not known. Raises WorkStopped."""
        if _prepares(self._sweep, self._limits):
            prepared(self._bench)
        if self._sweep.search == "optuna":
            self._optuna()
            return
        self._compute(self._listed)

    def _listed(self) -> Sequence[Overrides]:
        found = variants(self._sweep)
        self._dropped = found.dropped
        return found.overrides

    def _compute(self, wanted: Callable[[], Sequence[Overrides]]) -> None:
        names: list[str] = []
        done = self._computed

        def say(now: int, total: int, what: str) -> None:
            before = done if self._sweep.search == "optuna" else self._sweep.size - len(names)
            self._progress(before + now, self._sweep.size, "variants")

        def rest() -> list[Overrides]:
            return self._rest(wanted(), names)

        task = Task(variant_row, self._bench, prepared)
        items = rest if self._bench.runner is None else rest()  # while workers get ready, if they are not
        for place, row in self._cluster.map(task, items, self._left(), say):
            self._computed += 1
            self._kept.add(names[place], row)

    def _rest(self, wanted: Sequence[Overrides], names: list[str]) -> list[Overrides]:
        """Those of the variants that are not known; their names go into `names`."""
        texts = [variant_text(overrides) for overrides in wanted]
        self._variants += tuple(wanted)
        self._texts += texts
        rest = {text: one for text, one in zip(texts, wanted, strict=True) if text not in self._kept.rows}
        names += rest
        return list(rest.values())

    def _left(self) -> Limits:
        """The limits, with what is left of the deadline."""
        now = time.monotonic()
        self._started = self._started or now
        if self._limits.deadline_s is None:
            return self._limits
        left = max(0.0, self._started + self._limits.deadline_s - self._waited - now)
        return replace(self._limits, deadline_s=left, starting_s=STARTING_S if self._bench.runner is None else 0.0)

    def keep(self) -> None:
        """Puts what is new into the store."""
        self._kept.keep()

    def stop(self, stopped: WorkStopped) -> None:
        """Why it ended early. What is known is looked up where the search never began."""
        if not self._texts and self._sweep.search != "optuna":
            self._rest(self._listed(), [])
        self.stopped = self._retold(stopped)

    def _retold(self, stopped: WorkStopped) -> WorkStopped:
        """The same, of the whole sweep."""
        reason = stopped.reason
        if isinstance(stopped, DeadlinePassed):
            reason = f"the deadline of {self._limits.deadline_s:g} s passed"
        done = sum(text in self._kept.rows for text in self._texts)
        return type(stopped)(reason, done, self._sweep.size - self._dropped, "Run it again to do the rest.")

    def _optuna(self) -> None:
        """Batches, each chosen after the ones before."""
        study, pairs = _study(self._sweep.seed), spans(self._sweep)
        while len(self._variants) < self._sweep.trials:
            batch = []
            for _ in range(min(BATCH, self._sweep.trials - len(self._variants))):
                trial, overrides = _asked(study, self._sweep, pairs)
                batch.append((trial, overrides))
            chosen = [overrides for _, overrides in batch]
            self._compute(lambda chosen=chosen: chosen)  # type: ignore[misc]
            for trial, overrides in batch:
                self._tell(study, trial, overrides)

    def _tell(self, study: Any, trial: Any, overrides: Overrides) -> None:
        _, statistics, _ = self._kept.rows[variant_text(overrides)]
        value = _numbers(statistics).get(self._sweep.objective, math.nan) if statistics else math.nan
        if math.isfinite(value):
            study.tell(trial, value)
        else:
            study.tell(trial, state=_failed())

    def found(self) -> Found:
        """What became of it."""
        rows = tuple(self._kept.rows.get(text) for text in self._texts)
        known = sum(row is not None for row in rows) - self._computed
        made = Found(
            self._sweep, self._kept.key, self._variants, rows, self._computed, max(known, 0), self._dropped,
            time.monotonic() - self._began, self.stopped,
        )  # fmt: skip
        _require_objective(self._sweep.objective, next((row[1] for row in rows if row and row[1]), None))
        odds = {} if self.stopped else odds_of(made, self._bench)
        return replace(made, odds=odds, seconds=time.monotonic() - self._began)


# --- Optuna -----------------------------------------------------------------------------------------------------------
def _study(seed: int) -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed, constant_liar=True))


def _asked(study: Any, sweep: Sweep, pairs: Any) -> tuple[Any, Overrides]:
    """The next trial whose fast spans are below its slow ones, and its overrides."""
    for _ in range(1000):
        trial = study.ask()
        overrides = placed(sweep.axes, [number for axis in sweep.axes for number in _suggested(trial, axis)])
        if not crossed(pairs, overrides):
            return trial, overrides
        study.tell(trial, state=_failed())
    raise UsageError("Optuna finds no variant whose fast spans are below its slow ones. Give larger slow spans.")


def _suggested(trial: Any, axis: Any) -> Iterator[float]:
    """Numbers of the unit cube, one of a few where the axis has values."""
    for number in range(axis.width):
        if axis.values:
            yield (trial.suggest_int(axis.name, 0, len(axis.values) - 1) + 0.5) / len(axis.values)
        else:
            yield min(trial.suggest_float(f"{axis.name} {number}", 0.0, 1.0), 1 - 1e-12)


def _failed() -> Any:
    import optuna

    return optuna.trial.TrialState.FAIL


# --- all variants together --------------------------------------------------------------------------------------------
def odds_of(found: Found, bench: Bench) -> dict[str, float]:
    """What choosing the best of so many is worth: its deflated Sharpe ratio (all variants count as independent, the
    strictest), and the probability of backtest overfitting. Empty with fewer than two variants."""
    from trading.analytics.overfitting import backtest_overfitting, deflated_sharpe_of, sharpe_ratios

    packed = [row[2] for row in found.rows if row is not None and row[2] is not None]
    best = found.best()
    if len(packed) < 2 or best is None:
        return {}
    moments = _unpacked(packed)
    bench.runner = bench.runner or Runner(bench)
    _, curve = bench.runner.evaluated(found.variants[best])
    overfitting = backtest_overfitting(moments)
    return {
        "deflated_sharpe": float(deflated_sharpe_of(np.ascontiguousarray(curve), sharpe_ratios(moments))),
        "probability_of_overfitting": float(overfitting.probability),
        "probability_of_loss": float(overfitting.loss),
        "slope": float(overfitting.slope),
        "trials": float(len(packed)),
    }


def _unpacked(packed: Sequence[str]) -> Floats:
    """Block moments of all variants, shape (n_variants, 3, n_blocks)."""
    first = np.frombuffer(base64.b64decode(packed[0])).reshape(3, -1)
    found = np.empty((len(packed), *first.shape))
    for place, one in enumerate(packed):
        found[place] = np.frombuffer(base64.b64decode(one)).reshape(3, -1)
    return found


def told(say: Callable[[str], None], every_s: float = 2.0) -> Progress:
    """Progress as a line every few seconds."""
    last = [time.monotonic()]

    def progress(done: int, total: int, what: str) -> None:
        if time.monotonic() - last[0] > every_s or done == total:
            last[0] = time.monotonic()
            say(f"{done:,} of {total:,} {what}")

    return progress


@dataclass(frozen=True, slots=True)
class Searches:
    """Sweeps of one home on one source, as assets ask for them (`trading.backtest.factory.Sweeps`)."""

    where: Place
    source: Choice

    def strategy(self, name: str) -> StrategySettings:
        """As the Protocol."""
        return strategy_file(name, self.where)

    def run(
        self,
        sweep: Sweep,
        say: Callable[[str], None],
        *,
        workers: int | None = None,
        dask: str | None = None,
        deadline_s: float | None = None,
        memory_mb: float | None = None,
    ) -> Found:
        """As the Protocol."""
        cluster = chosen_cluster(workers, dask)
        return run(self.where, sweep, self.source, cluster, Limits(deadline_s, memory_mb), told(say))


def chosen_cluster(workers: int | None, dask: str | None) -> Cluster:
    """Dask where its scheduler is named, else processes of this machine. Raises UsageError where both are asked."""
    if dask is not None and workers is not None:
        raise UsageError("--workers is for processes of this machine, and Dask has its own. Leave one of them out.")
    return wiring.dask(dask) if dask is not None else wiring.processes(workers)
