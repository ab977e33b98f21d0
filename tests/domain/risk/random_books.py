"""Random markets, books, limits and orders, and the engine beside its reference on them.

Test support. Numbers come from a `Choices`: a seeded generator, or hypothesis, which makes a case smaller when it
fails. Limits are set around what the reference says an order comes to, so that every rule passes, warns and refuses
often. Does not belong here: the reference (`risk_reference.py`), or tests.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Protocol, TypeVar

import numpy as np
from risk_reference import DIMENSIONS, Answer, Key, Reference, Row

from trading.config.models import DeskSettings
from trading.risk.book import WHOLE, Book, Standing
from trading.risk.decision import Asked, Decision
from trading.risk.engine import RiskEngine
from trading.risk.limit_table import limit_table, rules
from trading.risk.market import Market, group

T = TypeVar("T")
SESSION = date(2024, 3, 15)
MONTHS = (202403, 202406, 202409)
STRATEGIES = ("carry", "trend", "value")
CONFIDENCES = (0.99, 0.95, 0.8)
CAPACITY = 12
RULES = rules()
SETTINGS = {rule.name: rule.setting for rule in RULES if rule.setting}
WHOLE_NUMBERS = (
    "order_size", "order_rate", "trade_rate", "session_orders", "strategy_position", "position_size",
    "contract_position", "portfolio_position", "strategy_position_change", "position_change",
    "contract_position_change", "portfolio_position_change", "stale_price", "roll_state",
)  # fmt: skip
ALWAYS_IN_FORCE = ("trading_mode", "instrument_lock", "halt")  # which take no limit
GATES = ("restricted", *ALWAYS_IN_FORCE)  # 1 or 0: a level between does nothing new


class Choices(Protocol):
    """Where random numbers come from."""

    def integer(self, low: int, high: int) -> int:
        """From low to high, both included."""

    def chance(self, percent: int) -> bool:
        """True in so many of 100 cases, about."""

    def array(self, shape: tuple[int, ...], low: float, high: float) -> np.ndarray:
        """Numbers of no meaning for what a case is about."""


class Seeded:
    """Choices of a generator."""

    def __init__(self, seed: int) -> None:
        self.generator = np.random.default_rng(seed)

    def integer(self, low: int, high: int) -> int:
        return int(self.generator.integers(low, high + 1))

    def chance(self, percent: int) -> bool:
        return bool(self.generator.integers(0, 100) < percent)

    def array(self, shape: tuple[int, ...], low: float, high: float) -> np.ndarray:
        return self.generator.uniform(low, high, shape)


def pick(choices: Choices, values: Sequence[T]) -> T:
    """One of some values."""
    return values[choices.integer(0, len(values) - 1)]


# --- facts ------------------------------------------------------------------------------------------------------------
def random_market(choices: Choices, codes: tuple[str, ...]) -> Market:
    """Facts of instruments with one to three contract months, in a few of which something is missing."""
    contracts = tuple((code, month) for code in codes for month in MONTHS[: choices.integer(1, 3)])
    n, m = len(codes), len(contracts)
    own = np.array([codes.index(code) for code, _ in contracts])
    volatility = choices.array((n,), 100.0, 2000.0)
    directions = choices.integer(0, 3)
    days = pick(choices, (0, 1, 7, 40))
    shapes = {name: (choices.integer(0, 2), n) for name in ("factor", "component", "stress")}
    made = Market(
        version="made", session=SESSION, instruments=codes, contracts=contracts, contract_instrument=own,
        mark_points=choices.array((m,), 20.0, 200.0),
        mark_age_sessions=np.floor(choices.array((m,), 0.0, 4.0)),
        notional_base=choices.array((m,), 1e4, 1e5),
        roll_state=np.floor(choices.array((m,), 0.0, 3.0)).astype(np.int64),
        volatility_base=volatility,
        median_volume=choices.array((n,), 5.0, 500.0), low_volume=choices.array((n,), 1.0, 200.0),
        spread_fraction=choices.array((n,), 1e-5, 1e-2), margin_base=volatility * 4.0,
        groups={name: group([f"{name}{choices.integer(1, 2)}" for _ in codes]) for name in DIMENSIONS},
        factors=tuple(f"f{number}" for number in range(shapes["factor"][0])),
        factor_loadings=choices.array(shapes["factor"], -2000.0, 2000.0),
        component_loadings=choices.array(shapes["component"], -2000.0, 2000.0),
        stress_names=tuple(f"s{number}" for number in range(shapes["stress"][0])),
        stresses=choices.array(shapes["stress"], -1e4, 1e4),
        scenarios=choices.array((days, n), -3000.0, 3000.0),
        covariance_loadings=choices.array((n, directions), -1000.0, 1000.0),
        covariance_rest=choices.array((n,), 0.0, 1e6),
    )  # fmt: skip
    for _ in range(choices.integer(1, 3) if choices.chance(45) else 0):
        _lose(choices, made)
    return made


HOLES = (
    "mark_points", "mark_points", "mark_age_sessions", "notional_base", "notional_base", "volatility_base",
    "median_volume", "low_volume", "spread_fraction", "margin_base", "factor_loadings", "component_loadings",
    "stresses", "scenarios", "covariance_loadings", "covariance_rest",
)  # fmt: skip


def _lose(choices: Choices, market: Market) -> None:
    """One fact is not known, or a volume is nothing."""
    array = getattr(market, pick(choices, HOLES))
    if array.size:
        array.flat[choices.integer(0, array.size - 1)] = np.nan
    if choices.chance(20):
        market.median_volume[choices.integer(0, len(market.instruments) - 1)] = 0.0


def random_book(choices: Choices, market: Market) -> Book:
    """Positions now and at the open, and money."""
    strategies = STRATEGIES[: choices.integer(1, 3)]
    positions, opening = {}, {}
    for strategy in strategies:
        for code, month in market.contracts:
            if choices.chance(60):
                positions[strategy, code, month] = choices.integer(-20, 20)
            if choices.chance(60):
                opening[strategy, code, month] = choices.integer(-20, 20)
    standing = {name: _standing(choices) for name in (WHOLE, *strategies) if choices.chance(90)}
    money = choices.array((2,), 5e5, 5e6).tolist()
    if choices.chance(8):
        money[choices.integer(0, 1)] = pick(choices, (0.0, -1e6, math.nan))
    return Book(
        money[0], money[1], positions, opening, float(choices.array((), 0.05, 0.4)), standing,
        {code: choices.integer(0, 60) for code in market.instruments if choices.chance(50)},
        {code: f"{code} is in dispute" for code in market.instruments if choices.chance(3)},
        choices.integer(0, 30), strategies,
    )  # fmt: skip


def _standing(choices: Choices) -> Standing:
    day, week, drawdown = choices.array((3,), -0.5, 1.0).tolist()
    return Standing(day * 1e5, week * 2e5, max(0.0, drawdown) * 0.4)


def random_order(choices: Choices, market: Market, book: Book, name: str = "") -> Asked:
    """An order; one in three takes from what is held."""
    of_contracts = (market.mark_points, market.notional_base, market.mark_age_sessions)
    blind = [line for place, line in enumerate(market.contracts) if any(np.isnan(each[place]) for each in of_contracts)]
    code, month = pick(choices, blind if blind and choices.chance(50) else market.contracts)
    held = sum(size for (_, *line), size in book.positions.items() if tuple(line) == (code, month))
    size = choices.integer(1, 25) * (1 if choices.chance(50) else -1)
    if held and choices.chance(35):
        size = -held if choices.chance(40) else -int(math.copysign(choices.integer(1, abs(held)), held))
    price, mark = None, float(market.mark_points[market.contracts.index((code, month))])
    if choices.chance(40) or math.isnan(mark):
        price = round((100.0 if math.isnan(mark) else mark) * float(choices.array((), 0.7, 1.3)), 2)
    return Asked(pick(choices, book.strategies), code, month, size, price, name)


# --- limits -----------------------------------------------------------------------------------------------------------
ALWAYS_MEASURED = ("gross_exposure", "instrument_exposure", "daily_loss")  # a setting limits them always
LAX: dict[str, Any] = {
    "symbols": {"defaults": {"max_position_contracts": 1_000_000}},
    "trading": {"orders": {"max_per_session": 1_000_000}},
    "risk": {
        "max_gross_exposure_fraction": 1000.0, "max_daily_loss_fraction": 1.0,
        "limits": [{"rule": name, "missing": "warn"} for name in ALWAYS_MEASURED],
        "service": {"max_reservations": CAPACITY},
    },
}  # fmt: skip


def lax(confidence: float) -> dict[str, Any]:
    """Settings under which nearly all passes."""
    return LAX | {"risk": LAX["risk"] | {"model": {"confidence": confidence, "exit_fraction": 0.2}}}


def random_limits(choices: Choices, rows: Sequence[dict[Key, Row]], confidence: float, codes: Sequence[str]) -> Any:
    """Settings with limits around what orders come to."""
    document = lax(confidence)
    values: dict[tuple[str, str], list[float]] = {}
    for found in rows:
        for (rule, axis, _), row in found.items():
            values.setdefault((rule, axis), []).append(row.value)
    entries, risk = [], {}
    for (rule, axis), seen in values.items():
        if rule in ALWAYS_IN_FORCE:
            continue
        entry: dict[str, Any] = {"rule": rule, "by": axis}
        levels = sorted(_level(choices, rule, pick(choices, seen)) for _ in range(2))
        is_setting = rule in SETTINGS and (axis == "portfolio" or rule in
                                           ("position_size", "order_size", "instrument_exposure"))  # fmt: skip
        if choices.chance(60):
            entry["warn"] = levels[0]
        if not is_setting and choices.chance(60):
            entry["refuse"] = levels[1]
        if choices.chance(15):
            entry["missing"] = pick(choices, ("refuse", "warn"))
        if choices.chance(25):
            entry["reducing"] = pick(choices, ("pass", "judge"))
        if len(entry) > 2:
            entries.append(entry)
        if is_setting:
            risk[rule] = levels[1]
    return _with_settings(choices, document, entries, risk, codes)


def _level(choices: Choices, rule: str, value: float) -> float:
    """A level near a value: whole numbers at it and beside it."""
    if not math.isfinite(value) or value < 0:
        value = 0.0
    if rule in WHOLE_NUMBERS or rule in GATES:
        return float(max(0, value + pick(choices, (-1, 0, 0, 1, 5))))
    return min(1e12, value * pick(choices, (0.5, 0.9, 1.1, 2.0)) + pick(choices, (0.0, 0.0, 0.0, 1e-3)))


def _with_settings(choices: Choices, document: Any, entries: list[Any], levels: dict[str, float], codes: Sequence[str]
                   ) -> Any:  # fmt: skip
    """Levels of rules that have a setting of their own are set there; now and then all of a set of others is left."""
    kept = [entry for entry in entries if choices.chance(50)] if choices.chance(80) else []
    lenient = [{"rule": name, "by": axis, "missing": "warn"} for name, axis in
               (("gross_exposure", "portfolio"), ("instrument_exposure", "instrument"), ("daily_loss", "portfolio"))
               if choices.chance(50) and (name, axis) not in [(e["rule"], e["by"]) for e in kept]]  # fmt: skip
    defaults: dict[str, Any] = {"max_position_contracts": 1_000_000}
    orders, risk = {"max_per_session": 1_000_000}, {}
    for name, setting in SETTINGS.items():
        if choices.chance(75) or name not in levels:
            continue
        if setting == "max_per_session":
            orders[setting] = int(levels[name])
        elif setting in ("max_position_contracts", "max_order_contracts"):
            defaults[setting] = int(levels[name])
        elif setting == "max_exposure_fraction":
            defaults[setting] = min(1000.0, levels[name])
        else:
            risk[setting] = min(1.0 if setting == "max_daily_loss_fraction" else 1000.0, levels[name])
    modes = {code: {"trading_mode": pick(choices, ("reduce_only", "none"))} for code in codes if choices.chance(4)}
    return document | {
        "symbols": {"defaults": defaults, "symbols": modes},
        "trading": {"orders": orders},
        "risk": document["risk"] | risk | {"limits": [*kept, *lenient]},
    }


# --- engine and reference side by side --------------------------------------------------------------------------------
@dataclass
class Tally:
    """What came out, and what should not have."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)  # rule, and what it came to
    decisions: Counter[str] = field(default_factory=Counter)
    asked: int = 0
    values: int = 0
    edges: int = 0
    largest: tuple[float, str] = (0.0, "")

    def note(self, key: Key, row: Row, apart: float) -> None:
        """Counts one value."""
        self.values += 1
        kind = "missing" if math.isnan(row.value) and row.outcome != "pass" else row.outcome
        self.outcomes[key[0], kind] += 1
        if apart > self.largest[0]:
            self.largest = (apart, f"{key}: {row}")


class Disagreement(AssertionError):
    """The engine says something else than its reference."""


class Undecided(Exception):
    """A value is so near to a level that rounding decided: what follows cannot be compared."""


class Pair:
    """An engine and its reference that are told and asked the same."""

    def __init__(self, market: Market, book: Book, document: Any, tally: Tally | None = None) -> None:
        self.market, self.book, self.tally = market, book, tally or Tally()
        desk = DeskSettings.model_validate(document)
        self.engine = RiskEngine(desk, market, book, "made")
        table, modes = self._limits(desk)
        model = desk.risk.model
        capacity = desk.risk.service.max_reservations
        self.reference = Reference(market, book, table, modes, model.confidence, model.exit_fraction, capacity)

    def _limits(self, desk: DeskSettings) -> tuple[Any, dict[tuple[str, str], str]]:
        holdings = [(name, code) for name in self.book.strategies for code in self.market.instruments]
        modes = {(name, code): desk.symbol(code, name).trading_mode for name, code in holdings}
        return limit_table(desk, self.market, self.book.strategies, "made"), modes

    def limit(self, document: Any) -> None:
        """Other limits."""
        desk = DeskSettings.model_validate(document)
        self.engine.limit(desk, "made")
        self.reference.limit(*self._limits(desk))

    def load(self, market: Market, book: Book) -> None:
        """Another book."""
        self.market, self.book = market, book
        self.engine.load(market, book)
        self.reference.load(market, book)

    def halt(self, halts: dict[tuple[str, str], int]) -> None:
        """Other halts."""
        shape = (len(self.book.strategies), len(self.market.instruments))
        modes = np.zeros(shape)
        for (strategy, code), mode in halts.items():
            modes[self.book.strategies.index(strategy), self.market.instruments.index(code)] = mode
        self.engine.stop(modes)
        self.reference.halts = dict(halts)

    def ask(
        self, orders: Sequence[Asked], mode: Any = "all", netted: bool = False, now: float = 0.0,
        expires: float | None = None,
    ) -> list[Answer]:  # fmt: skip
        """Asks both, and holds the answers side by side."""
        expected = self.reference.ask(orders, mode, netted, now, expires)
        if len(orders) == 1 and not netted and mode == "all":
            found = [self.engine.check(orders[0], now) if expires is None
                     else self.engine.reserve(orders[0], now, expires)]  # fmt: skip
        elif expires is None:
            found = self.engine.check_list(orders, mode, netted, now)
        else:
            found = self.engine.reserve_list(orders, mode, netted, now, expires)
        for decision, answer in zip(found, expected, strict=True):
            self._same(decision, answer)
        if len(found) == 1 and mode == "all" and not netted and expires is None:  # among many it is as alone
            same(self.engine.check_each([*orders] * 2, now), [found[0].outcome] * 2, orders[0])
        return expected

    def fill(self, asked: Asked, now: float = 0.0) -> None:
        """Fills both."""
        same(self.engine.fill(asked, now), self.reference.fill(asked, now), "left by a fill")

    def release(self, order_id: str) -> None:
        """Releases in both."""
        same(self.engine.release(order_id), self.reference.release(order_id), "released")

    def expire(self, now: float) -> None:
        """Lets orders expire in both."""
        same(self.engine.expire(now), self.reference.expire(now), "expired")

    def settled(self) -> None:
        """The same is at work in both, and sums kept are what a full recompute makes of them."""
        same(sorted(self.engine.working()), sorted(self.reference.working()), "at work")
        drift = self.engine.recompute()
        if not drift.largest <= 1e-9:
            raise Disagreement(f"sums kept had drifted by {drift}")

    def _same(self, decision: Decision, answer: Answer) -> None:
        self.tally.asked += 1
        self.tally.decisions[decision.outcome] += 1
        if answer.rows is None:
            same((decision.outcome, decision.granted_contracts), (answer.outcome, answer.granted), decision.asked)
            if answer.code is not None:
                same([reason.code for reason in decision.reasons], [answer.code], decision.asked)
            return
        edge = self._same_rows(decision, answer.rows)
        if edge and decision.granted_contracts != answer.granted:
            raise Undecided
        if not edge:
            same((decision.outcome, decision.granted_contracts), (answer.outcome, answer.granted), decision.asked)
            same(sorted(reason.code for reason in decision.reasons), codes_of(answer), decision.asked)

    def _same_rows(self, decision: Decision, rows: dict[Key, Row] | Any) -> bool:
        judged = {(row.rule, row.axis, row.element): row for row in decision.rules}
        same(sorted(judged), sorted(rows), "rows")
        edge = False
        for key, expected in rows.items():
            found = judged[key]
            if (
                key[0] == "marginal_volatility"
                and math.isinf(expected.scale)
                and math.isnan(found.value + expected.value)
            ):
                self.tally.edges += 1  # a difference of two roots, 0 but for rounding, of an account worth nothing
                edge = True
                continue
            if expected.value == 0.0 and 0.0 < abs(found.value) <= 1e-15:
                self.tally.edges += 1  # what sums leave of rounding when they are back at nothing
                edge = True
                continue
            apart = difference(found.value, expected)
            self.tally.note(key, expected, apart)
            if not apart <= 1e-9:
                raise Disagreement(f"{decision.asked}: {key} is {found.value!r}, expected {expected}")
            if expected.edge:
                self.tally.edges += 1
                edge = True
            elif found.outcome != expected.outcome:
                raise Disagreement(f"{decision.asked}: {key} {found.outcome}s ({found}), expected {expected}")
        return edge


def difference(value: float, expected: Row) -> float:
    """How far a value is from what was expected, in its scale."""
    if math.isnan(value) or math.isnan(expected.value):
        return 0.0 if math.isnan(value) == math.isnan(expected.value) else math.inf
    if value == expected.value:
        return 0.0
    return abs(value - expected.value) / max(expected.scale, 1e-300)


def codes_of(answer: Answer) -> list[str]:
    """Reason codes of an order that was looked at."""
    rows = (answer.rows or {}).items()
    codes = [f"missing:{key[0]}" if math.isnan(row.value) else key[0] for key, row in rows if row.outcome != "pass"]
    if answer.outcome == "refuse" and not any(row.outcome == "refuse" for _, row in rows):
        codes.append("list")
    return sorted(codes)


def same(found: object, expected: object, what: object) -> None:
    """Raises Disagreement where two things are not the same."""
    if found != expected:
        raise Disagreement(f"{what}: {found}, expected {expected}")


# --- one random case --------------------------------------------------------------------------------------------------
def random_case(choices: Choices, tally: Tally) -> None:
    """A random book gets to work, then limits are drawn close around it, and orders are judged. Raises Disagreement."""
    with suppress(Undecided):
        _random_case(choices, tally)


def _random_case(choices: Choices, tally: Tally) -> None:
    codes = tuple(f"I{number}" for number in range(choices.integer(1, 8)))
    market = random_market(choices, codes)
    book = random_book(choices, market)
    confidence = pick(choices, CONFIDENCES)
    pair = Pair(market, book, lax(confidence), tally)
    now = 1000.0
    for number in range(choices.integer(0, 5)):
        now += choices.integer(0, 40)
        random_step(choices, pair, number, now)
    now += choices.integer(0, 40)
    asked = [random_order(choices, market, book, f"last{number}") for number in range(choices.integer(1, 4))]
    if choices.chance(10):
        pair.halt({(name, code): choices.integer(0, 3) for name in book.strategies for code in codes})
    rows = [answer.rows for order in asked for answer in pair.ask([order], now=now) if answer.rows]
    pair.limit(random_limits(choices, rows, confidence, codes) if rows else lax(confidence))
    for order in asked:
        pair.ask([order], now=now)
    expires = pick(choices, (None, math.inf))
    mode = "scale" if choices.chance(8) else pick(choices, ("all", "prefix"))  # scaling asks a hundred times
    pair.ask(asked, mode, choices.chance(40), now, expires)
    pair.settled()
    pair.ask(asked[:1], now=now) if expires is None else None


def random_step(choices: Choices, pair: Pair, number: int, now: float) -> None:
    """Something happens: orders go to work, are filled in part or whole, are cancelled, or run out of time."""
    kind = choices.integer(0, 9)
    working = sorted(pair.reference.working())
    if kind < 4 or not working:
        count = choices.integer(1, 4) if kind % 2 else 1
        orders = [random_order(choices, pair.market, pair.book, f"o{number}.{leg}") for leg in range(count)]
        expires = pick(choices, (math.inf, now + choices.integer(0, 60)))
        pair.ask(orders, "all", count > 1 and choices.chance(60), now, expires)
    elif kind < 7:
        fill_some(choices, pair, pick(choices, working), now)
    elif kind == 7:
        pair.release(pick(choices, working))
    elif kind == 8:
        pair.expire(now)
    else:
        stray = random_order(choices, pair.market, pair.book)
        pair.fill(stray, now)


def fill_some(choices: Choices, pair: Pair, name: str, now: float) -> None:
    """A fill of an order at work: a part of it, all of it, or now and then more."""
    leg = next(leg for unit in pair.reference.units for leg in unit if leg.order_id == name)
    size = pick(choices, (abs(leg.left), choices.integer(1, abs(leg.left)), abs(leg.left) + 1))
    asked = Asked(leg.strategy, leg.instrument, leg.contract, int(math.copysign(size, leg.left)), None, name)
    pair.fill(asked, now)
