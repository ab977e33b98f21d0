"""Interactive Brokers as a broker: sending orders through a running gateway or TWS, under a permit.

Belongs here: what our orders are there. Does not belong here: what the account holds and traded, and withdrawing
orders (`ib_account.py`), the conversation (`ib_gateway.py`), or what makes a permit (`trading/config/live.py`).

Our order id is the reference of the order there, so it is found again by whoever asks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from resources.brokers.ib_account import Held, InteractiveBrokersAccount, clean
from resources.brokers.ib_gateway import Gateway
from resources.brokers.ib_messages import NAME
from trading.book.orders import Order
from trading.config.live import (
    BACK_TO_PAPER,
    LiveCapability,
    PaperPermit,
    Proof,
    check_paper,
    check_use,
    is_live,
    required,
    unproven,
)
from trading.config.symbol_fields import SymbolSettings
from trading.errors import BrokerError, LiveOrderFromPaper


class InteractiveBrokers(InteractiveBrokersAccount):
    """Broker on an account (`given`: as InteractiveBrokersAccount has it). Orders are good for the day. `symbol` says,
    of an instrument and the strategy that orders it, whether they are at market or limited, and how far beyond the
    order's reference price.

    Every time it sends, the `permit` is held against the account that the gateway reports, and the time of `clock` and
    of the gateway: a PaperPermit sends to paper accounts only, a LiveCapability to the one that was signed, where
    `proof` has the desk say at both times that it holds. Raises LivePermitMissing, and as InteractiveBrokersAccount.
    """

    def __init__(
        self,
        *,
        permit: LiveCapability | PaperPermit,
        clock: Callable[[], datetime],
        proof: Proof = unproven,
        symbol: Callable[[str, str], SymbolSettings] = lambda *_: SymbolSettings(),
        **given: Any,
    ) -> None:
        super().__init__(**given)
        self._permit, self._clock, self._proof, self._symbol = required(permit), clock, proof, symbol

    def ready(self, orders: Sequence[Order]) -> None:
        """As the port: the gateway is asked for the account and its time."""
        if orders:
            self._converse(self._permitted)

    def place(self, orders: Sequence[Order]) -> None:
        """As the port. An order that may have been sent before, of which the gateway has forgotten what became, is not
        sent again; nor is one that is older than the session before. Raises LiveRefused before anything is sent, and
        BrokerError, once, for an order that is refused, and names it."""
        wanted = {order.order_id: order for order in reversed(orders)}
        ordered = [wanted[name] for name in dict.fromkeys(order.order_id for order in orders)]
        refused = self._converse(lambda gateway: self._place(gateway, ordered)) if ordered else {}
        if refused:
            told = "; ".join(f"{name} ({why})" for name, why in refused.items())
            raise BrokerError(
                f"{NAME} did not take {len(refused)} of {len(ordered)} orders: {told}. The others are at work. "
                "Look the reason up in the gateway and correct it there; these orders are not sent again."
            )

    async def _permitted(self, gateway: Gateway) -> tuple[str, datetime]:
        """The account that orders may be sent to, and the gateway's time. Raises LiveRefused."""
        account, there = gateway.account(self._account), await gateway.clock()
        for now in (self._clock(), there):
            check_use(self._permit, NAME, account, now, self._proof)
        return account, there

    def _may_withdraw(self, account: str) -> None:
        """What is at work may be withdrawn after a signature expired, but not by a desk on paper."""
        if not is_live(self._permit):
            check_paper(self._permit, NAME, account)

    async def _place(self, gateway: Gateway, orders: Sequence[Order]) -> dict[str, str]:
        """Places what was never sent; returns what was refused, by order id."""
        account, now = await self._permitted(gateway)
        today, live = self._days.date_of(now), is_live(self._permit)
        new = await self._new(gateway, account, now, orders)
        self._refuse_from_paper(new, live)
        found = [(order, *await self._contract(gateway, order, now)) for order in new]
        tickets = [(order, contract, self._ticket(order, account, held)) for order, contract, held in found]
        refused: dict[str, str] = {}
        for order, contract, ticket in tickets:
            self._sent.sending(order, today, live)
            news = await gateway.place(contract, ticket)
            self._sent.known(order, today)
            refused |= {order.order_id: news} if news else {}
        return refused

    def _refuse_from_paper(self, orders: Sequence[Order], live: bool) -> None:
        """An order that was on its way to a paper account is not sent to a live one."""
        for order in orders if live else ():
            was = self._sent.sent(order.order_id)
            if was is not None and not was.live:
                raise LiveOrderFromPaper(
                    f"order {order.order_id} was on its way to a paper account: it is not sent live. {BACK_TO_PAPER}"
                )

    def _ticket(self, order: Order, account: str, held: Held) -> Any:
        from ib_async.order import LimitOrder, MarketOrder

        action = "BUY" if order.quantity_contracts > 0 else "SELL"
        terms = {"tif": "DAY", "orderRef": order.order_id, "account": account, "clientId": self._address.client_id}
        asked = self._symbol(order.instrument, order.strategy)
        if asked.order_type == "market":
            return MarketOrder(action, abs(order.quantity_contracts), **terms)
        if order.reference_points is None:
            raise BrokerError(
                f"{NAME} did not take order {order.order_id}: it has no reference price to limit it to. Nothing "
                f"was placed. Give it one, or have {order.instrument} ordered at market (symbols.order_type)."
            )
        tick = held.instrument.tick_points
        beyond = math.copysign(asked.limit_offset_fraction, order.quantity_contracts) * abs(order.reference_points)
        points = round((order.reference_points + beyond) / tick) * tick
        return LimitOrder(action, abs(order.quantity_contracts), clean(points / held.points_per_unit), **terms)

    async def _contract(self, gateway: Gateway, order: Order, now: datetime) -> tuple[Any, Held]:
        """The one contract there that an order is for. Raises BrokerError where it is none or several."""
        from ib_async.contract import Future

        future = self._futures.get(order.instrument)
        if future is None:
            raise BrokerError(
                f"{NAME} did not take order {order.order_id}: no row of reference/brokers/interactive_brokers.csv says "
                f"which future {order.instrument} is there. Nothing was placed. Add the row, then place again."
            )
        month = str(order.contract // 100)
        asked = Future(
            future.symbol, month, future.exchange, multiplier=f"{future.multiplier:.12g}",
            currency=future.currency, tradingClass=future.trading_class,
        )  # fmt: skip
        fit = [found for found in await gateway.details(asked) if found.contractMonth == month]
        if len(fit) != 1:
            raise BrokerError(
                f"{NAME} did not take order {order.order_id}: {len(fit)} contracts there are {future.symbol} {month} "
                f"at {future.exchange} with multiplier {future.multiplier:.12g}. Nothing was placed. Correct the row "
                f"of {order.instrument} in reference/brokers/interactive_brokers.csv."
            )
        return fit[0].contract, self._as_ours(fit[0], future, now)
