"""A gateway of Interactive Brokers that follows a script: it speaks the wire protocol on a local socket.

Belongs here: framing, the handshake, message layouts of one server version, and faults. Does not belong here: anything
of the adapter: layouts are written down field by field, not taken from the code that reads them.

Messages are a length of four bytes and fields that each end with a zero byte; the first field says what a message is.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

SERVER_VERSION = 178
UNSET = "1.7976931348623157E308"
# What a client asks, by the first field of its message.
PLACE, CANCEL, ALL_OPEN_ORDERS, EXECUTIONS, CONTRACT, CLOCK = "3", "4", "16", "7", "9", "49"
POSITIONS, SUMMARY, START, COMPLETED = "61", "62", "71", "99"
AT_WORK = ("PreSubmitted", "Submitted", "PendingSubmit")


@dataclass(frozen=True)
class ScriptedContract:
    """A contract the gateway knows. `month` is what it is named by; it may trade last in another month."""

    number: int
    symbol: str
    month: str
    last_day: str
    exchange: str
    currency: str
    multiplier: str
    magnifier: int = 1
    trading_class: str = ""
    kind: str = "FUT"

    @property
    def local(self) -> str:
        """The exchange's own name."""
        return f"{self.symbol}{self.month}"

    def fields(self) -> list[Any]:
        """As it stands in most messages: id, symbol, kind, last day, strike, right, multiplier."""
        return [self.number, self.symbol, self.kind, self.last_day, 0.0, "", self.multiplier]


@dataclass(frozen=True)
class ScriptedExecution:
    """An execution; `at` is written as the gateway would. A commission of None is never reported."""

    execution_id: str
    contract: ScriptedContract
    side: str
    quantity: float
    price: float
    at: str
    reference: str = ""
    commission: float | None = 2.0
    currency: str = "USD"
    account: str = "DU1"
    late: bool = False


@dataclass
class ScriptedOrder:
    """An order the gateway has."""

    number: int
    client: int
    contract: ScriptedContract
    action: str
    quantity: float
    kind: str
    limit: str
    tif: str
    account: str
    reference: str
    status: str = "Submitted"


@dataclass
class Faults:
    """What goes wrong, by the first field of what the client asks: say nothing; hang up before the answer is whole (an
    order is taken, and nothing said) or right after it; never end it; say something else first; answer with an error.

    `at_start` errors are told as soon as the client has started; `notes` about every order that is placed.
    """

    silent: frozenset[str] = frozenset()
    hang_up: frozenset[str] = frozenset()
    hang_up_after: frozenset[str] = frozenset()
    never_end: frozenset[str] = frozenset()
    say_first: dict[str, Sequence[Any]] = field(default_factory=dict)
    errors: dict[str, tuple[int, str]] = field(default_factory=dict)
    at_start: list[tuple[int, str]] = field(default_factory=list)
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)  # by symbol
    notes: list[tuple[int, str]] = field(default_factory=list)
    cuts_references_to: int | None = None
    silent_to_all: bool = False
    greeting: bytes | None = None
    hang_up_unsaid: bool = False
    holds_client_id: int = 0  # further connections that are refused as "client id in use"


class ScriptedGateway:
    """Listens on a free local port while it is entered. What it holds may be changed between conversations."""

    def __init__(self, accounts: str = "DU1", now: datetime = datetime(2022, 2, 21, 22, 0, tzinfo=UTC)) -> None:
        self.accounts, self.now = accounts, now
        self.contracts: list[ScriptedContract] = []
        self.positions: list[tuple[str, ScriptedContract, float, float]] = []
        self.cash: list[tuple[str, str, str, str]] = [("DU1", "CashBalance", "0.00", "BASE")]
        self.executions: list[ScriptedExecution] = []
        self.orders: list[ScriptedOrder] = []
        self.fills_at: dict[str, float] = {}  # symbols whose market orders are filled at once, and the price
        self.zone = " US/Eastern"
        self.faults = Faults()
        self.asked: list[list[str]] = []
        self.open_connections = 0
        self._changed = threading.Condition()

    def __enter__(self) -> ScriptedGateway:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._sockets: list[socket.socket] = []
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5.0)

    def is_left(self, seconds: float = 5.0) -> bool:
        """Whether nobody is connected (any more)."""
        with self._changed:
            return self._changed.wait_for(lambda: self.open_connections == 0, seconds)

    def threads(self) -> list[threading.Thread]:
        """Threads of the gateway's own."""
        return list(self._threads)

    def placed(self) -> list[list[str]]:
        """Messages that placed an order."""
        return [message for message in self.asked if message[0] == PLACE]

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._sockets.append(connection)
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        self._count(1)
        try:
            with suppress(OSError, _HungUp):
                _Conversation(self, connection).hold()
        finally:
            connection.close()
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._changed:
            self.open_connections += change
            self._changed.notify_all()


class _HungUp(Exception):
    """The connection ends here."""


class _Conversation:
    """One client's connection."""

    def __init__(self, gateway: ScriptedGateway, connection: socket.socket) -> None:
        self.gateway, self.connection, self.faults = gateway, connection, gateway.faults
        self.client = -1
        self.answers = {
            PLACE: self._place, CANCEL: self._cancel, ALL_OPEN_ORDERS: self._open_orders, EXECUTIONS: self._executions,
            CONTRACT: self._details, CLOCK: self._clock, POSITIONS: self._positions, SUMMARY: self._summary,
            START: self._start, COMPLETED: self._completed,
        }  # fmt: skip

    def hold(self) -> None:
        if self.faults.hang_up_unsaid:
            raise _HungUp
        if self.faults.greeting is not None:
            self.connection.sendall(self.faults.greeting)
        opening = self._exactly(4)
        assert opening == b"API\0", opening
        versions = self._message()
        assert versions.startswith(b"v"), versions
        if not self.faults.silent_to_all:
            self.send(SERVER_VERSION, "20220221 17:00:00 EST")
        while True:
            fields = self._message().decode().split("\0")[:-1]
            self.gateway.asked.append(fields)
            if not self.faults.silent_to_all:
                self._answer(fields)

    def send(self, *fields: Any) -> None:
        body = b"".join(_text(value).encode() + b"\0" for value in fields)
        self.connection.sendall(struct.pack(">I", len(body)) + body)

    def _answer(self, fields: list[str]) -> None:
        asked = fields[0]
        if asked in self.faults.silent:
            return
        if asked in self.faults.say_first:
            self.send(*self.faults.say_first[asked])
        if asked in self.faults.hang_up and asked in (CLOCK, START):
            raise _HungUp
        if asked in self.faults.errors:
            self._error(_request(fields), *self.faults.errors[asked])
        elif asked in self.answers:
            self.answers[asked](fields)
        if asked in self.faults.hang_up_after:
            raise _HungUp

    def _error(self, request: int | str, code: int, text: str) -> None:
        self.send(4, 2, request, code, text, "")

    def _ended(self, asked: str, *end: Any) -> None:
        """The end of an answer, if it comes to it."""
        if asked in self.faults.hang_up:
            raise _HungUp
        if asked not in self.faults.never_end:
            self.send(*end)

    def _start(self, fields: list[str]) -> None:
        self.client = int(fields[2])
        if self.faults.holds_client_id:
            self.faults.holds_client_id -= 1
            self._error(-1, 326, "Unable to connect as the client id is already in use. Retry with a unique client id.")
            raise _HungUp
        self.send(15, 1, self.gateway.accounts)
        numbers = [order.number for order in self.gateway.orders if order.client == self.client]
        self.send(9, 1, max(numbers, default=0) + 1)
        self._error(-1, 2104, "Market data farm connection is OK:usfarm")
        for code, text in self.faults.at_start:
            self._error(-1, code, text)

    def _clock(self, _: list[str]) -> None:
        self.send(49, 1, int(self.gateway.now.timestamp()))

    def _positions(self, fields: list[str]) -> None:
        for account, contract, quantity, cost in self.gateway.positions:
            self.send(
                61, 3, account, *contract.fields(), "", contract.currency, contract.local, contract.trading_class,
                quantity, cost,
            )  # fmt: skip
        self._ended(fields[0], 62, 1)

    def _summary(self, fields: list[str]) -> None:
        for account, tag, value, currency in self.gateway.cash:
            self.send(63, 1, fields[2], account, tag, value, currency)
        self._ended(fields[0], 64, 1, fields[2])

    def _details(self, fields: list[str]) -> None:
        request, number, symbol, kind, month = fields[2:7]
        multiplier, exchange, currency, trading_class = fields[9], fields[10], fields[12], fields[14]
        wanted = {
            "number": "" if number == "0" else number, "symbol": symbol, "kind": kind,
            "month": month, "multiplier": multiplier, "exchange": exchange, "currency": currency,
            "trading_class": trading_class,
        }  # fmt: skip
        fit = [
            contract
            for contract in self.gateway.contracts
            if all(value in ("", str(getattr(contract, name))) for name, value in wanted.items())
        ]
        if not fit:
            self._error(request, 200, "No security definition has been found for the request")
            return
        for contract in fit:
            self.send(10, request, *_details(contract))
        self._ended(fields[0], 52, 1, request)

    def _executions(self, fields: list[str]) -> None:
        request, account = fields[2], fields[4]
        told = [each for each in self.gateway.executions if account in ("", each.account)]
        for each in told:
            self._execution(request, each)
        self._ended(fields[0], 55, 1, request)
        for each in told:
            if each.late:
                self._commission(each)

    def _execution(self, request: int | str, each: ScriptedExecution) -> None:
        contract = each.contract
        self.send(
            11, request, 1, *contract.fields(), contract.exchange, contract.currency, contract.local,
            contract.trading_class, each.execution_id, each.at, each.account, contract.exchange, each.side,
            each.quantity, each.price, 900, self.client, 0, each.quantity, each.price, each.reference, "", "", "", 1, 0,
        )  # fmt: skip
        if not each.late:
            self._commission(each)

    def _commission(self, each: ScriptedExecution) -> None:
        if each.commission is not None:
            self.send(59, 1, each.execution_id, each.commission, each.currency, UNSET, UNSET, "")

    def _open_orders(self, fields: list[str]) -> None:
        for order in self.gateway.orders:
            if order.status in AT_WORK:
                self.send(5, *_open_order(order))
        self._ended(fields[0], 53, 1)

    def _completed(self, fields: list[str]) -> None:
        for order in self.gateway.orders:
            if order.status not in AT_WORK:
                self.send(101, *_completed_order(order))
        self._ended(fields[0], 102)

    def _place(self, fields: list[str]) -> None:
        number, contract_number = int(fields[1]), int(fields[2])
        contract = next(each for each in self.gateway.contracts if each.number == contract_number)
        # After the twelve fields of the contract and two of other ids come action, quantity, kind, limit, stop, time.
        action, quantity, kind, limit, _, tif, _, account, _, _, reference = fields[16:27]
        if contract.symbol in self.faults.refusals:
            self._error(number, *self.faults.refusals[contract.symbol])
            return
        kept = reference[: self.faults.cuts_references_to]
        order = ScriptedOrder(
            number, self.client, contract, action, float(quantity), kind, limit, tif, account, kept, "PendingSubmit"
        )
        self.gateway.orders.append(order)
        if PLACE in self.faults.hang_up:
            order.status = "Submitted"
            raise _HungUp
        for note in self.faults.notes:
            self._error(number, *note)
        self.send(5, *_open_order(order))
        if contract.symbol in self.gateway.fills_at:
            self._fill(order, self.gateway.fills_at[contract.symbol])
        else:
            order.status = "Submitted"
        self.send(5, *_open_order(order))
        self._status(order)

    def _fill(self, order: ScriptedOrder, price: float) -> None:
        order.status = "Filled"
        at = f"{self.gateway.now:%Y%m%d %H:%M:%S} UTC"
        done = ScriptedExecution(
            f"0000e0d5.{order.client:04x}{order.number:04x}.01.01", order.contract,
            "BOT" if order.action == "BUY" else "SLD", order.quantity, price, at, order.reference,
            account=order.account,
        )  # fmt: skip
        self.gateway.executions.append(done)
        self._execution(-1, done)

    def _cancel(self, fields: list[str]) -> None:
        number = int(fields[2])
        if CANCEL in self.faults.never_end:
            return
        for order in self.gateway.orders:
            if (order.number, order.client) == (number, self.client):
                order.status = "PendingCancel"
                self._status(order)
                order.status = "Cancelled"
                self._status(order)
                self._error(number, 202, "Order Canceled - reason:")
                return
        self._error(number, 10147, f"OrderId {number} that needs to be cancelled is not found.")

    def _status(self, order: ScriptedOrder) -> None:
        filled = order.quantity if order.status == "Filled" else 0.0
        self.send(3, order.number, order.status, filled, order.quantity - filled, 0.0, 900, 0, 0.0, order.client, "", 0)

    def _message(self) -> bytes:
        return self._exactly(struct.unpack(">I", self._exactly(4))[0])

    def _exactly(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            more = self.connection.recv(size - len(found))
            if not more:
                raise _HungUp
            found += more
        return found


def _text(value: Any) -> str:
    return {True: "1", False: "0"}[value] if isinstance(value, bool) else str(value)


def _request(fields: list[str]) -> int | str:
    """The request id of a question, -1 where it has none."""
    return fields[2] if fields[0] in (EXECUTIONS, CONTRACT, SUMMARY) else -1


def _details(contract: ScriptedContract) -> list[Any]:
    """A contract's details from the symbol on."""
    return [
        contract.symbol, contract.kind, contract.last_day, 0.0, "", contract.exchange, contract.currency,
        contract.local, contract.symbol, contract.trading_class, contract.number, 0.01,
        contract.multiplier, "LMT,MKT", contract.exchange, contract.magnifier, 0, contract.symbol, "", contract.month,
        "", "", "", "US/Eastern", "", "", "", "", 0, 1, contract.symbol, "IND", "26", contract.last_day, "",
        1, 1, 1,
    ]  # fmt: skip


def _open_order(order: ScriptedOrder) -> list[Any]:
    """An order at work, from its number on."""
    contract = order.contract
    return [
        order.number, *contract.fields(), contract.exchange, contract.currency, contract.local, contract.trading_class,
        order.action, order.quantity, order.kind, order.limit or 0.0, 0.0, order.tif, "", order.account, "", 0,
        order.reference, order.client, 900, 0, 0, 0, "", "", "", "", "",  # to the advisor's percentage
        "", "", "", "", "", 0, "", -1, 0, "", "", "", "", "", 0, 0, 0, 0, "", 3, 0, 0, "", 0, 0, "", 0, "None", "",
        0, "", "", "", "?", 0, 0, "",  # delta neutral
        0, 0, "", "", "", "", "",  # continuous update, reference price, trail stop and percent, basis points, legs
        0, 0, 0,  # legs, their prices, routing parameters
        "", "", "", "",  # scale, hedge
        0, "", "IB", 0, 0, "",  # routing, clearing, not held, delta neutral, algorithm
        0, 0, order.status, *[UNSET] * 9, "", "", "", "", "", 0, 0,  # solicited, what if, the state
        0,  # conditions
        "None", UNSET, UNSET, UNSET, UNSET, UNSET, UNSET, 0, "", "", "", UNSET, 0, 0, 0, "",
        "", "", 0, "", "", "", "", "",  # duration, alternative system, parent, least quantity, competition
    ]  # fmt: skip


def _completed_order(order: ScriptedOrder) -> list[Any]:
    """An order that ended, from its contract on."""
    contract = order.contract
    return [
        *contract.fields(), contract.exchange, contract.currency, contract.local, contract.trading_class,
        order.action, order.quantity, order.kind, order.limit or 0.0, 0.0, order.tif, "", order.account, "", 0,
        order.reference, 900, 0, 0, 0, "", "", "", "",  # to the advisor's percentage
        "", "", "", "", "", 0, "", -1, "", "", "", "", "", 0, 0, 0, "", 3, 0, "", 0, "None", "",
        0, 0, 0, "",  # delta neutral
        0, 0, "", "", "",  # continuous update, reference price, trail stop, trail percent, legs in words
        0, 0, 0,  # legs, their prices, routing parameters
        "", "", "", "",  # scale, hedge
        "", "IB", 0, 0, "",  # clearing, not held, delta neutral, algorithm
        0, order.status, 0, 0,  # solicited, the state
        0,  # conditions
        "", "", "", 0, 0, "", order.quantity, 0, 0, "", 0, 0, 0, "20220221 17:00:00 US/Eastern", order.status,
        "", "", "", "", "",  # least quantity, competition
    ]  # fmt: skip


@contextmanager
def listening(gateway: ScriptedGateway | None = None, **held: Any) -> Iterator[ScriptedGateway]:
    """A gateway that listens, with some of what it holds set first."""
    gateway = gateway or ScriptedGateway()
    for name, value in held.items():
        setattr(gateway, name, value)
    with gateway:
        yield gateway


def corrected(execution: ScriptedExecution, number: int, price: float, commission: float | None) -> ScriptedExecution:
    """A correction of an execution: the same with another number after the last dot of its id."""
    root = execution.execution_id.rpartition(".")[0]
    return replace(execution, execution_id=f"{root}.{number:02d}", price=price, commission=commission)
