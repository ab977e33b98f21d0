"""The legs of a roll against the limits of the whole book: what leaves the old contract, and what goes into the next.

Belongs here: judging both legs at once, and cutting what goes into the next contract. Does not belong here: which legs
a roll has (`trading/book/rolls.py`), what a rule does to rolls (`forms.py`), or other orders (`pre_trade.py`).

A roll is no new risk, and the alternative is delivery. So what leaves the old contract leaves, unless nothing at all
may be traded; what goes into the next is judged by what the book comes to with both, against what it was, and cut to
what the limits leave. What stops new risk (losses, rates, a halt that lets orders reduce) does not ask about rolls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from trading.book.orders import Order
from trading.book.rolls import Pair
from trading.config.models import DeskSettings
from trading.risk.book import Book
from trading.risk.breach import Breach
from trading.risk.decision import WORST, Decision, Judged
from trading.risk.forms import Rolling
from trading.risk.halts import Halt, modes
from trading.risk.layout import OUTCOME_WORDS
from trading.risk.limit_table import ROLLING, Floats, LimitTable, limit_table, rules
from trading.risk.market import Market
from trading.risk.pre_trade import Timer, asked_of, breach_of
from trading.risk.reservations import Reserved

if TYPE_CHECKING:
    from trading.risk.engine import RiskEngine

ROUNDING = 1e-12  # of a value: how far sums of the same may be apart
Place = tuple[str, str, str]  # rule, axis, element
REST = "rest"  # what ids of the part end with that does not go into the next contract


class RollVerdict(NamedTuple):
    """What risk says of a roll: legs that leave, as far as they do; those that do not, or the part that does not, each
    with the breach; and the decisions on legs out of the old contract and into the next."""

    approved: list[Order]
    refused: list[tuple[Order, Breach]]
    out: list[Decision]
    into: list[Decision]


def out_limits(desk: DeskSettings, market: Market, strategies: Sequence[str], configuration: str = "") -> LimitTable:
    """The limits of legs out of the old contract: those that let nothing be traded at all."""
    table = limit_table(desk, market, strategies, configuration)
    others = ~_of(table, "stop")
    return replace(table, refuse=_without(others, table.refuse), warn=_without(others, table.warn))


def into_limits(desk: DeskSettings, market: Market, strategies: Sequence[str], configuration: str = "") -> LimitTable:
    """The limits of legs into the next contract: those that cut them, and those that only tell, which warn where they
    refuse other orders. What cannot be measured warns, and a leg that offsets what is held there is judged as any."""
    table = limit_table(desk, market, strategies, configuration)
    told, silent = _of(table, "warn"), _of(table, "skip") | _of(table, "stop")
    warn = np.where(told, np.minimum(table.refuse, table.warn), table.warn)
    return replace(
        table, refuse=_without(told | silent, table.refuse), warn=_without(silent, warn),
        lenient=np.ones_like(table.lenient), judges=np.ones_like(table.judges),
    )  # fmt: skip


def judged_roll(
    pairs: Sequence[Pair], book: Book, market: Market, desk: DeskSettings, halts: Sequence[Halt] = (),
    timer: Timer | None = None, held: Sequence[Reserved] = (),
) -> RollVerdict:  # fmt: skip
    """What becomes of a roll of one instrument, of all strategies at once: positions of theirs that offset each other
    do so in the next contract too. `book` is as it stands before the roll, and `held` what others hold. Where limits
    leave less than the whole, all go into the next contract in proportion, in whole contracts, as far as that passes.
    Raises ConfigError where limits mean nothing."""
    from trading.risk.engine import RiskEngine, no_time  # machine code, which settings need not wait for

    gates = RiskEngine(desk, market, book, timer=timer or no_time, limits=out_limits)
    if halts:
        gates.stop(modes(halts, gates.strategies, gates.instruments, max(halt.since for halt in halts)))
    out = [gates.check(asked_of(pair.out)) for pair in pairs]
    free = [pair for pair, found in zip(pairs, out, strict=True) if found.passed]
    stopped = [each for pair, found in zip(pairs, out, strict=True) if not found.passed for each in _stays(pair, found)]
    if not free:
        return RollVerdict([], stopped, out, [])
    rolling = _Rolling(
        free, book, held, lambda given: RiskEngine(desk, market, given, "", timer or no_time, into_limits)
    )
    approved, refused, into = _cut(rolling)
    return RollVerdict(approved, [*stopped, *refused], out, into)


class _Rolling:
    """The book before a roll, and with as much of it as is asked about."""

    def __init__(
        self, pairs: Sequence[Pair], book: Book, held: Sequence[Reserved], made: Callable[[Book], RiskEngine]
    ) -> None:
        self.pairs, self._book, self._held, self._made = pairs, book, held, made
        self._before = made(book)
        self._values = {judged[:3]: judged.value for judged in self._standing(self._before)}

    def tried(self, contracts: Sequence[int]) -> list[Decision]:
        """Decisions on so many contracts of each pair, of those that have any: by the whole book with them, and without
        all that leaves the old contract."""
        after = dict(self._book.positions)
        for pair, count in zip(self.pairs, contracts, strict=True):
            for leg, quantity in ((pair.out, pair.out.quantity_contracts), (pair.into, count)):
                key = (leg.strategy, leg.instrument, leg.contract)
                after[key] = after.get(key, 0) + quantity
        rows = self._standing(self._made(replace(self._book, positions=after)))
        found = {judged[:3]: (judged.value, self._outcome(judged)) for judged in rows}
        asked = (asked_of(pair.into)._replace(quantity_contracts=count)
                 for pair, count in zip(self.pairs, contracts, strict=True) if count)  # fmt: skip
        return [_by(self._before.check(each), found) for each in asked]

    def _standing(self, engine: RiskEngine) -> list[Judged]:
        for unit in self._held:
            engine.adopt(unit.orders, unit.netted)
        return [judged for judged in engine.standing() if judged.rule in _of_book()]

    def _outcome(self, judged: Judged) -> int:
        """The code of what a value of the book comes to: what the roll does not make larger stops it nowhere."""
        before = self._values[judged[:3]]
        no_worse = judged.value <= before + ROUNDING * abs(before)
        return OUTCOME_WORDS.index("pass" if no_worse else judged.outcome)


@cache
def _of_book() -> frozenset[str]:
    """Names of rules that are measured of what is held."""
    return frozenset(rule.name for rule in rules() if rule.form not in ("ORDER", "STANDING"))


def _cut(rolling: _Rolling) -> tuple[list[Order], list[tuple[Order, Breach]], list[Decision]]:
    """Both legs of every pair, as far as they go; what does not, with the breach; and the decisions on both."""
    pairs = rolling.pairs
    whole = rolling.tried([pair.into.quantity_contracts for pair in pairs])
    breach = next((breach_of(each) for each in whole if not each.passed), None)
    if breach is None:
        return [leg for pair in pairs for leg in pair], [], whole
    granted, passed = _most(rolling)
    approved = [leg for pair, contracts in zip(pairs, granted, strict=True) for leg in _legs(pair, contracts)]
    rest = [_rest(pair, contracts) for pair, contracts in zip(pairs, granted, strict=True)]
    refused = [
        (left, _told(breach, left, pair)) for left, pair in zip(rest, pairs, strict=True) if left.quantity_contracts
    ]  # fmt: skip
    names = [each.asked._replace(order_id=left.order_id) for each, left in zip(whole, rest, strict=True)]
    said = [
        each.with_outcome("refuse", 0, name)
        for each, name, left in zip(whole, names, rest, strict=True) if left.quantity_contracts
    ]  # fmt: skip
    return approved, refused, [*said, *passed]


def _most(rolling: _Rolling) -> tuple[list[int], list[Decision]]:
    """The most contracts of each pair that may go into the next contract, found by halving, and the decisions on them:
    so many parts of all, of as many as the largest has contracts. None always may."""
    pairs = rolling.pairs
    parts = max(abs(pair.into.quantity_contracts) for pair in pairs)
    low, high, found = 0, parts, list[Decision]()
    while high - low > 1:
        middle = (low + high) // 2
        tried = rolling.tried(_share(pairs, middle, parts))
        if all(each.passed for each in tried):
            low, found = middle, tried
        else:
            high = middle
    return _share(pairs, low, parts), found


def _share(pairs: Sequence[Pair], part: int, parts: int) -> list[int]:
    """So many parts of what each pair holds, in whole contracts, towards nothing."""
    contracts = (pair.into.quantity_contracts for pair in pairs)
    return [abs(count) * part // parts * (1 if count > 0 else -1) for count in contracts]


def _by(checked: Decision, found: Mapping[Place, tuple[float, int]]) -> Decision:
    """A decision by numbers of its order, and by what is found of the book."""
    measured = checked.measured
    if measured is None:
        return checked
    values, outcomes = measured.wording.renewed(measured.leg, measured.values, measured.outcomes, measured.row, found)
    own = measured._replace(values=values, outcomes=outcomes, row=0)
    asked, versions, taken = checked.asked, checked.versions, checked.microseconds
    whole = Decision(asked, "pass", int(asked.quantity_contracts), versions, taken, own)
    outcome = max((judged.outcome for judged in whole.rules), key=WORST.__getitem__)
    return whole.with_outcome(outcome, 0 if outcome == "refuse" else whole.granted_contracts)


def _legs(pair: Pair, contracts: int) -> Iterator[Order]:
    yield pair.out
    if contracts:
        yield replace(pair.into, quantity_contracts=contracts)


def _rest(pair: Pair, contracts: int) -> Order:
    """What does not go into the next contract, under an id of its own where a part does."""
    name = f"{pair.into.order_id}:{REST}" if contracts else pair.into.order_id
    return replace(pair.into, order_id=name, quantity_contracts=pair.into.quantity_contracts - contracts)


def _told(breach: Breach, left: Order, pair: Pair) -> Breach:
    said = (
        f"{breach.message} {abs(left.quantity_contracts)} contracts of {left.strategy} leave {left.instrument}/"
        f"{pair.out.contract} and do not go into {left.contract}: only an order towards a target may trade them again."
    )
    return replace(breach, message=said)


def _stays(pair: Pair, found: Decision) -> Iterator[tuple[Order, Breach]]:
    """Neither leg of a pair leaves."""
    breach = breach_of(found)
    held = (
        f"{breach.message} {-pair.out.quantity_contracts} contracts of {pair.out.strategy} stay in "
        f"{pair.out.instrument}/{pair.out.contract}, which rolls: trade them by hand, or let orders "
        "through again before it expires."
    )
    yield from ((leg, replace(breach, message=held)) for leg in (pair.out, pair.into))


def _of(table: LimitTable, rolling: Rolling) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = table.rolling == ROLLING.index(rolling)
    return found


def _without(left_out: npt.NDArray[np.bool_], levels: Floats) -> Floats:
    return np.where(left_out, np.inf, levels)
