"""Limits, book and market facts laid out as the arrays that checks read (`trading/kernels/risk_checks.py`).

Belongs here: which column and row is what, and filling them. Does not belong here: changing them (the kernel does), or
names of what an order asks for (`engine.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from trading.kernels import risk_checks as k
from trading.kernels.risk_state import State
from trading.risk.book import UNKNOWN, WHOLE, Book
from trading.risk.forms import GROUPS
from trading.risk.limit_table import LimitTable, Slot
from trading.risk.market import Market

Floats = npt.NDArray[np.float64]

FORMS = {name: number for number, name in enumerate(
    ("ORDER", "POSITION", "GROSS", "NET", "LOSS", "RISK", "TAIL", "STANDING")
)}  # fmt: skip
PER = {"one": k.ONE, "capital": k.CAPITAL, "equity": k.EQUITY, "target": k.TARGET}
AXES: Mapping[str, int] = {
    "portfolio": k.PORTFOLIO, "strategy": k.STRATEGY, "instrument": k.INSTRUMENT, "contract": k.CONTRACT,
    "holding": k.HOLDING, **{name: k.FIRST_GROUP + number for number, name in enumerate(GROUPS)},
    "factor": k.PORTFOLIO, "component": k.PORTFOLIO, "scenario": k.PORTFOLIO,
}  # fmt: skip
LINE_WEIGHTS = {"contracts": k.LINE_ONES, "notional": k.LINE_NOTIONAL, "margin": k.LINE_MARGIN}
MEASURES = {
    "ORDER": {
        "size": k.SIZE, "notional": k.NOTIONAL, "collar": k.COLLAR, "order_rate": k.ORDER_RATE,
        "trade_rate": k.TRADE_RATE, "session_orders": k.SESSION_ORDERS, "participation": k.PARTICIPATION,
        "low_participation": k.LOW_PARTICIPATION, "spread": k.SPREAD_FRACTION, "age": k.PRICE_AGE,
        "roll": k.ROLL_STATE, "one": k.ALWAYS, "mode": k.TRADING_MODE, "lock": k.LOCKED, "halt": k.HALTED,
    },
    "RISK": {
        "volatility": k.STANDARD_DEVIATION, "marginal": k.MARGINAL, "concentration": k.CONCENTRATION,
        "value_at_risk": k.NORMAL_QUANTILE, "expected_shortfall": k.NORMAL_SHORTFALL,
    },
    "TAIL": {"value_at_risk": k.QUANTILE, "expected_shortfall": k.SHORTFALL},
    "STANDING": {"day": k.DAY, "week": k.WEEK, "drawdown": k.DRAWDOWN},
}  # fmt: skip
LEVELS = {"contract": k.OF_LINE, "holding": k.OF_HOLDING, "instrument": k.OF_INSTRUMENT}
MODES = {"free": k.FREE_MODE, "reduce_only": k.REDUCE_ONLY, "none": k.NOTHING}
SPREAD_ROWS = ("factor", "component", "scenario")  # axes of which every order has a row for each element


def rows_of(table: LimitTable, market: Market) -> tuple[npt.NDArray[np.int64], tuple[Slot, ...], int]:
    """The rows of every rule, the slot of each, and how many numbers of totals come before the common directions."""
    rows, slots, at = [], [], k.SCALARS
    for slot in table.slots:
        for element in range(slot.count) if slot.axis in SPREAD_ROWS else (-1,):
            row = [0] * k.ROW_COLUMNS
            for column, value in _row(slot, element, market).items():
                row[column] = value
            row[k.R_SUMS] = at
            if row[k.R_FORM] in (k.GROSS, k.NET, k.LOSS):
                at += k.SUMS * (1 if element >= 0 else slot.count)
            rows.append(row)
            slots.append(slot)
    order = sorted(range(len(rows)), key=lambda number: rows[number][k.R_FORM])  # loops take one form after another
    return np.array([rows[number] for number in order], dtype=np.int64), tuple(slots[number] for number in order), at


def spans_of(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """First row and the row after the last of each form, which stand together."""
    forms = rows[:, k.R_FORM]
    places = [(int(np.searchsorted(forms, form)), int(np.searchsorted(forms, form, "right"))) for form in range(8)]
    return np.array(places, dtype=np.int64)


def _row(slot: Slot, element: int, market: Market) -> dict[int, int]:
    rule = slot.rule
    weight, level = _weight(slot, element, market)
    return {
        k.R_FORM: FORMS[rule.form],
        k.R_MEASURE: MEASURES.get(rule.form, {}).get(rule.measure, 0),
        k.R_AXIS: AXES[slot.axis],
        k.R_LIMIT: slot.first + max(0, element),
        k.R_ELEMENT: element,
        k.R_WEIGHT: weight,
        k.R_CHANGE: int(rule.change),
        k.R_PER: PER[rule.per],
        k.R_LEVEL: level,
    }


def _weight(slot: Slot, element: int, market: Market) -> tuple[int, int]:
    """The row of weights and what they are weights of."""
    measure, rule = slot.rule.measure, slot.rule
    if rule.form == "POSITION":
        return (0 if measure == "exit" else -1), LEVELS[slot.axis]
    if measure in LINE_WEIGHTS:
        return LINE_WEIGHTS[measure], k.OF_LINE
    factors, components = len(market.factors), len(market.component_loadings)
    first = {"volatility": 0, "factor": 1, "component": 1 + factors, "stress": 1 + factors + components}
    return first.get(measure, 0) + max(0, element), k.OF_INSTRUMENT


def weights_of(market: Market) -> tuple[Floats, Floats]:
    """Weights of contract months and of instruments, NaN where they are not known. Volatility is of a year."""
    ones = np.ones(len(market.contracts))
    lines = np.stack([ones, np.abs(market.notional_base), market.margin_base[market.contract_instrument]])
    count = len(market.instruments)
    parts = [market.factor_loadings, market.component_loadings, market.stresses]
    own = np.vstack([k.YEAR * market.volatility_base[None, :], *[part.reshape(len(part), count) for part in parts]])
    return np.ascontiguousarray(lines), np.ascontiguousarray(own)


def levels_of(table: LimitTable) -> tuple[Floats, npt.NDArray[np.uint8]]:
    """The levels and flags of a table, as checks read them."""
    return np.stack([table.refuse, table.warn]), np.stack([table.judges, table.lenient])


def state_of(
    market: Market,
    book: Book,
    table: LimitTable,
    modes: Sequence[int],
    capacity: int,
    confidence: float,
    exit_fraction: float,
) -> tuple[State, tuple[Slot, ...]]:
    """Arrays of a book at rest, no order at work and all sums still 0 (`recompute` makes them), and the slot of each
    row. `modes` of trading by holding. `capacity`: orders at work at most."""
    rows, slots, at = rows_of(table, market)
    line_weights, own_weights = weights_of(market)
    directions, scenarios = _known(market.covariance_loadings), _known(market.scenarios.T)
    totals = _totals(book, at, directions.shape[1], scenarios.shape[1])
    keys, count = 1 + len(book.strategies), len(market.instruments)
    levels, flags = levels_of(table)
    holdings = np.zeros((k.HOLDING_COLUMNS, len(book.strategies) * count))
    holdings[k.MODE] = modes
    state = State(
        lines=_lines(market), own=_own(market, book), holdings=holdings, totals=totals, rows=rows,
        spans=spans_of(rows),
        groups=np.stack([market.groups[name].codes for name in GROUPS]), line_weights=_filled(line_weights),
        own_weights=_filled(own_weights), line_holes=_holes(line_weights), own_holes=_holes(own_weights),
        directions=directions, scenarios=scenarios, standing=_standing(book), levels=levels, flags=flags,
        orders=np.zeros((capacity, k.ORDER_COLUMNS)), free=np.arange(capacity, dtype=np.int64)[::-1].copy(),
        counts=np.array([capacity, 0, 0, 0, book.orders], dtype=np.int64),
        ticks=np.zeros((keys, 2, k.WINDOW_S), np.int64), seconds=np.full((keys, 2, k.WINDOW_S), -k.WINDOW_S, np.int64),
    )  # fmt: skip
    measure_by(state, market, confidence, exit_fraction)
    _hold(state, Places(market, book.strategies), book)
    return state, slots


def _totals(book: Book, at: int, directions: int, days: int) -> Floats:
    totals = np.zeros(at + directions + 3 * days)
    totals[k.CAPITAL_BASE], totals[k.EQUITY_BASE] = book.capital_base, book.equity_base
    totals[k.TARGET_FRACTION] = book.volatility_target_fraction
    totals[k.AT_DIRECTIONS], totals[k.AT_GAINS] = at, at + directions
    totals[k.AT_LOSSES], totals[k.AT_UNIT] = at + directions + days, at + directions + 2 * days
    return totals


def measure_by(state: State, market: Market, confidence: float, exit_fraction: float) -> None:
    """What losses and exits are measured by: the confidence, and the share of the volume that an exit may take."""
    normal, tail, totals = NormalDist(), 1.0 - confidence, state.totals
    quantile = normal.inv_cdf(confidence)
    totals[k.NORMAL_TIMES], totals[k.SHORTFALL_TIMES] = quantile, normal.pdf(quantile) / tail
    totals[k.TAIL_DAYS] = max(1, math.ceil(round(tail * state.scenarios.shape[1], 9)))
    with np.errstate(divide="ignore"):  # infinitely long where nothing is traded
        state.own[k.EXIT] = 1.0 / (exit_fraction * market.median_volume)


def _lines(market: Market) -> Floats:
    lines = np.zeros((k.LINE_COLUMNS, len(market.contracts)))
    lines[k.MARK], lines[k.AGE], lines[k.ROLL] = market.mark_points, market.mark_age_sessions, market.roll_state
    return lines


def _own(market: Market, book: Book) -> Floats:
    own = np.zeros((k.INSTRUMENT_COLUMNS, len(market.instruments)))
    loadings, rest = market.covariance_loadings, market.covariance_rest
    known = np.isfinite(loadings).all(axis=1) & np.isfinite(rest)
    variance = np.where(known, (loadings**2).sum(axis=1) + rest, 0.0)
    own[k.SIGMA], own[k.REST] = np.sqrt(variance), np.where(known, rest, 0.0)
    own[k.NO_COVARIANCE] = ~known
    own[k.NO_SCENARIO] = ~np.isfinite(market.scenarios).all(axis=0) if len(market.scenarios) else 1.0
    own[k.VOLATILITY], own[k.SPREAD] = market.volatility_base, market.spread_fraction
    own[k.MEDIAN], own[k.LOW] = market.median_volume, market.low_volume
    own[k.TRADED] = [book.traded_contracts.get(code, 0) for code in market.instruments]
    own[k.LOCK] = [float(code in book.locks) for code in market.instruments]
    return own


def _standing(book: Book) -> Floats:
    rows = [book.standing.get(name, UNKNOWN) for name in (WHOLE, *book.strategies)]
    return np.array(rows, dtype=np.float64)


def _hold(state: State, places: Places, book: Book) -> None:
    """What is held and was at the open. Raises KeyError on what the market does not know."""
    count = state.own.shape[1]
    for column, positions in ((k.HELD, book.positions), (k.OPENING, book.opening)):
        for (strategy, instrument, contract), contracts in positions.items():
            code = places.instruments[instrument]
            state.lines[column, places.contracts[instrument, contract]] += contracts
            state.own[column, code] += contracts
            state.holdings[column, places.strategies[strategy] * count + code] += contracts


class Places:
    """Where a strategy, an instrument and a contract are in the arrays."""

    __slots__ = ("contracts", "instruments", "strategies")

    def __init__(self, market: Market, strategies: Sequence[str]) -> None:
        self.strategies = {name: place for place, name in enumerate(strategies)}
        self.instruments = {code: place for place, code in enumerate(market.instruments)}
        self.contracts = {key: place for place, key in enumerate(market.contracts)}


def _known(values: Floats) -> Floats:
    return np.ascontiguousarray(np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0))


def _filled(weights: Floats) -> Floats:
    return np.where(np.isfinite(weights), weights, 0.0)


def _holes(weights: Floats) -> npt.NDArray[np.uint8]:
    return (~np.isfinite(weights)).astype(np.uint8)
