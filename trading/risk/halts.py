"""Halts: who stopped what, how far, why and until when, and the mode each holding is in because of them.

Belongs here: the value, its events of the journal both ways, and what is in force at an instant. Does not belong here:
recording any (a `Ledger` does), or what a mode lets through (`trading/kernels/risk_checks.py`).

A halt ends at its `until`, or when somebody resumes, under a name and with a reason. Nothing else ends it: of several
that concern a holding the strictest counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from trading.book.journal import Event, Scalar
from trading.errors import UsageError

Scope = Literal["everything", "strategy", "instrument"]
HaltMode = Literal["reduce_only", "close_only", "nothing"]
SCOPES: tuple[str, ...] = get_args(Scope)
HALT_MODES: tuple[str, ...] = get_args(HaltMode)  # from lenient to strict
KINDS = ("halt_set", "halt_cleared")
PROJECTION = "halts"


@dataclass(frozen=True, slots=True)
class Halt:
    """One halt. `item`: the strategy or instrument; empty where `scope` is everything. `mode`: orders that only reduce
    a position pass, or only such as close it whole, or none. `since`, `until` (None: until somebody resumes) and
    `cleared_at` are instants in UTC; `who` set it and `cleared_by` resumed."""

    halt_id: str
    scope: Scope
    item: str
    mode: HaltMode
    who: str
    why: str
    since: datetime
    until: datetime | None = None
    cleared_by: str = ""
    cleared_why: str = ""
    cleared_at: datetime | None = None

    def in_force(self, at: datetime) -> bool:
        """Whether it holds at an instant: from its beginning on, up to its end, which is not part of it."""
        ends = [end for end in (self.until, self.cleared_at) if end is not None]
        return self.since <= at and all(at < end for end in ends)

    def set_event(self, session: date) -> Event:
        """What the journal says of its beginning. Raises UsageError where it is not a halt."""
        _refuse_wrong(self)
        payload: dict[str, Scalar] = {
            "halt_id": self.halt_id, "scope": self.scope, "item": self.item, "mode": self.mode,
            "until": None if self.until is None else self.until.isoformat(), "reason": self.why,
        }  # fmt: skip
        return Event(f"halt:{self.halt_id}", "halt_set", session, self.since, self.who, payload)

    def cleared_event(self, who: str, why: str, session: date, at: datetime) -> Event:
        """Somebody resumes. Raises UsageError without a name or a reason, and where it is over already."""
        _require_words(who, why, "resumed")
        _require_utc(at)
        if not self.in_force(at):
            raise UsageError(f"halt {self.halt_id} is not in force at {at.isoformat()}: there is nothing to resume.")
        payload: dict[str, Scalar] = {"halt_id": self.halt_id, "reason": why.strip()}
        cause = f"halt:{self.halt_id}"
        return Event(f"{cause}:cleared", "halt_cleared", session, at, who.strip(), payload, cause)


def new_halt(
    scope: str, item: str, mode: str, who: str, why: str, since: datetime, until: datetime | None = None
) -> Halt:
    """A halt under an id of its own. Raises UsageError, with what to give instead, where it is not one."""
    _require_words(who, why, "set")
    said = f"{scope} {item} {mode} {who} {since.isoformat()}"
    name = hashlib.sha256(said.encode()).hexdigest()[:8]
    halt = Halt(name, scope, item, mode, who.strip(), why.strip(), since, until)  # type: ignore[arg-type]
    _refuse_wrong(halt)
    return halt


# --- out of the journal -----------------------------------------------------------------------------------------------
def halts_of(rows: Iterable[Mapping[str, Any]]) -> tuple[Halt, ...]:
    """Halts out of rows of the projection, the earliest first."""
    return _sorted(map(_of_row, rows))


def halts_told(events: Iterable[Event]) -> tuple[Halt, ...]:
    """Halts out of events of the journal in their order, others skipped, the earliest first."""
    found: dict[str, Halt] = {}
    for event in events:
        if event.kind in KINDS:
            name = str(event.payload["halt_id"])
            found[name] = _of_event(event) if event.kind == "halt_set" else _cleared(found[name], event)
    return _sorted(found.values())


def in_force(halts: Iterable[Halt], at: datetime) -> tuple[Halt, ...]:
    """Those that hold at an instant."""
    return tuple(halt for halt in halts if halt.in_force(at))


def next_end(halts: Iterable[Halt], at: datetime) -> datetime | None:
    """When the first of those in force ends by itself; None where none does. Modes are made anew then."""
    return min((halt.until for halt in in_force(halts, at) if halt.until is not None), default=None)


# --- for the engine ---------------------------------------------------------------------------------------------------
def modes(
    halts: Iterable[Halt], strategies: Sequence[str], instruments: Sequence[str], at: datetime
) -> npt.NDArray[np.float64]:
    """The mode of each holding, shape (strategies, instruments), as `RiskEngine.stop` takes it: the strictest of the
    halts in force at an instant. Those of strategies and instruments that are not among these change nothing."""
    from trading.kernels.risk_checks import CLOSE_ONLY, FREE_MODE, NOTHING, REDUCE_ONLY

    codes = dict(zip(HALT_MODES, (REDUCE_ONLY, CLOSE_ONLY, NOTHING), strict=True))
    found = np.full((len(strategies), len(instruments)), float(FREE_MODE))
    for halt in in_force(halts, at):
        part = found[_place(halt, "strategy", strategies), _place(halt, "instrument", instruments)]
        np.maximum(part, codes[halt.mode], out=part)
    return found


def _place(halt: Halt, scope: Scope, names: Sequence[str]) -> slice:
    """Which of these a halt concerns."""
    if halt.scope != scope:
        return slice(None)
    place = list(names).index(halt.item) if halt.item in names else len(names)
    return slice(place, place + 1)


# --- what is wrong ----------------------------------------------------------------------------------------------------
def _refuse_wrong(halt: Halt) -> None:
    _require_words(halt.who, halt.why, "set")
    if halt.scope not in SCOPES:
        raise UsageError(f"a halt is of {_listed(SCOPES)}, not of {halt.scope!r}.")
    if halt.mode not in HALT_MODES:
        raise UsageError(f"a halt lets through {_listed(HALT_MODES)}, not {halt.mode!r}.")
    if bool(halt.item) == (halt.scope == "everything"):
        raise UsageError(
            f"a halt of everything names nothing more, so what is {halt.item!r}? Leave it out, or halt only that."
            if halt.item
            else f"which {halt.scope} is to be halted? Name it, or halt everything."
        )
    for instant in (halt.since, halt.until):
        if instant is not None:
            _require_utc(instant)
    if halt.until is not None and halt.until <= halt.since:
        raise UsageError(f"the halt would end at {halt.until.isoformat()}, before it begins. Give a later end.")


def _require_words(who: str, why: str, done: str) -> None:
    if not who.strip():
        raise UsageError(f"a halt is {done} under a name. Give one.")
    if not why.strip():
        raise UsageError(f"a halt is {done} with a reason. Give one, in a few words.")


def _require_utc(at: datetime) -> None:
    if at.utcoffset() != timedelta(0):
        raise UsageError(f"{at.isoformat()} is not an instant in UTC. Give it as 2024-02-23T21:30:00+00:00.")


def _listed(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


# --- both ways --------------------------------------------------------------------------------------------------------
def _of_event(event: Event) -> Halt:
    said: Mapping[str, Any] = event.payload
    until = _instant(said["until"])
    return Halt(
        said["halt_id"], said["scope"], said["item"], said["mode"], event.actor, said["reason"], event.at, until
    )


def _cleared(halt: Halt, event: Event) -> Halt:
    named = (halt.halt_id, halt.scope, halt.item, halt.mode, halt.who, halt.why, halt.since, halt.until)
    return Halt(*named, event.actor, str(event.payload["reason"]), event.at)


def _of_row(row: Mapping[str, Any]) -> Halt:
    since = _instant(row["set_at"])
    assert since is not None
    return Halt(
        row["halt_id"], row["scope"], row["item"], row["mode"], row["actor"], row["reason"], since,
        _instant(row["until"]), row["cleared_by"] or "", row["cleared_reason"] or "", _instant(row["cleared_at"]),
    )  # fmt: skip


def _instant(said: str | None) -> datetime | None:
    return None if said is None else datetime.fromisoformat(said).astimezone(UTC)


def _sorted(halts: Iterable[Halt]) -> tuple[Halt, ...]:
    return tuple(sorted(halts, key=lambda halt: (halt.since, halt.halt_id)))
