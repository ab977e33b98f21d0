"""Putting a configuration in force, taking an older one back, and what was in force when.

Belongs here: the order of steps, and healing what a killed process left. Does not belong here: what files say
(`authored.py`), where the history lies (`configuration_history.py`), reading what is in force (`in_force.py`), or
noticing that files changed (`resources/config_watcher.py`).

The order: documents and snapshot, on the disk for good; then the journal, which takes a number once and so decides who
was first; then the pointer, which is what readers go by; then those who follow it. Killed before the journal, the old
configuration is in force, and what lies about is of no use; killed after it, whoever comes next moves the pointer on.
"""

from __future__ import annotations

import getpass
import json
import logging
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

from pipelines.authored import Authored, authored
from pipelines.configuration_files import write_back
from pipelines.configuration_history import (
    Kept,
    carry,
    changes_since,
    compiled_files,
    differences,
    keep,
    kept,
    ledger_in_force,
    ledger_of,
    refuse_strange_history,
    versions,
)
from pipelines.configuration_names import judged, noted
from pipelines.configuration_snapshot import compiled_settings
from pipelines.in_force import FOLDER, read_document_of
from pipelines.place import Place
from pipelines.settings import refuse_no_desk
from pipelines.symbols import columns_of
from pipelines.wiring import utc_now
from trading.config.data import LedgerSettings
from trading.config.diffs import Change, bounded, counted
from trading.config.in_force import Pointer
from trading.config.models import DeskSettings
from trading.config.versions import (
    STREAM,
    VersionRecord,
    applied_event,
    event_id,
    of_number,
    refuse_unsigned,
)
from trading.errors import ConfigError, DaybookError, EventConflict, SnapshotRefused, StaleVersion, UsageError

CHANNEL = "configuration"  # of the shared cache: what is said there is the pointer, as JSON
FILES, APPLIED = "files", "applied"  # words for a configuration that has no number, or the newest
SPARE_S = 300.0  # so long, what another writer has just compiled is left alone
_log = logging.getLogger(__name__)


class Applied(NamedTuple):
    """What came of putting a configuration in force: the version, and whether it is new. A version that is not new was
    in force already. `notes`: what files say that is allowed, and perhaps not meant."""

    version: VersionRecord
    new: bool
    notes: tuple[str, ...] = ()


class Standing(NamedTuple):
    """Where a home stands: the ledger that has the history, and the history. `found`: whether readers find its newest
    version; not where the home lost what was kept of it."""

    ledger: LedgerSettings
    history: Sequence[VersionRecord]
    found: bool = True

    @property
    def newest(self) -> VersionRecord | None:
        """The version in force; None where nothing was applied."""
        return self.history[-1] if self.history else None


# --- putting in force -------------------------------------------------------------------------------------------------
def proposed(where: Place) -> Authored:
    """What the files of a desk say, checked as a whole, symbols, names and all, with notes. Raises ConfigError."""
    found = authored(where)
    return replace(found, notes=judged(where, found))


def apply(where: Place, reason: str, author: str | None = None, expected: int | None = None) -> Applied:
    """Puts what the files say in force. Where it is already, nothing is recorded.

    `author`: the user of the operating system unless given. `expected`: the number that must be in force (0: none).
    Raises ConfigError where the files are wrong, UsageError without a reason or a desk, StaleVersion where somebody
    else put another configuration in force since this began: then nothing changed.
    """
    who, why = _signed(author, reason)
    refuse_no_desk(where)
    standing = _standing_if_lost(where)
    _refuse_unexpected(standing, expected)
    found = authored(where)
    notes = noted(where, found)
    return _put(where, standing, found.settings, found.table, (who, why))._replace(notes=notes)


def recorded(where: Place) -> Applied | None:
    """Records what the files say where they are in force at once, in development, and changed since; None elsewhere.
    For runs that write. What is in force is asked after healing: a pointer that lags behind, or is lost, would let
    files say what is."""
    pointer = _pointer(where)
    if pointer is not None and pointer.environment != "development":
        return None
    standing = _standing_if_lost(where)
    if standing.newest is not None and standing.newest.environment != "development":
        healed(where)  # says so where it is lost: files of development must not come into force for that
        return None
    found = authored(where)
    if found.settings.environment != "development":
        return None
    refuse_no_desk(where)
    notes = noted(where, found)
    signed = _signed(None, "the files changed, and in development they are in force")
    return _put(where, standing, found.settings, found.table, signed)._replace(notes=notes)


def rollback(where: Place, number: int, reason: str, author: str | None = None, expected: int | None = None) -> Applied:
    """Puts the configuration of a version in force again, as a new version with a reason of its own; a version of
    development by writing it back into the files, since those are in force then: `notes` say which, and where what they
    held is. Raises UsageError where there is no such version, where it is in force, and where files cannot say it;
    ConfigError where it is of another environment, and otherwise, with StaleVersion, as `apply`."""
    who, why = _signed(author, reason)
    standing = _standing_if_lost(where)
    _refuse_unexpected(standing, expected)
    target = of_number(standing.history, number)
    _refuse_other_environment(standing.history[-1], target)
    if target.environment == "development":
        standing = _with_files(where, standing)
    newest = standing.history[-1]
    if newest.configuration == target.configuration and standing.found:
        raise UsageError(f"version {number} says what version {newest.number} does, which is in force.")
    settings = read_document_of(target.configuration, where)
    table = kept(where, target.configuration).table
    written: list[str] = []
    if settings.environment == "development":
        written = write_back(where, settings, table, f"before-version-{newest.number + 1}")
    return _put(where, standing, settings, table, (who, why), restores=number)._replace(notes=tuple(written))


def _with_files(where: Place, standing: Standing) -> Standing:
    """What the files say now, recorded before it is written over; files that are wrong are only kept beside."""
    with suppress(ConfigError):
        done = recorded(where)
        if done is not None and done.new:
            return _standing_if_lost(where)
    return standing


def _put(  # the steps, in the order that the module says
    where: Place,
    standing: Standing,
    settings: DeskSettings,
    table: bytes | None,
    signed: tuple[str, str],
    restores: int | None = None,
) -> Applied:
    snapshot = compiled_settings(settings, columns_of(settings, table, where))
    newest, chosen = standing.newest, settings.data.storage.ledger
    digest, name = keep(where, settings, table), compiled_files(where).put(snapshot)
    if newest is not None and standing.found and (newest.configuration, newest.snapshot) == (digest, name):
        return Applied(newest, new=False)
    refuse_strange_history(where, standing.ledger, chosen)
    parent = newest.configuration if newest else None
    changes = changes_since(where, parent, kept(where, digest))
    version = VersionRecord(
        (newest.number if newest else 0) + 1, digest, parent, name, *signed, settings.environment, utc_now(),
        bounded(changes), counted(changes), settings.symbols.table_sha256, restores,
    )  # fmt: skip
    _record(where, standing.ledger, version)
    try:
        _point(where, version, standing.ledger, chosen)
    except SnapshotRefused:  # another writer thought that nobody needs it
        compiled_files(where).put(snapshot)
        _point(where, version, standing.ledger, chosen)
    _tell(where, version)
    _forget(where, [*standing.history, version], settings.data.retention.configurations)
    return Applied(version, new=True)


def _record(where: Place, chosen: LedgerSettings, version: VersionRecord) -> None:
    """Raises StaleVersion where the number is taken. What a store that lost an answer takes twice is known by who told
    it."""
    teller, book = uuid.uuid4().hex, ledger_of(where, chosen)
    try:
        if book.record([applied_event(version, teller)]).new:
            return
    except EventConflict as cause:
        raise _stale(where, chosen, version.number) from cause
    names = {entry.event.event_id: entry.event.correlation for entry in book.entries(streams=[STREAM])}
    if names[event_id(version.number)] != teller:
        raise _stale(where, chosen, version.number)


def _stale(where: Place, chosen: LedgerSettings, number: int) -> StaleVersion:
    first = of_number(versions(where, chosen), number)
    return StaleVersion(
        f"{first.author} put version {number} in force at {first.at:%Y-%m-%d %H:%M:%S} UTC ({first.reason}), while "
        "yours was being prepared: nothing of yours is in force. See `daybook config diff`, and apply again if you "
        "still want to."
    )


def _point(where: Place, version: VersionRecord, old: LedgerSettings, new: LedgerSettings) -> None:
    """Moves the pointer to a version, its history carried along first; a later version in force stays."""
    carry(where, old, new)
    stamp = version.at.isoformat()
    pointer = Pointer(version.number, version.configuration, version.snapshot, version.environment, stamp)
    with suppress(StaleVersion):
        compiled_files(where).point(pointer)


def _tell(where: Place, version: VersionRecord) -> None:
    """Tells other machines. Who does not hear looks at the pointer some time."""
    if where.deployment == "local":
        return
    from pipelines.deployments import shared_cache

    try:
        shared = shared_cache(where)
        if shared is not None:
            shared.publish(CHANNEL, f"{version.number} {version.configuration}".encode())
    except DaybookError as cause:
        _log.warning("version %d of the configuration is in force; nobody could be told: %s", version.number, cause)


def _forget(where: Place, history: Sequence[VersionRecord], count: int) -> None:
    """Deletes compiled configurations but the newest ones: they can be compiled again."""
    with suppress(DaybookError):
        compiled_files(where).forget({version.snapshot for version in history[-count:]}, SPARE_S)


# --- healing ----------------------------------------------------------------------------------------------------------
def healed(where: Place) -> VersionRecord | None:
    """Moves the pointer on to what the journal says, where a killed process did not come so far. The version that came
    in force by it, or None. Raises ConfigError where the journal is behind the pointer, and where the home lost what
    was in force."""
    return _moved_on(where, _looked(where))


def _looked(where: Place) -> Standing:
    """What the journal says. Raises ConfigError where it is behind the pointer."""
    known = _last(where)
    chosen = ledger_in_force(where, _pointer(where))
    history = versions(where, chosen)
    newest = history[-1] if history else None
    if known is not None and (newest is None or newest.number < known.number):
        raise ConfigError(
            f"version {known.number} of the configuration is in force in {where.home}, and its ledger knows "
            f"{newest.number if newest else 'none'}: the ledger is older than the home. Restore both from one backup."
        )
    return Standing(chosen, history)


def _moved_on(where: Place, standing: Standing) -> VersionRecord | None:
    newest, pointer = standing.newest, _pointer(where)
    if newest is None:
        return None
    if pointer is not None and pointer.number == newest.number:
        with suppress(ConfigError):  # whoever needs what is missing says so
            _compiled(where, newest)
            files = compiled_files(where)
            if files.told() != pointer.number or _last(where) != files.last():  # killed before
                files.point(pointer)
        return None
    _refuse_nothing_left(where, newest)
    newest = newest._replace(snapshot=_compiled(where, newest))
    _point(where, newest, standing.ledger, kept(where, newest.configuration).ledger)
    return newest


def _refuse_nothing_left(where: Place, newest: VersionRecord) -> None:
    """Raises ConfigError where what was in force is known by the journal only."""
    try:
        kept(where, newest.configuration)
    except ConfigError as cause:
        raise ConfigError(
            f"version {newest.number} of the configuration, of {newest.environment}, was put in force in {where.home}, "
            f"and what it said cannot be read from {where.home / FOLDER}: it, or part of it, was lost. Restore that "
            "folder from a backup; or put what the files say in force, as a version after it: `daybook config apply "
            "--reason`."
        ) from cause


def _compiled(where: Place, version: VersionRecord) -> str:
    """The snapshot of a version, compiled again where it is not there or damaged; another one, where the reference data
    is another by now."""
    files = compiled_files(where)
    with suppress(SnapshotRefused):
        return files.open(version.snapshot).content_hash
    settings, table = read_document_of(version.configuration, where), kept(where, version.configuration).table
    return files.put(compiled_settings(settings, columns_of(settings, table, where)))


def _pointer(where: Place) -> Pointer | None:
    """The pointer; None where there is none, and where it cannot be read: the journal says it again."""
    try:
        return compiled_files(where).pointer()
    except ConfigError:
        return None


def _last(where: Place) -> Pointer | None:
    """The pointer; what it said last, where it is lost."""
    with suppress(ConfigError):
        return _pointer(where) or compiled_files(where).last()
    return None


def _standing(where: Place) -> Standing:
    healed(where)
    chosen = ledger_in_force(where, _pointer(where))
    return Standing(chosen, versions(where, chosen))


def _standing_if_lost(where: Place) -> Standing:
    """As `_standing`, but that who puts another version in force, or reads the history, goes on where the home lost
    what was in force."""
    found = _looked(where)
    try:
        moved = _moved_on(where, found)
    except ConfigError:
        return found._replace(found=False)
    return found if moved is None else _standing(where)


# --- reading ----------------------------------------------------------------------------------------------------------
def in_force(where: Place) -> VersionRecord | None:
    """The version in force, a pointer that a killed process left behind moved on first; None where nothing was
    applied."""
    return _standing(where).newest


def history(where: Place) -> list[VersionRecord]:
    """Every version that was ever in force, the oldest first."""
    return list(_standing_if_lost(where).history)


def configuration_of(where: Place, which: int | str) -> Kept:
    """A configuration by the number of its version, or by a word: `files`, or `applied` for the newest version. Raises
    UsageError where there is no such thing, ConfigError where it cannot be read."""
    if which == FILES:
        found = proposed(where)
        return Kept(_values(found.settings), found.table)
    known = history(where)
    number = known[-1].number if which == APPLIED and known else which
    if isinstance(number, str):
        raise UsageError("nothing was applied yet. Put the files in force: daybook config apply --reason.")
    return kept(where, of_number(known, number).configuration)


def _values(settings: DeskSettings) -> dict[str, Any]:
    """As the document has them, in its order: a diff of files lists what a diff of versions does."""
    found: dict[str, Any] = json.loads(settings.document())
    return found


def diff_of(where: Place, a: int | str = APPLIED, b: int | str = FILES) -> list[Change]:
    """What changes from one configuration to another, each the number of a version, `applied` or `files`."""
    return differences(configuration_of(where, a), configuration_of(where, b))


# --- refusals ---------------------------------------------------------------------------------------------------------
def _signed(author: str | None, reason: str) -> tuple[str, str]:
    return refuse_unsigned(getpass.getuser() if author is None else author, reason)


def _refuse_other_environment(newest: VersionRecord, target: VersionRecord) -> None:
    if newest.environment != target.environment:
        raise ConfigError(
            f"version {target.number} is of {target.environment}, and version {newest.number}, which is in force, of "
            f"{newest.environment}: a rollback stays in its environment, and nothing was changed. If the desk is to be "
            f'of {target.environment}, let its files say so (environment = "{target.environment}"; `daybook config '
            f"show --version {target.number}` prints what that version said), and run `daybook config apply --reason`."
        )


def _refuse_unexpected(standing: Standing, expected: int | None) -> None:
    now = standing.newest.number if standing.newest else 0
    if expected is not None and expected != now:
        raise StaleVersion(
            f"version {expected} was to be replaced, and version {now} is in force: nothing was changed. See `daybook "
            f"config history` and `daybook config diff`, and decide again: --expected {now} replaces it."
        )
