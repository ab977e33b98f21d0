"""Settings of one instrument at a time, for code that asks by name.

Belongs here: answering from columns, and without them from what the files say of a name alone. Does not belong here:
making columns (`inheritance.py`), or reads within microseconds (`snapshot.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from typing import Protocol

from trading.config.symbol_fields import FIELDS, SymbolSettings, Value
from trading.config.symbols import SymbolsSettings
from trading.errors import UnknownSymbol


class OfSymbol(Protocol):
    """What is in force for an instrument, for a strategy or for none."""

    def __call__(self, code: str, strategy: str | None = None) -> SymbolSettings:
        """Its settings."""
        ...


def as_shipped(code: str, strategy: str | None = None) -> SymbolSettings:
    """The settings that every instrument has where nothing was set."""
    return SymbolSettings()


class SymbolLookup:
    """What is in force for instruments. `source` gives who knows them (`SymbolColumns.settings`, `Snapshot.symbol`) and
    is called when one is first asked for. Those it does not know, or all without it, have defaults, what their
    strategy changes, and their own entry of `symbols`."""

    def __init__(self, settings: SymbolsSettings, source: Callable[[], OfSymbol] | None = None) -> None:
        self.settings, self._make = settings, source
        self._known: dict[tuple[str, str | None], SymbolSettings] = {}

    @cached_property
    def _source(self) -> OfSymbol | None:
        """Who knows; None where only names are known. Raises ConfigError where the table is wrong."""
        return None if self._make is None else self._make()

    def of(self, code: str, strategy: str | None = None) -> SymbolSettings:
        """Settings of an instrument, for a strategy or for none."""
        key = (code, strategy)
        if key not in self._known:
            self._known[key] = self._found(code, strategy)
        return self._known[key]

    def _found(self, code: str, strategy: str | None) -> SymbolSettings:
        source = self._source
        if source is not None:
            with suppress(UnknownSymbol):
                return source(code, strategy)
        levels = [self.settings.strategies.get(strategy or ""), self.settings.symbols.get(code)]
        values: dict[str, Value] = self.settings.defaults.model_dump()
        for level in levels:
            if level is not None:
                values |= level.model_dump(exclude_none=True)
        return _settings(values)


def _settings(values: Mapping[str, Value]) -> SymbolSettings:
    return SymbolSettings(**{field.name: values[field.name] for field in FIELDS})  # type: ignore[arg-type]
