"""How an adapter becomes a typed Dagster resource, and the resources of the storage backends.

An adapter is a plain class; for each there is a `Vended` with its typed settings and an `adapter()` that makes it.
Dagster hands the adapter itself to assets and checks, which know only its port. Adapters are imported when made: code
that only describes a run pays for no driver.
"""

from pathlib import Path
from typing import Any

import dagster as dg

from trading.ports import BlobStore, Cache, Ledger


class Vended(dg.ConfigurableResource[Any]):
    """A resource whose value is the adapter it makes."""

    def adapter(self) -> Any:
        """The adapter, made from this resource's settings."""
        raise NotImplementedError

    def create_resource(self, context: dg.InitResourceContext) -> Any:
        """What Dagster gives to an asset."""
        return self.adapter()


class DiskBlobsResource(Vended):
    """Blobs by content hash under a folder."""

    root: str

    def adapter(self) -> BlobStore:
        """The blob store."""
        from resources.disk_blobs import DiskBlobs

        return DiskBlobs(Path(self.root))


class ProcessCacheResource(Vended):
    """A bounded cache in this process."""

    max_entries: int = 2_000
    max_bytes: int = 256_000_000

    def adapter(self) -> Cache:
        """The cache."""
        from resources.process_cache import ProcessCache

        return ProcessCache(max_entries=self.max_entries, max_bytes=self.max_bytes)


class RedisCacheResource(Vended):
    """A bounded cache in this process before Redis. Seconds and bytes; `backlog`: writes that wait for Redis."""

    url: str
    max_entries: int = 2_000
    max_bytes: int = 256_000_000
    writes: str = "write_through"
    backlog: int = 10_000
    max_connections: int = 16
    timeout_seconds: float = 0.5
    pause_seconds: float = 5.0
    longest_pause_seconds: float = 60.0

    def adapter(self) -> Cache:
        """Both levels as one cache."""
        from resources.process_cache import ProcessCache
        from resources.two_level_cache import TwoLevelCache

        near = ProcessCache(max_entries=self.max_entries, max_bytes=self.max_bytes)
        return TwoLevelCache(near, self.shared(), self.writes, backlog=self.backlog)  # type: ignore[arg-type]

    def shared(self) -> Cache:
        """Redis alone."""
        from resources.redis_cache import RedisCache

        return RedisCache(
            self.url,
            timeout_s=self.timeout_seconds,
            pause_s=self.pause_seconds,
            longest_pause_s=self.longest_pause_seconds,
            max_connections=self.max_connections,
        )


class SqliteLedgerResource(Vended):
    """The ledger in one file."""

    path: str

    def adapter(self) -> Ledger:
        """The ledger."""
        from resources.sqlite_ledger import SqliteLedger

        return SqliteLedger(Path(self.path))


class ServerLedgerResource(Vended):
    """A ledger on a server. A run that has lost it does not wait for it again at every step."""

    def create_resource(self, context: dg.InitResourceContext) -> Ledger:
        """What Dagster gives to an asset."""
        from resources.lost_ledger import LosableLedger

        return LosableLedger(self.adapter())


class MongoLedgerResource(ServerLedgerResource):
    """The ledger in the database that an address of MongoDB names, on a replica set."""

    uri: str
    timeout_seconds: float = 10.0
    max_connections: int = 16
    address: str = "MONGODB_URI"

    def adapter(self) -> Ledger:
        """The ledger."""
        from resources.mongo_ledger import MongoLedger

        return MongoLedger(self.uri, self.timeout_seconds, max_connections=self.max_connections, address=self.address)


class PostgresLedgerResource(ServerLedgerResource):
    """The ledger in the database that an address of PostgreSQL names."""

    uri: str
    timeout_seconds: float = 10.0
    max_connections: int = 16
    address: str = "POSTGRES_URI"

    def adapter(self) -> Ledger:
        """The ledger."""
        from resources.postgres_ledger import PostgresLedger

        return PostgresLedger(self.uri, self.timeout_seconds, self.max_connections, self.address)
