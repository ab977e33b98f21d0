"""`daybook sign`, `open`, `close --restate`, and the signatures' part of `audit verify`.

Belongs here: signing a session by hand, showing one as it was signed, signing again what a late correction changed.
Does not belong here: finding and verifying what was signed (`signed_days.py`), what is signed (`assets/signing.py`,
`trading/book/signature.py`), or printing.
"""

from __future__ import annotations

import getpass
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

from assets.signed_session import Desk as SigningDesk
from assets.signed_session import Signed, sign_session
from pipelines.configuration_status import configurations
from pipelines.deployments import Adapters, adapters, signed_frames, sole_run
from pipelines.desk import Desk, records
from pipelines.runs import aside, finished, run
from pipelines.settings import Place, refuse_no_desk
from pipelines.signed_days import Stores, document_findings, findings, newest_rows, signature_row
from pipelines.wiring import closing_version, utc_now
from trading.book.close_state import SIGNED
from trading.book.restatement import TOTAL, Change, changes
from trading.book.signature import Document, differences
from trading.errors import CloseRefused, SignatureError, UsageError
from trading.frames import PNL
from trading.ports import FrameStore

RESTATE_TAG = "daybook/restate"  # as assets.milestones has it, which loads Dagster
BY_HAND = "by hand"  # the run id of a signature that no run made
Rows = list[dict[str, Any]]


def stores(desk: Adapters) -> Stores:
    """Where the signed days of a desk lie."""
    return Stores(desk.frames, desk.ledger, desk.signed, desk.signer)


def verify_signatures(where: Place) -> list[str]:
    """What is wrong with anything that was ever signed on a desk: documents, keys, pinned versions, the journal up to
    the signed heads. Sentences; none where all is well."""
    return list(findings(stores(adapters(where))))


# --- signing ----------------------------------------------------------------------------------------------------------
def sign(where: Place, session: date | None) -> dict[str, Any]:
    """Signs a closed session (default: the latest) as it stands now; one that is signed keeps its signature. Raises
    CloseRefused where it is signed and its numbers are stored otherwise now, or its close did not come so far."""
    refuse_no_desk(where)
    with sole_run(where, aside):
        desk = Desk.open(where)
        day = desk.closed_session(session)
        _milestones().refuse_to_sign(day, desk.adapters.ledger)
        signed = sign_session(day, _signing(desk), getpass.getuser(), BY_HAND)
        _moved([day], desk, f"{BY_HAND}, {utc_now().isoformat()}")
    if signed.numbers_differ:
        raise CloseRefused(changed_since(signed))
    how = {"signed": "now" if signed.is_new else "before", "changed_since": ", ".join(signed.differs) or None}
    return {**told(signed.document, signed.digest), **how}


def _moved(days: Sequence[date], desk: Desk, run_id: str) -> None:
    """Records that the closes of sessions that were signed outside a run came to `signed`."""
    milestones, book = _milestones(), desk.adapters.ledger
    by_hand = milestones.Run(run_id, "sign", getpass.getuser(), utc_now())
    book.record(list(milestones.moves(days, SIGNED, book, by_hand)))


def _milestones() -> Any:
    """The milestones of a close, loaded without Dagster's warnings that parts of it are still preview."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from assets import milestones
    return milestones


def changed_since(signed: Signed) -> str:
    """That a signed session is stored otherwise now, and what to do."""
    day = signed.document.session
    return (
        f"{day} is signed, and since then other is: {', '.join(signed.differs)}. The signature stands. To sign the day "
        f"as it is now: daybook close --restate --session {day}"
    )


def _signing(desk: Desk) -> SigningDesk:
    ports = desk.adapters
    return SigningDesk(
        frames=ports.frames,
        ledger=ports.ledger,
        reference=ports.reference,
        settings=ports.settings,
        blobs=ports.signed,
        signer=ports.signer,
        configuration=configurations(desk.place),
        clock=utc_now,
        code=closing_version,
    )


def told(document: Document, digest: str) -> dict[str, Any]:
    """What people want to know of a signature first."""
    known, around = document.substance, document.circumstances
    return {
        "session": str(document.session),
        "version": document.version,
        "hash": known.one_hash(),
        "signed_at": around.signed_at,
        "who": around.who,
        "run_id": around.run_id,
        "key": around.key,
        "document": digest,
        "previous": around.previous or None,
        "configuration": known.configuration,
        "configuration_version": around.configuration_version,
        "reference_data": known.reference,
        "code": known.code,
    }


# --- opening ----------------------------------------------------------------------------------------------------------
def open_day(where: Place, session: date, version: int | None, prices: str | None) -> dict[str, Any]:
    """A session as it was signed: positions and P&L, what it pins, or the prices of an instrument. Raises UsageError
    where it was not signed, SignatureError where something is not what was signed."""
    refuse_no_desk(where)
    live = Desk.open(where)
    desk = live.open(session, version)
    row = signature_row(live.adapters.ledger, session, version)
    document = document_findings(row, stores(live.adapters))[0]
    assert document is not None  # it was verified just now
    found = {**told(document, str(row["document"])), "verified": True}
    if prices is not None:
        return {**found, "instrument": prices, "prices": records(desk.prices(prices))}
    around = document.circumstances
    return {
        **found,
        "pnl_total": float(desk.pnl(session)["total_base"].sum()),
        "base_currency": desk.adapters.settings.capital.base_currency,
        "positions": records(desk.positions(session)),
        "pnl": records(desk.pnl(session)),
        "overrides": [dict(override) for override in around.overrides],
        "datasets": [
            {"dataset": name, "version": pin.version, "content": pin.content}
            for name, pin in sorted(around.pins.items())
        ],
        "ledger": [
            {"stream": name, "entries": head.number, "link": head.link} for name, head in sorted(around.heads.items())
        ],
    }


# --- restating --------------------------------------------------------------------------------------------------------
def restate(where: Place, session: date) -> dict[str, Any]:
    """Closes a session and all closed ones after it again, signs those anew that were signed, and says what changed in
    money. Raises UsageError where none of them was signed."""
    refuse_no_desk(where)
    with sole_run(where, aside):
        return _restate(where, session)


def _restate(where: Place, session: date) -> dict[str, Any]:
    desk = Desk.open(where)
    desk.closed_session(session)
    sessions = [day for day in desk.closed_sessions() if day >= session]
    signed = {day: row for day, row in newest_rows(desk.adapters.ledger).items() if day >= session}
    if not signed:
        raise UsageError(
            f"no session from {session} on is signed, so there is nothing to restate. Close them again: "
            f"daybook backfill --from {session} --to {sessions[-1]}"
        )
    before = _documents(desk, signed)
    was = _pnl_before(desk, sessions, before)
    job = "close" if len(sessions) == 1 else "backfill"
    span = (sessions[0], sessions[-1])
    outcome = run(where, job, span=span, alone=True, tags={RESTATE_TAG: f"restated from {session} on"})
    found = finished(where, job, outcome, span)
    if outcome.exit_code or not outcome.success:
        return {**found, "session": str(session), "stopped": "nothing is signed anew: the run stopped before its end"}
    desk = Desk.open(where)
    again = [sign_session(day, _signing(desk), getpass.getuser(), outcome.run_id, anew=True) for day in sorted(before)]
    _moved(sorted(before), desk, outcome.run_id)
    changed = [change for day in sessions for change in changes(day, was[day], _pnl(desk.adapters.frames, day))]
    return {**found, **_restated(desk, session, sessions, changed), "signatures": _compared(before, again)}


def _documents(desk: Desk, signed: Mapping[date, Mapping[str, object]]) -> dict[date, Document]:
    """The newest signed document of each session. Raises SignatureError: what was signed before must be known."""
    found: dict[date, Document] = {}
    for day, row in signed.items():
        document, wrong = document_findings(row, stores(desk.adapters))
        if document is None or wrong:
            raise SignatureError(f"{day} cannot be restated, since what was signed is not known: {' '.join(wrong)}")
        found[day] = document
    return found


def _pnl_before(desk: Desk, sessions: Sequence[date], signed: Mapping[date, Document]) -> dict[date, Rows]:
    """P&L of each session: as it was signed, else as it is stored now."""
    frames = desk.adapters.frames
    found = {}
    for day in sessions:
        found[day] = _pnl(signed_frames(frames, signed[day]) if day in signed else frames, day)
    return found


def _pnl(frames: FrameStore, session: date) -> Rows:
    rows: Rows = frames.history(PNL, through=session, since=session).to_pylist()
    return rows


def _restated(desk: Desk, session: date, sessions: Sequence[date], changed: Sequence[Change]) -> dict[str, Any]:
    rows = [{**asdict(change), "difference_base": change.difference_base} for change in changed]
    totals = [change for change in changed if change.instrument == TOTAL]
    return {
        "session": str(session),
        "through": str(sessions[-1]),
        "base_currency": desk.adapters.settings.capital.base_currency,
        "before_base": sum(change.before_base for change in totals if change.session == session),
        "after_base": sum(change.after_base for change in totals if change.session == session),
        "difference_base": sum(change.difference_base for change in totals if change.session == session),
        "difference_of_all_sessions_base": sum(change.difference_base for change in totals),
        "changes": [{**row, "session": str(row["session"])} for row in rows],
    }


def _compared(before: Mapping[date, Document], again: Sequence[Signed]) -> Rows:
    """Old and new signature of each session."""
    return [
        {
            "session": str(signed.document.session),
            "version_before": before[signed.document.session].version,
            "version": signed.document.version,
            "hash_before": before[signed.document.session].substance.one_hash(),
            "hash": signed.document.substance.one_hash(),
            "changed": ", ".join(_changed(before, signed)) or "nothing",
        }
        for signed in again
    ]


def _changed(before: Mapping[date, Document], signed: Signed) -> list[str]:
    return differences(before[signed.document.session].substance, signed.document.substance)
