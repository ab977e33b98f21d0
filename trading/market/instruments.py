"""What is traded: instruments, their exchange groups, roll parameters and currency pairs.

Belongs here: the values and the rules they obey alone. Does not belong here: reading them from files, or prices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, time, timedelta


@dataclass(frozen=True, slots=True)
class Instrument:
    """A future as in force from `effective_from` on.

    `point_value_local` is what one point of one contract is worth in `currency`. Costs: `slippage_points` for each
    contract (half the spread), and commissions per contract, per trade (local currency) and as a fraction of value.
    """

    code: str
    description: str
    exchange_group: str
    currency: str
    point_value_local: float
    tick_points: float
    asset_class: str
    sector: str
    country: str
    slippage_points: float = 0.0
    commission_per_contract_local: float = 0.0
    commission_per_trade_local: float = 0.0
    commission_fraction: float = 0.0
    effective_from: date = date(1900, 1, 1)


@dataclass(frozen=True, slots=True)
class RollParameters:
    """When an instrument rolls. Cycles are month letters (FGHJKMNQUVXZ); offsets are calendar days.

    `expiry_offset_days` from the first of the contract month to expiry; `roll_offset_days` from expiry to the desired
    roll (negative: before); `carry_offset` is +1 or -1: which neighbour in the priced cycle gives carry.
    """

    instrument: str
    hold_cycle: str
    priced_cycle: str
    roll_offset_days: int
    expiry_offset_days: int
    carry_offset: int
    effective_from: date = date(1900, 1, 1)


@dataclass(frozen=True, slots=True)
class FxPair:
    """A quoted pair: `rate` of `pair` is units of `quote` for one unit of `base`."""

    pair: str
    base: str
    quote: str


@dataclass(frozen=True, slots=True)
class ExchangeGroup:
    """Instruments that share trading sessions. `calendar` is a name the calendar library knows, or `weekdays`;
    `close_local` and `timezone` say when the session's last close is."""

    name: str
    calendar: str
    timezone: str
    close_local: time
    description: str = ""


def in_force(
    instruments_on: Callable[[date], Mapping[str, Instrument]], first: date, last: date
) -> Iterator[tuple[date, Mapping[str, Instrument]]]:
    """Instruments by the date they are in force from, newest first, until one date is `first` or earlier: between two
    of the dates nothing changes. `instruments_on` gives those of a date."""
    asked = last
    while True:
        found = instruments_on(asked)
        since = max((instrument.effective_from for instrument in found.values()), default=first)
        yield since, found
        if since <= first:
            return
        asked = since - timedelta(days=1)
