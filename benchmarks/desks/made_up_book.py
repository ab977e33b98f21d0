"""A book of as many positions as asked for, with facts and limits of every kind, made up from a seed.

Belongs here: what benchmarks of the risk engine judge orders of. Does not belong here: measuring.
"""

from __future__ import annotations

import time
from datetime import date

import numpy as np

from trading.config.models import DeskSettings
from trading.risk.book import WHOLE, Book, Standing
from trading.risk.decision import Asked
from trading.risk.engine import RiskEngine
from trading.risk.limit_table import rules
from trading.risk.market import DIMENSIONS, Market, group

CONTRACT, CAPITAL = 20240300, 1e10
FACTORS, COMPONENTS, STRESSES, DAYS, DIRECTIONS = 3, 3, 4, 512, 64
OWN_SETTINGS = ("order_size", "position_size", "instrument_exposure", "session_orders", "trading_mode",
                "instrument_lock", "halt", "restricted")  # fmt: skip


def market(count: int, seed: int = 0) -> Market:
    """Facts of so many instruments of one contract each: 40 of each group, 64 common directions, 512 scenarios."""
    chance = np.random.default_rng(seed)
    codes = tuple(f"I{number:05d}" for number in range(count))
    volatility = chance.uniform(100.0, 2_000.0, count)
    loadings = chance.normal(size=(count, DIRECTIONS)) * volatility[:, None] * 0.6 / np.sqrt(DIRECTIONS)
    groups = {name: group([f"{name} {place}" for place in chance.integers(0, 40, count)]) for name in DIMENSIONS}

    def gains(rows: int) -> np.ndarray:
        return chance.normal(size=(rows, count)) * volatility

    return Market(
        version=f"made up {count} {seed}", session=date(2024, 1, 2), instruments=codes,
        contracts=tuple((code, CONTRACT) for code in codes), contract_instrument=np.arange(count),
        mark_points=chance.uniform(50.0, 500.0, count), mark_age_sessions=np.zeros(count),
        notional_base=chance.uniform(1e4, 1e5, count), roll_state=np.zeros(count, np.int64), volatility_base=volatility,
        median_volume=chance.uniform(1e3, 1e5, count), low_volume=chance.uniform(1e2, 1e3, count),
        spread_fraction=chance.uniform(1e-5, 1e-3, count), margin_base=4.0 * volatility, groups=groups,
        factors=tuple("abc"), factor_loadings=gains(FACTORS), component_loadings=gains(COMPONENTS),
        stress_names=tuple("wxyz"), stresses=5.0 * gains(STRESSES), scenarios=gains(DAYS),
        covariance_loadings=loadings, covariance_rest=(0.8 * volatility) ** 2,
    )  # fmt: skip


def book(facts: Market, strategies: int = 10, seed: int = 1) -> Book:
    """A position in every instrument, each of one of the strategies."""
    chance = np.random.default_rng(seed)
    names = tuple(f"s{number}" for number in range(strategies))
    sizes = chance.integers(-20, 21, len(facts.instruments))
    held = {
        (names[number % strategies], code, CONTRACT): int(size or 1)
        for number, (code, size) in enumerate(zip(facts.instruments, sizes, strict=True))
    }
    lost = dict.fromkeys((WHOLE, *names), Standing())
    return Book(CAPITAL, CAPITAL, held, held, 0.2, lost, strategies=names)


def desk() -> DeskSettings:
    """Settings with a level that refuses and one that warns for every rule and everything it is measured of, wide
    enough that orders of a few contracts pass."""
    limits = [
        {"rule": rule.name, "by": axis, "refuse": 1e9, "warn": 1e8}
        for rule in rules()
        for axis in rule.axes
        if rule.name not in OWN_SETTINGS and not (rule.setting and axis == "portfolio")
    ]
    risk = {"limits": limits, "max_gross_exposure_fraction": 1000.0, "max_daily_loss_fraction": 1.0}
    orders = {"trading": {"orders": {"max_per_session": 1_000_000}}, "symbols": {"defaults": {}}}
    return DeskSettings.model_validate({"risk": risk, **orders})


def engine(count: int) -> RiskEngine:
    """An engine over such a book, all rules on."""
    facts = market(count)
    return RiskEngine(desk(), facts, book(facts), "made up", time.perf_counter)


def orders(count: int, instruments: int, seed: int = 2) -> list[Asked]:
    """Orders of one to twenty contracts either way, in any instrument, with ids of their own."""
    chance = np.random.default_rng(seed)
    sizes, places = chance.integers(1, 21, count), chance.integers(0, instruments, count)
    signs = chance.choice([-1, 1], count)
    return [
        Asked(f"s{place % 10}", f"I{place:05d}", CONTRACT, int(size * sign), None, f"o{number}")
        for number, (size, place, sign) in enumerate(zip(sizes, places, signs, strict=True))
    ]
