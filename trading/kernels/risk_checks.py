"""Pre-trade checks: the book's sums, and every rule's value for an order, in time that does not grow with the book.

Belongs here: loops over the arrays that `trading/risk/compiled.py` lays out, and what their columns are. Does not
belong here: names, limits as people write them, or what a refusal says (`trading/risk/`). What values are is defined in
docs/reference/risk-engine.md.

Threads share the arrays. Whatever changes them is `exclusive`: a check, and the reservation it leads to, is one step
for all others. To judge an order it is added to the sums it is part of, looked at, and taken out by putting back what
was there, so that looking leaves no trace of rounding, and costs nothing for the rest of the book.

Rows of rules stand together by form (`spans`), so that each form is one loop. Loops take the arrays they need, not
all: passing the whole state along costs more than what they do.

A *leg* is one order, a *unit* what is judged as one thing: an order, or the netted legs of a list.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trading.kernels.compiled import compiled, exclusive
from trading.kernels.risk_state import State

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Risk = Floats | tuple[float, float, float]

# Columns of lines (contract months), of instruments and of holdings: held, held at the session's open, at work to buy
# and to sell, and a scratch place in which the legs of a unit are added up.
HELD, OPENING, BUYS, SELLS, SCRATCH = range(5)
MARK, AGE, ROLL, LINE_COLUMNS = range(5, 9)
(
    WORKING, TRADED, MEDIAN, LOW, SPREAD, LOCK, EXIT, SIGMA, REST, VOLATILITY, NO_COVARIANCE, NO_SCENARIO,
    INSTRUMENT_COLUMNS,
) = range(5, 18)  # fmt: skip
MODE, HALT, HOLDING_COLUMNS = range(5, 8)
# Scalars of totals. After them: sums of rows, gains along the common directions, gains and losses in the scenarios.
(
    CAPITAL_BASE, EQUITY_BASE, TARGET_FRACTION, OWN_VARIANCE, NORMS, GROSS_RISK, NORMAL_TIMES, SHORTFALL_TIMES,
    TAIL_DAYS, WORST, WORST_MEAN, HOLES, SCENARIO_HOLES, AT_DIRECTIONS, AT_GAINS, AT_LOSSES, AT_UNIT,
    OWN_LOST, GROSS_LOST, SCALARS,
) = range(20)  # fmt: skip
ORDER, POSITION, GROSS, NET, LOSS, RISK, TAIL, STANDING = range(8)
(
    R_FORM, R_MEASURE, R_AXIS, R_LIMIT, R_ELEMENT, R_SUMS, R_WEIGHT, R_CHANGE, R_PER, R_LEVEL, ROW_COLUMNS,
) = range(11)  # fmt: skip
OF_LINE, OF_INSTRUMENT, OF_HOLDING = range(3)  # R_LEVEL
ONE, CAPITAL, EQUITY, TARGET = range(4)  # R_PER
LINE_ONES, LINE_NOTIONAL, LINE_MARGIN = range(3)  # rows of line_weights
SUMS = 5  # of an element: gross, or net; up; down; scratch; holes
UP, DOWN, ADDED, MISSING = range(1, 5)
(
    SIZE, NOTIONAL, COLLAR, ORDER_RATE, TRADE_RATE, SESSION_ORDERS, PARTICIPATION, LOW_PARTICIPATION, SPREAD_FRACTION,
    PRICE_AGE, ROLL_STATE, ALWAYS, TRADING_MODE, LOCKED, HALTED,
) = range(15)  # fmt: skip
OWN_RATES, NUMBERS = 15, 17
STANDARD_DEVIATION, MARGINAL, CONCENTRATION, NORMAL_QUANTILE, NORMAL_SHORTFALL = range(5)
QUANTILE, SHORTFALL = range(2)
DAY, WEEK, DRAWDOWN = range(3)
PORTFOLIO, STRATEGY, INSTRUMENT, CONTRACT, HOLDING, FIRST_GROUP = range(6)  # R_AXIS; groups follow
O_STRATEGY, O_INSTRUMENT, O_LINE, O_LEFT, O_UNIT, O_NEXT, O_EXPIRES, O_BIRTH, ORDER_COLUMNS = range(9)
L_STRATEGY, L_INSTRUMENT, L_LINE, L_CONTRACTS, L_PRICE, LEG_COLUMNS = range(6)
C_FREE, C_CHANGES, C_CLOSED, C_BIRTHS, C_SESSION, C_COLUMNS = range(6)
PASS, WARN, REFUSE, UNKNOWN_WARN, UNKNOWN_REFUSE, UNLIMITED = range(6)
REDUCING = 8  # added to an outcome where the order only reduces its line
FREE_MODE, REDUCE_ONLY, CLOSE_ONLY, NOTHING = range(4)
WINDOW_S = 60
YEAR = 16.0
SMALL = 1000.0  # of money, or contracts: what large sums leave of rounding when they are back at nothing is nothing
ROUNDING = 1e-12  # of a value: how far sums of the same may be apart
ALL, PREFIX, SCALE = range(3)
NONE, FULL, CLOSED = -1, -2, -3


# --- where things are -------------------------------------------------------------------------------------------------
AXES = FIRST_GROUP + 5
BEFORE, AFTER = range(2)


@compiled
def element(axis: int, leg: Floats, groups: Integers) -> int:
    """The place of a leg's element among those of an axis."""
    code = int(leg[L_INSTRUMENT])
    if axis == STRATEGY:
        return int(leg[L_STRATEGY])
    if axis == INSTRUMENT:
        return code
    if axis == CONTRACT:
        return int(leg[L_LINE])
    if axis == HOLDING:
        return int(leg[L_STRATEGY] * groups.shape[1]) + code
    if axis >= FIRST_GROUP:
        return int(groups[axis - FIRST_GROUP, code])
    return 0


@compiled
def _elements(legs: Floats, groups: Integers) -> Integers:
    """Elements of legs, (legs, axes)."""
    found = np.zeros((legs.shape[0], AXES), np.int64)
    for leg in range(legs.shape[0]):
        code = int(legs[leg, L_INSTRUMENT])
        found[leg, STRATEGY], found[leg, INSTRUMENT] = int(legs[leg, L_STRATEGY]), code
        found[leg, CONTRACT] = int(legs[leg, L_LINE])
        found[leg, HOLDING] = int(legs[leg, L_STRATEGY]) * groups.shape[1] + code
        for group in range(groups.shape[0]):
            found[leg, FIRST_GROUP + group] = groups[group, code]
    return found


@compiled
def worst_size(columns: Floats, place: int, change: int) -> float:
    """The largest size of a position, or of its change since the open, whichever of its working orders are filled."""
    held = columns[HELD, place] - change * columns[OPENING, place]
    return float(max(abs(held + columns[BUYS, place]), abs(held - columns[SELLS, place])))


# --- bringing units to work and away ----------------------------------------------------------------------------------
@compiled
def _work(columns: Floats, elements: Integers, axis: int, legs: Floats, sign: float, sizes: Floats) -> None:
    """A unit comes to work (+1) or leaves (-1) on one kind of elements. `sizes` (legs, 2, 2): before and after, plain
    and of the change; equal for legs whose element another leg stands for."""
    for leg in range(legs.shape[0]):
        columns[SCRATCH, elements[leg, axis]] += legs[leg, L_CONTRACTS]
    for leg in range(legs.shape[0]):
        place = elements[leg, axis]
        contracts = columns[SCRATCH, place]
        columns[SCRATCH, place] = 0.0
        sizes[leg, BEFORE, 0], sizes[leg, BEFORE, 1] = worst_size(columns, place, 0), worst_size(columns, place, 1)
        if contracts > 0.0:
            columns[BUYS, place] = max(0.0, columns[BUYS, place] + sign * contracts)
        elif contracts < 0.0:
            columns[SELLS, place] = max(0.0, columns[SELLS, place] - sign * contracts)
        sizes[leg, AFTER, 0], sizes[leg, AFTER, 1] = worst_size(columns, place, 0), worst_size(columns, place, 1)


@compiled
def _add_sizes(
    totals: Floats,
    rows: Integers,
    first: int,
    last: int,
    level: int,
    elements: Integers,
    axis: int,
    weights: Floats,
    holes: Bytes,
    sizes: Floats,
    gross: bool,
) -> None:
    """New sizes of lines or instruments go into every sum they are part of: gross ones, and counts of holes."""
    for number in range(first, last):
        if rows[number, R_LEVEL] != level:
            continue
        change, weight = rows[number, R_CHANGE], rows[number, R_WEIGHT]
        for leg in range(elements.shape[0]):
            before, after = sizes[leg, BEFORE, change], sizes[leg, AFTER, change]
            if before != after:
                at = rows[number, R_SUMS] + SUMS * elements[leg, rows[number, R_AXIS]]
                if holes[weight, elements[leg, axis]]:
                    totals[at + MISSING] += int(after > 0.0) - int(before > 0.0)
                elif gross:
                    totals[at] += weights[weight, elements[leg, axis]] * (after - before)


@compiled
def _add_all_sizes(
    totals: Floats,
    rows: Integers,
    spans: Integers,
    level: int,
    elements: Integers,
    axis: int,
    weights: Floats,
    holes: Bytes,
    sizes: Floats,
) -> None:
    first, last = spans[GROSS, 0], spans[GROSS, 1]
    _add_sizes(totals, rows, first, last, level, elements, axis, weights, holes, sizes, True)
    first, last = spans[NET, 0], spans[LOSS, 1]
    _add_sizes(totals, rows, first, last, level, elements, axis, weights, holes, sizes, False)


@compiled
def _effect(rows: Integers, number: int, legs: Floats, leg: int, line_weights: Floats, own_weights: Floats) -> float:
    weight = rows[number, R_WEIGHT]
    if rows[number, R_LEVEL] == OF_LINE:
        return float(line_weights[weight, int(legs[leg, L_LINE])] * legs[leg, L_CONTRACTS])
    return float(own_weights[weight, int(legs[leg, L_INSTRUMENT])] * legs[leg, L_CONTRACTS])


@compiled
def _add_effects(
    totals: Floats,
    rows: Integers,
    first: int,
    last: int,
    elements: Integers,
    legs: Floats,
    line_weights: Floats,
    own_weights: Floats,
    sign: float,
) -> None:
    """What the legs come to at each net sum counts as what the unit may add, either way."""
    for number in range(first, last):
        base, axis = rows[number, R_SUMS], rows[number, R_AXIS]
        for leg in range(legs.shape[0]):
            at = base + SUMS * elements[leg, axis]
            totals[at + ADDED] += _effect(rows, number, legs, leg, line_weights, own_weights)
        for leg in range(legs.shape[0]):
            at = base + SUMS * elements[leg, axis]
            effect = totals[at + ADDED]
            totals[at + ADDED] = 0.0
            if effect > 0.0:
                totals[at + UP] = max(0.0, totals[at + UP] + sign * effect)
            elif effect < 0.0:
                totals[at + DOWN] = max(0.0, totals[at + DOWN] - sign * effect)


@compiled
def _count_holes(totals: Floats, own: Floats, elements: Integers, sizes: Floats) -> None:
    """Instruments at risk whose risk is not known."""
    for leg in range(elements.shape[0]):
        moved = int(sizes[leg, AFTER, 0] > 0.0) - int(sizes[leg, BEFORE, 0] > 0.0)
        if moved:
            totals[HOLES] += moved * own[NO_COVARIANCE, elements[leg, INSTRUMENT]]
            totals[SCENARIO_HOLES] += moved * own[NO_SCENARIO, elements[leg, INSTRUMENT]]


@compiled
def _bring(state: State, legs: Floats, elements: Integers, sign: float, sizes: Floats) -> None:
    """A unit comes to work (+1) or leaves (-1): positions, and all sums but those of risk. `sizes` (3, legs, 2, 2)."""
    totals, rows, spans, own = state.totals, state.rows, state.spans, state.own
    _work(state.lines, elements, CONTRACT, legs, sign, sizes[OF_LINE])
    _work(own, elements, INSTRUMENT, legs, sign, sizes[OF_INSTRUMENT])
    _work(state.holdings, elements, HOLDING, legs, sign, sizes[OF_HOLDING])
    for leg in range(legs.shape[0]):
        code = elements[leg, INSTRUMENT]
        own[WORKING, code] = max(0.0, own[WORKING, code] + sign * abs(legs[leg, L_CONTRACTS]))
    _add_changed(state, elements, sizes)
    _add_effects(
        totals, rows, spans[NET, 0], spans[LOSS, 1], elements, legs, state.line_weights, state.own_weights, sign
    )


# --- risk of a unit ---------------------------------------------------------------------------------------------------
@compiled
def _gains(legs: Floats, by_instrument: Floats) -> Floats:
    """What a unit gains along each column of `by_instrument` (instruments, columns)."""
    found = np.zeros(by_instrument.shape[1])
    for leg in range(legs.shape[0]):
        code, contracts = int(legs[leg, L_INSTRUMENT]), legs[leg, L_CONTRACTS]
        for column in range(found.shape[0]):
            found[column] += contracts * by_instrument[code, column]
    return found


@compiled
def _unit_losses(totals: Floats, legs: Floats, scenarios: Floats) -> None:
    """What a unit may lose in each scenario, never positive, into its scratch place."""
    days = scenarios.shape[1]
    unit = totals[int(totals[AT_UNIT]) : int(totals[AT_UNIT]) + days]
    if legs.shape[0] == 1:
        gains, contracts = scenarios[int(legs[0, L_INSTRUMENT])], legs[0, L_CONTRACTS]
        for day in range(days):
            unit[day] = min(0.0, contracts * gains[day])
        return
    unit[:] = 0.0
    for leg in range(legs.shape[0]):
        gains, contracts = scenarios[int(legs[leg, L_INSTRUMENT])], legs[leg, L_CONTRACTS]
        for day in range(days):
            unit[day] += contracts * gains[day]
    for day in range(days):
        unit[day] = min(0.0, unit[day])


@compiled
def _is_first(legs: Floats, number: int) -> bool:
    """Whether no leg before it is of the same instrument."""
    for earlier in range(number):  # noqa: SIM110 -- as numba takes it
        if legs[earlier, L_INSTRUMENT] == legs[number, L_INSTRUMENT]:
            return False
    return True


@compiled
def _norm(legs: Floats, own: Floats, directions: Floats) -> float:
    """Standard deviation of a unit alone."""
    if legs.shape[0] == 1:
        return float(abs(legs[0, L_CONTRACTS]) * own[SIGMA, int(legs[0, L_INSTRUMENT])])
    gains = _gains(legs, directions)
    variance = (gains * gains).sum()
    for leg in range(legs.shape[0]):
        own[SCRATCH, int(legs[leg, L_INSTRUMENT])] += legs[leg, L_CONTRACTS]
    for leg in range(legs.shape[0]):
        code = int(legs[leg, L_INSTRUMENT])
        variance += own[REST, code] * own[SCRATCH, code] ** 2
        own[SCRATCH, code] = 0.0
    return float(np.sqrt(max(0.0, variance)))


@compiled
def _added(total: tuple[float, float], term: float) -> tuple[float, float]:
    """A sum and what rounding took from it, with one more term (Knuth's two-sum). A root is taken of what is left when
    terms go away again, and would make 1e-8 of a rounding of 1e-16."""
    found = total[0] + term
    part = found - total[0]
    return found, total[1] + ((total[0] - (found - part)) + (term - part))


@compiled
def _moved(
    variance: tuple[float, float], gross: tuple[float, float], own: Floats, code: int, was: float, now: float
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Variance of instruments' own, and the sum of all sizes of risk, after a position has changed: what it was goes
    away as it came, so that nothing stays of a position that is closed."""
    variance = _added(_added(variance, own[REST, code] * (now * now)), -own[REST, code] * (was * was))
    gross = _added(_added(gross, own[SIGMA, code] * abs(now)), -own[SIGMA, code] * abs(was))
    return variance, gross


@compiled
def _risk_of(totals: Floats, own: Floats, directions: Floats, legs: Floats, concentrations: Floats) -> Floats:
    """Standard deviation of what is held, of that with the unit filled, and of all other units at work; and how the
    legs' instruments go with the book they lead to."""
    at, width = int(totals[AT_DIRECTIONS]), directions.shape[1]
    along = _gains(legs, directions)
    held, whole = totals[OWN_VARIANCE] + totals[OWN_LOST], 0.0
    variance, gross = (totals[OWN_VARIANCE], totals[OWN_LOST]), (totals[GROSS_RISK], totals[GROSS_LOST])
    for direction in range(width):
        gain = totals[at + direction]
        held += gain * gain
        along[direction] += gain
        whole += along[direction] * along[direction]
    for leg in range(legs.shape[0]):
        own[SCRATCH, int(legs[leg, L_INSTRUMENT])] += legs[leg, L_CONTRACTS]
    for leg in range(legs.shape[0]):
        code = int(legs[leg, L_INSTRUMENT])
        if _is_first(legs, leg):
            was = own[HELD, code]
            variance, gross = _moved(variance, gross, own, code, was, was + own[SCRATCH, code])
    whole += variance[0] + variance[1]
    for leg in range(legs.shape[0]):
        concentrations[leg] = _concentration(own, directions, legs, leg, along, gross[0] + gross[1])
    for leg in range(legs.shape[0]):
        own[SCRATCH, int(legs[leg, L_INSTRUMENT])] = 0.0
    return np.array([np.sqrt(max(0.0, held)), np.sqrt(max(0.0, whole)), totals[NORMS]])


@compiled
def _concentration(own: Floats, directions: Floats, legs: Floats, leg: int, along: Floats, gross: float) -> float:
    """Correlation of the order with the book it leads to, each position by its share of all risk. `along`: gains of
    that book along the common directions."""
    code = int(legs[leg, L_INSTRUMENT])
    scale = own[SIGMA, code] * gross
    if not scale > 0.0:
        return 0.0
    common = own[REST, code] * (own[HELD, code] + own[SCRATCH, code])
    for direction in range(along.shape[0]):
        common += directions[code, direction] * along[direction]
    return float(common / scale if legs[leg, L_CONTRACTS] > 0.0 else -common / scale)


@compiled
def _tail(totals: Floats, days: int) -> tuple[float, float]:
    """The loss that is passed on as few days as the confidence says, and the mean of those days, at their worst and
    with what the unit in the scratch place may lose; that place is used up."""
    most = int(totals[TAIL_DAYS])
    if days == 0:
        return np.nan, np.nan
    gains = totals[int(totals[AT_GAINS]) : int(totals[AT_GAINS]) + days]
    losses = totals[int(totals[AT_LOSSES]) : int(totals[AT_LOSSES]) + days]
    unit = totals[int(totals[AT_UNIT]) : int(totals[AT_UNIT]) + days]
    for day in range(days):
        unit[day] = -(gains[day] + losses[day] + unit[day])
    largest = np.full(most, -np.inf)  # ascending
    least = -np.inf
    for day in range(days):
        loss = unit[day]
        if loss > least:
            place = 1
            while place < most and largest[place] < loss:
                largest[place - 1] = largest[place]
                place += 1
            largest[place - 1] = loss
            least = largest[0]
    return float(least), float(largest.sum() / most)


@compiled
def _bring_risk(totals: Floats, own: Floats, directions: Floats, scenarios: Floats, legs: Floats, sign: float) -> None:
    """The norm of a unit and what it may lose come to work (+1) or leave (-1)."""
    totals[NORMS] = max(0.0, totals[NORMS] + sign * _norm(legs, own, directions))
    _unit_losses(totals, legs, scenarios)
    at, unit = int(totals[AT_LOSSES]), int(totals[AT_UNIT])
    for day in range(scenarios.shape[1]):
        totals[at + day] = min(0.0, totals[at + day] + sign * totals[unit + day])


@compiled
def _measure_tail(totals: Floats, days: int) -> None:
    at = int(totals[AT_UNIT])
    totals[at : at + days] = 0.0
    totals[WORST], totals[WORST_MEAN] = _tail(totals, days)


# --- values -----------------------------------------------------------------------------------------------------------
@compiled
def _recent(ticks: Integers, seconds: Integers, key: int, kind: int, second: int) -> float:
    """Orders or fills of the last minute."""
    total = 0
    for place in range(WINDOW_S):
        if second - WINDOW_S < seconds[key, kind, place] <= second:
            total += ticks[key, kind, place]
    return float(total)


@compiled
def _tick(ticks: Integers, seconds: Integers, key: int, kind: int, second: int) -> None:
    place = second % WINDOW_S
    if seconds[key, kind, place] != second:
        seconds[key, kind, place] = second
        ticks[key, kind, place] = 0
    ticks[key, kind, place] += 1


@compiled
def _stops(mode: float, frees: float, closes: float) -> float:
    """1 where a mode does not let an order through."""
    if mode == REDUCE_ONLY:
        return 1.0 - frees
    if mode == CLOSE_ONLY:
        return 1.0 - closes
    return 1.0 if mode == NOTHING else 0.0


(
    A_REDUCES, A_FREES, A_CLOSES, A_TURNS, A_ORDERS, A_STRATEGY_ORDERS, A_SESSION_ORDERS, A_COLUMNS,
) = range(8)  # fmt: skip


@compiled
def _left(columns: Floats, place: int, contracts: float) -> float:
    """What is held, as a size, once an order and all others that way are filled; NaN where the order is not against
    what is held. Below 0 it goes through flat."""
    held = columns[HELD, place]
    if not held * contracts < 0.0:
        return np.nan
    return float((held - columns[SELLS, place] if held > 0.0 else -held - columns[BUYS, place]) - abs(contracts))


@compiled
def _does(line: float, own: float, holding: float, found: Floats) -> None:
    """Whether an order only reduces (what all strategies hold of the contract month and of the instrument, and what its
    own holds of it), frees its own strategy's holding of risk, closes that or the month, or turns one of them round:
    by what is left of each, as `_left` says it."""
    found[A_FREES] = int(holding >= 0.0)
    found[A_REDUCES] = int(line >= 0.0 and own >= 0.0 and holding >= 0.0)
    found[A_CLOSES] = int(holding == 0.0 or (holding > 0.0 and line == 0.0))
    found[A_TURNS] = int(line < 0.0 or own < 0.0 or holding < 0.0)


@compiled
def _about(lines: Floats, own: Floats, holdings: Floats, legs: Floats, first: int, last: int) -> Floats:
    """Of each leg from `first` to before `last`: what it does (`_does`), and how many orders the list has up to here,
    all of them, those of its strategy, and those of this unit that do not only reduce."""
    found, adding = np.zeros((last - first, A_COLUMNS)), 0.0
    for leg in range(first, last):
        strategy, code, line = int(legs[leg, L_STRATEGY]), int(legs[leg, L_INSTRUMENT]), int(legs[leg, L_LINE])
        contracts, beside = legs[leg, L_CONTRACTS], np.zeros(3)
        for other in range(first, last):
            if other != leg and legs[other, L_INSTRUMENT] == code and legs[other, L_CONTRACTS] * contracts > 0.0:
                beside[0] += legs[other, L_CONTRACTS] if legs[other, L_LINE] == line else 0.0
                beside[1] += legs[other, L_CONTRACTS]
                beside[2] += legs[other, L_CONTRACTS] if legs[other, L_STRATEGY] == strategy else 0.0
        _does(
            _left(lines, line, contracts + beside[0]),
            _left(own, code, contracts + beside[1]),
            _left(holdings, strategy * own.shape[1] + code, contracts + beside[2]),
            found[leg - first],
        )
        adding += 1.0 - found[leg - first, A_REDUCES]
        same = 0
        for other in range(last):
            same += int(legs[other, L_STRATEGY] == strategy)
        found[leg - first, A_ORDERS], found[leg - first, A_STRATEGY_ORDERS] = last, same
        found[leg - first, A_SESSION_ORDERS] = adding
    return found


@compiled
def _order_numbers(
    lines: Floats, own: Floats, holdings: Floats, line_weights: Floats, line_holes: Bytes, legs: Floats, leg: int,
    held: int, coming: float, found: Floats,
) -> None:  # fmt: skip
    """Numbers of one order by measure, all but rates and modes. `coming`: its contracts where it is not at work yet."""
    line, code = int(legs[leg, L_LINE]), int(legs[leg, L_INSTRUMENT])
    size, price = abs(legs[leg, L_CONTRACTS]), legs[leg, L_PRICE]
    asked = own[TRADED, code] + (own[WORKING, code] + coming)
    found[SIZE], found[ALWAYS] = size, 1.0
    found[NOTIONAL] = np.nan if line_holes[LINE_NOTIONAL, line] else size * line_weights[LINE_NOTIONAL, line]
    found[COLLAR] = 0.0 if price != price else abs(price / lines[MARK, line] - 1.0)
    found[PARTICIPATION], found[LOW_PARTICIPATION] = asked / own[MEDIAN, code], asked / own[LOW, code]
    found[SPREAD_FRACTION], found[LOCKED] = own[SPREAD, code], own[LOCK, code]
    found[PRICE_AGE], found[ROLL_STATE] = lines[AGE, line], lines[ROLL, line]
    found[TRADING_MODE], found[HALTED] = holdings[MODE, held], holdings[HALT, held]


@compiled
def _add_list(
    numbers: Floats, frees: float, closes: float, orders: float, own_orders: float, session_orders: float,
    rates: Floats, key: int,
) -> None:  # fmt: skip
    """What the list an order is in makes of its numbers. `rates` of the last minute, of orders and fills: the
    portfolio's first, `key` the strategy's."""
    numbers[TRADING_MODE] = _stops(numbers[TRADING_MODE], frees, closes)
    numbers[HALTED] = _stops(numbers[HALTED], frees, closes)
    numbers[SESSION_ORDERS] = session_orders
    numbers[ORDER_RATE], numbers[TRADE_RATE] = rates[0, 0] + orders, rates[0, 1]
    numbers[OWN_RATES], numbers[OWN_RATES + 1] = rates[key, 0] + own_orders, rates[key, 1]


@compiled
def _rate(ticks: Integers, seconds: Integers, key: int, second: int, rates: Floats) -> None:
    """Orders and fills of the last minute, where they are not known yet."""
    if rates[key, 0] != rates[key, 0]:
        rates[key, 0], rates[key, 1] = _recent(ticks, seconds, key, 0, second), _recent(ticks, seconds, key, 1, second)


@compiled
def _position_value(rows: Integers, number: int, sizes: Floats, leg: int, when: int, exits: float) -> float:
    size = sizes[rows[number, R_LEVEL], leg, when, rows[number, R_CHANGE]]
    if rows[number, R_WEIGHT] < 0:
        return float(size)
    return 0.0 if size == 0.0 else float(size * exits)


@compiled
def _sum_value(totals: Floats, at: int, form: int) -> float:
    if totals[at + MISSING] > 0.5:
        return np.nan
    if form == GROSS:
        return float(totals[at])
    net, up, down = totals[at], totals[at + UP], totals[at + DOWN]
    if form == LOSS:
        return float(max(0.0, down - net))
    return float(max(abs(net + up), abs(net - down)))


@compiled
def _risk_value(totals: Floats, measure: int, risk: Risk, when: int, concentration: float) -> float:
    if totals[HOLES] > 0.5:
        return np.nan
    if measure == CONCENTRATION:
        return concentration
    if measure == MARGINAL:
        return float(YEAR * (risk[1] - risk[0]))
    worst = (max(risk[0], risk[1]) if when == AFTER else risk[0]) + risk[2]
    if measure == NORMAL_QUANTILE:
        return float(worst * totals[NORMAL_TIMES])
    if measure == NORMAL_SHORTFALL:
        return float(worst * totals[SHORTFALL_TIMES])
    return float(worst * YEAR)


@compiled
def _divisors(totals: Floats) -> Floats:
    """By R_PER. Of an account that is worth nothing, or less, anything is infinitely much."""
    found = np.array([1.0, totals[CAPITAL_BASE], totals[EQUITY_BASE], totals[CAPITAL_BASE] * totals[TARGET_FRACTION]])
    for place in range(found.shape[0]):
        if found[place] <= 0.0:  # and not the zero that has a sign
            found[place] = 0.0
    return found


@compiled
def _book_values(
    state: State,
    elements: Integers,
    sizes: Floats,
    risk: Floats,
    concentrations: Floats,
    tail: tuple[float, float],
    when: int,
    values: Floats,
) -> None:
    """Values of the book before or after a unit, by leg and row: of all forms but those of orders alone."""
    totals, rows, spans, own = state.totals, state.rows, state.spans, state.own
    per = _divisors(totals)
    for leg in range(elements.shape[0]):
        exits = own[EXIT, elements[leg, INSTRUMENT]]
        for number in range(spans[POSITION, 0], spans[POSITION, 1]):
            values[leg, number] = _position_value(rows, number, sizes, leg, when, exits)
        for number in range(spans[GROSS, 0], spans[LOSS, 1]):
            at = rows[number, R_SUMS] + SUMS * elements[leg, rows[number, R_AXIS]]
            values[leg, number] = _sum_value(totals, at, rows[number, R_FORM]) / per[rows[number, R_PER]]
        for number in range(spans[RISK, 0], spans[RISK, 1]):
            found = _risk_value(totals, rows[number, R_MEASURE], risk, when, concentrations[leg])
            values[leg, number] = found / per[rows[number, R_PER]]
        for number in range(spans[TAIL, 0], spans[TAIL, 1]):
            found = tail[0] if rows[number, R_MEASURE] == QUANTILE else tail[1]
            found = np.nan if totals[SCENARIO_HOLES] > 0.5 else found
            values[leg, number] = found / per[rows[number, R_PER]]


@compiled
def _order_values(state: State, legs: Floats, elements: Integers, about: Floats, second: int, values: Floats) -> None:
    """Values of orders themselves, and of what no order changes."""
    rows, spans, standing, per = state.rows, state.spans, state.standing, _divisors(state.totals)
    numbers, rates = np.empty(NUMBERS), np.full((state.ticks.shape[0], 2), np.nan)
    _rate(state.ticks, state.seconds, 0, second, rates)
    for leg in range(legs.shape[0]):
        key, asked = 1 + elements[leg, STRATEGY], about[leg]
        _rate(state.ticks, state.seconds, key, second, rates)
        _order_numbers(
            state.lines, state.own, state.holdings, state.line_weights, state.line_holes, legs, leg,
            elements[leg, HOLDING], 0.0, numbers,
        )  # fmt: skip
        session_orders = state.counts[C_SESSION] + asked[A_SESSION_ORDERS]
        _add_list(
            numbers, asked[A_FREES], asked[A_CLOSES], asked[A_ORDERS], asked[A_STRATEGY_ORDERS], session_orders,
            rates, key,
        )  # fmt: skip
        for number in range(spans[ORDER, 0], spans[ORDER, 1]):
            measure = rows[number, R_MEASURE]
            if rows[number, R_AXIS] == STRATEGY:
                measure = OWN_RATES + int(measure == TRADE_RATE)
            values[leg, number] = numbers[measure] / per[rows[number, R_PER]]
        for number in range(spans[STANDING, 0], spans[STANDING, 1]):
            key = 0 if rows[number, R_AXIS] == PORTFOLIO else 1 + elements[leg, STRATEGY]
            values[leg, number] = standing[key, rows[number, R_MEASURE]] / per[rows[number, R_PER]]


@compiled
def _is_no_worse(value: float, before: float) -> bool:
    """Whether a value is what it was before or less, but for rounding; what is infinite is never let through."""
    return bool(value < np.inf and value <= before + ROUNDING * abs(before))


@compiled
def _compare(
    rows: Integers,
    levels: Floats,
    flags: Bytes,
    elements: Integers,
    about: Floats,
    before: Floats,
    values: Floats,
    outcomes: Bytes,
) -> int:
    """What values come to, by leg and row; the worst of them. An order passes what it does not make worse, but where it
    turns what is held to the other side: what it leads to there is its own. `before` is looked at where it has a value
    of every row."""
    worst, known = PASS, before.shape[1] == rows.shape[0]
    for leg in range(elements.shape[0]):
        reduces = about[leg, A_REDUCES] > 0.0
        for number in range(rows.shape[0]):
            place = rows[number, R_LIMIT] + elements[leg, rows[number, R_AXIS]]
            refuse, warn, value = levels[0, place], levels[1, place], values[leg, number]
            if refuse == np.inf and warn == np.inf:
                outcome = UNLIMITED
            elif reduces and not flags[0, place]:
                outcome = PASS
            elif value != value:
                outcome = UNKNOWN_WARN if flags[1, place] else UNKNOWN_REFUSE
            elif value <= min(refuse, warn) or (
                known and _is_no_worse(value, before[leg, number]) and not about[leg, A_TURNS]
            ):
                outcome = PASS
            else:
                outcome = REFUSE if value > refuse else WARN
            outcomes[leg, number] = outcome + (REDUCING if reduces else 0)
            worst = max(worst, _severity(outcome))
    return worst


@compiled
def _severity(outcome: int) -> int:
    if outcome in (REFUSE, UNKNOWN_REFUSE):
        return REFUSE
    return WARN if outcome in (WARN, UNKNOWN_WARN) else PASS


# --- putting back -----------------------------------------------------------------------------------------------------
T_REDUCES, T_SUMS = 7, 8  # of a trail: what a leg's elements had at work comes first, then this, then its sums


@compiled
def _trail_width(spans: Integers) -> int:
    return int(T_SUMS + 4 * (spans[LOSS, 1] - spans[GROSS, 0]))


@compiled
def _remember(state: State, elements: Integers, trail: Floats) -> None:
    """What bringing a unit to work changes, by leg."""
    totals, rows, first, last = state.totals, state.rows, state.spans[GROSS, 0], state.spans[LOSS, 1]
    for leg in range(elements.shape[0]):
        line, code, held = elements[leg, CONTRACT], elements[leg, INSTRUMENT], elements[leg, HOLDING]
        trail[leg, 0], trail[leg, 1] = state.lines[BUYS, line], state.lines[SELLS, line]
        trail[leg, 2], trail[leg, 3] = state.own[BUYS, code], state.own[SELLS, code]
        trail[leg, 4], trail[leg, 5] = state.own[WORKING, code], state.holdings[BUYS, held]
        trail[leg, 6] = state.holdings[SELLS, held]
        for number in range(first, last):
            at = rows[number, R_SUMS] + SUMS * elements[leg, rows[number, R_AXIS]]
            place = T_SUMS + 4 * (number - first)
            trail[leg, place], trail[leg, place + 1] = totals[at], totals[at + UP]
            trail[leg, place + 2], trail[leg, place + 3] = totals[at + DOWN], totals[at + MISSING]


@compiled
def _put_back(state: State, elements: Integers, trail: Floats, scalars: Floats) -> None:
    """All of it as it was before; the last leg first, for what several legs changed."""
    totals, rows, first, last = state.totals, state.rows, state.spans[GROSS, 0], state.spans[LOSS, 1]
    totals[: scalars.shape[0]] = scalars
    for leg in range(elements.shape[0] - 1, -1, -1):
        line, code, held = elements[leg, CONTRACT], elements[leg, INSTRUMENT], elements[leg, HOLDING]
        state.lines[BUYS, line], state.lines[SELLS, line] = trail[leg, 0], trail[leg, 1]
        state.own[BUYS, code], state.own[SELLS, code] = trail[leg, 2], trail[leg, 3]
        state.own[WORKING, code], state.holdings[BUYS, held] = trail[leg, 4], trail[leg, 5]
        state.holdings[SELLS, held] = trail[leg, 6]
        for number in range(first, last):
            at = rows[number, R_SUMS] + SUMS * elements[leg, rows[number, R_AXIS]]
            place = T_SUMS + 4 * (number - first)
            totals[at], totals[at + UP] = trail[leg, place], trail[leg, place + 1]
            totals[at + DOWN], totals[at + MISSING] = trail[leg, place + 2], trail[leg, place + 3]


# --- a glance ---------------------------------------------------------------------------------------------------------
# Of many orders, each judged for itself, most pass. A glance computes what judging does, but changes nothing and keeps
# nothing, and gives up at the first value that is not well within its level: that order is judged in full. What it
# saves is work; which orders pass is the same. Places are unsigned here: of signed ones, every look into an array asks
# first whether it is meant from the end, which takes longer than all the rest.
WELL = 1.0 - 1e-9  # of a level: sums that are made in another order are much nearer to each other than that
PLACE = np.uint64
Unsigned = npt.NDArray[np.uint64]
(
    G_FORM, G_MEASURE, G_AXIS, G_LIMIT, G_SUMS, G_WEIGHT, G_PER, G_OF_LINE, G_EXITS, G_BEFORE, G_AFTER, GLANCE_COLUMNS,
) = range(12)  # fmt: skip
G_SIZES = 12  # of a leg: by line, instrument and holding, before and after, plain and of the change
U_NONE, U_ONE, U_SUMS, U_UP, U_DOWN, U_MISSING = (PLACE(number) for number in (0, 1, SUMS, UP, DOWN, MISSING))
U_GROSS, U_LOSS, U_QUANTILE, U_PORTFOLIO = PLACE(GROSS), PLACE(LOSS), PLACE(QUANTILE), PLACE(PORTFOLIO)
BLOCK = 256  # orders that are looked at together: what is known of them stays near


@compiled
def _glance_table(rows: Integers) -> Unsigned:
    """What a glance needs of the rows, (columns, rows)."""
    table = np.zeros((GLANCE_COLUMNS, rows.shape[0]), np.uint64)
    for number in range(rows.shape[0]):
        row = rows[number]
        table[G_FORM, number], table[G_AXIS, number] = row[R_FORM], row[R_AXIS]
        table[G_LIMIT, number], table[G_SUMS, number] = row[R_LIMIT], row[R_SUMS]
        table[G_WEIGHT, number], table[G_PER, number] = max(0, row[R_WEIGHT]), row[R_PER]
        table[G_OF_LINE, number], table[G_EXITS, number] = int(row[R_LEVEL] == OF_LINE), int(row[R_WEIGHT] >= 0)
        table[G_BEFORE, number] = 4 * row[R_LEVEL] + row[R_CHANGE]
        table[G_AFTER, number] = 4 * row[R_LEVEL] + 2 + row[R_CHANGE]
        table[G_MEASURE, number] = row[R_MEASURE]
        if row[R_FORM] == ORDER and row[R_AXIS] == STRATEGY:
            table[G_MEASURE, number] = OWN_RATES + int(row[R_MEASURE] == TRADE_RATE)
    return table


@compiled
def _bounds(levels: Floats, flags: Bytes) -> Floats:
    """The values up to which orders are sure to pass, those that do not only reduce first, (2, places); infinite where
    nothing is asked."""
    found = np.empty((2, levels.shape[1]))
    for place in range(levels.shape[1]):
        found[0, place] = min(levels[0, place], levels[1, place]) * WELL
        found[1, place] = found[0, place] if flags[0, place] else np.inf
    return found


@compiled
def _glanced_sizes(columns: Floats, place: int, contracts: float, sizes: Floats, first: int) -> None:
    """As `_work` notes them of one leg, from `first` on: before and after, plain and of the change."""
    buys, sells, held = columns[BUYS, place], columns[SELLS, place], columns[HELD, place]
    more_buys, more_sells = buys + max(0.0, contracts), sells + max(0.0, -contracts)
    since = held - columns[OPENING, place]
    sizes[first] = max(abs(held + buys), abs(held - sells))
    sizes[first + 1] = max(abs(since + buys), abs(since - sells))
    sizes[first + 2] = max(abs(held + more_buys), abs(held - more_sells))
    sizes[first + 3] = max(abs(since + more_buys), abs(since - more_sells))


@compiled
def _positions_pass(
    table: Unsigned, first: int, last: int, bounds: Floats, kind: int, places: Unsigned, leg: int, exits: float,
    sizes: Floats,
) -> bool:  # fmt: skip
    """Whether positions with one leg at work are well within."""
    for each in range(first, last):
        number = PLACE(each)
        place = table[G_LIMIT, number] + places[leg, table[G_AXIS, number]]
        bound, value = bounds[kind, place], sizes[table[G_AFTER, number]]
        if table[G_EXITS, number] and value != 0.0:
            value *= exits
        if bound != np.inf and not value <= bound:
            return False
    return True


@compiled
def _glanced_sum(totals: Floats, at: int, form: int, worth: float, contracts: float, grown: float) -> float:
    """A sum with one leg of so many contracts at work. `worth` of a contract; `grown`: by how much the leg's line or
    instrument may be larger."""
    net = totals[at]
    if form == U_GROSS:
        return float(net + worth * grown)
    effect = worth * contracts
    up, down = totals[at + U_UP] + max(0.0, effect), totals[at + U_DOWN] + max(0.0, -effect)
    if form == U_LOSS:
        return float(max(0.0, down - net))
    return float(max(abs(net + up), abs(net - down)))


@compiled
def _sums_pass(
    totals: Floats, table: Unsigned, first: int, last: int, bounds: Floats, kind: int, line_weights: Floats,
    own_weights: Floats, line_holes: Bytes, own_holes: Bytes, places: Unsigned, leg: int, contracts: float,
    per: Floats, sizes: Floats,
) -> bool:  # fmt: skip
    """Whether the sums of rows with one leg at work are well within, and all they count is known."""
    line, code = places[leg, CONTRACT], places[leg, INSTRUMENT]
    for each in range(first, last):
        number = PLACE(each)
        at, weight = places[leg, table[G_AXIS, number]], table[G_WEIGHT, number]
        bound = bounds[kind, table[G_LIMIT, number] + at] * per[table[G_PER, number]]
        if bound == np.inf:
            continue
        if table[G_OF_LINE, number]:
            worth, hole = line_weights[weight, line], line_holes[weight, line]
        else:
            worth, hole = own_weights[weight, code], own_holes[weight, code]
        before, after = sizes[table[G_BEFORE, number]], sizes[table[G_AFTER, number]]
        place = table[G_SUMS, number] + U_SUMS * at
        missing = totals[place + U_MISSING]
        if hole:
            missing += int(after > 0.0) - int(before > 0.0)
        value = _glanced_sum(totals, place, table[G_FORM, number], worth, contracts, after - before)
        if missing > 0.5 or not value <= bound:
            return False
    return True


@compiled
def _glanced_risk(
    totals: Floats, along: Floats, own: Floats, directions: Floats, code: int, contracts: float
) -> tuple[tuple[float, float, float], float]:
    """As `_risk_of`, of one leg. `along`: gains of what is held along the directions, of which `directions` are the
    leg's instrument's."""
    common = own[REST, code] * (own[HELD, code] + contracts)
    held, whole = totals[OWN_VARIANCE] + totals[OWN_LOST], 0.0
    for direction in range(directions.shape[0]):
        gain, step = along[direction], directions[direction]
        then = gain + contracts * step
        held += gain * gain
        whole += then * then
        common += step * then
    variance, gross = (totals[OWN_VARIANCE], totals[OWN_LOST]), (totals[GROSS_RISK], totals[GROSS_LOST])
    variance, gross = _moved(variance, gross, own, code, own[HELD, code], own[HELD, code] + contracts)
    whole += variance[0] + variance[1]
    scale = own[SIGMA, code] * (gross[0] + gross[1])
    concentration = 0.0 if not scale > 0.0 else (common / scale if contracts > 0.0 else -common / scale)
    return (np.sqrt(max(0.0, held)), np.sqrt(max(0.0, whole)), totals[NORMS]), concentration


@compiled
def _risk_passes(
    state: State, table: Unsigned, bounds: Floats, kinds: Unsigned, per: Floats, legs: Floats, places: Unsigned,
    came: Floats, passes: Bytes,
) -> None:  # fmt: skip
    """Whether risk by the covariance is well within. `came`: 1 where a leg's instrument is at risk only with it, -1
    where it no longer is."""
    totals, own, directions = state.totals, state.own, state.directions
    first, last, at = state.spans[RISK, 0], state.spans[RISK, 1], int(state.totals[AT_DIRECTIONS])
    along = totals[at : at + directions.shape[1]]
    for leg in range(legs.shape[0]):
        if not passes[leg]:
            continue
        code = places[leg, INSTRUMENT]
        kind, known = kinds[leg], totals[HOLES] + came[leg] * own[NO_COVARIANCE, code] <= 0.5
        risk, concentration = _glanced_risk(totals, along, own, directions[code], code, legs[leg, L_CONTRACTS])
        for each in range(first, last):
            number = PLACE(each)
            place = table[G_LIMIT, number] + places[leg, table[G_AXIS, number]]
            bound = bounds[kind, place] * per[table[G_PER, number]]
            if bound != np.inf:
                value = _risk_value(totals, table[G_MEASURE, number], risk, AFTER, concentration)
                passes[leg] &= int(known and value <= bound)


@compiled
def _tail_bounds(
    first: int, last: int, table: Unsigned, bounds: Floats, kind: int, places: Unsigned, leg: int, per: Floats
) -> tuple[float, float]:
    """The least bounds of the quantile of losses, and of the mean of those past it."""
    quantile, shortfall = np.inf, np.inf
    for each in range(first, last):
        number = PLACE(each)
        place = table[G_LIMIT, number] + places[leg, table[G_AXIS, number]]
        bound = bounds[kind, place] * per[table[G_PER, number]]
        if table[G_MEASURE, number] == U_QUANTILE:
            quantile = min(quantile, bound)
        else:
            shortfall = min(shortfall, bound)
    return quantile, shortfall


@compiled
def _days_past(
    gains: Floats, losses: Floats, scenarios: Floats, contracts: float, bounds: tuple[float, float]
) -> tuple[int, int]:
    """On how many days a leg's book may lose more than each of two bounds."""
    past, far = 0, 0
    for day in range(gains.shape[0]):
        loss = -(gains[day] + losses[day] + min(0.0, contracts * scenarios[day]))
        past += int(not loss <= bounds[0])
        far += int(not loss <= bounds[1])
    return past, far


@compiled
def _tail_passes(
    state: State, table: Unsigned, bounds: Floats, kinds: Unsigned, per: Floats, legs: Floats, places: Unsigned,
    came: Floats, passes: Bytes,
) -> None:  # fmt: skip
    """Whether losses in the scenarios are well within: fewer days than the confidence lets pass are past the bound of
    a quantile, and none is past that of a mean."""
    totals, own, scenarios = state.totals, state.own, state.scenarios
    first, last, days, most = state.spans[TAIL, 0], state.spans[TAIL, 1], scenarios.shape[1], int(totals[TAIL_DAYS])
    gains = totals[int(totals[AT_GAINS]) : int(totals[AT_GAINS]) + days]
    losses = totals[int(totals[AT_LOSSES]) : int(totals[AT_LOSSES]) + days]
    for leg in range(legs.shape[0]):
        if not passes[leg]:
            continue
        code = places[leg, INSTRUMENT]
        most_lost = _tail_bounds(first, last, table, bounds, kinds[leg], places, leg, per)
        if most_lost[0] == np.inf and most_lost[1] == np.inf:
            continue
        known = days > 0 and totals[SCENARIO_HOLES] + came[leg] * own[NO_SCENARIO, code] <= 0.5
        past, far = _days_past(gains, losses, scenarios[code], legs[leg, L_CONTRACTS], most_lost)
        passes[leg] = int(known and past < most and far == 0)


@compiled
def _order_passes(
    table: Unsigned, spans: Integers, bounds: Floats, kind: int, standing: Floats, places: Unsigned, leg: int,
    numbers: Floats, per: Floats,
) -> bool:  # fmt: skip
    """Whether an order itself, and what no order changes, is well within."""
    for each in range(spans[ORDER, 0], spans[ORDER, 1]):
        number = PLACE(each)
        place = table[G_LIMIT, number] + places[leg, table[G_AXIS, number]]
        bound = bounds[kind, place] * per[table[G_PER, number]]
        if bound != np.inf and not numbers[table[G_MEASURE, number]] <= bound:
            return False
    for each in range(spans[STANDING, 0], spans[STANDING, 1]):
        number = PLACE(each)
        place = table[G_LIMIT, number] + places[leg, table[G_AXIS, number]]
        bound = bounds[kind, place] * per[table[G_PER, number]]
        who = U_NONE if table[G_AXIS, number] == U_PORTFOLIO else U_ONE + places[leg, STRATEGY]
        if bound != np.inf and not standing[who, table[G_MEASURE, number]] <= bound:
            return False
    return True


@compiled
def _orders_pass(
    state: State, table: Unsigned, bounds: Floats, kinds: Unsigned, per: Floats, legs: Floats, places: Unsigned,
    second: int, passes: Bytes,
) -> None:  # fmt: skip
    """Whether orders themselves, and what no order changes, are well within; `kinds` is filled in: 1 for those that
    only reduce."""
    spans, standing, lines = state.spans, state.standing, state.lines
    own, holdings, weights, holes = state.own, state.holdings, state.line_weights, state.line_holes
    ticks, seconds, session_orders = state.ticks, state.seconds, state.counts[C_SESSION]
    numbers, rates, does = np.empty(NUMBERS), np.full((ticks.shape[0], 2), np.nan), np.zeros(A_COLUMNS)
    _rate(ticks, seconds, 0, second, rates)
    for leg in range(legs.shape[0]):
        contracts, key = legs[leg, L_CONTRACTS], 1 + int(legs[leg, L_STRATEGY])
        _does(
            _left(lines, places[leg, CONTRACT], contracts),
            _left(own, places[leg, INSTRUMENT], contracts),
            _left(holdings, places[leg, HOLDING], contracts),
            does,
        )
        kinds[leg] = PLACE(does[A_REDUCES])
        _rate(ticks, seconds, key, second, rates)
        held = places[leg, HOLDING]
        _order_numbers(lines, own, holdings, weights, holes, legs, leg, held, abs(contracts), numbers)
        adding = session_orders + 1.0 - does[A_REDUCES]
        _add_list(numbers, does[A_FREES], does[A_CLOSES], 1.0, 1.0, adding, rates, key)
        passes[leg] = int(_order_passes(table, spans, bounds, kinds[leg], standing, places, leg, numbers, per))


@compiled
def _books_pass(
    state: State, table: Unsigned, bounds: Floats, kinds: Unsigned, per: Floats, legs: Floats, places: Unsigned,
    came: Floats, passes: Bytes,
) -> None:  # fmt: skip
    """Whether positions and sums with one leg at work are well within; `came` is filled in: 1 where a leg's instrument
    is at risk only with it, -1 where it no longer is."""
    lines, own, holdings, totals, spans = state.lines, state.own, state.holdings, state.totals, state.spans
    line_weights, own_weights = state.line_weights, state.own_weights
    line_holes, own_holes, sizes = state.line_holes, state.own_holes, np.empty(G_SIZES)
    first, last, sums, end = spans[POSITION, 0], spans[POSITION, 1], spans[GROSS, 0], spans[LOSS, 1]
    for leg in range(legs.shape[0]):
        if not passes[leg]:
            continue
        code, contracts = places[leg, INSTRUMENT], legs[leg, L_CONTRACTS]
        _glanced_sizes(lines, places[leg, CONTRACT], contracts, sizes, 0)
        _glanced_sizes(own, code, contracts, sizes, 4)
        _glanced_sizes(holdings, places[leg, HOLDING], contracts, sizes, 8)
        came[leg] = float(int(sizes[6] > 0.0) - int(sizes[4] > 0.0))
        passes[leg] = int(
            _positions_pass(table, first, last, bounds, kinds[leg], places, leg, own[EXIT, code], sizes)
            and _sums_pass(
                totals, table, sums, end, bounds, kinds[leg], line_weights, own_weights, line_holes, own_holes, places,
                leg, contracts, per, sizes,
            )
        )  # fmt: skip


@compiled
def _pass_at_a_glance(
    state: State, table: Unsigned, bounds: Floats, legs: Floats, places: Unsigned, second: int
) -> Bytes:
    """Which orders are sure to pass every rule, 1 or 0. `places` of their elements by axis."""
    per, kinds, came = _divisors(state.totals), np.empty(legs.shape[0], np.uint64), np.empty(legs.shape[0])
    passes = np.zeros(legs.shape[0], np.uint8)
    if per.min() <= 0.0:  # of an account that is worth nothing, nothing is within
        return passes
    _orders_pass(state, table, bounds, kinds, per, legs, places, second, passes)
    _books_pass(state, table, bounds, kinds, per, legs, places, came, passes)
    _risk_passes(state, table, bounds, kinds, per, legs, places, came, passes)
    _tail_passes(state, table, bounds, kinds, per, legs, places, came, passes)
    return passes


# --- judging ----------------------------------------------------------------------------------------------------------
@compiled
def _judge_unit(
    state: State, legs: Floats, first: int, last: int, second: int, values: Floats, outcomes: Bytes, trail: Floats
) -> int:
    """Brings the legs from `first` to before `last` to work as one unit, its risk apart, and says what the worst
    outcome is."""
    unit, count, days = legs[first:last], last - first, state.scenarios.shape[1]
    elements = _elements(unit, state.groups)
    _remember(state, elements, trail[first:last])
    about = _about(state.lines, state.own, state.holdings, legs, first, last)
    trail[first:last, T_REDUCES] = about[:, A_REDUCES]
    about[:, A_SESSION_ORDERS] += (trail[:first, T_REDUCES] == 0.0).sum()
    found, results, concentrations = values[first:last], outcomes[first:last], np.zeros(count)
    risk = _risk_of(state.totals, state.own, state.directions, unit, concentrations)
    sizes, before, scalars = np.empty((3, count, 2, 2)), np.full((1, 1), -np.inf), state.totals[:SCALARS].copy()
    _bring(state, unit, elements, 1.0, sizes)
    _sizes_after(state, elements, sizes)
    _unit_losses(state.totals, unit, state.scenarios)
    tail = _tail(state.totals, days)
    _book_values(state, elements, sizes, risk, concentrations, tail, AFTER, found)
    _order_values(state, unit, elements, about, second, found)
    worst = _compare(state.rows, state.levels, state.flags, elements, about, before, found, results)
    if worst == PASS:
        return PASS
    before = np.full((count, state.rows.shape[0]), -np.inf)
    _put_back(state, elements, trail[first:last], scalars)
    _sizes_before(state, elements, sizes)
    was = (state.totals[WORST], state.totals[WORST_MEAN])
    _book_values(state, elements, sizes, risk, concentrations, was, BEFORE, before)
    _forget_gates(state.rows, state.spans, before)
    _bring(state, unit, elements, 1.0, sizes)
    return _compare(state.rows, state.levels, state.flags, elements, about, before, found, results)


@compiled
def _forget_gates(rows: Integers, spans: Integers, before: Floats) -> None:
    """What an order adds, and goes along with, was nothing before: it counts for itself."""
    for number in range(spans[RISK, 0], spans[RISK, 1]):
        if rows[number, R_MEASURE] in (MARGINAL, CONCENTRATION):
            before[:, number] = -np.inf


@compiled
def _sizes_of(columns: Floats, elements: Integers, axis: int, when: int, sizes: Floats) -> None:
    for leg in range(elements.shape[0]):
        for change in range(2):
            sizes[leg, when, change] = worst_size(columns, elements[leg, axis], change)


@compiled
def _sizes_before(state: State, elements: Integers, sizes: Floats) -> None:
    _sizes_of(state.lines, elements, CONTRACT, BEFORE, sizes[OF_LINE])
    _sizes_of(state.own, elements, INSTRUMENT, BEFORE, sizes[OF_INSTRUMENT])
    _sizes_of(state.holdings, elements, HOLDING, BEFORE, sizes[OF_HOLDING])


@compiled
def _sizes_after(state: State, elements: Integers, sizes: Floats) -> None:
    """Bringing legs to work notes a size once for each element; here every leg has its element's."""
    _sizes_of(state.lines, elements, CONTRACT, AFTER, sizes[OF_LINE])
    _sizes_of(state.own, elements, INSTRUMENT, AFTER, sizes[OF_INSTRUMENT])
    _sizes_of(state.holdings, elements, HOLDING, AFTER, sizes[OF_HOLDING])


@compiled
def _attempt(
    state: State,
    legs: Floats,
    count: int,
    netted: bool,
    commit: bool,
    second: int,
    values: Floats,
    outcomes: Bytes,
    trail: Floats,
) -> tuple[int, int]:
    """Brings the first `count` legs to work, one after another or as one unit, as far as none is refused. The worst
    outcome, and how many legs were tried."""
    step, worst, first = count if netted else 1, PASS, 0
    while first < count:
        last = first + step
        found = _judge_unit(state, legs, first, last, second, values, outcomes, trail)
        if found == REFUSE:
            return REFUSE, last
        worst = max(worst, found)
        if commit or last < count:
            unit = legs[first:last]
            _bring_risk(state.totals, state.own, state.directions, state.scenarios, unit, 1.0)
            _measure_tail(state.totals, state.scenarios.shape[1])
        first = last
    return worst, count


@compiled
def _part(asked: Floats, mode: int, part: int, legs: Floats, chosen: Integers) -> int:
    """The first `part` orders of a list (mode PREFIX), or `part` percent of every order (mode SCALE), rounded toward
    nothing; how many legs that leaves."""
    count = 0
    for number in range(part if mode == PREFIX else asked.shape[0]):
        contracts = asked[number, L_CONTRACTS]
        if mode == SCALE:
            contracts = np.trunc(contracts * part / 100.0)
        if contracts != 0.0:
            legs[count] = asked[number]
            legs[count, L_CONTRACTS] = contracts
            chosen[count] = number
            count += 1
    return count


@compiled
def _undo(state: State, legs: Floats, tried: int, trail: Floats, scalars: Floats, losses: Floats) -> None:
    """Takes what was tried out again."""
    _put_back(state, _elements(legs[:tried], state.groups), trail, scalars)
    at = int(state.totals[AT_LOSSES])
    state.totals[at : at + losses.shape[0]] = losses


@compiled
def _scalars(totals: Floats) -> tuple[Floats, Floats]:
    """Copies of the scalars and of what units at work may lose."""
    return totals[:SCALARS].copy(), totals[int(totals[AT_LOSSES]) :].copy()


@compiled
def _largest_part(
    state: State,
    asked: Floats,
    mode: int,
    most: int,
    netted: bool,
    commit: bool,
    second: int,
    legs: Floats,
    chosen: Integers,
    values: Floats,
    outcomes: Bytes,
    trail: Floats,
) -> tuple[int, int]:
    """The largest part of a list that is not refused, of `most` orders or percent at most, left at work. The outcome,
    and how many legs it has."""
    scalars, losses = _scalars(state.totals)
    for part in range(most, 0, -1):
        count = _part(asked, mode, part, legs, chosen)
        if count == 0:
            continue
        worst, tried = _attempt(state, legs, count, netted, commit, second, values, outcomes, trail)
        if worst != REFUSE:
            return worst, count
        _undo(state, legs, tried, trail, scalars, losses)
    return REFUSE, 0


@exclusive
def judge(
    state: State,
    asked: Floats,
    mode: int,
    netted: bool,
    commit: bool,
    second: int,
    expires: float,
    legs: Floats,
    chosen: Integers,
    values: Floats,
    outcomes: Bytes,
    places: Integers,
) -> tuple[int, int, int]:
    """Judges a list of orders, and with `commit` holds headroom for what is granted, in one step.

    `asked` (n, LEG_COLUMNS). Filled in: `legs`, what is granted, `chosen`, which order each is, and `places` (n, 2),
    place and birth of what is held; `values` and `outcomes` (n, rows), of the legs granted, or of the whole list where
    it is refused: then orders behind the first refused one, judged one after another, are not looked at. Returns the
    worst outcome, or FULL or CLOSED, how many legs are granted, and the changes of the book that it was judged by.
    """
    if state.counts[C_CLOSED]:
        return CLOSED, 0, 0
    changes = int(state.counts[C_CHANGES])
    legs[:] = asked
    for number in range(asked.shape[0]):
        chosen[number] = number
    count = asked.shape[0]
    trail = np.empty((count, _trail_width(state.spans)))
    scalars, losses = _scalars(state.totals)
    worst, tried = _attempt(state, legs, count, netted, commit, second, values, outcomes, trail)
    if worst == REFUSE and mode != ALL:
        _undo(state, legs, tried, trail, scalars, losses)
        kept = (values.copy(), outcomes.copy())
        # judged one after another, what is before the first that is refused is the longest prefix
        most = 100 if mode == SCALE else asked.shape[0] - 1 if netted else tried - 1
        worst, tried = _largest_part(
            state, asked, mode, most, netted, commit, second, legs, chosen, values, outcomes, trail
        )
        count = tried
        if worst == REFUSE:
            values[:], outcomes[:] = kept
    full = commit and worst != REFUSE and state.counts[C_FREE] < count
    if worst == REFUSE or not commit or full:
        _undo(state, legs, tried, trail, scalars, losses)
        return (FULL, 0, changes) if full else (worst, 0 if worst == REFUSE else count, changes)
    _hold(state, legs, count, netted, second, expires, places, trail)
    return worst, count, changes


@exclusive
def judge_one(
    state: State,
    strategy: int,
    instrument: int,
    line: int,
    contracts: float,
    price: float,
    commit: bool,
    second: int,
    expires: float,
    values: Floats,
    outcomes: Bytes,
) -> tuple[int, int, int, int]:
    """As `judge`, of one order. Its outcome, or FULL or CLOSED, place and birth of what is held, and the
    changes of the book that it was judged by."""
    if state.counts[C_CLOSED]:
        return CLOSED, NONE, 0, 0
    changes = int(state.counts[C_CHANGES])
    legs, places = np.empty((1, LEG_COLUMNS)), np.full((1, 2), NONE)
    legs[0, L_STRATEGY], legs[0, L_INSTRUMENT], legs[0, L_LINE] = strategy, instrument, line
    legs[0, L_CONTRACTS], legs[0, L_PRICE] = contracts, price
    trail, scalars = np.empty((1, _trail_width(state.spans))), state.totals[:SCALARS].copy()
    worst = _judge_unit(state, legs, 0, 1, second, values, outcomes, trail)
    full = commit and worst != REFUSE and state.counts[C_FREE] < 1
    if worst == REFUSE or not commit or full:
        _put_back(state, _elements(legs, state.groups), trail, scalars)
        return (FULL if full else worst), NONE, 0, changes
    _bring_risk(state.totals, state.own, state.directions, state.scenarios, legs, 1.0)
    _measure_tail(state.totals, state.scenarios.shape[1])
    _hold(state, legs, 1, False, second, expires, places, trail)
    return worst, int(places[0, 0]), int(places[0, 1]), changes


@exclusive
def judge_each(state: State, asked: Floats, second: int, worst: Bytes, values: Floats, outcomes: Bytes) -> int:
    """Judges orders each for itself, as if it were the only one; nothing is held. `worst` outcome by order; `values`
    and `outcomes` (1, rows) are scratch places. How many were judged, or CLOSED."""
    if state.counts[C_CLOSED]:
        return CLOSED
    trail, scalars = np.empty((1, _trail_width(state.spans))), state.totals[:SCALARS].copy()
    table, bounds = _glance_table(state.rows), _bounds(state.levels, state.flags)
    for first in range(0, asked.shape[0], BLOCK):
        legs = asked[first : first + BLOCK]
        elements = _elements(legs, state.groups)
        passes = _pass_at_a_glance(state, table, bounds, legs, elements.view(np.uint64), second)
        for number in range(legs.shape[0]):
            leg = legs[number : number + 1]
            if passes[number]:
                worst[first + number] = PASS
                continue
            worst[first + number] = _judge_unit(state, leg, 0, 1, second, values, outcomes, trail)
            _put_back(state, elements[number : number + 1], trail, scalars)
    return int(asked.shape[0])


@exclusive
def adopt(state: State, legs: Floats, netted: bool, second: int, expires: float, places: Integers) -> int:
    """Brings orders to work that were granted elsewhere, unjudged; `places` as `judge` fills them in. How many, or FULL
    or CLOSED."""
    count = legs.shape[0]
    if state.counts[C_CLOSED]:
        return CLOSED
    if state.counts[C_FREE] < count:
        return FULL
    trail, step = np.empty((count, _trail_width(state.spans))), count if netted else 1
    for first in range(0, count, step):
        about = _about(state.lines, state.own, state.holdings, legs, first, first + step)
        trail[first : first + step, T_REDUCES] = about[:, A_REDUCES]
        _apply(state, legs[first : first + step], 1.0)
    _measure_tail(state.totals, state.scenarios.shape[1])
    _hold(state, legs, count, netted, second, expires, places, trail)
    return int(count)


# --- orders at work ---------------------------------------------------------------------------------------------------
@compiled
def _apply(state: State, legs: Floats, sign: float) -> None:
    """A unit comes to work (+1) or leaves (-1), with its risk."""
    sizes = np.zeros((3, legs.shape[0], 2, 2))
    _bring(state, legs, _elements(legs, state.groups), sign, sizes)
    _bring_risk(state.totals, state.own, state.directions, state.scenarios, legs, sign)


@compiled
def _hold(
    state: State, legs: Floats, count: int, netted: bool, second: int, expires: float, places: Integers, trail: Floats
) -> None:
    """Notes legs that were brought to work, as one unit or as one each, and counts them."""
    before = NONE
    for number in range(count):
        state.counts[C_FREE] -= 1
        place = state.free[state.counts[C_FREE]]
        state.counts[C_BIRTHS] += 1
        order = state.orders[place]
        leg = legs[number]
        order[O_STRATEGY], order[O_INSTRUMENT], order[O_LINE] = leg[L_STRATEGY], leg[L_INSTRUMENT], leg[L_LINE]
        order[O_LEFT], order[O_EXPIRES], order[O_BIRTH] = leg[L_CONTRACTS], expires, state.counts[C_BIRTHS]
        order[O_UNIT], order[O_NEXT] = (places[0, 0] if netted and number else place), NONE
        if netted and before >= 0:
            state.orders[before, O_NEXT] = place
        places[number, 0], places[number, 1] = place, state.counts[C_BIRTHS]
        before = place
        state.counts[C_SESSION] += int(trail[number, T_REDUCES] == 0.0)
        _tick(state.ticks, state.seconds, 0, 0, second)
        _tick(state.ticks, state.seconds, 1 + int(leg[L_STRATEGY]), 0, second)
    state.counts[C_CHANGES] += 1


@compiled
def _unit(state: State, place: int) -> Floats:
    """What is left of the unit that an order belongs to."""
    head, count = int(state.orders[place, O_UNIT]), 0
    at = head
    while at >= 0:
        count += int(state.orders[at, O_LEFT] != 0.0)
        at = int(state.orders[at, O_NEXT])
    legs = np.empty((count, LEG_COLUMNS))
    at, number = head, 0
    while at >= 0:
        order = state.orders[at]
        if order[O_LEFT] != 0.0:
            legs[number] = (order[O_STRATEGY], order[O_INSTRUMENT], order[O_LINE], order[O_LEFT], np.nan)
            number += 1
        at = int(order[O_NEXT])
    return legs


@compiled
def _leave(state: State, place: int, left: float) -> None:
    """Changes what is left of an order at work; places of a unit of which nothing is left are free again."""
    legs = _unit(state, place)
    _apply(state, legs, -1.0)
    state.orders[place, O_LEFT] = left
    legs = _unit(state, place)
    if legs.shape[0]:
        _apply(state, legs, 1.0)
        return
    at = int(state.orders[place, O_UNIT])
    while at >= 0:
        following = int(state.orders[at, O_NEXT])
        state.orders[at, O_BIRTH] = 0.0
        state.free[state.counts[C_FREE]] = at
        state.counts[C_FREE] += 1
        at = following


@compiled
def _is_at_work(state: State, place: int, birth: int) -> bool:
    return bool(state.orders[place, O_BIRTH] == birth and state.orders[place, O_LEFT] != 0.0)


@exclusive
def release(state: State, place: int, birth: int) -> float:
    """Gives back what an order still holds; how many contracts that was: 0 where it holds nothing any more. CLOSED as
    NaN."""
    if state.counts[C_CLOSED]:
        return np.nan
    if not _is_at_work(state, place, birth):
        return 0.0
    left = state.orders[place, O_LEFT]
    _leave(state, place, 0.0)
    _measure_tail(state.totals, state.scenarios.shape[1])
    state.counts[C_CHANGES] += 1
    return float(left)


@exclusive
def expire(state: State, now: float, expired: Integers) -> int:
    """Gives back what orders hold whose time is over; their births go into `expired`, as many as it has places. How
    many those are, or CLOSED."""
    if state.counts[C_CLOSED]:
        return CLOSED
    count = 0
    for place in range(state.orders.shape[0]):
        if count == expired.shape[0]:
            break
        order = state.orders[place]
        if order[O_BIRTH] > 0.0 and order[O_LEFT] != 0.0 and order[O_EXPIRES] <= now:
            expired[count] = int(order[O_BIRTH])
            count += 1
            _leave(state, place, 0.0)
    if count:
        _measure_tail(state.totals, state.scenarios.shape[1])
        state.counts[C_CHANGES] += 1
    return count


@exclusive
def fill(state: State, place: int, birth: int, leg: Floats, second: int) -> float:
    """Moves the book by a fill, and gives back the headroom that its order held for it. `place` below 0: of no order
    at work. What is left of the order afterwards; NaN where the arrays are closed."""
    if state.counts[C_CLOSED]:
        return np.nan
    left = 0.0
    if place >= 0 and _is_at_work(state, place, birth):
        left = state.orders[place, O_LEFT]
        taken = leg[L_CONTRACTS] if abs(leg[L_CONTRACTS]) < abs(left) else left
        left = left - taken if taken * left > 0.0 else left
        _leave(state, place, left)
    _move(state, leg)
    _measure_tail(state.totals, state.scenarios.shape[1])
    _tick(state.ticks, state.seconds, 0, 1, second)
    _tick(state.ticks, state.seconds, 1 + int(leg[L_STRATEGY]), 1, second)
    state.own[TRADED, int(leg[L_INSTRUMENT])] += abs(leg[L_CONTRACTS])
    state.counts[C_CHANGES] += 1
    return float(left)


@compiled
def _move(state: State, leg: Floats) -> None:
    """A position changes by a leg: its sizes, net sums, gains along the common directions and in the scenarios."""
    legs = leg.reshape((1, LEG_COLUMNS))
    elements, sizes = _elements(legs, state.groups), np.zeros((3, 1, 2, 2))
    held = state.own[HELD, elements[0, INSTRUMENT]]
    _sizes_before(state, elements, sizes)
    state.lines[HELD, elements[0, CONTRACT]] += leg[L_CONTRACTS]
    state.own[HELD, elements[0, INSTRUMENT]] += leg[L_CONTRACTS]
    state.holdings[HELD, elements[0, HOLDING]] += leg[L_CONTRACTS]
    _sizes_after(state, elements, sizes)
    _add_changed(state, elements, sizes)
    for number in range(state.spans[NET, 0], state.spans[LOSS, 1]):
        at = state.rows[number, R_SUMS] + SUMS * elements[0, state.rows[number, R_AXIS]]
        state.totals[at] += _effect(state.rows, number, legs, 0, state.line_weights, state.own_weights)
    _move_risk(state, elements[0, INSTRUMENT], leg[L_CONTRACTS], held)


@compiled
def _add_changed(state: State, elements: Integers, sizes: Floats) -> None:
    """Sizes of a line and its instrument that changed go into their sums."""
    totals, rows, spans = state.totals, state.rows, state.spans
    _add_all_sizes(
        totals, rows, spans, OF_LINE, elements, CONTRACT, state.line_weights, state.line_holes, sizes[OF_LINE]
    )
    _add_all_sizes(
        totals,
        rows,
        spans,
        OF_INSTRUMENT,
        elements,
        INSTRUMENT,
        state.own_weights,
        state.own_holes,
        sizes[OF_INSTRUMENT],
    )
    _count_holes(totals, state.own, elements, sizes[OF_INSTRUMENT])


@compiled
def _move_risk(state: State, code: int, contracts: float, held: float) -> None:
    at, gains = int(state.totals[AT_DIRECTIONS]), int(state.totals[AT_GAINS])
    for direction in range(state.directions.shape[1]):
        state.totals[at + direction] += contracts * state.directions[code, direction]
    for day in range(state.scenarios.shape[1]):
        state.totals[gains + day] += contracts * state.scenarios[code, day]
    variance = (state.totals[OWN_VARIANCE], state.totals[OWN_LOST])
    gross = (state.totals[GROSS_RISK], state.totals[GROSS_LOST])
    variance, gross = _moved(variance, gross, state.own, code, held, held + contracts)
    state.totals[OWN_VARIANCE], state.totals[OWN_LOST] = _added((variance[1], 0.0), variance[0])
    state.totals[GROSS_RISK], state.totals[GROSS_LOST] = _added((gross[1], 0.0), gross[0])


# --- all of it again --------------------------------------------------------------------------------------------------
@exclusive
def recompute(state: State, line_codes: Integers, apart: Floats) -> int:
    """All sums once more from positions and orders at work. How far what was kept is from each is put into `apart`, of
    its size, or of SMALL where that is larger. How many changes there were so far, or CLOSED."""
    if state.counts[C_CLOSED]:
        return CLOSED
    state.totals[int(state.totals[AT_UNIT]) :] = 0.0
    apart[:] = state.totals
    for place in (OWN_VARIANCE, OWN_LOST, NORMS, GROSS_RISK, GROSS_LOST, HOLES, SCENARIO_HOLES):
        state.totals[place] = 0.0
    state.totals[SCALARS:] = 0.0
    held_lines, held_own = state.lines[HELD].copy(), state.own[HELD].copy()
    state.lines[HELD:OPENING], state.own[HELD:OPENING] = 0.0, 0.0
    for columns in (state.lines, state.own, state.holdings):
        columns[BUYS], columns[SELLS] = 0.0, 0.0
    state.own[WORKING] = 0.0
    _begin_at_opening(state, line_codes)
    held = state.holdings[HELD].copy()
    leg = np.zeros(LEG_COLUMNS)
    for line in range(line_codes.shape[0]):
        if held_lines[line] != 0.0:
            leg[L_STRATEGY], leg[L_INSTRUMENT], leg[L_LINE] = 0.0, line_codes[line], line
            leg[L_CONTRACTS] = held_lines[line]
            _move(state, leg)
    state.holdings[HELD] = held
    state.own[HELD] = held_own
    for place in range(state.orders.shape[0]):
        if state.orders[place, O_BIRTH] > 0.0 and state.orders[place, O_UNIT] == place:
            legs = _unit(state, place)
            if legs.shape[0]:
                _apply(state, legs, 1.0)
    _measure_tail(state.totals, state.scenarios.shape[1])
    for place in range(apart.shape[0]):
        was, now = apart[place], state.totals[place]
        same = was == now or (was != was and now != now)  # what was given as no number stays none
        apart[place] = 0.0 if same else abs(was - now) / max(SMALL, abs(now))
    apart[OWN_LOST], apart[GROSS_LOST] = 0.0, 0.0  # another part of the same sums
    apart[int(state.totals[AT_UNIT]) :] = 0.0  # a scratch place
    return int(state.counts[C_CHANGES])


@compiled
def _begin_at_opening(state: State, line_codes: Integers) -> None:
    """Sums of changes begin at what was open: an empty book has changed by all of it."""
    legs, sizes = np.zeros((1, LEG_COLUMNS)), np.zeros((3, 1, 2, 2))
    for line in range(line_codes.shape[0]):
        if state.lines[OPENING, line] != 0.0:
            legs[0, L_INSTRUMENT], legs[0, L_LINE] = line_codes[line], line
            sizes[:] = 0.0
            sizes[OF_LINE, 0, AFTER, 1] = worst_size(state.lines, line, 1)
            _add_changed(state, _elements(legs, state.groups), sizes)


@exclusive
def close(state: State, changes: int) -> bool:
    """Closes arrays for good, unless they changed since `changes` was read. Who asks afterwards is told to look again:
    others are in force."""
    if state.counts[C_CHANGES] != changes or state.counts[C_CLOSED]:
        return False
    state.counts[C_CLOSED] = 1
    return True
