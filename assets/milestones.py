"""The milestones of a close: one asset a state, each recorded in the journal when everything before it is done and
checked.

Belongs here: which assets a state waits for, and recording moves. Does not belong here: the states and their moves
(`trading/book/close_state.py`), or what is done on the way.

A milestone depends on the datasets whose blocking checks gate it, so Dagster does not come to it where one failed. A
range of sessions is one batch a milestone. Of a range only the last session is signed and published, as only that one
gets a signature and a report; the others are left reconciled, and `daybook sign` signs them.
"""

import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import dagster as dg

from assets.materialized import OWNERS, by_session, session_result
from trading.book.close_state import (
    COLLECTING,
    EXPLAINED,
    GATES,
    IS_SIGNED,
    MARKED,
    PUBLISHED,
    RECONCILED,
    SIGNED,
    STATES,
    VALIDATED,
    Standing,
    next_move,
    overridden,
)
from trading.book.journal import Event
from trading.config.models import DeskSettings
from trading.errors import CloseRefused, IllegalMove
from trading.ports import Ledger

ACTOR_TAG = "daybook/actor"  # who started a run; the runs of a UI do not say
RESTATE_TAG = "daybook/restate"  # on a run that may close signed sessions again: why
OVERRIDDEN = "overridden"  # metadata of a check that failed and stops nothing: by whom and why

WHAT: Mapping[str, str] = {
    COLLECTING: "The close of the session has begun: limits in force are recorded, data is taken in.",
    VALIDATED: "The session's prices, rates, measures and signals are there and passed their checks.",
    MARKED: "The book of the session is traded, booked and valued, and passed its checks.",
    EXPLAINED: "The session's profit and loss is explained by cause, with no residual beyond tolerance; the risk of "
    "what is held is measured.",
    RECONCILED: "The session's book agrees with the broker's statement, or every break is accounted for.",
    SIGNED: "The session's numbers are signed.",
    PUBLISHED: "The session's report is out: its close is done.",
}
AFTER: Mapping[str, tuple[str, ...]] = {**GATES, SIGNED: ("signature",), PUBLISHED: ("daily_report", "data_quality")}

LIMITS_OF_SYMBOLS = ("max_position_contracts", "max_order_contracts", "max_exposure_fraction", "trading_mode")


@dataclass(frozen=True, slots=True)
class Run:
    """The run that makes moves: its id and job, who started it, why it may restate, and the time."""

    run_id: str
    job: str
    actor: str
    at: datetime
    restating: str | None = None

    def event(self, event_id: str, kind: str, session: date, payload: Mapping[str, str | int | None]) -> Event:
        """An event of this run."""
        cause = f"process:{self.run_id}:started"
        return Event(event_id, kind, session, self.at, self.actor, payload, cause=cause, correlation=self.run_id)


def moves(sessions: Sequence[date], to: str, ledger: Ledger, run: Run, used: Iterable[str] = ()) -> Iterator[Event]:
    """The moves to a state that the sessions have not made yet. `used`: checks (`dataset/rule`) that failed in this run
    and were overridden. Raises CloseRefused where one cannot go there, or is to be signed and has no signature."""
    stands, overrides = standings(ledger), ledger.rows("overrides", {"state": "set"})
    for session in sessions:
        there = stands.get(session.isoformat())
        name = _move(session, there, to, ledger, run)
        if name is None:
            continue
        said = sorted({f"{check} {why}" for check in used if (why := overridden(overrides, "check", check, session))})
        payload = {
            "session": session.isoformat(),
            "from_state": there.state if there else None,
            "to_state": to,
            "run_id": run.run_id,
            "overridden": "; ".join(said) or None,
            "detail": f"{name}: {run.restating}" if run.restating and to == COLLECTING else name,
        }
        yield run.event(f"close:{session}:{run.run_id}:{to}", "close_moved", session, payload)


def _move(session: date, there: Standing | None, to: str, ledger: Ledger, run: Run) -> str | None:
    """What the move of a session is called; None where it is made already."""
    name = _legal(session, there, to, run.run_id, restating=run.restating is not None)
    if name == SIGNED and not ledger.rows("signatures", {"session": session.isoformat()}):
        raise CloseRefused(f"{session} is not signed: it has no signature. Sign it: daybook sign --session {session}")
    return name


def _legal(session: date, there: Standing | None, to: str, run_id: str, *, restating: bool = False) -> str | None:
    try:
        return next_move(there, to, run_id, restating=restating)
    except IllegalMove as cause:
        raise CloseRefused(
            f"{session} is not {to}: {cause} Close it from the start: daybook close --session {session}"
        ) from cause


def refuse_to_sign(session: date, ledger: Ledger) -> None:
    """Raises CloseRefused where the close of a session has not come as far as `reconciled`."""
    _legal(session, standings(ledger).get(session.isoformat()), SIGNED, "")


def standings(ledger: Ledger) -> dict[str, Standing]:
    """Where the close of each session stands, by session as text."""
    dead = {row["run_id"] for row in ledger.rows("process_runs", {"state": "crashed"})}
    return {
        str(row["session"]): Standing(str(row["state"]), str(row["run_id"]), row["run_id"] in dead)
        for row in ledger.rows("closes")
        if row["state"] is not None
    }


def changed_limits(desk: DeskSettings, ledger: Ledger, session: date, run: Run) -> Iterator[Event]:
    """An event for each limit that is not what the journal last knew, with the configuration that says so."""
    known = {str(row["name"]): str(row["value"]) for row in ledger.rows("limits")}
    configuration = desk.content_hash()[:12]
    for name, value in limit_values(desk).items():
        if known.get(name) != str(value):
            before = known.get(name, "not recorded")
            reason = f"{before} -> {value} by configuration {configuration}"
            payload = {"name": name, "value": str(value), "reason": reason}
            yield run.event(f"limit:{name}:{run.run_id}", "limit_changed", session, payload)


def limit_values(desk: DeskSettings) -> dict[str, object]:
    """Every limit by name: of the book, what every instrument has, and what classes, groups, strategies and instruments
    change; a table of instruments by its hash."""
    symbols = desk.symbols
    found: dict[str, object] = {
        "max_gross_exposure_fraction": desk.risk.max_gross_exposure_fraction,
        "max_daily_loss_fraction": desk.risk.max_daily_loss_fraction,
        "max_orders": desk.trading.orders.max_per_session,
    }
    found |= {name: getattr(symbols.defaults, name) for name in LIMITS_OF_SYMBOLS}
    for section in ("asset_classes", "exchange_groups", "strategies", "symbols"):
        for called, level in getattr(symbols, section).items():
            given = level.model_dump(include=set(LIMITS_OF_SYMBOLS), exclude_none=True)
            found |= {f"{section}.{called}.{name}": value for name, value in given.items()}
    return found | ({} if symbols.table_sha256 is None else {"table": symbols.table_sha256})


def step_begun(to: str, session: date, run: Run) -> Event:
    """That the run has come to a milestone: what `daybook runs` shows, and where a crashed run is said to have been."""
    payload = {
        "process": run.job, "session": session.isoformat(), "state": "step", "run_id": run.run_id, "step": to,
        "host": socket.gethostname(), "pid": os.getpid(), "detail": None,
    }  # fmt: skip
    return run.event(f"process:{run.run_id}:step:{to}", "process", session, payload)


def overridden_checks(context: dg.AssetExecutionContext, to: str) -> list[str]:
    """Checks (`dataset/rule`) of a gate that failed in this run and were overridden."""
    kind = dg.DagsterEventType.ASSET_CHECK_EVALUATION
    found = []
    for record in context.instance.get_records_for_run(context.run.run_id, of_type=kind).records:
        event = record.event_log_entry.dagster_event
        told = event.asset_check_evaluation_data if event else None
        if told and OVERRIDDEN in told.metadata and told.asset_key.path[-1] in AFTER[to]:
            found.append(f"{told.asset_key.path[-1]}/{told.check_name}")
    return found


def milestone(to: str) -> dg.AssetsDefinition:
    """The asset of a state."""
    before = STATES[: STATES.index(to)][-1:]

    @dg.asset(
        key=dg.AssetKey(to),
        deps=[dg.AssetKey(name) for name in (*before, *AFTER.get(to, ()))],
        description=WHAT[to],
        group_name="close",
        owners=OWNERS,
        kinds={"python", "sqlite"},
        tags={"daybook/layer": "close"},
        **by_session(),
    )
    def asset(
        context: dg.AssetExecutionContext,
        ledger: dg.ResourceParam[Ledger],
        desk: dg.ResourceParam[DeskSettings],
        clock: dg.ResourceParam[Callable[[], datetime]],
    ) -> dg.MaterializeResult:
        tags = context.run.tags
        run = Run(context.run.run_id, context.run.job_name, tags.get(ACTOR_TAG, "dagster"), clock(),
                  tags.get(RESTATE_TAG))  # fmt: skip
        sessions = [date.fromisoformat(key) for key in context.partition_keys]
        used = overridden_checks(context, to) if to in GATES and ledger.rows("overrides", {"state": "set"}) else []
        concerned = sessions[-1:] if to in IS_SIGNED else sessions
        made = list(moves(concerned, to, ledger, run, used))
        limits = list(changed_limits(desk, ledger, sessions[-1], run)) if to == COLLECTING else []
        ledger.record([*limits, *made, step_begun(to, sessions[-1], run)])
        metadata = {"moved": len(made), "stood there already": len(concerned) - len(made), "limits": len(limits)}
        return session_result(context, {**metadata, **({OVERRIDDEN: ", ".join(used)} if used else {})})

    return asset


ASSETS = [milestone(state) for state in STATES]
