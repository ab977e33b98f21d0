"""The close as a state machine: where a session's close may stand, what moves it on, and who may let it pass a gate.

Belongs here: the table of legal moves, which datasets' checks gate which move, and what an override allows. Does not
belong here: recording moves (`assets/milestones.py`), or judging data (`checks/`).

    collecting -> validated -> marked -> explained -> reconciled -> signed -> published

A session that was not signed may be closed again from the start at any time (`reopened`); one that was signed only as a
restatement (`restated`). A close whose run died goes on where it stood: what it had passed, it does not pass twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from trading.errors import IllegalMove
from trading.frames import DATASETS

COLLECTING, VALIDATED, MARKED, EXPLAINED = "collecting", "validated", "marked", "explained"
RECONCILED, SIGNED, PUBLISHED = "reconciled", "signed", "published"
STATES = (COLLECTING, VALIDATED, MARKED, EXPLAINED, RECONCILED, SIGNED, PUBLISHED)
BEGUN, REOPENED, RESTATED = "begun", "reopened", "restated"
IS_SIGNED = frozenset({SIGNED, PUBLISHED})

# Every legal move by where it starts and ends, and what it is called. None: the session was never closed.
MOVES: Mapping[tuple[str | None, str], str] = {
    (None, COLLECTING): BEGUN,
    (COLLECTING, VALIDATED): VALIDATED,
    (VALIDATED, MARKED): MARKED,
    (MARKED, EXPLAINED): EXPLAINED,
    (EXPLAINED, RECONCILED): RECONCILED,
    (RECONCILED, SIGNED): SIGNED,
    (SIGNED, PUBLISHED): PUBLISHED,
    (COLLECTING, COLLECTING): REOPENED,
    (VALIDATED, COLLECTING): REOPENED,
    (MARKED, COLLECTING): REOPENED,
    (EXPLAINED, COLLECTING): REOPENED,
    (RECONCILED, COLLECTING): REOPENED,
    (SIGNED, COLLECTING): RESTATED,
    (PUBLISHED, COLLECTING): RESTATED,
}

_MARKET = ("raw", "clean", "continuous", "analytics", "signals")  # layers
_NOT_THERE = ("targets", "quarantine")  # decided with the book, though a signal; and what was refused, not judged
# Datasets whose blocking checks a close must pass to get to a state.
GATES: Mapping[str, tuple[str, ...]] = {
    VALIDATED: tuple(n for n, d in DATASETS.items() if d.layer in _MARKET and n not in _NOT_THERE),
    MARKED: ("targets", "orders", "fills", "positions", "pnl", "equity"),
    EXPLAINED: ("attribution", *(name for name, dataset in DATASETS.items() if dataset.layer == "risk")),
    RECONCILED: ("breaks",),
}
Rows = Iterable[Mapping[str, object]]


def move(current: str | None, to: str) -> str:
    """What the move from one state to another is called. Raises IllegalMove naming what may come instead."""
    name = MOVES.get((current, to))
    if name is None:
        stands = f"stands at {current}" if current else "was not begun"
        known = ", ".join(after for before, after in MOVES if before == current) or "nothing"
        raise IllegalMove(f"a close that {stands} cannot go to {to}. What may come next: {known}.")
    return name


# --- where a session stands -------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Standing:
    """Where the close of a session stands, by which run it came there, and whether that run died."""

    state: str
    run_id: str | None = None
    crashed: bool = False


def next_move(stands: Standing | None, to: str, run_id: str, *, restating: bool = False) -> str | None:
    """The move that a run makes at one of its steps, or None where it is made already: by this run, by the run that
    died and that this one goes on for, or before the session was signed. Raises IllegalMove."""
    if stands is None or to != COLLECTING:
        state = None if stands is None else stands.state
        return None if state and STATES.index(state) >= STATES.index(to) else move(state, to)
    if stands.state in IS_SIGNED and not restating:
        return None
    if stands.run_id == run_id:
        return None
    goes_on = stands.crashed and stands.state not in IS_SIGNED
    return None if goes_on else move(stands.state, to)


# --- gates ------------------------------------------------------------------------------------------------------------
def gate_of(dataset: str) -> str | None:
    """The state that a dataset's blocking checks keep a close from; None where they keep it from none."""
    return next((state for state, names in GATES.items() if dataset in names), None)


def overridden(override_rows: Rows, scope: str, item: str, session: date) -> str | None:
    """Who overrode a finding and why, or None.

    `override_rows` are rows of the ledger's projection `overrides`. `scope` and `item`: check (`dataset/rule`),
    instrument (its code) or step (a state). An override without a session holds for all; one of a step holds for every
    check that gates it.
    """
    wanted = {(scope, item)}
    if scope == "check" and (step := gate_of(item.partition("/")[0])):
        wanted.add(("step", step))
    held = [row for row in override_rows if _holds(row, session) and (row["scope"], row["item"]) in wanted]
    return f"overridden by {held[0]['actor']}: {held[0]['reason']}" if held else None


def excused(override_rows: Rows, item: str, sessions: Iterable[date]) -> str | None:
    """Who let a check pass and why, if somebody did for every one of the sessions it failed on; None without one."""
    said = [overridden(override_rows, "check", item, session) for session in sessions]
    return "; ".join(dict.fromkeys(filter(None, said))) if said and all(said) else None


def _holds(row: Mapping[str, object], session: date) -> bool:
    return row["state"] == "set" and row["session"] in (None, session.isoformat())


def override_command(item: str, session: date) -> str:
    """What to type to let a close pass a check."""
    return f'daybook override --check {item} --session {session} --reason "..."'


def refusals(session: date, failed: Mapping[str, str]) -> list[str]:
    """A sentence for each failed check (`dataset/rule`, with what it found) that keeps a close of a session from going
    on: the gate, what failed, and how to override it."""
    return [
        f"the close of {session} is not {gate}: {item} failed ({found.rstrip('.')}). Put it right and close again, or "
        f"let it pass under your name: {override_command(item, session)}"
        for item, found in failed.items()
        if (gate := gate_of(item.partition("/")[0]))
    ]
