"""Rows of market data as daily arrays: last prices, the mean annualised roll, counted rolls and exchange rates.

Belongs here: from time-stamped rows to one value a weekday (reference numbers, sections 1, 4 and 8), whoever delivered
them, and joining instruments to a `Panel`. Does not belong here: reading rows, or any calculation on a panel.

Weekdays are counted: Monday 29 December 1969 is 0, and a week has five. Rows have time stamps (datetime64[us], no
zone) that ascend; arrays of one series have one element a weekday from its first row to its last.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from trading.backtest.panel import Days, Floats, Integers, Panel
from trading.errors import MissingFxPair, UsageError

Stamps = npt.NDArray[np.datetime64]

CROSS = "USD"  # nearly every pair is quoted against it
LEAST_YEARS = 1 / 365.25
_SATURDAY = {"friday": 4, "session": 5}


# --- weekdays ---------------------------------------------------------------------------------------------------------
def weekdays(stamps: Stamps, weekend_rows: str = "session") -> Integers:
    """The weekday each time belongs to, counted: its own date's; Saturday's and Sunday's is the Friday before
    (`friday`: so that Friday's value is not known on Friday) or the Monday after (`session`). Raises UsageError."""
    if weekend_rows not in _SATURDAY:
        raise UsageError(f"weekend_rows is {weekend_rows!r}. Give session or friday.")
    days = stamps.astype("datetime64[D]").astype(np.int64) + 3
    week, day = np.divmod(days, 7)
    return np.asarray(5 * week + np.minimum(day, _SATURDAY[weekend_rows]))


def dates(weekday: Integers) -> Days:
    """Dates (datetime64[D]) of counted weekdays."""
    week, day = np.divmod(weekday, 5)
    return np.asarray((7 * week + day - 3).astype("datetime64[D]"))


# --- one instrument ---------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class HeldRows:
    """Rows of multiple prices of one instrument: points, and contract ids YYYYMMDD as numbers. NaN: missing."""

    weekday: Integers
    stamps: Stamps
    price: Floats
    price_contract: Floats
    carry: Floats
    carry_contract: Floats


@dataclass(frozen=True, slots=True)
class DailySeries:
    """One instrument by weekday. `price` begins on the weekday `first`; `held`, `carry` and `rolls` on `held_first`.
    NaN: no value that day. Without any rows the arrays are empty."""

    first: int
    price: Floats
    held_first: int
    held: Floats
    carry: Floats
    rolls: Floats


@dataclass(frozen=True, slots=True)
class Terms:
    """What an instrument is: see `Panel` for the units."""

    currency: str
    point_value: float
    slippage: float = 0.0
    per_contract: float = 0.0
    per_trade: float = 0.0
    fraction: float = 0.0
    rolls_a_year: float = float("nan")


def ascending(stamps: npt.NDArray[Any]) -> npt.NDArray[np.int64] | slice:
    """What puts rows in time order; rows of equal stamp keep theirs."""
    if len(stamps) < 2 or bool((stamps[1:] >= stamps[:-1]).all()):
        return slice(None)
    return np.argsort(stamps, kind="stable")


def daily_series(weekday: Integers, price: Floats, held: HeldRows) -> DailySeries:
    """Rows of an instrument's adjusted price (`weekday`, `price`) and of its held contract as daily series."""
    first, held_first = (int(own[0]) if len(own) else 0 for own in (weekday, held.weekday))
    return DailySeries(
        first,
        last_values(weekday, price),
        held_first,
        last_values(held.weekday, held.price),
        mean_roll(held),
        roll_counts(held),
    )


def last_values(weekday: Integers, values: Floats) -> Floats:
    """The last value of each weekday that is not missing (section 1), from the first row's weekday to the last's."""
    if not len(weekday):
        return np.empty(0)
    daily = np.full(int(weekday[-1] - weekday[0]) + 1, np.nan)
    present = ~np.isnan(values)
    daily[weekday[present] - weekday[0]] = values[present]
    return daily


def mean_values(weekday: Integers, values: Floats) -> Floats:
    """The mean of each weekday's values that are not missing, from the first row's weekday to the last's."""
    if not len(weekday):
        return np.empty(0)
    size, present = int(weekday[-1] - weekday[0]) + 1, ~np.isnan(values)
    place = weekday[present] - weekday[0]
    counts, means = np.bincount(place, minlength=size), np.full(size, np.nan)
    sums = np.bincount(place, weights=values[present], minlength=size)
    means[counts > 0] = sums[counts > 0] / counts[counts > 0]
    return means


def mean_roll(rows: HeldRows) -> Floats:
    """The annualised roll, points a year, mean of each weekday (section 4, steps 1 to 5).

    A roll of exactly zero counts as missing, as in the reference. Two contracts a fraction of a day apart count as
    one day apart where the carry contract is the later one; where it is the earlier one they are left as they are
    (the reference's test for those can never be true). The same contract twice, at two prices, is infinite.
    """
    roll = rows.price - rows.carry
    roll[roll == 0.0] = np.nan
    years = contract_years(rows.carry_contract) - contract_years(rows.price_contract)
    years[(years > 0.0) & (years < LEAST_YEARS)] = LEAST_YEARS
    weekday = rows.weekday
    if len(rows.stamps) and not _all_differ(rows.stamps):
        roll, years = last_of_stamp(rows.stamps, roll), last_of_stamp(rows.stamps, years)
        weekday = weekday[_ends(rows.stamps)]
    with np.errstate(divide="ignore", invalid="ignore"):
        return mean_values(weekday, roll / years)


def contract_years(contract: Floats) -> Floats:
    """A contract id YYYYMMDD as a time in years: a month is a twelfth, a day a twelve-hundredth (section 4, step 2)."""
    year = np.floor(contract / 10000.0)
    return np.asarray(year + (contract - year * 10000.0) / 100.0 / 12.0)


def roll_counts(rows: HeldRows) -> Floats:
    """How often the held contract changed on each weekday, on the weekday of the new contract's first price: without
    one it could not be traded."""
    if not len(rows.weekday):
        return np.empty(0)
    priced = np.where(np.isnan(rows.price), np.nan, rows.price_contract)
    contract, weekday = last_of_stamp(rows.stamps, priced), rows.weekday[_ends(rows.stamps)]
    known = ~np.isnan(contract)
    contract, weekday = contract[known], weekday[known]
    rolled = weekday[1:][contract[1:] != contract[:-1]] - rows.weekday[0]
    size = int(rows.weekday[-1] - rows.weekday[0]) + 1
    return np.bincount(rolled, minlength=size).astype(np.float64)


def last_of_stamp(stamps: Stamps, values: Floats) -> Floats:
    """For each time stamp once, the last of its values that is not missing; NaN where all are."""
    ends = _ends(stamps)
    if len(ends) == len(stamps):
        return values
    place = np.cumsum(np.concatenate([[0], (stamps[1:] != stamps[:-1]).astype(np.int64)]))
    once = np.full(len(ends), np.nan)
    present = ~np.isnan(values)
    once[place[present]] = values[present]
    return once


def _ends(stamps: Stamps) -> Integers:
    """Rows after which another stamp follows, or none."""
    return np.append(np.flatnonzero(stamps[1:] != stamps[:-1]), len(stamps) - 1)


def _all_differ(stamps: Stamps) -> bool:
    return bool((stamps[1:] != stamps[:-1]).all())


# --- exchange rates ---------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Quotes:
    """Quotes of one pair in time order: units of its second currency for one of its first. NaN: a row without one."""

    weekday: Integers
    stamps: Stamps
    rate: Floats

    def of_sessions(self, sessions: Integers) -> Floats:
        """The last quote of each weekday or before; NaN before the first."""
        present = ~np.isnan(self.rate)
        return _as_of(self.weekday[present], self.rate[present], sessions)

    def at_midnight(self, days: Days, *, rows: bool) -> Floats:
        """The quote as known when each day began: one stamped 00:00 is known that day, a later one the next day.

        `rows`: a row without a quote is missing until the next row (as the reference aligns a series to dates);
        otherwise the quote before it stays.
        """
        counts = slice(None) if rows else ~np.isnan(self.rate)
        return _as_of(self.stamps[counts], self.rate[counts], days.astype(self.stamps.dtype))


def _as_of(known: npt.NDArray[np.generic], values: Floats, asked: npt.NDArray[np.generic]) -> Floats:
    place = np.searchsorted(known, asked, side="right")
    return np.concatenate([[np.nan], values])[place]


@dataclass(frozen=True, slots=True)
class Conversion:
    """How a currency becomes the base: the product of the quotes of `over` divided by that of `under`."""

    over: tuple[str, ...] = ()
    under: tuple[str, ...] = ()

    @property
    def pairs(self) -> tuple[str, ...]:
        """Pairs that must be read."""
        return self.over + self.under


def conversion(currency: str, base: str, pairs: Collection[str]) -> Conversion:
    """The pair itself, else its inverse, else the cross through US dollars. Raises MissingFxPair."""
    if currency == base:
        return Conversion()
    single = _single(currency, base, pairs)
    if single is not None:
        return single
    one, other = _single(currency, CROSS, pairs), _single(base, CROSS, pairs)
    if one is None or other is None or CROSS in (currency, base):
        raise MissingFxPair(currency, base)
    return Conversion(one.over + other.under, one.under + other.over)


def _single(currency: str, base: str, pairs: Collection[str]) -> Conversion | None:
    if currency + base in pairs:
        return Conversion(over=(currency + base,))
    return Conversion(under=(base + currency,)) if base + currency in pairs else None


@dataclass(frozen=True, slots=True)
class Rates:
    """Quotes by pair, and how each currency becomes the `base`."""

    base: str
    conversions: Mapping[str, Conversion]
    quotes: Mapping[str, Quotes] = field(repr=False)

    def of_sessions(self, currency: str, sessions: Integers) -> Floats:
        """Base currency for one unit at the end of each weekday; NaN before the first quote."""
        way = self.conversions[currency]
        return _converted(way, {pair: self.quotes[pair].of_sessions(sessions) for pair in way.pairs}, len(sessions))

    def at_midnight(self, currency: str, days: Days) -> Floats:
        """The same as known when each calendar day began (section 8). The base itself is one from 1970 on, and
        missing before, as in the reference; so is a day whose last row of a single pair has no quote."""
        way = self.conversions[currency]
        if not way.pairs:
            return np.where(days >= np.datetime64("1970-01-01"), 1.0, np.nan)
        rows = len(way.pairs) == 1
        return _converted(way, {pair: self.quotes[pair].at_midnight(days, rows=rows) for pair in way.pairs}, len(days))


def _converted(way: Conversion, quoted: Mapping[str, Floats], count: int) -> Floats:
    over = quoted[way.over[0]] if way.over else np.ones(count)
    for pair in way.over[1:]:
        over = over * quoted[pair]
    for pair in way.under:
        over = over / quoted[pair]
    return over


# --- all of them ------------------------------------------------------------------------------------------------------
def joined(series: Mapping[str, DailySeries], terms: Mapping[str, Terms], rates: Rates, version: str) -> Panel:
    """The panel of instruments by code. One without any rows has `first` 0 and `last` -1 and no values. Raises
    UsageError where none has a row."""
    codes = tuple(sorted(series))
    start, stop = _span(series)
    sessions = np.arange(start, stop, dtype=np.int64)
    days = _calendar_days(dates(sessions))
    currencies = tuple(terms[code].currency for code in codes)
    by_session = {name: rates.of_sessions(name, sessions) for name in set(currencies)}
    by_day = {name: rates.at_midnight(name, days) for name in set(currencies)}
    return Panel(
        sessions=dates(sessions), instruments=codes, currencies=currencies, base=rates.base, version=version,
        first=_rows([series[code].first - start if len(series[code].price) else 0 for code in codes]),
        last=_rows([_last(series[code].first, series[code].price, start) for code in codes]),
        held_first=_rows([series[code].held_first - start if len(series[code].held) else 0 for code in codes]),
        held_last=_rows([_last(series[code].held_first, series[code].held, start) for code in codes]),
        price=_wide([(series[code].first - start, series[code].price) for code in codes], len(sessions)),
        held=_wide([(series[code].held_first - start, series[code].held) for code in codes], len(sessions)),
        carry=_wide([(series[code].held_first - start, series[code].carry) for code in codes], len(sessions)),
        rolls=_wide([(series[code].held_first - start, series[code].rolls) for code in codes], len(sessions), 0.0),
        rate=np.column_stack([by_session[name] for name in currencies]),
        first_day=days[0],
        rate_midnight=np.column_stack([by_day[name] for name in currencies]),
        point_value=np.tile([terms[code].point_value for code in codes], (len(sessions), 1)),
        slippage=np.array([terms[code].slippage for code in codes]),
        per_contract=np.array([terms[code].per_contract for code in codes]),
        per_trade=np.array([terms[code].per_trade for code in codes]),
        fraction=np.array([terms[code].fraction for code in codes]),
        rolls_a_year=np.array([terms[code].rolls_a_year for code in codes]),
        anchor=np.zeros(len(codes)),
    )  # fmt: skip


def _span(series: Mapping[str, DailySeries]) -> tuple[int, int]:
    """First weekday of any row, and the one after the last."""
    prices = [(own.first, own.first + len(own.price)) for own in series.values() if len(own.price)]
    helds = [(own.held_first, own.held_first + len(own.held)) for own in series.values() if len(own.held)]
    spans = prices + helds
    if not spans:
        shown = ", ".join(sorted(series)[:8]) or "no instruments"
        raise UsageError(f"there are no prices of {shown} in the time asked for. Choose others, or a later end.")
    return min(first for first, _ in spans), max(after for _, after in spans)


def _calendar_days(sessions: Days) -> Days:
    """Every date from 1 January of the first session's year to 31 December of the last one's."""
    years = sessions[[0, -1]].astype("datetime64[Y]")
    return np.arange(years[0].astype("datetime64[D]"), (years[1] + 1).astype("datetime64[D]"))


def _wide(parts: list[tuple[int, Floats]], sessions: int, elsewhere: float = np.nan) -> Floats:
    wide = np.full((sessions, len(parts)), elsewhere)
    for column, (start, values) in enumerate(parts):
        wide[start : start + len(values), column] = values if len(values) else elsewhere
    return wide


def _last(first: int, values: Floats, start: int) -> int:
    return first + len(values) - 1 - start if len(values) else -1


def _rows(values: list[int]) -> Integers:
    return np.array(values, dtype=np.int64)
