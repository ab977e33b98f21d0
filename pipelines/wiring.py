"""The adapters of a desk without Dagster, for commands that must answer at once; and the clock.

Belongs here: making adapters from a place, each import inside its function. Does not belong here: typed Dagster
resources (`deployments.py`), or using an adapter.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, date, datetime
from hashlib import sha256
from threading import Event
from time import time
from typing import TYPE_CHECKING, TypeVar

from pipelines.settings import Place, project_folder, read_section, revealed
from trading.config.data import DataSettings, LedgerSettings
from trading.config.operations import NotifierSettings
from trading.config.risk import RiskSettings
from trading.config.settings import Secret
from trading.errors import ConfigError, StoreUnavailable
from trading.ports import (
    BlobStore,
    Cache,
    Cluster,
    DecisionLog,
    FrameStore,
    Ledger,
    Notifier,
    ReferenceStore,
    ReservationLog,
    Signer,
)

if TYPE_CHECKING:
    from pathlib import Path

    from resources.compiled_files import CompiledFiles, Follower
    from resources.config_metrics import ConfigurationMetrics
    from resources.result_store import ResultStore
    from resources.risk_inputs_cache import RiskInputsCache
    from resources.risk_metrics import RiskMetrics
    from trading.config.risk import RiskInputSettings
    from trading.config.symbol_table import SymbolTable
    from trading.risk.announced import DeskOrders
    from trading.risk.backend_breaker import State

Made = TypeVar("Made")
LEDGER_FILE = "ledger.sqlite"  # of the home
SOURCES = "pipelines.panel_sources"  # the module of the data sources that Daybook brings


def utc_now() -> datetime:
    """The clock: the only place of the project that reads it."""
    return datetime.now(UTC)  # noqa: TID251


def frame_store(where: Place) -> FrameStore:
    """Where datasets are kept."""
    return _of(where, FRAMES)(where)


def ledger(where: Place) -> Ledger:
    """Where the journal is kept, by the desk's settings. Raises ConfigError where a server's address is not set, and on
    a deployment that there is not."""
    _of(where, FRAMES)
    chosen = read_section(where, DataSettings).storage.ledger
    return LEDGERS[chosen.store](where, chosen)


def server_ledger(where: Place) -> Ledger | None:
    """The ledger of a desk whose settings keep it on a server; None where it is a file of the home."""
    return None if read_section(where, DataSettings).storage.ledger.store == "sqlite" else ledger(where)


def no_ledger() -> Ledger:
    """An empty ledger, of a desk that has none yet: asking makes none."""
    from resources.memory import MemoryLedger

    return MemoryLedger()


def reference(where: Place) -> ReferenceStore:
    """Where reference data is read."""
    return _of(where, REFERENCES)(where)


def notifier(chosen: NotifierSettings, where: Place) -> Notifier:
    """Where notices go. Raises ConfigError where the address refers to what is not set."""
    from resources.notifiers.log import LogNotifier
    from resources.notifiers.webhook import WebhookNotifier

    url = chosen.webhook_url if chosen.webhook is None else revealed(chosen.webhook, where)
    return WebhookNotifier(url, chosen.timeout_seconds) if url else LogNotifier()


def _of(where: Place, makers: Mapping[str, Made]) -> Made:
    """What serves a port in the deployment of a place. Raises ConfigError where nothing does."""
    if where.deployment not in makers:
        known = ", ".join(makers)
        raise ConfigError(f"deployment {where.deployment!r} has no such backend. Choose one of: {known}.")
    return makers[where.deployment]


def _delta(where: Place) -> FrameStore:
    """Delta Lake under the home."""
    from resources.delta_frames import DeltaFrames

    return DeltaFrames(where.home / "frames")


def _sqlite(where: Place, chosen: LedgerSettings) -> Ledger:
    """SQLite in the home."""
    from resources.sqlite_ledger import SqliteLedger

    return SqliteLedger(where.home / LEDGER_FILE)


def _mongodb(where: Place, chosen: LedgerSettings) -> Ledger:
    """MongoDB, a replica set."""
    from resources.mongo_ledger import MongoLedger

    uri, found_in = server_address(where, "mongodb", chosen.address), address_name("mongodb", chosen.address)
    return MongoLedger(uri, chosen.timeout_seconds, max_connections=chosen.max_connections, address=found_in)


def _postgresql(where: Place, chosen: LedgerSettings) -> Ledger:
    """PostgreSQL."""
    from resources.postgres_ledger import PostgresLedger

    uri, found_in = server_address(where, "postgresql", chosen.address), address_name("postgresql", chosen.address)
    return PostgresLedger(uri, chosen.timeout_seconds, chosen.max_connections, found_in)


def server_address(where: Place, store: str, address: Secret | None = None) -> str:
    """The address of a ledger's server: where the settings say it is found, else the variable of its kind. Raises
    ConfigError saying which variable to set, and how."""
    if address is not None:
        return revealed(address, where)
    given, variable, example, start = {
        "mongodb": (where.mongodb_uri, "MONGODB_URI", "mongodb://host:27017/daybook?replicaSet=rs0", _START_MONGODB),
        "postgresql": (where.postgres_uri, "POSTGRES_URI", "postgresql://user@host:5432/daybook", _START_POSTGRES),
    }[store]
    if given:
        return given
    raise ConfigError(
        f"deployment {where.deployment} keeps its ledger in {store}, and {variable} is not set. Set it, like "
        f"{example}. {start}"
    )


def address_name(store: str, address: Secret | None) -> str:
    """Words for where the address of a ledger's server is found, for who must correct it: no part of it."""
    if address is None:
        return {"mongodb": "MONGODB_URI", "postgresql": "POSTGRES_URI"}[store]
    if address.env is not None:
        return f"the environment variable {address.env} (data.storage.ledger.address)"
    return f"the file {address.file} (data.storage.ledger.address)"


_START_MONGODB = "Without a server of your own: `make services` starts one here and prints its address."
_START_POSTGRES = "Without a server of your own: install the package postgresql, and `createdb daybook`."


def _csv(where: Place) -> ReferenceStore:
    """The project's reference data, with the home's own over it."""
    from resources.csv_reference import CsvReference

    folders = [project_folder("reference"), where.home / "reference"]
    return CsvReference([folder for folder in folders if folder.is_dir()], where.home / "cache" / "calendars")


# What serves each port, by deployment: the one place that says so.
FRAMES: Mapping[str, Callable[[Place], FrameStore]] = {"local": _delta, "services": _delta}
LEDGERS: Mapping[str, Callable[[Place, LedgerSettings], Ledger]] = {  # by the setting ledger.store
    "sqlite": _sqlite,
    "mongodb": _mongodb,
    "postgresql": _postgresql,
}
REFERENCES: Mapping[str, Callable[[Place], ReferenceStore]] = {"local": _csv, "services": _csv}


def result_store(where: Place) -> ResultStore:
    """Results of backtests in the home."""
    from resources.result_store import ResultStore

    return ResultStore(where.home / "results", frame_store(where))


def alone_with_sweep(where: Place, key: str, wait_s: float) -> AbstractContextManager[None]:
    """Alone with a sweep of this home, between threads and processes; backtests have locks of their own. Raises
    StoreBusy after `wait_s` seconds."""
    from resources.file_lock import held

    return held(where.home / "results" / ".locks" / "sweeps" / key[:16], f"the sweep {key[:12]}", wait_s)


def processes(workers: int | None = None) -> Cluster:
    """Worker processes on this machine."""
    from resources.clusters.processes import LocalProcesses

    return LocalProcesses(workers)


def dask(address: str) -> Cluster:
    """The workers of a Dask scheduler that somebody else started."""
    from resources.clusters.dask import DaskCluster

    return DaskCluster(address)


def code_version() -> str:
    """Hash of the sources that compute, and of the versions of the libraries they compute with."""
    from resources.source_hash import code_version as own_version

    return own_version()


def closing_version() -> str:
    """Hash of the sources that close a session, and of the versions of their libraries."""
    from resources import source_hash

    return source_hash.closing_version()


def signer(where: Place) -> Signer:
    """The desk's signing key, in its home or where DAYBOOK_SIGNING_KEY says; public keys in the home."""
    from resources.ed25519_signer import Ed25519Signer

    return Ed25519Signer(where.home / "keys", where.signing_key)


def signed_blobs(where: Place) -> BlobStore:
    """What was signed: documents, configurations and reference files."""
    from resources.disk_blobs import DiskBlobs

    return DiskBlobs(where.home / "signed")


def decision_log(where: Place, asked_of: date | None = None) -> DecisionLog:
    """Decisions on orders, in the home. `asked_of`: the session of questions from the shell, which go on with one file
    a host, since each is a process of its own."""
    from resources.decision_log import DecisionFiles

    folder = where.home / "risk" / "decisions"
    if asked_of is None:
        return DecisionFiles(folder)
    return DecisionFiles(folder, f"{socket.gethostname()}_asked_{asked_of}", joined=True)


def reservation_log(where: Place, truth: str) -> ReservationLog:
    """What workers of the risk service tell each other, in memory, a file of the home, or Redis: there under a name
    made of the home's path, so that hosts share it who have the desk in the same folder. Raises ConfigError where
    REDIS_URL is not set, and where that server would forget reservations when its memory is full."""
    from resources.reservation_file import FileReservations
    from resources.reservation_redis import RedisReservations
    from resources.risk_memory import MemoryReservations

    if truth == "memory":
        return MemoryReservations()
    if truth == "file":
        return FileReservations(where.home / "risk" / "reservations.log")
    if not where.redis_url:
        raise ConfigError(
            "risk.service.truth is 'redis', and REDIS_URL is not set. Set it, like redis://host:6379/0, or choose "
            "'file' where all workers are on one machine."
        )
    kept = RedisReservations(where.redis_url, f"daybook:{sha256(str(where.home).encode()).hexdigest()[:12]}")
    kept.refuse_evicting()
    return kept


@contextmanager
def desk_orders(where: Place) -> Iterator[DeskOrders | None]:
    """Where the desk announces its orders to the workers of the risk service, for as long as a run needs it; None where
    it has no service, or one whose book nobody shares. A log that cannot be had is told when something is announced: a
    close goes on without it."""
    from trading.risk.announced import DeskOrders

    risk, opened = read_section(where, RiskSettings), list[ReservationLog]()
    if risk.service.truth == "memory" or not risk.service.tokens:
        yield None
        return

    def log() -> ReservationLog:
        if not opened:
            try:
                opened.append(reservation_log(where, risk.service.truth))
            except ConfigError as cause:
                raise StoreUnavailable(str(cause)) from cause
        return opened[0]

    try:
        yield DeskOrders(log, risk, time, Event().wait)
    finally:
        for each in opened:
            each.close()


def compiled_files(where: Place) -> CompiledFiles:
    """Compiled configurations of a home, and the pointer to the one in force."""
    from pipelines import in_force

    return in_force.compiled_files(where)


def configuration_follower(where: Place) -> Follower:
    """Notices that another configuration came into force. Raises ConfigError where none ever did."""
    from resources.compiled_files import Follower

    return Follower(compiled_files(where).folder)


def risk_inputs_cache(inputs: RiskInputSettings, name: str) -> RiskInputsCache:
    """Facts of risk, read once for all who ask in this process, whose name spreads ages."""
    from resources.risk_inputs_cache import RiskInputsCache

    return RiskInputsCache(inputs, name)


def kept_frames(frames: FrameStore, shared: Cache | None, where: Place) -> FrameStore:
    """Datasets read through the cache that processes share; as they are where there is none."""
    from resources.kept_frames import KeptFrames

    return frames if shared is None else KeptFrames(frames, shared, str(where.home))


def shared_state(shared: Cache | None) -> State | None:
    """Where the breaker around a shared cache stands; None where there is none."""
    from resources.redis_cache import RedisCache

    return shared.state() if isinstance(shared, RedisCache) else None


def risk_metrics(name: str, folder: Path) -> RiskMetrics:
    """Figures of a worker of the risk service, and those of the others, which are left in `folder`."""
    from resources.risk_metrics import RiskMetrics

    return RiskMetrics(name, time, folder)


def configuration_metrics() -> ConfigurationMetrics:
    """Figures of a configuration, for Prometheus."""
    from resources.config_metrics import ConfigurationMetrics

    return ConfigurationMetrics(utc_now)


def symbol_table(content: bytes, name: str) -> SymbolTable:
    """A table of symbols out of the bytes of its file. Raises ConfigError with every fault."""
    from resources.symbol_csv import parsed_table

    return parsed_table(content, name)


def plugin_version(module: str) -> str:
    """Hash of a user's own module, with its whole top package; empty for Daybook's own."""
    from resources import source_hash

    return source_hash.plugin_version(module)
