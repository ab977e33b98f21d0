"""The data sources that Daybook brings, registered for backtests by name.

Belongs here: a decorated function for each, which makes an adapter from its parameters. Does not belong here: reading
anything (each adapter's own file).
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from trading.backtest.registry import data_source
from trading.backtest.specification import DataSource
from trading.config.settings import Settings


class CsvParameters(Settings):
    """Parameters of `csv`."""

    folder: str = Field(description="folder with adjusted_prices_csv, multiple_prices_csv, fx_prices_csv, csvconfig")


@data_source(version="1", parameters=CsvParameters)
def csv(parameters: CsvParameters) -> DataSource:
    """A folder of CSV files in pysystemtrade's layout."""
    from resources.csv_panels import CsvPanels

    return CsvPanels(Path(parameters.folder))
