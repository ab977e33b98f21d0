"""What a backtest found: positions, curves and statistics, and the record of how it came about.

Belongs here: the value, and cutting it to a window. Does not belong here: computing it (`engine.py`), or keeping it
(`resources/result_store.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime

import numpy as np

from trading.backtest.panel import Days, Floats

Statistics = Mapping[str, Mapping[str, float | int | str]]


@dataclass(frozen=True, slots=True)
class Result:
    """What an engine returns.

    `sessions`: datetime64[D], ascending. `positions`: contracts decided with the close of each session, shape
    (n_sessions, n_instruments), NaN outside an instrument's rows. `curves`: by name, shape (n_sessions,), NaN where a
    curve has no value: `gross_percent`, `costs_percent`, `net_percent` of capital, and `gross_base`, `costs_base`,
    `net_base` in base currency. `statistics`: by curve, then by name.
    """

    sessions: Days
    instruments: tuple[str, ...]
    positions: Floats
    curves: Mapping[str, Floats]
    statistics: Statistics

    def plain(self) -> Result:
        """The same with every zero positive, as stores keep it: adding 0.0 turns -0.0 into 0.0 and nothing else."""
        curves = {name: np.ascontiguousarray(values, dtype=np.float64) + 0.0 for name, values in self.curves.items()}
        statistics = {
            curve: {name: value + 0.0 if isinstance(value, float) else value for name, value in sorted(found.items())}
            for curve, found in sorted(self.statistics.items())
        }
        positions = np.ascontiguousarray(self.positions, dtype=np.float64) + 0.0
        return replace(self, positions=positions, curves=curves, statistics=statistics)

    def infinite(self) -> tuple[str, str | None, date] | None:
        """Name, instrument and session of the first value that is infinite, or None."""
        for name, values in self.curves.items():
            if (rows := np.flatnonzero(np.isinf(values))).size:
                return name, None, self.sessions[rows[0]].item()
        where = np.argwhere(np.isinf(self.positions))
        if not len(where):
            return None
        row, column = where[0]
        return "positions", self.instruments[column], self.sessions[row].item()


@dataclass(frozen=True, slots=True)
class Record:
    """Where a result comes from. `specification` is the backtest as canonical JSON; `parts` the versions of its
    registered parts; `at` is UTC; `seconds` what computing took."""

    key: str
    strategy: str
    specification: str
    data_version: str
    code_version: str
    engine: str
    who: str
    at: datetime
    seconds: float
    parts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Kept:
    """A result and its record. `result` is None of a sweep's row, which keeps `statistics` only."""

    record: Record
    statistics: Statistics
    result: Result | None = None
