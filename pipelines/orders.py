"""The order job.

Belongs here: deciding and placing one session's orders as a job of three ops, of which one is risk. Does not belong
here: how orders are proposed, checked or entered (`trading/book/close.py`; the close runs the same functions), or
watching limits between closes (`risk_limits.py`).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

import dagster as dg

from assets.book import Desk, halts_now, hand_over, keep, kept_of, locks_of, standing_of
from assets.book_inputs import earned_before, opening, session_inputs
from assets.partitions import SESSIONS
from assets.risk_inputs import earned
from trading.book.booking import Entered
from trading.book.close import Circumstances, Proposed, Settled, checked, decision, proposed, settle
from trading.book.entries import Step
from trading.book.fills import MOVEMENT_KINDS
from trading.book.journal import Event
from trading.book.orders import Order
from trading.book.rollover import Rollover, roll
from trading.book.state import BookState, SessionInputs
from trading.book.valuation import before
from trading.config.models import DeskSettings
from trading.errors import UsageError
from trading.ports import Broker, DecisionLog, FrameStore, Ledger, ReferenceStore
from trading.risk.announced import DeskOrders
from trading.risk.book import WHOLE, Standing
from trading.risk.breach import Breach
from trading.risk.decision import Decision
from trading.risk.standing import Curves, standings, strategies_of

ACTOR = "orders"


class OrdersConfig(dg.Config):
    """Which session's orders."""

    session: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A session's orders on their way: the book they are for, what its rolls came to, what is proposed, and what all of
    that is judged under."""

    state: BookState
    inputs: SessionInputs
    entry: Entered
    recorded: tuple[Event, ...]
    rolled: Rollover
    proposal: Proposed
    under: Circumstances


@dataclass(frozen=True, slots=True)
class Checked:
    """A draft with the risk decision on each order."""

    draft: Draft
    approved: tuple[Order, ...]
    refused: tuple[tuple[Order, Breach], ...]
    decisions: tuple[Decision, ...] = ()


def drafted(
    session: date, frames: FrameStore, reference: ReferenceStore, ledger: Ledger, desk: DeskSettings, now: datetime,
    shared: DeskOrders | None = None,
) -> Draft:  # fmt: skip
    """Rolls, targets and orders of a session as the journal and the stores have it. `shared`: where orders are
    announced to who shares the book. Raises UsageError where the journal knows a later session."""
    start = opening(frames, ledger, desk, session)
    if start.has_later(session):
        raise UsageError(f"the orders of {session} are history: later sessions are closed. Give the newest session.")
    inputs = next(session_inputs(frames, reference, desk, [session], start.closed))
    entry, recorded = Entered(session, now, ACTOR), tuple(start.recorded.get(session, []))
    known = strategies_of(desk, start.state.positions)
    under = Circumstances(
        earned_before(frames, desk, session).now(known), locks_of(session, ledger), halts_now(ledger, now),
        time.perf_counter, now, told=start.told,
    )  # fmt: skip
    earlier = before(start.state)
    rolled = roll(start.state, inputs, desk, entry, recorded, replace(under, shared=shared))
    moving = [event for event in recorded if event.kind in (*MOVEMENT_KINDS, "cash_booked")]
    settled = settle(earlier, start.state, inputs, moving, desk.capital.base_currency)
    standing = _standing(frames, start.state, settled, session, desk)
    proposal = proposed(start.state, inputs, desk, entry)
    return Draft(start.state, inputs, entry, recorded, rolled, proposal, replace(under, standing=standing))


def _standing(
    frames: FrameStore, state: BookState, settled: Settled, session: date, desk: DeskSettings
) -> dict[str, Standing]:
    """What was lost so far, base currency, interest and fees included: as the session was closed, else as the journal
    and the prices there are value it now. The state's account is worth what that says."""
    account, gains, _ = earned(frames, session)
    if account and account[-1][0] == session:
        state.account_base, capital = account[-1][1], desk.capital.capital_base
        return standings(account, gains, session, capital, strategies=strategies_of(desk, state.positions))
    return standing_of(state, settled, session, desk, Curves(desk.capital.capital_base, account, gains))


@dg.op(description="Targets of the session against what is held and at work, as orders.", tags={"daybook/step": "book"})
def propose(
    context: dg.OpExecutionContext,
    config: OrdersConfig,
    frames: dg.ResourceParam[FrameStore],
    reference: dg.ResourceParam[ReferenceStore],
    ledger: dg.ResourceParam[Ledger],
    desk: dg.ResourceParam[DeskSettings],
    clock: dg.ResourceParam[Callable[[], datetime]],
    desk_orders: dg.ResourceParam[DeskOrders | None],
) -> Draft:
    """The session's draft."""
    if not SESSIONS.has_partition_key(config.session):
        raise UsageError(f"{config.session} is not a session. Give a weekday as YYYY-MM-DD that is not in the future.")
    draft = drafted(date.fromisoformat(config.session), frames, reference, ledger, desk, clock(), desk_orders)
    context.add_output_metadata({"orders": len(draft.proposal.orders), "targets": len(draft.proposal.targets)})
    return draft


@dg.op(description="Every limit of the book, on each order.", tags={"daybook/step": "risk"})
def check_risk(
    context: dg.OpExecutionContext,
    draft: Draft,
    desk: dg.ResourceParam[DeskSettings],
    desk_orders: dg.ResourceParam[DeskOrders | None],
) -> Checked:
    """What passes and what is refused; refusals are recorded by the next op, and fail nothing."""
    recorded = (*draft.recorded, *draft.rolled.step.events)  # whose orders go out with these
    under = replace(draft.under, shared=desk_orders)
    found = checked(draft.proposal, draft.state, draft.inputs, desk, recorded, under)
    approved, refused = found.approved, [*draft.rolled.refused, *found.refused]
    context.add_output_metadata(
        {
            "approved": len(approved),
            "refused": len(refused),
            "session loss, base currency": draft.under.standing[WHOLE].day_base,
            "refusals": dg.MetadataValue.md(_listed([breach for _, breach in refused])),
        }
    )
    return Checked(draft, tuple(approved), tuple(found.refused), tuple(found.decisions))


@dg.op(description="Records the decision and hands the orders over.", tags={"daybook/step": "book"})
def place(
    context: dg.OpExecutionContext,
    decided: Checked,
    ledger: dg.ResourceParam[Ledger],
    broker: dg.ResourceParam[Broker],
    desk: dg.ResourceParam[DeskSettings],
    clock: dg.ResourceParam[Callable[[], datetime]],
    decisions: dg.ResourceParam[DecisionLog],
) -> list[str]:
    """Ids of the orders now at work for the session. Placing the same decision again adds nothing."""
    draft, rolled = decided.draft, decided.draft.rolled.step
    step = decision(draft.proposal, decided.approved, decided.refused, draft.inputs, draft.entry, draft.recorded)
    steps = Step(
        (*rolled.events, *step.events),
        (*rolled.place, *step.place),
        tuple(sorted({*draft.state.withdrawn, *rolled.cancel, *step.cancel})),
    )
    before, works = ledger.sequence(), Desk(ledger, broker, desk, clock, decisions)
    keep(kept_of(draft.rolled, decided.decisions), draft.entry, works)
    hand_over(steps, works)
    context.add_output_metadata({"placed": len(step.place), "new in the journal": ledger.sequence() - before})
    refused = [breach for _, breach in (*draft.rolled.refused, *decided.refused)]
    if refused and desk.risk.decisions.fail_on_refusal:
        raise dg.Failure(
            f"{len(refused)} orders were refused, which fails the job by risk.decisions.fail_on_refusal. The "
            "refusals are recorded and the other orders are placed: change limits or positions, and run it again.",
            metadata={"refusals": dg.MetadataValue.md(_listed(refused))},
            allow_retries=False,
        )
    return [order.order_id for order in step.place]


@dg.job(
    description="Proposes, checks and places one session's orders, as the close does. Config: session.",
    executor_def=dg.in_process_executor,
    tags={"daybook/job": "orders"},
)
def orders() -> None:
    """propose, check_risk, place."""
    place(check_risk(propose()))


def _listed(found: list[Any]) -> str:
    return "\n".join(f"- {breach.message}" for breach in found) or "none"
