"""What a desk's configuration files say: found, read, laid over one another, and validated as one.

Belongs here: the files and their order. Does not belong here: reading one file (`resources/config_documents.py`), what
a setting means (`trading/config/`), or which configuration is in force (`settings.py`).

Order, later over earlier: `config/base.toml`, `config/<environment>.toml`, `config/<deployment>.toml`, the home's
`desk.toml` (or `desk.yaml`). Strategies are the files of `config/strategies/` and, of the same name over them,
`<home>/strategies/`; those that `trading.strategies` names trade. The table of symbols lies beside the file that names
it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipelines.place import ENVIRONMENTS, Place, context, document_ceilings, project_folder
from resources import changed_files
from resources.config_documents import exists, read_bounded, read_document
from trading.config.documents import Document, key_text, place_of, shown
from trading.config.migrations import authored_path, migrated, schema_of
from trading.config.models import DeskSettings
from trading.config.refusals import did_you_mean, refusals
from trading.config.strategies import StrategySettings
from trading.config.symbols import LONGEST_PLACE, PLACE
from trading.errors import ConfigError

NOTES = "config"  # folder of the home, for notes on files that are being changed
TABLE = ("symbols", "table")
TRADED = ("trading", "strategies")


@dataclass(frozen=True, slots=True)
class Authored:
    """Files as people wrote them, and the settings they come to. `table`: the CSV file of symbols, if there is one.
    `notes`: what is allowed and perhaps not meant, where that was looked for."""

    settings: DeskSettings
    documents: tuple[Document, ...] = field(repr=False)
    files: tuple[Path, ...]
    table: bytes | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()


def authored(where: Place) -> Authored:
    """Settings as the files of a desk say; those that a killed rollback was changing are put back first. Raises
    ConfigError naming file, line, setting, value and cure, with every setting that is wrong."""
    changed_files.undo_unfinished(where.home, where.home / NOTES)
    return as_written(where)


def as_written(where: Place) -> Authored:
    """As `authored`, for who is changing the files."""
    documents = _layers(where)
    values = merged(documents)
    if "strategies" in values:
        raise ConfigError(
            f"{place_of(documents)(('strategies',))}: setting strategies cannot be given. Put each strategy into a "
            f"file of {where.home / 'strategies'} and name it in trading.strategies."
        )
    table = table_file(values, documents, where)
    if table is not None:
        values["symbols"] = {**values["symbols"], "table_sha256": hashlib.sha256(table).hexdigest()}
    library = strategy_files(where)
    trading = values.get("trading")
    names = trading.get("strategies", ()) if isinstance(trading, Mapping) else ()
    values["strategies"] = _traded(names, library, place_of(documents))
    files = [Path(document.file) for document in documents] + _table_files(values, documents)
    return Authored(validated(values, documents, where), tuple(documents), tuple(files), table)


def validated(values: Mapping[str, Any], documents: Sequence[Document], where: Place) -> DeskSettings:
    """Settings of merged values. Raises ConfigError with a sentence for each setting that is wrong."""
    try:
        return DeskSettings.model_validate(values, context=context(where))
    except ValidationError as cause:
        found = refusals(cause, DeskSettings, place_of(documents))
        listed = ", ".join(document.file for document in documents)
        said = "\n  ".join(["the configuration is wrong:", *found])
        raise ConfigError(f"{said}\nCorrect it in one of: {listed}.", found) from cause


def changed_together(where: Place, files: Mapping[Path, bytes], label: str) -> AbstractContextManager[None]:
    """Files of a home that hold new content while the block runs, and for good where it ends without an exception; what
    was there is kept beside, with `label` in its name. Raises StoreBusy, StoreUnavailable."""
    return changed_files.changed_together(where.home, where.home / NOTES, files, label)


def copy_of(file: Path, label: str) -> Path | None:
    """Where `changed_together` keeps what a file held; None where there is no such file."""
    return changed_files.copy_of(file, label)


# --- files ------------------------------------------------------------------------------------------------------------
def layers(where: Place) -> list[Document]:
    """The desk's documents that there are, in order, each in today's schema. Raises ConfigError as `authored`."""
    changed_files.undo_unfinished(where.home, where.home / NOTES)
    return _layers(where)


def beneath(where: Place, environment: str) -> list[Document]:
    """The project's own documents that there are, in order, for an environment: what a home's own file lies over."""
    names = ("base", *([environment] if environment in ENVIRONMENTS else []), where.deployment)
    found = (in_todays_schema(project_folder("config") / f"{name}.toml", where) for name in names)
    return [document for document in found if document is not None]


def _layers(where: Place) -> list[Document]:
    config = project_folder("config")
    deployment, own = in_todays_schema(config / f"{where.deployment}.toml", where), _own(where)
    environment = _environment(where, deployment, own)
    found = [*beneath(where, environment), *([] if own is None else [own])]
    if where.environment is not None:
        found.append(Document("DAYBOOK_ENVIRONMENT", {"environment": where.environment}, {}))
    return found


def own_settings(where: Place) -> Mapping[str, Any]:
    """What the home's own file says, nothing under it, in today's schema; empty where there is none."""
    found = _own(where)
    return {} if found is None else found.values


def own_file(where: Place) -> Path:
    """The home's own file: desk.toml, or desk.yaml where that is what there is. Raises ConfigError where both are."""
    found = [file for file in (where.desk_file, where.home / "desk.yaml") if exists(file)]
    if len(found) > 1:
        raise ConfigError(f"{found[0]} and {found[1]} both exist. Keep the one that is meant.")
    return found[0] if found else where.desk_file


def _own(where: Place) -> Document | None:
    return in_todays_schema(own_file(where), where)


def _environment(where: Place, *documents: Document | None) -> str:
    """What the variable says, else the last file that does. Raises ConfigError where variable and file disagree."""
    said = [(doc.file, doc.values["environment"]) for doc in documents if doc and "environment" in doc.values]
    if where.environment is None:
        return str(said[-1][1]) if said and isinstance(said[-1][1], str) else "development"
    if said and said[-1][1] != where.environment:
        raise ConfigError(
            f"DAYBOOK_ENVIRONMENT is {where.environment!r} and environment in {said[-1][0]} is {shown(said[-1][1])}. A "
            "desk is of one environment: unset the variable, or correct the file."
        )
    return where.environment


def in_todays_schema(file: Path, where: Place) -> Document | None:
    """A document in today's schema, lines by today's paths; None where there is no such file. Raises ConfigError."""
    if not exists(file):
        return None
    found = read_document(file, document_ceilings(where))
    schema = schema_of(found.values, found.file)
    values = migrated(found.values, found.file)
    del values["schema"]
    old = found.lines
    lines = {path: old[before] for path in _paths(values) if (before := authored_path(path, schema)) in old}
    return Document(found.file, values, lines)


def _paths(values: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The path of every value and section."""
    inner: list[tuple[str | int, Any]] = []
    if isinstance(values, Mapping):
        inner = list(values.items())
    elif isinstance(values, list):
        inner = list(enumerate(values))
    below = [each for key, value in inner for each in _paths(value, (*path, key))]
    return [path, *below] if path else below


def merged(documents: Sequence[Document]) -> dict[str, Any]:
    """Later documents over earlier ones, section by section."""
    found: dict[str, Any] = {}
    for document in documents:
        found = over(found, document.values)
    return found


def over(under: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """One document of values over another, section by section; lists as a whole."""
    together = dict(under)
    for key, value in upper.items():
        both = isinstance(value, Mapping) and isinstance(together.get(key), Mapping)
        together[key] = over(together[key], value) if both else value
    return together


# --- the table of symbols ---------------------------------------------------------------------------------------------
def _table_files(values: Mapping[str, Any], documents: Sequence[Document]) -> list[Path]:
    named = _named(values)
    if named is None:
        return []
    by = next(document for document in reversed(documents) if _named(document.values) is not None)
    return [Path(by.file).parent / named]


def _named(values: Mapping[str, Any]) -> str | None:
    """The table's name; None where there is none, or one that the models refuse."""
    symbols = values.get(TABLE[0])
    named = symbols.get(TABLE[1]) if isinstance(symbols, Mapping) else None
    fits = isinstance(named, str) and len(named) <= LONGEST_PLACE and PLACE.fullmatch(named)
    return str(named) if fits else None


def table_file(values: Mapping[str, Any], documents: Sequence[Document], where: Place) -> bytes | None:
    """The table of symbols as bytes; None where no file names one. Raises ConfigError where it is not there, or too
    large."""
    files = _table_files(values, documents)
    if not files:
        return None
    if not exists(files[0]):
        raise ConfigError(
            f"{place_of(documents)(TABLE)}: symbols.table names {files[0]}, and there is no such file. Correct it, or "
            "take it out."
        )
    root = files[0].parents[len(Path(str(_named(values))).parts) - 1]
    return read_bounded(files[0], where.ceilings.table_bytes, root)


# --- strategies -------------------------------------------------------------------------------------------------------
def strategy_files(where: Place) -> dict[str, Path]:
    """Strategy files by name (the file's, without .toml): the shipped ones, and the home's own over them."""
    folders = (project_folder("config") / "strategies", where.home / "strategies")
    found = {file.stem: file for folder in folders if folder.is_dir() for file in folder.glob("*.toml")}
    return dict(sorted(found.items()))


def _traded(names: Any, library: Mapping[str, Path], place: Callable[[Any], str | None]) -> list[StrategySettings]:
    listed = enumerate(names) if isinstance(names, list | tuple) else ()
    wanted = [(number, name) for number, name in listed if isinstance(name, str)]
    found = [checked(of_library(name, library, place((*TRADED, number)))) for number, name in wanted]
    called = [strategy.name for strategy in found]
    again = next((at for at, name in enumerate(called) if name in called[:at]), None)
    if again is not None:
        at = place((*TRADED, wanted[again][0]))
        raise ConfigError(
            f"{at}: trading.strategies names strategies that are both called {called[again]}. Give each its own name."
        )
    return found


def of_library(name: str, library: Mapping[str, Path], place: str | None = None) -> Path:
    """The file of a strategy. Raises ConfigError naming the known ones, and `place`, where the name stands."""
    if name in library:
        return library[name]
    known = ", ".join(library) or "none"
    named = f"{place}: " if place else ""
    raise ConfigError(
        f"{named}strategy {key_text(name)} is unknown.{did_you_mean(name, library)} Strategies are: {known}."
    )


def checked(file: Path) -> StrategySettings:
    """A strategy that the close trades, by Daybook's own rules. Raises ConfigError as `unchecked`."""
    from trading.strategies.rule import check_rules

    strategy = unchecked(file)
    try:
        check_rules(strategy)
    except ConfigError as cause:
        raise ConfigError(f"{file}: {cause}") from cause
    return strategy


def unchecked(file: Path) -> StrategySettings:
    """A strategy file, its rules not looked at. Raises ConfigError with file, line, setting, value and cure."""
    found = read_document(file)
    try:
        return StrategySettings.model_validate({"name": file.stem, **found.values})
    except ValidationError as cause:
        place = place_of([found])
        said = refusals(cause, StrategySettings, lambda path: place(path) or str(file))
        raise ConfigError(f"{' '.join(said)} Correct it and run again.", said) from cause
