"""What accounting needs of a panel whatever is held: profit of a contract, deflators, rates, and when contracts roll.

Belongs here: arrays made once for a panel and a strategy's cost and execution settings. Does not belong here: anything
that depends on positions (`costs.py`, `accounts.py`). Definitions: reference numbers, sections 8, 12 and 13.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trading.backtest.market_days import weekdays
from trading.backtest.panel import Days, Floats, Integers, Panel
from trading.config.strategies import CostSettings, ExecutionSettings, StrategySettings
from trading.kernels.averages import filled
from trading.kernels.fills import deflators

Flags = npt.NDArray[np.bool_]

DEFLATOR_WINDOW = 180
DEFLATOR_MIN_PERIODS = 3
DAYS_A_YEAR = 365.25


@dataclass(frozen=True, slots=True)
class RollDates:
    """Even dates of each year on which a roll is paid, ascending: `dates`, `columns` of instruments, `rows`, the last
    session at or before each (-1: none), and whether it `is_session`."""

    dates: Days
    columns: Integers
    rows: Integers
    is_session: Flags


@dataclass(frozen=True, slots=True)
class AccountBasis:
    """See `basis`. Arrays have the shape `(n_sessions, n_instruments)`.

    `unit`: profit of one contract in a session, base currency; NaN where there is no rate. `rate`: base currency for
    one unit. `quoted`: price a commission is a fraction of, points. `deflator`: None where costs are not deflated.
    `rolls`: rolls that are paid when they happen, without rows where they are not. `roll_dates`: see there.
    """

    version: str
    instruments: tuple[str, ...]
    execution: ExecutionSettings
    costs: CostSettings
    unit: Floats
    rate: Floats
    quoted: Floats
    deflator: Floats | None
    rolls: Floats
    roll_dates: RollDates

    def fits(self, panel: Panel, strategy: StrategySettings) -> bool:
        """Whether this is the basis of that panel under those settings."""
        mine = (self.version, self.instruments, self.unit.shape, self.execution, self.costs)
        return mine == (panel.version, panel.instruments, panel.price.shape, strategy.execution, strategy.costs)


def basis(panel: Panel, strategy: StrategySettings) -> AccountBasis:
    """What does not depend on positions, to be passed to `account` again and again."""
    rate = session_rates(panel, strategy)
    calendar = strategy.costs.rolls == "calendar"
    return AccountBasis(
        version=panel.version,
        instruments=panel.instruments,
        execution=strategy.execution,
        costs=strategy.costs,
        unit=_unit(panel, rate),
        rate=rate,
        quoted=_adjusted(panel) if strategy.costs.commission_price == "adjusted" else filled(panel.held),
        deflator=_deflator(panel) if strategy.costs.deflator == "final_volatility" else None,
        rolls=np.empty((0, len(panel.instruments))) if calendar else panel.rolls,
        roll_dates=_roll_dates(panel) if calendar else _no_dates(),
    )


def session_rates(panel: Panel, strategy: StrategySettings) -> Floats:
    """Base currency for one unit by session: of the session, or as known when it began."""
    if strategy.execution.rates == "session":
        return panel.rate
    return np.ascontiguousarray(panel.rate_midnight[_days_in(panel, panel.sessions)])


def dated_rates(panel: Panel, strategy: StrategySettings, dates: Days, columns: Integers) -> Floats:
    """The same for dates and instruments one by one; a weekend's rate is Friday's, or that known when it began."""
    if strategy.execution.rates == "midnight":
        return np.asarray(panel.rate_midnight[_days_in(panel, dates), columns])
    rows = np.minimum(rows_before(panel, dates), len(panel.sessions) - 1)
    return np.where(rows >= 0, panel.rate[np.maximum(rows, 0), columns], np.nan)


def rows_before(panel: Panel, dates: Days) -> Integers:
    """Row of each date's session, or of the last session before it; below zero before the first, beyond the last row
    after the end of the panel: weekdays are counted on."""
    return np.asarray(weekdays(dates, "friday") - weekdays(panel.sessions[:1])[0])


def rows_after(panel: Panel, dates: Days) -> Integers:
    """Row of each date's session, or of the first session after it; counted on likewise."""
    return np.asarray(weekdays(dates, "session") - weekdays(panel.sessions[:1])[0])


def _days_in(panel: Panel, dates: Days) -> Integers:
    days = (dates.astype("datetime64[D]") - panel.first_day).astype(np.int64)
    return np.asarray(np.clip(days, 0, len(panel.rate_midnight) - 1))


def _unit(panel: Panel, rate: Floats) -> Floats:
    """Change of the price carried forward x point value x rate; no change counts as none."""
    price = filled(panel.price)
    unit = np.zeros(price.shape)
    np.subtract(price[1:], price[:-1], out=unit[1:])
    unit[np.isnan(unit)] = 0.0
    unit *= panel.point_value
    unit *= rate
    return unit


def _adjusted(panel: Panel) -> Floats:
    """The adjusted price as of each session: that of the last row after it, and missing where a row has none."""
    quoted = panel.price + panel.anchor
    for column, last in enumerate(panel.last):
        quoted[last + 1 :, column] = quoted[last, column] if last >= 0 else np.nan
    return quoted


def _deflator(panel: Panel) -> Floats:
    return deflators(panel.price, panel.first, panel.last, DEFLATOR_WINDOW, DEFLATOR_MIN_PERIODS)


def _no_dates() -> RollDates:
    none = np.empty(0, dtype=np.int64)
    return RollDates(none.astype("datetime64[D]"), none, none, none.astype(np.bool_))


def _roll_dates(panel: Panel) -> RollDates:
    each = [_dates_of(panel, column) for column in range(len(panel.instruments))]
    columns = np.repeat(np.arange(len(each)), [len(dates) for dates in each])
    dates = np.concatenate([*each, np.empty(0, dtype="datetime64[D]")])
    order = np.argsort(dates, kind="stable")
    dates, columns = dates[order], columns[order]
    rows = rows_before(panel, dates)
    is_session = (rows == rows_after(panel, dates)) & (rows >= 0) & (rows < len(panel.sessions))
    return RollDates(dates, columns, np.clip(rows, -1, len(panel.sessions) - 1), is_session)


def _dates_of(panel: Panel, column: int) -> Days:
    """Section 13.3: n dates in each year of the instrument's rows, from half a step after 1 January on."""
    first, last = _span(panel, column)
    letters = panel.rolls_a_year[column]
    if last < first or not letters >= 1:
        return np.empty(0, dtype="datetime64[D]")
    step = int(DAYS_A_YEAR / letters)
    years = np.arange(panel.sessions[first].astype("datetime64[Y]"), panel.sessions[last].astype("datetime64[Y]") + 1)
    offsets = int(step / 2) + step * np.arange(int(letters))
    return np.asarray((years.astype("datetime64[D]")[:, None] + offsets).ravel())


def _span(panel: Panel, column: int) -> tuple[int, int]:
    """First and last row of an instrument, of its price or its held contract; the last is before the first if none."""
    spans = [
        (int(first[column]), int(last[column]))
        for first, last in ((panel.first, panel.last), (panel.held_first, panel.held_last))
        if last[column] >= first[column]
    ]
    return (min(first for first, _ in spans), max(last for _, last in spans)) if spans else (0, -1)
