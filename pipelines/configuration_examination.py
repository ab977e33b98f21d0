"""What a child process does for whoever watches a desk's configuration: reads the files, judges and compiles them, puts
them in force where the environment takes them from files, and tells snapshots apart.

Belongs here: the rule of each environment, and where files lie. Does not belong here: watching
(`configuration_watch.py`), the child (`resources/config_compiler.py`), or the steps of putting in force
(`configuration.py`).

In development, files are in force: a change is recorded as a version at once. In paper they are taken where
`operations.changes.from_files` of what is in force says `apply`. In production they are only judged, and so is a file
that would change the environment: that is for `daybook config apply`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pipelines.authored import layers, merged
from pipelines.configuration import Applied, apply, healed, proposed
from pipelines.configuration_history import Kept, compiled_files, differences, kept
from pipelines.in_force import in_force_settings
from pipelines.place import Place, project_folder
from trading.config.change_events import Differences, Examined
from trading.config.diffs import ABSENT, Change
from trading.config.snapshot_diffs import differences as snapshot_differences
from trading.errors import ConfigError, StaleVersion, StoreError

TRIES = 3  # where somebody else puts versions in force meanwhile
LISTED = 200  # differences of a drift


def answered(what: Literal["examine", "compare"], where: Place, *given: str) -> Examined | Differences:
    """What the child is asked for: a look at the files, or the differences of two snapshots by their hashes."""
    return examined(where) if what == "examine" else compared(where, *given)


def examined(where: Place) -> Examined:
    """Looks at a desk's files, and puts them in force where the environment allows it. Raises StoreError where the
    journal or the disk does not answer; whatever is wrong with the files is in the answer."""
    began = time.perf_counter()
    folders = tuple(map(str, watched_folders(where)))
    try:
        documents = layers(where)
        folders += tuple(str(folder) for folder in _table_folders(documents))
        environment = merged(documents).get("environment", "development")
        read = time.perf_counter()
        healed(where)
        found = _taken(where, str(environment)) if takes_files(where, str(environment)) else _judged(where)
    except StoreError:
        raise
    except ConfigError as cause:
        return Examined("refused", said=cause.faults or (str(cause),), folders=folders)
    validated = time.perf_counter() - read
    return replace(found, folders=folders, load_seconds=read - began, validation_seconds=validated)


def compared(where: Place, old: str, new: str) -> Differences:
    """What differs between two snapshots of a home. Raises SnapshotRefused where one is gone."""
    files = compiled_files(where)
    return snapshot_differences(files.open(old), files.open(new))


def takes_files(where: Place, environment: str) -> bool:
    """Whether changed files of an environment come into force by themselves. What is in force decides, so no file can
    allow it to itself; where nothing is, only development takes them."""
    settings = in_force_settings(where)
    if settings is None or settings.environment != environment:
        return settings is None and environment == "development" and _of_development(where)
    return environment == "paper" and settings.operations.changes.from_files == "apply"


def watched_folders(where: Place) -> Iterator[Path]:
    """Folders with files of a desk's configuration and of the reference data that classifies its symbols."""
    for folder in (project_folder("config"), where.home):
        yield from (folder, folder / "strategies")
    yield from (project_folder("reference"), where.home / "reference")


def _of_development(where: Place) -> bool:
    pointer = compiled_files(where).pointer()
    return pointer is None or pointer.environment == "development"


def _table_folders(documents: list[Any]) -> Iterator[Path]:
    """Where tables of symbols lie that documents name, right or wrong."""
    for document in documents:
        symbols = document.values.get("symbols")
        named = symbols.get("table") if isinstance(symbols, dict) else None
        if isinstance(named, str) and ".." not in Path(named).parts:
            yield (Path(document.file).parent / named).parent


def _taken(where: Place, environment: str) -> Examined:
    done = _applied(where, f"changed files are in force by themselves in {environment}")
    outcome: Literal["applied", "same"] = "applied" if done.new else "same"
    said = tuple(change.text() for change in done.version.changes) if done.new else ()
    return Examined(outcome, done.version.configuration, done.version.number, said, notes=done.notes)


def _applied(where: Place, reason: str) -> Applied:
    for _ in range(TRIES - 1):
        try:
            return apply(where, reason)
        except StaleVersion:
            continue
    return apply(where, reason)


def _judged(where: Place) -> Examined:
    found, pointer = proposed(where), compiled_files(where).pointer()
    digest = found.settings.content_hash()
    if pointer is not None and pointer.configuration == digest:
        return Examined("same", digest, pointer.number, notes=found.notes)
    now = Kept(json.loads(found.settings.document()), found.table)
    before = pointer.configuration if pointer is not None else None
    return Examined("drift", digest, 0, _texts(where, before, now), notes=found.notes)


def _texts(where: Place, before: str | None, now: Kept) -> tuple[str, ...]:
    if before is None:
        return ("nothing was applied yet.",)
    try:
        found = differences(kept(where, before), now)
    except ConfigError:
        found = [Change("the configuration in force", "cannot be read", ABSENT)]
    more = [f"and {len(found) - LISTED} more"] if len(found) > LISTED else []
    return (*(f"{change.text()}." for change in found[:LISTED]), *more)
