"""The close of one session as steps between which the broker is asked: settle and decide, after it rolled.

Belongs here: the order of things in a session, as pure functions over the book's state. Does not belong here: reading
or writing any store (`assets/book.py` drives these steps), and each calculation (one file each beside this one).

1. `roll` (`rollover.py`): legs for every roll since the session before, and orders that move with it.
2. the broker fills what it holds, at this session's prices; `settle` books the fills and values the session.
3. `decide`: targets, the orders towards them, and what risk says of each.

Every step can be taken again: ids are made of what is decided, so a repeated step records nothing new. A session that
has later ones in the journal is only valued again: its orders are history.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime

from trading.book import order_life
from trading.book.account import booked
from trading.book.beside_others import Journal, journal_of, judged_beside, with_held
from trading.book.booking import Entered
from trading.book.entries import Known, Step, entered, known_orders, known_parents, order_rows
from trading.book.fills import MOVEMENT_KINDS
from trading.book.journal import Event
from trading.book.marks import Contract
from trading.book.orders import TARGET, Ended, Fill, Order, Target, propose
from trading.book.state import BookState, SessionInputs
from trading.book.valuation import Before, Row, equity_of, fill_rows, pnl_of, positions_of
from trading.config.models import DeskSettings
from trading.risk.announced import DeskOrders, Held
from trading.risk.book import Book, Standing
from trading.risk.breach import Breach
from trading.risk.decision import Decision
from trading.risk.halts import Halt
from trading.risk.marked import marked
from trading.risk.market import Market
from trading.risk.pre_trade import Sending, Timer, Verdict, judged
from trading.risk.standing import book_after
from trading.risk.target_gate import gated, targets_of
from trading.strategies.targets import NOTHING_KNOWN, Candidate, TargetRow, closing_targets, held_by_instrument, targets

Standings = Mapping[str, Standing]  # of the whole book (WHOLE) and of strategies
ENDED_KINDS = ("order_cancelled", "order_expired", "order_rejected")


@dataclass(frozen=True, slots=True)
class Settled:
    """A session booked and valued: rows by dataset, and what it lost (positive) in base currency."""

    rows: dict[str, list[Row]]
    loss_base: float


@dataclass(frozen=True, slots=True)
class Proposed:
    """Targets of a session, the orders towards them, and orders at work to withdraw."""

    targets: list[TargetRow]
    orders: list[Order]
    stale: list[Order]


@dataclass(frozen=True, slots=True)
class Decided:
    """What a session decided: the step to take, its targets, refused orders with their breach, and what risk said of
    every order."""

    step: Step
    targets: list[TargetRow]
    refused: list[tuple[Order, Breach]]
    decisions: list[Decision] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a session's orders are judged under, beside the book: what was lost so far; instruments that take no new
    orders, each with the reason (`trading.book.breaks.locked`); halts in force; a timer, in seconds, for how long each
    decision takes; when the orders go out, if they do at once; where they are announced to who shares the book, None
    where nobody does; and when the broker was last asked for fills (None: never)."""

    standing: Standings
    locks: Mapping[str, str] = field(default_factory=dict)
    halts: Sequence[Halt] = ()
    timer: Timer | None = None
    at: datetime | None = None
    shared: DeskOrders | None = None
    told: datetime | None = None


# --- 1. what came before ----------------------------------------------------------------------------------------------
def replay(state: BookState, recorded: Sequence[Event]) -> None:
    """Takes in what the journal holds of a session, in place of rolling, where later sessions exist."""
    state.apply(event for event in recorded if event.kind not in MOVEMENT_KINDS)


# --- 2. fills and values ----------------------------------------------------------------------------------------------
def all_fills(
    state: BookState,
    recorded: Iterable[Event],
    reported: Iterable[Fill],
    corrected: Iterable[tuple[Fill, int]],
    entry: Entered,
) -> list[Event]:
    """What moves the book in the session, as events: all that was recorded of it (fills, corrections, busts,
    adjustments, cash), and those fills and corrections (with their version) that the broker reports and nobody
    recorded yet, in this session or before."""
    moving = [event for event in recorded if event.kind in (*MOVEMENT_KINDS, "cash_booked")]
    told = {name: known.version for name, known in state.blotter.told.items() if known.fill is not None}
    for event in moving:
        name, version = str(event.payload.get("fill_id")), event.payload.get("version", 0)
        told[name] = max(told.get(name, 0), int(str(version)))
    new = [entry.filled(fill) for fill in reported if fill.fill_id not in told]
    newer = [entry.corrected(fill, version) for fill, version in corrected if version > told.get(fill.fill_id, 0)]
    return [*moving, *new, *newer]


def settle(
    earlier: Before, state: BookState, inputs: SessionInputs, moving: Sequence[Event], base_currency: str
) -> Settled:
    """Books what moves the book in the session, and its prices, into the state and values it against `earlier`."""
    for event in moving:
        if event.kind in MOVEMENT_KINDS:
            inputs.instrument(str(event.payload["instrument"]))
    state.see(inputs)
    fills = state.apply(moving)
    equity = equity_of(earlier, state, inputs, base_currency, booked(moving))
    rows = {
        "fills": fill_rows(fills, inputs.session),
        "positions": positions_of(state, inputs),
        "pnl": pnl_of(earlier, state, inputs, fills),
        "equity": equity,
    }
    return Settled(rows, max(0.0, -math.fsum(row["change_base"] + row["booked_base"] for row in equity)))


def ended(state: BookState, told: Iterable[Ended], entry: Entered) -> list[Event]:
    """The orders at work that the broker ended, as events; the state takes them in."""
    events = [
        entry.ended(state.working[end.order_id], end.how, end.reason) for end in told if end.order_id in state.working
    ]
    state.apply(events)
    return events


# --- 3. targets and orders --------------------------------------------------------------------------------------------
def wanted(state: BookState, inputs: SessionInputs, desk: DeskSettings) -> list[TargetRow]:
    """The targets of every strategy after the session: nothing of one that is no longer configured."""
    rows = [row for strategy in desk.strategies for row in targets(_candidates(strategy.name, state, inputs), strategy)]
    held = {name for name, _, _ in state.positions} | {order.strategy for order in _earlier(state, inputs)}
    gone = sorted(held - {strategy.name for strategy in desk.strategies})
    return rows + [row for name in gone for row in closing_targets(_candidates(name, state, inputs), name)]


def proposed(state: BookState, inputs: SessionInputs, desk: DeskSettings, entry: Entered) -> Proposed:
    """Targets and the orders towards them. Orders still at work in a contract month that is no longer wanted are
    withdrawn first, also from the state."""
    stale = _stale(state, inputs)
    state.apply(map(entry.cancelled, stale))
    rows = wanted(state, inputs, desk)
    targets_now = _tradable(rows, state, inputs)
    orders = propose(inputs.session, targets_now, state.positions, _earlier(state, inputs))
    return Proposed(rows, orders, stale)


def decide(
    state: BookState,
    inputs: SessionInputs,
    desk: DeskSettings,
    entry: Entered,
    recorded: Sequence[Event],
    under: Circumstances,
) -> Decided:
    """Targets, orders and the risk decision on each; the state takes the step's events in."""
    proposal = proposed(state, inputs, desk, entry)
    found = checked(proposal, state, inputs, desk, recorded, under)
    step = decision(proposal, found.approved, found.refused, inputs, entry, recorded)
    state.apply(step.events)
    return Decided(step, proposal.targets, found.refused, found.decisions)


def decision(
    proposal: Proposed,
    approved: Sequence[Order],
    refused: Sequence[tuple[Order, Breach]],
    inputs: SessionInputs,
    entry: Entered,
    recorded: Sequence[Event],
) -> Step:
    """What is approved and refused as a step, against what the journal already holds of the session."""
    reasons = [(order, breach.message) for order, breach in refused]
    known, parents = _known(recorded, inputs), known_parents(recorded)
    return entered(approved, reasons, proposal.stale, known, entry, parents)


def checked(
    proposal: Proposed,
    state: BookState,
    inputs: SessionInputs,
    desk: DeskSettings,
    recorded: Iterable[Event],
    under: Circumstances,
) -> Verdict:
    """What risk says of a session's orders, given the book and the orders already at work, which count as filled.
    `recorded` are the journal's events of the session: orders sent before count as orders of it, and of their minute.
    Where `risk.decisions.fail_on_targets` says so, orders towards targets that pass a limit are refused unseen.
    Where the book is shared, the others are announced before they are judged, and given back where they are refused."""
    events = tuple(recorded)
    sent = _sent_before(events, proposal.orders)
    before = [was.order for _, was in sent]
    book = _book(proposal, [was for _, was in sent], state, inputs, desk, under)
    free, stopped = proposal.orders, list[tuple[Order, Breach]]()
    if desk.risk.decisions.fail_on_targets:
        market = _market(proposal, book, before, state, inputs)
        free, stopped = gated(free, targets_of(proposal.targets), book, market, desk)

    def judge(held: Held, unknown: str) -> Verdict:
        whole = with_held(book, held)
        market = _market(proposal, whole, before, state, inputs, held.lines())
        return judged(free, whole, market, desk, under.halts, under.timer, _sending(sent, under), held, unknown)

    known = _known(events, inputs)

    def journal() -> Journal:
        return journal_of(state, known_orders(events), under.told)

    found = judged_beside(free, judge, under.shared, known, journal, inputs.instruments)
    return found._replace(refused=sorted([*found.refused, *stopped], key=lambda pair: pair[0].order_id))


def _sending(sent: Iterable[tuple[datetime, Known]], under: Circumstances) -> Sending | None:
    """When orders go out that do at once, and those before them; None where nobody knows."""
    if under.at is None:
        return None
    return Sending(under.at.timestamp(), [(at.timestamp(), was.order) for at, was in sent])


def _book(
    proposal: Proposed,
    sent: Sequence[Known],
    state: BookState,
    inputs: SessionInputs,
    desk: DeskSettings,
    under: Circumstances,
) -> Book:
    own = [was.order for was in sent if was.order.reason == TARGET and not _is_replaced(was, proposal.orders)]
    names = {order.strategy for order in proposal.orders} | {was.order.strategy for was in sent}
    filled, names = _earlier(state, inputs), names | {row.strategy for row in proposal.targets}
    return book_after(desk, state.positions, state.account_base, under.standing, under.locks, own, filled, names)


def _market(
    proposal: Proposed, book: Book, sent: Iterable[Order], state: BookState, inputs: SessionInputs,
    also: Iterable[Contract] = (),
) -> Market:  # fmt: skip
    """The market of what is held, asked for, wanted, and was sent; and of what others hold (`also`)."""
    contracts = {(code, contract) for _, code, contract in book.positions}
    contracts |= {(order.instrument, order.contract) for order in (*proposal.orders, *sent)}
    contracts |= {(row.instrument, row.contract) for row in proposal.targets} | set(also)
    return marked(
        inputs.session, contracts, state.marks, state.held_contracts, inputs.instruments, inputs.rates, inputs.risk,
        inputs.roll_parameters,
    )  # fmt: skip


def _sent_before(recorded: Iterable[Event], orders: Iterable[Order]) -> list[tuple[datetime, Known]]:
    """Contract orders of a session that were sent before, and when; not those that are decided again as they were."""
    events = list(recorded)
    again, known = {(_key(order), order.quantity_contracts) for order in orders}, known_orders(events)
    sent = [(event.at, known.get(str(event.payload["order_id"]))) for event in events if event.kind == "order_sent"]
    return [
        (at, was) for at, was in sent if was and (_key(was.order), was.order.quantity_contracts) not in again
    ]  # fmt: skip


def _is_replaced(was: Known, orders: Iterable[Order]) -> bool:
    """Whether nothing came of an order: it was withdrawn, or another one now takes its place."""
    taken = was.status == order_life.CANCELLED or _key(was.order) in {_key(order) for order in orders}
    return taken and not was.filled_contracts


def _key(order: Order) -> tuple[str, str, int, str]:
    return order.strategy, order.instrument, order.contract, order.reason


def decision_rows(decided: Iterable[TargetRow], inputs: SessionInputs, events: Iterable[Event]) -> dict[str, list[Row]]:
    """Rows of `targets` and `orders` of the session; `events` are all the journal's of it."""
    rows = [asdict(row) | {"session": inputs.session} for row in decided]
    return {"targets": rows, "orders": order_rows(events)}


def _candidates(strategy: str, state: BookState, inputs: SessionInputs) -> list[Candidate]:
    positions = dict(state.positions)
    for order in _earlier(state, inputs):
        key = (order.strategy, order.instrument, order.contract)
        positions[key] = positions.get(key, 0) + order.quantity_contracts
    held = held_by_instrument(positions, strategy)
    wanted_here = {code for name, code in inputs.wanted if name == strategy}
    codes = sorted((wanted_here | set(held)) & set(state.held_contracts))
    return [_candidate(code, strategy, held.get(code, 0), state, inputs) for code in codes]


def _candidate(code: str, strategy: str, held: int, state: BookState, inputs: SessionInputs) -> Candidate:
    contract = state.held_contracts[code]
    known = inputs.wanted.get((strategy, code), NOTHING_KNOWN)
    return Candidate(code, contract, inputs.quoted((code, contract)), known, held)


def _tradable(rows: Iterable[TargetRow], state: BookState, inputs: SessionInputs) -> list[Target]:
    return [
        Target(
            row.strategy, row.instrument, row.contract, row.target_contracts,
            state.marks[row.instrument, row.contract].price_points,
            state.marks[row.instrument, row.contract].session.isoformat(),
        )
        for row in rows
        if inputs.quoted((row.instrument, row.contract))
    ]  # fmt: skip


def _stale(state: BookState, inputs: SessionInputs) -> list[Order]:
    return [
        order
        for order in _earlier(state, inputs)
        if order.reason == TARGET  # a leg of a roll leaves the month that is not wanted any more
        and order.contract != (held := state.held_contracts.get(order.instrument))
        and held is not None
        and inputs.quoted((order.instrument, held))
    ]


def _earlier(state: BookState, inputs: SessionInputs) -> list[Order]:
    """Orders at work that this session did not decide."""
    return [order for order in state.working.values() if not decided_in(order, inputs)]


def decided_in(order: Order, inputs: SessionInputs) -> bool:
    """Whether an order is towards a target of the session."""
    return order.session == inputs.session and order.reason == TARGET


def _known(recorded: Iterable[Event], inputs: SessionInputs) -> dict[str, Known]:
    return {name: was for name, was in known_orders(recorded).items() if decided_in(was.order, inputs)}
