"""Older desk files brought to today's schema: the same values in new places, in small steps from schema to schema.

Belongs here: what moved where, as data, and carrying it out. Does not belong here: what a setting means (`models.py`),
or reading files (`pipelines/authored.py`). Strategy files have a schema of their own, which has not changed.

A file says its schema at its top (`schema = 2`); one that does not is of schema 1. Each file migrates by itself, before
files lie over one another, so that a desk.toml of schema 1 lies well over a base.toml of schema 2. Nothing is lost and
nothing is judged: a key that schema 1 did not know goes along with its section, and the models refuse it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from trading.config.documents import shown
from trading.errors import ConfigError

SCHEMA = 2
FIRST = 1

Path = tuple[str | int, ...]
Place = tuple[str, ...]

# From where in schema 1 to where in schema 2. A section's own row says where all moves that no longer row names.
MOVES_1: Mapping[Place, Place] = {
    ("capital",): ("trading", "capital"),
    ("market",): ("data", "prices"),
    ("market", "correlation_span_weeks"): ("features", "correlation_span_weeks"),
    ("market", "correlation_min_weeks"): ("features", "correlation_min_weeks"),
    ("limits",): ("risk",),
    ("limits", "max_position_contracts"): ("symbols", "defaults", "max_position_contracts"),
    ("vendor",): ("data", "vendor"),
    ("vendor", "instruments"): ("data", "universe", "instruments"),
    ("runs",): ("operations", "runs"),
    ("ledger",): ("data", "storage", "ledger"),
    ("broker",): ("trading", "broker"),
    ("broker", "order_type"): ("symbols", "defaults", "order_type"),
    ("reconciliation",): ("trading", "reconciliation"),
    ("close",): ("trading", "close"),
    ("notifier",): ("operations", "notifier"),
    ("trading",): ("trading", "strategies"),
}
DEPLOYMENTS_1 = ("local", "services")  # what `environment` of schema 1 named: not what it says now, so it is left out


def migrated(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A desk file's values in today's schema, `schema` included; `values` stays as it is. `where` names the file.

    Raises ConfigError on a schema that is newer than ours or none, and on a value that stands in its old and in its
    new place.
    """
    found = schema_of(values, where)
    made: dict[str, Any] = _copied(values)
    for step in range(found, SCHEMA):
        try:
            made = MIGRATIONS[step](made)
        except ConfigError as cause:
            raise ConfigError(f"{where}: {cause}") from cause
    return {**made, "schema": SCHEMA}


def _copied(value: Any) -> Any:
    """Tables and lists as new ones; what they hold cannot change."""
    if isinstance(value, Mapping):
        return {key: _copied(each) for key, each in value.items()}
    return [_copied(each) for each in value] if isinstance(value, list) else value


def schema_of(values: Mapping[str, Any], where: str) -> int:
    """The schema a desk file says it is of; 1 where it does not say. Raises ConfigError as `migrated` does."""
    given = values.get("schema", FIRST)
    if not isinstance(given, int) or isinstance(given, bool) or given < FIRST:
        raise ConfigError(
            f"{where}: schema is {shown(given)}, but must be a whole number from {FIRST} to {SCHEMA}. Write schema = "
            f"{SCHEMA} if the file was written for this Daybook, or take the line out if it is older."
        )
    if given > SCHEMA:
        raise ConfigError(
            f"{where}: schema {given} is newer than this Daybook reads: it knows schemas {FIRST} to {SCHEMA}. Bring "
            "Daybook up to date, or go back to the file of before."
        )
    return given


def authored_path(path: Path, schema: int) -> Path:
    """Where a setting of today stands in a file of an older schema: what a message about a line needs."""
    for step in range(SCHEMA - 1, schema - 1, -1):
        path = _before(path, MOVES[step])
    return path


def _before(path: Path, moves: Mapping[Place, Place]) -> Path:
    """The longest new place that `path` lies in names the old one."""
    places = sorted(((new, old) for old, new in moves.items()), key=lambda pair: -len(pair[0]))
    for new, old in places:
        if path[: len(new)] == new:
            return old + path[len(new) :]
    return path


# --- 1 to 2 -----------------------------------------------------------------------------------------------------------
def _from_1(values: dict[str, Any]) -> dict[str, Any]:
    """Sections by subject; limits of a symbol among symbols; `environment` says development, paper or production."""
    stays = {key: value for key, value in values.items() if not _moves_1(key, value)}
    if stays.get("environment") in DEPLOYMENTS_1:
        del stays["environment"]
    for key, value in values.items():
        if _moves_1(key, value):
            _move(key, value, stays)
    return stays


def _moves_1(key: str, value: Any) -> bool:
    """Whether a key of the top is a section of schema 1: `trading` was a list of names, and is a table now."""
    return (key,) in MOVES_1 and not (key == "trading" and isinstance(value, Mapping))


def _move(section: str, value: Any, into: dict[str, Any]) -> None:
    if isinstance(value, Mapping):
        for key in value:
            if (section, key) in MOVES_1:
                _put(into, MOVES_1[section, key], value[key], (section, key))
        value = {key: each for key, each in value.items() if (section, key) not in MOVES_1}
    _put(into, MOVES_1[section,], value, (section,))


def _put(into: dict[str, Any], place: Place, value: Any, old: Place) -> None:
    """Puts a value, or a section beside what is already there. Raises ConfigError where it would cover something."""
    at = into
    for depth, part in enumerate(place[:-1], 1):
        at = at.setdefault(part, {})
        if not isinstance(at, dict):
            raise ConfigError(
                f"{'.'.join(old)} stands in {'.'.join(place)} now, but {'.'.join(place[:depth])} is {shown(at)} and no "
                f"table. Make it a table, and move {'.'.join(old)} there."
            )
    name = place[-1]
    if isinstance(value, Mapping) and isinstance(at.get(name), dict):
        for key, each in value.items():
            _put(into, (*place, key), each, (*old, key))
    elif name in at:
        raise _twice(old, place)
    elif value != {}:
        at[name] = value


def _twice(old: Place, new: Place) -> ConfigError:
    first, second = ".".join(old), ".".join(new)
    return ConfigError(
        f"{first} is the name of before for {second}, and the file gives both. Keep {second}, take {first} out, and "
        f"write schema = {SCHEMA} at the top once no old name is left."
    )


MOVES: Mapping[int, Mapping[Place, Place]] = {1: MOVES_1}
MIGRATIONS: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_1}
