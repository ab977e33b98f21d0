"""What is measured of the risk service, as Prometheus reads it.

Belongs here: the figures, and those of other workers beside them. Does not belong here: HTTP, or deciding.

Nothing here is global: every instance has a registry of its own. Workers are processes, and whoever is scraped answers
for all of them: each leaves its figures in a file of a folder, every so often, under its name.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from trading.risk.decision import Decision, Versions

PREFIX = "daybook_risk"
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)  # bounds of latency
MICROSECONDS = (5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 10_000.0)
BREAKER = ("closed", "half_open", "open")
_SUFFIX = ".prom"


class RiskMetrics:
    """Figures of one worker. `clock`: seconds since 1970; ages are taken when figures are read."""

    def __init__(self, worker: str, clock: Callable[[], float], folder: Path | None = None) -> None:
        self.registry, self._own = CollectorRegistry(), CollectorRegistry()
        self._worker, self._clock, self._folder = worker, clock, folder
        self._latency = Histogram(
            f"{PREFIX}_request_seconds", "From a request's arrival at the service to its answer, seconds.",
            ["route", "status"], buckets=SECONDS, registry=self._own,
        )  # fmt: skip
        self._engine = Histogram(
            f"{PREFIX}_decision_microseconds", "The engine's part of a decision.", buckets=MICROSECONDS,
            registry=self._own,
        )  # fmt: skip
        self._decisions = self._counter("decisions", "Decisions by outcome.", "outcome")
        self._refusals = self._counter("refusals", "Refusals by the rule or code that is their reason.", "reason")
        self._problems = self._counter("problems", "Requests not answered as asked, by code.", "code")
        self._hits = self._counter("input_reads", "Reads of facts, by whether the cache had them.", "found")
        self._expired = Counter(f"{PREFIX}_expired", "Reservations whose time was over.", registry=self._own)
        self._queue = self._gauge("queue_depth", "Requests that wait for their turn.", "queue")
        self._working = self._gauge("reservations", "Orders at work.")
        self._drift = self._gauge("drift", "Largest relative difference of a sum kept from it made anew.")
        self._breaker = self._gauge("breaker", "A backend's breaker: 0 closed, 1 half open, 2 open.", "backend")
        self._ready = self._gauge("ready", "1 where orders can be judged, else 0.")
        self._since: dict[str, tuple[str, float]] = {}
        self._age = self._gauge("version_age_seconds", "Since the version in use came.", "of")
        ProcessCollector(registry=self._own)
        self.registry.register(_Together(self))

    # --- what happens -------------------------------------------------------------------------------------------------
    def answered(self, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._latency.labels(route, str(status)).observe(seconds)

    def refused_request(self, code: str) -> None:
        """A request was not answered as asked."""
        self._problems.labels(code).inc()

    def decided(self, decisions: Sequence[Decision]) -> None:
        """These were decided and kept."""
        for decision in decisions:
            self._decisions.labels(decision.outcome).inc()
            self._engine.observe(decision.microseconds)
            if decision.outcome == "refuse":
                for reason in decision.reasons:
                    self._refusals.labels(reason.code).inc()

    def waiting(self, queue: str, count: int) -> None:
        """So many requests wait in a queue."""
        self._queue.labels(queue).set(count)

    def expired(self, count: int) -> None:
        """Reservations whose time was over."""
        self._expired.inc(count)

    def reservations(self, count: int) -> None:
        """Orders at work."""
        self._working.set(count)

    def drifted(self, largest: float) -> None:
        """How far sums kept were off."""
        self._drift.set(largest)

    def breaker(self, backend: str, state: str) -> None:
        """A backend's breaker, one of BREAKER. Raises ValueError on another state."""
        self._breaker.labels(backend).set(BREAKER.index(state))

    def reads(self, hits: int, misses: int) -> None:
        """So many more reads of facts that the cache had, and had not."""
        self._hits.labels("hit").inc(hits)
        self._hits.labels("miss").inc(misses)

    def ready(self, is_ready: bool) -> None:
        """Whether orders can be judged."""
        self._ready.set(1.0 if is_ready else 0.0)

    def versions(self, found: Versions) -> None:
        """What decisions are made from: an age begins where one is new."""
        for name, value in (("market", found.market), ("configuration", found.configuration)):
            if self._since.get(name, ("", 0.0))[0] != value or name not in self._since:
                self._since[name] = (value, self._clock())

    # --- who reads it -------------------------------------------------------------------------------------------------
    def text(self) -> str:
        """Figures of all workers in Prometheus' text format."""
        return generate_latest(self.registry).decode()

    def leave(self) -> None:
        """Writes this worker's figures for the others; a disk that is full is somebody else's finding."""
        if self._folder is None:
            return
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            draft = self._folder / f".{self._worker}.new"
            draft.write_bytes(self._text_of_own())
            os.replace(draft, self._folder / f"{self._worker}{_SUFFIX}")

    def own(self) -> Iterator[Metric]:
        """Figures of this worker."""
        for name, (_, since) in self._since.items():
            self._age.labels(name).set(self._clock() - since)
        yield from self._own.collect()

    def others(self) -> Iterator[tuple[str, Metric]]:
        """Figures the other workers left, by their names."""
        for file in sorted(self._folder.glob(f"*{_SUFFIX}")) if self._folder is not None else []:
            if file.stem != self._worker:
                with suppress(OSError, ValueError):
                    for metric in text_string_to_metric_families(file.read_text("utf-8")):
                        yield file.stem, metric

    @property
    def worker(self) -> str:
        """Whose figures these are."""
        return self._worker

    def _text_of_own(self) -> bytes:
        list(self.own())
        return generate_latest(self._own)

    def _counter(self, name: str, meaning: str, label: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", meaning, [label], registry=self._own)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(f"{PREFIX}_{name}", meaning, labels, registry=self._own)


class _Together(Collector):
    """Figures of all workers, each with its worker's name."""

    def __init__(self, of: RiskMetrics) -> None:
        self._of = of

    def collect(self) -> Iterator[Metric]:
        """One family a name, with the samples of all."""
        families: dict[str, Metric] = {}
        for metric in self._of.own():
            _add(families, metric, self._of.worker)
        for worker, metric in self._of.others():
            _add(families, metric, worker)
        yield from families.values()

    def describe(self) -> Iterator[Metric]:
        """Nothing that registering would have to ask for."""
        return iter(())


def _add(families: dict[str, Metric], metric: Metric, worker: str) -> None:
    family = families.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
    for sample in metric.samples:
        labels: Mapping[str, str] = {**sample.labels, "worker": worker}
        family.samples.append(sample._replace(labels=dict(labels)))
