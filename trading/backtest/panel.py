"""Everything a backtest reads of the market, as arrays of one shape.

Belongs here: the panel and taking parts of it. Does not belong here: reading it from files or a store (`resources/`),
or any calculation.

Shapes are `(n_sessions, n_instruments)`, C order, float64, unless said. NaN is a session without a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import date

import numpy as np
import numpy.typing as npt

from trading.errors import UsageError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Days = npt.NDArray[np.datetime64]


@dataclass(frozen=True, slots=True)
class Panel:
    """Market data of `instruments` (alphabetical) on `sessions`: every Monday to Friday from the first row of any of
    them to the last, datetime64[D].

    `price`: adjusted daily price, points. `held`: price of the contract held, not adjusted. `carry`: annualised roll of
    the session (mean over its rows), points a year. `rolls`: how often the held contract changed. `volume` is not here.
    `first`, `last`: first and last row of each instrument's price series, shape `(n_instruments,)`, both included;
    `held_first`, `held_last` the same of the held contract's rows. Without any rows they are 0 and -1.

    `rate`: base currency for one unit of the instrument's, last quote of the session or before; `rate_midnight` as
    known when each calendar day began, shape `(n_days, n_instruments)`, from `first_day` on, every day of the week,
    starting on 1 January of the first session's year and ending on 31 December of the last one's. NaN before the
    first quote; at midnight also of the base itself before 1970, and while a pair's last row has no quote.

    `point_value`: local currency for a point, by session. Shape `(n_instruments,)`: `slippage` in points,
    `per_contract` and `per_trade` in local currency, `fraction` of value; `rolls_a_year`. `anchor`: points to add to
    `price` for the adjusted price as published (0 where it already is; see `trading/strategies/prices.py`).

    `version` is the hash of the data it was made of, `base` the currency of `rate`.
    """

    sessions: Days
    instruments: tuple[str, ...]
    currencies: tuple[str, ...]
    base: str
    version: str
    first: Integers
    last: Integers
    held_first: Integers
    held_last: Integers
    price: Floats
    held: Floats
    carry: Floats
    rolls: Floats
    rate: Floats
    first_day: np.datetime64
    rate_midnight: Floats
    point_value: Floats
    slippage: Floats
    per_contract: Floats
    per_trade: Floats
    fraction: Floats
    rolls_a_year: Floats
    anchor: Floats

    def only(self, instruments: Sequence[str]) -> Panel:
        """The panel of some of its instruments, on the same sessions. Raises KeyError on one it does not have."""
        if tuple(instruments) == self.instruments:
            return self
        places = {code: column for column, code in enumerate(self.instruments)}
        columns = np.array([places[code] for code in instruments], dtype=np.int64)
        width = len(self.instruments)
        changed: dict[str, object] = {
            field.name: np.ascontiguousarray(value[..., columns])
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), np.ndarray)
            and field.name != "sessions"
            and value.shape[-1] == width
        }
        names = {"instruments": tuple(instruments), "currencies": tuple(self.currencies[c] for c in columns)}
        return replace(self, **changed, **names)  # type: ignore[arg-type]

    def since(self, day: date) -> Panel:
        """The panel as if there were no prices before a date; empty instruments have `first` 0 and `last` -1.

        Exchange rates keep what was quoted before. Raises UsageError where nothing is left.
        """
        row = self.row(day)
        if row == 0:
            return self
        if row >= len(self.sessions):
            raise UsageError(
                f"there are no prices from {day} on: they end on {self.sessions[-1]}. Choose an earlier date."
            )
        start = self.sessions[row].astype("datetime64[Y]").astype("datetime64[D]")
        known = np.isfinite(self.held[row:]) | np.isfinite(self.carry[row:])
        first, last = _ends(np.isfinite(self.price[row:]), self.first - row, self.last - row)
        held_first, held_last = _ends(known, self.held_first - row, self.held_last - row)
        rows = ("sessions", "price", "held", "carry", "rolls", "rate", "point_value")
        cut: dict[str, object] = {name: getattr(self, name)[row:] for name in rows}
        rates = self.rate_midnight[int((start - self.first_day).astype(np.int64)) :]
        return replace(
            self, first=first, last=last, held_first=held_first, held_last=held_last, first_day=start,
            rate_midnight=rates, **cut,  # type: ignore[arg-type]
        )  # fmt: skip

    def row(self, session: date) -> int:
        """Number of sessions before a date: the row of a session, or where it would be."""
        return int(np.searchsorted(self.sessions, np.datetime64(session, "D")))


def _ends(known: npt.NDArray[np.bool_], first: Integers, last: Integers) -> tuple[Integers, Integers]:
    """First and last row of each column; 0 and -1 where none is known. A first row that was cut off is the first one
    known in its place; those that are still there stay, known or not."""
    some = known.any(axis=0)
    begin = np.where(first >= 0, first, known.argmax(axis=0))
    return np.where(some, begin, 0).astype(np.int64), np.where(some, last, -1).astype(np.int64)
