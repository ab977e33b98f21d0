"""An account at Interactive Brokers, read through a running gateway or TWS: fills, statements, what became of orders.

Belongs here: what the gateway's answers are here, and withdrawing orders. Does not belong here: sending orders
(`interactive_brokers.py`), which nothing here can; the conversation (`ib_gateway.py`), which future an instrument is
(`ib_futures.py`), which session a trade belongs to (`ib_days.py`).

Our order id is the reference of the order there, so it is found again by whoever asks. The gateway knows "now" and a
few days back; what it cannot vouch for is an error here and never an empty answer.
"""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, TypeVar

from resources.brokers.ib_days import GatewayDays
from resources.brokers.ib_futures import ListedFuture, renamed
from resources.brokers.ib_gateway import Gateway, converse
from resources.brokers.ib_messages import NAME, Address
from resources.brokers.ib_orders import KNOWN, SENDING, SentOrders
from trading.book.orders import Ended, Fill, Order
from trading.book.statements import Statement
from trading.errors import BrokerError, UnknownInstrument
from trading.market.instruments import Instrument
from trading.ports import Correction

OURS = re.compile(r"\d{4}-\d\d-\d\d:([^:]+):")  # trading.book.orders.order_id: the strategy comes second
FIRST = 1  # the number after the last dot of an execution's id where nothing was corrected
_UNSTATED = 1e300  # the protocol's largest float stands for "not stated"
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Held:
    """A contract that the broker speaks of, as ours: instrument, contract id, points for a unit of its price."""

    instrument: Instrument
    contract: int
    points_per_unit: float


@dataclass(frozen=True, slots=True)
class _Trade:
    """An execution that is mapped: the fill's id without its version, the version there, the fill, its id there."""

    root: str
    version: int
    fill: Fill
    execution_id: str


class InteractiveBrokersAccount:
    """What Interactive Brokers tells of an account, through a gateway or TWS at `host` and `port`, as API client
    `client_id`.

    `futures` are what instruments are there, `symbols` other symbols for some of them (symbol to instrument),
    `instruments(day)` what they are worth. `account` may be None where the login has one. Each question has
    `timeout_s` seconds in all and a connection of its own. `timezone`, `session_ends` and `history_days` say which
    session a trade belongs to and how far back the gateway remembers (GatewayDays); the file `sent` remembers which
    orders were handed over. Raises ReferenceDataError, ConfigError.
    """

    name = NAME

    def __init__(
        self,
        *,
        futures: Mapping[str, ListedFuture],
        instruments: Callable[[date], Mapping[str, Instrument]],
        account: str | None = None,
        host: str = "127.0.0.1",
        port: int = 4002,
        client_id: int = 1,
        timeout_s: float = 20.0,
        symbols: Mapping[str, str] | None = None,
        timezone: str = "America/New_York",
        session_ends: time | None = None,
        history_days: int = 1,
        sent: Path | str = ":memory:",
    ) -> None:
        self._futures = renamed(futures, symbols or {})
        self._by_key: dict[tuple[str, str, float], list[ListedFuture]] = defaultdict(list)
        for future in self._futures.values():
            self._by_key[future.key()].append(future)
        self._instruments, self._account = instruments, account
        self._address = Address(host, port, client_id, timeout_s, timezone)
        self._days = GatewayDays(timezone, session_ends, history_days)
        self._days.check()
        self._months: dict[int, Any] = {}  # the gateway's details of a contract number, which never change
        self._sent = SentOrders(sent)
        self._lock = threading.Lock()  # one connection at a time has our client id

    def unsent(self, orders: Sequence[Order]) -> list[str]:
        """Ids of orders that were not handed over yet, and still could be. Raises BrokerError."""
        if not orders:
            return []
        return [order.order_id for order in self._converse(lambda gateway: self._unsent(gateway, orders))]

    def cancel(self, order_ids: Sequence[str]) -> None:
        """As the port. Raises BrokerError for an order at work that another API client placed: only that client can
        withdraw it."""
        if order_ids:
            self._converse(lambda gateway: self._cancel(gateway, set(order_ids)))

    def fills(self, session: date) -> list[Fill]:
        """As the port: executions of orders with our reference. One that was corrected since is given as it first was;
        `corrections` has the rest. Raises BrokerError for a session that the gateway does not remember whole."""
        trades = self._converse(lambda gateway: self._ours(gateway, session))
        return [trade.fill for trade in trades if trade.version <= FIRST]

    def corrections(self, session: date) -> list[Correction]:
        """As the port: the broker corrects an execution by another with a higher number after the last dot of its id.
        The fill itself may not be told any more. Raises BrokerError as `fills`."""
        trades = self._converse(lambda gateway: self._ours(gateway, session))
        return [Correction(trade.fill, trade.version - FIRST) for trade in trades if trade.version > FIRST]

    def ended(self, order_ids: Sequence[str], session: date) -> list[Ended]:
        """As the port. Our orders are for one day: one that is neither at work nor among those completed today has
        expired, if it was certainly handed over on an earlier date. Raises BrokerError as `fills`."""
        wanted = list(dict.fromkeys(order_ids))
        return self._converse(lambda gateway: self._ended(gateway, wanted)) if wanted else []

    def statement(self, session: date) -> Statement | None:
        """As the port: positions and the cash ledger as they are now, with the time of the gateway's clock. None for
        any session but the newest, and once a later session has traded. Trades are None where the gateway does not
        remember the whole session."""
        return self._converse(lambda gateway: self._statement(gateway, session))

    def close(self) -> None:
        """Forgets what was learned; no connection or thread outlives a question."""
        with self._lock:
            self._months.clear()
            self._sent.close()

    def _converse(self, talk: Callable[[Gateway], Awaitable[Found]]) -> Found:
        with self._lock:
            return converse(self._address, talk)

    # --- orders ---
    async def _unsent(self, gateway: Gateway, orders: Sequence[Order]) -> list[Order]:
        return await self._new(gateway, gateway.account(self._account), await gateway.clock(), orders)

    async def _new(self, gateway: Gateway, account: str, now: datetime, orders: Sequence[Order]) -> list[Order]:
        """Orders that were certainly not sent before; the others are written down as known, and never sent again."""
        open_here = [order for order in orders if self._may_be_sent(order, now)]
        known = await self._known(gateway, account) if open_here else set()
        for order in orders:
            if order not in open_here or order.order_id in known:
                self._sent.known(order, self._days.date_of(now))
        return [order for order in open_here if order.order_id not in known]

    def _may_be_sent(self, order: Order, now: datetime) -> bool:
        """Whether an order was certainly not sent before, or the gateway can tell whether it was; and is not too old:
        it is for the session after its own."""
        was, since = self._sent.sent(order.order_id), self._sent.since(self._days.date_of(now))
        if was is not None:
            return was.state == SENDING and self._days.remembers_date(was.on, now)
        recent = order.session >= self._days.session_before(self._days.last_session(now))
        return recent and (since < order.session or self._days.remembers_date(order.session, now))

    async def _known(self, gateway: Gateway, account: str) -> set[str]:
        """References of all orders that the gateway knows of: at work, ended, or executed. Asked in this order, one
        that ends meanwhile is in at least one of the answers."""
        orders = [*await gateway.orders(), *await gateway.completed_orders()]
        executions = await gateway.executions(account)
        return {order.orderRef for order, _ in orders} | {execution.orderRef for _, execution in executions}

    def _may_withdraw(self, account: str) -> None:
        """Raises where orders of an account may not be withdrawn: never here, where nothing is sent."""

    async def _cancel(self, gateway: Gateway, names: set[str]) -> None:
        self._may_withdraw(gateway.account(self._account))
        mine = self._address.client_id
        at_work = [order for order, _ in await gateway.orders() if order.orderRef in names]
        for order in at_work:
            if order.clientId == mine:
                await gateway.cancel(order.orderId)
        foreign = [order for order in at_work if order.clientId != mine]
        if foreign:
            raise BrokerError(
                f"{NAME} did not answer for order {foreign[0].orderRef}: API client {foreign[0].clientId} placed it, "
                f"and we are client {mine}. Withdraw it in the gateway, or set trading.broker.client_id to that."
            )

    async def _ended(self, gateway: Gateway, names: Sequence[str]) -> list[Ended]:
        gateway.account(self._account)
        today = self._days.date_of(await gateway.clock())
        at_work = {order.orderRef for order, _ in await gateway.orders()}
        completed = {order.orderRef: status for order, status in await gateway.completed_orders()}
        found: list[Ended] = []
        for name in (each for each in names if each not in at_work):
            was, status = self._sent.sent(name), completed.get(name)
            if status is not None and status != "Filled":
                found.append(
                    Ended(name, "rejected" if status == "Inactive" else "cancelled", f"its status is {status}")
                )
            elif status is None and was is not None and was.state == KNOWN and was.on < today:
                found.append(Ended(name, "expired", f"it was for {was.on} and is not at work any more"))
        return found

    # --- what was traded ----------------------------------------------------------------------------------------------
    async def _ours(self, gateway: Gateway, session: date) -> list[_Trade]:
        """Trades of a session that our orders made, with their commissions."""
        account, now = gateway.account(self._account), await gateway.clock()
        if not self._days.remembers(session, now):
            raise BrokerError(
                f"{NAME} did not answer for the fills of {session}: the gateway, whose clock says {now:%Y-%m-%d %H:%M} "
                f"UTC, remembers {self._days.history_days} days and not all of that session. Import the broker's "
                "statement of it, or use TWS with its trade log set to seven days and trading.broker.history_days to 7."
            )
        executions = await gateway.executions(account)
        await gateway.clock()  # commissions follow executions: those that were sent are here after this
        trades = await self._trades(gateway, executions, session, now)
        ours = [trade for trade, known in trades if trade.fill.strategy and known]
        strange = [trade for trade, known in trades if trade.fill.strategy and not known]
        if strange:
            raise BrokerError(
                f"{NAME} did not answer for the fills of {session}: execution {strange[0].execution_id} of our order "
                f"{strange[0].fill.order_id} is in {strange[0].fill.instrument}, which no row names. Add its row "
                "to reference/brokers/interactive_brokers.csv."
            )
        return [await self._with_commission(gateway, trade, ours, now) for trade in ours]

    async def _trades(
        self, gateway: Gateway, executions: Iterable[tuple[Any, Any]], session: date, now: datetime
    ) -> list[tuple[_Trade, bool]]:
        """Executions of a session, whoever ordered them, oldest first, and whether their contract is known here."""
        found = []
        for contract, execution in executions:
            if self._days.session_of(execution.time) == session:
                held = await self._held(gateway, contract, now)
                found.append((self._trade(contract, execution, held, session), held is not None))
        return sorted(found, key=lambda pair: (pair[0].fill.executed_at or "", pair[0].root, pair[0].version))

    def _trade(self, contract: Any, execution: Any, held: Held | None, session: date) -> _Trade:
        root, version = _version(execution.execId)
        code = held.instrument.code if held else contract.localSymbol or contract.symbol
        fill = Fill(
            f"{root}.01" if root != execution.execId else root, execution.orderRef, self._strategy(execution.orderRef),
            code, held.contract if held else 0, session,
            (_whole(execution.shares, contract) if held else 0) * (1 if execution.side == "BOT" else -1),
            clean(execution.price * held.points_per_unit) if held else execution.price,
            0.0, execution.time.astimezone(UTC).isoformat(),
        )  # fmt: skip
        return _Trade(root, version, fill, execution.execId)

    def _strategy(self, reference: str) -> str:
        """Whose order has a reference: empty where it is not one of ours."""
        named = OURS.match(reference)
        return named[1] if named else self._sent.strategy(reference)

    async def _with_commission(
        self, gateway: Gateway, trade: _Trade, trades: Sequence[_Trade], now: datetime
    ) -> _Trade:
        """A trade with what it cost; a correction without a report of its own costs what the trade did before."""
        versions = [other for other in trades if other.root == trade.root and other.version <= trade.version]
        reported = [other for other in versions if gateway.commission_so_far(other.execution_id)]
        report = await gateway.commission((reported or versions)[-1].execution_id)
        currency = self._instruments(now.date())[trade.fill.instrument].currency
        if report.currency != currency or abs(report.commission) > _UNSTATED:
            raise BrokerError(
                f"{NAME} did not answer for the commission of execution {trade.execution_id}: it states "
                f"{report.commission:g} {report.currency or 'without currency'}, where {currency} is what "
                f"{trade.fill.instrument} costs. Look at the trade in the gateway and run again."
            )
        return replace(trade, fill=replace(trade.fill, commission_local=report.commission))

    # --- what is held -------------------------------------------------------------------------------------------------
    async def _statement(self, gateway: Gateway, session: date) -> Statement | None:
        account, begun = gateway.account(self._account), await gateway.clock()
        if session != self._days.last_session(begun):
            return None
        positions, averages, unknown = await self._positions(gateway, account, begun)
        cash = _cash(await gateway.ledger(), account)
        executions = await gateway.executions(account)
        trades = await self._trades(gateway, executions, session, begun)
        drawn_up = await gateway.clock()  # whatever went wrong meanwhile was told before this
        if any(self._days.session_of(execution.time) > session for _, execution in executions):
            return None
        known = tuple(_as_it_stands(gateway, [trade for trade, mapped in trades if mapped]))
        strange = sorted({trade.fill.instrument for trade, mapped in trades if not mapped} | set(unknown))
        complete = self._days.remembers(session, drawn_up)
        return Statement(
            self.name,
            session,
            positions,
            cash,
            averages,
            known if complete else None,
            drawn_up,
            tuple(strange),
            settles_daily=True,
        )

    async def _positions(
        self, gateway: Gateway, account: str, now: datetime
    ) -> tuple[dict[tuple[str, int], int], dict[tuple[str, int], float], list[str]]:
        """Contracts and average prices by (instrument, contract), and names of what is held and not known here."""
        held: dict[tuple[str, int], int] = {}
        averages: dict[tuple[str, int], float] = {}
        unknown = []
        for owner, contract, quantity, average_cost in await gateway.positions():
            if owner != account or not quantity:
                continue
            ours = await self._held(gateway, contract, now)
            if ours is None:
                unknown.append(contract.localSymbol or f"{contract.secType} {contract.symbol}")
                continue
            key = (ours.instrument.code, ours.contract)
            held[key] = held.get(key, 0) + _whole(quantity, contract)
            averages[key] = clean(average_cost / ours.instrument.point_value_local)
        return held, averages, unknown

    async def _held(self, gateway: Gateway, contract: Any, now: datetime) -> Held | None:
        """A contract that the gateway speaks of as ours, or None. Its month is asked for: the last day to trade, which
        positions state, may lie in another month than the one the contract is named by."""
        named = self._by_key.get((contract.symbol, contract.currency, _number(contract.multiplier)), [])
        if contract.secType != "FUT" or not named:
            return None
        details = self._months.get(contract.conId) or await self._details(gateway, contract)
        self._months[contract.conId] = details
        fit = [one for one in named if one.trading_class in ("", details.contract.tradingClass)]
        return self._as_ours(details, fit[0], now) if len(fit) == 1 else None

    async def _details(self, gateway: Gateway, contract: Any) -> Any:
        from ib_async.contract import Contract

        found = await gateway.details(Contract(conId=contract.conId, includeExpired=True))
        if len(found) != 1 or not re.fullmatch(r"\d{6}", found[0].contractMonth):
            raise BrokerError(
                f"{NAME} did not answer which month contract {contract.localSymbol or contract.symbol} (number "
                f"{contract.conId}) is. Look it up in the gateway, then run again."
            )
        return found[0]

    def _as_ours(self, details: Any, future: ListedFuture, now: datetime) -> Held:
        instruments = self._instruments(now.date())
        if future.instrument not in instruments:
            raise UnknownInstrument(future.instrument, list(instruments))
        if int(details.priceMagnifier or 1) != future.price_magnifier:
            raise BrokerError(
                f"{NAME} did not answer in the prices we know: {future.symbol} has a price magnifier of "
                f"{details.priceMagnifier} there and of {future.price_magnifier} in "
                "reference/brokers/interactive_brokers.csv. Correct the row."
            )
        instrument = instruments[future.instrument]
        return Held(instrument, int(details.contractMonth) * 100, future.points_per_unit(instrument))


def _as_it_stands(gateway: Gateway, trades: Iterable[_Trade]) -> list[Fill]:
    """Each trade once, in its newest version, with the commission that was told: none for trades of other clients."""
    newest: dict[str, Fill] = {}
    for trade in sorted(trades, key=lambda trade: trade.version):
        report = gateway.commission_so_far(trade.execution_id)
        before = newest[trade.root].commission_local if trade.root in newest else 0.0
        newest[trade.root] = replace(trade.fill, commission_local=report.commission if report else before)
    return list(newest.values())


def _version(execution_id: str) -> tuple[str, int]:
    """An execution's id without the number after its last dot, and that number; ids without one have version 1."""
    root, dot, number = execution_id.rpartition(".")
    return (root, int(number)) if dot and number.isdigit() else (execution_id, FIRST)


def _cash(ledger: Iterable[tuple[str, str, str, str]], account: str) -> dict[str, float]:
    """Cash by currency of one account; the ledger's total in the base currency is left out. Raises BrokerError where
    the account has no ledger: even an empty one has its total."""
    cash = {
        currency: _number(value) for owner, tag, value, currency in ledger if owner == account and tag == "CashBalance"
    }
    if not cash or any(value != value for value in cash.values()):
        raise BrokerError(
            f"{NAME} did not answer for the cash of account {account}: its ledger came without a cash balance. Wait "
            "until the gateway shows the account's balances, then run again."
        )
    return {currency: value for currency, value in cash.items() if currency != "BASE"}


def _number(text: str) -> float:
    """A number of the protocol; NaN where it is none."""
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _whole(quantity: float, contract: Any) -> int:
    if quantity != int(quantity):
        raise BrokerError(
            f"{NAME} did not answer in whole contracts: {quantity:g} of {contract.localSymbol or contract.symbol}. "
            "Look at the position in the gateway."
        )
    return int(quantity)


def clean(points: float) -> float:
    """A price without the noise that scaling leaves in its last digits."""
    return float(f"{points:.12g}")
