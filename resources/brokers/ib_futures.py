"""Which future of Interactive Brokers an instrument is, read from `reference/brokers/interactive_brokers.csv`.

Belongs here: the mapping both ways, and the ratio of their prices to ours. Does not belong here: asking the gateway
(`ib_gateway.py`), or what an instrument is worth (`reference/instruments.csv`).

The broker states a price in units of which one is worth `multiplier / price_magnifier` of the currency: corn has a
multiplier of 5,000 bushels, and its magnifier of 100 says that it is quoted in cents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from resources.csv_tables import Row, read_rows
from trading.errors import ReferenceDataError
from trading.market.instruments import Instrument

FILE = "brokers/interactive_brokers.csv"
COLUMNS = ("instrument", "symbol", "exchange", "currency", "multiplier", "price_magnifier", "trading_class")


@dataclass(frozen=True, slots=True)
class ListedFuture:
    """A future as Interactive Brokers names it; `trading_class` is empty where the symbol alone says which."""

    instrument: str
    symbol: str
    exchange: str
    currency: str
    multiplier: float
    price_magnifier: int = 1
    trading_class: str = ""

    def key(self) -> tuple[str, str, float]:
        """What every message about one of its contracts states: symbol, currency and multiplier."""
        return self.symbol, self.currency, self.multiplier

    def points_per_unit(self, instrument: Instrument) -> float:
        """Our points for one unit of the broker's price: coffee at 180 cents there is 1.80 here, a ratio of 0.01."""
        return self.multiplier / self.price_magnifier / instrument.point_value_local


def listed_futures(folders: Sequence[Path]) -> dict[str, ListedFuture]:
    """Listings by instrument, from the folders of reference data that have the file; a later folder's row of an
    instrument replaces an earlier one's. Raises BadInput on a row that is wrong."""
    found: dict[str, ListedFuture] = {}
    for folder in folders:
        if (folder / FILE).exists():
            rows = [_future(row) for row in read_rows(folder / FILE, COLUMNS)]
            found |= {future.instrument: future for future in rows}
    return found


def renamed(futures: Mapping[str, ListedFuture], symbols: Mapping[str, str]) -> dict[str, ListedFuture]:
    """The same with other symbols for some instruments (symbol to instrument), checked: raises ReferenceDataError
    where a symbol is given to an instrument that is not listed, or two instruments are the same future."""
    unlisted = sorted(code for code in symbols.values() if code not in futures)
    if unlisted:
        raise ReferenceDataError(
            f"trading.broker.symbols names {', '.join(unlisted)}, which {FILE} does not list. Add a row there with "
            "exchange, currency and multiplier."
        )
    named = {code: replace(futures[code], symbol=symbol) for symbol, code in symbols.items()}
    by_key: dict[tuple[object, ...], str] = {}
    for code, future in {**futures, **named}.items():
        twin = by_key.setdefault((*future.key(), future.trading_class), code)
        if twin != code:
            raise ReferenceDataError(
                f"{twin} and {code} are the same future {future.symbol} at Interactive Brokers, so its fills could be "
                f"either's. Keep one of the two rows in {FILE}, or tell them apart by trading class."
            )
    return {**futures, **named}


def _future(row: Row) -> ListedFuture:
    fields = row.fields
    for column in ("instrument", "symbol", "exchange", "currency"):
        if not fields[column]:
            raise row.wrong(column, "the field is empty", "Fill it in as the broker's contract search shows it.")
    return ListedFuture(
        fields["instrument"], fields["symbol"], fields["exchange"], fields["currency"],
        _above_zero(row, "multiplier"), int(_above_zero(row, "price_magnifier")), fields["trading_class"],
    )  # fmt: skip


def _above_zero(row: Row, column: str) -> float:
    try:
        value = float(row.fields[column])
    except ValueError:
        value = 0.0
    if not value > 0 or value == float("inf"):
        raise row.wrong(column, "not a number above 0", "Write it as the broker's contract details show it.")
    return value
