"""Names in the files of a desk that nobody knows: refused, or noted.

Belongs here: what each environment allows, and where known names come from. Does not belong here: finding them
(`trading/config/unknown_names.py`).
"""

from __future__ import annotations

from pipelines.authored import Authored, strategy_files
from pipelines.place import Place
from pipelines.symbols import classifications, table_of
from trading.config.documents import place_of
from trading.config.inheritance import idle
from trading.config.unknown_names import idle_strategies, strange_rows, strange_strategies, strange_universe
from trading.errors import ConfigError


def noted(where: Place, found: Authored) -> tuple[str, ...]:
    """What is allowed in files, and perhaps not meant, a sentence each. Raises ConfigError with every name that nobody
    knows; in development instruments of `data.universe` are only noted, since their data may come later."""
    settings, place = found.settings, place_of(found.documents)
    symbols, known = settings.symbols, classifications(where)
    table, library = table_of(settings, found.table, where), strategy_files(where)
    traded = [strategy.name for strategy in settings.strategies]
    everything = known.keys() | set(table.symbols if table is not None else ())
    unknown = list(strange_universe(settings.data.universe, everything, place))
    faults = list(strange_strategies(symbols, traded, library, place))
    faults += strange_rows(table, known) if table is not None else ()
    if settings.environment != "development":
        faults, unknown = faults + unknown, []
    if faults:
        raise ConfigError("\n".join(faults), faults)
    return (*idle(symbols, table, known), *idle_strategies(symbols, traded, library), *unknown)
