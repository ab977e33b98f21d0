"""The history of a desk's configuration: which ledger keeps it, what it says, and the documents it names.

Belongs here: reading versions and comparing their documents; moving the history along when the ledger itself is
changed. Does not belong here: putting a version in force (`configuration.py`), or what a version is
(`trading/config/versions.py`).

The history lies in the ledger of the configuration that is in force. A version that names another ledger is recorded
in the one of before, which decides who is first, and then the whole history is carried over: a ledger that is in use
always holds all of it. Carrying over may be repeated; events that are there are skipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from pipelines.authored import authored
from pipelines.in_force import Kept as Kept
from pipelines.in_force import documents
from pipelines.in_force import kept as kept
from pipelines.place import Place
from pipelines.wiring import LEDGER_FILE, LEDGERS, symbol_table
from pipelines.wiring import compiled_files as compiled_files
from trading.config.data import LedgerSettings
from trading.config.diffs import Change, Cut, diff
from trading.config.in_force import Pointer
from trading.config.models import DeskSettings
from trading.config.symbol_table import SymbolTable
from trading.config.table_diffs import table_changes
from trading.config.versions import STREAM, VersionRecord, history_of
from trading.errors import ConfigError, EventConflict
from trading.ports import Ledger

CARRIED = 500  # events in a batch


def keep(where: Place, settings: DeskSettings, table: bytes | None) -> str:
    """Keeps a configuration for good, and its table with it; its hash."""
    blobs = documents(where)
    if table is not None:
        blobs.put(table)
    return blobs.put(settings.document().encode())


# --- the ledger that has it -------------------------------------------------------------------------------------------
def ledger_of(where: Place, chosen: LedgerSettings) -> Ledger:
    """The ledger that settings choose. Raises ConfigError where a server's address is not set."""
    return LEDGERS[chosen.store](where, chosen)


def ledger_in_force(where: Place, pointer: Pointer | None) -> LedgerSettings:
    """Which ledger has the history: that of what is in force, or of what was last, where the pointer is lost; of the
    files, where nothing was applied or what was applied cannot be read."""
    with suppress(ConfigError):
        known = pointer or compiled_files(where).last()
        if known is not None:
            return kept(where, known.configuration).ledger
    return authored(where).settings.data.storage.ledger


def versions(where: Place, chosen: LedgerSettings) -> list[VersionRecord]:
    """All versions that a ledger knows, the oldest first; nothing is made where there is none. Raises ConfigError where
    they are not whole, StoreUnavailable."""
    if chosen.store == "sqlite" and not (where.home / LEDGER_FILE).exists():
        return []
    return history_of(entry.event for entry in ledger_of(where, chosen).entries(streams=[STREAM]))


def refuse_strange_history(where: Place, old: LedgerSettings, new: LedgerSettings) -> None:
    """Raises ConfigError where a ledger that is to be used has a history that is not part of ours."""
    if old == new:
        return
    ours, theirs = versions(where, old), versions(where, new)
    if theirs != ours[: len(theirs)]:
        raise ConfigError(
            f"data.storage.ledger.store is to be {new.store}, and the ledger there has another history of "
            f"configurations: {len(theirs)} versions, which are not ours. It is of another desk: give an empty one."
        )


def carry(where: Place, old: LedgerSettings, new: LedgerSettings) -> None:
    """Brings the history of one ledger into another. Raises ConfigError where the other has one of its own."""
    if old == new:
        return
    into = ledger_of(where, new)
    events = [entry.event for entry in ledger_of(where, old).entries(streams=[STREAM])]
    try:
        for start in range(0, len(events), CARRIED):
            into.record(events[start : start + CARRIED])
    except EventConflict as cause:
        raise ConfigError(
            f"the ledger in {new.store} has another history of configurations: {cause} It is of another desk."
        ) from cause


# --- what differs -----------------------------------------------------------------------------------------------------
def differences(old: Kept, new: Kept) -> list[Change]:
    """What changes from one configuration to another: settings, and then cells of the table of symbols."""
    return [*diff(old.values, new.values), *_cells(old, new)]


def _cells(old: Kept, new: Kept) -> Sequence[Change]:
    if old.table == new.table:
        return ()
    return table_changes(_table(old), _table(new))


def _table(of: Kept) -> SymbolTable | None:
    return None if of.table is None else symbol_table(of.table, str(of.values["symbols"]["table"]))


def changes_since(where: Place, parent: str | None, new: Kept) -> list[Change]:
    """What a configuration changes in the one before it: nothing where it is the first, and one change that says so
    where that cannot be read."""
    if parent is None:
        return []
    try:
        return differences(kept(where, parent), new)
    except ConfigError:
        return [Change("the configuration before", Cut("cannot be read"), Cut("what changed is unknown"))]
