"""The account, valued from the fold of all fills and the marks alone, in exact arithmetic.

Belongs here: cash and value of the account. Does not belong here: where profit came from (`pnl.py`), which this must
not use: the two are calculated apart so that their agreement means something.

Cash is counted in price points by instrument (buying q contracts at p costs q x p points) and turned into money with
the point value in force, so a point value that changes does not make money. Floats are converted to Decimal exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Context, Decimal

from trading.book.journal import Event
from trading.book.marks import Contract, Mark
from trading.book.orders import Fill
from trading.errors import CalculationError
from trading.market.instruments import Instrument

EXACT = Context(prec=60)
ZERO = Decimal(0)
Cash = dict[str, Decimal]  # by currency


def _add(a: Decimal, b: Decimal) -> Decimal:
    return EXACT.add(a, b)


def _less(a: Decimal, b: Decimal) -> Decimal:
    return EXACT.subtract(a, b)


def _times(a: Decimal, b: Decimal) -> Decimal:
    return EXACT.multiply(a, b)


@dataclass(slots=True)
class Account:
    """Cash in points, commissions paid in local money, and contracts held, after the fills so far."""

    cash_points: dict[str, Decimal] = field(default_factory=dict)
    commission_local: dict[str, Decimal] = field(default_factory=dict)
    contracts: dict[Contract, int] = field(default_factory=dict)

    def apply(self, fill: Fill) -> None:
        """One more fill."""
        code, key = fill.instrument, (fill.instrument, fill.contract)
        paid = _times(Decimal(fill.quantity_contracts), Decimal(fill.price_points))
        self.cash_points[code] = _less(self.cash_points.get(code, ZERO), paid)
        paid = Decimal(fill.commission_local)
        self.commission_local[code] = _add(self.commission_local.get(code, ZERO), paid)
        held = self.contracts.pop(key, 0) + fill.quantity_contracts
        if held:
            self.contracts[key] = held


@dataclass(frozen=True, slots=True)
class Valuation:
    """The account at one moment, by instrument: points (cash and positions at their marks) and commissions paid."""

    points: Mapping[str, Decimal]
    commission_local: Mapping[str, Decimal]


def account(fills: Iterable[Fill]) -> Account:
    """The account after these fills, from nothing."""
    result = Account()
    for fill in fills:
        result.apply(fill)
    return result


def valued(book: Account, marks: Mapping[Contract, Mark]) -> Valuation:
    """The account at these marks. Raises CalculationError naming a held contract that has none."""
    points = dict(book.cash_points)
    for key, quantity in book.contracts.items():
        if key not in marks:
            raise CalculationError(
                f"contract {key[1]} of {key[0]} is held ({quantity}) but no price of it is known. "
                "Load prices for it, or book the fill that closed it."
            )
        worth = _times(Decimal(quantity), Decimal(marks[key].price_points))
        points[key[0]] = _add(points.get(key[0], ZERO), worth)
    return Valuation(points, dict(book.commission_local))


def value_local(now: Valuation, instruments: Mapping[str, Instrument]) -> dict[str, Decimal]:
    """Cash of all fills and commissions plus positions at their marks, by currency."""
    return change_local(Valuation({}, {}), now, instruments)


def change_local(before: Valuation, now: Valuation, instruments: Mapping[str, Instrument]) -> dict[str, Decimal]:
    """Change of the account between two valuations, by currency, at the point values in force."""
    changes: dict[str, Decimal] = {}
    for code, points in now.points.items():
        instrument = instruments[code]
        moved = _less(points, before.points.get(code, ZERO))
        paid = _less(now.commission_local.get(code, ZERO), before.commission_local.get(code, ZERO))
        gained = _less(_times(moved, Decimal(instrument.point_value_local)), paid)
        changes[instrument.currency] = _add(changes.get(instrument.currency, ZERO), gained)
    return changes


def to_base(local: Decimal, rate: float) -> Decimal:
    """Local money in base currency at a rate (base for one local unit)."""
    return _times(local, Decimal(rate))


PROFIT = ("interest", "fee")  # categories of booked cash that are profit or loss; deposits and withdrawals are not


def booked(events: Iterable[Event]) -> Cash:
    """Interest and fees among events, by currency."""
    found: Cash = {}
    for event in events:
        if event.kind == "cash_booked" and event.payload["category"] in PROFIT:
            name, amount = str(event.payload["currency"]), Decimal(float(str(event.payload["amount_local"])))
            found[name] = _add(found.get(name, ZERO), amount)
    return found


def cash_of(fill: Fill, instrument: Instrument) -> Decimal:
    """What a fill brought or cost in local money, as a broker's statement counts it: commission paid, and the value
    traded at the point value in force in the fill's session, which is what `instrument` has to be as of."""
    traded = _times(Decimal(fill.quantity_contracts), Decimal(fill.price_points))
    worth = _times(traded, Decimal(instrument.point_value_local))
    return _less(_less(ZERO, worth), Decimal(fill.commission_local))


def cash_local(cash: Mapping[str, Decimal], fills: Iterable[Fill], instruments: Mapping[str, Instrument]) -> Cash:
    """Cash by currency after some more fills of one session, whose instruments these are."""
    after = dict(cash)
    for fill in fills:
        instrument = instruments[fill.instrument]
        after[instrument.currency] = _add(after.get(instrument.currency, ZERO), cash_of(fill, instrument))
    return after
