"""The data sources that Daybook brings, registered for backtests by name.

Belongs here: a decorated function for each, which makes adapters from its parameters. Does not belong here: reading
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
    kept: str | None = Field(None, description="folder where panels are kept as memory-mapped files; none: read anew")


class StoreParameters(Settings):
    """Parameters of `store`."""

    home: str = Field(description="the desk's folder")
    deployment: str = Field("local", description="which backends serve it")
    kept: bool = Field(True, description="panels are kept as memory-mapped files under the home")


@data_source(version="1", parameters=CsvParameters)
def csv(parameters: CsvParameters) -> DataSource:
    """A folder of CSV files in pysystemtrade's layout."""
    from resources.csv_panels import CsvPanels

    return _kept(CsvPanels(Path(parameters.folder)), None if parameters.kept is None else Path(parameters.kept))


@data_source(version="1", parameters=StoreParameters)
def store(parameters: StoreParameters) -> DataSource:
    """What a desk has loaded: its clean prices, rolls and exchange rates, as they are now."""
    from pipelines import wiring
    from pipelines.settings import place
    from resources.frame_panels import FramePanels

    where = place(parameters.home, parameters.deployment)
    source = FramePanels(wiring.frame_store(where), wiring.reference(where))
    return _kept(source, where.home / "cache" / "panels" if parameters.kept else None)


def _kept(source: DataSource, folder: Path | None) -> DataSource:
    from resources.panels import KeptPanels, PanelFiles

    return source if folder is None else KeptPanels(source, PanelFiles(folder))
