"""The broker that a desk's settings name, with what it works on.

Belongs here: making brokers from settings, and finding the statement files of those that give files. Does not belong
here: typed Dagster resources (`deployments.py`), or using a broker.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.settings import Place, project_folder
from trading.config.models import BrokerSettings, DeskSettings
from trading.ports import Broker, FrameStore, ReferenceStore

if TYPE_CHECKING:
    from resources.brokers.ib_futures import ListedFuture
    from resources.brokers.listing import Statements

BOOKS = "broker.sqlite"  # of the home: what a broker of ours remembers
FILES = ("statement_file",)  # brokers whose statements are files


def broker_of(where: Place, settings: DeskSettings, frames: FrameStore, found: ReferenceStore) -> Broker:
    """The broker that the settings name."""
    chosen = settings.broker
    if chosen.name == "statement_file":
        return _statement_file(where.home, chosen, found)
    if chosen.name == "interactive_brokers":
        return _interactive_brokers(where.home, chosen, found)
    return _paper(where.home, frames, found)


def _paper(home: Path, frames: FrameStore, found: ReferenceStore) -> Broker:
    """Filled at the desk's daily prices."""
    from resources.brokers.paper import PaperBroker
    from resources.brokers.quotes import DailyQuotes

    return PaperBroker(home / BOOKS, DailyQuotes(frames), found.instruments)


def _interactive_brokers(home: Path, chosen: BrokerSettings, found: ReferenceStore) -> Broker:
    """A gateway, at an address of the settings."""
    from resources.brokers.interactive_brokers import InteractiveBrokers

    return InteractiveBrokers(
        futures=_listed(home),
        instruments=found.instruments,
        account=chosen.account,
        host=chosen.host,
        port=chosen.port,
        client_id=chosen.client_id,
        timeout_s=chosen.timeout_seconds,
        symbols=chosen.symbols,
        timezone=chosen.timezone,
        session_ends=chosen.session_ends,
        history_days=chosen.history_days,
        order_type=chosen.order_type,
        sent=home / BOOKS,
    )


def _statement_file(home: Path, chosen: BrokerSettings, found: ReferenceStore) -> Broker:
    """Orders and statements as files."""
    from resources.brokers.order_files import OrderFiles
    from resources.brokers.statement_file import StatementFileBroker

    names = {code: symbol for symbol, code in symbols_of(home, chosen).items()}
    orders = OrderFiles(home / BOOKS, home / "orders", names)
    return StatementFileBroker(statements_of(home, chosen, found), orders)


def statement_folder(home: Path, chosen: BrokerSettings) -> Path:
    """Where statement files are put: the folder of the settings, or the home's own, which is made."""
    if chosen.statements is not None:
        return Path(chosen.statements)
    folder = home / "statements"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def statements_of(home: Path, chosen: BrokerSettings, found: ReferenceStore) -> Statements:
    """The statement files of a desk."""
    from resources.brokers.csv_statement import CsvStatements
    from resources.brokers.flex_statement import FlexStatements
    from resources.brokers.listing import Symbols

    folder = statement_folder(home, chosen)
    symbols = Symbols(symbols_of(home, chosen), found.instruments, found.roll_parameters, _sizes(home))
    if chosen.statement_format == "flex":
        return FlexStatements(folder, chosen.account, symbols, chosen.timezone)
    return CsvStatements(folder, chosen.columns, symbols)


def symbols_of(home: Path, chosen: BrokerSettings) -> dict[str, str]:
    """The broker's symbols as instruments: those of the settings, over those that reference data has of Interactive
    Brokers where statements are Flex files. A symbol of several instruments there is none's."""
    if chosen.statement_format != "flex":
        return dict(chosen.symbols)
    listed = {code: future.trading_class or future.symbol for code, future in _listed(home).items()}
    often = Counter(listed.values())
    return {symbol: code for code, symbol in listed.items() if often[symbol] == 1} | chosen.symbols


def _sizes(home: Path) -> dict[str, tuple[float, ...]]:
    """Multipliers under which Interactive Brokers may list instruments: as they are, and for prices in cents."""
    listed = _listed(home).items()
    return {code: (future.multiplier, future.multiplier / future.price_magnifier) for code, future in listed}


def _listed(home: Path) -> dict[str, ListedFuture]:
    from resources.brokers.ib_futures import listed_futures

    return listed_futures([project_folder("reference"), home / "reference"])
