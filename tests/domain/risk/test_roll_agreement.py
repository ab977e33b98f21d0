"""Rolls of random books beside a plain reference: what goes into the next contract makes no value of the book that is
beyond its limit larger, and one part more would.

Values are those of the reference, which works everything out anew; what may pass is said here. Does not belong here:
cases worked by hand (test_roll_legs.py), or the engine's values (test_risk_agreement.py).
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from random_books import MONTHS, SETTINGS, Seeded, lax, pick, random_book, random_market, random_order
from risk_reference import Leg, Reference

from resources.risk_memory import MemoryDecisionLog
from trading.book.orders import Order
from trading.book.rolls import Pair, Roll, roll_orders
from trading.config.models import DeskSettings
from trading.market.instruments import Instrument
from trading.risk.book import Book
from trading.risk.decision import Asked
from trading.risk.kept import About
from trading.risk.limit_table import LimitTable, axes_of, limit_table, rules
from trading.risk.market import Market
from trading.risk.replay import Turned, levels_of, turned
from trading.risk.reservations import Reserved
from trading.risk.roll_legs import RollVerdict, judged_roll

CASES = 500
OLD, NEXT = MONTHS[:2]
CUTS = {rule.name for rule in rules() if rule.rolling == "cut"}
Place = tuple[str, str, str]


@dataclass(frozen=True)
class Case:
    """A book, what others hold, limits, and the pairs of a roll."""

    market: Market
    book: Book
    others: tuple[Asked, ...]
    confidence: float
    pairs: list[Pair]

    def values(self, contracts: Sequence[int] | None) -> dict[Place, float]:
        """Values of the book with so many contracts of each pair in the next one, of what those that have any are part
        of; all, as they were, without."""
        positions = dict(self.book.positions)
        for pair, count in zip(self.pairs, contracts or (), strict=contracts is not None):
            positions[key_of(pair.out)] = 0
            positions[key_of(pair.into)] = positions.get(key_of(pair.into), 0) + count
        book, found = replace(self.book, positions=positions), dict[Place, float]()
        table, modes = self.table(lax(self.confidence)), {}
        modes = {(name, code): "free" for name in book.strategies for code in self.market.instruments}
        reference = Reference(self.market, book, table, modes, self.confidence, 0.2)
        reference.units += [
            [Leg(*order[:3], int(order.quantity_contracts), None, order.order_id)] for order in self.others
        ]
        for pair, count in zip(self.pairs, contracts or [1] * len(self.pairs), strict=True):
            leg = Leg(*key_of(pair.into), 1)
            rows = reference.book_values(leg, reference.units, []) if count else {}
            found |= {key: value for key, (value, _) in rows.items()}
        return {key: value for key, value in found.items() if key[0] in CUTS}

    def table(self, document: Mapping[str, Any]) -> LimitTable:
        return limit_table(DeskSettings.model_validate(document), self.market, self.book.strategies, "made")


def key_of(order: Order) -> tuple[str, str, int]:
    return order.strategy, order.instrument, order.contract


def random_case(choices: Seeded) -> Case | None:
    """A roll of the first instrument; None where nobody holds its old contract."""
    codes = tuple(f"I{number}" for number in range(choices.integer(1, 5)))
    market = random_market(choices, codes)
    book = random_book(choices, market)
    if ("I0", NEXT) not in market.contracts or not book.capital_base > 0.0 or not book.equity_base > 0.0:
        return None
    others = tuple(
        random_order(choices, market, book, f"theirs{number}")._replace(limit_points=None)
        for number in range(choices.integer(0, 2))
    )
    pairs: list[Pair] = []

    def seen(found: Sequence[Pair], _: object) -> list[Order]:
        pairs.extend(found)
        return []

    roll_orders(market.session, [Roll("I0", OLD, NEXT, 100.0, 101.0)], book.positions, [], seen)
    return Case(market, book, others, pick(choices, (0.99, 0.8)), pairs) if pairs else None


def random_limits(choices: Seeded, case: Case) -> dict[str, Any]:
    """Limits near what the book comes to before the roll and after it, for a few of the rules."""
    before, after = case.values(None), case.values([pair.into.quantity_contracts for pair in case.pairs])
    document, entries = lax(case.confidence), []
    for rule, axis, _ in sorted({(rule, axis, "") for rule, axis, _ in before if rule not in SETTINGS}):
        seen = [max(values[key], 0.0) for values in (before, after) for key in values
                if key[:2] == (rule, axis) and math.isfinite(values[key])]  # fmt: skip
        if seen and choices.chance(12):
            level = pick(choices, seen) * pick(choices, (0.8, 0.97, 1.0, 1.03))
            entries.append({"rule": rule, "by": axis, "refuse": min(1e12, level)})
    risk = document["risk"]
    return dict(document) | {"risk": risk | {"limits": [*risk["limits"], *entries]}}


def may_pass(case: Case, table: LimitTable, before: Mapping[Place, float], after: Mapping[Place, float]) -> bool | None:
    """Whether no value is beyond its limit and larger than it was; None where rounding decides."""
    levels = {
        (slot.rule.name, slot.axis, name): float(table.refuse[slot.first + number])
        for slot in table.slots
        for number, name in enumerate(names_of(case.market, case.book, slot.axis))
    }
    passes = True
    for key, value in after.items():
        if math.isnan(value) or math.isinf(levels[key]):
            continue
        at_level = math.isclose(value, levels[key], rel_tol=1e-9) and not value.is_integer()
        if at_level or (math.isclose(value, before[key], rel_tol=1e-9) and value != before[key]):
            return None
        passes &= value <= levels[key] or value <= before[key]
    return passes


def names_of(market: Market, book: Book, axis: str) -> Sequence[str]:
    return axes_of(market, book.strategies).names[axis]


@pytest.fixture(scope="module")
def tally() -> Counter[str]:
    """What became of random rolls, each as the reference says."""
    found: Counter[str] = Counter()
    for seed in range(CASES):
        choices = Seeded(seed)
        case = random_case(choices)
        if case is not None:
            found[rolled_as_it_should(choices, case)] += 1
    return found


def rolled_as_it_should(choices: Seeded, case: Case) -> str:
    """What became of one roll, held to what may pass."""
    document = random_limits(choices, case)
    table, before = case.table(document), case.values(None)
    held = [Reserved(order.order_id, (order,), False, 0.0, math.inf) for order in case.others]
    desk = DeskSettings.model_validate(document)
    found = judged_roll(case.pairs, case.book, case.market, desk, held=held)
    assert turned_by(case, desk, found) == []
    into = {leg.strategy: leg.quantity_contracts for leg in found.approved if leg.contract == NEXT}
    assert {leg.strategy: leg.quantity_contracts for leg in found.approved if leg.contract == OLD} == {
        pair.out.strategy: pair.out.quantity_contracts for pair in case.pairs
    }
    whole = [pair.into.quantity_contracts for pair in case.pairs]
    granted = [into.get(pair.into.strategy, 0) for pair in case.pairs]
    left = {order.strategy: order.quantity_contracts for order, _ in found.refused}
    assert [count + left.get(pair.into.strategy, 0) for count, pair in zip(granted, case.pairs, strict=True)] == whole
    passes = may_pass(case, table, before, case.values(granted))
    if granted == whole:
        assert passes is not False
        return "whole"
    assert may_pass(case, table, before, case.values(whole)) is not True
    assert passes is not False or not any(granted)
    parts = max(map(abs, whole))
    low = max(part for part in range(parts) if share(whole, part, parts) == granted)
    assert may_pass(case, table, before, case.values(share(whole, low + 1, parts))) is not True
    return "part" if any(granted) else "nothing"


def turned_by(case: Case, desk: DeskSettings, found: RollVerdict) -> list[Turned]:
    """Decisions that the limits they were made by would turn, once they are kept: none."""
    kept, instruments = MemoryDecisionLog(), {code: instrument(case.market, code) for code in case.market.instruments}
    for action, decisions in (("roll_out", found.out), ("roll_in", found.into)):
        if decisions:
            kept.append(decisions, About(datetime(2024, 3, 15, tzinfo=UTC), case.market.session, action))  # type: ignore[arg-type]
    listed = list(kept.read())
    return list(turned(listed, lambda session: levels_of(desk, session, listed, instruments)))


def instrument(market: Market, code: str) -> Instrument:
    """Reference data of an instrument, which levels are looked up by."""
    place = market.instruments.index(code)
    of = {name: held.names[held.codes[place]] for name, held in market.groups.items()}
    return Instrument(
        code, code, of["exchange_group"], of["currency"], 1.0, 0.25, of["asset_class"], of["sector"], of["country"]
    )


def share(whole: Sequence[int], part: int, parts: int) -> list[int]:
    return [int(math.copysign(abs(count) * part // parts, count)) for count in whole]


def test_rolls_go_as_far_as_the_reference_lets_them(tally: Counter[str]) -> None:
    assert min(tally[kind] for kind in ("whole", "part", "nothing")) > 25
