"""`daybook config validate`: everything that is wrong with the files of a desk, at once.

Belongs here: going on after a fault, so that the next one is found too. Does not belong here: what is wrong (the models
and whoever reads a file say so), or putting anything in force (`configuration.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipelines.authored import (
    TRADED,
    Authored,
    checked,
    in_todays_schema,
    layers,
    merged,
    of_library,
    own_file,
    strategy_files,
    table_file,
)
from pipelines.configuration import proposed
from pipelines.configuration_names import judged
from pipelines.place import Place, context, project_folder, strange_variables, unset_secrets
from pipelines.symbols import columns_of
from trading.config.documents import Document, place_of
from trading.config.models import DeskSettings
from trading.config.refusals import refusals
from trading.errors import ConfigError


def validated(where: Place) -> dict[str, Any]:
    """What the files come to, or every fault of them: files that cannot be read, settings, strategies, the table of
    symbols. `notes` are things that are allowed, and perhaps not meant."""
    faults = [*_of_files(where)] or [*_of_settings(where)]
    if faults:
        return {"faults": faults, "count": len(faults), "exit_code": ConfigError.exit_code}
    found = proposed(where)
    return {
        "configuration": found.settings.content_hash(),
        "environment": found.settings.environment,
        "files": [str(file) for file in found.files],
        "symbols": len(columns_of(found.settings, found.table, where)),
        "strategies": list(found.settings.trading.strategies),
        "notes": [*found.notes, *strange_variables(found.settings), *unset_secrets(found.settings, where)],
        "faults": [],
        "count": 0,
        "exit_code": 0,
    }


def _of_files(where: Place) -> Iterator[str]:
    """Files that are no documents, or of another schema."""
    config = project_folder("config")
    own = list(_said(partial(own_file, where)))
    files = [config / "base.toml", config / f"{where.deployment}.toml", *([] if own else [own_file(where)])]
    yield from own
    for file in files:
        yield from _said(partial(in_todays_schema, file, where))


def _of_settings(where: Place) -> Iterator[str]:
    """Settings and strategies, each by itself; then all that only the whole tells."""
    try:
        documents = layers(where)
    except ConfigError as cause:
        yield str(cause)
        return
    values = merged(documents)
    models, strategies = _of_models(values, documents, where), [*_of_strategies(values, documents, where)]
    yield from (*models, *strategies)
    if not models:
        yield from _said(partial(_names, values, documents, where) if strategies else partial(proposed, where))


def _names(values: dict[str, Any], documents: Sequence[Document], where: Place) -> None:
    """Names of symbols and strategies, where strategies that trade are wrong."""
    table = table_file(values, documents, where)
    own = {name: value for name, value in values.items() if name != "strategies"}
    settings = DeskSettings.model_validate(own, context=context(where))
    judged(where, Authored(settings, tuple(documents), (), table))


def _of_models(values: Mapping[str, Any], documents: Sequence[Document], where: Place) -> list[str]:
    own = {name: value for name, value in values.items() if name != "strategies"}
    try:
        DeskSettings.model_validate(own, context=context(where))
    except ValidationError as cause:
        return refusals(cause, DeskSettings, place_of(documents))
    return []


def _of_strategies(values: Mapping[str, Any], documents: Sequence[Document], where: Place) -> Iterator[str]:
    trading, library, place = values.get("trading"), strategy_files(where), place_of(documents)
    names = trading.get("strategies", ()) if isinstance(trading, Mapping) else ()
    for number, name in enumerate(names if isinstance(names, list) else ()):
        if isinstance(name, str):
            yield from _said(partial(_strategy, name, library, place((*TRADED, number))))


def _strategy(name: str, library: Mapping[str, Path], place: str | None) -> None:
    checked(of_library(name, library, place))


def _said(done: Callable[[], object]) -> Iterator[str]:
    """Why something was refused, a sentence a fault; nothing where it was not."""
    try:
        done()
    except ConfigError as cause:
        yield from cause.faults or [str(cause)]
