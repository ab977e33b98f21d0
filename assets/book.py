"""The book: targets, orders, fills, positions, P&L and equity, closed session by session in one pass.

Belongs here: driving the steps of `trading/book/close.py` with what is stored, the broker and the journal. Does not
belong here: any calculation.

They are one multi-asset because they are one recurrence: fills come from earlier orders, targets depend on holdings.
A range of sessions is one run, and its frames are written once, at the end; the journal is written session by session,
so a run that dies is simply run again.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

import dagster as dg
import pandas as pd

from assets.book_inputs import Opening, earned_before, opening, revalued, session_inputs
from assets.materialized import by_session, described, facts, session_result
from assets.partitions import session_range
from assets.pictures import image
from trading.book.booking import Entered
from trading.book.breaks import locked
from trading.book.close import (
    Circumstances,
    Decided,
    Settled,
    all_fills,
    decide,
    decision_rows,
    ended,
    replay,
    settle,
    wanted,
)
from trading.book.entries import Step
from trading.book.rollover import Rollover, roll
from trading.book.state import BookState, SessionInputs
from trading.book.valuation import Row, before
from trading.config.models import DeskSettings
from trading.errors import UsageError
from trading.frames import (
    DAILY_PRICES,
    EQUITY,
    FILLS,
    FX_RATES,
    OPTIMAL_POSITIONS,
    ORDERS,
    PNL,
    POSITIONS,
    ROLL_GAPS,
    TARGETS,
    Dataset,
    empty,
    to_table,
)
from trading.ports import Broker, DecisionLog, FrameStore, Ledger, ReferenceStore, Span, Version
from trading.reports import drawings
from trading.risk.announced import DeskOrders
from trading.risk.book import Standing
from trading.risk.decision import Decision
from trading.risk.halts import Halt, halts_of, in_force
from trading.risk.kept import BY_DESK, About, Action, Wanted
from trading.risk.pre_trade import unkept
from trading.risk.standing import Curves, strategies_of

ACTOR = "close"
DATASETS: tuple[Dataset, ...] = (TARGETS, ORDERS, FILLS, POSITIONS, PNL, EQUITY)
_NEEDS: dict[str, tuple[Dataset, ...]] = {
    "targets": (OPTIMAL_POSITIONS, DAILY_PRICES, FX_RATES),
    "orders": (TARGETS,),
    "fills": (DAILY_PRICES, ROLL_GAPS),
    "positions": (FILLS, DAILY_PRICES, FX_RATES),
    "pnl": (FILLS, DAILY_PRICES, FX_RATES),
    "equity": (FILLS, DAILY_PRICES, FX_RATES),
}
_KINDS = {"orders": ("delta", "sqlite"), "fills": ("delta", "sqlite"), "positions": ("delta", "sqlite")}


@dataclass(frozen=True, slots=True)
class Desk:
    """What closing a session works with. `decisions`: where those on orders are kept; None: nowhere. `timer`: seconds,
    for how long they took. `shared`: where orders are announced to who shares the book; None: nobody does."""

    ledger: Ledger
    broker: Broker
    settings: DeskSettings
    clock: Callable[[], datetime]
    decisions: DecisionLog | None = None
    timer: Callable[[], float] = time.perf_counter
    shared: DeskOrders | None = None


def close_range(
    sessions: Sequence[date], frames: FrameStore, reference: ReferenceStore, desk: Desk
) -> dict[str, list[Row]]:
    """Closes sessions one after another and returns the rows of every dataset of the book; frames are not written.

    Raises UsageError where a run died before it wrote what an earlier session earned, or where the session closed
    before was corrected since: what it changed would be in no session.
    """
    start = opening(frames, desk.ledger, desk.settings, sessions[0])
    if start.unvalued:
        raise UsageError(
            f"the journal has fills or cash of {start.unvalued[0]} that were never valued: a run died before it wrote"
            f" the book, or they were entered since. Close the sessions from {start.unvalued[0]} on again, then"
            f" {sessions[0]}."
        )
    changed = revalued(start, reference)
    if changed:
        again = (
            f"It is signed: run daybook close --restate --session {start.closed}, then close {sessions[0]}."
            if desk.ledger.rows("signatures", {"session": str(start.closed)})
            else f"Close {start.closed} again first, then {sessions[0]}."
        )
        raise UsageError(
            f"prices, reference data or fills of {start.closed} were corrected since it was closed: the account is"
            f" worth something else now ({', '.join(changed)}). {again}"
        )
    collected: dict[str, list[Row]] = {dataset.name: [] for dataset in DATASETS}
    earned = earned_before(frames, desk.settings, sessions[0])
    for inputs in session_inputs(frames, reference, desk.settings, sessions, start.closed):
        for name, rows in close_one(start, inputs, desk, earned).items():
            collected[name] += rows
    return collected


def close_one(start: Opening, inputs: SessionInputs, desk: Desk, earned: Curves) -> dict[str, list[Row]]:
    """Closes one session: rolls, fills, values, decides. `start.state` and what was `earned` move on to after it."""
    state, recorded = start.state, start.recorded.get(inputs.session, [])
    is_history = start.has_later(inputs.session)
    entry = Entered(inputs.session, desk.clock(), ACTOR)
    earlier, rolled, under = before(state), Rollover(), _as_it_stands(start, inputs, entry, desk, earned)
    if is_history:
        replay(state, recorded)
    else:
        rolled = roll(state, inputs, desk.settings, entry, recorded, under)
        keep(kept_of(rolled), entry, desk)
    tell(state, desk.broker)
    if not is_history:
        desk.broker.place(list(state.working.values()))
    told, corrected = desk.broker.fills(inputs.session), desk.broker.corrections(inputs.session)
    moving = all_fills(state, recorded, told, corrected, entry)
    booked = [*rolled.step.events, *moving]
    desk.ledger.record(booked)
    settled = settle(earlier, state, inputs, moving, desk.settings.capital.base_currency)
    standing = standing_of(state, settled, inputs.session, desk.settings, earned)
    if is_history:
        decided = Decided(Step(), wanted(state, inputs, desk.settings), [])
    else:
        over = ended(state, desk.broker.ended(sorted(state.working), inputs.session), entry)
        if over:
            desk.ledger.record(over)
        booked += over
        under = replace(under, standing=standing, told=entry.at)
        decided = decide(state, inputs, desk.settings, entry, recorded, under)
        keep({"reserve": decided.decisions}, entry, desk)
        hand_over(decided.step, desk)
    events = [*recorded, *booked, *decided.step.events]
    return settled.rows | decision_rows(decided.targets, inputs, events)


def standing_of(
    state: BookState, settled: Settled, session: date, desk: DeskSettings, earned: Curves
) -> dict[str, Standing]:
    """What the whole book and every strategy lost so far, in the session, its week, and from the peak. `earned` before
    the session goes on with it."""
    gained: dict[str, float] = {}
    for row in settled.rows[PNL.name]:
        gained[row["strategy"]] = gained.get(row["strategy"], 0.0) + row["total_base"]
    at_work = ((order.strategy, order.instrument, order.contract) for order in state.working.values())
    return earned.after(session, state.account_base, gained, strategies_of(desk, state.positions, at_work))


def locks_of(session: date, ledger: Ledger) -> dict[str, str]:
    """Instruments that take no orders of a session: an open break says that it is not known what is held of them."""
    return locked(ledger.rows("breaks"), ledger.rows("overrides", {"scope": "instrument"}), session)


def halts_now(ledger: Ledger, at: datetime) -> tuple[Halt, ...]:
    """Halts in force at an instant: new orders of a session closed late are stopped too."""
    return in_force(halts_of(ledger.rows("halts")), at)


def _as_it_stands(
    start: Opening, inputs: SessionInputs, entry: Entered, desk: Desk, earned: Curves
) -> Circumstances:  # fmt: skip
    """What orders of a session are judged under before anything of it is known. Those it decides trade in the next one:
    when they go out nobody knows."""
    locks, halts = locks_of(inputs.session, desk.ledger), halts_now(desk.ledger, entry.at)
    standing = earned.now(strategies_of(desk.settings, start.state.positions))
    return Circumstances(standing, locks, halts, desk.timer, shared=desk.shared, told=start.told)


def kept_of(rolled: Rollover, decided: Sequence[Decision] = ()) -> dict[Action, Sequence[Decision]]:
    """What was said of a session's rolls and of its other orders, by what is kept of it."""
    return {"roll_out": rolled.out, "roll_in": rolled.into, "reserve": (*rolled.moved, *decided)}


def keep(found: Mapping[Action, Sequence[Decision]], entry: Entered, desk: Desk) -> None:
    """Keeps what risk said of a session's orders, before any of them is handed over. What was kept when the session was
    decided before is not kept again."""
    if desk.decisions is None or not any(found.values()):
        return
    earlier = list(desk.decisions.read(Wanted(sessions=(entry.session, entry.session), by=BY_DESK)))
    for action, decisions in found.items():
        new = unkept(decisions, earlier)
        if new:
            desk.decisions.append(new, About(entry.at, entry.session, action, by=entry.actor))


def hand_over(step: Step, desk: Desk) -> None:
    """Records a step, then tells the broker. What a run that dies in between did not tell, the next close does before
    it asks for fills: it places all that is at work and withdraws all that was cancelled. Orders that may not be sent
    stop this before anything of the step is recorded (LiveRefused)."""
    if step.place:
        desk.broker.ready(step.place)
    if step.events:
        desk.ledger.record(step.events)
    if step.cancel:
        desk.broker.cancel(step.cancel)
    if step.place:
        desk.broker.place(step.place)


def tell(state: BookState, broker: Broker) -> None:
    """Withdraws every order that the journal holds as cancelled; the broker leaves what it knows already."""
    broker.cancel(sorted(state.withdrawn))
    state.withdrawn.clear()


def write(frames: FrameStore, rows: dict[str, list[Row]], span: Span) -> dict[str, tuple[Any, Version]]:
    """Replaces the span in every dataset of the book; returns what was written, by dataset."""
    tables = {
        dataset.name: to_table(pd.DataFrame(rows[dataset.name]), dataset) if rows[dataset.name] else empty(dataset)
        for dataset in DATASETS
    }
    return {dataset.name: (tables[dataset.name], frames.replace(dataset, tables[dataset.name], span))
            for dataset in DATASETS}  # fmt: skip


def _spec(dataset: Dataset) -> dg.AssetSpec:
    needs = [needed.name for needed in _NEEDS[dataset.name]]
    needs += ["validated"] if dataset is ORDERS else []  # nothing is traded on data that did not pass
    return dg.AssetSpec(**described(dataset, deps=needs, kinds=_KINDS.get(dataset.name, ("delta",))))


@dg.multi_asset(specs=[_spec(dataset) for dataset in DATASETS], can_subset=False, **by_session())
def book(
    context: dg.AssetExecutionContext,
    frames: dg.ResourceParam[FrameStore],
    ledger: dg.ResourceParam[Ledger],
    broker: dg.ResourceParam[Broker],
    reference: dg.ResourceParam[ReferenceStore],
    desk: dg.ResourceParam[DeskSettings],
    clock: dg.ResourceParam[Callable[[], datetime]],
    decisions: dg.ResourceParam[DecisionLog],
    desk_orders: dg.ResourceParam[DeskOrders | None],
):
    """Closes every session of the run's range, in order."""
    first, last = session_range(context)
    sessions = [date.fromisoformat(key) for key in context.partition_keys]
    works = Desk(ledger, broker, desk, clock, decisions, shared=desk_orders)
    rows = close_range(sessions, frames, reference, works)
    decisions.prune(desk.risk.decisions.keep_days, last)
    for name, (table, version) in write(frames, rows, Span(first, last)).items():
        more = pictures(name, rows[name], desk.capital.base_currency) if rows[name] else {}
        yield session_result(context, facts(table, version, more), name)


def pictures(name: str, rows: list[Row], unit: str) -> dict[str, Any]:
    """Drawings of a dataset of the book, where people would rather look than read."""
    frame = pd.DataFrame(rows)
    newest = frame[frame["session"] == frame["session"].max()]
    if name == PNL.name:
        return {"profit and loss": image(drawings.pnl_bars(frame, unit=unit), "P&L by instrument")}
    if name == POSITIONS.name:
        return {"exposure": image(drawings.exposure_bars(newest, unit=unit), "notional by instrument")}
    if name == EQUITY.name and len(frame) > len(newest):
        account = frame.groupby("session")["account_base"].last()
        return {"account": image(drawings.equity_curve(account, unit, "Account"), "account")}
    return {}
