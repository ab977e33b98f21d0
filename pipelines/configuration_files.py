"""A configuration written back into the files of a home: what going back is where files are what is in force.

Belongs here: desk.toml, strategies and the table of symbols as one version had them, and undoing it where they do not
come to the same. Does not belong here: recording it (`configuration.py`), or what TOML looks like
(`configuration_text.py`).

desk.toml then says every setting; the one of before is kept beside it, and so is every other file that is written over.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from pipelines.authored import authored, own_file, strategy_files, unchecked
from pipelines.configuration_text import as_toml, strategy_toml
from pipelines.place import Place
from trading.config.models import DeskSettings
from trading.config.strategies import StrategySettings
from trading.errors import ConfigError, UsageError


def write_back(where: Place, settings: DeskSettings, table: bytes | None, label: str) -> list[Path]:
    """Makes the files of a home say these settings; which were written. What was there is kept beside, with `label` in
    its name. Raises UsageError, with the files as they were, where files cannot say it: the project's own files, which
    lie under the home's, say more."""
    new = {**dict(_strategies(where, settings)), **_table(where, settings, table), **_desk(where, settings)}
    old = {file: file.read_bytes() if file.exists() else None for file in new}
    for file, content in new.items():
        if old[file] is not None:
            _write(file.with_name(f"{file.name}.{label}"), old[file])
        _write(file, content)
    with suppress(ConfigError):
        if authored(where).settings.content_hash() == settings.content_hash():
            return list(new)
    for file, was in old.items():
        _write(file, was)
    raise UsageError(
        "the files of this home cannot be made to say that version: files that lie under them say more than it did. "
        "Nothing was changed. Correct them by hand: `daybook config diff` says how they differ."
    )


def _desk(where: Place, settings: DeskSettings) -> dict[Path, bytes]:
    file = own_file(where)
    if file != where.desk_file:
        raise UsageError(f"{file} is YAML, which is not written into. Make it desk.toml, or change it by hand.")
    values = settings.model_dump(mode="json", by_alias=True)
    return {file: as_toml({"settings": values, "configuration": settings.content_hash(),
                           "environment": settings.environment}).encode()}  # fmt: skip


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


def _write(file: Path, content: bytes | None) -> None:
    """Puts a file in place at once; None takes it away."""
    if content is None:
        file.unlink(missing_ok=True)
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.new")
    draft.write_bytes(content)
    os.replace(draft, file)
