"""The settings in force for a desk.

Belongs here: whether files are in force or what was applied, and the strategies of a backtest. Does not belong here:
reading files (`authored.py`), the environment (`place.py`), applying and its history (`configuration.py`), what a
setting means (`trading/config/`), or which adapter serves it (`deployments.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from pipelines.authored import authored, layers, merged, of_library, own_file, own_settings, strategy_files, unchecked
from pipelines.in_force import in_force_section, in_force_settings
from pipelines.place import DEPLOYMENTS, PROJECT, SHIPPED, Place, context, located, place, project_folder, revealed
from pipelines.unread_files import DESK, misnamed
from trading.config.migrations import SCHEMA, migrated, schema_of
from trading.config.models import DeskSettings
from trading.config.settings import Settings
from trading.config.strategies import StrategySettings
from trading.config.symbol_lookup import OfSymbol, SymbolLookup
from trading.errors import ConfigError, SnapshotRefused, UsageError

if TYPE_CHECKING:
    from trading.config.snapshot import Snapshot
    from trading.market.instruments import Instrument

Section = TypeVar("Section", bound=Settings)

__all__ = [
    "DEPLOYMENTS",
    "PROJECT",
    "SHIPPED",
    "Place",
    "authored",
    "check_strategy",
    "classified",
    "context",
    "located",
    "own_settings",
    "place",
    "project_folder",
    "read_section",
    "read_settings",
    "refuse_no_desk",
    "revealed",
    "strategy_file",
    "strategy_files",
    "traded_names",
    "write_desk",
]


def refuse_no_desk(where: Place) -> None:
    """A mistyped --home must not trade a market nobody asked for, nor be judged by the files of every desk. Raises
    UsageError."""
    if not any((where.home / name).exists() for name in (*DESK, "frames")):
        strange = "".join(f" {said}" for said in misnamed(where))
        raise UsageError(
            f"there is no desk in {where.home}. Correct --home or DAYBOOK_HOME; a new desk begins with `daybook load` "
            f"or `daybook demo`.{strange}"
        )


def read_settings(where: Place) -> DeskSettings:
    """The settings in force for a desk: what its files say in development; what was applied in paper and production,
    where files are not even read. Raises ConfigError naming file, setting, value and cure."""
    applied = in_force_settings(where)
    if applied is not None:
        return applied
    found = authored(where)
    if found.settings.environment != "development":
        raise ConfigError(
            f"no configuration is in force, and in environment {found.settings.environment} files are not until they "
            "are applied. Run `daybook config apply --reason`."
        )
    return classified(found.settings, found.table, where)


def read_section(where: Place, section: type[Section]) -> Section:
    """One section of the settings in force, for whoever needs no other: neither the others, nor strategies, nor tables
    of symbols are looked at. Raises ConfigError as `read_settings`."""
    name = next(name for name, field in DeskSettings.model_fields.items() if field.annotation is section)
    applied = in_force_section(where, name, section)
    if applied is not None:
        return applied
    values = merged(layers(where))
    if values.get("environment", "development") == "development":
        with suppress(ValidationError):  # which `read_settings` puts into words
            return section.model_validate(values.get(name, {}), context=context(where))
    found: Section = getattr(read_settings(where), name)
    return found


def classified(
    settings: DeskSettings,
    table: bytes | None,
    of: Place | Mapping[str, Instrument],
    snapshot: Callable[[], Snapshot] | None = None,
) -> DeskSettings:
    """Settings with what each instrument inherits by its asset class and exchange group, of the reference data or as
    given, and by its row in the table. Worked out when an instrument is first asked for; or read from the compiled
    `snapshot` where there is one, so that what was put in force is in force to the last limit."""

    def source() -> OfSymbol:
        with suppress(SnapshotRefused):  # of another version of Daybook, or gone: it is worked out again
            if snapshot is not None:
                return snapshot().symbol
        from pipelines.symbols import columns_of

        return columns_of(settings, table, of).settings

    return settings.with_symbols(SymbolLookup(settings.symbols, source))


def traded_names(where: Place) -> tuple[str, ...]:
    """Names of the files of strategies that trade, in order, for describing a desk; none where its settings cannot be
    read: whatever runs then says why."""
    try:
        return read_settings(where).trading.strategies
    except ConfigError:
        return ()


# --- strategies of backtests ------------------------------------------------------------------------------------------
def strategy_file(name_or_path: str | Path, where: Place, plugins: Sequence[str] = ()) -> StrategySettings:
    """A strategy for a backtest: the name of a file of `strategy_files`, or the path of a .toml file. Its rules are
    Daybook's own, those of the modules `plugins`, or those of installed packages.

    Raises ConfigError naming the known strategies, or file, setting, value and what is allowed; WrongSpecification
    where a plugin cannot be imported.
    """
    given, library = str(name_or_path), strategy_files(where)
    file = Path(given) if given.endswith(".toml") else of_library(given, library)
    if not file.is_file():
        known = ", ".join(library) or "none"
        raise ConfigError(f"there is no strategy file {given}. Give a file that exists, or one of these: {known}.")
    strategy = unchecked(file)
    check_strategy(strategy, plugins)
    return strategy


def check_strategy(strategy: StrategySettings, plugins: Sequence[str] = ()) -> None:
    """Raises ConfigError on a rule or a parameter of a rule that does not exist or is wrong."""
    from pipelines.plugins import known_rules
    from trading.strategies.rule import check_rules

    check_rules(strategy, known_rules(plugins, (rule.rule for rule in strategy.rules.values())))


# --- the home's own file ----------------------------------------------------------------------------------------------
def write_desk(where: Place, changes: Mapping[str, Any]) -> None:
    """Writes settings into the home's desk.toml, keeping the rest of it; atomic. A file of an older schema is written
    anew in today's, and kept beside it as desk.schema1.toml. Raises ConfigError where the home has a desk.yaml."""
    import tomlkit

    file = own_file(where)
    if file != where.desk_file:
        raise ConfigError(f"{file} is YAML, which is not written into. Make it desk.toml, or change it by hand.")
    own_settings(where)  # says what is wrong with the file, if anything is
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    document: Any = tomlkit.parse(text)
    schema = schema_of(document.unwrap(), str(file))
    if schema < SCHEMA:
        if text:
            file.with_suffix(f".schema{schema}.toml").write_text(text, encoding="utf-8")
        document = tomlkit.item({"schema": SCHEMA} | migrated(document.unwrap(), str(file)))
    _put(document, changes, tomlkit.table)
    where.home.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".toml.new")
    draft.write_text(tomlkit.dumps(document), encoding="utf-8")
    draft.replace(file)


def _put(table: Any, changes: Mapping[str, Any], empty: Callable[[], Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, Mapping):
            _put(table.setdefault(key, empty()), value, empty)
        else:
            table[key] = value
