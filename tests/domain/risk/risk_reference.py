"""Every value and decision of the risk engine worked out plainly: the whole book anew for each question, in numpy.

Test support: what the engine is held to. It keeps a list of positions and a list of units at work, and adds all of them
up each time. It was written from the definitions in docs/reference/risk-engine.md and shares nothing with the engine
but the values that go in (`Market`, `Book`, `Asked`) and the levels that are in force (`LimitTable`, which
`test_limit_table.py` holds to levels worked by hand). Does not belong here: random books (`random_books.py`), or tests.

A *unit* is what is filled together: an order, or the netted orders of a list.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np

from trading.risk.book import UNKNOWN, WHOLE, Book
from trading.risk.decision import Asked
from trading.risk.limit_table import LimitTable
from trading.risk.market import DIMENSIONS, Market

YEAR = 16.0
Key = tuple[str, str, str]  # rule, axis, element
Unit = list["Leg"]
FREE, REDUCE_ONLY, CLOSE_ONLY, NOTHING = range(4)
MODES = {"free": FREE, "reduce_only": REDUCE_ONLY, "none": NOTHING}
PER_CAPITAL = (
    "order_notional", "gross_exposure", "instrument_exposure", "net_exposure", "gross_volatility", "net_volatility",
    "factor_exposure", "component_exposure", "stress", "value_at_risk", "expected_shortfall",
    "parametric_value_at_risk", "parametric_expected_shortfall", "daily_loss", "weekly_loss",
)  # fmt: skip
# What an order may not be the cause of: these are compared with what they were before it.
OF_THE_BOOK = (
    "strategy_position", "position_size", "contract_position", "portfolio_position", "strategy_position_change",
    "position_change", "contract_position_change", "portfolio_position_change", "gross_exposure", "instrument_exposure",
    "net_exposure", "gross_volatility", "net_volatility", "leverage", "margin", "factor_exposure", "component_exposure",
    "stress", "portfolio_volatility", "value_at_risk", "expected_shortfall", "parametric_value_at_risk",
    "parametric_expected_shortfall", "days_to_exit",
)  # fmt: skip


@dataclass(frozen=True)
class Leg:
    """One order: what is left of it."""

    strategy: str
    instrument: str
    contract: int
    left: int
    price: float | None = None
    order_id: str = ""
    expires: float = math.inf

    @property
    def line(self) -> tuple[str, int]:
        """Its contract month."""
        return self.instrument, self.contract


@dataclass(frozen=True)
class Row:
    """What one rule comes to: `scale` is the size of what was added up to get the value, and `before` is the value
    without the order. An `edge` is so near to a level that rounding decides."""

    value: float
    scale: float
    before: float
    outcome: str
    edge: bool = False


Measured = tuple[float, float]  # a value and its scale
Rows = Mapping[Key, Row] | None  # none where an order was not looked at
Element = tuple[object, ...]
Level = Callable[[str, str, int], Element]  # which element of an axis a holding is part of


@dataclass(frozen=True)
class Answer:
    """What becomes of an order. `rows` is None where it was not looked at."""

    outcome: str
    granted: int
    rows: Rows
    code: str | None = None


class Reference:
    """One book, its units at work, and the answer to any question about them."""

    def __init__(self, market: Market, book: Book, table: LimitTable, modes: Mapping[tuple[str, str], str],
                 confidence: float = 0.99, exit_fraction: float = 0.1, capacity: int = 65_536) -> None:  # fmt: skip
        self.confidence, self.exit_fraction, self.capacity = confidence, exit_fraction, capacity
        self.units: list[Unit] = []
        self._seen: dict[tuple[Level, bool], dict[Element, float]] = {}
        self.halts: dict[tuple[str, str], int] = {}
        self.order_times: list[tuple[int, str]] = []
        self.fill_times: list[tuple[int, str]] = []
        self.limit(table, modes)
        self.load(market, book)

    def limit(self, table: LimitTable, modes: Mapping[tuple[str, str], str]) -> None:
        """Other limits, and how each strategy's instrument may be traded."""
        self.table = table
        self.modes = {key: MODES[name] for key, name in modes.items()}
        self.slots = {(slot.rule.name, slot.axis): slot.first for slot in table.slots}

    def load(self, market: Market, book: Book) -> None:
        """Another book and other facts; units at work stay."""
        self.market, self.book = market, book
        self.positions = dict(book.positions)
        self.traded = dict(book.traded_contracts)
        self.orders = book.orders

    # --- what happens -------------------------------------------------------------------------------------------------
    def ask(
        self, orders: Sequence[Asked], mode: str = "all", netted: bool = False, now: float = 0.0,
        expires: float | None = None,
    ) -> list[Answer]:  # fmt: skip
        """The answers about a list; with `expires`, headroom is held for what is granted."""
        codes = self._codes(orders, reserving=expires is not None)
        if any(codes):
            return [Answer("refuse", 0, None, code or "list") for code in codes]
        legs = dict(enumerate(_leg(asked, math.inf if expires is None else expires) for asked in orders))
        rows, worst = self._tried(legs, netted, now)
        if worst == "refuse" and mode != "all":
            legs, rows, worst = self._largest_part(legs, mode, netted, now, rows)
        if worst == "refuse":
            return [Answer("refuse", 0, rows[number], None) for number in range(len(orders))]
        if expires is not None and self._at_work() + len(legs) > self.capacity:
            return [Answer("refuse", 0, None, "reservations_full") for _ in orders]
        if expires is not None:
            self._hold(list(legs.values()), netted, now)
        cut = Answer("refuse", 0, None, "list")
        return [
            Answer(_worst(rows[number]), legs[number].left, rows[number]) if number in legs else cut
            for number in range(len(orders))
        ]

    def fill(self, asked: Asked, now: float = 0.0) -> int:
        """A fill moves the book, and takes as much from what its order has at work."""
        held = (asked.strategy, asked.instrument, asked.contract)
        self.positions[held] = self.positions.get(held, 0) + int(asked.quantity_contracts)
        self.traded[asked.instrument] = self.traded.get(asked.instrument, 0) + abs(int(asked.quantity_contracts))
        self.fill_times.append((int(now), asked.strategy))
        return self._change(asked.order_id, int(asked.quantity_contracts))

    def release(self, order_id: str) -> int:
        """An order leaves work."""
        for leg in self._legs():
            if order_id and leg.order_id == order_id and leg.left:
                self._change(order_id, leg.left)
                return leg.left
        return 0

    def expire(self, now: float) -> list[str]:
        """Orders leave work whose time is over."""
        names = [leg.order_id for leg in self._legs() if leg.left and leg.expires <= now]
        for name in names:
            self.release(name)
        return sorted(names)

    def working(self) -> dict[str, int]:
        """What is left of each order at work."""
        return {leg.order_id: leg.left for leg in self._legs() if leg.left}

    def _legs(self) -> list[Leg]:
        return [leg for unit in self.units for leg in unit]

    def _at_work(self) -> int:
        """Places that are taken: all legs of units of which anything is left."""
        return len(self._legs())

    def _change(self, order_id: str, taken: int) -> int:
        """What is left of an order of which `taken` contracts were filled or given back."""
        left = 0
        for unit in self.units:
            for number, leg in enumerate(unit):
                if order_id and leg.order_id == order_id and leg.left:
                    left = leg.left
                    if taken * left > 0:
                        left = int(math.copysign(max(0, abs(left) - abs(taken)), left))
                    unit[number] = replace(leg, left=left)
        self.units = [unit for unit in self.units if any(leg.left for leg in unit)]
        return left

    def _hold(self, legs: list[Leg], netted: bool, now: float) -> None:
        for unit in _units(dict(enumerate(legs)), netted):
            together = list(unit.values())
            self.orders += sum(not self._does(leg, together, self.units)[0] for leg in together)
            self.order_times += [(int(now), leg.strategy) for leg in together]
            self.units.append(together)

    # --- deciding -----------------------------------------------------------------------------------------------------
    def _codes(self, orders: Sequence[Asked], reserving: bool) -> list[str | None]:
        """Why an order is refused without being looked at."""
        names, codes = set(self.working()), []
        for asked in orders:
            codes.append("duplicate_order" if reserving and asked.order_id in names else None)
            names.add(asked.order_id)
        return codes if any(codes) else [self._code(asked) for asked in orders]

    def _code(self, asked: Asked) -> str | None:
        quantity, price = asked.quantity_contracts, asked.limit_points
        if math.isnan(quantity):
            return "quantity_not_a_number"
        if abs(quantity) > 1e9:
            return "quantity_too_large"
        if quantity == 0:
            return "quantity_zero"
        if quantity != round(quantity):
            return "quantity_not_whole"
        if price is not None and not math.isfinite(price):
            return "price_not_a_number"
        if asked.strategy not in self.book.strategies:
            return "unknown_strategy"
        if asked.instrument not in self.market.instruments:
            return "unknown_instrument"
        return None if (asked.instrument, asked.contract) in self.market.contracts else "unknown_contract"

    def _tried(self, legs: Mapping[int, Leg], netted: bool, now: float) -> tuple[dict[int, Rows], str]:
        """Rows of each leg by number, as far as none is refused, and the worst outcome."""
        found: dict[int, Rows] = dict.fromkeys(legs)
        units, seen = list(self.units), list[Leg]()
        adding = self.orders
        for unit in _units(legs, netted):
            seen += unit.values()
            together = list(unit.values())
            for number, leg in unit.items():
                adding += not self._does(leg, together, units)[0]
                found[number] = self.rows(leg, together, units, seen, adding, now)
            if "refuse" in (_worst(found[number]) for number in unit):
                return found, "refuse"
            units.append(together)
        return found, _worse("pass", *(_worst(rows) for rows in found.values()))

    def _largest_part(
        self, legs: Mapping[int, Leg], mode: str, netted: bool, now: float, kept: dict[int, Rows]
    ) -> tuple[dict[int, Leg], dict[int, Rows], str]:
        """The longest prefix, or the largest percentage, that is not refused."""
        for part in range(len(legs) if mode == "prefix" else 100, 0, -1):
            if mode == "prefix":
                cut = {number: leg for number, leg in legs.items() if number < part}
            else:
                scaled = {n: replace(leg, left=int(math.copysign(abs(leg.left) * part // 100, leg.left)))
                          for n, leg in legs.items()}  # fmt: skip
                cut = {number: leg for number, leg in scaled.items() if leg.left}
            rows, worst = self._tried(cut, netted, now)
            if cut and worst != "refuse":
                return cut, rows, worst
        return {}, kept, "refuse"

    def rows(
        self, leg: Leg, unit: Unit, units: list[Unit], asked: Sequence[Leg], orders: int, now: float
    ) -> dict[Key, Row]:
        """What every rule comes to for one leg of a unit, with `units` at work. `asked`: the list's legs up to the end
        of the unit; `orders` of the session up to this one."""
        reduces, frees, closes, turns = self._does(leg, unit, units)
        after = self.order_values(leg, unit, units, frees, closes) | self._rates(leg, asked, now)
        after["session_orders", "portfolio", "book"] = (float(orders), float(orders))
        after |= self.book_values(leg, units, unit)
        before = self.book_values(leg, units, [])
        found = {}
        for key, (value, scale) in after.items():
            was = before[key][0] if key[0] in OF_THE_BOOK and not turns else -math.inf
            found[key] = self._compared(key, leg, value, scale, was, reduces)
        return found

    def _compared(self, key: Key, leg: Leg, value: float, scale: float, before: float, reduces: bool) -> Row:
        place = self.slots[key[0], key[1]] + self._number(key, leg)
        refuse, warn = float(self.table.refuse[place]), float(self.table.warn[place])
        if math.isinf(refuse) and math.isinf(warn):
            return Row(value, scale, before, "pass")
        if reduces and not self.table.judges[place]:
            return Row(value, scale, before, "pass")
        if math.isnan(value):
            return Row(value, scale, before, "warn" if self.table.lenient[place] else "refuse")
        exact = not math.isfinite(value) or value.is_integer()  # counts are compared as they are
        near = [] if exact else [refuse, warn, *[before] * (value != before)]
        edge = any(abs(value - level) <= 1e-9 * scale for level in near)
        if value <= before and not math.isinf(value):
            return Row(value, scale, before, "pass", edge)
        outcome = "refuse" if value > refuse else "warn" if value > warn else "pass"
        return Row(value, scale, before, outcome, edge)

    def _number(self, key: Key, leg: Leg) -> int:
        """The place of an element among those of its axis."""
        _, axis, element = key
        market, count = self.market, len(self.market.instruments)
        if axis == "holding":
            return self.book.strategies.index(leg.strategy) * count + market.instruments.index(leg.instrument)
        if axis == "contract":
            return market.contracts.index(leg.line)
        if axis in DIMENSIONS:
            return market.groups[axis].names.index(element)
        if axis == "component":
            return int(element) - 1
        return {
            "portfolio": ("book",), "strategy": self.book.strategies, "instrument": market.instruments,
            "factor": market.factors, "scenario": market.stress_names,
        }[axis].index(element)  # fmt: skip

    def _does(self, leg: Leg, unit: Unit, units: list[Unit]) -> tuple[bool, bool, bool, bool]:
        """Whether a leg only reduces (its contract month and its instrument, of all strategies together, and its own
        strategy's holding), whether it reduces that holding, whether it closes it (or a month of it), and whether it
        turns one of the three round."""
        parts: list[Callable[[str, str, int], bool]] = [
            lambda _, code, month: (code, month) == leg.line,
            lambda _, code, __: code == leg.instrument,
            lambda name, code, __: (name, code) == (leg.strategy, leg.instrument),
        ]
        line, own, holding = (self._left(leg, unit, units, part) for part in parts)
        frees = holding is not None and holding >= 0
        reduces = frees and line is not None and line >= 0 and own is not None and own >= 0
        turns = any(left is not None and left < 0 for left in (line, own, holding))
        return reduces, frees, frees and (holding == 0 or line == 0), turns

    def _left(self, leg: Leg, unit: Unit, units: list[Unit], part: Callable[[str, str, int], bool]) -> int | None:
        """How much is left of a part of the book with all that is at work the same way, and the legs of the leg's own
        unit; None where the leg is not against it."""
        held = sum(size for key, size in self.positions.items() if part(*key))
        own = sum(
            abs(one.left)
            for one in unit
            if part(one.strategy, one.instrument, one.contract) and one.left * leg.left > 0
        )
        nets = [sum(one.left for one in other if part(one.strategy, one.instrument, one.contract)) for other in units]
        working = sum(abs(net) for net in nets if net * leg.left > 0)
        return abs(held) - working - own if held * leg.left < 0 else None

    # --- values of the order ------------------------------------------------------------------------------------------
    def order_values(self, leg: Leg, unit: Unit, units: list[Unit], frees: bool, closes: bool) -> dict[Key, Measured]:
        """What counts for the order itself."""
        market = self.market
        line, code = market.contracts.index(leg.line), market.instruments.index(leg.instrument)
        size, holding = abs(leg.left), (leg.strategy, leg.instrument)
        per_holding, contract = "/".join(holding), f"{leg.instrument}/{leg.contract}"
        at_work = sum(abs(other.left) for one in [*units, unit] for other in one if other.instrument == leg.instrument)
        busy = float(self.traded.get(leg.instrument, 0) + at_work)
        mark = float(market.mark_points[line])
        notional = _known(abs(float(market.notional_base[line])))
        collar = 0.0 if leg.price is None else abs(_ratio(leg.price, mark) - 1)
        found = {
            ("order_size", "holding", per_holding): float(size),
            ("order_notional", "holding", per_holding): _over(size * notional, self.capital),
            ("price_collar", "instrument", leg.instrument): collar,
            ("participation", "instrument", leg.instrument): _ratio(busy, float(market.median_volume[code])),
            ("low_participation", "instrument", leg.instrument): _ratio(busy, float(market.low_volume[code])),
            ("spread", "instrument", leg.instrument): float(market.spread_fraction[code]),
            ("stale_price", "contract", contract): float(market.mark_age_sessions[line]),
            ("roll_state", "contract", contract): float(market.roll_state[line]),
            ("restricted", "holding", per_holding): 1.0,
            ("trading_mode", "holding", per_holding): _stops(self.modes[holding], frees, closes),
            ("halt", "holding", per_holding): _stops(self.halts.get(holding, FREE), frees, closes),
            ("instrument_lock", "instrument", leg.instrument): float(leg.instrument in self.book.locks),
        }  # fmt: skip
        return {key: (value, abs(value)) for key, value in (found | self._standing(leg)).items()}

    def _rates(self, leg: Leg, asked: Sequence[Leg], now: float) -> dict[Key, Measured]:
        second, own = int(now), leg.strategy
        orders = [name for when, name in self.order_times if second - 60 < when <= second]
        orders += [other.strategy for other in asked]
        fills = [name for when, name in self.fill_times if second - 60 < when <= second]
        found: dict[Key, Measured] = {}
        for rule, names in (("order_rate", orders), ("trade_rate", fills)):
            found[rule, "portfolio", "book"] = (float(len(names)), float(len(names)))
            found[rule, "strategy", own] = (float(names.count(own)), float(names.count(own)))
        return found

    def _standing(self, leg: Leg) -> dict[Key, float]:
        found = {}
        for axis, element, key in (("portfolio", "book", WHOLE), ("strategy", leg.strategy, leg.strategy)):
            stands = self.book.standing.get(key, UNKNOWN)
            found["daily_loss", axis, element] = _over(stands.day_base, self.capital)
            found["weekly_loss", axis, element] = _over(stands.week_base, self.capital)
            found["drawdown", axis, element] = stands.drawdown_fraction
        return found

    # --- values of the book -------------------------------------------------------------------------------------------
    @property
    def capital(self) -> float:
        """What limits are fractions of."""
        return self.book.capital_base

    def book_values(self, leg: Leg, units: list[Unit], unit: Unit) -> dict[Key, Measured]:
        """What the book comes to with `units` and this unit at work, by rule and element of the leg."""
        working = [*units, unit] if unit else units
        self._seen = {}
        found = self._positions(leg, working) | self._exposures(leg, working) | self._exposed(leg, working)
        return found | self._risks(leg, units, unit) | self._tails(units, unit)

    def _positions(self, leg: Leg, units: list[Unit]) -> dict[Key, Measured]:
        holding, contract = f"{leg.strategy}/{leg.instrument}", f"{leg.instrument}/{leg.contract}"
        axes = (("holding", holding, (leg.strategy, leg.instrument), "strategy_position"),
                ("instrument", leg.instrument, (leg.instrument,), "position_size"),
                ("contract", contract, leg.line, "contract_position"))  # fmt: skip
        found: dict[Key, Measured] = {}
        for axis, element, key, rule in axes:
            level = {"holding": _holding, "instrument": _instrument, "contract": _line}[axis]
            changed = "position_change" if axis == "instrument" else f"{rule}_change"
            for name, change in ((rule, False), (changed, True)):
                size = self._worst(level, units, change).get(key, 0.0)
                found[name, axis, element] = (size, size)
        size = found["position_size", "instrument", leg.instrument][0]
        volume = float(self.market.median_volume[self.market.instruments.index(leg.instrument)])
        days = 0.0 if size == 0 else _ratio(size, self.exit_fraction * volume)
        found["days_to_exit", "instrument", leg.instrument] = (days, days)
        for name, change in (("portfolio_position", False), ("portfolio_position_change", True)):
            total = sum(self._worst(_line, units, change).values())
            found[name, "portfolio", "book"] = (total, total)
        return found

    def _worst(self, level: Level, units: list[Unit], change: bool = False) -> dict[Element, float]:
        """The largest size by element, whichever units are filled; `level` names the element of a position. Kept for
        the other rules of the same question."""
        if (level, change) not in self._seen:
            self._seen[level, change] = self._worst_anew(level, units, change)
        return self._seen[level, change]

    def _worst_anew(self, level: Level, units: list[Unit], change: bool) -> dict[Element, float]:
        held: dict[Element, int] = {}
        buys: dict[Element, int] = {}
        sells: dict[Element, int] = {}
        for key, size in self.positions.items():
            held[level(*key)] = held.get(level(*key), 0) + size
        for key, size in self.book.opening.items() if change else ():
            held[level(*key)] = held.get(level(*key), 0) - size
        for unit in units:
            for element, size in _net(unit, level).items():
                held.setdefault(element, 0)
                way = buys if size > 0 else sells
                way[element] = way.get(element, 0) + abs(size)
        return {
            key: float(max(abs(size + buys.get(key, 0)), abs(size - sells.get(key, 0)))) for key, size in held.items()
        }

    def _members(self, axis: str, leg: Leg) -> frozenset[str]:
        """Instruments in the same group as the leg's."""
        names = self.market.instruments
        if axis in ("portfolio", "factor", "component", "scenario"):
            return frozenset(names)
        if axis == "instrument":
            return frozenset([leg.instrument])
        codes = self.market.groups[axis].codes
        return frozenset(
            name for name, code in zip(names, codes, strict=True) if code == codes[names.index(leg.instrument)]
        )

    def _element(self, axis: str, leg: Leg) -> str:
        if axis in DIMENSIONS:
            held = self.market.groups[axis]
            return held.names[int(held.codes[self.market.instruments.index(leg.instrument)])]
        return {"portfolio": "book", "instrument": leg.instrument}[axis]

    def _gross(self, axis: str, leg: Leg, units: list[Unit], level: Level, weights: Mapping[Any, float]) -> float:
        members = self._members(axis, leg)
        sizes = self._worst(level, units).items()
        return sum(size * _known(weights[key]) for key, size in sizes if size > 0 and key[0] in members)

    def _signed(
        self, axis: str, leg: Leg, units: list[Unit], level: Level, weights: Mapping[Any, float]
    ) -> tuple[float, float, float, float]:  # fmt: skip
        """N, U, D and the size of all that was added up. NaN where the weight of anything that counts is missing."""
        members = self._members(axis, leg)
        counted = {key: size for key, size in self._worst(level, units).items() if size > 0 and key[0] in members}
        missing = sum(0.0 * _known(weights[key]) for key in counted)
        scale = sum(size * abs(weights[key]) for key, size in counted.items())
        held = ((level(*key), size) for key, size in self.positions.items() if key[1] in members)
        net = sum(size * _counted(weights[key]) for key, size in held)
        up = down = 0.0
        for unit in units:
            own = [(key, size) for key, size in _net(unit, level).items() if key[0] in members]
            effect = sum(size * _counted(weights[key]) for key, size in own)
            up, down = up + max(0.0, effect), down + max(0.0, -effect)
        return net + missing, up, down, scale

    def _exposures(self, leg: Leg, units: list[Unit]) -> dict[Key, Measured]:
        market, found = self.market, {}
        notional = dict(zip(market.contracts, np.abs(market.notional_base).tolist(), strict=True))
        volatility = {(code,): float(market.volatility_base[n]) for n, code in enumerate(market.instruments)}
        margin = {line: float(market.margin_base[market.instruments.index(line[0])]) for line in market.contracts}
        for axis in ("portfolio", *DIMENSIONS):
            element = self._element(axis, leg)
            gross = _over(self._gross(axis, leg, units, _line, notional), self.capital)
            found["gross_exposure", axis, element] = (gross, gross)
            net, up, down, scale = self._signed(axis, leg, units, _line, notional)
            found["net_exposure", axis, element] = self._net_of(net, up, down, scale)
            risky = YEAR * self._gross(axis, leg, units, _instrument, volatility)
            found["gross_volatility", axis, element] = (_over(risky, self.capital), _over(risky, self.capital))
            signed = (YEAR * number for number in self._signed(axis, leg, units, _instrument, volatility))
            found["net_volatility", axis, element] = self._net_of(*signed)
        own = _over(self._gross("instrument", leg, units, _line, notional), self.capital)
        found["instrument_exposure", "instrument", leg.instrument] = (own, own)
        leverage = _over(self._gross("portfolio", leg, units, _line, notional), self.book.equity_base)
        found["leverage", "portfolio", "book"] = (leverage, leverage)
        bound = _over(self._gross("portfolio", leg, units, _line, margin), self.book.equity_base)
        found["margin", "portfolio", "book"] = (bound, bound)
        return found

    def _net_of(self, net: float, up: float, down: float, scale: float) -> Measured:
        return _over(max(abs(net + up), abs(net - down)), self.capital), _over(scale, self.capital)

    def _exposed(self, leg: Leg, units: list[Unit]) -> dict[Key, Measured]:
        """Along factors, components and stresses."""
        market, found = self.market, {}
        kinds = (("factor_exposure", "factor", market.factors, market.factor_loadings),
                 ("component_exposure", "component", [str(n + 1) for n in range(len(market.component_loadings))],
                  market.component_loadings),
                 ("stress", "scenario", market.stress_names, market.stresses))  # fmt: skip
        for rule, axis, names, loadings in kinds:
            for number, name in enumerate(names):
                weights = {(code,): float(loadings[number, n]) for n, code in enumerate(market.instruments)}
                net, up, down, scale = self._signed(axis, leg, units, _instrument, weights)
                if rule == "stress":
                    loss = math.nan if math.isnan(net) else max(0.0, down - net)
                    found[rule, axis, name] = (_over(loss, self.capital), _over(scale, self.capital))
                else:
                    found[rule, axis, name] = self._net_of(net, up, down, scale)
        return found

    def _vector(self, sizes: Mapping[Element, float]) -> np.ndarray:
        return np.array([sizes.get((code,), 0.0) for code in self.market.instruments], dtype=float)

    def _held(self) -> np.ndarray:
        return self._vector(_sums(self.positions.items()))

    def _risks(self, leg: Leg, units: list[Unit], unit: Unit) -> dict[Key, Measured]:
        market, book = self.market, self.book
        covariance, known = covariance_of(market)
        deviations = np.sqrt(np.diag(covariance))
        at_risk = self._vector(self._worst(_instrument, [*units, unit]))
        missing = math.nan if (at_risk[~known] > 0).any() else 0.0
        held = self._held()
        filled = held + self._vector(_net(unit, _instrument))
        others = sum(_deviation(covariance, self._vector(_net(other, _instrument))) for other in units)
        before, after = _deviation(covariance, held), _deviation(covariance, filled)
        worst = missing + max(before, after) + others
        sizes = np.abs(held) + sum((np.abs(self._vector(_net(one, _instrument))) for one in [*units, unit]), held * 0)
        scale = float(sizes @ deviations)
        normal, tail = NormalDist(), 1.0 - self.confidence
        quantile = normal.inv_cdf(self.confidence)
        target = book.capital_base * book.volatility_target_fraction
        shortfall = normal.pdf(quantile) / tail
        going = missing + _going_with(covariance, deviations, filled, market.instruments.index(leg.instrument))
        going = going if leg.left > 0 else -going
        everything: Key = ("portfolio_volatility", "portfolio", "book")
        return {
            everything: (_over(YEAR * worst, target), _over(YEAR * scale, target)),
            ("marginal_volatility", "portfolio", "book"): (
                _over(YEAR * (missing + after - before), target), _over(YEAR * scale, target)),
            ("concentration", "instrument", leg.instrument): (going, 1.0),
            ("parametric_value_at_risk", "portfolio", "book"): (
                _over(quantile * worst, self.capital), _over(quantile * scale, self.capital)),
            ("parametric_expected_shortfall", "portfolio", "book"): (
                _over(shortfall * worst, self.capital), _over(shortfall * scale, self.capital)),
        }  # fmt: skip

    def _tails(self, units: list[Unit], unit: Unit) -> dict[Key, Measured]:
        market, working = self.market, [*units, unit]
        days = len(market.scenarios)
        holes = ~np.isfinite(market.scenarios).all(axis=0) if days else np.ones(len(market.instruments), bool)
        at_risk = self._vector(self._worst(_instrument, working))
        keys: tuple[Key, Key] = (("value_at_risk", "portfolio", "book"), ("expected_shortfall", "portfolio", "book"))
        if not days or (at_risk[holes] > 0).any():
            return dict.fromkeys(keys, (math.nan, math.nan))
        gains = np.where(np.isfinite(market.scenarios), market.scenarios, 0.0)
        losses, scale = -(gains @ self._held()), np.abs(gains) @ np.abs(self._held())
        for one in working:
            own = gains @ self._vector(_net(one, _instrument))
            losses, scale = losses - np.minimum(0.0, own), scale + np.abs(own)
        count = max(1, math.ceil(round((1.0 - self.confidence) * days, 9)))
        largest = np.sort(losses)[::-1][:count]
        size = _over(float(scale.max()), self.capital)
        return {keys[0]: (_over(float(largest[-1]), self.capital), size),
                keys[1]: (_over(float(largest.mean()), self.capital), size)}  # fmt: skip


# --- small parts ------------------------------------------------------------------------------------------------------
def covariance_of(market: Market) -> tuple[np.ndarray, np.ndarray]:
    """The covariance of gains of contracts, 0 where it is not known, and of which instruments it is known."""
    loadings, rest = market.covariance_loadings, market.covariance_rest
    known = np.isfinite(loadings).all(axis=1) & np.isfinite(rest)
    loadings, rest = np.where(known[:, None], loadings, 0.0), np.where(known, rest, 0.0)
    return loadings @ loadings.T + np.diag(rest), known


def _deviation(covariance: np.ndarray, sizes: np.ndarray) -> float:
    return math.sqrt(max(0.0, float(sizes @ covariance @ sizes)))


def _going_with(covariance: np.ndarray, deviations: np.ndarray, sizes: np.ndarray, code: int) -> float:
    """Correlation of an instrument with each position, weighted by the position's share of all risk."""
    total, own = float(deviations @ np.abs(sizes)), float(deviations[code])
    if total == 0 or own == 0:
        return 0.0
    return float(covariance[code] @ sizes) / own / total


def _leg(asked: Asked, expires: float) -> Leg:
    return Leg(asked.strategy, asked.instrument, asked.contract, int(asked.quantity_contracts), asked.limit_points,
               asked.order_id, expires)  # fmt: skip


def _units(legs: Mapping[int, Leg], netted: bool) -> list[dict[int, Leg]]:
    return [dict(legs)] if netted else [{number: leg} for number, leg in legs.items()]


def _holding(strategy: str, instrument: str, contract: int) -> Element:
    return strategy, instrument


def _instrument(strategy: str, instrument: str, contract: int) -> Element:
    return (instrument,)


def _line(strategy: str, instrument: str, contract: int) -> Element:
    return instrument, contract


def _net(unit: Unit, level: Level) -> dict[Element, int]:
    """What a unit comes to, by element."""
    found: dict[Element, int] = {}
    for leg in unit:
        element = level(leg.strategy, leg.instrument, leg.contract)
        found[element] = found.get(element, 0) + leg.left
    return found


def _sums(positions: Iterable[tuple[tuple[str, str, int], int]]) -> dict[Element, float]:
    found: dict[Element, float] = {}
    for key, size in positions:
        found[_instrument(*key)] = found.get(_instrument(*key), 0.0) + size
    return found


def _known(weight: float) -> float:
    return weight if math.isfinite(weight) else math.nan


def _counted(weight: float) -> float:
    return weight if math.isfinite(weight) else 0.0


def _ratio(value: float, by: float) -> float:
    """A quotient as IEEE has it: infinite over nothing."""
    if by != 0:
        return value / by
    return math.nan if value == 0 or math.isnan(value) else math.copysign(math.inf, value)


def _over(value: float, money: float) -> float:
    """Value over money; of an account that is worth nothing, or less, anything is infinitely much."""
    return _ratio(value, money if math.isnan(money) else max(0.0, money))


def _stops(mode: int, frees: bool, closes: bool) -> float:
    passes = {FREE: True, REDUCE_ONLY: frees, CLOSE_ONLY: closes, NOTHING: False}[mode]
    return float(not passes)


def _worse(*outcomes: str) -> str:
    return max(outcomes, key=("pass", "warn", "refuse").index)


def _worst(rows: Rows) -> str:
    return _worse("pass", *(row.outcome for row in (rows or {}).values()))
