"""`daybook close`, `backfill`, `quality`, `backup`, `restore`: runs a job and sums up what it did.

Belongs here: choosing and snapping sessions, and the summary a person reads. Does not belong here: the work (assets),
or how a job is run (`runs.py`).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from pipelines.deployments import ledger, snapshots, sole_run
from pipelines.desk import Desk, records
from pipelines.runs import Outcome, aside, finished, run
from pipelines.settings import Place, read_settings, refuse_no_desk
from pipelines.wiring import decision_log
from trading.book.close_state import refusals
from trading.book.entries import is_replaced
from trading.continuity.progress import told
from trading.errors import BackupError, UsageError
from trading.frames import ORDERS, PNL, VIOLATIONS, to_pandas
from trading.risk.kept import BY_DESK, Wanted


def close(where: Place, session: date | None) -> dict[str, Any]:
    """Closes one session. Raises NotASession on a weekend or a holiday of all followed exchanges, UsageError where
    there is no desk."""
    refuse_no_desk(where)
    with sole_run(where, aside):
        return _close(where, session)


def _close(where: Place, session: date | None) -> dict[str, Any]:
    desk = Desk.open(where)
    if session is None:
        session = desk.next_session()
    desk.refuse_non_session(session)
    _refuse_outside(session)
    return _sessions(where, "close", session, session)


def backfill(where: Place, first: date, last: date) -> dict[str, Any]:
    """Closes every session from `first` to `last` in one run; ends that are no sessions are moved inwards."""
    if first > last:
        raise UsageError(f"--from {first} is after --to {last}. Give the earlier date first.")
    refuse_no_desk(where)
    with sole_run(where, aside):
        return _backfill(where, first, last)


def _backfill(where: Place, first: date, last: date) -> dict[str, Any]:
    desk = Desk.open(where)
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    start = next((day for day in days if desk.is_session(day)), None)
    end = next((day for day in reversed(days) if desk.is_session(day)), None)
    if start is None or end is None:
        raise UsageError(f"there is no session from {first} to {last}. Give a longer span.")
    _refuse_outside(start, end)
    return _sessions(where, "backfill", start, end)


def _refuse_outside(*sessions: date) -> None:
    from assets.partitions import FIRST_SESSION, SESSIONS

    for session in sessions:
        if not SESSIONS.has_partition_key(session.isoformat()):
            raise UsageError(
                f"{session} cannot be closed: sessions go from {FIRST_SESSION} to {SESSIONS.get_last_partition_key()}. "
                "Choose one between them."
            )


def _sessions(where: Place, job: str, first: date, last: date) -> dict[str, Any]:
    desk = Desk.open(where)
    _refuse_before_the_book(desk, first)
    desk.refuse_skipping(first, last)
    note = _not_traded(desk, first, last)
    outcome = run(where, job, span=(first, last), alone=True)
    found = finished(where, job, outcome, (first, last))
    found |= {"refused": " | ".join(refusals(last, outcome.failed_checks)) or None, "close": _stands(where, last)}
    found["hash"] = outcome.metadata("signature").get("hash")
    found |= {"let pass": passed} if (passed := _let_pass(where, last)) else {}
    return {**found, **_result(Desk.open(where), outcome, first, last), **({"note": note} if note else {})}


def _stands(where: Place, session: date) -> str | None:
    """The state that the close of a session came to."""
    rows = ledger(where).rows("closes", {"session": session.isoformat()})
    return str(rows[0]["state"]) if rows else None


def _let_pass(where: Place, session: date) -> str:
    """What of the session passes under somebody's name, whose, and why."""
    rows = ledger(where).rows("overrides", {"state": "set"})
    of_it = [row for row in rows if row["scope"] != "instrument" and row["session"] in (None, session.isoformat())]
    return "; ".join(f"{row['item']} by {row['actor']}: {row['reason']}" for row in of_it)


def _result(desk: Desk, outcome: Outcome, first: date, last: date) -> dict[str, Any]:
    """The summary of what this very run valued, and not what an earlier run of the same session left."""
    if "pnl" not in outcome.materialized:
        stood = "its figures are those of an earlier run" if last in desk.closed_sessions() else "it is not closed"
        return {"session": str(last), "stopped": f"the run stopped before {last} was valued; {stood}"}
    found = summary(desk, first, last)
    return found if "daily_report" in outcome.materialized else {**found, "report": None}


def _refuse_before_the_book(desk: Desk, first: date) -> None:
    """Orders were decided with what was known then, so that a book cannot begin earlier than it did."""
    closed, journal = desk.closed_sessions(), desk.book_sessions()
    begins = min(closed[:1] + journal[:1], default=None)
    if closed and journal and first < begins:
        raise UsageError(
            f"the book of this desk begins on {begins}; sessions before it cannot be traded any more. Close from "
            f"{begins} on, or use another --home for history."
        )


def _not_traded(desk: Desk, first: date, last: date) -> str | None:
    """What to say of sessions that were skipped once and are closed now: the journal has gone on without them."""
    closed = desk.closed_sessions()
    newest = closed[-1] if closed else first
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    skipped = [day for day in days if day < newest and day not in closed and desk.is_session(day)]
    if not skipped or not desk.book_sessions():
        return None
    return f"{len(skipped)} sessions from {skipped[0]} on are valued, not traded: the book had gone on to {newest}"


def summary(desk: Desk, first: date, last: date) -> dict[str, Any]:
    """What a close did: P&L, positions, breaks, violations, and where the report is. Empty parts where it stopped."""
    if last not in desk.closed_sessions():
        return {"session": str(last)}
    rows = to_pandas(desk.adapters.frames.history(PNL, since=first, through=last))
    report = desk.place.home / "reports" / f"{last}.html"
    base = desk.adapters.settings.capital.base_currency
    parts = ["held_base", "traded_base", "commission_base", "total_base"]
    by_instrument = rows.groupby(["strategy", "instrument"], as_index=False)[parts].sum()
    positions = desk.positions(last).drop(columns=["marked_on"], errors="ignore")
    refused = _refused(desk, first, last)
    return {
        "session": str(last),
        "sessions": len([day for day in desk.closed_sessions() if first <= day <= last]),
        "pnl_total": float(rows["total_base"].sum()),
        "base_currency": base,
        "breaks": len(desk.breaks(last)),
        "refused_by_risk": len(refused),
        "violations": _violations(desk, first, last),
        "report": str(report) if report.exists() else None,
        "refused": refused,
        "rolled_beyond_limits": _rolled_beyond(desk, first, last),
        "pnl": records(by_instrument),
        "positions": records(positions),
    }


def _refused(desk: Desk, first: date, last: date) -> list[dict[str, Any]]:
    """Orders of the sessions that risk refused, with the reason; not those that were decided anew since."""
    rows = to_pandas(desk.adapters.frames.history(ORDERS, since=first, through=last))
    refused, names = rows[rows["refusal"].notna()], set(rows["order_id"])
    stands = [not is_replaced(name, names) for name in refused["order_id"]]
    return records(refused.loc[stands, ["session", "order_id", "quantity_contracts", "refusal"]])


def _rolled_beyond(desk: Desk, first: date, last: date) -> list[dict[str, Any]]:
    """Legs of rolls of the sessions that went into the next contract beyond a limit that only warns of rolls."""
    log = decision_log(desk.place)
    try:
        kept = list(log.read(Wanted(sessions=(first, last), outcomes=("warn",), action="roll_in", by=BY_DESK)))
    finally:
        log.close()
    return [
        {
            "session": str(each.about.session), "order_id": each.asked.order_id,
            "quantity_contracts": each.granted_contracts,
            "reasons": [reason.message for reason in each.reasons],
        }
        for each in sorted(kept, key=lambda each: each.asked.order_id)
    ]  # fmt: skip


def _violations(desk: Desk, first: date, last: date) -> dict[str, int]:
    if not desk.adapters.frames.versions(VIOLATIONS):
        return {}
    rows = to_pandas(desk.adapters.frames.history(VIOLATIONS, since=first, through=last))
    return {str(name): int(count) for name, count in rows["severity"].value_counts().items()}


def quality(where: Place) -> dict[str, Any]:
    """Runs the second layer of checks."""
    refuse_no_desk(where)
    outcome = run(where, "quality")
    docs = where.home / "data_docs" / "index.html"
    return {**finished(where, "quality", outcome, (None, None)), "data_docs": str(docs) if docs.exists() else None}


def backup(where: Place) -> dict[str, Any]:
    """Takes a snapshot. Raises UsageError where there is no desk: one of nothing would stand beside real ones."""
    refuse_no_desk(where)
    outcome = run(where, "backup")
    return {**finished(where, "backup", outcome, (None, None)), **outcome.metadata("snapshot")}


def restore(where: Place, snapshot: str, into: Path) -> dict[str, Any]:
    """Rebuilds a home from a snapshot; nothing is left behind where that fails."""
    store = snapshots(where)
    names = store.names()
    if not names:
        raise BackupError(
            f"there are no snapshots in {where.backups}. Name the lost home with --home (its snapshots lie in "
            "<home>-backups), or point DAYBOOK_BACKUPS at the backup folder."
        )
    chosen = names[-1] if snapshot == "latest" else snapshot
    manifest = store.restore(chosen, into, told(aside))
    return {
        "snapshot": manifest.name,
        "into": str(into),
        "files": len(manifest.files),
        "datasets": {name: state.content_hash for name, state in sorted(manifest.datasets.items())},
        "ledger": manifest.ledger.content_hash if manifest.ledger else None,
        "configuration": manifest.identity.configuration_hash,
        "configuration_now": read_settings(replace(where, home=into.resolve())).content_hash(),
        "verified": "every file and content hash equals the snapshot's",
    }
