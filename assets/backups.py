"""The backup: a snapshot of the desk's home, as an asset.

Belongs here: taking one and saying what became of it. Does not belong here: what is in a snapshot
(`trading/continuity/`), or how it is stored.
"""

import importlib.metadata
from collections.abc import Callable
from datetime import datetime

import dagster as dg

from assets.materialized import OWNERS
from trading.config.data import RetentionSettings
from trading.config.models import DeskSettings
from trading.continuity.manifest import Identity, Manifest
from trading.continuity.progress import told
from trading.continuity.retention import Retention
from trading.errors import BackupError
from trading.ports import Backups, ReferenceStore, Taken


class RetentionConfig(dg.Config):
    """How many snapshots to keep, as `trading.continuity.retention.Retention` says, in place of the desk's settings
    (`data.retention`); those of a day old always stay."""

    newest: int | None = None
    days: int | None = None
    weeks: int | None = None
    months: int | None = None

    def policy(self, usual: RetentionSettings) -> Retention:
        """As a value, with the settings where nothing is said."""
        said = {name: value for name, value in self.model_dump().items() if value is not None}
        kept = {"newest": usual.newest, "days": usual.days, "weeks": usual.weeks, "months": usual.months}
        return Retention(**kept | said)


def identity(desk: DeskSettings, reference: ReferenceStore) -> Identity:
    """What the desk runs with now."""
    return Identity(desk.content_hash(), reference.content_hash(), importlib.metadata.version("daybook"))


def hashes(manifest: Manifest) -> dg.TableMetadataValue:
    """Version and content hash of everything in the snapshot."""
    rows = [("configuration", "", manifest.identity.configuration_hash)]
    rows += [("reference data", "", manifest.identity.reference_hash)]
    if manifest.ledger:
        rows += [("ledger", f"sequence {manifest.ledger.sequence}", manifest.ledger.content_hash)]
    rows += [(name, str(state.version), state.content_hash) for name, state in sorted(manifest.datasets.items())]
    records = [dg.TableRecord({"what": what, "version": version, "hash": hash_}) for what, version, hash_ in rows]
    return dg.MetadataValue.table(records)


def forgotten(context: dg.AssetExecutionContext, backups: Backups, policy: Retention, now: datetime) -> str:
    """Snapshots let go, by name. A damaged one stops that, not the backup: what it needs must not be deleted."""
    try:
        return ", ".join(backups.prune(policy, now)) or "none"
    except BackupError as error:
        context.log.warning(f"no old snapshot was let go: {error}")
        return f"none: {error}"


@dg.asset(
    name="snapshot",  # not `backup`: Dagster wants jobs and assets to have different names
    description="A snapshot of every dataset, the ledger, the broker's books, configuration, reference data, reports.",
    group_name="backups",
    owners=OWNERS,
    kinds={"python", "file"},
    tags={"daybook/layer": "backups"},
    deps=["pnl", "equity", "positions", "daily_report"],
)
def backup(
    context: dg.AssetExecutionContext,
    config: RetentionConfig,
    backups: dg.ResourceParam[Backups],
    reference: dg.ResourceParam[ReferenceStore],
    desk: dg.ResourceParam[DeskSettings],
    clock: dg.ResourceParam[Callable[[], datetime]],
) -> dg.MaterializeResult[None]:
    now = clock()
    taken: Taken = backups.take(identity(desk, reference), now, told(context.log.info))
    return dg.MaterializeResult(
        metadata={
            "snapshot": taken.manifest.name,
            "destination": dg.MetadataValue.path(backups.destination),
            "files": len(taken.manifest.files),
            "files new": taken.new,
            "files reused": taken.reused,
            "bytes": taken.manifest.size,
            "bytes added": taken.new_bytes,
            "hashes": hashes(taken.manifest),
            "let go": forgotten(context, backups, config.policy(desk.data.retention), now),
        }
    )
