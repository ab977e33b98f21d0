"""What each position gained in a session, valued from cash and marks alone, in exact arithmetic.

Belongs here: the account of the book (`account.py`) taken apart by strategy and contract, and cash that was booked.
Does not belong here: where profit came from (`attribution.py`), which this must not use: the two are calculated apart
so that their agreement means something.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from trading.book.account import EXACT, PROFIT, ZERO, to_base
from trading.book.marks import Contract
from trading.book.orders import Fill
from trading.book.positions import Key
from trading.errors import CalculationError
from trading.market.instruments import Instrument

NOBODY: Key = ("", "", 0)
CashKey = tuple[str, str, int, str]  # strategy, instrument, contract (those of NOBODY for cash), and the currency


class Booked(NamedTuple):
    """Money booked without a trade: currency, amount (received positive), and its category."""

    currency: str
    amount_local: float
    category: str


@dataclass(slots=True)
class _Position:
    """Cash in price points, contracts, and commission paid, from the first fill on."""

    cash_points: Decimal = ZERO
    contracts: int = 0
    commission_local: Decimal = ZERO

    def points(self, mark: float | None, key: Key) -> Decimal:
        """Cash and contracts at their mark."""
        if not self.contracts:
            return self.cash_points
        if mark is None:
            raise CalculationError(f"contract {key[2]} of {key[1]} has no price to value it at. Load prices for it.")
        return EXACT.fma(Decimal(self.contracts), Decimal(mark), self.cash_points)


@dataclass(slots=True)
class PositionAccounts:
    """An account for each position: the account of the book (`account.py`) taken apart by strategy and contract."""

    positions: dict[Key, _Position] = field(default_factory=dict)
    held: set[Key] = field(default_factory=set)

    def apply(self, fill: Fill) -> None:
        """One more movement."""
        key = (fill.strategy, fill.instrument, fill.contract)
        mine = self.positions.setdefault(key, _Position())
        paid = EXACT.multiply(Decimal(fill.quantity_contracts), Decimal(fill.price_points))
        mine.cash_points = EXACT.subtract(mine.cash_points, paid)
        mine.contracts += fill.quantity_contracts
        mine.commission_local = EXACT.add(mine.commission_local, Decimal(fill.commission_local))
        (self.held.add if mine.contracts else self.held.discard)(key)

    def gained(
        self,
        movements: Iterable[Fill],
        marks_before: Mapping[Contract, float],
        marks: Mapping[Contract, float],
        instruments: Mapping[str, Instrument],
        rates: Mapping[str, float],
    ) -> dict[CashKey, Decimal]:
        """Takes a session's movements in; returns what each position held before or traded in it gained since the
        session before, in base currency. Raises CalculationError on a position without a mark or rate."""
        moved = list(movements)
        touched = self.held | {(fill.strategy, fill.instrument, fill.contract) for fill in moved}
        start = {key: self._value(key, marks_before) for key in touched}
        for fill in moved:
            self.apply(fill)
        return {
            (*key, instruments[key[1]].currency): _money(
                start[key], self._value(key, marks), instruments[key[1]], rates
            )
            for key in touched
        }

    def _value(self, key: Key, marks: Mapping[Contract, float]) -> tuple[Decimal, Decimal]:
        mine = self.positions.get(key, _Position())
        return mine.points(marks.get(key[1:]), key), mine.commission_local


def _money(
    before: tuple[Decimal, Decimal], now: tuple[Decimal, Decimal], instrument: Instrument, rates: Mapping[str, float]
) -> Decimal:
    """Points and commissions gained, as the account counts them: at the point value and rate in force."""
    if instrument.currency not in rates:
        raise CalculationError(f"no exchange rate of {instrument.currency} is known. Load FX rates for it.")
    points, paid = EXACT.subtract(now[0], before[0]), EXACT.subtract(now[1], before[1])
    local = EXACT.subtract(EXACT.multiply(points, Decimal(instrument.point_value_local)), paid)
    return to_base(local, rates[instrument.currency])


def earned(booked: Iterable[Booked], rates: Mapping[str, float]) -> dict[CashKey, Decimal]:
    """Interest and fees in base currency, by currency. Raises CalculationError on a currency without a rate."""
    local: dict[str, Decimal] = {}
    for item in booked:
        if item.category in PROFIT:
            local[item.currency] = EXACT.add(local.get(item.currency, ZERO), Decimal(item.amount_local))
    missing = sorted(set(local) - set(rates))
    if missing:
        raise CalculationError(f"no exchange rate of {missing[0]}, in which cash was booked, is known. Load FX rates.")
    return {(*NOBODY, currency): to_base(amount, rates[currency]) for currency, amount in local.items()}
