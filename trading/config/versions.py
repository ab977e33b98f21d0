"""Versions of a desk's configuration: who put what in force, when, why, and what it changed.

Belongs here: a version as a value, as an event of the journal and back, and whether a history is whole. Does not belong
here: recording or reading it (`pipelines/configuration.py`), or the configuration itself, which lies under its hash.

Versions are numbered from 1 without gaps, and each names the configuration before it. The id of a version's event is
its number: the journal takes an id once, so of two writers of the same number one is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from trading.book.journal import STREAMS, Event, Scalar
from trading.config.diffs import Change, kept, unkept
from trading.config.secrets import refuse_secrets
from trading.errors import ConfigError, UsageError

KIND = "configuration_applied"
STREAM = STREAMS[KIND]
LONGEST_REASON = 1_000  # characters


class VersionRecord(NamedTuple):
    """A configuration that was put in force. `configuration`, `snapshot` and `table` are SHA-256; `parent` is that of
    the configuration before, none of the first. `changed` counts all changes, of which `changes` may be the first.
    `restores` is the version that it takes back in force, of a rollback."""

    number: int
    configuration: str
    parent: str | None
    snapshot: str
    author: str
    reason: str
    environment: str
    at: datetime
    changes: tuple[Change, ...] = ()
    changed: int = 0
    table: str | None = None
    restores: int | None = None


def event_id(number: int) -> str:
    """The id under which the journal takes a version, once."""
    return f"configuration-{number}"


def applied_event(version: VersionRecord, told_by: str) -> Event:
    """A version as an event; `told_by` is whoever records it, to know its own again. It belongs to no session: the day
    is that of its time."""
    payload: dict[str, Scalar] = {
        "number": version.number, "configuration": version.configuration, "parent": version.parent,
        "snapshot": version.snapshot, "author": version.author, "reason": version.reason,
        "environment": version.environment, "changes": kept(version.changes), "changed": version.changed,
        "table": version.table, "restores": version.restores,
    }  # fmt: skip
    day = version.at.date()
    return Event(event_id(version.number), KIND, day, version.at, version.author, payload, correlation=told_by)


def version_of(event: Event) -> VersionRecord:
    """A version out of its event."""
    said: Mapping[str, Scalar] = event.payload
    words = {name: str(said[name]) for name in ("configuration", "snapshot", "author", "reason", "environment")}
    parent, table = (None if said.get(name) is None else str(said[name]) for name in ("parent", "table"))
    restores = said.get("restores")
    return VersionRecord(
        number=int(said["number"] or 0),
        parent=parent,
        at=event.at,
        changes=tuple(unkept(str(said["changes"]))),
        changed=int(said.get("changed") or 0),
        table=table,
        restores=None if restores is None else int(restores),
        **words,
    )


def history_of(events: Iterable[Event]) -> list[VersionRecord]:
    """Versions in order, the oldest first. Raises ConfigError where a number or a parent is not what it must be."""
    found = sorted((version_of(event) for event in events), key=lambda version: version.number)
    before: VersionRecord | None = None
    for number, version in enumerate(found, 1):
        if version.number != number:
            raise _broken(f"version {number} is missing before version {version.number}")
        if version.parent != (before.configuration if before else None):
            raise _broken(f"version {number} does not follow from version {number - 1}: it names another parent")
        before = version
    return found


def _broken(found: str) -> ConfigError:
    return ConfigError(
        f"the journal's history of configurations is not whole: {found}. Run `daybook audit verify`, and restore the "
        "ledger from a backup."
    )


def of_number(history: Iterable[VersionRecord], number: int) -> VersionRecord:
    """A version by its number. Raises UsageError naming those there are."""
    found = {version.number: version for version in history}
    if number in found:
        return found[number]
    known = f"There are versions 1 to {max(found)}." if found else "Nothing was applied yet: daybook config apply."
    raise UsageError(f"there is no version {number} of the configuration. {known}")


def refuse_unsigned(author: str, reason: str) -> tuple[str, str]:
    """Author and reason as they will stand in the journal. Raises UsageError where one is missing, too long, or looks
    like a secret."""
    who, why = author.strip(), reason.strip()
    if not why:
        raise UsageError('a configuration is put in force with a reason, which is kept. Give one with --reason "...".')
    if not who:
        raise UsageError("a configuration is put in force by somebody, who is kept. Give a name with --author.")
    if len(why) > LONGEST_REASON or len(who) > 100:
        raise UsageError(
            f"the reason has {len(why):,} characters and the author {len(who):,}: at most {LONGEST_REASON:,} and 100 "
            "are kept. Say it shorter."
        )
    refuse_secrets(reason=why, author=who)
    return who, why
