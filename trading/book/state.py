"""The state of the book between two sessions: the fold of the journal, and the marks.

Belongs here: what must be known before a session can be closed, and how an event changes it. Does not belong here: the
step of a session (`close.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from trading.book.account import Account
from trading.book.booking import order_of
from trading.book.fills import MOVEMENT_KINDS, Blotter
from trading.book.journal import Event
from trading.book.marks import Contract, Mark
from trading.book.orders import Fill, Order
from trading.book.positions import Key
from trading.book.rolls import Roll
from trading.errors import MissingFxPair, UnknownInstrument
from trading.market.instruments import Instrument, RollParameters
from trading.risk.market import Market
from trading.strategies.targets import Wanted


@dataclass(frozen=True, slots=True)
class SessionInputs:
    """All that one session brings, besides fills.

    `prices` are the last known since the session before, by contract; only those of this very session trade.
    `held_contracts` is the contract to hold by instrument, `wanted` what strategies want by (strategy, instrument),
    `rates` base currency for one unit, last known. `rolls` since the session before, in order. `risk`: what is known of
    instruments for limits that need more than marks; None where no limit does. `roll_parameters` by instrument.
    """

    session: date
    prices: Mapping[Contract, Mark]
    held_contracts: Mapping[str, int]
    wanted: Mapping[tuple[str, str], Wanted]
    rates: Mapping[str, float]
    instruments: Mapping[str, Instrument]
    rolls: tuple[Roll, ...] = ()
    base_currency: str = "USD"
    risk: Market | None = None
    roll_parameters: Mapping[str, RollParameters] = field(default_factory=dict)

    def instrument(self, code: str) -> Instrument:
        """Reference data of an instrument. Raises UnknownInstrument."""
        if code not in self.instruments:
            raise UnknownInstrument(code, list(self.instruments))
        return self.instruments[code]

    def rate(self, currency: str) -> float:
        """Base currency for one unit of a currency. Raises MissingFxPair."""
        if currency not in self.rates:
            raise MissingFxPair(currency, self.base_currency)
        return self.rates[currency]

    def quoted(self, key: Contract) -> bool:
        """Whether the contract has a price of this very session."""
        return key in self.prices and self.prices[key].session == self.session


@dataclass(slots=True)
class BookState:
    """Positions, orders at work, account, marks and the contract to hold, after the events so far.

    `withdrawn` are ids of cancelled orders of which it is not certain that the broker was told.
    """

    account_base: float
    positions: dict[Key, int] = field(default_factory=dict)
    working: dict[str, Order] = field(default_factory=dict)
    account: Account = field(default_factory=Account)
    marks: dict[Contract, Mark] = field(default_factory=dict)
    held_contracts: dict[str, int] = field(default_factory=dict)
    withdrawn: set[str] = field(default_factory=set)
    blotter: Blotter = field(default_factory=Blotter)
    _created: dict[str, Order] = field(default_factory=dict)

    def apply(self, events: Iterable[Event]) -> list[Fill]:
        """Folds events in, in the order of the journal, and returns what the book moved by. Other kinds than orders and
        fills change nothing here."""
        movements: list[Fill] = []
        for event in events:
            if event.kind in MOVEMENT_KINDS:
                for movement in self.blotter.apply(event):
                    self._move(movement)
                    movements.append(movement)
            elif event.kind == "order_created" and event.payload["level"] == "contract":
                order = order_of(event)
                self._created[order.order_id] = order
            elif event.kind.startswith("order_"):
                self._order(str(event.payload["order_id"]), event)
        return movements

    def _order(self, name: str, event: Event) -> None:
        if event.kind == "order_sent" and name in self._created:
            self.working[name] = self._created.pop(name)
        elif event.kind == "order_changed" and name in self.working:
            quantity = int(str(event.payload["quantity_contracts"]))
            self.working[name] = replace(self.working[name], quantity_contracts=quantity)
        elif event.kind in ("order_cancelled", "order_expired", "order_rejected", "order_refused"):
            self.working.pop(name, None)
            self._created.pop(name, None)
            if event.kind == "order_cancelled":
                self.withdrawn.add(name)

    def see(self, inputs: SessionInputs) -> None:
        """Takes the session's prices as marks. A price older than the known one does not replace it."""
        for key, mark in inputs.prices.items():
            if key not in self.marks or self.marks[key].session <= mark.session:
                self.marks[key] = mark
        self.held_contracts.update(inputs.held_contracts)

    def _move(self, fill: Fill) -> None:
        key = (fill.strategy, fill.instrument, fill.contract)
        held = self.positions.pop(key, 0) + fill.quantity_contracts
        if held:
            self.positions[key] = held
        self._fill_order(fill)
        self.account.apply(fill)
        # A contract that was never quoted is worth what was last paid for it.
        self.marks.setdefault(key[1:], Mark(fill.price_points, fill.session))

    def _fill_order(self, fill: Fill) -> None:
        """What is left of the order at work; none of one that was filled whole, whatever is taken back of it later."""
        order = self.working.get(fill.order_id)
        if order is None:
            return
        left = order.quantity_contracts - fill.quantity_contracts
        if left * order.quantity_contracts > 0:
            self.working[fill.order_id] = replace(order, quantity_contracts=left)
        else:
            del self.working[fill.order_id]
