"""A session's rolls as a step of the close: judged, and entered.

Belongs here: legs and orders that move with a roll, against the limits of the whole book, and the step they come to.
Does not belong here: which orders a roll has (`rolls.py`), judging a pair of legs (`trading/risk/roll_legs.py`), or the
steps after it (`close.py`).

Both legs trade at the last prices at which both contracts were quoted, and are valued at them here. Losses are those of
the sessions before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from trading.book import order_life
from trading.book.beside_others import Journal, held_beside, journal_of, judged_beside, with_held
from trading.book.booking import Entered
from trading.book.close import ENDED_KINDS, Circumstances, decided_in
from trading.book.entries import (
    Known,
    Step,
    entered,
    entered_as,
    is_replaced,
    known_orders,
    known_parents,
    standing,
)
from trading.book.journal import Event
from trading.book.marks import Contract, Mark
from trading.book.orders import Order
from trading.book.positions import Key
from trading.book.rolls import Pair, roll_orders
from trading.book.state import BookState, SessionInputs
from trading.config.models import DeskSettings
from trading.risk.announced import Held
from trading.risk.book import Book
from trading.risk.breach import Breach
from trading.risk.decision import Decision
from trading.risk.marked import marked
from trading.risk.market import Market
from trading.risk.pre_trade import Verdict, judged
from trading.risk.roll_legs import REST, judged_roll
from trading.risk.standing import book_after


@dataclass(frozen=True, slots=True)
class Rollover:
    """What a session's rolls come to: the step to take, what does not leave, with its breach, and the decisions: on
    legs `out` of an old contract, on legs `into` the next, and on orders that `moved` with it."""

    step: Step = field(default_factory=Step)
    refused: tuple[tuple[Order, Breach], ...] = ()
    out: tuple[Decision, ...] = ()
    into: tuple[Decision, ...] = ()
    moved: tuple[Decision, ...] = ()


def roll(
    state: BookState,
    inputs: SessionInputs,
    desk: DeskSettings,
    entry: Entered,
    recorded: Sequence[Event],
    under: Circumstances,
) -> Rollover:
    """The session's rolls; the state takes the step's events in. `recorded` are the journal's events of the session,
    empty unless it was closed before: a roll that traded then stands as it is. `under`: as things stood before the
    session."""
    uncancelled, session = (
        known_orders(event for event in recorded if event.kind not in ENDED_KINDS),
        known_orders(recorded),
    )
    known = {
        name: session[name] if is_replaced(name, session) else was
        for name, was in uncancelled.items() if not decided_in(was.order, inputs)
    }  # fmt: skip
    judging = _Judging(state, inputs, desk, under, known, session)
    rolled = roll_orders(inputs.session, inputs.rolls, state.positions, state.working.values(), judging.pairs)
    moved = judging.orders(rolled.moved, rolled.legs)
    refused = [*judging.refused, *moved.refused]
    reasons = [*judging.before, *((order, breach.message) for order, breach in refused)]
    approved = (*rolled.legs, *moved.approved)
    step = entered(approved, reasons, rolled.cancelled, known, entry, known_parents(recorded))
    state.apply(step.events)
    state.apply(event for event in recorded if event.kind in ENDED_KINDS)
    return Rollover(step, tuple(refused), tuple(judging.out), tuple(judging.into), tuple(moved.decisions))


@dataclass(slots=True)
class _Judging:
    """What is judged of a session's rolls, one after another, and what was found so far. `known`: what the journal has
    of them, and `session`: of all orders of the session. `before`: refused when they traded, with the reason."""

    state: BookState
    inputs: SessionInputs
    desk: DeskSettings
    under: Circumstances
    known: Mapping[str, Known]
    session: Mapping[str, Known]
    refused: list[tuple[Order, Breach]] = field(default_factory=list)
    before: list[tuple[Order, str]] = field(default_factory=list)
    out: list[Decision] = field(default_factory=list)
    into: list[Decision] = field(default_factory=list)

    def pairs(self, pairs: Sequence[Pair], held: Mapping[Key, int]) -> Sequence[Order]:
        """Legs of one roll that leave; those of strategies that rolled before as they were."""
        traded = [self._as_it_traded(pair) for pair in pairs]
        done = [leg for legs in traded for leg in legs]
        anew = [pair for pair, legs in zip(pairs, traded, strict=True) if not legs]
        if not anew:
            return done
        held, legs = _after(held, done), [leg for pair in anew for leg in pair]
        others = held_beside(self.under.shared, self._journal, self.inputs.instruments)
        book, market = self._book(held, legs, others), self._market(held, legs, others)
        found = judged_roll(anew, book, market, self.desk, self.under.halts, self.under.timer, others.units)
        self.refused += found.refused
        self.out += found.out
        self.into += found.into
        return [*done, *found.approved]

    def _as_it_traded(self, pair: Pair) -> list[Order]:
        """Legs of a pair that traded, as they were; none of one that did not."""
        entered_so_far = [entered_as(leg.order_id, self.session) for leg in pair]
        if not any(was.filled_contracts for found in entered_so_far for was in found):
            return []
        legs = [was for found in entered_so_far if (was := standing(found)) is not None]
        gone = sum(was.order.quantity_contracts for was in legs if was.order.contract == pair.into.contract)
        left = standing(entered_as(f"{pair.into.order_id}:{REST}", self.session))
        if left is not None and left.order.quantity_contracts == pair.into.quantity_contracts - gone:
            legs.append(left)
        self.before += [(was.order, was.refusal or "") for was in legs if was.status == order_life.REFUSED]
        return [was.order for was in legs if was.status != order_life.REFUSED]

    def orders(self, moved: Sequence[Order], legs: Sequence[Order]) -> Verdict:
        """Orders that move with a roll, as any other order is judged, after its legs; those that traded before as they
        were."""
        traded = [standing(entered_as(order.order_id, self.session)) for order in moved]
        done = [was.order for was in traded if was is not None and was.filled_contracts]
        anew = [order for order, was in zip(moved, traded, strict=True) if was is None or not was.filled_contracts]
        if not anew:
            return Verdict(done, [], [])
        held, under = _after(self.state.positions, (*legs, *done)), self.under

        def judge(others: Held, unknown: str) -> Verdict:
            book, market = self._book(held, anew, others), self._market(held, anew, others)
            return judged(anew, book, market, self.desk, under.halts, under.timer, held=others, unknown=unknown)

        known = self.inputs.instruments
        found = judged_beside(anew, judge, under.shared, self.known, self._journal, known)
        return found._replace(approved=[*done, *found.approved])

    def _journal(self) -> Journal:
        return journal_of(self.state, self.session, self.under.told)

    def _book(self, held: Mapping[Key, int], orders: Iterable[Order], others: Held) -> Book:
        """What is held, and orders at work as if they were filled, but those that move."""
        rolling = {(roll.instrument, roll.from_contract) for roll in self.inputs.rolls}
        filled = [order for order in self.state.working.values() if (order.instrument, order.contract) not in rolling]
        names = {order.strategy for order in orders}
        under, account = self.under, self.state.account_base
        book = book_after(self.desk, held, account, under.standing, under.locks, filled=filled, also=names)
        return with_held(book, others)

    def _market(self, held: Mapping[Key, int], orders: Sequence[Order], others: Held) -> Market:
        inputs, state = self.inputs, self.state
        contracts = {(code, contract) for _, code, contract in held} | others.lines()
        contracts |= {(order.instrument, order.contract) for order in (*orders, *state.working.values())}
        marks = state.marks | self._rolled_at() | self._decided_at(orders)
        to_hold = state.held_contracts | dict(inputs.held_contracts)
        return marked(
            inputs.session, contracts, marks, to_hold, inputs.instruments, inputs.rates, inputs.risk,
            inputs.roll_parameters,
        )  # fmt: skip

    def _rolled_at(self) -> dict[Contract, Mark]:
        """Both contracts of each roll at the last row before it, which is of the session that the old one was last
        marked in."""
        found: dict[Contract, Mark] = {}
        for each in self.inputs.rolls:
            old, new = (each.instrument, each.from_contract), (each.instrument, each.to_contract)
            day = self.state.marks[old].session if old in self.state.marks else self.inputs.session
            found |= {old: Mark(each.price_before, day), new: Mark(each.forward_before, day)}
        return found

    def _decided_at(self, orders: Iterable[Order]) -> dict[Contract, Mark]:
        """Contracts at the prices of the roll that is judged, of several of an instrument."""
        found = {
            (order.instrument, order.contract): order.reference_points
            for order in orders if order.reference_points is not None
        }  # fmt: skip
        days = {key: mark.session for key, mark in self._rolled_at().items()}
        return {key: Mark(points, days[key]) for key, points in found.items() if key in days}


def _after(held: Mapping[Key, int], orders: Iterable[Order]) -> dict[Key, int]:
    """What is held after orders are filled whole."""
    found = dict(held)
    for order in orders:
        key = (order.strategy, order.instrument, order.contract)
        found[key] = found.get(key, 0) + order.quantity_contracts
    return found
