"""Panels of the desk's own store: what the close sees, through a session and as known at a version or an instant.

Belongs here: which datasets a panel is made of, and reading them. Does not belong here: what becomes of the rows
(`trading/backtest/market_days.py`).

Prices are anchored at the first contract (`trading/strategies/prices.py`), so that the value of a session is the same
number to the last bit whether the panel is made through that session or through a later one; `anchor` adds up to the
adjusted price as people know it. The desk's calendar has placed every row in its session: `weekend_rows`, which says
so for files, changes nothing here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from resources.arrow_arrays import codes, reals, times
from resources.frame_rows import version_at
from resources.source_hash import readers_version
from trading.backtest.market_days import (
    DailySeries,
    HeldRows,
    Quotes,
    Rates,
    Stamps,
    Terms,
    ascending,
    conversion,
    daily_series,
    joined,
    weekdays,
)
from trading.backtest.panel import Floats, Panel
from trading.errors import UnknownInstrument, UsageError
from trading.frames import CLEAN_FX_RATES, DAILY_PRICES, MULTIPLE_PRICES, ROLL_GAPS, Dataset, empty
from trading.market.instruments import in_force

if TYPE_CHECKING:
    from trading.ports import AsOf, FrameStore, ReferenceStore

Array = npt.NDArray[Any]
SOURCES = (DAILY_PRICES, MULTIPLE_PRICES, ROLL_GAPS, CLEAN_FX_RATES)
_MULTIPLE_COLUMNS = ("instrument", "stamp", "session", "price", "price_contract", "carry", "carry_contract")
_SERIES_COLUMNS = ("instrument", "session")
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    DAILY_PRICES.name: ("instrument", "session", "stamp", "price"),
    MULTIPLE_PRICES.name: _MULTIPLE_COLUMNS,
    ROLL_GAPS.name: ("instrument", "stamp", "gap_points"),
    CLEAN_FX_RATES.name: ("pair", "stamp", "session", "rate"),
}


class FramePanels:
    """Panels of a store. `as_of` is an instant, or version numbers by dataset as a signed close pins them; None: the
    newest of each. `code` is the version of the code that makes panels (None: as its sources are)."""

    def __init__(
        self,
        frames: FrameStore,
        reference: ReferenceStore,
        as_of: AsOf | Mapping[str, AsOf] = None,
        code: str | None = None,
    ) -> None:
        self._frames, self._reference, self._as_of = frames, reference, as_of
        self._code = readers_version() if code is None else code

    def instruments(self) -> Sequence[str]:
        """Instruments that have daily prices, sorted."""
        rows = self._rows(DAILY_PRICES, self._versions(), date.max, None, ("instrument",))
        return sorted(codes(rows["instrument"])[0])

    def version(
        self, instruments: Sequence[str], base: str, weekend_rows: str = "session", through: date | None = None
    ) -> str:
        """A hash of the versions (number and instant) of the datasets, the content of the reference data and the
        readers' code; no rows are read. Every write to one of the datasets gives another version. Raises
        VersionNotFound."""
        return self._named(self._versions(), instruments, base, through)

    def panel(
        self, instruments: Sequence[str], base: str, weekend_rows: str = "session", through: date | None = None
    ) -> Panel:
        """The panel of `instruments` through a session (None: all there is), with the version `version` gives.

        Terms are those in force on the last session, point values those of each session (NaN before the first); one
        without roll parameters has NaN `rolls_a_year`. Raises UnknownInstrument, MissingFxPair, UsageError (no rows).
        """
        versions, wanted = self._versions(), sorted(set(instruments))
        series, anchors, last = self._series(versions, wanted, through or date.max)
        terms = self._terms(wanted, last)
        quotes = self._quotes(versions, through or date.max)
        ways = {own.currency: conversion(own.currency, base, quotes) for own in terms.values()}
        panel = joined(series, terms, Rates(base, ways, quotes), self._named(versions, instruments, base, through))
        return replace(
            panel, anchor=np.array([anchors[code] for code in wanted]), point_value=self._point_values(panel)
        )

    # --- versions ---
    def _versions(self) -> dict[str, tuple[int, str]]:
        """Number and instant by dataset, of those that were written."""
        asked = self._as_of
        found = {}
        for dataset in SOURCES:
            all_there = self._frames.versions(dataset)
            if all_there:
                own = asked.get(dataset.name) if isinstance(asked, Mapping) else asked
                version = version_at(all_there, dataset.name, own)
                found[dataset.name] = (version.number, version.written_at.isoformat())
        return found

    def _named(
        self, versions: Mapping[str, tuple[int, str]], instruments: Sequence[str], base: str, through: date | None
    ) -> str:
        asked = [f"panel of frames {self._code}", base, str(through), ",".join(sorted(set(instruments)))]
        made_of = [f"{name} {number} {at}" for name, (number, at) in sorted(versions.items())]
        return hashlib.sha256("\n".join([*asked, *made_of, self._reference.content_hash()]).encode()).hexdigest()

    # --- rows ---
    def _rows(
        self,
        dataset: Dataset,
        versions: Mapping[str, tuple[int, str]],
        through: date,
        series: Sequence[str] | None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Rows of the version that the panel's own version names: a write in between is not seen."""
        wanted = list(columns or _COLUMNS[dataset.name])
        if dataset.name not in versions:
            return empty(dataset).select(wanted)
        number = versions[dataset.name][0]
        return self._frames.history(dataset, through=through, series=series, columns=wanted, as_of=number)

    def _series(
        self, versions: Mapping[str, tuple[int, str]], wanted: Sequence[str], through: date
    ) -> tuple[dict[str, DailySeries], dict[str, float], date]:
        """Daily series and what to add for the adjusted price, by instrument, and the last session of any."""
        daily, multiple, gaps = (
            _by_series(self._rows(dataset, versions, through, wanted), _COLUMNS[dataset.name])
            for dataset in (DAILY_PRICES, MULTIPLE_PRICES, ROLL_GAPS)
        )
        if not daily:
            raise UsageError(
                f"the store has no daily prices of {', '.join(wanted[:8]) or 'no instruments'} through {through}. "
                "Run `daybook load` first, or choose other instruments or a later session."
            )
        last = max(own["session"][-1] for own in daily.values()).astype("datetime64[D]").item()
        steps = {code: _steps(gaps.get(code)) for code in wanted}
        series = {code: _daily(daily.get(code), multiple.get(code), *steps[code]) for code in wanted}
        return series, {code: float(sums[-1]) for code, (_, sums) in steps.items()}, last

    def _quotes(self, versions: Mapping[str, tuple[int, str]], through: date) -> dict[str, Quotes]:
        """Quotes through a session of every pair that has any, then or later."""
        rows = _by_series(self._rows(CLEAN_FX_RATES, versions, date.max, None), _COLUMNS[CLEAN_FX_RATES.name])
        return {pair: _quotes(own, through) for pair, own in rows.items()}

    # --- reference data ---
    def _terms(self, wanted: Sequence[str], on: date) -> dict[str, Terms]:
        found, rolls = self._reference.instruments(on), self._reference.roll_parameters(on)
        for code in wanted:
            if code not in found:
                raise UnknownInstrument(code, list(found))
        return {
            code: Terms(
                currency=(own := found[code]).currency,
                point_value=own.point_value_local,
                slippage=own.slippage_points,
                per_contract=own.commission_per_contract_local,
                per_trade=own.commission_per_trade_local,
                fraction=own.commission_fraction,
                rolls_a_year=float(len(rolls[code].hold_cycle)) if code in rolls else np.nan,
            )
            for code in wanted
        }

    def _point_values(self, panel: Panel) -> Floats:
        """What a point was worth, as in force on each session."""
        first, last = panel.sessions[[0, -1]].astype(object)
        values = np.full(panel.price.shape, np.nan)
        for since, found in reversed(list(in_force(self._reference.instruments, first, last))):
            known = [(column, found[code]) for column, code in enumerate(panel.instruments) if code in found]
            for column, own in known:
                values[panel.row(since) :, column] = own.point_value_local
        return values


# --- one series -------------------------------------------------------------------------------------------------------
def _by_series(rows: pa.Table, columns: Sequence[str]) -> dict[str, dict[str, Array]]:
    """Columns as arrays by the value of the first one; rows are in key order, so each series lies together."""
    names, places = codes(rows[columns[0]])
    arrays = {name: (times if name in ("stamp", "session") else reals)(rows[name]) for name in columns[1:]}
    starts = np.searchsorted(places, np.arange(len(names) + 1))
    return {
        name: {column: values[starts[place] : starts[place + 1]] for column, values in arrays.items()}
        for place, name in enumerate(names)
    }


def _steps(gaps: Mapping[str, Array] | None) -> tuple[Stamps, Floats]:
    """Stamps of an instrument's rolls, and the sum of the gaps up to none, the first, the second ... of them."""
    if gaps is None:
        return np.empty(0, "datetime64[us]"), np.zeros(1)
    return gaps["stamp"], np.concatenate([[0.0], np.cumsum(gaps["gap_points"])])


def _daily(
    daily: Mapping[str, Array] | None,
    multiple: Mapping[str, Array] | None,
    stamps: Stamps,
    sums: Floats,
) -> DailySeries:
    """Series of one instrument; its price less all gaps up to its stamp."""
    nothing = dict.fromkeys(_MULTIPLE_COLUMNS, np.empty(0))
    none: Mapping[str, Array] = nothing | dict.fromkeys(("stamp", "session"), np.empty(0, "datetime64[us]"))
    own, rows = daily or none, multiple or none
    anchored = own["price"] - sums[np.searchsorted(stamps, own["stamp"], side="right")]
    return daily_series(weekdays(own["session"]), anchored, _held(rows))


def _held(rows: Mapping[str, Array]) -> HeldRows:
    weekday = weekdays(rows["session"])
    order = ascending(weekday)
    return HeldRows(weekday[order], *(rows[name][order] for name in _MULTIPLE_COLUMNS if name not in _SERIES_COLUMNS))


def _quotes(rows: Mapping[str, Array], through: date) -> Quotes:
    """Quotes of sessions through a date. A pair that is only quoted later has none, and is known all the same."""
    weekday = weekdays(rows["session"])
    order = ascending(weekday)
    last = weekdays(np.array([through], "datetime64[us]"), "friday")[0]
    kept = slice(int(np.searchsorted(weekday[order], last, side="right")))
    return Quotes(weekday[order][kept], rows["stamp"][order][kept], rows["rate"][order][kept])
