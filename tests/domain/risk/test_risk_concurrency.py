"""No order of checks, reservations, fills and cancels takes the book past a limit: threads on one engine, and long
sequences beside the reference.

What is held is counted here by itself, fill by fill; the engine is not asked. Does not belong here: processes that
share a log of reservations, or single decisions (`test_risk_cases.py`).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from threading import Barrier, Lock, Thread
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

sys.path.insert(0, str(Path(__file__).parent))

import random_books as books
from risk_reference import Reference, covariance_of

from trading.config.models import DeskSettings
from trading.risk.book import WHOLE, Book, Standing
from trading.risk.decision import Asked
from trading.risk.engine import RiskEngine
from trading.risk.limit_table import limit_table
from trading.risk.market import DIMENSIONS, Market, group

THREADS = 16
STEPS = 200
MONTH = 202406
CODES = tuple(f"I{number}" for number in range(6))
LINES = tuple((code, month) for code in CODES for month in (MONTH, MONTH + 3))
# Refusing levels, in the rules' units; each is judged for orders that reduce a line too, which may raise it elsewhere.
LEVELS: dict[tuple[str, str], float] = {
    ("position_change", "instrument"): 9.0, ("contract_position", "contract"): 8.0,
    ("strategy_position", "holding"): 7.0, ("portfolio_position", "portfolio"): 30.0,
    ("gross_exposure", "sector"): 1.5, ("net_exposure", "portfolio"): 0.8, ("leverage", "portfolio"): 4.0,
    ("gross_volatility", "portfolio"): 0.5, ("net_volatility", "currency"): 0.3, ("margin", "portfolio"): 0.2,
    ("factor_exposure", "factor"): 0.01, ("stress", "scenario"): 0.05, ("value_at_risk", "portfolio"): 0.03,
    ("expected_shortfall", "portfolio"): 0.04, ("portfolio_volatility", "portfolio"): 1.2,
}  # fmt: skip


@pytest.fixture(scope="module")
def market() -> Market:
    """Six instruments of two months, nothing of which is missing."""
    draw, n = np.random.default_rng(5), len(CODES)
    m = 2 * n
    return Market(
        version="made", session=date(2024, 3, 15), instruments=CODES, contracts=LINES,
        contract_instrument=np.repeat(np.arange(n), 2), mark_points=np.full(m, 100.0), mark_age_sessions=np.zeros(m),
        notional_base=draw.uniform(5e4, 1.5e5, m), roll_state=np.zeros(m, np.int64),
        volatility_base=draw.uniform(500, 2000, n), median_volume=np.full(n, 1e6), low_volume=np.full(n, 1e6),
        spread_fraction=np.full(n, 1e-4), margin_base=draw.uniform(2000, 8000, n),
        groups={name: group([f"{name}{number % 2}" for number in range(n)]) for name in DIMENSIONS},
        factors=("f",), factor_loadings=draw.normal(size=(1, n)) * 1000, component_loadings=np.zeros((0, n)),
        stress_names=("s", "t"), stresses=draw.normal(size=(2, n)) * 5000, scenarios=draw.normal(size=(40, n)) * 1500,
        covariance_loadings=draw.normal(size=(n, 2)) * 700, covariance_rest=draw.uniform(1e5, 1e6, n),
    )  # fmt: skip


@pytest.fixture(scope="module")
def desk() -> DeskSettings:
    """Limits that are soon reached."""
    limits = [
        {"rule": name, "by": axis, "refuse": level, "reducing": "judge"} for (name, axis), level in LEVELS.items()
    ]
    return DeskSettings.model_validate({
        "trading": {"orders": {"max_per_session": 1_000_000}},
        "risk": {"max_gross_exposure_fraction": 1000.0, "limits": limits, "model": {"confidence": 0.9},
                 "service": {"max_reservations": 64}},
    })  # fmt: skip


@pytest.fixture
def empty() -> Book:
    """A book that holds nothing, and lost nothing."""
    return Book(1e6, 5e5, standing={WHOLE: Standing()}, strategies=("carry", "trend"))


@pytest.fixture
def eager() -> Iterator[None]:
    """Threads take turns 500 times as often as they do."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


class Held:
    """Fills as they are booked, and what the book comes to, worked out anew. Fills are noted before the engine hears of
    them: what is filled at the broker is filled."""

    def __init__(self, market: Market, book: Book) -> None:
        self.market, self.book, self.lock = market, book, Lock()
        self.positions: dict[tuple[str, str, int], int] = {}
        self.worst: dict[tuple[str, str], float] = {}
        self.fills = 0

    def fill(self, asked: Asked) -> None:
        """Counts a fill, and what all of them come to."""
        with self.lock:
            key = (asked.strategy, asked.instrument, asked.contract)
            self.positions[key] = self.positions.get(key, 0) + int(asked.quantity_contracts)
            self.fills += 1
            for name, value in self.measured().items():
                self.worst[name] = max(value, self.worst.get(name, -math.inf))

    def measured(self) -> dict[tuple[str, str], float]:
        """The largest value by rule and axis of what is filled."""
        market, capital = self.market, self.book.capital_base
        lines = np.array([self._sum(lambda key, line=line: key[1:] == line) for line in market.contracts])
        own = np.array([self._sum(lambda key, code=code: key[1] == code) for code in market.instruments])
        covariance, _ = covariance_of(market)
        losses = np.sort(-(market.scenarios @ own))[::-1]
        sector, currency = (market.groups[name].codes for name in ("sector", "currency"))
        notional = np.abs(lines) * market.notional_base
        risk = own * market.volatility_base * 16
        margin = market.margin_base[market.contract_instrument]
        return {
            ("position_change", "instrument"): np.abs(own).max(),
            ("contract_position", "contract"): np.abs(lines).max(),
            ("strategy_position", "holding"): max(
                abs(self._sum(lambda key, name=name, code=code: key[:2] == (name, code)))
                for name in self.book.strategies for code in market.instruments),
            ("portfolio_position", "portfolio"): np.abs(lines).sum(),
            ("gross_exposure", "sector"): max(notional[sector[market.contract_instrument] == k].sum()
                                              for k in (0, 1)) / capital,
            ("net_exposure", "portfolio"): abs((lines * market.notional_base).sum()) / capital,
            ("leverage", "portfolio"): notional.sum() / self.book.equity_base,
            ("gross_volatility", "portfolio"): np.abs(risk).sum() / capital,
            ("net_volatility", "currency"): max(abs(risk[currency == k].sum()) for k in (0, 1)) / capital,
            ("margin", "portfolio"): (np.abs(lines) * margin).sum() / self.book.equity_base,
            ("factor_exposure", "factor"): abs(market.factor_loadings[0] @ own) / capital,
            ("stress", "scenario"): max(0.0, (-(market.stresses @ own)).max()) / capital,
            ("value_at_risk", "portfolio"): losses[3] / capital,  # 4 of 40 days
            ("expected_shortfall", "portfolio"): losses[:4].mean() / capital,
            ("portfolio_volatility", "portfolio"): 16 * math.sqrt(own @ covariance @ own) / (0.2 * capital),
        }  # fmt: skip

    def _sum(self, wanted: Any) -> int:
        return sum(size for key, size in self.positions.items() if wanted(key))


class Trader:
    """One thread: it checks, reserves single orders and lists, fills them in parts, cancels, and lets some expire."""

    def __init__(self, number: int, engine: RiskEngine, held: Held, start: Barrier) -> None:
        self.number, self.engine, self.held, self.start = number, engine, held, start
        self.draw = np.random.default_rng(number)
        self.mine: dict[str, Asked] = {}  # what is left of each, as this thread knows it
        self.granted = self.refused = self.count = 0
        self.failed: BaseException | None = None

    def run(self) -> None:
        """All steps; what goes wrong is kept."""
        try:
            self.start.wait()
            for _ in range(STEPS):
                self.step()
        except BaseException as cause:
            self.failed = cause

    def step(self) -> None:
        kind = self.draw.integers(0, 10)
        if kind < 4 or not self.mine:
            self.reserve(1 if kind % 2 else int(self.draw.integers(2, 4)))
        elif kind < 8:
            self.fill(str(self.draw.choice(sorted(self.mine))))
        elif kind == 8:
            name = str(self.draw.choice(sorted(self.mine)))
            assert self.engine.release(name) == self.mine.pop(name).quantity_contracts
        else:
            self.engine.check(self.order())
            self.engine.expire(now=5.0)

    def order(self) -> Asked:
        self.count += 1
        code, month = LINES[int(self.draw.integers(0, len(LINES)))]
        size = int(self.draw.integers(1, 4)) * (1 if self.draw.random() < 0.5 else -1)
        return Asked(str(self.draw.choice(["carry", "trend"])), code, month, size, None, f"{self.number}-{self.count}")

    def reserve(self, count: int) -> None:
        """Some of what is reserved is meant to expire, and is left alone."""
        expires = 4.0 if self.draw.random() < 0.2 else math.inf
        orders = [self.order() for _ in range(count)]
        if count == 1:
            found = [self.engine.reserve(orders[0], expires=expires)]
        else:
            found = self.engine.reserve_list(orders, "prefix" if self.draw.random() < 0.5 else "scale", expires=expires)
        for asked, decision in zip(orders, found, strict=True):
            self.granted, self.refused = self.granted + decision.passed, self.refused + (not decision.passed)
            if decision.passed and expires == math.inf:
                self.mine[asked.order_id] = asked._replace(quantity_contracts=decision.granted_contracts)

    def fill(self, name: str) -> None:
        asked = self.mine[name]
        size = int(math.copysign(self.draw.integers(1, abs(asked.quantity_contracts) + 1), asked.quantity_contracts))
        part = asked._replace(quantity_contracts=size)
        self.held.fill(part)
        left = self.engine.fill(part)
        assert left == asked.quantity_contracts - size
        self.mine[name] = asked._replace(quantity_contracts=left)
        if left == 0:
            del self.mine[name]


@contextmanager
def trading(engine: RiskEngine, held: Held) -> Iterator[list[Trader]]:
    """Sixteen threads at once; inside, while they trade."""
    start = Barrier(THREADS + 1)
    traders = [Trader(number, engine, held, start) for number in range(THREADS)]
    threads = [Thread(target=trader.run) for trader in traders]
    for thread in threads:
        thread.start()
    start.wait()
    yield traders
    for thread in threads:
        thread.join()


def within(held: Held) -> None:
    """Whatever was filled so far never passed a limit."""
    passed = {name: (value, LEVELS[name]) for name, value in held.worst.items() if value > LEVELS[name] * (1 + 1e-9)}
    assert passed == {}


@pytest.mark.usefixtures("eager")
def test_threads_never_take_the_book_past_a_limit(market: Market, desk: DeskSettings, empty: Book) -> None:
    engine, held = RiskEngine(desk, market, empty), Held(market, empty)
    with trading(engine, held) as traders:
        pass
    assert [trader.failed for trader in traders if trader.failed] == []
    within(held)
    assert held.fills > 50
    assert sum(trader.granted for trader in traders) > 80
    assert sum(trader.refused for trader in traders) > 150
    assert max(held.worst[name] / level for name, level in LEVELS.items()) > 0.8  # limits were nearly reached
    settled(engine, held, traders)
    assert sorted(anew(engine, market, desk, empty, held)) == []


@pytest.mark.usefixtures("eager")
def test_limits_books_and_sums_that_are_replaced_while_threads_trade(
    market: Market, desk: DeskSettings, empty: Book
) -> None:
    engine, held = RiskEngine(desk, market, empty), Held(market, empty)
    with trading(engine, held) as traders:
        for number in range(20):
            engine.limit(desk, f"version {number}")
            assert engine.recompute().largest <= 1e-9
    assert [trader.failed for trader in traders if trader.failed] == []
    within(held)
    settled(engine, held, traders)
    assert engine.versions.configuration == "version 19"


def settled(engine: RiskEngine, held: Held, traders: list[Trader]) -> None:
    """After everything is released nothing is at work, and sums are what a full recompute makes of them."""
    engine.expire(now=math.inf)
    assert sorted(engine.working()) == []
    for trader in traders:
        trader.mine.clear()
    assert engine.recompute().largest <= 1e-9


def anew(engine: RiskEngine, market: Market, desk: DeskSettings, empty: Book, held: Held) -> Iterator[str]:
    """Values that differ from those of the reference on a book that was filled the same."""
    table = limit_table(desk, market, empty.strategies)
    modes = {(name, code): "free" for name in empty.strategies for code in CODES}
    reference = Reference(market, empty, table, modes, 0.9, 0.1)
    reference.positions = dict(held.positions)
    for code, month in LINES:
        asked = Asked("carry", code, month, 1)
        expected = reference.ask([asked])[0].rows or {}
        for row in engine.check(asked).rules:
            if row.rule in {name for name, _ in LEVELS}:
                wanted = expected[row.rule, row.axis, row.element]
                if not books.difference(row.value, wanted) <= 1e-9:
                    yield f"{asked}: {row}, expected {wanted}"


# --- one after another, beside the reference --------------------------------------------------------------------------
class Sequences(RuleBasedStateMachine):
    """Whatever happens to an engine happens to its reference; they answer the same at every step."""

    @initialize(seed=st.integers(0, 2**32 - 1))
    def begin(self, seed: int) -> None:
        self.choices = books.Seeded(seed)
        codes = tuple(f"I{number}" for number in range(self.choices.integer(1, 4)))
        self.codes, self.now, self.number = codes, 1000.0, 0
        market = books.random_market(self.choices, codes)
        self.confidence = books.pick(self.choices, books.CONFIDENCES)
        self.document = books.lax(self.confidence)
        self.pair = books.Pair(market, books.random_book(self.choices, market), self.document)

    def orders(self, count: int) -> list[Asked]:
        self.number += 1
        pair = self.pair
        return [books.random_order(self.choices, pair.market, pair.book, f"{self.number}.{n}") for n in range(count)]

    @rule(wait=st.integers(0, 70))
    def time_passes(self, wait: int) -> None:
        self.now += wait

    @rule()
    def check(self) -> None:
        self.pair.ask(self.orders(1), now=self.now)

    @rule(lasts=st.sampled_from([5.0, 60.0, math.inf]))
    def reserve(self, lasts: float) -> None:
        self.pair.ask(self.orders(1), now=self.now, expires=self.now + lasts)

    @rule(count=st.integers(1, 4), mode=st.sampled_from(["all", "prefix", "scale"]), netted=st.booleans(),
          lasts=st.sampled_from([5.0, math.inf]))  # fmt: skip
    def reserve_list(self, count: int, mode: str, netted: bool, lasts: float) -> None:
        self.pair.ask(self.orders(count), mode, netted, self.now, self.now + lasts)

    @precondition(lambda self: self.pair.reference.working())
    @rule()
    def fill(self) -> None:
        name = books.pick(self.choices, sorted(self.pair.reference.working()))
        books.fill_some(self.choices, self.pair, name, self.now)

    @rule()
    def fill_of_no_order(self) -> None:
        self.pair.fill(self.orders(1)[0]._replace(order_id=""), self.now)

    @precondition(lambda self: self.pair.reference.working())
    @rule()
    def release(self) -> None:
        self.pair.release(books.pick(self.choices, sorted(self.pair.reference.working())))

    @rule()
    def release_of_no_order(self) -> None:
        self.pair.release("nobody's")

    @rule()
    def expire(self) -> None:
        self.pair.expire(self.now)

    @rule()
    def limit(self) -> None:
        asked = self.orders(2)
        rows = [answer.rows for one in asked for answer in self.pair.ask([one], now=self.now) if answer.rows]
        if rows:
            self.document = books.random_limits(self.choices, rows, self.confidence, self.codes)
            self.pair.limit(self.document)

    @rule()
    def load(self) -> None:
        """Another book of the same strategies, and other facts of the same contracts."""
        market, strategies = self.pair.market, self.pair.book.strategies
        held = self.pair.reference.positions
        book = Book(
            2e6, 1e6, dict(held), dict(held), standing={WHOLE: Standing()}, traded_contracts={"I0": 5}, orders=3,
            strategies=strategies,
        )  # fmt: skip
        self.pair.load(market, book)

    @rule(mode=st.integers(0, 3))
    def halt(self, mode: int) -> None:
        self.pair.halt({(name, self.codes[0]): mode for name in self.pair.book.strategies})

    @invariant()
    def the_same_is_at_work(self) -> None:
        if hasattr(self, "pair"):
            self.pair.settled()


Sequences.TestCase.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestSequences = Sequences.TestCase
