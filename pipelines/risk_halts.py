"""`daybook risk halt`, `resume`, `halts`: stopping a strategy, an instrument or everything, and letting it go on.

Belongs here: finding what is meant, and recording it in the journal under a name. Does not belong here: what a halt is
(`trading/risk/halts.py`), or what its mode lets through (`trading/kernels/risk_checks.py`).
"""

from __future__ import annotations

import getpass
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from pipelines.settings import Place, read_settings
from pipelines.wiring import ledger, reference, utc_now
from trading.config.secrets import refuse_secrets
from trading.config.symbol_fields import near
from trading.errors import UsageError
from trading.risk.halts import Halt, halts_of, new_halt


def halts(where: Place) -> dict[str, Any]:
    """Every halt there was, those in force first, each the newest first."""
    now = utc_now()
    known = sorted(halts_of(ledger(where).rows("halts")), key=lambda halt: halt.since, reverse=True)
    held = [told(halt, now) for halt in known if halt.in_force(now)]
    past = [told(halt, now) for halt in known if not halt.in_force(now)]
    return {"in_force": held, "past": past}


def halt(
    where: Place, scope: str, item: str, mode: str, reason: str | None, by: str | None, until: datetime | None = None
) -> dict[str, Any]:
    """Stops something from now on. Raises UsageError without a reason, on a strategy or an instrument that nobody
    knows, and on an end that is past."""
    who, why = _signed(by, reason)
    _refuse_unknown(where, scope, item)
    now = utc_now()
    if until is not None and until <= now:
        raise UsageError(f"--until {until.isoformat()} is past. Give an instant to come, or leave it out.")
    made = new_halt(scope, item, mode, who, why, now, until)
    ledger(where).record([made.set_event(now.date())])
    return told(made, now)


def resume(where: Place, words: str, reason: str | None, by: str) -> dict[str, Any]:
    """Ends a halt under somebody's name. `words`: its id, or the beginning of it. Raises UsageError where no halt in
    force, or more than one, is meant."""
    who, why = _signed(by, reason)
    book, now = ledger(where), utc_now()
    found = _meant(halts_of(book.rows("halts")), words, now)
    book.record([found.cleared_event(who, why, now.date(), now)])
    return {**told(found, now), "state": "ended", "resumed_by": who, "resumed_because": why}


def told(halt: Halt, now: datetime) -> dict[str, Any]:
    """A halt as plain values."""
    return {
        "id": halt.halt_id,
        "state": "in force" if halt.in_force(now) else "ended",
        "stops": " ".join(filter(None, (halt.scope, halt.item))),
        "mode": halt.mode,
        "by": halt.who,
        "reason": halt.why,
        "since": _second(halt.since),
        "until": _second(halt.until),
        "resumed_by": halt.cleared_by or None,
        "resumed_because": halt.cleared_why or None,
        "resumed": _second(halt.cleared_at),
    }


def instant(text: str | None) -> datetime | None:
    """An instant as people type it: with its offset, or else in UTC. Raises UsageError where it is none."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as cause:
        raise UsageError(f"{text!r} is not an instant. Write it like 2026-02-27T21:30, which is UTC.") from cause
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)


def _second(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="seconds")


def _signed(by: str | None, reason: str | None) -> tuple[str, str]:
    who, why = (by if by is not None else getpass.getuser()).strip(), (reason or "").strip()
    if not why:
        raise UsageError('a halt and its end need a reason, which is kept. Give one with --reason "...".')
    if not who:
        raise UsageError("a halt and its end need a name, which is kept. Give one with --by.")
    refuse_secrets(by=who, reason=why)
    return who, why


def _refuse_unknown(where: Place, scope: str, item: str) -> None:
    """Raises UsageError: a halt of a misspelt name would stop nothing."""
    if scope == "everything":
        return
    known = _strategies(where) if scope == "strategy" else set(reference(where).instruments(utc_now().date()))
    if item not in known:
        listed = f" Strategies are: {', '.join(sorted(known)) or 'none'}." if scope == "strategy" else ""
        raise UsageError(f"there is no {scope} {item}: halting it would stop nothing.{near(item, known)}{listed}")


def _strategies(where: Place) -> set[str]:
    """Those that trade, and those that hold something or have orders."""
    book = ledger(where)
    rows = (*book.rows("positions"), *book.rows("orders"))
    return {strategy.name for strategy in read_settings(where).strategies} | {str(row["strategy"]) for row in rows}


def _meant(known: Iterable[Halt], words: str, now: datetime) -> Halt:
    found = [halt for halt in known if words and halt.halt_id.startswith(words)]
    held = [halt for halt in found if halt.in_force(now)]
    if len(held) == 1:
        return held[0]
    if len(held) > 1:
        raise UsageError(f"{words} may be {', '.join(halt.halt_id for halt in held)}. Give more of the id.")
    if found:
        was = found[-1]
        ended = (
            f"{was.cleared_by} resumed: {was.cleared_why}" if was.cleared_at else f"it ended at {_second(was.until)}"
        )
        raise UsageError(f"halt {was.halt_id} is not in force any more: {ended}. Nothing is to be done.")
    raise UsageError(f"no halt {words} is in force. `daybook risk halts` lists them.")
