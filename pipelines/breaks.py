"""`daybook breaks list`, `assign`, `close`: what is open against the broker, and who answers for it.

Belongs here: finding the break that is meant, and recording what a person says of it. Does not belong here: finding
breaks (`assets/reconciliation.py`), or what closing one does (`trading/book/break_life.py`).
"""

from __future__ import annotations

import getpass
from collections.abc import Iterable
from typing import Any

from pipelines.settings import Place
from pipelines.wiring import ledger, utc_now
from trading.book.break_life import Reporter, assigned, closed
from trading.book.breaks import Break, age_sessions, breaks_of, locked
from trading.book.journal import NO_HEAD, STREAMS
from trading.config.secrets import refuse_secrets
from trading.errors import UsageError
from trading.ports import Ledger


def opened(where: Place) -> dict[str, Any]:
    """What is open now, the oldest first, and the instruments that it locks. Its age is counted to the session that was
    reconciled last."""
    book = ledger(where)
    rows = book.rows("breaks")
    known = breaks_of(rows)
    newest = max((max(found.seen, found.closed or found.seen) for found in known), default=None)
    still = [_told(found) | {"age_sessions": age_sessions(found.opened, newest or found.seen)}
             for found in known if found.state == "open"]  # fmt: skip
    locks = locked(rows, book.rows("overrides", {"scope": "instrument", "state": "set"}))
    return {"count": len(still), "rows": still, "locked": sorted(locks)}


def assign(where: Place, words: str, owner: str, reason: str | None, by: str | None) -> dict[str, Any]:
    """Gives a break an owner. Raises UsageError where no open break, or more than one, is meant."""
    book, (who, why) = ledger(where), _signed(by, reason)
    found = _meant(book, words)
    if not owner.strip():
        raise UsageError("who looks after the break? Give a name.")
    refuse_secrets(owner=owner)
    book.record(assigned(found, owner.strip(), why, _reporter(book, found, who)))
    return {"break_id": found.break_id, "owner": owner.strip(), "by": who, "reason": why}


def close(where: Place, words: str, reason: str | None, by: str | None) -> dict[str, Any]:
    """Closes a break under somebody's name. Raises UsageError as `assign`."""
    book, (who, why) = ledger(where), _signed(by, reason)
    found = _meant(book, words)
    book.record([closed(found, why, _reporter(book, found, who))])
    again = f"Run `daybook close --session {found.seen}` again where it was stopped by this."
    return {"break_id": found.break_id, "closed_by": who, "reason": why, "session": str(found.seen), "next": again}


def _meant(book: Ledger, words: str) -> Break:
    """The open break whose id is, or alone holds, these words."""
    known = breaks_of(book.rows("breaks"))
    still = [found for found in known if found.state == "open"]
    exact = [found for found in known if found.break_id == words]
    if exact and exact[0].state != "open":
        was = exact[0]
        raise UsageError(
            f"{words} is closed since {was.closed}, by {was.closed_by}: {was.reason}. Nothing is to be done."
        )
    meant = exact or [found for found in still if words and words in found.break_id]
    if len(meant) == 1:
        return meant[0]
    if not meant:
        raise UsageError(f"no open break is called {words!r}. {_named(still)}")
    raise UsageError(f"{words!r} may be several breaks. {_named(meant)}")


def _named(breaks: Iterable[Break]) -> str:
    names = [found.break_id for found in breaks][:10]
    return f"Give one of: {', '.join(names)}." if names else "Nothing is open."


def _signed(by: str | None, reason: str | None) -> tuple[str, str]:
    who, why = (by if by is not None else getpass.getuser()).strip(), (reason or "").strip()
    if not why:
        raise UsageError('what a person says of a break needs a reason, which is kept. Give one with --reason "...".')
    if not who:
        raise UsageError("what a person says of a break needs a name, which is kept. Give one with --by.")
    refuse_secrets(by=who, reason=why)
    return who, why


def _reporter(book: Ledger, found: Break, who: str) -> Reporter:
    stream = book.heads().get(STREAMS["break_closed"], NO_HEAD).number
    return Reporter(found.seen, utc_now(), who, stream)


def _told(found: Break) -> dict[str, Any]:
    return {
        "break_id": found.break_id,
        "kind": found.kind,
        "item": found.item,
        "opened": str(found.opened),
        "ours": found.ours,
        "theirs": found.theirs,
        "owner": found.owner,
        "late_only": found.timing,
        "message": found.message,
    }
