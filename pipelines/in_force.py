"""The configuration that was put in force in a home, read back as settings.

Belongs here: the pointer, and the document it names. Does not belong here: putting one in force (`configuration.py`).
"""

from __future__ import annotations

import json
from pathlib import Path

from pipelines.place import Place, context
from resources.disk_blobs import DiskBlobs
from trading.config.migrations import migrated
from trading.config.models import DeskSettings
from trading.errors import ConfigError, DaybookError, SnapshotRefused

FOLDER = "config"  # of the home
DOCUMENTS = "documents"  # below it: settings as JSON, and tables of symbols, by content
CURRENT = "current"
CONFIGURATION_TAG = "daybook/configuration"  # on a run: the hash of the configuration it opens


def documents(where: Place) -> DiskBlobs:
    """Every configuration that was accepted in a home, and its tables."""
    return DiskBlobs(where.home / FOLDER / DOCUMENTS)


def in_force_settings(where: Place) -> DeskSettings | None:
    """What was applied, where files are not in force: in paper and production; or the configuration that a place names.
    None in development, and where nothing was applied. Raises ConfigError where the environment asked for is another
    one, or what was applied is damaged."""
    if where.configuration is not None:
        return read_document_of(where.configuration, where)
    pointer = _applied(where)
    return None if pointer is None else read_document_of(pointer["configuration"], where)


def tags_of(settings: DeskSettings) -> dict[str, str]:
    """What a run carries that is asked for now and begins later: the configuration to open. None in development, where
    a run opens what the files say when it begins."""
    return {} if settings.environment == "development" else {CONFIGURATION_TAG: settings.content_hash()}


def in_force_section(where: Place, name: str) -> bytes | None:
    """One section of what was applied, as JSON, out of its snapshot: the others are not even looked at. None where
    `in_force_settings` gives none, and where there is no snapshot of it. Raises ConfigError as it does."""
    from resources.compiled_files import CompiledFiles

    pointer = None if where.configuration is not None else _applied(where)
    if pointer is None:
        return None
    try:
        return CompiledFiles(where.home / FOLDER).open(pointer["snapshot"]).section(name)
    except SnapshotRefused:
        return None


def _applied(where: Place) -> dict[str, str] | None:
    pointer = _pointer(where.home / FOLDER / CURRENT)
    if pointer is None or pointer["environment"] == "development":
        return None
    if where.environment not in (None, pointer["environment"]):
        raise ConfigError(
            f"DAYBOOK_ENVIRONMENT is {where.environment!r}, and the configuration in force in {where.home} is of "
            f"{pointer['environment']!r}. Unset the variable, or give another --home."
        )
    return pointer


def read_document_of(digest: str, where: Place) -> DeskSettings:
    """Settings by the hash of their document, instruments as today's reference data classify them. Raises ConfigError
    where the document is missing or damaged."""
    from pipelines.settings import classified

    kept = documents(where)
    try:
        values = migrated(json.loads(kept.get(digest)), f"configuration {digest[:12]}")
        settings = DeskSettings.model_validate(values, context=context(where))
        table = settings.symbols.table_sha256
        content = None if table is None else kept.get(table)
    except (DaybookError, ValueError) as cause:
        raise ConfigError(
            f"configuration {digest[:12]} cannot be read from {where.home / FOLDER}: {cause} Restore the folder from a "
            "backup, or apply the files again with `daybook config apply --reason`."
        ) from cause
    return classified(settings, content, where)


def _pointer(file: Path) -> dict[str, str] | None:
    try:
        found = json.loads(file.read_bytes())
        return {name: str(found[name]) for name in ("configuration", "environment", "snapshot")}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as cause:
        raise ConfigError(
            f"{file} does not say which configuration is in force: {cause}. Run `daybook config status`, which puts it "
            "right from the journal."
        ) from cause
