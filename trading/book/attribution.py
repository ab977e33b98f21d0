"""Profit and loss of a session by cause, against the change of the account.

Belongs here: the formula of each cause, and rows that hold causes and totals against each other. Does not belong here:
the total (`position_accounts.py`), reading either side (`assets/attribution.py`), or sums over sessions (`period.py`).

The two sides know nothing of each other. Causes are calculated one by one from what was held before, its marks, the
session's fills and the references of their orders; none is what is left over. The total is the change of cash and marks
of each position since its first fill. So the residual, total - explained, shows a mistake of either side: a fill that
one of them lacks, another mark, another rate.

With q0 contracts held before, m0 and m1 their marks before and now, v the point value in force, r0 and r1 base currency
for one unit of the instrument's currency before and now (r0 = r1 where unknown), c what the curve of the session before
said that the days since would bring (`slope`), and for each fill q contracts at price p, paid commission k, with
reference f (the price its order was decided at; p where the order has none):

    carry       q0 c v r0                     price     q0 ((m1 - c) - m0) v r0       fx  q0 (m1 - m0) v (r1 - r0)
    roll        q (m1 - f) v r1               of the legs of rolls
    trades      q (m1 - f) v r1               of all other fills
    slippage    q (f - p) v r1                commission  -k r1
    corrections (q (m1 - p) v - k) r1         of busts, corrections and adjustments, in place of those above
    financing   amount x r1                   of interest and fees booked; deposits and withdrawals are no profit
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from trading.book.account import PROFIT, ZERO
from trading.book.fills import is_correction
from trading.book.marks import Contract
from trading.book.orders import Fill
from trading.book.position_accounts import NOBODY, Booked, CashKey
from trading.book.positions import Key
from trading.book.rolls import ROLL
from trading.errors import CalculationError
from trading.market.instruments import Instrument

CAUSES = ("price", "carry", "roll", "trades", "slippage", "commission", "fx", "financing", "corrections")
COLUMNS = tuple(f"{cause}_base" for cause in CAUSES)
DAYS_A_YEAR = 365.25

Row = dict[str, Any]
Causes = dict[str, float]  # base currency by cause


# --- what is given ----------------------------------------------------------------------------------------------------
class Reference(NamedTuple):
    """What an order was decided at: its reason, and the price in points where it has one."""

    reason: str
    points: float | None


class Slope(NamedTuple):
    """How the price of two contracts of an instrument moves by itself as time passes, points for a calendar day."""

    contracts: tuple[int, int]
    points_a_day: float


@dataclass(frozen=True, slots=True)
class SessionMoves:
    """What the causes of one session are calculated from.

    `days` are calendar days since the session before; `before` contracts held after it, `marks_before` and `marks`
    prices in points, `rates_before` and `rates` base currency for one unit, `slopes` by instrument as of the session
    before, `orders` by id, `financing` the interest and fees of the session.
    """

    session: date
    days: int
    before: Mapping[Key, int]
    marks_before: Mapping[Contract, float]
    marks: Mapping[Contract, float]
    rates_before: Mapping[str, float]
    rates: Mapping[str, float]
    instruments: Mapping[str, Instrument]
    fills: Sequence[Fill] = ()
    orders: Mapping[str, Reference] = field(default_factory=dict)
    slopes: Mapping[str, Slope] = field(default_factory=dict)
    financing: Sequence[Booked] = ()

    def rate(self, currency: str) -> float:
        """Base currency for one unit now. Raises CalculationError."""
        if currency not in self.rates:
            raise CalculationError(f"no exchange rate of {currency} is known on {self.session}. Load FX rates for it.")
        return self.rates[currency]

    def carry_points(self, key: Contract) -> float:
        """What the curve said the days would bring; 0 where it said nothing of this contract."""
        known = self.slopes.get(key[0])
        return known.points_a_day * self.days if known and key[1] in known.contracts else 0.0


def slope(row: Mapping[str, Any]) -> Slope | None:
    """The slope of a row of `daily_prices` between the held contract and its carry contract; None without both prices.

    (price - carry) / (time of the carry contract - time of the held one), times in years as the reference system counts
    them: a month of the contract id is a twelfth, a day a twelve-hundredth, and contracts closer than a day one day
    apart. It is positive where a long position earns: the contract nearer to its end is the dearer one.
    """
    price, carry = row["price"], row["carry"]
    if None in (price, carry, row["price_contract"], row["carry_contract"]) or math.isnan(price) or math.isnan(carry):
        return None
    contracts = int(row["price_contract"]), int(row["carry_contract"])
    years = _years(contracts[1]) - _years(contracts[0])
    years = max(years, 1 / DAYS_A_YEAR) if years > 0 else years
    return Slope(contracts, (price - carry) / years / DAYS_A_YEAR) if years else None


def _years(contract: int) -> float:
    year, rest = divmod(contract, 10000)
    return year + rest / 100.0 / 12.0


# --- the causes -------------------------------------------------------------------------------------------------------
def causes(moves: SessionMoves) -> dict[CashKey, Causes]:
    """Base currency by cause, for each position held before the session or traded in it, and for booked cash.

    Raises CalculationError on a position without a mark or a currency without a rate.
    """
    found: dict[CashKey, Causes] = {}
    for key, quantity in moves.before.items():
        if quantity:
            _add(found, key, moves, _held(key, quantity, moves))
    for fill in moves.fills:
        _add(found, (fill.strategy, fill.instrument, fill.contract), moves, _filled(fill, moves))
    for booked in moves.financing:
        if booked.category in PROFIT:
            mine = found.setdefault((*NOBODY, booked.currency), {})
            gained = booked.amount_local * moves.rate(booked.currency)
            mine["financing"] = mine.get("financing", 0.0) + gained
    return found


def _add(found: dict[CashKey, Causes], key: Key, moves: SessionMoves, more: Causes) -> None:
    mine = found.setdefault((*key, moves.instruments[key[1]].currency), {})
    for cause, amount in more.items():
        mine[cause] = mine.get(cause, 0.0) + amount


def _held(key: Key, quantity: int, moves: SessionMoves) -> Causes:
    """Price, carry and currency of what was held before."""
    instrument = moves.instruments[key[1]]
    before, now = _mark(moves.marks_before, key), _mark(moves.marks, key)
    rate = moves.rate(instrument.currency)
    rate_before = moves.rates_before.get(instrument.currency, rate)
    carried, points = moves.carry_points(key[1:]), quantity * instrument.point_value_local
    return {
        "carry": points * carried * rate_before,
        "price": points * ((now - carried) - before) * rate_before,
        "fx": points * (now - before) * (rate - rate_before),
    }


def _filled(fill: Fill, moves: SessionMoves) -> Causes:
    """One movement of the session: against its order's reference to the mark, or a correction."""
    instrument = moves.instruments[fill.instrument]
    mark, rate = _mark(moves.marks, (fill.strategy, fill.instrument, fill.contract)), moves.rate(instrument.currency)
    worth = fill.quantity_contracts * instrument.point_value_local * rate
    paid = fill.commission_local * rate
    if is_correction(fill):
        return {"corrections": worth * (mark - fill.price_points) - paid}
    order = moves.orders.get(fill.order_id, Reference("", None))
    reference = reference_of(fill, order)
    return {
        "roll" if order.reason == ROLL else "trades": worth * (mark - reference),
        "slippage": worth * (reference - fill.price_points),
        "commission": -paid,
    }


def reference_of(fill: Fill, order: Reference) -> float:
    """The price a fill is measured against: its order's reference, or its own where the order has none."""
    points = order.points
    return fill.price_points if points is None or math.isnan(points) else points


def _mark(marks: Mapping[Contract, float], key: Key) -> float:
    if key[1:] not in marks:
        raise CalculationError(f"contract {key[2]} of {key[1]} has no price to value it at. Load prices for it.")
    return marks[key[1:]]


# --- rows -------------------------------------------------------------------------------------------------------------
def attribution_rows(
    session: date,
    explained: Mapping[CashKey, Causes],
    totals: Mapping[CashKey, Decimal],
    instruments: Mapping[str, Instrument],
) -> list[Row]:
    """Rows of the dataset `attribution`, sorted by key: every key that either side knows."""
    return [
        _row(key, session, explained.get(key, {}), totals.get(key, ZERO), instruments)
        for key in sorted({*explained, *totals})
    ]


def _row(key: CashKey, session: date, found: Causes, total: Decimal, instruments: Mapping[str, Instrument]) -> Row:
    strategy, instrument, contract, currency = key
    amounts = {f"{cause}_base": found.get(cause, 0.0) + 0.0 for cause in CAUSES}
    explained = math.fsum(amounts.values())
    return {
        "strategy": strategy,
        "instrument": instrument,
        "contract": contract,
        "session": session,
        "asset_class": instruments[instrument].asset_class if instrument else "",
        "currency": currency,
        **amounts,
        "explained_base": explained,
        "total_base": float(total),
        "residual_base": float(total - Decimal(explained)),
    }
