"""Reads the environment and the configuration files; the only place that does.

Belongs here: environment variables, TOML files, and how they lie over one another. Does not belong here: what a setting
means (`trading/config/models.py`) or which adapter serves it (`pipelines/deployments.py`).

Order, later over earlier: `config/base.toml`, `config/<deployment>.toml`, `<home>/desk.toml`. Strategies are the files
of `config/strategies/` and, of the same name over them, `<home>/strategies/`; those that `trading` names trade.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from trading.config.models import DeskSettings
from trading.config.refusals import did_you_mean, refusal, refusals
from trading.config.strategies import StrategySettings
from trading.errors import ConfigError, UsageError

DEPLOYMENTS = ("local", "services")
PROJECT = Path(__file__).resolve().parents[1]
SHIPPED = PROJECT / "daybook_data"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a desk lives: its folder, its deployment, and what the environment says of servers. Addresses may hold a
    password: its `repr` leaves them out, so that no log, traceback or notebook shows one."""

    home: Path
    deployment: str
    backups: Path
    redis_url: str | None = field(default=None, repr=False)
    mongodb_uri: str | None = field(default=None, repr=False)
    postgres_uri: str | None = field(default=None, repr=False)
    signing_key: Path | None = None

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
    REDIS_URL, MONGODB_URI, POSTGRES_URI, DAYBOOK_SIGNING_KEY), then defaults (./var, local, <home>-backups, a key of
    the home's own). Raises ConfigError on an unknown deployment."""
    folder = Path(home or os.environ.get("DAYBOOK_HOME") or "var").resolve()
    chosen = deployment or os.environ.get("DAYBOOK_DEPLOYMENT") or "local"
    if chosen not in DEPLOYMENTS:
        raise ConfigError(f"deployment {chosen!r} is unknown. Choose one of: {', '.join(DEPLOYMENTS)}.")
    backups = os.environ.get("DAYBOOK_BACKUPS") or folder.parent / f"{folder.name}-backups"
    servers = (os.environ.get(name) for name in ("REDIS_URL", "MONGODB_URI", "POSTGRES_URI"))
    key = os.environ.get("DAYBOOK_SIGNING_KEY")
    return Place(folder, chosen, Path(backups).resolve(), *servers, signing_key=Path(key).resolve() if key else None)


def refuse_no_desk(where: Place) -> None:
    """A mistyped --home must not trade a market nobody asked for."""
    if not where.desk_file.exists() and not (where.home / "frames").is_dir():
        raise UsageError(
            f"there is no desk in {where.home}. Correct --home or DAYBOOK_HOME; a new desk begins with `daybook load` "
            "or `daybook demo`."
        )


def read_settings(where: Place) -> DeskSettings:
    """The settings in force for a desk. Raises ConfigError naming file, setting, value and cure."""
    files = _files(where)
    merged = _merged(files)
    if "strategies" in merged:
        raise ConfigError(
            "setting strategies cannot be given. Put each strategy into a file of "
            f"{where.home / 'strategies'} and name it in trading."
        )
    merged["strategies"] = _traded(merged.get("trading", ()), strategy_files(where))
    try:
        return DeskSettings.model_validate(merged)
    except ValidationError as cause:
        found = " ".join(refusals(cause, DeskSettings))
        listed = ", ".join(map(str, files))
        raise ConfigError(f"the configuration is wrong: {found} Correct it in one of: {listed}.") from cause


def traded_names(where: Place) -> tuple[str, ...]:
    """Names of the files of strategies that trade, in order, for describing a desk; none where its settings cannot be
    read: whatever runs then says why."""
    try:
        return read_settings(where).trading
    except ConfigError:
        return ()


def _files(where: Place) -> list[Path]:
    config = project_folder("config")
    return [config / "base.toml", config / f"{where.deployment}.toml", where.desk_file]


def _merged(files: Iterable[Path]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for file in files:
        if file.exists():
            found = _over(found, _read(file))
    return found


def strategy_files(where: Place) -> dict[str, Path]:
    """Strategy files by name (the file's, without .toml): the shipped ones, and the home's own over them."""
    folders = (project_folder("config") / "strategies", where.home / "strategies")
    found = {file.stem: file for folder in folders if folder.is_dir() for file in folder.glob("*.toml")}
    return dict(sorted(found.items()))


def strategy_file(name_or_path: str | Path, where: Place, plugins: Sequence[str] = ()) -> StrategySettings:
    """A strategy for a backtest: the name of a file of `strategy_files`, or the path of a .toml file. Its rules are
    Daybook's own, those of the modules `plugins`, or those of installed packages.

    Raises ConfigError naming the known strategies, or file, setting, value and what is allowed; WrongSpecification
    where a plugin cannot be imported.
    """
    given, library = str(name_or_path), strategy_files(where)
    file = Path(given) if given.endswith(".toml") else _of_library(given, library)
    if not file.is_file():
        known = ", ".join(library) or "none"
        raise ConfigError(f"there is no strategy file {given}. Give a file that exists, or one of these: {known}.")
    strategy = _unchecked(file)
    check_strategy(strategy, plugins)
    return strategy


def check_strategy(strategy: StrategySettings, plugins: Sequence[str] = ()) -> None:
    """Raises ConfigError on a rule or a parameter of a rule that does not exist or is wrong."""
    from pipelines.plugins import known_rules
    from trading.strategies.rule import check_rules

    check_rules(strategy, known_rules(plugins, (rule.rule for rule in strategy.rules.values())))


def own_settings(where: Place) -> Mapping[str, Any]:
    """What the home's own desk.toml says, nothing under it; empty where there is none."""
    return _read(where.desk_file) if where.desk_file.exists() else {}


def write_desk(where: Place, changes: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes settings into the home's desk.toml, keeping the rest of it; atomic."""
    import tomlkit

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
    except OSError as cause:
        raise ConfigError(f"{file} cannot be read: {cause.strerror or cause}. Make it readable.") from cause
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as cause:
        raise ConfigError(f"{file}: not valid TOML: {cause}. Correct the file and run again.") from cause


def _over(under: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in upper.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _over(merged[key], value) if both else value
    return merged


def _traded(names: Any, library: Mapping[str, Path]) -> list[StrategySettings]:
    wanted = [name for name in names if isinstance(name, str)] if isinstance(names, list | tuple) else []
    found = [_strategy(_of_library(name, library)) for name in wanted]
    called = [strategy.name for strategy in found]
    twice = sorted({name for name in called if called.count(name) > 1})
    if twice:
        raise ConfigError(f"setting trading names strategies that are both called {twice[0]}. Give each its own name.")
    return found


def _of_library(name: str, library: Mapping[str, Path]) -> Path:
    if name in library:
        return library[name]
    known = ", ".join(library) or "none"
    raise ConfigError(f"strategy {name} is unknown.{did_you_mean(name, library)} Strategies are: {known}.")


def _strategy(file: Path) -> StrategySettings:
    """A strategy that the close trades, by Daybook's own rules."""
    from trading.strategies.rule import check_rules

    strategy = _unchecked(file)
    check_rules(strategy)
    return strategy


def _unchecked(file: Path) -> StrategySettings:
    try:
        return StrategySettings.model_validate({"name": file.stem, **_read(file)})
    except ValidationError as cause:
        raise ConfigError(refusal(cause, StrategySettings, str(file))) from cause
