"""What trades cost in a backtest, as dated amounts: in cash, in Sharpe units, or nothing.

Belongs here: cost models, plain functions from what was decided and held to `Costs`. Does not belong here: what the
paper broker charges (`trading/book/costs.py`, which the cash model agrees with under the sound settings), or what
becomes of costs (`accounts.py`). Definitions: reference numbers, section 13.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from trading.analytics.years import ROOT_OF_YEAR, SESSIONS_A_YEAR
from trading.backtest.account_basis import DAYS_A_YEAR, AccountBasis, RollDates, dated_rates, rows_after, rows_before
from trading.backtest.panel import Days, Floats, Integers, Panel
from trading.config.strategies import StrategySettings
from trading.errors import CalculationError
from trading.kernels.averages import of_centre
from trading.kernels.fills import average_held, carried, relative_turnover, trades, unstable_order

TRADE, ROLL = 0, 1  # kinds of fills
TURNOVER_CENTRE_OF_MASS = 250.0

Survivors = Mapping[str, tuple[Days, Floats]]


@dataclass(frozen=True, slots=True)
class Holdings:
    """Contracts `decided` with each session's close (NaN outside an instrument's rows) and `held` after its fills."""

    decided: Floats
    held: Floats


@dataclass(frozen=True, slots=True)
class CostRisk:
    """What costs in Sharpe units are shares of: the position at an average forecast, contracts, and the volatility of
    the price, points a day; shape `(n_sessions, n_instruments)`."""

    average_position: Floats
    volatility: Floats


@dataclass(frozen=True, slots=True)
class Fills:
    """Fills one by one, by date: the instrument's column, TRADE or ROLL, contracts bought (+) or sold (-), how many
    times it is paid, the price a commission is a fraction of, and the cost in local currency, not deflated (-)."""

    dates: Days
    columns: Integers
    kinds: Integers
    contracts: Floats
    times: Floats
    prices: Floats
    local: Floats


@dataclass(frozen=True, slots=True)
class Costs:
    """Amounts by date, ascending: the instrument's column, local and base currency, negative; NaN where not known.
    `fills` are what was paid for, where single fills were."""

    dates: Days
    columns: Integers
    local: Floats
    base: Floats
    fills: Fills | None = None

    def only(self, kept: npt.NDArray[np.bool_]) -> Costs:
        """Some of the amounts; all of the fills."""
        return replace(self, **{name: getattr(self, name)[kept] for name in ("dates", "columns", "local", "base")})


class CostModel(Protocol):
    """What trades cost. `risk` is given where it is known."""

    def __call__(
        self, panel: Panel, holdings: Holdings, strategy: StrategySettings, basis: AccountBasis, risk: CostRisk | None
    ) -> Costs:
        """Amounts by date, ascending."""
        ...


def none(
    panel: Panel, holdings: Holdings, strategy: StrategySettings, basis: AccountBasis, risk: CostRisk | None
) -> Costs:
    """Trading is free."""
    nothing = np.empty(0)
    return Costs(nothing.astype("datetime64[D]"), nothing.astype(np.int64), nothing, nothing)


def cash(
    panel: Panel, holdings: Holdings, strategy: StrategySettings, basis: AccountBasis, risk: CostRisk | None
) -> Costs:
    """Slippage and commission of each fill (sections 13.1 to 13.6)."""
    fills = cash_fills(panel, holdings, strategy, basis)
    local = fills.local if basis.deflator is None else fills.local * _deflator(panel, fills, basis.deflator)
    base = local * dated_rates(panel, strategy, fills.dates, fills.columns)
    costs = Costs(fills.dates, fills.columns, local, base, fills)
    return costs if strategy.costs.same_date == "added" else costs.only(_lasting(fills, len(panel.instruments)))


def sharpe(
    panel: Panel, holdings: Holdings, strategy: StrategySettings, basis: AccountBasis, risk: CostRisk | None
) -> Costs:
    """A share of a year's volatility of the average position, every session that has one (section 13.8).

    It is what the strategy costs over all sessions, at the last year's prices. Raises CalculationError without `risk`.
    """
    if risk is None:
        raise CalculationError(
            f"strategy {strategy.name} has costs.method = sharpe, which needs average positions and volatility. "
            "Run it with an engine that gives them, or set costs.method = cash."
        )
    per_trade, holding = sharpe_per_trade(panel, risk, strategy)
    yearly = turnover(holdings.decided, risk.average_position) * per_trade + holding
    present = ~np.isnan(holdings.decided)
    rows, columns = np.nonzero(present)  # with each instrument's first row, whose cost is not known: see accounts.py
    first = (rows == 0) | ~present[rows - 1, columns] | np.isnan(holdings.held[rows, columns])
    days = np.where(first, np.nan, (panel.sessions[rows] - panel.sessions[rows - 1]).astype(np.float64))
    size = _sized(panel, risk, present)[rows, columns]
    local = -yearly[columns] * size * (days / DAYS_A_YEAR) * panel.point_value[rows, columns]
    return Costs(panel.sessions[rows], columns, local, local * basis.rate[rows, columns])


MODELS: Mapping[str, CostModel] = {"cash": cash, "sharpe": sharpe, "none": none}


def of_sessions(panel: Panel, base: Floats) -> Costs:
    """Costs given in base currency, shape `(n_sessions, n_instruments)`; zero and NaN are none."""
    rows, columns = np.nonzero(~np.isnan(base) & (base != 0.0))
    amounts, rates = base[rows, columns], panel.rate[rows, columns]
    return Costs(panel.sessions[rows], columns, amounts / rates, amounts)


# --- cash -------------------------------------------------------------------------------------------------------------
def cash_fills(panel: Panel, holdings: Holdings, strategy: StrategySettings, basis: AccountBasis) -> Fills:
    """Every fill that is paid: trades, and rolls as they happened (both legs) or at even dates of the year (one)."""
    waits = strategy.execution.fills == "when_traded"
    rows, columns, contracts, times = trades(holdings.held, 0.0 if waits else np.nan, basis.rolls)
    rolled = _of_own_years(panel, holdings.decided, basis.roll_dates)
    average = average_held(holdings.held, rolled.rows, rolled.columns, rolled.is_session)
    dates = np.concatenate([panel.sessions[rows], rolled.dates])
    order = np.argsort(dates, kind="stable")
    kinds = np.concatenate([np.where(times > 1.0, ROLL, TRADE), np.full(len(average), ROLL)])
    at_roll = basis.quoted[rolled.rows, rolled.columns] if strategy.costs.commission_price == "held" else 0.0
    fills = Fills(
        dates=dates[order],
        columns=np.concatenate([columns, rolled.columns])[order],
        kinds=kinds[order],
        contracts=np.concatenate([contracts, average])[order],
        times=np.concatenate([times, np.ones(len(average))])[order],
        prices=np.concatenate([basis.quoted[rows, columns], np.where(rolled.rows >= 0, at_roll, 0.0)])[order],
        local=np.empty(0),
    )
    points = panel.point_value[np.concatenate([rows, np.maximum(rolled.rows, 0)])[order], fills.columns]
    return replace(fills, local=-fills.times * _paid(panel, fills, points, strategy.costs.commission))


def _of_own_years(panel: Panel, decided: Floats, rolled: RollDates) -> RollDates:
    """Roll dates in the years in which each instrument has positions: its contracts may have rows in others too."""
    there = ~np.isnan(decided)
    years = panel.sessions.astype("datetime64[Y]")
    first, last = years[there.argmax(axis=0)], years[len(years) - 1 - there[::-1].argmax(axis=0)]
    own, columns = rolled.dates.astype("datetime64[Y]"), rolled.columns
    some = np.asarray(there.any(axis=0), dtype=np.bool_)
    kept = some[columns] & (own >= first[columns]) & (own <= last[columns])
    if kept.all():
        return rolled
    return RollDates(rolled.dates[kept], columns[kept], rolled.rows[kept], rolled.is_session[kept])


def _paid(panel: Panel, fills: Fills, point_value: Floats, commission: str) -> Floats:
    """Local currency for each fill, paid once."""
    contracts, columns = np.abs(fills.contracts), fills.columns
    slippage = contracts * panel.slippage[columns] * point_value
    for_contracts, for_trade = contracts * panel.per_contract[columns], panel.per_trade[columns]
    fraction = panel.fraction[columns]
    if commission == "largest":
        value = fraction * contracts * fills.prices * point_value
        return slippage + _larger(_larger(for_contracts, for_trade), value)
    worth = np.where(fraction > 0.0, fraction * contracts * np.abs(fills.prices) * point_value, 0.0)
    return slippage + for_contracts + np.where(contracts > 0.0, for_trade, 0.0) + worth


def _larger(one: Floats, other: Floats) -> Floats:
    """The first unless the other is larger: a value of a day without a price does not count."""
    return np.where(other > one, other, one)


def _deflator(panel: Panel, fills: Fills, deflator: Floats) -> Floats:
    """The deflator of each fill's own date; on a date that is no session, that of the instrument's cost before it."""
    rows, after = rows_before(panel, fills.dates), rows_after(panel, fills.dates)
    inside = (rows == after) & (rows >= 0) & (rows < len(panel.sessions))
    own = np.where(inside, deflator[np.where(inside, rows, 0), fills.columns], np.nan)
    return carried(own, fills.columns, len(panel.instruments))


def _lasting(fills: Fills, instruments: int) -> npt.NDArray[np.bool_]:
    """Of several fills of an instrument on a date the one that the reference's sorting happens to put last."""
    kept = np.ones(len(fills.dates), dtype=np.bool_)
    for column in range(instruments):
        own = np.flatnonzero(fills.columns == column)
        trades_first = own[np.argsort(fills.kinds[own], kind="stable")]
        days = fills.dates[trades_first].astype(np.int64)
        sorted_already = bool((days[1:] >= days[:-1]).all())
        order = np.arange(len(own)) if sorted_already else unstable_order(days)
        days = days[order]
        kept[trades_first[order[:-1][days[1:] == days[:-1]]]] = False
    return kept


def surviving(costs: Costs, instruments: tuple[str, ...], survivors: Survivors) -> Costs:
    """Costs in which, of several on one date, only the one nearest to the amount supplied for the date is left.

    `survivors`: by instrument, dates and local amounts. Instruments and dates without one keep all.
    """
    kept = np.ones(len(costs.dates), dtype=np.bool_)
    for code, (dates, amounts) in survivors.items():
        known = dict(zip(dates.astype("datetime64[D]").astype(np.int64).tolist(), amounts.tolist(), strict=True))
        own = np.flatnonzero(costs.columns == instruments.index(code))
        days = costs.dates[own].astype(np.int64)
        for day in np.unique(days[1:][days[1:] == days[:-1]]).tolist():
            tied = own[days == day]
            if day in known:
                kept[tied] = False
                kept[tied[np.nanargmin(np.abs(np.nan_to_num(costs.local[tied]) - known[day]))]] = True
    return costs.only(kept)


# --- Sharpe units -----------------------------------------------------------------------------------------------------
def sharpe_per_trade(panel: Panel, risk: CostRisk, strategy: StrategySettings) -> tuple[Floats, Floats]:
    """What opening and closing costs in Sharpe units, and a year's rolls (section 13.8), by instrument.

    Of the last year of each instrument's prices: twice the cost of one contract, against its value's volatility.
    """
    price, volatility, point_value = _last_year(panel, risk.volatility)
    one = Fills(
        dates=panel.sessions[:0], columns=np.arange(len(panel.instruments)), kinds=np.zeros(0, dtype=np.int64),
        contracts=np.ones(len(price)), times=np.ones(len(price)), prices=price, local=price,
    )  # fmt: skip
    cost = _paid(panel, one, point_value, strategy.costs.commission) / (price * point_value)
    per_trade = 2.0 * cost / (volatility * ROOT_OF_YEAR / price)
    return per_trade, per_trade * panel.rolls_a_year / 2.0


def _last_year(panel: Panel, volatility: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean price and mean daily volatility from a year before each instrument's last row on, and the point value."""
    price, risk, point_value = (np.full(len(panel.instruments), np.nan) for _ in range(3))
    for column, last in enumerate(panel.last):
        if last < panel.first[column]:
            continue
        start = max(_row_a_year_before(panel, int(last)), int(panel.first[column]))
        price[column] = _mean(panel.price[start : last + 1, column]) + panel.anchor[column]
        risk[column] = _mean(volatility[start : last + 1, column])
        point_value[column] = panel.point_value[last, column]
    return price, risk, point_value


def _row_a_year_before(panel: Panel, row: int) -> int:
    """First row on or after the same date a year earlier; 28 February for the 29th."""
    day = panel.sessions[row].astype("datetime64[D]")
    month = day.astype("datetime64[M]")
    offset = day - month.astype("datetime64[D]")
    end = (month - 11).astype("datetime64[D]") - np.timedelta64(1, "D")
    return int(np.searchsorted(panel.sessions, min((month - 12).astype("datetime64[D]") + offset, end)))


def _mean(values: Floats) -> float:
    present = values[~np.isnan(values)]
    return float(present.mean()) if len(present) else float("nan")


def turnover(decided: Floats, average_position: Floats) -> Floats:
    """How often a year the average position is traded over, by instrument (section 13.8)."""
    return SESSIONS_A_YEAR * relative_turnover(decided, average_position, of_centre(TURNOVER_CENTRE_OF_MASS))


def _sized(panel: Panel, risk: CostRisk, present: npt.NDArray[np.bool_]) -> Floats:
    """Contracts x annual volatility in points: as of each row, and backwards over rows before the first."""
    size = risk.average_position * risk.volatility * ROOT_OF_YEAR
    for column, last in enumerate(panel.last):
        size[: panel.first[column], column] = np.nan
        if last >= 0:
            size[last + 1 :, column] = size[last, column]
    size[~present] = np.nan
    rows = np.where(np.isnan(size), len(size) - 1, np.arange(len(size))[:, None])
    following = np.minimum.accumulate(rows[::-1], axis=0)[::-1]
    return np.take_along_axis(size, following, axis=0)
