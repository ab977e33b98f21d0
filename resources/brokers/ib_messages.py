"""One conversation with the gateway (or TWS) of Interactive Brokers: connect, ask, and hang up.

Belongs here: deadlines, what counts as a whole answer, and every failure as a BrokerError. Does not belong here: our
orders, fills and statements (`interactive_brokers.py`), which are made of what is asked here.

The library's client and decoder carry the messages. Its own wrapper is not used: it logs what it cannot read and goes
on, so that a list of positions may lack a row and still be ended. Here a message that cannot be read ends all.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from trading.errors import BrokerError

NAME = "interactive_brokers"
# What breaks the whole conversation, and what a person does about it.
BROKEN = {
    326: "Give this desk its own number in trading.broker.client_id, or end the program that uses it",
    502: "Start the gateway and enable its API socket, or correct trading.broker.host and port, then run again",
    504: "Start the gateway and log in, then run again",
    507: "Look at the gateway's log, then run again",
    1100: "The gateway lost Interactive Brokers: wait until it says that it is connected, then run again",
    1300: "The gateway changed its port: set trading.broker.port to the new one",
    2110: "The gateway lost Interactive Brokers: wait until it says that it is connected, then run again",
}
RESTORED = frozenset({1101, 1102})
ORDER_NOTES = frozenset({399, 404, 10167, 10349})  # said about an order that stays at work
CLIENT_ID_TAKEN = 326
ENDED = frozenset({"Cancelled", "ApiCancelled", "Filled", "Inactive"})
AT_WORK = frozenset({"PreSubmitted", "Submitted", "Filled"})


@dataclass(frozen=True, slots=True)
class Address:
    """Where a gateway listens, who we are there, how long it may take for all of one conversation, and its time zone
    for times that it states without one."""

    host: str
    port: int
    client_id: int
    timeout_s: float
    timezone: str

    def __str__(self) -> str:
        return f"{self.host}:{self.port}, client {self.client_id}"


CUT = "its reference came back changed"


class Refused(BrokerError):
    """The gateway answered one request with an error; the conversation goes on."""

    def __init__(self, code: int, text: str) -> None:
        self.code, self.text = code, text
        super().__init__(f"{code}: {text}")


class ClientIdTaken(BrokerError):
    """Another connection has our client id."""


@dataclass(slots=True)
class Answer:
    """Rows of an answer as they come, and the future that ends with them."""

    rows: list[Any]
    done: asyncio.Future[list[Any]]


@dataclass(slots=True)
class Told:
    """An order handed over or withdrawn, and the future that ends with what became of it: empty where all is well."""

    reference: str
    done: asyncio.Future[str]

    def tell(self, news: str) -> None:
        """The first news counts."""
        if not self.done.done():
            self.done.set_result(news)


@dataclass
class Messages:
    """Takes the gateway's messages as the library's client hands them over (its names are the methods' names), and
    gathers them into answers. The first failure ends every answer that is not whole."""

    address: Address
    accounts: tuple[str, ...] = ()
    commissions: dict[str, Any] = field(default_factory=dict)
    failure: BrokerError | None = None

    def __post_init__(self) -> None:
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.answers: dict[object, Answer] = {}
        self.placing: dict[int, Told] = {}
        self.cancelling: dict[int, Told] = {}
        self.new_commission = asyncio.Event()
        # The decoder asks its wrapper for these two.
        self.ib = SimpleNamespace(TimezoneTWS=self.address.timezone)
        self.defaultTimezone = UTC

    def expect(self, key: object) -> Answer:
        """A new answer to wait for; at once a failure, where there was one."""
        if self.failure:
            raise self.failure
        self.answers[key] = Answer([], asyncio.get_running_loop().create_future())
        return self.answers[key]

    def follow(self, orders: dict[int, Told], number: int, reference: str) -> Told:
        """News of one order to wait for, among those `placing` or `cancelling`."""
        if self.failure:
            raise self.failure
        orders[number] = Told(reference, asyncio.get_running_loop().create_future())
        return orders[number]

    def fail(self, found: str, cure: str, kind: type[BrokerError] = BrokerError) -> None:
        """Ends the conversation: nothing that was asked and not answered in full counts."""
        if self.failure:
            return
        self.failure = kind(f"{NAME} did not answer: {found} (gateway {self.address}). {cure}.")
        waiting: list[asyncio.Future[Any]] = [answer.done for answer in self.answers.values()]
        waiting += [order.done for told in (self.placing, self.cancelling) for order in told.values()]
        for future in (*waiting, self.failed):
            if not future.done():
                future.set_exception(self.failure)
        self.new_commission.set()

    def unreadable(self, *what: object) -> None:
        """A message that the decoder could not read."""
        cure = "See that it is a gateway of Interactive Brokers that listens there, of a version still supported"
        why = sys.exception()
        told = f"{' '.join(map(str, what))[:200]} ({type(why).__name__}: {why})" if why else str(*what)[:200]
        self.fail(f"it sent a message that cannot be read: {told}", cure)

    exception = unreadable  # what the decoder calls on its logger

    def _row(self, key: object, row: object) -> None:
        if key in self.answers:
            self.answers[key].rows.append(row)

    def _end(self, key: object) -> None:
        answer = self.answers.pop(key, None)
        if answer and not answer.done.done():
            answer.done.set_result(answer.rows)

    # --- what the library calls -------------------------------------------------------------------------------------
    def connectAck(self) -> None:
        """The handshake is done."""

    def setEventsDone(self) -> None:
        """The connection ended."""
        self.fail("the connection ended before the answer was whole", "Look at the gateway, then run again")

    def connectionClosed(self) -> None:
        """The connection ended after it was ready; `setEventsDone` was called as well."""

    def managedAccounts(self, names: str) -> None:
        """The accounts that this login may see."""
        self.accounts = tuple(name for name in names.split(",") if name)

    def error(self, request: int, code: int, text: str, _advanced: str = "") -> None:
        """An error or a note, about everything, a request or an order."""
        if code in BROKEN:
            kind = ClientIdTaken if code == CLIENT_ID_TAKEN else BrokerError
            self.fail(f"error {code}: {text}", BROKEN[code], kind)
        elif code in RESTORED or code in ORDER_NOTES or 2100 <= code < 2200:
            return
        elif request in self.answers:
            answer = self.answers.pop(request)
            answer.done.set_exception(Refused(code, text))
        elif not self._about_an_order(request, code, text) and request < 0:
            self.fail(f"error {code}: {text}", "Look the code up in the gateway's documentation, then run again")

    def _about_an_order(self, request: int, code: int, text: str) -> bool:
        told = self.placing.get(request) or self.cancelling.get(request)
        if told:
            told.tell(f"{code}: {text}")
        return told is not None

    def currentTime(self, seconds: int) -> None:
        """The gateway's clock."""
        self._row("clock", datetime.fromtimestamp(seconds, UTC))
        self._end("clock")

    def position(self, account: str, contract: Any, quantity: float, average_cost: float) -> None:
        """One position of one account."""
        self._row("positions", (account, contract, quantity, average_cost))

    def positionEnd(self) -> None:
        """All positions were sent."""
        self._end("positions")

    def accountSummary(self, request: int, account: str, tag: str, value: str, currency: str) -> None:
        """One value of one account."""
        self._row(request, (account, tag, value, currency))

    def accountSummaryEnd(self, request: int) -> None:
        """All values were sent."""
        self._end(request)

    def execDetails(self, request: int, contract: Any, execution: Any) -> None:
        """One execution; live ones of orders just placed have no request."""
        self._row(request, (contract, execution))

    def execDetailsEnd(self, request: int) -> None:
        """All executions were sent."""
        self._end(request)

    def commissionReport(self, report: Any) -> None:
        """What one execution cost; may come after the executions ended."""
        self.commissions[report.execId] = report
        self.new_commission.set()

    def openOrder(self, number: int, contract: Any, order: Any, state: Any) -> None:
        """An order at work, or news of one that was just placed."""
        self._row("open orders", (order, state.status))
        told = self.placing.get(number)
        if not told or order.clientId != self.address.client_id:
            return
        if state.status in AT_WORK:
            told.tell("" if order.orderRef == told.reference else CUT)
        elif state.status in ENDED:
            told.tell(f"it is {state.status}")

    def openOrderEnd(self) -> None:
        """All orders at work were sent."""
        self._end("open orders")

    def completedOrder(self, contract: Any, order: Any, state: Any) -> None:
        """An order that is not at work any more."""
        self._row("completed orders", (order, state.status))

    def completedOrdersEnd(self) -> None:
        """All of them were sent."""
        self._end("completed orders")

    def orderStatus(self, number: int, status: str, *numbers: object) -> None:
        """News of an order, of any client."""
        told = self.cancelling.get(number)
        if told and status in ENDED and numbers[6] == self.address.client_id:
            told.tell(status)

    def contractDetails(self, request: int, details: Any) -> None:
        """One contract that fits."""
        self._row(request, details)

    def contractDetailsEnd(self, request: int) -> None:
        """All that fit were sent."""
        self._end(request)
