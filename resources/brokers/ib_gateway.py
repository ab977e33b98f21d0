"""One conversation with the gateway (or TWS) of Interactive Brokers: connect, ask, and hang up.

Belongs here: the connection, its deadline, and questions with their whole answers. Does not belong here: our orders,
fills and statements (`interactive_brokers.py`), which are made of what is asked here.

A conversation has an event loop of its own, run in the thread that asks; where that thread is running a loop already,
in a thread that ends with the conversation. Nothing of it is left afterwards.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any, TypeVar

from resources.brokers.ib_messages import CUT, NAME, Address, ClientIdTaken, Messages, Refused
from trading.errors import BrokerError

NO_CONTRACT = 200
_FREED_AFTER_S = 2.0  # a gateway sets a client id free a moment after its last connection ended
Found = TypeVar("Found")


class Gateway:
    """An open conversation: each question waits for the whole answer, or raises BrokerError."""

    def __init__(self, address: Address, messages: Messages, client: Any) -> None:
        self._address, self._messages, self._client = address, messages, client
        self.asking = "the handshake"

    async def connect(self) -> None:
        """Opens the connection. Raises ClientIdTaken, BrokerError."""
        opening = asyncio.ensure_future(
            self._client.connectAsync(self._address.host, self._address.port, self._address.client_id, 0)
        )
        try:
            await asyncio.wait({opening, self._messages.failed}, return_when=asyncio.FIRST_COMPLETED)
            if self._messages.failure:
                raise self._messages.failure
            await opening
        except OSError as cause:
            raise BrokerError(
                f"{NAME} did not answer: nobody listens at {self._address.host}:{self._address.port} ({cause}). Start "
                "the gateway and enable its API socket, or correct trading.broker.host and trading.broker.port."
            ) from cause
        finally:
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)

    async def hang_up(self) -> None:
        """Ends the connection and waits until its socket is closed."""
        transport = self._client.conn.transport
        with suppress(OSError):
            self._client.disconnect()
        if transport is not None:
            transport.abort()
        for _ in range(3):  # the loop closes the socket in its next turns
            await asyncio.sleep(0)

    def account(self, wanted: str | None) -> str:
        """The account of the conversation. Raises BrokerError where the login does not see it, or sees several and
        none is named."""
        seen = self._messages.accounts
        if wanted in seen:
            return str(wanted)
        if wanted is None and len(seen) == 1:
            return seen[0]
        named = "none is named" if wanted is None else f"{wanted} is not among them"
        raise BrokerError(
            f"{NAME} did not answer for the account: the gateway {self._address} shows {', '.join(seen) or 'none'}, "
            f"and {named}. Set trading.broker.account to the account's name, or log the gateway in as its user."
        )

    async def clock(self) -> datetime:
        """The gateway's time (UTC). All it sent before has arrived when this returns."""
        rows = await self._ask("its clock", "clock", self._client.reqCurrentTime)
        return rows[0]  # type: ignore[no-any-return]

    async def positions(self) -> list[tuple[str, Any, float, float]]:
        """All positions as (account, contract, quantity, average cost)."""
        found = await self._ask("positions", "positions", self._client.reqPositions)
        self._client.cancelPositions()
        return found

    async def ledger(self) -> list[tuple[str, str, str, str]]:
        """The cash ledger of all accounts as (account, tag, value, currency)."""
        request = self._client.getReqId()
        found = await self._ask("cash", request, lambda: self._client.reqAccountSummary(request, "All", "$LEDGER:ALL"))
        self._client.cancelAccountSummary(request)
        return found

    async def executions(self, account: str) -> list[tuple[Any, Any]]:
        """Executions of an account that the gateway still remembers, as (contract, execution)."""
        from ib_async.objects import ExecutionFilter

        request, asked = self._client.getReqId(), ExecutionFilter(acctCode=account)
        found = await self._ask("executions", request, lambda: self._client.reqExecutions(request, asked))
        return [(contract, execution) for contract, execution in found if execution.acctNumber == account]

    async def commission(self, execution_id: str) -> Any:
        """The commission report of an execution, waited for: it may come after the executions ended."""
        self.asking = f"the commission of execution {execution_id}"
        while execution_id not in self._messages.commissions:
            if self._messages.failure:
                raise self._messages.failure
            self._messages.new_commission.clear()
            await self._messages.new_commission.wait()
        return self._messages.commissions[execution_id]

    def commission_so_far(self, execution_id: str) -> Any | None:
        """The commission report of an execution, where it came."""
        return self._messages.commissions.get(execution_id)

    async def orders(self) -> list[tuple[Any, str]]:
        """Orders at work, of all clients, as (order, status)."""
        return await self._ask("open orders", "open orders", self._client.reqAllOpenOrders)

    async def completed_orders(self) -> list[tuple[Any, str]]:
        """Orders of the day that are not at work any more, of all clients, as (order, status)."""
        return await self._ask("completed orders", "completed orders", lambda: self._client.reqCompletedOrders(False))

    async def details(self, contract: Any) -> list[Any]:
        """Details of all contracts that fit a description; none where it knows of none."""
        request = self._client.getReqId()
        named = contract.symbol or f"number {contract.conId}"
        try:
            return await self._ask(
                f"contract {named}", request, lambda: self._client.reqContractDetails(request, contract)
            )
        except Refused as refused:
            if refused.code == NO_CONTRACT:
                return []
            raise

    async def place(self, contract: Any, order: Any) -> str:
        """Hands over an order and waits until it is at work: empty, or why it is not. An order whose reference comes
        back changed could be placed twice, and is withdrawn."""
        number = self._client.getReqId()
        told = self._messages.follow(self._messages.placing, number, order.orderRef)
        self.asking = f"news of order {order.orderRef}"
        self._client.placeOrder(number, contract, order)
        news = await told.done
        if news == CUT:
            await self.cancel(number)
        return news

    async def cancel(self, number: int) -> str:
        """Withdraws an order of our own client and waits until it is ended, one way or another."""
        told = self._messages.follow(self._messages.cancelling, number, "")
        self.asking = f"the end of order number {number}"
        self._client.cancelOrder(number)
        return await told.done

    async def _ask(self, what: str, key: object, send: Callable[[], object]) -> list[Any]:
        self.asking = what
        answer = self._messages.expect(key)
        send()
        try:
            return await answer.done
        except Refused as refused:
            if refused.code == NO_CONTRACT:
                raise
            raise BrokerError(
                f"{NAME} did not answer: asked for {what}, the gateway {self._address} said {refused}. Look the code "
                "up in the gateway's documentation, then run again."
            ) from refused


def converse(address: Address, talk: Callable[[Gateway], Awaitable[Found]]) -> Found:
    """Holds one conversation, within its deadline. Raises BrokerError where it fails, is cut off or takes too long."""

    def whole() -> Found:
        with asyncio.Runner(loop_factory=_quiet_loop) as runner:  # the thread's own loop stays as it is
            return runner.run(_within(address, talk))

    if not _is_running_a_loop():
        return whole()
    with ThreadPoolExecutor(1) as beside:
        return beside.submit(whole).result()


def _is_running_a_loop() -> bool:
    with suppress(RuntimeError):
        return asyncio.get_running_loop() is not None
    return False


async def _within(address: Address, talk: Callable[[Gateway], Awaitable[Found]]) -> Found:
    clock = asyncio.get_running_loop().time
    patience = clock() + min(_FREED_AFTER_S, address.timeout_s / 4)
    asking = ["the handshake"]
    try:
        async with asyncio.timeout(address.timeout_s):
            while True:
                try:
                    async with _open(address, asking) as gateway:
                        return await talk(gateway)
                except ClientIdTaken:
                    if clock() >= patience:
                        raise
                await asyncio.sleep(0.1)
    except TimeoutError as cause:
        raise BrokerError(
            f"{NAME} did not answer within {address.timeout_s:g} s: {asking[0]} did not come to an end (gateway "
            f"{address}). See that the gateway is logged in and shows no window that waits for you, then run again."
        ) from cause


@asynccontextmanager
async def _open(address: Address, asking: list[str]) -> AsyncIterator[Gateway]:
    messages = Messages(address)
    gateway = Gateway(address, messages, _client(messages))
    try:
        await gateway.connect()
        yield gateway
    except ConnectionError as cause:  # the library's client says so where the connection ended between two questions
        messages.setEventsDone()
        raise messages.failure or cause from cause
    finally:
        asking[0] = gateway.asking
        await gateway.hang_up()


def _client(messages: Messages) -> Any:
    """The library's client, which hands all it receives to `messages`, failures too, and logs nothing."""
    from ib_async.client import Client

    client: Any = Client(messages)  # type: ignore[no-untyped-call]
    silent = logging.Logger(NAME)
    silent.disabled = True
    client._logger = silent
    client.decoder.logger = messages
    client.conn.hasData.error_event += lambda _, error: messages.unreadable(error)
    client.apiError += lambda text: messages.unreadable(text) if "version" in text else None
    return client


def _quiet_loop() -> asyncio.AbstractEventLoop:
    """A loop that does not log what the conversation raises anyway."""
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _, __: None)
    return loop
