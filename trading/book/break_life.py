"""The life of breaks as events of the journal: opened, seen again, assigned, closed.

Belongs here: what today's comparison does to the breaks that are known. Does not belong here: comparing
(`reconciliation.py`), or what a break is (`breaks.py`).

What is new follows from the breaks known alone, so that the same session reconciled again records nothing, and a
session reconciled after later ones changes nothing that those found.

A break that a person closed is not opened again on that session. On later ones: a trade, or the fill of an order that
was withdrawn, never again; a price or cash while the difference is what it was; everything else when it is still there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from trading.book.breaks import (
    CASH,
    POSITION_KINDS,
    PRICE,
    RECONCILIATION,
    TRADE_KINDS,
    WITHDRAWN_FILLED,
    Break,
    Comparison,
    Finding,
    Key,
)
from trading.book.journal import Event, Scalar

ONCE = TRADE_KINDS | {WITHDRAWN_FILLED}
WHILE_THE_SAME = frozenset({PRICE, CASH})


@dataclass(frozen=True, slots=True)
class Reporter:
    """Who records events about breaks, on which session, and when (UTC). `stream` is how many entries the stream of
    breaks has: it tells apart what happens to a break twice on one session. `owner` looks after new breaks."""

    session: date
    at: datetime
    actor: str = RECONCILIATION
    stream: int = 0
    owner: str | None = None

    def event(self, kind: str, break_id: str, payload: Mapping[str, Scalar], again: bool = False) -> Event:
        """An event about a break; `again` where one of this kind may be there for this session."""
        name = f"{kind}:{break_id}:{self.session}" + (f":{self.stream}" if again else "")
        return Event(name, kind, self.session, self.at, self.actor, {"break_id": break_id, **payload})


def follow(comparison: Comparison, known: Sequence[Break], reporter: Reporter) -> list[Event]:
    """The events that a session's comparison comes to. `known` are all breaks of the ledger, open and closed."""
    open_now = {found.key: found for found in known if found.state == "open"}
    findings = {found.key: found for found in comparison.findings}
    events: list[Event] = []
    for key, finding in findings.items():
        if key in open_now:
            events += _seen(open_now[key], finding, reporter)
        elif not _answered(finding, [each for each in known if each.key == key]):
            events += _opened(finding, _other_kind(finding, open_now), known, reporter)
    for key, found in open_now.items():
        if key not in findings and _may_heal(found, comparison, reporter.session):
            events.append(_healed(found, findings, comparison, reporter))
    return events


# --- seen again -------------------------------------------------------------------------------------------------------
def _seen(found: Break, finding: Finding, reporter: Reporter) -> list[Event]:
    if found.seen > reporter.session or found.opened > reporter.session:
        return []  # later sessions know better
    same = (found.ours, found.theirs, found.message, found.timing)
    today = (finding.ours, finding.theirs, finding.message, finding.timing)
    if found.seen == reporter.session and same == today:
        return []
    return [_seen_event(found.break_id, finding, reporter, again=found.seen == reporter.session)]


def _seen_event(break_id: str, finding: Finding, reporter: Reporter, again: bool = False) -> Event:
    payload: dict[str, Scalar] = {
        "session": finding.session.isoformat(),
        "ours": finding.ours,
        "theirs": finding.theirs,
        "timing": int(finding.timing),
        "message": finding.message,
    }
    return reporter.event("break_seen", break_id, payload, again)


# --- opened -----------------------------------------------------------------------------------------------------------
def _answered(finding: Finding, before: Iterable[Break]) -> bool:
    """Whether a closed break says all there is to say of a finding."""
    return any(_covers(found, finding) for found in before)


def _covers(found: Break, finding: Finding) -> bool:
    if found.state == "open" or found.closed is None:
        return False
    if found.healed:
        return finding.session < found.closed  # later sessions know better
    if finding.session <= found.closed:
        return True
    return found.kind in ONCE or (found.kind in WHILE_THE_SAME and _same_difference(found, finding))


def _same_difference(found: Break, finding: Finding) -> bool:
    if None in (found.ours, found.theirs, finding.ours, finding.theirs):
        return False
    moved = (_real(finding.theirs) - _real(finding.ours)) - (_real(found.theirs) - _real(found.ours))
    return abs(moved) <= (finding.tolerance or 0.0)


def _other_kind(finding: Finding, open_now: Mapping[Key, Break]) -> Break | None:
    """The break this one goes on from: the same contract, held by one side alone before and by both now, say."""
    if finding.kind not in POSITION_KINDS:
        return None
    return next((open_now[kind, finding.item] for kind in sorted(POSITION_KINDS) if (kind, finding.item) in open_now),
                None)  # fmt: skip


def _opened(finding: Finding, before: Break | None, known: Sequence[Break], reporter: Reporter) -> list[Event]:
    if before is not None and before.seen > reporter.session:
        return []
    first = finding.session if before is None else min(before.opened, finding.session)
    owner = reporter.owner if before is None else before.owner
    break_id = _new_id(f"{finding.kind}:{finding.item}:{first}", {found.break_id for found in known})
    payload: dict[str, Scalar] = {
        "kind": finding.kind,
        "item": finding.item,
        "session": first.isoformat(),
        "ours": finding.ours,
        "theirs": finding.theirs,
        "tolerance": finding.tolerance,
        "timing": int(finding.timing),
        "owner": owner,
        "proposed_fix": finding.proposed_fix,
        "message": finding.message,
    }
    events = [reporter.event("break_opened", break_id, payload)]
    return events if first == finding.session else [*events, _seen_event(break_id, finding, reporter)]


def _new_id(name: str, taken: set[str]) -> str:
    """The name, or where a break of it ended on its first session, the name with a number."""
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name}:{number}"
    return found


# --- closed -----------------------------------------------------------------------------------------------------------
def _may_heal(found: Break, comparison: Comparison, session: date) -> bool:
    if found.opened > session or found.seen > session:
        return False
    return comparison.rules_out(found)


def _healed(found: Break, findings: Mapping[Key, Finding], comparison: Comparison, reporter: Reporter) -> Event:
    now = next((kind for kind in sorted(POSITION_KINDS) if (kind, found.item) in findings), None)
    reason = comparison.healed.get(found.key, f"both sides agree on {reporter.session}")
    if found.kind in POSITION_KINDS and now is not None:
        reason = f"it is a break of kind {now} since {reporter.session}"
    payload: dict[str, Scalar] = {
        "session": reporter.session.isoformat(),
        "closed_by": RECONCILIATION,
        "reason": reason,
    }
    return reporter.event("break_closed", found.break_id, payload)


def assigned(found: Break, owner: str, reason: str, reporter: Reporter) -> list[Event]:
    """The break gets an owner; nothing where it has this one."""
    if found.owner == owner:
        return []
    return [reporter.event("break_assigned", found.break_id, {"owner": owner, "why": reason}, again=True)]


def closed(found: Break, reason: str, reporter: Reporter) -> Event:
    """A person closes the break, and why; counted from the session it was seen on last."""
    payload: dict[str, Scalar] = {
        "session": found.seen.isoformat(),
        "closed_by": reporter.actor,
        "reason": reason,
    }
    return replace(reporter, session=found.seen).event("break_closed", found.break_id, payload)


def _real(value: float | None) -> float:
    return 0.0 if value is None else float(value)
