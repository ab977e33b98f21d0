"""A configuration written back into the files of a home: what going back is where files are what is in force.

Belongs here: desk.toml, strategies and the table of symbols as one version had them. Does not belong here: recording it
(`configuration.py`), what TOML looks like (`configuration_text.py`), or changing several files at once
(`resources/changed_files.py`).

desk.toml then says what differs from the files under it, which go on to count; the one of before is kept beside it, and
so is every other file that is written over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipelines.authored import (
    as_written,
    beneath,
    changed_together,
    copy_of,
    merged,
    own_file,
    strategy_files,
    unchecked,
)
from pipelines.configuration_text import settings_toml, strategy_toml
from pipelines.place import Place, context
from trading.config.models import DeskSettings
from trading.config.strategies import StrategySettings
from trading.errors import ConfigError, UsageError


def write_back(where: Place, settings: DeskSettings, table: bytes | None, label: str) -> list[str]:
    """Makes the files of a home say these settings; a sentence for each that was written. What was there is kept
    beside, with `label` in its name. All of them or none, also where this process is killed: then whoever reads the
    files next puts them back.
    Raises UsageError, with the files as they were, where files cannot say it: the project's own files, which lie under
    the home's, say more. Raises StoreUnavailable, StoreBusy."""
    new = {**dict(_strategies(where, settings)), **_table(where, settings, table), **_desk(where, settings)}
    new = {file: content for file, content in new.items() if not (file.exists() and file.read_bytes() == content)}
    said = [_told(file, copy_of(file, label)) for file in new]
    with changed_together(where, new, label):
        if not _say(where, settings):
            raise UsageError(
                "the files of this home cannot be made to say that version: files that lie under them say more than it "
                "did. Nothing was changed. Correct them by hand: `daybook config diff` says how they differ."
            )
    return said


def _told(file: Path, copy: Path | None) -> str:
    if copy is None:
        return f"{file} was written; there was none."
    return f"{file} was rewritten; what it said is in {copy}."


def _say(where: Place, settings: DeskSettings) -> bool:
    try:
        return as_written(where).settings.content_hash() == settings.content_hash()
    except ConfigError:
        return False


def _desk(where: Place, settings: DeskSettings) -> dict[Path, bytes]:
    file = own_file(where)
    if file != where.desk_file:
        raise UsageError(f"{file} is YAML, which is not written into. Make it desk.toml, or change it by hand.")
    values = settings.model_dump(mode="json", by_alias=True)
    said = _differing(values, _beneath(where, settings.environment))
    said |= {name: values[name] for name in ("schema", "environment", "strategies")}
    return {file: settings_toml(said).encode()}


def _beneath(where: Place, environment: str) -> Mapping[str, Any]:
    """All settings without the home's own file; none where the files under it are nothing by themselves."""
    values = {**merged(beneath(where, environment)), "environment": environment}
    try:
        return DeskSettings.model_validate(values, context=context(where)).model_dump(mode="json", by_alias=True)
    except ValidationError:
        return {}


def _differing(values: Mapping[str, Any], under: Mapping[str, Any]) -> dict[str, Any]:
    """What of the values is not there already, section by section."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and isinstance(under.get(name), Mapping):
            inner = _differing(value, under[name])
            found |= {name: inner} if inner else {}
        elif name not in under or value != under[name]:
            found[name] = value
    return found


def _strategies(where: Place, settings: DeskSettings) -> Iterator[tuple[Path, bytes]]:
    """Files of strategies that say something else now, or are gone."""
    library = strategy_files(where)
    for name, strategy in zip(settings.trading.strategies, settings.strategies, strict=True):
        if _now(name, library) != strategy:
            yield where.home / "strategies" / f"{name}.toml", strategy_toml(strategy.model_dump(mode="json")).encode()


def _now(name: str, library: Mapping[str, Path]) -> StrategySettings | None:
    try:
        return unchecked(library[name]) if name in library else None
    except ConfigError:
        return None


def _table(where: Place, settings: DeskSettings, table: bytes | None) -> dict[Path, bytes]:
    return {} if table is None else {where.home / str(settings.symbols.table): table}
