"""What the commands of `daybook config` tell: configurations as text, versions and changes as rows.

Belongs here: choosing a configuration by number or word, and making data of it. Does not belong here: printing
(`commands/configuration.py`), or changing anything (`configuration.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipelines.authored import authored
from pipelines.configuration import APPLIED, FILES, configuration_of
from pipelines.in_force import in_force_settings, settings_of
from pipelines.place import Place
from pipelines.symbols import classifications, table_of
from trading.config.diffs import Change
from trading.config.inheritance import explained
from trading.config.models import DeskSettings
from trading.config.refusals import did_you_mean
from trading.config.versions import VersionRecord
from trading.errors import UsageError


def meant(word: str | None) -> int | str:
    """A configuration as people name it: the number of a version, `applied` or `files`. Raises UsageError."""
    if word in (FILES, APPLIED):
        return word
    if word is not None and word.isdecimal() and len(word) < 10:
        return int(word)
    raise UsageError(f"{word!r} names no configuration. Give the number of a version, {APPLIED} or {FILES}.")


def chosen(where: Place, which: int | str | None) -> tuple[DeskSettings, bytes | None]:
    """Settings and their table of symbols; those in force where none are named. Raises as `configuration_of`."""
    if which is None:
        which = FILES if in_force_settings(where) is None else APPLIED
    if which == FILES:
        found = authored(where)
        return found.settings, found.table
    values, table = configuration_of(where, which)
    return settings_of(values, where, f"configuration {which}"), table


# --- show -------------------------------------------------------------------------------------------------------------
def shown(where: Place, sections: Sequence[str], which: int | str | None) -> dict[str, Any]:
    """A configuration, or some sections of it (dotted paths), as plain values. Raises UsageError on a section that
    there is not."""
    settings, _ = chosen(where, which)
    values = settings.model_dump(mode="json", by_alias=True)
    found = {path: _section(values, path) for path in sections} if sections else values
    return {"configuration": settings.content_hash(), "environment": settings.environment, "settings": found}


def _section(values: Mapping[str, Any], path: str) -> Any:
    at: Any = values
    for part in path.split("."):
        known = _named(at)
        if known is None or part not in known:
            there = ", ".join(known or ()) or "nothing"
            raise UsageError(f"there is no section {path}.{did_you_mean(part, known or ())} There is: {there}.")
        at = known[part]
    return at


def _named(value: Any) -> Mapping[str, Any] | None:
    if isinstance(value, Mapping):
        return value
    if isinstance(value, list) and value and all(isinstance(each, Mapping) and "name" in each for each in value):
        return {str(each["name"]): each for each in value}
    return None


# --- versions and changes ---------------------------------------------------------------------------------------------
def told(version: VersionRecord) -> dict[str, Any]:
    """A version as a row."""
    return {
        "number": version.number,
        "at": version.at.isoformat(timespec="seconds"),
        "author": version.author,
        "reason": version.reason,
        "environment": version.environment,
        "configuration": version.configuration,
        "parent": version.parent,
        "snapshot": version.snapshot,
        "table": version.table,
        "restores": version.restores,
        "changed": version.changed,
        "changes": changes_told(version.changes),
    }


def changes_told(changes: Iterable[Change]) -> list[dict[str, Any]]:
    """Changes as rows, each with its sentence."""
    return [{**change.as_json(), "kind": change.kind, "text": change.text()} for change in changes]


# --- explain ----------------------------------------------------------------------------------------------------------
def explanation(where: Place, symbol: str, field: str, strategy: str | None, which: int | str | None) -> dict[str, Any]:
    """Where the value of a setting of an instrument comes from: every place that may say something, in order; the last
    that does counts. Raises ConfigError on an instrument, a setting or a strategy that nobody knows."""
    settings, table = chosen(where, which)
    refuse_unknown_strategy(settings, strategy)
    known = classifications(where)
    origins = explained(settings.symbols, table_of(settings, table, where), known, symbol, field, strategy)
    (value,) = (origin.value for origin in origins if origin.in_force)
    rows = [origin._asdict() for origin in origins]
    return {"symbol": symbol, "field": field, "strategy": strategy, "value": value, "origins": rows}


def refuse_unknown_strategy(settings: DeskSettings, strategy: str | None) -> None:
    """Raises UsageError where a strategy neither trades nor has settings of symbols: it would look like one without."""
    names = dict.fromkeys((*settings.trading.strategies, *settings.symbols.strategies))
    if strategy is not None and strategy not in names:
        listed = ", ".join(names) or "none"
        raise UsageError(f"no strategy {strategy} trades here.{did_you_mean(strategy, names)} There are: {listed}.")
