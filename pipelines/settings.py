"""Reads the environment and the configuration files; the only place that does.

Belongs here: environment variables, TOML files, and how they lie over one another. Does not belong here: what a setting
means (`trading/config/models.py`) or which adapter serves it (`pipelines/deployments.py`).

Order, later over earlier: `config/base.toml`, `config/<deployment>.toml`, `<home>/desk.toml`. Strategies are the files
of `config/strategies/` and, of the same name over them, `<home>/strategies/`; those that `trading` names trade.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit
from pydantic import ValidationError

from trading.config.models import DeskSettings
from trading.errors import ConfigError

DEPLOYMENTS = ("local", "services")
PROJECT = Path(__file__).resolve().parents[1]
SHIPPED = PROJECT / "daybook_data"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a desk lives: its folder, its deployment, and what the environment says of servers."""

    home: Path
    deployment: str
    backups: Path
    redis_url: str | None = None

    @property
    def desk_file(self) -> Path:
        """The home's own settings."""
        return self.home / "desk.toml"


def project_folder(name: str) -> Path:
    """`config` or `reference`: beside the code in a checkout, in `daybook_data` when installed."""
    beside = PROJECT / name
    return beside if beside.is_dir() else SHIPPED / name


def place(home: str | Path | None = None, deployment: str | None = None) -> Place:
    """The desk's place from arguments, then environment variables (DAYBOOK_HOME, DAYBOOK_DEPLOYMENT, DAYBOOK_BACKUPS,
    REDIS_URL), then defaults (./var, local, <home>-backups). Raises ConfigError on an unknown deployment."""
    folder = Path(home or os.environ.get("DAYBOOK_HOME") or "var").resolve()
    chosen = deployment or os.environ.get("DAYBOOK_DEPLOYMENT") or "local"
    if chosen not in DEPLOYMENTS:
        raise ConfigError(f"deployment {chosen!r} is unknown. Choose one of: {', '.join(DEPLOYMENTS)}.")
    backups = os.environ.get("DAYBOOK_BACKUPS") or folder.parent / f"{folder.name}-backups"
    return Place(folder, chosen, Path(backups).resolve(), os.environ.get("REDIS_URL"))


def read_settings(where: Place) -> DeskSettings:
    """The settings in force for a desk. Raises ConfigError naming file, setting, value and cure."""
    config = project_folder("config")
    merged: dict[str, Any] = {}
    files = [config / "base.toml", config / f"{where.deployment}.toml", where.desk_file]
    for file in files:
        if file.exists():
            merged = _over(merged, _read(file))
    merged["strategies"] = [_read(file) for file in _traded(merged.get("trading", ()), strategy_files(where))]
    try:
        return DeskSettings.model_validate(merged)
    except ValidationError as cause:
        raise ConfigError(_sentence(cause, files)) from cause


def strategy_files(where: Place) -> dict[str, Path]:
    """Strategy files by name (the file's, without .toml): the shipped ones, and the home's own over them."""
    folders = (project_folder("config") / "strategies", where.home / "strategies")
    found = {file.stem: file for folder in folders if folder.is_dir() for file in folder.glob("*.toml")}
    return dict(sorted(found.items()))


def own_settings(where: Place) -> Mapping[str, Any]:
    """What the home's own desk.toml says, nothing under it; empty where there is none."""
    return _read(where.desk_file) if where.desk_file.exists() else {}


def write_desk(where: Place, changes: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes settings into the home's desk.toml, keeping the rest of it; atomic."""
    document = tomlkit.parse(where.desk_file.read_text()) if where.desk_file.exists() else tomlkit.document()
    for section, values in changes.items():
        table = document.setdefault(section, tomlkit.table())
        for key, value in values.items():
            table[key] = value
    where.home.mkdir(parents=True, exist_ok=True)
    draft = where.desk_file.with_suffix(".toml.new")
    draft.write_text(tomlkit.dumps(document))
    draft.replace(where.desk_file)


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as cause:
        raise ConfigError(f"{file}: not valid TOML: {cause}. Correct the file and run again.") from cause


def _over(under: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in upper.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _over(merged[key], value) if both else value
    return merged


def _traded(names: Any, library: Mapping[str, Path]) -> list[Path]:
    wanted = [name for name in names if isinstance(name, str)] if isinstance(names, list | tuple) else []
    for name in wanted:
        if name not in library:
            raise ConfigError(_unknown_strategy(name, library, "setting trading names it"))
    return [library[name] for name in wanted]


def _unknown_strategy(name: str, library: Mapping[str, Path], why: str) -> str:
    known = ", ".join(library) or "none"
    near = difflib.get_close_matches(name, library, n=1)
    meant = f" Did you mean {near[0]}?" if near else ""
    return f"strategy {name} is unknown ({why}). Known strategies: {known}.{meant}"


def _sentence(cause: ValidationError, files: list[Path]) -> str:
    found = [
        f"setting {'.'.join(str(part) for part in error['loc'])}: {error['msg'].lower()} (value {error['input']!r})"
        for error in cause.errors()
    ]
    return f"the configuration is wrong: {'; '.join(found)}. Correct it in one of: {', '.join(map(str, files))}."
