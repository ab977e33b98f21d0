"""Profit and loss of a session by strategy, instrument and contract, and where it came from.

Belongs here: the P&L rows. Does not belong here: the account (`account.py`), which is calculated without this module.

held = position before x (mark - mark before), traded = fills against the closing mark, both times point value and the
session's exchange rate; commission is paid, never positive. Margin earns no currency profit: each session's change in
local money is converted at that session's rate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from trading.book.marks import Contract, Mark
from trading.book.orders import Fill
from trading.book.positions import Key
from trading.errors import CalculationError
from trading.market.instruments import Instrument


@dataclass(frozen=True, slots=True)
class PnlRow:
    """A row of the dataset `pnl`."""

    strategy: str
    instrument: str
    contract: int
    session: date
    asset_class: str
    currency: str
    held_base: float
    traded_base: float
    commission_base: float
    total_base: float


def pnl_rows(
    session: date,
    before: Mapping[Key, int],
    marks_before: Mapping[Contract, Mark],
    fills: Sequence[Fill],
    marks: Mapping[Contract, Mark],
    instruments: Mapping[str, Instrument],
    rates: Mapping[str, float],
) -> list[PnlRow]:
    """One row for each position held before the session or traded in it, sorted by key.

    `before` are contracts held, `marks_before` and `marks` prices in points, `rates` base currency for one unit.
    Raises CalculationError on a position without a mark or a currency without a rate.
    """
    traded: dict[Key, list[Fill]] = {key: [] for key, quantity in before.items() if quantity}
    for fill in fills:
        traded.setdefault((fill.strategy, fill.instrument, fill.contract), []).append(fill)
    return [
        _row(key, session, before.get(key, 0), marks_before, traded[key], marks, instruments[key[1]], rates)
        for key in sorted(traded)
    ]


def _row(
    key: Key,
    session: date,
    before: int,
    marks_before: Mapping[Contract, Mark],
    fills: Iterable[Fill],
    marks: Mapping[Contract, Mark],
    instrument: Instrument,
    rates: Mapping[str, float],
) -> PnlRow:
    mark = _price(marks, key)
    moved = before * (mark - _price(marks_before, key)) if before else 0.0
    gained, commission = 0.0, 0.0
    for fill in fills:
        gained += fill.quantity_contracts * (mark - fill.price_points)
        commission -= fill.commission_local
    if instrument.currency not in rates:
        raise CalculationError(
            f"no exchange rate of {instrument.currency} is known on {session}. Load FX rates for it."
        )
    rate = rates[instrument.currency]
    value = instrument.point_value_local * rate
    held, traded, paid = moved * value, gained * value, commission * rate + 0.0
    return PnlRow(*key, session, instrument.asset_class, instrument.currency, held, traded, paid, held + traded + paid)


def _price(marks: Mapping[Contract, Mark], key: Key) -> float:
    mark = marks.get(key[1:])
    if mark is None:
        raise CalculationError(f"contract {key[2]} of {key[1]} has no price to value it at. Load prices for it.")
    return mark.price_points
