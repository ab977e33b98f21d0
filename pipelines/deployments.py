"""Vends the adapters of a deployment: as typed Dagster resources, and the same ones for plain Python.

Belongs here: what Dagster gives to assets and checks, and the backends of cache, vendor, broker, notices and backups.
Does not belong here: which backend keeps datasets, journal and reference data (`wiring.py`, which loads no Dagster),
reading the environment (`settings.py`) or using a port.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._check import CheckError

from pipelines.brokers import broker_of
from pipelines.in_force import CONFIGURATION_TAG, settings_of, values_of
from pipelines.settings import (
    Place,
    classified,
    located,
    place,
    project_folder,
    read_section,
    read_settings,
    revealed,
)
from pipelines.wiring import (
    LEDGER_FILE,
    address_name,
    closing_version,
    decision_log,
    desk_orders,
    frame_store,
    ledger,
    notifier,
    reference,
    result_store,
    server_address,
    server_ledger,
    signed_blobs,
    signer,
    utc_now,
)
from resources.vended import (
    DiskBlobsResource,
    MongoLedgerResource,
    PostgresLedgerResource,
    ProcessCacheResource,
    RedisCacheResource,
    SqliteLedgerResource,
    Vended,
)
from trading.backtest.factory import Backtests, Sweeps
from trading.backtest.specification import Choice, DataSource
from trading.book.signature import CURE, Document
from trading.config.data import DataSettings, Streaming
from trading.config.models import DeskSettings
from trading.config.operations import OperationSettings
from trading.config.settings import Secret
from trading.errors import ConfigError, SignatureError, StaleVersion, StoreError, StoreUnavailable
from trading.frames import BACKTEST_RESULTS
from trading.ports import (
    Backups,
    BlobStore,
    Broker,
    Cache,
    Configurations,
    DecisionLog,
    FrameStore,
    Ledger,
    Notifier,
    PriceVendor,
    ReferenceStore,
    Signer,
    Sql,
)
from trading.risk.announced import DeskOrders


@dataclass(frozen=True, slots=True)
class Adapters:
    """Every port of one desk, served."""

    settings: DeskSettings
    frames: FrameStore
    ledger: Ledger
    reference: ReferenceStore
    cache: Cache
    blobs: BlobStore
    vendor: PriceVendor
    broker: Broker
    notifier: Notifier
    sql: Sql
    backups: Backups
    signed: BlobStore
    signer: Signer


READING = frozenset(
    {"backtest", "sweep", "backup", "quality"}
)  # jobs that need not be alone: they change nothing others read


class HomeResource(Vended):
    """Something that depends on the desk's own settings, which are read when a run begins, not when code is loaded."""

    home: str
    deployment: str

    def where(self) -> Place:
        """The desk's place, with the configuration that the run carries, if it carries one."""
        try:
            run = self.get_resource_context().run
        except CheckError:  # made outside of Dagster
            run = None
        pinned = None if run is None else run.tags.get(CONFIGURATION_TAG)
        return replace(place(self.home, self.deployment), configuration=pinned)

    def settings(self) -> DeskSettings:
        """The settings in force now."""
        return read_settings(self.where())


class DeskResource(HomeResource):
    """The desk's settings; while a run has them, no other run writes to the same home. Every job that writes uses them,
    and one process executes a run, so that they are made once for all its steps. In development, where files are in
    force at once, such a run records them as a version first. `alone`: who started the run holds the lock already."""

    alone: bool = False

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[DeskSettings]:
        """The settings, after other runs have ended. Raises StoreBusy naming the process that would not end."""
        if context.run is None or context.run.job_name in READING:  # sensors and schedules have no run
            yield self.adapter()
            return
        where, say = self.where(), context.log.info if context.log else None
        with nullcontext() if self.alone else sole_run(where, say):
            record_files(where, say)
            yield self.adapter()

    def adapter(self) -> DeskSettings:
        """Settings in force."""
        return self.settings()


class FramesResource(HomeResource):
    """Where the deployment keeps datasets."""

    def adapter(self) -> FrameStore:
        """The frame store."""
        return frame_store(self.where())


class LedgerResource(HomeResource):
    """A ledger that cannot be told yet: the settings are wrong, or an address is missing. A run that asks for it reads
    them again, and says so."""

    def adapter(self) -> Ledger:
        """The ledger."""
        return ledger(self.where())


class ReferenceResource(HomeResource):
    """Where the deployment reads reference data."""

    def adapter(self) -> ReferenceStore:
        """The reference store."""
        return reference(self.where())


class CacheResource(HomeResource):
    """The cache, where its address is in a file, or the settings cannot be read yet."""

    def adapter(self) -> Cache:
        """The cache."""
        found: Cache = cache_resource(self.where()).adapter()
        return found


class VendorResource(HomeResource):
    """The vendor that the desk's settings name."""

    def adapter(self) -> PriceVendor:
        """The simulated market, a pysystemtrade folder, or a folder of contract files."""
        where = self.where()
        return vendor_of(where, self.settings(), reference(where))


class BrokerResource(HomeResource):
    """The broker that the desk's settings name."""

    def adapter(self) -> Broker:
        """The paper broker, one of statement files, or Interactive Brokers."""
        where = self.where()
        return broker_of(where, self.settings(), frame_store(where), reference(where))


class NotifierResource(HomeResource):
    """A webhook where one is configured, else the log."""

    def adapter(self) -> Notifier:
        """The notifier."""
        return notifier_of(self.settings(), self.where())


class SqlResource(HomeResource):
    """Read-only DuckDB SQL over every dataset and ledger projection."""

    def adapter(self) -> Sql:
        """The reader."""
        where = self.where()
        return sql_reader(frame_store(where), ledger(where), where)


class PanelsResource(HomeResource):
    """Arrays of the desk's own prices, as strategies see them."""

    def adapter(self) -> DataSource:
        """Panels of the frame store."""
        where = self.where()
        return panels(frame_store(where), reference(where))


class BacktestsResource(HomeResource):
    """Backtests of this home's strategies, on the desk's own prices."""

    def adapter(self) -> Backtests:
        """Who runs them."""
        from pipelines.backtest_library import BacktestLibrary

        where = self.where()
        own = {"home": str(where.home), "deployment": where.deployment}
        return BacktestLibrary(where, Choice(name="store", parameters=own))


class SweepsResource(HomeResource):
    """Sweeps of this home's strategies, on the desk's own prices."""

    def adapter(self) -> Sweeps:
        """Who runs them."""
        from pipelines.sweeping import Searches

        where = self.where()
        own = {"home": str(where.home), "deployment": where.deployment}
        return Searches(where, Choice(name="store", parameters=own))


class SnapshotsResource(HomeResource):
    """Backups of this home."""

    def adapter(self) -> Backups:
        """Takes, lists and restores snapshots."""
        where = self.where()
        return snapshots(where)


class SignedBlobsResource(HomeResource):
    """What was signed in this home: documents, configurations, reference files."""

    def adapter(self) -> BlobStore:
        """The blob store."""
        return signed_blobs(self.where())


class SignerResource(HomeResource):
    """The desk's signing key."""

    def adapter(self) -> Signer:
        """The signer; a key is made when it first signs."""
        return signer(self.where())


class DecisionsResource(HomeResource):
    """Decisions on orders in this home."""

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[DecisionLog]:
        """The log, for as long as a run needs it."""
        log = self.adapter()
        try:
            yield log
        finally:
            log.close()

    def adapter(self) -> DecisionLog:
        """The log."""
        return decision_log(self.where())


class DeskOrdersResource(HomeResource):
    """Where the desk's orders are announced to the workers of its risk service, where it has one that shares a book."""

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[DeskOrders | None]:
        """As `adapter`, for as long as a run needs it."""
        with self.adapter() as found:
            yield found

    def adapter(self) -> AbstractContextManager[DeskOrders | None]:
        """The log of reservations as the desk uses it, opened; None where nobody shares the book."""
        return desk_orders(self.where())


class ConfigurationResource(HomeResource):
    """What configures the desk: its files, and what is in force of them."""

    def adapter(self) -> Configurations:
        """Reads both when it is asked."""
        from pipelines.configuration_status import configurations

        return configurations(self.where())


def cache_resource(where: Place) -> Vended:
    """In this process; with Redis behind it in `services`. Raises ConfigError without REDIS_URL there."""
    data = read_section(where, DataSettings)
    kept = {"max_entries": data.storage.cache.max_entries, "max_bytes": data.storage.cache.max_bytes}
    if where.deployment == "local":
        return ProcessCacheResource(**kept)
    address = data.storage.cache.address
    url = where.redis_url if address is None else revealed(address, where)
    if not url:
        raise ConfigError(
            "deployment services needs Redis, and REDIS_URL is not set. Set it, like redis://host:6379/0."
        )
    return RedisCacheResource(url=url, writes=data.storage.cache.writes, **kept, **_streamed(data.streaming))


def _streamed(streaming: Streaming) -> dict[str, Any]:
    return {
        "backlog": streaming.buffer_messages,
        "max_connections": streaming.max_connections,
        "timeout_seconds": streaming.timeout_seconds,
        "pause_seconds": streaming.reconnect_first_seconds,
        "longest_pause_seconds": streaming.reconnect_longest_seconds,
    }


def shown_cache(where: Place) -> Vended:
    """The same for Dagster, whose UI shows settings: the address may hold a password and stays in the environment."""
    read_again = CacheResource(home=str(where.home), deployment=where.deployment)
    try:
        variable = _variable(read_section(where, DataSettings).storage.cache.address, "REDIS_URL")
    except ConfigError:  # whatever runs says why
        return read_again
    found = cache_resource(where)
    if not isinstance(found, RedisCacheResource):
        return found
    return read_again if variable is None else found.model_copy(update={"url": dg.EnvVar(variable)})


def _variable(address: Secret | None, usual: str) -> str | None:
    """The environment variable that holds an address; None where a file does."""
    return usual if address is None else address.env


def shared_cache(where: Place) -> Cache | None:
    """The cache that the processes of a deployment share, asked directly; None where each has its own. Raises as
    `cache_resource`."""
    found = cache_resource(where)
    return found.shared() if isinstance(found, RedisCacheResource) else None


def shown_ledger(where: Place) -> Vended:
    """The ledger that the settings choose, for Dagster, whose UI shows settings: addresses hold passwords and stay in
    the environment."""
    own = {"home": str(where.home), "deployment": where.deployment}
    try:
        chosen = read_section(where, DataSettings).storage.ledger
        if chosen.store == "sqlite":
            return SqliteLedgerResource(path=str(where.home / LEDGER_FILE))
        server_address(where, chosen.store, chosen.address)
    except ConfigError:
        return LedgerResource(**own)
    variable = _variable(chosen.address, "MONGODB_URI" if chosen.store == "mongodb" else "POSTGRES_URI")
    if variable is None:
        return LedgerResource(**own)
    made = MongoLedgerResource if chosen.store == "mongodb" else PostgresLedgerResource
    seconds, most = chosen.timeout_seconds, chosen.max_connections
    named = address_name(chosen.store, chosen.address)
    return made(uri=dg.EnvVar(variable), timeout_seconds=seconds, max_connections=most, address=named)


def vendor_of(where: Place, settings: DeskSettings, reference_store: ReferenceStore) -> PriceVendor:
    """The vendor that the settings name. Raises ConfigError where it needs a folder and none is given."""
    chosen = settings.data.vendor
    if chosen.name == "simulated":
        from resources.vendors.simulated import SimulatedVendor

        return SimulatedVendor(reference_store, seed=chosen.seed, faults=chosen.faults)
    if chosen.source is None:
        raise ConfigError(
            f"vendor {chosen.name} reads files, and data.vendor.source is not set. Run `daybook load --source`."
        )
    if chosen.name == "pysystemtrade":
        from resources.vendors.pysystemtrade import PysystemtradeVendor

        return PysystemtradeVendor(located(chosen.source, where))
    from resources.vendors.csv_folder import CsvFolderVendor

    return CsvFolderVendor(located(chosen.source, where), chosen.columns)


def bring_reference(where: Place, source: Path) -> None:
    """Instruments and roll parameters of a pysystemtrade folder's csvconfig lie over the project's own in this home."""
    from resources.vendors.pysystemtrade import read_csvconfig, write_reference

    instruments, roll_parameters = read_csvconfig(source / "csvconfig", project_folder("reference") / "listings.csv")
    write_reference(where.home / "reference", instruments, roll_parameters)


def notifier_of(settings: DeskSettings, where: Place) -> Notifier:
    """Where notices go."""
    return notifier(settings.operations.notifier, where)


def panels(frames: FrameStore, found: ReferenceStore) -> DataSource:
    """Panels of what a store holds now."""
    from resources.frame_panels import FramePanels

    return FramePanels(frames, found)


def sql_reader(frames: FrameStore, book: Ledger, where: Place) -> Sql:
    """Read-only SQL over datasets and projections; results of backtests are listed when they are asked for."""
    from resources.duckdb_sql import SqlReader

    return SqlReader(frames, book, before={BACKTEST_RESULTS.name: result_store(where).index})


def blob_store(where: Place) -> BlobStore:
    """Pages and other files of a home, by content."""
    return DiskBlobsResource(root=str(where.home / "blobs")).adapter()


def snapshots(where: Place) -> Backups:
    """Snapshots of a home, in its backup folder."""
    from resources.delta_frames import DeltaFrames
    from resources.snapshots import Snapshots
    from resources.sqlite_ledger import SqliteLedger

    blobs = DiskBlobsResource(root=str(where.backups / "blobs")).adapter()

    def server_of(home: Path) -> Ledger | None:
        return server_ledger(replace(where, home=home))

    return Snapshots(where.home, where.backups, blobs, DeltaFrames, SqliteLedger, server_of=server_of)


@contextmanager
def sole_run(where: Place, say: Callable[[str], None] | None = None) -> Iterator[None]:
    """Keeps other runs that write off a home; waits for one at work, and raises StoreBusy where that takes too long.

    The kernel drops the lock when this process ends, however it ends.
    """
    from resources.file_lock import held

    wait_s = read_section(where, OperationSettings).runs.wait_seconds
    with held(where.home / "run.lock", f"the desk {where.home}", wait_s, say):
        yield


def record_files(where: Place, say: Callable[[str], None] | None = None) -> None:
    """Records the files of a desk in development as a version, where they changed. A ledger that does not answer is
    left to the run, which needs it too and says so in its own way; somebody who recorded them meanwhile was first."""
    from pipelines.configuration import recorded

    try:
        done = recorded(where)
    except (StoreError, StaleVersion) as cause:
        if say is not None:
            say(f"the configuration is not recorded: {cause}")
        return
    if done is not None and done.new and say is not None:
        say(f"the files are recorded as version {done.version.number} of the configuration")


def disk_refusal(cause: BaseException, home: Path) -> StoreUnavailable | None:
    """StoreUnavailable where an error says the disk of a home is full or may not be written, else None."""
    from resources.disk_errors import refusal

    return refusal(cause, home)


def adapters(where: Place) -> Adapters:
    """Every port of a desk, for plain Python."""
    settings, frames, found, book = read_settings(where), frame_store(where), reference(where), ledger(where)
    return Adapters(
        settings=settings,
        frames=frames,
        ledger=book,
        reference=found,
        cache=cache_resource(where).adapter(),
        blobs=blob_store(where),
        vendor=vendor_of(where, settings, found),
        broker=broker_of(where, settings, frames, found),
        notifier=notifier_of(settings, where),
        sql=sql_reader(frames, book, where),
        backups=snapshots(where),
        signed=signed_blobs(where),
        signer=signer(where),
    )


def as_signed(where: Place, desk: Adapters, document: Document) -> Adapters:
    """The ports of a desk as a verified document pins them: datasets, journal, settings and reference data of then,
    none of which can be written; a cache of its own."""
    from resources.duckdb_sql import SqlReader
    from resources.pinned_ledger import PinnedLedger

    frames = signed_frames(desk.frames, document)
    book = PinnedLedger(desk.ledger, document.session, document.circumstances.heads)
    found = signed_reference(where, document, desk.signed)
    settings = signed_settings(where, desk.signed, document, found)
    return replace(
        desk,
        settings=settings,
        frames=frames,
        ledger=book,
        reference=found,
        cache=ProcessCacheResource().adapter(),
        vendor=vendor_of(where, settings, found),
        sql=SqlReader(frames, book),
    )


def signed_settings(where: Place, blobs: BlobStore, document: Document, found: ReferenceStore) -> DeskSettings:
    """Settings as they were signed, brought to today's schema, with the table of instruments they name."""
    digest = document.substance.configuration
    name = f"the configuration signed with {document.session}"
    values, table = values_of(blobs, digest, name)
    return classified(settings_of(values, where, name), table, found.instruments(document.session))


def signed_frames(frames: FrameStore, document: Document) -> FrameStore:
    """Datasets as a document pins them."""
    from resources.pinned_frames import PinnedFrames

    pins = document.circumstances.pins
    return PinnedFrames(frames, document.session, {name: pin.version for name, pin in pins.items()})


def signed_reference(where: Place, document: Document, blobs: BlobStore) -> ReferenceStore:
    """Reference data as it was signed, laid out anew in the home's cache where it is not there already."""
    from resources.csv_reference import CsvReference

    digest = document.substance.reference
    folder = where.home / "cache" / "signed" / digest
    names = document.circumstances.reference_files
    folders = [folder / place for place in sorted({name.partition("/")[0] for name in names}, key=int)]
    found = CsvReference(folders, where.home / "cache" / "calendars")
    if not folder.is_dir() or found.content_hash() != digest:
        for name, blob in names.items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            draft = file.with_name(f".{file.name}.{os.getpid()}")
            draft.write_bytes(blobs.get(blob))
            draft.replace(file)
    if found.content_hash() != digest:
        raise SignatureError(f"the reference data signed with {document.session} do not come to their hash. {CURE}")
    return found


def resources(where: Place, *, alone: bool = False) -> Mapping[str, Any]:
    """Every port of a desk, as Dagster resources by the names assets and checks ask for. `alone`: the caller holds
    the desk by `sole_run`."""
    own = {"home": str(where.home), "deployment": where.deployment}
    return {
        "frames": FramesResource(**own),
        "ledger": shown_ledger(where),
        "reference": ReferenceResource(**own),
        "cache": shown_cache(where),
        "blobs": DiskBlobsResource(root=str(where.home / "blobs")),
        "desk": DeskResource(**own, alone=alone),
        "vendor": VendorResource(**own),
        "panels": PanelsResource(**own),
        "backtests": BacktestsResource(**own),
        "sweeps": SweepsResource(**own),
        "broker": BrokerResource(**own),
        "notifier": NotifierResource(**own),
        "sql": SqlResource(**own),
        "backups": SnapshotsResource(**own),
        "signed": SignedBlobsResource(**own),
        "signer": SignerResource(**own),
        "configuration": ConfigurationResource(**own),
        "decisions": DecisionsResource(**own),
        "desk_orders": DeskOrdersResource(**own),
        "code": dg.ResourceDefinition.hardcoded_resource(closing_version),
        "home": where.home,
        "clock": dg.ResourceDefinition.hardcoded_resource(utc_now),
    }
