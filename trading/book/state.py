"""The state of the book between two sessions: the fold of the journal, and the marks.

Belongs here: what must be known before a session can be closed, and how an event changes it. Does not belong here: the
step of a session (`close.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

from trading.book.account import Account
from trading.book.booking import fill_of, order_of
from trading.book.journal import Event
from trading.book.marks import Contract, Mark
from trading.book.orders import Fill, Order
from trading.book.positions import Key
from trading.book.rolls import Roll
from trading.errors import MissingFxPair, UnknownInstrument
from trading.market.instruments import Instrument
from trading.strategies.targets import Wanted


@dataclass(frozen=True, slots=True)
class SessionInputs:
    """All that one session brings, besides fills.

    `prices` are the last known since the session before, by contract; only those of this very session trade.
    `held_contracts` is the contract to hold by instrument, `wanted` what strategies want by (strategy, instrument),
    `rates` base currency for one unit, last known. `rolls` since the session before, in order.
    """

    session: date
    prices: Mapping[Contract, Mark]
    held_contracts: Mapping[str, int]
    wanted: Mapping[tuple[str, str], Wanted]
    rates: Mapping[str, float]
    instruments: Mapping[str, Instrument]
    rolls: tuple[Roll, ...] = ()
    base_currency: str = "USD"

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

    def apply(self, events: Iterable[Event]) -> None:
        """Folds events in, in the order of the journal. Other kinds than orders and fills change nothing here."""
        for event in events:
            if event.kind == "order_placed":
                order = order_of(event)
                self.working[order.order_id] = order
            elif event.kind == "order_cancelled":
                self.working.pop(str(event.payload["order_id"]), None)
                self.withdrawn.add(str(event.payload["order_id"]))
            elif event.kind == "fill":
                self._fill(fill_of(event))

    def see(self, inputs: SessionInputs) -> None:
        """Takes the session's prices as marks. A price older than the known one does not replace it."""
        for key, mark in inputs.prices.items():
            if key not in self.marks or self.marks[key].session <= mark.session:
                self.marks[key] = mark
        self.held_contracts.update(inputs.held_contracts)

    def _fill(self, fill: Fill) -> None:
        key = (fill.strategy, fill.instrument, fill.contract)
        held = self.positions.pop(key, 0) + fill.quantity_contracts
        if held:
            self.positions[key] = held
        self.working.pop(fill.order_id, None)
        self.account.apply(fill)
        # A contract that was never quoted is worth what was last paid for it.
        self.marks.setdefault(key[1:], Mark(fill.price_points, fill.session))
