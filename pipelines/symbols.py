"""What every instrument of a desk has in the end, as columns.

Belongs here: bringing together settings, the table and the reference data. Does not belong here: inheritance
(`trading/config/inheritance.py`), or reading the table (`resources/symbol_csv.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipelines.place import Place
from trading.config.ceilings import USUAL
from trading.config.inheritance import Classification, resolved
from trading.config.models import DeskSettings
from trading.config.symbol_columns import SymbolColumns

if TYPE_CHECKING:
    from trading.config.symbol_table import SymbolTable
    from trading.market.instruments import Instrument


def columns_of(settings: DeskSettings, table: bytes | None, of: Place | Mapping[str, Instrument]) -> SymbolColumns:
    """Columns of every instrument of the reference data and the table. Raises ConfigError on a wrong table, and where
    table and reference data disagree."""
    return resolved(settings.symbols, table_of(settings, table, of), classifications(of))


def table_of(settings: DeskSettings, table: bytes | None, of: Place | Mapping[str, Instrument]) -> SymbolTable | None:
    """The table of symbols, checked; None where there is none. Raises ConfigError with every fault."""
    if table is None:
        return None
    from resources.symbol_csv import parsed_table

    ceilings = USUAL if isinstance(of, Mapping) else of.ceilings
    return parsed_table(table, str(settings.symbols.table), most_symbols=ceilings.symbols)


def classifications(of: Place | Mapping[str, Instrument]) -> dict[str, Classification]:
    """Asset class and exchange group of every instrument of the reference data of today, or of those given."""
    if isinstance(of, Place):
        from pipelines.wiring import reference, utc_now

        of = reference(of).instruments(utc_now().date())
    return {code: Classification(found.asset_class, found.exchange_group) for code, found in of.items()}
