"""The configuration that was put in force in a home, read back as settings.

Belongs here: the pointer, and documents by their hash. Does not belong here: putting one in force
(`configuration.py`), or which documents there were (`configuration_history.py`).
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from pydantic import ValidationError

from pipelines.place import Place, context
from resources.disk_blobs import DiskBlobs
from trading.config.ceilings import BOUNDLESS, CEILINGS
from trading.config.data import LedgerSettings
from trading.config.in_force import Pointer
from trading.config.migrations import migrated
from trading.config.models import DeskSettings
from trading.config.refusals import refusals
from trading.config.settings import Settings
from trading.errors import ConfigError, DaybookError, NotTakenHere, SnapshotRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from resources.compiled_files import CompiledFiles
    from trading.config.snapshot import Snapshot
    from trading.ports import BlobStore

Section = TypeVar("Section", bound=Settings)
FOLDER = "config"  # of the home
DOCUMENTS = "documents"  # below it: settings as JSON, and tables of symbols, by content
CURRENT = "current"
CONFIGURATION_TAG = "daybook/configuration"  # on a run: the hash of the configuration it opens


class Kept(NamedTuple):
    """A configuration as it is kept: settings as plain values in today's schema, and the table of symbols."""

    values: dict[str, Any]
    table: bytes | None

    @property
    def ledger(self) -> LedgerSettings:
        """Where it has the book kept: whether it is above a ceiling is for those to say who use it."""
        return LedgerSettings.model_validate(self.values["data"]["storage"]["ledger"], context={CEILINGS: BOUNDLESS})


def documents(where: Place) -> DiskBlobs:
    """Every configuration that was accepted in a home, and its tables."""
    return DiskBlobs(where.home / FOLDER / DOCUMENTS)


def compiled_files(where: Place) -> CompiledFiles:
    """Compiled configurations of a home, and the pointer to the one in force."""
    from resources.compiled_files import CompiledFiles

    return CompiledFiles(where.home / FOLDER)


# --- what is in force -------------------------------------------------------------------------------------------------
def in_force_settings(where: Place) -> DeskSettings | None:
    """What was applied, where files are not in force: in paper and production; or the configuration that a place names.
    None in development, and where nothing was applied. Raises ConfigError where the environment asked for is another
    one, or what was applied is damaged."""
    pointer = _pointer(where)
    if where.configuration is not None:
        return _of_the_run(where.configuration, where, pointer)
    applied = _applied(pointer)
    if applied is None:
        return None
    return read_document_of(applied.configuration, where, lambda: compiled_files(where).open(applied.snapshot))


def in_force_section(where: Place, name: str, section: type[Section]) -> Section | None:
    """One section of what was applied, out of its snapshot, without a look at the others; out of its document, where
    the snapshot is of no use. None where `in_force_settings` gives none. Raises ConfigError as it does."""
    applied = None if where.configuration is not None else _applied(_pointer(where))
    if applied is not None:
        with suppress(SnapshotRefused, ValidationError):
            said = compiled_files(where).open(applied.snapshot).section(name)
            return section.model_validate_json(said, context=context(where))
    settings = in_force_settings(where)
    return None if settings is None else getattr(settings, name)


def tags_of(settings: DeskSettings) -> dict[str, str]:
    """What a run carries that is asked for now and begins later: the configuration to open. None in development, where
    a run opens what the files say when it begins."""
    return {} if settings.environment == "development" else {CONFIGURATION_TAG: settings.content_hash()}


def _applied(pointer: Pointer | None) -> Pointer | None:
    """None where files are in force."""
    return None if pointer is None or pointer.environment == "development" else pointer


def _pointer(where: Place) -> Pointer | None:
    """The pointer; None where nothing was applied, or files were in force last. Raises ConfigError where it is lost or
    damaged, and where another environment was asked for."""
    found = compiled_files(where).pointer()
    if found is None:
        _refuse_lost(where)
    elif found.environment != "development" and where.environment not in (None, found.environment):
        raise NotTakenHere(
            f"DAYBOOK_ENVIRONMENT is {where.environment!r}, and the configuration in force in {where.home} is of "
            f"{found.environment!r}. Unset the variable, or give another --home."
        )
    return found


def _refuse_lost(where: Place) -> None:
    """Files that say development must not come into force because a file of paper is gone."""
    last = compiled_files(where).last()
    if last is not None and last.environment != "development":
        raise ConfigError(
            f"version {last.number} of the configuration, of {last.environment}, was put in force in {where.home}, and "
            f"{where.home / FOLDER / CURRENT}, which says what is, is gone. Run `daybook config status`, which puts it "
            "right from the journal."
        )


def _of_the_run(digest: str, where: Place, pointer: Pointer | None) -> DeskSettings | None:
    """The configuration that a run carries: of the environment that was asked for, else of the one in force. None in
    development, where a run opens what the files say when it begins, and its own may never have been kept."""
    now = where.environment or (pointer.environment if pointer is not None else "development")
    if now == "development" and not documents(where).exists(digest):
        return None
    found = _reading_so(digest, where, pointer) or read_document_of(digest, where)
    if found.environment != now:
        raise ConfigError(
            f"the run carries configuration {digest[:12]}, which is of {found.environment}, and the desk in "
            f"{where.home} is of {now}. Start it anew, without the tag {CONFIGURATION_TAG}: it takes what is in force."
        )
    return None if now == "development" else found


def _reading_so(digest: str, where: Place, pointer: Pointer | None) -> DeskSettings | None:
    """What is in force, where a run carries its hash as this Daybook fills it in (`tags_of`): after an upgrade that
    knows a setting more, no document has that one. None where it is another."""
    if pointer is None or documents(where).exists(digest):
        return None
    found = read_document_of(pointer.configuration, where)
    return found if found.content_hash() == digest else None


# --- by hash ----------------------------------------------------------------------------------------------------------
def read_document_of(digest: str, where: Place, snapshot: Callable[[], Snapshot] | None = None) -> DeskSettings:
    """Settings by the hash of their document; instruments as they are in the compiled `snapshot`, without one as
    today's reference data classify them. Raises ConfigError where the document is missing or damaged, and where this
    machine does not take it."""
    from pipelines.settings import classified

    values, table = kept(where, digest)
    return classified(settings_of(values, where, f"configuration {digest[:12]}"), table, where, snapshot)


def kept(where: Place, digest: str) -> Kept:
    """A configuration by its hash. Raises ConfigError where it, or its table, is not there or is damaged."""
    blobs, name = documents(where), f"configuration {digest[:12]}"
    try:
        return values_of(blobs, digest, name)
    except (DaybookError, ValueError, LookupError, TypeError, AttributeError) as cause:
        raise ConfigError(
            f"{name} cannot be read from {blobs.root}: {cause} Restore the folder from a backup, or put another one in "
            "force: `daybook config apply --reason`, or `daybook config rollback NUMBER --reason`."
        ) from cause


def values_of(blobs: BlobStore, digest: str, name: str) -> Kept:
    """A configuration by its hash, wherever it is kept. Raises what the store raises, ValueError on what is none."""
    values = migrated(json.loads(blobs.get(digest)), name)
    table = values.get("symbols", {}).get("table_sha256")
    return Kept(values, None if table is None else blobs.get(table))


def settings_of(values: dict[str, Any], where: Place, name: str) -> DeskSettings:
    """Settings that were right once, under the ceilings, roots and time zones of now. Raises ConfigError where this
    machine does not take them."""
    try:
        return DeskSettings.model_validate(values, context=context(where))
    except ValidationError as cause:
        raise NotTakenHere(
            f"{name} was accepted once, and is refused on this machine now: {' '.join(refusals(cause, DeskSettings))} "
            "Set the variables DAYBOOK_ROOTS and DAYBOOK_MAX_... as they were when it was applied, or put another one "
            "in force: `daybook config apply --reason`."
        ) from cause
