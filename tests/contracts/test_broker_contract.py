"""What every broker promises. Does not belong here: what only one of them does (`tests/adapters/`)."""

import csv
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "adapters"))

from scripted_gateway import Faults, ScriptedContract, ScriptedGateway

from resources.brokers.csv_statement import CsvStatements
from resources.brokers.ib_futures import ListedFuture
from resources.brokers.interactive_brokers import InteractiveBrokers
from resources.brokers.listing import Symbols
from resources.brokers.order_files import OrderFiles
from resources.brokers.paper import PaperBroker, PaperFaults
from resources.brokers.statement_file import StatementFileBroker
from resources.memory import MemoryBroker
from trading.book.orders import Fill, Order
from trading.book.statements import Statement
from trading.config.live import PaperPermit
from trading.config.trading import StatementColumns
from trading.errors import BrokerError
from trading.market.instruments import Instrument
from trading.ports import Broker

MON, TUE, WED = date(2022, 2, 21), date(2022, 2, 22), date(2022, 2, 23)
NOW = datetime(2022, 2, 21, 22, tzinfo=UTC)
JUN = 20220600
GOLD = Instrument("GOLD", "Gold", "COMEX", "USD", 100.0, 0.1, "metals", "precious", "US")
PRICE = 1800.0


def order(name: str, quantity: int = 2, reference: float | None = PRICE) -> Order:
    return Order(name, "trend", "GOLD", JUN, MON, quantity, "target", reference)


def paper(folder: Path, down: bool = False) -> Broker:
    quotes = {("GOLD", JUN): PRICE}
    faults = PaperFaults(unavailable=down)
    return PaperBroker(folder / "paper.sqlite", lambda _: quotes, lambda _: {"GOLD": GOLD}, faults)


def memory(folder: Path, down: bool = False) -> Broker:
    broker = MemoryBroker()
    broker.down = "the line is dead" if down else None
    return broker


class Executed(StatementFileBroker):
    """A broker of statement files, and somebody who works by its files alone: whenever it is asked, what is in the
    order files by then has been traded in the sessions since, and their statements are in the folder."""

    def __init__(self, home: Path) -> None:
        self._home = home
        (home / "statements").mkdir()
        symbols = Symbols({}, lambda _: {"GOLD": GOLD}, lambda _: {})
        columns = StatementColumns(order_reference="reference")
        super().__init__(
            CsvStatements(home / "statements", columns, symbols),
            OrderFiles(home / "broker.sqlite", home, permit=PaperPermit(), clock=lambda: NOW),
        )

    def fills(self, session: date) -> list[Fill]:
        self._trade(session)
        return super().fills(session)

    def statement(self, session: date) -> Statement | None:
        self._trade(session)
        return super().statement(session)

    def _trade(self, through: date) -> None:
        """Writes the statements up to a session that are not there yet."""
        held = 0
        for session in (MON, TUE, WED):
            file = self._home / "statements" / f"{session}.csv"
            if not file.exists() and session <= through:
                done = [row for row in self._working() if row["session"] < str(session)]
                traded = [f"trade,GOLD,{JUN},{row['quantity']},{PRICE},,,{row['order_id']},2,,{row['order_id']}"
                          for row in done]  # fmt: skip
                held += sum(int(row["quantity"]) for row in done)
                lines = [HEADER, f"position,GOLD,{JUN},{held},{PRICE},,,,,,", *traded]
                file.write_text("\n".join(lines) + "\n")
            elif file.exists():
                held = int(file.read_text().splitlines()[1].split(",")[3])

    def _working(self) -> Iterator[dict[str, str]]:
        for path in sorted((self._home / "paper-orders").glob("*.csv")):
            with path.open() as file:
                session = path.stem.removeprefix("PAPER-")
                yield from (row | {"session": session} for row in csv.DictReader(file) if row["status"] == "working")


HEADER = "record,symbol,contract,quantity,price,currency,amount,trade_id,commission,executed_at,reference"


def statement_files(folder: Path, down: bool = False) -> Broker:
    if not down:
        return Executed(folder)
    symbols = Symbols({}, lambda _: {"GOLD": GOLD}, lambda _: {})
    (folder / "paper-orders").write_text("a file where the folder belongs")
    gone = CsvStatements(folder / "gone", StatementColumns(), symbols)
    books = folder / "paper-orders" / "broker.sqlite"
    return StatementFileBroker(gone, OrderFiles(books, folder, permit=PaperPermit(), clock=lambda: NOW))


class Gated(InteractiveBrokers):
    """Interactive Brokers at a gateway that remembers a week, fills at once, and whose clock has come to the newest
    session that anybody asked about."""

    def __init__(self, down: bool) -> None:
        gold = ScriptedContract(11, "GC", "202206", "20220628", "COMEX", "USD", "100")
        self.gateway = ScriptedGateway(now=datetime.combine(MON, time(22), UTC))
        self.gateway.contracts, self.gateway.fills_at = [gold], {"GC": PRICE}
        self.gateway.faults = Faults(hang_up_unsaid=down)
        futures = {"GOLD": ListedFuture("GOLD", "GC", "COMEX", "USD", 100.0)}
        port = self.gateway.__enter__().port
        super().__init__(
            permit=PaperPermit(), clock=lambda: self.gateway.now, futures=futures,
            instruments=lambda _: {"GOLD": GOLD}, port=port, history_days=7,
        )  # fmt: skip

    def fills(self, session: date) -> list[Fill]:
        self._come_to(session)
        return super().fills(session)

    def statement(self, session: date) -> Statement | None:
        self._come_to(session)
        held = sum(done.quantity if done.side == "BOT" else -done.quantity for done in self.gateway.executions)
        self.gateway.positions = [("DU1", self.gateway.contracts[0], held, held and PRICE * 100)]
        return super().statement(session)

    def close(self) -> None:
        super().close()
        self.gateway.__exit__()

    def _come_to(self, session: date) -> None:
        self.gateway.now = max(self.gateway.now, datetime.combine(session, time(22), UTC))


def interactive_brokers(folder: Path, down: bool = False) -> Broker:
    return Gated(down)


KNOWS_NOW_ONLY = {"interactive_brokers": "a gateway has no statement of a session that is over: the broker's files do"}


@pytest.fixture(params=[paper, memory, statement_files, interactive_brokers])
def make(request: pytest.FixtureRequest) -> Callable[..., Broker]:
    """Makes a broker in a folder, reachable or not."""
    return request.param


@pytest.fixture
def broker(make: Callable[..., Broker], tmp_path: Path) -> Iterator[Broker]:
    made = make(tmp_path)
    yield made
    getattr(made, "close", lambda: None)()


def all_fills(broker: Broker) -> list:
    """Fills of three sessions: a broker may fill in the order's own session or the next."""
    return [fill for session in (MON, TUE, WED) for fill in broker.fills(session)]


def test_it_keeps_the_port(broker: Broker) -> None:
    assert isinstance(broker, Broker)
    assert broker.name


def test_an_order_is_filled_once_and_says_for_whom(broker: Broker) -> None:
    broker.place([order("a")])
    found = all_fills(broker)
    assert [
        (f.order_id, f.strategy, f.instrument, f.contract, f.quantity_contracts, f.price_points) for f in found
    ] == [("a", "trend", "GOLD", JUN, 2, PRICE)]
    assert found[0].commission_local >= 0


def test_asking_whether_orders_may_be_sent_sends_none(broker: Broker) -> None:
    broker.ready([order("a")])
    broker.ready([])
    assert all_fills(broker) == []


def test_an_order_id_is_not_placed_twice(broker: Broker) -> None:
    broker.place([order("a"), order("a")])
    broker.place([order("a")])
    assert len(all_fills(broker)) == 1
    broker.place([order("a", quantity=9)])
    assert sum(fill.quantity_contracts for fill in all_fills(broker)) == 2


def test_what_was_never_placed_did_not_end_and_nothing_is_told_anew_for_nothing(broker: Broker) -> None:
    assert broker.ended(["never placed"], MON) == []
    assert broker.corrections(MON) == []


def test_fills_are_the_same_each_time(broker: Broker) -> None:
    broker.place([order("b"), order("a", -1)])
    first = all_fills(broker)
    assert all_fills(broker) == first
    assert len({fill.fill_id for fill in first}) == 2


def test_a_filled_order_cannot_be_withdrawn_and_an_unknown_one_is_no_error(broker: Broker) -> None:
    broker.place([order("a")])
    first = all_fills(broker)
    broker.cancel(["a", "never heard of"])
    assert all_fills(broker) == first


def test_the_statement_is_of_its_session_even_when_later_ones_exist(broker: Broker) -> None:
    broker.fills(MON)
    broker.place([order("a")])
    for session in (TUE, WED):
        broker.fills(session)
        broker.place([order(f"after {session}", 1)])
    broker.fills(WED)
    held = sum(fill.quantity_contracts for session in (MON, TUE) for fill in broker.fills(session))
    statement = broker.statement(TUE)
    if broker.name in KNOWS_NOW_ONLY:
        assert statement is None, KNOWS_NOW_ONLY[broker.name]
        return
    assert statement is not None
    assert (statement.broker, statement.session) == (broker.name, TUE)
    assert statement.positions == ({("GOLD", JUN): held} if held else {})


def test_a_flat_position_is_not_in_the_statement(broker: Broker) -> None:
    broker.place([order("a", 2), order("b", -2)])
    all_fills(broker)
    statement = broker.statement(WED)
    assert statement is not None
    assert statement.positions == {}


@pytest.mark.parametrize("ask", [
    lambda b: b.place([order("a")]), lambda b: b.cancel(["a"]), lambda b: b.fills(MON), lambda b: b.statement(MON),
])  # fmt: skip
def test_no_answer_is_an_error_never_an_empty_one(make: Callable[..., Broker], tmp_path: Path, ask: Callable) -> None:
    with pytest.raises(BrokerError, match="did not answer"):
        ask(make(tmp_path, down=True))
