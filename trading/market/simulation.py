"""A market out of a seed: futures curves, their daily and intraday bars, and exchange rates.

Belongs here: the pure generator (numpy only). Does not belong here: calendars, time zones, faults and delivery
(`resources/vendors/simulated.py`).

The model. Levels move on every weekday from 2012-01-02 on, whether or not an exchange is open: an Ornstein-Uhlenbeck
process in the log price (or in the price itself for `linear` profiles), driven by four common factors and its own
noise, with stochastic volatility and rare jumps. A future is worth the expected level at its month plus a wandering
carry and a season. Crude oil is `linear` and falls below zero in April 2020 in every market, whatever the seed.

Every row depends on the seed, the instrument and its own date alone: the same row comes whatever window is asked.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from trading.market.contracts import MONTH_LETTERS
from trading.market.instruments import RollParameters

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Days = NDArray[np.datetime64]

BEGINS = date(2012, 1, 2)
FACTORS = ("growth", "rates", "dollar", "commodities")
INTRADAY_BARS = 7
_YEAR_DAYS = 261
_MARGIN_DAYS = 10


@dataclass(frozen=True, slots=True)
class Profile:
    """How an instrument moves. `level` is its long-run price; `volatility` and `carry` are a year's: fractions of the
    price, or points if `linear`; `reversion` pulls to the level, a year; `loadings` on FACTORS, the rest is its own."""

    level: float
    volatility: float
    reversion: float
    carry: float
    loadings: tuple[float, float, float, float]
    volume_contracts: float
    season: float = 0.0
    linear: bool = False
    glut: bool = False


PROFILES: Mapping[str, Profile] = {
    "SP500": Profile(2800.0, 0.16, 0.05, 0.010, (0.85, 0.05, -0.05, 0.05), 1_500_000),
    "EUROSTX": Profile(3400.0, 0.19, 0.15, -0.015, (0.80, 0.10, 0.05, 0.05), 1_000_000),
    "FTSE100": Profile(6900.0, 0.15, 0.20, -0.010, (0.75, 0.10, 0.10, 0.15), 120_000),
    "NIKKEI": Profile(21000.0, 0.20, 0.10, -0.010, (0.70, 0.05, 0.20, 0.00), 60_000),
    "US10": Profile(126.0, 0.055, 0.40, -0.015, (-0.25, 0.85, -0.05, -0.05), 1_400_000),
    "BUND": Profile(150.0, 0.055, 0.40, -0.015, (-0.25, 0.80, 0.05, -0.05), 700_000),
    "JGB": Profile(148.0, 0.025, 0.50, -0.008, (-0.20, 0.60, 0.05, 0.00), 30_000),
    "GILT": Profile(122.0, 0.065, 0.40, -0.012, (-0.25, 0.75, 0.05, -0.05), 200_000),
    "SOFR": Profile(97.5, 0.70, 0.35, -0.30, (-0.20, 0.75, -0.05, -0.05), 300_000, linear=True),
    "AUD": Profile(0.80, 0.10, 0.25, -0.010, (0.35, 0.00, 0.65, 0.25), 90_000),
    "MXP": Profile(0.055, 0.12, 0.25, -0.045, (0.40, 0.00, 0.45, 0.10), 60_000),
    "GOLD": Profile(1450.0, 0.15, 0.10, 0.015, (-0.10, 0.35, 0.45, 0.30), 200_000),
    "COPPER": Profile(3.1, 0.21, 0.25, 0.010, (0.40, -0.05, 0.25, 0.45), 80_000),
    "CRUDE_W": Profile(62.0, 17.0, 0.45, -1.5, (0.30, -0.10, 0.10, 0.65), 120_000, linear=True, glut=True),
    "GAS_US": Profile(3.2, 0.42, 0.70, 0.04, (0.00, 0.00, 0.00, 0.35), 160_000, season=0.10),
    "CORN": Profile(430.0, 0.24, 0.45, 0.03, (0.05, 0.00, 0.10, 0.45), 110_000, season=-0.03),
    "SOYBEAN": Profile(1080.0, 0.20, 0.45, 0.01, (0.05, 0.00, 0.15, 0.45), 90_000, season=-0.02),
    "LEANHOG": Profile(78.0, 0.30, 1.00, 0.00, (0.05, 0.00, 0.00, 0.15), 20_000, season=-0.08),
    "COFFEE": Profile(1.45, 0.30, 0.40, 0.05, (0.05, 0.00, 0.20, 0.20), 20_000),
    "V2X": Profile(22.0, 0.85, 3.00, 0.10, (-0.75, 0.00, 0.00, 0.00), 35_000),
}
FX_PROFILES: Mapping[str, Profile] = {
    "EURUSD": Profile(1.15, 0.08, 0.25, 0.0, (0.10, 0.05, 0.75, 0.00), 0.0),
    "GBPUSD": Profile(1.35, 0.085, 0.25, 0.0, (0.20, 0.00, 0.65, 0.00), 0.0),
    "JPYUSD": Profile(0.0090, 0.085, 0.25, 0.0, (-0.40, 0.30, 0.40, 0.00), 0.0),
    "AUDUSD": PROFILES["AUD"],
    "MXNUSD": PROFILES["MXP"],
}
_SAME_PATH = {"AUDUSD": "AUD", "MXNUSD": "MXP"}


@dataclass(frozen=True, slots=True)
class Paths:
    """Weekdays from BEGINS on, shape (n_days,), and by series its level, daily volatility (both in the process's own
    units: log price, or points if linear) and carry a year, each shape (n_days,)."""

    days: Days
    level: Mapping[str, Floats]
    volatility: Mapping[str, Floats]
    carry: Mapping[str, Floats]


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars of one instrument in columns of equal length, by contract and then time. `place` indexes Paths.days;
    `minutes_before_close` is 0 on daily bars."""

    contract: Ints
    place: Ints
    minutes_before_close: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    def take(self, chosen: NDArray[np.bool_]) -> Bars:
        """The chosen rows."""
        return Bars(*(getattr(self, name)[chosen] for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Listing:
    """A contract of an instrument: its id, delivery month (counted from year 0), and the calendar days it is quoted on.

    `held_from` to `held_to` is when it is the contract to hold; NaT for one that never is.
    """

    contract: int
    month: int
    first: np.datetime64
    last: np.datetime64
    held_from: np.datetime64
    held_to: np.datetime64


def paths(seed: int, until: date) -> Paths:
    """Levels of every profile on all weekdays from BEGINS to `until`."""
    days = np.arange(np.datetime64(BEGINS), np.datetime64(until) + 1, dtype="datetime64[D]")
    days = days[np.is_busday(days)]
    names = [*PROFILES, *(pair for pair in FX_PROFILES if pair not in _SAME_PATH)]
    profiles = [PROFILES.get(name) or FX_PROFILES[name] for name in names]
    own = np.stack([_noise(seed, name, len(days)) for name in names], axis=1)
    common = np.stack([_noise(seed, f"factor {name}", len(days))[:, 0] for name in FACTORS], axis=1)
    turbulence = _decaying(_noise(seed, "turbulence", len(days))[:, :1], 0.98)
    loadings = np.array([profile.loadings for profile in profiles])
    residual = np.sqrt(1.0 - np.square(loadings).sum(axis=1))
    daily = np.array([profile.volatility for profile in profiles]) / np.sqrt(_YEAR_DAYS)
    volatility = daily * np.exp(0.055 * turbulence + 0.05 * _decaying(own[:, :, 1], 0.97) - 0.05)
    jumps = np.where(np.abs(own[:, :, 2]) > 2.9, 3.5 * own[:, :, 3], 0.0)
    shocks = volatility * (common @ loadings.T + residual * own[:, :, 0] + jumps)
    keep = 1.0 - np.array([profile.reversion for profile in profiles]) / _YEAR_DAYS
    level = _start(profiles) + _decaying(shocks, keep)
    carry = np.array([profile.carry for profile in profiles]) + daily * 0.12 * _decaying(own[:, :, 4], 0.995)
    columns = {name: place for place, name in enumerate(names)}
    columns |= {pair: columns[future] for pair, future in _SAME_PATH.items()}
    _add_glut(level, days, columns)
    return Paths(
        days,
        {name: level[:, place] for name, place in columns.items()},
        {name: volatility[:, place] for name, place in columns.items()},
        {name: carry[:, place] for name, place in columns.items()},
    )


def fx_rates(profile_paths: Paths, pair: str) -> Floats:
    """Rates of a pair on all weekdays, shape (n_days,), six significant digits."""
    digits = 5 - math.floor(math.log10(FX_PROFILES[pair].level))
    return np.asarray(np.round(np.exp(profile_paths.level[pair]), digits), dtype=np.float64)


def listings(rolls: RollParameters, until: date) -> list[Listing]:
    """Contracts quoted between BEGINS and `until`: while held, next to be held, or compared for carry with either,
    and ten days on, but never past expiry."""
    held = _held_periods(rolls, until)
    quoted: dict[int, list[np.datetime64]] = {}
    for here, (month, begins, ends) in enumerate(held[:-1]):
        following = held[here + 1][0]
        for needed in (month, following, _carry(rolls, month), _carry(rolls, following)):
            span = quoted.setdefault(needed, [begins, ends])
            span[0], span[1] = min(span[0], begins), max(span[1], ends)
    periods = {month: (begins, ends) for month, begins, ends in held}
    never = (np.datetime64("NaT"), np.datetime64("NaT"))
    return [
        Listing(
            contract_of(month), month, span[0],
            min(span[1] + _MARGIN_DAYS, _expiry(rolls, month)), *periods.get(month, never),
        )
        for month, span in sorted(quoted.items())
    ]  # fmt: skip


def contract_of(month: int) -> int:
    """Contract id YYYYMM00 of a month counted from year 0."""
    return (month // 12) * 10000 + (month % 12 + 1) * 100


def daily_bars(
    code: str,
    market: Paths,
    contracts: Sequence[Listing],
    tick_points: float,
    sessions: NDArray[np.bool_],
    early: NDArray[np.bool_],
    window: tuple[date, date],
    seed: int,
) -> Bars:
    """Daily bars of an instrument's contracts on open sessions within the window (both ends included).

    `sessions` and `early` say by weekday of `market.days` whether the exchange is open, and closes early. Prices are
    whole ticks, above zero unless the profile is linear.
    """
    profile = PROFILES[code]
    which, place = _rows(market.days, contracts, sessions, window)
    before = _session_before(sessions)[place]
    listing = _columns(contracts, which)
    close, width = _curve(profile, code, market, listing.month, place)
    previous, _ = _curve(profile, code, market, listing.month, before)
    key = _key(seed, code, listing.contract, place)
    close_ticks, high, low, opened = _range(close, previous, width, tick_points, key, profile.linear)
    volume = _volume(profile, listing, market.days[place], key) * np.where(early[place], 0.5, 1.0)
    opened, high, low, close = (np.round(ticks * tick_points, 10) for ticks in (opened, high, low, close_ticks))
    at_close = np.zeros(len(place), dtype=np.int64)
    return Bars(listing.contract, place, at_close, opened, high, low, close, np.maximum(np.round(volume), 1.0))


def held(bars: Bars, days: Days, contracts: Sequence[Listing]) -> NDArray[np.bool_]:
    """Which bars are of the contract to hold on their day."""
    listing = _columns(contracts)
    which = np.searchsorted(listing.contract, bars.contract)
    day = days[bars.place]
    return np.asarray((listing.held_from[which] < day) & (day <= listing.held_to[which]))


def intraday_bars(code: str, daily: Bars, tick_points: float, early: NDArray[np.bool_], seed: int) -> Bars:
    """Hourly bars that agree with daily ones: first open, highest high, lowest low, last close and total volume.

    Seven a session, four where `early` (by weekday, as in daily_bars) says so.
    """
    count = np.where(early[daily.place], 4, INTRADAY_BARS)
    steps = np.arange(INTRADAY_BARS + 1)
    done = np.minimum(steps / count[:, None], 1.0)
    key = _key(seed, f"{code} intraday", daily.contract, daily.place)
    noise = (
        np.stack([_uniform(key, 10 + n) - 0.5 for n in range(INTRADAY_BARS + 1)], axis=1)
        * (daily.high - daily.low)[:, None]
    )
    line = daily.open[:, None] + done * (daily.close - daily.open)[:, None] + noise * np.sqrt(done * (1.0 - done)) * 2.0
    line = np.round(np.round(line / tick_points) * tick_points, 10)
    line = np.clip(line, daily.low[:, None], daily.high[:, None])
    line[:, 0] = daily.open
    line[steps[None, :] >= count[:, None]] = np.repeat(daily.close, INTRADAY_BARS + 1 - count)
    high, low = np.maximum(line[:, :-1], line[:, 1:]), np.minimum(line[:, :-1], line[:, 1:])
    row = np.arange(len(count))
    high[row, (_uniform(key, 30) * count).astype(int)] = daily.high
    low[row, (_uniform(key, 31) * count).astype(int)] = daily.low
    exists = steps[None, :-1] < count[:, None]
    minutes = (count[:, None] - steps[None, 1:]) * 60
    volume = _split(daily.volume, count)
    repeated = np.repeat(row, count)
    return Bars(
        daily.contract[repeated], daily.place[repeated], minutes[exists],
        line[:, :-1][exists], high[exists], low[exists], line[:, 1:][exists], volume[exists],
    )  # fmt: skip


def _split(volume: Floats, count: Ints) -> Floats:
    """Whole contracts by bar, shape (n_sessions, INTRADAY_BARS), that add up to each session's volume."""
    bar = np.arange(INTRADAY_BARS)[None, :]
    share = np.floor(volume / count)[:, None] * (bar < count[:, None])
    share[np.arange(len(count)), count - 1] += volume - share.sum(axis=1)
    return share


def _noise(seed: int, name: str, rows: int) -> Floats:
    """Five standard normal columns of a named stream; a longer draw begins with the shorter one."""
    stream = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, zlib.crc32(name.encode())])))
    return stream.standard_normal((rows, 5))


def _decaying(shocks: Floats, keep: float | Floats) -> Floats:
    """Running sum y_t = keep y_{t-1} + shock_t, from 0, along the first axis."""
    result = np.empty_like(shocks)
    state = np.zeros(shocks.shape[1:])
    for place, shock in enumerate(shocks):
        state = keep * state + shock
        result[place] = state
    return result


def _start(profiles: Iterable[Profile]) -> Floats:
    return np.array([profile.level if profile.linear else np.log(profile.level) for profile in profiles])


def _add_glut(level: Floats, days: Days, columns: Mapping[str, int]) -> None:
    """Storage fills up in April 2020: over six weeks the level falls far below zero and comes back."""
    away = np.busday_count(np.datetime64("2020-04-20"), days)
    depth = np.where(np.abs(away) < 15, np.cos(np.pi * away / 30.0) ** 2, 0.0)
    for name, profile in PROFILES.items():
        if profile.glut:
            place = columns[name]
            level[:, place] -= depth * (level[:, place] + 0.9 * profile.level)


def _curve(profile: Profile, code: str, market: Paths, month: Ints, place: Ints) -> tuple[Floats, Floats]:
    """Price of a contract month at a day, and its daily standard deviation, both in points."""
    day = market.days[place]
    now = day.astype("datetime64[M]")
    elapsed = (now.astype(np.int64) + 1970 * 12) + (day - now.astype("datetime64[D]")).astype(np.int64) / 30.5
    years = np.maximum(month + 0.5 - elapsed, 0.0) / 12.0
    fade = np.exp(-profile.reversion * years)
    mean = profile.level if profile.linear else np.log(profile.level)
    value = mean + (market.level[code][place] - mean) * fade + market.carry[code][place] * years
    width = market.volatility[code][place] * fade
    season = profile.season * np.cos(2.0 * np.pi * (month % 12) / 12.0)
    if profile.linear:
        return value + season, width
    price = np.exp(value + season)
    return price, width * price


def _range(
    close: Floats, previous: Floats, width: Floats, tick: float, key: NDArray[np.uint64], negative: bool
) -> tuple[Floats, Floats, Floats, Floats]:
    """Close, high, low and open in whole ticks."""
    opened = previous + (close - previous) * (_uniform(key, 1) * 0.9 - 0.2)
    close_ticks, open_ticks = np.rint(close / tick), np.rint(opened / tick)
    reach_up, reach_down = -0.25 * np.log(_uniform(key, 2)), -0.25 * np.log(_uniform(key, 3))
    if not negative:
        close_ticks, open_ticks = np.maximum(close_ticks, 2.0), np.maximum(open_ticks, 2.0)
    high = np.maximum(close_ticks, open_ticks) + np.floor(np.minimum(reach_up, 2.0) * width / tick)
    low = np.minimum(close_ticks, open_ticks) - np.floor(np.minimum(reach_down, 2.0) * width / tick)
    return close_ticks, high, low if negative else np.maximum(low, 1.0), open_ticks


def _volume(profile: Profile, listing: _Listings, day: Days, key: NDArray[np.uint64]) -> Floats:
    """Contracts traded: most in the held contract, moving to the next within the days around the roll."""
    to_go = _days_between(day, listing.held_to)
    since = _days_between(listing.held_from, day)
    share = _logistic(to_go / 2.0) * _logistic(since / 2.0)
    return np.asarray(profile.volume_contracts * (0.02 + np.nan_to_num(share)) * np.exp(_uniform(key, 4) - 0.5))


def _days_between(first: Days, last: Days) -> Floats:
    """Calendar days; NaN where either is NaT."""
    days = last - first
    return np.where(np.isnat(days), np.nan, days.astype(np.float64))


def _logistic(x: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(x, -30.0, 30.0))))


def _rows(
    days: Days, contracts: Sequence[Listing], sessions: NDArray[np.bool_], window: tuple[date, date]
) -> tuple[Ints, Ints]:
    """Which contract (index) and which day (index) each row is of."""
    first, last = np.datetime64(window[0]), np.datetime64(window[1])
    which, place = [], []
    for number, contract in enumerate(contracts):
        begin = np.searchsorted(days, max(first, contract.first), "left")
        end = np.searchsorted(days, min(last, contract.last), "right")
        open_days = begin + np.flatnonzero(sessions[begin:end]) if end > begin else np.array([], dtype=np.int64)
        place.append(open_days)
        which.append(np.full(len(open_days), number))
    return np.concatenate(which).astype(np.int64), np.concatenate(place).astype(np.int64)


def _session_before(sessions: NDArray[np.bool_]) -> Ints:
    """Index of the last open session before each weekday; the first weekday where there is none."""
    last = np.maximum.accumulate(np.where(sessions, np.arange(len(sessions)), 0))
    return np.concatenate([[0], last[:-1]])


@dataclass(frozen=True, slots=True)
class _Listings:
    """Listings in columns, in order of contract."""

    contract: Ints
    month: Ints
    held_from: Days
    held_to: Days


def _columns(contracts: Sequence[Listing], which: Ints | None = None) -> _Listings:
    """The contracts in columns, repeated as `which` says."""
    columns = _Listings(
        np.array([listing.contract for listing in contracts], dtype=np.int64),
        np.array([listing.month for listing in contracts], dtype=np.int64),
        np.array([listing.held_from for listing in contracts], dtype="datetime64[D]"),
        np.array([listing.held_to for listing in contracts], dtype="datetime64[D]"),
    )
    if which is None:
        return columns
    return _Listings(columns.contract[which], columns.month[which], columns.held_from[which], columns.held_to[which])


def _held_periods(rolls: RollParameters, until: date) -> list[tuple[int, np.datetime64, np.datetime64]]:
    """Month held, day after which and day through which, from the period that holds BEGINS to some past `until`."""
    months = [
        year * 12 + MONTH_LETTERS.index(letter)
        for year in range(BEGINS.year - 1, until.year + 8)
        for letter in sorted(rolls.hold_cycle, key=MONTH_LETTERS.index)
    ]
    ends = [_expiry(rolls, month) + rolls.roll_offset_days for month in months]
    periods = list(zip(months[1:], ends[:-1], ends[1:], strict=True))
    begin = next(n for n, (_, _, end) in enumerate(periods) if end >= np.datetime64(BEGINS))
    stop = next(n for n, (_, _, end) in enumerate(periods) if end >= np.datetime64(until))
    return periods[begin : stop + 6]


def _carry(rolls: RollParameters, month: int) -> int:
    """The neighbour of a month in the priced cycle."""
    letters = {MONTH_LETTERS.index(letter) for letter in rolls.priced_cycle}
    month += rolls.carry_offset
    while month % 12 not in letters:
        month += rolls.carry_offset
    return month


def _expiry(rolls: RollParameters, month: int) -> np.datetime64:
    first = np.datetime64(month - 1970 * 12, "M").astype("datetime64[D]")
    return np.datetime64(first + rolls.expiry_offset_days)


def _key(seed: int, code: str, contract: Ints, place: Ints) -> NDArray[np.uint64]:
    """A number of its own for each contract and day."""
    base = np.uint64((zlib.crc32(code.encode()) << 20) ^ (seed * 0x9E3779B1 & 0xFFFFFFFFFFFF))
    return _mix(contract.astype(np.uint64) * np.uint64(0x100000001B3) + place.astype(np.uint64) ^ base)


def _uniform(key: NDArray[np.uint64], salt: int) -> Floats:
    """Numbers strictly between 0 and 1 that depend on the key and the salt alone."""
    mixed = _mix(key + np.uint64(salt * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF))
    return ((mixed >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
