"""The broker that a desk's settings name, with what it works on.

Belongs here: making brokers from settings, and finding the statement files of those that give files. Does not belong
here: typed Dagster resources (`deployments.py`), or using a broker.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.live import permit_of, proof_of
from pipelines.place import located, place
from pipelines.settings import Place, project_folder
from pipelines.wiring import utc_now
from trading.config.live import LiveCapability, PaperPermit
from trading.config.models import DeskSettings
from trading.config.trading import BrokerSettings
from trading.errors import LiveRefused
from trading.ports import Broker, FrameStore, ReferenceStore

if TYPE_CHECKING:
    from resources.brokers.ib_futures import ListedFuture
    from resources.brokers.listing import Statements
    from resources.brokers.without_orders import Reading

BOOKS = "broker.sqlite"  # of the home: what a broker of ours remembers
FILES = ("statement_file",)  # brokers whose statements are files


def broker_of(where: Place, settings: DeskSettings, frames: FrameStore, found: ReferenceStore) -> Broker:
    """The broker that the settings name. Outside production it sends orders on paper; in production it sends them live,
    or none while no signed live configuration holds: it can be read all the same."""
    chosen = settings.trading.broker
    if chosen.name == "paper":
        return _paper(where.home, frames, found)
    kind = _Files if chosen.name == "statement_file" else _Gateway
    made = kind(where, settings, found)
    try:
        permit = permit_of(where, settings)
    except LiveRefused as why:
        from resources.brokers.without_orders import WithoutOrders

        return WithoutOrders(made.reading(), why)
    return made.sending(permit)


def _paper(home: Path, frames: FrameStore, found: ReferenceStore) -> Broker:
    """Filled at the desk's daily prices."""
    from resources.brokers.paper import PaperBroker
    from resources.brokers.quotes import DailyQuotes

    return PaperBroker(home / BOOKS, DailyQuotes(frames), found.instruments)


@dataclass(frozen=True, slots=True)
class _Gateway:
    """A gateway of Interactive Brokers, at an address of the settings."""

    where: Place
    settings: DeskSettings
    found: ReferenceStore

    def reading(self) -> Reading:
        """What sends nothing."""
        from resources.brokers.ib_account import InteractiveBrokersAccount

        return InteractiveBrokersAccount(**self._given())

    def sending(self, permit: LiveCapability | PaperPermit) -> Broker:
        """What sends orders under a permit."""
        from resources.brokers.interactive_brokers import InteractiveBrokers

        proof = proof_of(self.where, self.settings)
        return InteractiveBrokers(
            permit=permit, clock=utc_now, proof=proof, symbol=self.settings.symbol, **self._given()
        )

    def _given(self) -> dict[str, Any]:
        chosen = self.settings.trading.broker
        return {
            "futures": _listed(self.where.home),
            "instruments": self.found.instruments,
            "account": chosen.account,
            "host": chosen.host,
            "port": chosen.port,
            "client_id": chosen.client_id,
            "timeout_s": chosen.timeout_seconds,
            "symbols": chosen.symbols,
            "timezone": chosen.timezone,
            "session_ends": chosen.session_ends,
            "history_days": chosen.history_days,
            "sent": self.where.home / BOOKS,
        }


@dataclass(frozen=True, slots=True)
class _Files:
    """Orders and statements as files."""

    where: Place
    settings: DeskSettings
    found: ReferenceStore

    def reading(self) -> Reading:
        """What hands nothing over: live orders of before are shown with what became of them."""
        from resources.brokers.order_files import HandedOrders
        from resources.brokers.statement_file import StatementFiles

        handed = HandedOrders(self.where.home / BOOKS, self.where.home, self._names(), live=True)
        return StatementFiles(self._statements(), handed)

    def sending(self, permit: LiveCapability | PaperPermit) -> Broker:
        """What hands orders over under a permit."""
        from resources.brokers.order_files import OrderFiles
        from resources.brokers.statement_file import StatementFileBroker

        orders = OrderFiles(
            self.where.home / BOOKS, self.where.home, self._names(),
            permit=permit, clock=utc_now, account=self.settings.trading.broker.account,
            proof=proof_of(self.where, self.settings),
        )  # fmt: skip
        return StatementFileBroker(self._statements(), orders)

    def _statements(self) -> Statements:
        return statements_of(self.where.home, self.settings.trading.broker, self.found)

    def _names(self) -> dict[str, str]:
        return {code: symbol for symbol, code in symbols_of(self.where.home, self.settings.trading.broker).items()}


def handed_live(home: Path) -> set[str]:
    """Ids of orders that a home handed over live, to a gateway or as files."""
    from resources.brokers.ib_orders import SentOrders
    from resources.brokers.order_files import HandedOrders

    if not (home / BOOKS).exists():
        return set()
    sent, handed = SentOrders(home / BOOKS), HandedOrders(home / BOOKS, home, live=True)
    try:
        return sent.live() | handed.live()
    finally:
        sent.close()


def statement_folder(home: Path, chosen: BrokerSettings) -> Path:
    """Where statement files are put: the folder of the settings, or the home's own, which is made. Raises ConfigError
    where the settings lead out of the roots."""
    if chosen.statements is not None:
        return located(chosen.statements, place(home))
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
