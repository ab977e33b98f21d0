"""Decisions as they are kept and found again.

Belongs here: what is kept beside the answer, the kept decision, and which of them a question is about. Does not belong
here: keeping them (a `DecisionLog` does), or deciding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal, NamedTuple

from trading.risk.decision import Asked, Judged, Outcome, Reason, Versions

BY_DESK = ("close", "orders")  # who decides a session's orders: each may do again what the other did
Action = Literal["check", "reserve", "roll_out", "roll_in"]


class About(NamedTuple):
    """What is kept beside an answer: when it was given (UTC), in which session, whether headroom was held (`reserve`),
    for how long (an instant in UTC, None: until it is filled or released), and who asked. `roll_out` and `roll_in`: of
    legs of a roll, judged by the limits of such. `netted`: all orders of the call count as filled together."""

    at: datetime
    session: date
    action: Action = "check"
    expires: datetime | None = None
    by: str = ""
    netted: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """A decision that was kept. `writer` and `number` are its place: numbers of a writer grow. `call`: the number of
    the first decision that was kept by the same call, as those of one list are. `reduces`: the order only reduced its
    line, and limits that do not judge such orders did not stop it. `no_worse`: of every rule, whether the order did not
    make its value larger, or did; None where that is not known, and empty where it was not kept."""

    writer: str
    number: int
    call: int
    about: About
    asked: Asked
    outcome: Outcome
    granted_contracts: int
    reasons: tuple[Reason, ...]
    rules: tuple[Judged, ...]
    reduces: bool
    versions: Versions
    microseconds: float
    no_worse: tuple[bool | None, ...] = ()

    def document(self) -> dict[str, Any]:
        """As plain values, for JSON: numbers that are not finite are None."""
        told = self.about._asdict()
        told |= {name: None if told[name] is None else told[name].isoformat() for name in ("at", "session", "expires")}
        rows = [row._asdict() | {"headroom": row.headroom} for row in self.rules]
        return {
            "writer": self.writer, "number": self.number, "call": self.call, **told,
            "decision": self.outcome, **self.asked._asdict(), "granted_contracts": self.granted_contracts,
            "reduces": self.reduces, "reasons": [reason._asdict() for reason in self.reasons],
            "rules": [_finite(row) for row in rows], "versions": self.versions._asdict(),
            "microseconds": self.microseconds,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which decisions are asked for; what is None asks for nothing. `since` and `until` are instants in UTC, both
    included; `sessions` are the first and the last one; `by` are who asked; `reason` is a code of a reason; `limit` the
    most that are given, the newest first."""

    since: datetime | None = None
    until: datetime | None = None
    strategy: str | None = None
    instrument: str | None = None
    outcomes: tuple[Outcome, ...] | None = None
    order_id: str | None = None
    reason: str | None = None
    action: Action | None = None
    limit: int | None = None
    sessions: tuple[date, date] | None = None
    by: tuple[str, ...] | None = None

    def takes_session(self, session: date) -> bool:
        """Whether decisions of a session may be among them."""
        return self.sessions is None or self.sessions[0] <= session <= self.sessions[1]

    def takes(self, about: About, asked: Asked, outcome: Outcome) -> bool:
        """Whether a decision is among them, by what is quickly known of it; its reasons apart."""
        return (
            self.takes_session(about.session)
            and (self.by is None or about.by in self.by)
            and (self.since is None or about.at >= self.since)
            and (self.until is None or about.at <= self.until)
            and self.strategy in (None, asked.strategy)
            and self.instrument in (None, asked.instrument)
            and (self.outcomes is None or outcome in self.outcomes)
            and self.order_id in (None, asked.order_id)
            and self.action in (None, about.action)
        )

    def takes_reasons(self, reasons: tuple[Reason, ...]) -> bool:
        """Whether one of the reasons is asked for."""
        return self.reason is None or any(reason.code == self.reason for reason in reasons)


VIOLATIONS: tuple[Outcome, ...] = ("warn", "refuse")  # outcomes of which `reasons` are violations


class Torn(NamedTuple):
    """A place where something was begun to be kept and never acknowledged: its writer was killed, or the disk is
    damaged. What is before it is whole; `lost_bytes` behind it cannot be read."""

    where: str
    offset: int
    lost_bytes: int


def _finite(row: Mapping[str, Any]) -> dict[str, Any]:
    told = {}
    for name, value in row.items():
        told[name] = None if isinstance(value, float) and value - value != 0.0 else value
    return told
