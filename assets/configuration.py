"""Where the configuration stands: its files, what is in force, its history, and what the last close was signed with.

Belongs here: reading that from the ports. Does not belong here: judging it (`trading/config/drift.py`), the check that
does (`checks/configuration.py`), or putting anything in force. Nothing here loads Dagster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from trading.book.signature import document_of
from trading.config.diffs import diff
from trading.config.drift import Named, SignedWith, Standing
from trading.config.models import DeskSettings
from trading.config.versions import KIND, VersionRecord, version_of
from trading.errors import ConfigError, NotTakenHere, SignatureError, StoreError
from trading.ports import BlobStore, Configurations, Ledger

STRICTEST = "production"  # what is assumed of a desk whose environment cannot be read


@dataclass(frozen=True, slots=True)
class _Read:
    """What could be read of a configuration, or why it could not."""

    named: Named | None
    settings: DeskSettings | None
    wrong: str = ""
    here: bool = False  # it is whole, and the environment variables do not take it


def standing(configuration: Configurations, ledger: Ledger, blobs: BlobStore) -> Standing:
    """All that drift is judged by. Raises what reading the ledger raises."""
    history = versions(ledger)
    signed, unsigned = _signed(ledger, blobs, history)
    files, now = _files(configuration), _in_force(configuration)
    same_fault = files.settings is None and now.wrong == files.wrong  # then the files are what is in force
    settings = now.settings or files.settings
    return Standing(
        environment="development" if same_fault else settings.environment if settings else STRICTEST,
        files=files.named.configuration if files.named else None,
        in_force=now.named,
        wrong=files.wrong,
        damaged="" if same_fault else now.wrong,
        not_taken_here=now.here,
        changed=_changed(now.settings, files.settings),
        signed=signed,
        unsigned=unsigned,
        recorded=_named(history[-1]) if history else None,
        recorded_since=history[0].at if history else None,
    )


def versions(ledger: Ledger) -> list[VersionRecord]:
    """The history as the journal has it, the oldest first; whether it is whole is not looked at."""
    return [version_of(entry.event) for entry in ledger.entries(kinds=[KIND])]


def signed_with(ledger: Ledger, blobs: BlobStore, history: Sequence[VersionRecord]) -> SignedWith | None:
    """What the newest signed session was closed with; None where none was signed. Raises StoreError and SignatureError
    where its document is gone or damaged."""
    rows = ledger.rows("signatures")
    if not rows:
        return None
    newest = max(rows, key=lambda row: (str(row["session"]), int(str(row["version"]))))
    document = document_of(blobs.get(str(newest["document"])))
    configuration, at = document.substance.configuration, datetime.fromisoformat(document.circumstances.signed_at)
    numbers = [version.number for version in history if version.configuration == configuration]
    number = document.circumstances.configuration_version or (numbers[-1] if numbers else None)
    return SignedWith(date.fromisoformat(str(newest["session"])), configuration, number, at)


def _signed(ledger: Ledger, blobs: BlobStore, history: Sequence[VersionRecord]) -> tuple[SignedWith | None, str]:
    """What was signed, or why that cannot be told."""
    try:
        return signed_with(ledger, blobs, history), ""
    except (StoreError, SignatureError) as cause:
        return None, str(cause)


def _files(configuration: Configurations) -> _Read:
    try:
        settings = configuration.files()
    except ConfigError as cause:
        return _Read(None, None, str(cause))
    return _Read(Named(settings.content_hash()), settings)


def _in_force(configuration: Configurations) -> _Read:
    try:
        found = configuration.in_force()
    except ConfigError as cause:
        return _Read(None, None, str(cause), isinstance(cause, NotTakenHere))
    return _Read(*found) if found else _Read(None, None)


def _named(version: VersionRecord) -> Named:
    return Named(version.configuration, version.number, version.at)


def _changed(now: DeskSettings | None, files: DeskSettings | None) -> list[str]:
    """What the files change in what is in force, a phrase each."""
    if now is None or files is None:
        return []
    before, after = (settings.model_dump(mode="json", by_alias=True) for settings in (now, files))
    return [change.text() for change in diff(before, after)]
