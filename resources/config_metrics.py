"""What is measured of the configuration, as Prometheus reads it: its age, its size, what loading it cost, what was
refused.

Belongs here: the figures, their text, and answering a scraper over HTTP. Does not belong here: watching files
(`config_watcher.py`), deciding what drifted (`trading/config/drift.py`), or figures of runs (`pipelines/telemetry.py`).

Nothing here is global: every instance has a registry of its own, so two desks in one process do not mix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    generate_latest,
    start_http_server,
    write_to_textfile,
)

from trading.config.measured import Measured
from trading.errors import StoreUnavailable, UsageError

PREFIX = "daybook_configuration"
BREAKER = ("closed", "open", "half_open")
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # bounds of histograms
LOCAL = "127.0.0.1"  # figures are shown to this machine only, unless somebody says otherwise


class ConfigurationMetrics:
    """Figures of one desk's configuration. `clock` tells UTC; ages are taken when figures are read."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.registry = CollectorRegistry()
        self._clock = clock
        self._since: datetime | None = None
        self._load = self._histogram("load_seconds", "Reading and merging the files, seconds.")
        self._validation = self._histogram("validation_seconds", "Validating and compiling what was read, seconds.")
        self._reloads = self._counter("reloads", "Configurations that came into force since this process began.")
        self._refusals = self._counter("refusals", "Configurations that were refused since this process began.")
        self._number = self._gauge("version", "Number of the configuration in force; 0 where none is.")
        self._bytes = self._gauge("snapshot_bytes", "Size of the compiled snapshot in force, bytes.")
        self._symbols = self._gauge("symbols", "Symbols of the snapshot in force.")
        self._drift = self._gauge("drift", "1 where files, what is in force and what was signed differ, else 0.")
        self._began = self._gauge(
            "in_force_timestamp_seconds", "When this configuration came into force, seconds since 1970 (UTC)."
        )
        self._watched = self._gauge("watched", "1 while a process watches the files and writes this, else 0.")
        self._gauge("age_seconds", "Seconds since this configuration came into force.").set_function(self.age_seconds)
        self._breaker = Enum(
            f"{PREFIX}_breaker", "The circuit breaker of changes.", states=list(BREAKER), registry=self.registry
        )
        self._named = Info(PREFIX, "Hash and environment of the configuration in force.", registry=self.registry)
        ProcessCollector(registry=self.registry)  # process_resident_memory_bytes and others of this process

    # --- what happens -------------------------------------------------------------------------------------------------
    def loaded(self, seconds: float) -> None:
        """Files were read and laid over one another."""
        self._load.observe(seconds)

    def validated(self, seconds: float) -> None:
        """What was read was judged, and compiled."""
        self._validation.observe(seconds)

    def first(self, found: Measured) -> None:
        """What is in force when this process begins: no reload."""
        self._number.set(found.number)
        self._bytes.set(found.snapshot_bytes)
        self._symbols.set(found.symbols)
        self._named.info({"hash": found.configuration, "environment": found.environment})
        self._since = found.since
        self._began.set(found.since.timestamp())

    def reloaded(self, found: Measured) -> None:
        """Another configuration came into force."""
        self.first(found)
        self._reloads.inc()

    def refused(self) -> None:
        """A configuration was refused; the old one stays."""
        self._refusals.inc()

    def counted(self, reloads: int, refusals: int) -> None:
        """So many more of both, as another process counted them."""
        self._reloads.inc(reloads)
        self._refusals.inc(refusals)

    def drifted(self, differs: bool) -> None:
        """Whether anything drifted when it was last looked at."""
        self._drift.set(1.0 if differs else 0.0)

    def breaker(self, state: str) -> None:
        """The breaker's state: one of BREAKER. Raises ValueError on another."""
        self._breaker.state(state)

    def watched(self, watches: bool) -> None:
        """Whether a process watches. Where none does any more, no breaker holds anything back."""
        self._watched.set(1.0 if watches else 0.0)
        if not watches:
            self._breaker.state("closed")

    # --- who reads it -------------------------------------------------------------------------------------------------
    def age_seconds(self) -> float:
        """Seconds since what is in force came into force; NaN where nothing is."""
        return float("nan") if self._since is None else (self._clock() - self._since).total_seconds()

    def text(self) -> str:
        """All figures in Prometheus' text format."""
        return generate_latest(self.registry).decode()

    def write(self, file: Path) -> None:
        """The same into a file, replaced as a whole, for a collector of text files. Raises StoreUnavailable."""
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_to_textfile(str(file), self.registry)
        except OSError as cause:
            raise StoreUnavailable(
                f"{file} cannot be written: {cause.strerror or cause}. Free its disk, or make it writable."
            ) from cause

    @contextmanager
    def served(self, port: int, address: str = LOCAL) -> Iterator[int]:
        """Answers scrapers at a port while the block runs, in a thread; gives the port (0: any that is free). Raises
        UsageError where it is taken."""
        try:
            server, thread = start_http_server(port, address, self.registry)
        except OSError as cause:
            raise UsageError(
                f"metrics cannot be served at {address}:{port}: {cause.strerror or cause}. Choose another port, or end "
                "the process that has it."
            ) from cause
        try:
            yield int(server.server_port)
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def _histogram(self, name: str, meaning: str) -> Histogram:
        return Histogram(f"{PREFIX}_{name}", meaning, buckets=SECONDS, registry=self.registry)

    def _counter(self, name: str, meaning: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", meaning, registry=self.registry)

    def _gauge(self, name: str, meaning: str) -> Gauge:
        return Gauge(f"{PREFIX}_{name}", meaning, registry=self.registry)
