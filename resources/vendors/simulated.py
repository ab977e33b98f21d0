"""The simulated vendor: a market of twenty futures and five exchange rates that needs no files, and its faults.

Belongs here: sessions, time zones, delivery and faults. Does not belong here: the prices, which
`trading/market/simulation.py` makes.

History begins 2012-01-02 and goes on to any date asked; without a date it ends with 2024-12-31. A daily bar is labelled
with the exchange group's local close (three hours earlier on half days), an hourly bar with its end. Rows are known 15
minutes after the close. Hourly bars come for the held contract from `intraday_since` on. Without faults, a row is the
same whatever window is asked.

Faults are switched on by name. They touch the sessions of the last seven days of the requested window (or the one
session `fault_session`), always the same series: the instruments asked, in alphabetical order, in turn.

| fault                | what is delivered                                                                    |
|----------------------|--------------------------------------------------------------------------------------|
| `spike`              | on Tuesday and Thursday the held contract's close (and high) 50 % and 10 points higher |
| `stale_price`        | for 30 days all bars of the instrument, each contract, repeat its last close before that |
| `negative_volume`    | the held contract's daily volume below zero                                           |
| `high_below_low`     | high and low of the held contract's daily bar changed round, at least 1 point apart   |
| `nan_price`          | the held contract's daily close is NaN                                                |
| `infinite_price`     | the held contract's daily close is infinite                                           |
| `duplicate_rows`     | every daily bar of the instrument twice, the second with occurrence 1                 |
| `unsorted`           | the instrument's rows in reverse order                                                |
| `missing_day`        | no rows of the instrument                                                             |
| `missing_fx`         | no rates at all of the first pair: it is listed under no_data                         |
| `missing_instrument` | no answer for the instrument, in no session: it is listed under failed                |
| `unknown_instrument` | the instrument's rows a second time, as instrument UNLISTED                           |
| `late_correction`    | the held contract's daily close again, 0.1 % higher, known 12 hours later    |
| `bad_timestamp`      | the held contract's daily bar is labelled 522 weeks (ten years) too late               |
| `vendor_down`        | nothing: the vendor raises VendorError                                                |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from resources.vendors import deliveries
from trading.errors import ConfigError, VendorError
from trading.frames import RAW_BARS, RAW_FX_RATES, Dataset
from trading.market import simulation
from trading.market.instruments import ExchangeGroup
from trading.market.simulation import Bars, Paths
from trading.ports import Delivery, Failure, ReferenceStore, Request

ENDS = date(2024, 12, 31)
INTRADAY_BEGINS = date(2022, 1, 3)
EARLY_MINUTES = 180
WEEKS_TOO_LATE = 522
STUCK_DAYS = 30
MINUTES_UNTIL_KNOWN = 15
FX_CLOSE, FX_ZONE = time(17, 0), "America/New_York"
_FOREVER = date(9999, 12, 31)


@dataclass(frozen=True, slots=True)
class FaultySessions:
    """Masks over one instrument's rows: those a fault touches, of these the held contract's daily bars, of these the
    ones on alternate sessions; and the rows of the 30 days a price is stuck for."""

    touched: NDArray[np.bool_]
    held: NDArray[np.bool_]
    alternate: NDArray[np.bool_]
    stuck: NDArray[np.bool_]


class SimulatedVendor:
    """Keeps the promises of `PriceVendor`: raw_bars and raw_fx_rates. Raises ConfigError on an unknown fault."""

    name = "simulated"
    delivers = ("raw_bars", "raw_fx_rates")

    def __init__(
        self,
        reference: ReferenceStore,
        seed: int = 1,
        faults: Sequence[str] = (),
        *,
        intraday_since: date | None = INTRADAY_BEGINS,
        fault_session: date | None = None,
    ) -> None:
        unknown = [fault for fault in faults if fault not in FAULTS]
        if unknown:
            raise ConfigError(f"the simulated market has no fault {unknown[0]}. It has: {', '.join(sorted(FAULTS))}.")
        self._reference, self._seed, self._faults = reference, seed, tuple(faults)
        self._intraday_since, self._fault_session = intraday_since, fault_session
        self._listed = reference.instruments(_FOREVER)
        self._rolls = reference.roll_parameters(_FOREVER)

    def instruments(self) -> Sequence[str]:
        """Instruments of the simulated market that reference data holds, sorted."""
        return sorted(code for code in simulation.PROFILES if code in self._listed and code in self._rolls)

    def fetch(self, dataset: Dataset, request: Request) -> Delivery:
        """Bars or rates within the window; history neither begins earlier than 2012-01-02 nor needs an end."""
        if "vendor_down" in self._faults:
            raise VendorError("the simulated vendor does not answer (fault vendor_down). Try again later.")
        if dataset.name not in self.delivers:
            raise VendorError(
                f"the simulated vendor does not deliver {dataset.name}. Ask for raw_bars or raw_fx_rates."
            )
        window = (max(request.since or simulation.BEGINS, simulation.BEGINS), request.until or ENDS)
        if window[0] > window[1]:
            asked = self._pairs() if dataset is RAW_FX_RATES else tuple(request.instruments or self.instruments())
            return Delivery(deliveries.schema(dataset).empty_table(), no_data=tuple(asked))
        market = simulation.paths(self._seed, window[1])
        if dataset.name == "raw_fx_rates":
            return self._fetch_rates(market, window)
        return self._fetch_bars(market, window, request.instruments)

    def _fetch_bars(self, market: Paths, window: tuple[date, date], wanted: Sequence[str] | None) -> Delivery:
        asked = sorted(set(wanted)) if wanted is not None else list(self.instruments())
        there = [code for code in asked if code in self.instruments()]
        hit = {fault: there[place % len(there)] for place, fault in enumerate(FAULTS)} if there else {}
        failed = {hit["missing_instrument"]} if "missing_instrument" in self._faults and there else set()
        tables = {code: self._bars(market, code, window) for code in there if code not in failed}
        empty = [code for code in tables if not tables[code].num_rows]
        for fault in self._faults:
            code = hit.get(fault)
            if code in tables and tables[code].num_rows:
                tables[code] = FAULTS[fault](tables[code], self._touched(tables[code], window))
        return Delivery(
            deliveries.joined(RAW_BARS, list(tables.values())),
            tuple(sorted({*(code for code in asked if code not in there), *empty})),
            tuple(Failure(code, "the vendor timed out (fault missing_instrument)") for code in sorted(failed)),
        )

    def _bars(self, market: Paths, code: str, window: tuple[date, date]) -> pa.Table:
        """Daily bars, and hourly ones of the held contract, in the columns of a delivery."""
        listed, rolls = self._listed[code], self._rolls[code]
        group = self._reference.exchange_groups()[listed.exchange_group]
        sessions, early = self._sessions(market, listed.exchange_group)
        contracts = simulation.listings(rolls, window[1])
        daily = simulation.daily_bars(code, market, contracts, listed.tick_points, sessions, early, window, self._seed)
        tables = [_table(code, "daily", daily, market, group, early)]
        if self._intraday_since is not None:
            recent = market.days[daily.place] >= np.datetime64(self._intraday_since)
            held = daily.take(recent & simulation.held(daily, market.days, contracts))
            hourly = simulation.intraday_bars(code, held, listed.tick_points, early, self._seed)
            tables.append(_table(code, "intraday", hourly, market, group, early))
        return pa.concat_tables(tables).combine_chunks()

    def _sessions(self, market: Paths, group: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """By weekday of the market: open, and closing early."""
        calendar = self._reference.calendar(group, simulation.BEGINS, market.days[-1].item())
        early = np.array(sorted(calendar.early_closes), dtype="datetime64[D]")
        return np.isin(market.days, np.array(calendar.sessions, dtype="datetime64[D]")), np.isin(market.days, early)

    def _touched(self, table: pa.Table, window: tuple[date, date]) -> FaultySessions:
        day = table["stamp"].to_numpy().astype("datetime64[D]")
        if self._fault_session is not None:
            first = last = np.datetime64(self._fault_session)
        else:
            last = np.datetime64(window[1])
            first = last - 6
        daily = np.asarray(pc.equal(table["frequency"], "daily").to_numpy(zero_copy_only=False), dtype=bool)
        volume = table["volume"].to_numpy()
        touched = (first <= day) & (day <= last)
        held = touched & daily & _busiest(day, volume, daily)
        alternate = held & (np.is_busday(day, weekmask="0101000") | (self._fault_session is not None))
        stuck = (day > last - STUCK_DAYS) & (day <= last) if self._fault_session is None else touched
        return FaultySessions(touched, held, alternate, stuck)

    def _pairs(self) -> tuple[str, ...]:
        known = {pair.pair for pair in self._reference.fx_pairs()}
        return tuple(pair for pair in sorted(simulation.FX_PROFILES) if pair in known)

    def _fetch_rates(self, market: Paths, window: tuple[date, date]) -> Delivery:
        """Every weekday but New Year's Day and Christmas Day, at 17:00 in New York."""
        missing = self._pairs()[:1] if "missing_fx" in self._faults else ()
        month_day = market.days - market.days.astype("datetime64[Y]").astype("datetime64[D]")
        christmas = market.days.astype("datetime64[M]").astype(np.int64) % 12 == 11
        christmas &= (market.days - market.days.astype("datetime64[M]").astype("datetime64[D]")).astype(int) == 24
        inside = (market.days >= np.datetime64(window[0])) & (month_day.astype(int) > 0) & ~christmas
        stamp = market.days[inside].astype("datetime64[us]") + _minutes(FX_CLOSE)
        times = _times(stamp, FX_ZONE, 0)
        tables = [
            deliveries.rows(
                RAW_FX_RATES,
                {**times, "vendor": self.name, "pair": pair, "rate": simulation.fx_rates(market, pair)[inside]},
            )
            for pair in self._pairs()
            if pair not in missing
        ]
        none = missing if inside.any() else self._pairs()
        return Delivery(deliveries.joined(RAW_FX_RATES, tables), tuple(none))


def _table(
    code: str, frequency: str, bars: Bars, market: Paths, group: ExchangeGroup, early: NDArray[np.bool_]
) -> pa.Table:
    before = bars.minutes_before_close + np.where(early[bars.place], EARLY_MINUTES, 0)
    close = market.days[bars.place].astype("datetime64[us]") + _minutes(group.close_local)
    stamp = close - before.astype("timedelta64[m]")
    columns: dict[str, object] = {
        **_times(stamp, group.timezone, bars.minutes_before_close),
        "vendor": SimulatedVendor.name, "instrument": code, "contract": bars.contract, "frequency": frequency,
        "open": bars.open, "high": bars.high, "low": bars.low, "close": bars.close, "volume": bars.volume,
    }  # fmt: skip
    return deliveries.rows(RAW_BARS, columns)


def _times(stamp: NDArray[np.datetime64], zone: str, minutes_to_close: NDArray[np.int64] | int) -> dict[str, object]:
    """label, occurrence, stamp, event_at and known_at of rows stamped in a zone's local time."""
    event = pd.DatetimeIndex(stamp).tz_localize(zone).tz_convert("UTC").tz_localize(None).to_numpy()
    wait = np.asarray(minutes_to_close + MINUTES_UNTIL_KNOWN).astype("timedelta64[m]")
    return {
        "label": pa.array(stamp.astype("datetime64[s]")).cast(pa.string()),
        "occurrence": np.zeros(len(stamp), dtype=np.int32),
        "stamp": stamp,
        "event_at": _utc(event),
        "known_at": _utc(event + wait),
    }


def _utc(instants: NDArray[np.datetime64]) -> pa.Array:
    return pc.assume_timezone(pa.array(instants.astype("datetime64[us]")), "UTC")


def _minutes(local: time) -> np.timedelta64:
    return np.timedelta64(local.hour * 60 + local.minute, "m")


def _busiest(day: NDArray[np.datetime64], volume: NDArray[np.float64], daily: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Of each day the daily bar with the highest volume: the held contract, but for a day or two around a roll."""
    order = np.lexsort((np.where(daily, volume, -1.0), day))
    last = np.append(day[order][1:] != day[order][:-1], True)
    chosen = np.zeros(len(day), dtype=bool)
    chosen[order[last]] = True
    return chosen


def _with(table: pa.Table, name: str, values: object) -> pa.Table:
    place = table.schema.get_field_index(name)
    field = table.schema.field(name)
    return table.set_column(place, field, pa.array(values).cast(field.type))


def _change(table: pa.Table, where: NDArray[np.bool_], **change: Callable[[Any], Any]) -> pa.Table:
    for name, of in change.items():
        values = table[name].to_numpy()
        table = _with(table, name, np.where(where, of(values), values))
    return table


def _spike(table: pa.Table, hit: FaultySessions) -> pa.Table:
    close = table["close"].to_numpy()
    high = close + 0.5 * np.abs(close) + 10.0
    return _change(table, hit.alternate, close=lambda _: high, high=lambda _: high)


def _stale_price(table: pa.Table, hit: FaultySessions) -> pa.Table:
    contract, day = table["contract"].to_numpy(), table["stamp"].to_numpy()
    close = table["close"].to_numpy().copy()
    for each in np.unique(contract[hit.stuck]):
        rows = np.flatnonzero(contract == each)
        rows = rows[np.argsort(day[rows], kind="stable")]
        before = rows[~hit.stuck[rows]]
        close[rows[hit.stuck[rows]]] = close[before[-1] if len(before) else rows[0]]
    return _change(table, hit.stuck, **dict.fromkeys(("open", "high", "low", "close"), lambda _: close))


def _negative_volume(table: pa.Table, hit: FaultySessions) -> pa.Table:
    return _change(table, hit.held, volume=lambda volume: -volume)


def _high_below_low(table: pa.Table, hit: FaultySessions) -> pa.Table:
    high, low = table["high"].to_numpy(), table["low"].to_numpy()
    return _change(table, hit.held, high=lambda _: low, low=lambda _: np.maximum(high, low + 1.0))


def _nan_price(table: pa.Table, hit: FaultySessions) -> pa.Table:
    return _change(table, hit.held, close=lambda close: np.full_like(close, np.nan))


def _infinite_price(table: pa.Table, hit: FaultySessions) -> pa.Table:
    return _change(table, hit.held, close=lambda close: np.full_like(close, np.inf))


def _duplicate_rows(table: pa.Table, hit: FaultySessions) -> pa.Table:
    again = table.filter(pa.array(hit.touched))
    return pa.concat_tables([table, _with(again, "occurrence", np.ones(again.num_rows, dtype=np.int32))])


def _unsorted(table: pa.Table, hit: FaultySessions) -> pa.Table:
    order = np.arange(table.num_rows)
    order[hit.touched] = order[hit.touched][::-1]
    return table.take(order)


def _missing_day(table: pa.Table, hit: FaultySessions) -> pa.Table:
    return table.filter(pa.array(~hit.touched))


def _unknown_instrument(table: pa.Table, hit: FaultySessions) -> pa.Table:
    again = table.filter(pa.array(hit.touched))
    return pa.concat_tables([table, _with(again, "instrument", ["UNLISTED"] * again.num_rows)])


def _late_correction(table: pa.Table, hit: FaultySessions) -> pa.Table:
    again = table.filter(pa.array(hit.held))
    again = _with(again, "close", again["close"].to_numpy() * 1.001)
    again = _with(again, "high", np.maximum(again["high"].to_numpy(), again["close"].to_numpy()))
    known_at = pc.add(again["known_at"], pa.scalar(timedelta(hours=12), pa.duration("us")))
    return pa.concat_tables([table, _with(again, "known_at", known_at.combine_chunks())])


def _bad_timestamp(table: pa.Table, hit: FaultySessions) -> pa.Table:
    late = np.where(hit.held, np.timedelta64(WEEKS_TOO_LATE * 7, "D"), np.timedelta64(0, "D"))
    table = _with(table, "stamp", table["stamp"].to_numpy() + late)
    table = _with(table, "event_at", _utc(table["event_at"].to_numpy() + late))
    return _with(table, "label", table["stamp"].combine_chunks().cast(pa.timestamp("s")).cast(pa.string()))


def _elsewhere(table: pa.Table, hit: FaultySessions) -> pa.Table:
    """A fault that fetch itself plays."""
    return table


FAULTS: Mapping[str, Callable[[pa.Table, FaultySessions], pa.Table]] = {
    "spike": _spike,
    "stale_price": _stale_price,
    "negative_volume": _negative_volume,
    "high_below_low": _high_below_low,
    "nan_price": _nan_price,
    "infinite_price": _infinite_price,
    "duplicate_rows": _duplicate_rows,
    "unsorted": _unsorted,
    "missing_day": _missing_day,
    "missing_fx": _elsewhere,
    "missing_instrument": _elsewhere,
    "unknown_instrument": _unknown_instrument,
    "late_correction": _late_correction,
    "bad_timestamp": _bad_timestamp,
    "vendor_down": _elsewhere,
}
