"""`daybook audit`, `runs`, `override`, `overrides`: the trail of what happened to the book, and who let what pass.

Belongs here: choosing entries of the journal, recording overrides, and refusing those that would override nothing. Does
not belong here: what an audit finds (`trading/book/audit.py`), or what an override allows
(`trading/book/close_state.py`).
"""

from __future__ import annotations

import getpass
import hashlib
import heapq
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from typing import Any

from pipelines.settings import Place
from pipelines.wiring import ledger, reference, utc_now
from trading.book.close_state import GATES, gate_of
from trading.book.journal import KINDS, Event
from trading.config.secrets import refuse_secrets
from trading.errors import UnknownInstrument, UsageError
from trading.ports import Entry

ALL = 1_000_000


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the framework's warnings that parts of it are still preview, where assets are loaded to be looked at."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# --- the trail --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries of the journal: those that hold some words, of a kind, session, actor and stream."""

    words: str | None = None
    kind: str | None = None
    session: date | None = None
    actor: str | None = None
    stream: str | None = None

    def fits(self, entry: Entry) -> bool:
        """Whether an entry is one of them; words are looked for by the ledger."""
        event = entry.event
        asked = (self.kind, self.session, self.actor, self.stream)
        is_so = (event.kind, event.session, event.actor, entry.stream)
        return all(wanted in (None, found) for wanted, found in zip(asked, is_so, strict=True))


def trail(where: Place, wanted: Wanted, limit: int) -> dict[str, Any]:
    """Entries of the journal, the newest first. Raises UsageError on a kind that does not exist."""
    if wanted.kind is not None and wanted.kind not in KINDS:
        near = get_close_matches(wanted.kind, KINDS, 3) or KINDS
        raise UsageError(f"the journal has no events of kind {wanted.kind}. Did you mean {' or '.join(near)}?")
    found = [entry for entry in _entries(where, wanted) if wanted.fits(entry)]
    newest = heapq.nlargest(limit, found, key=lambda entry: (entry.event.at, entry.stream, entry.number))
    return {"count": len(found), "entries": [_told(entry) for entry in newest]}


def _entries(where: Place, wanted: Wanted) -> Iterator[Entry]:
    book = ledger(where)
    if wanted.words is not None:
        return iter(book.search(wanted.words, ALL))
    kinds = None if wanted.kind is None else [wanted.kind]
    streams = None if wanted.stream is None else [wanted.stream]
    return book.entries(kinds=kinds, streams=streams, through=wanted.session)


def _told(entry: Entry) -> dict[str, Any]:
    event = entry.event
    return {
        "at": event.at.isoformat(timespec="seconds"),
        "actor": event.actor,
        "kind": event.kind,
        "session": event.session.isoformat(),
        "stream": entry.stream,
        "number": entry.number,
        "what": {name: value for name, value in event.payload.items() if value not in (None, "")},
        "cause": event.cause,
        "correlation": event.correlation,
        "id": event.event_id,
    }


def verified(where: Place) -> dict[str, Any]:
    """Everything that is wrong with journal, tables and signatures: nothing, if all is well."""
    from assets.audited import audited

    with _quiet():
        from pipelines.signing import verify_signatures
    book = ledger(where)
    problems = [*audited(book), *verify_signatures(where)]
    streams = {name: head.number for name, head in book.heads().items()}
    return {"problems": problems, "entries": sum(streams.values()), "streams": len(streams)}


# --- overrides --------------------------------------------------------------------------------------------------------
def override(
    where: Place, scope: str, item: str, session: date | None, reason: str | None, by: str | None
) -> dict[str, Any]:
    """Lets a check, an instrument or a step pass under somebody's name. Raises UsageError where name, reason or session
    is missing, or nothing of that name could be overridden; UnknownInstrument."""
    who, why = _signed(by, reason)
    _refuse_unknown(where, scope, item)
    if session is None and scope != "instrument":
        raise UsageError(f"which session is the override of {item} for? Say it with --session.")
    if session is not None:
        from pipelines.desk import Desk

        Desk.open(where).refuse_non_session(session)
    now, held = utc_now(), session.isoformat() if session else None
    name = hashlib.sha256(f"{scope} {item} {held} {now.isoformat()}".encode()).hexdigest()[:8]
    payload = {"override_id": name, "scope": scope, "item": item, "session": held, "reason": why}
    ledger(where).record([Event(f"override:{name}", "override_set", session or now.date(), now, who, payload)])
    return {**payload, "actor": who, "state": "set", "gate": _gate(scope, item)}


def clear(where: Place, override_id: str, reason: str | None, by: str | None) -> dict[str, Any]:
    """Takes an override back. Raises UsageError where there is none of that id in force."""
    who, why = _signed(by, reason)
    book = ledger(where)
    held = book.rows("overrides", {"override_id": override_id, "state": "set"})
    if not held:
        raise UsageError(f"no override {override_id} is in force. `daybook overrides` lists them.")
    now = utc_now()
    session = held[0]["session"]
    day = date.fromisoformat(str(session)) if session else now.date()
    payload = {"override_id": override_id, "reason": why}
    cause = f"override:{override_id}"
    book.record([Event(f"{cause}:cleared", "override_cleared", day, now, who, payload, cause=cause)])
    return {**held[0], "state": "cleared", "cleared_reason": why}


def overrides(where: Place) -> dict[str, Any]:
    """Every override there was, those in force first."""
    rows = ledger(where).rows("overrides")
    return {"overrides": sorted(rows, key=lambda row: (row["state"] != "set", str(row["session"]), str(row["item"])))}


def _signed(by: str | None, reason: str | None) -> tuple[str, str]:
    who, why = (by if by is not None else getpass.getuser()).strip(), (reason or "").strip()
    if not why:
        raise UsageError('an override needs a reason, which stands in the journal. Give one with --reason "...".')
    if not who:
        raise UsageError("an override needs a name, which stands in the journal. Give one with --by.")
    refuse_secrets(by=who, reason=why)
    return who, why


def _refuse_unknown(where: Place, scope: str, item: str) -> None:
    if scope == "instrument":
        known: Sequence[str] = sorted(reference(where).instruments(utc_now().date()))
        if item not in known:
            raise UnknownInstrument(item, known)
    elif item not in (known := sorted(GATES) if scope == "step" else gating_checks()):
        near = get_close_matches(item, known, 3, 0.4) or known[:3]
        raise UsageError(f"there is no {scope} {item} that stops a close. Did you mean {' or '.join(near)}?")


def gating_checks() -> list[str]:
    """Every blocking check that keeps a close from a state, as `dataset/rule`."""
    with _quiet():
        from checks import CHECKS
    specs = [spec for check in CHECKS for spec in check.check_specs if spec.blocking]
    names = [f"{spec.asset_key.to_user_string()}/{spec.name}" for spec in specs if gate_of(spec.asset_key.path[-1])]
    return sorted(name for name in names if not name.endswith("/journal_intact"))


def _gate(scope: str, item: str) -> str | None:
    return item if scope == "step" else gate_of(item.partition("/")[0]) if scope == "check" else None


def shown(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Entries for people: what happened in one column, without what other columns say."""
    said = ("session", "run_id", "strategy")
    return [
        {
            "at": entry["at"][:19].replace("T", " "),
            "actor": entry["actor"],
            "kind": entry["kind"],
            "session": entry["session"],
            "entry": f"{entry['stream']} {entry['number']}",
            "what": ", ".join(f"{name} {value}" for name, value in entry["what"].items() if name not in said),
            "cause": entry["cause"],
        }
        for entry in entries
    ]
