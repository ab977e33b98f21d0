"""`daybook book adjust`, `cash`, `bust`, `correct`: what a person enters into the journal, by name and with a reason.

Belongs here: finding what is meant, and recording it. Does not belong here: what such an event does to the book
(`trading/book/fold.py`), or fills and statements, which brokers deliver.

An entry counts in the session it is entered for: the first one that is not closed yet, unless another is named. Of a
closed one the close has to be run again: `daybook close --restate`.
"""

from __future__ import annotations

import getpass
import math
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from pipelines.desk import Desk
from pipelines.settings import Place
from pipelines.wiring import utc_now
from trading.book.booking import Entered
from trading.book.fills import fill_of
from trading.book.journal import Event
from trading.book.orders import Fill
from trading.config.secrets import refuse_secrets
from trading.errors import UsageError
from trading.frames import FX_RATES

CASH = ("interest", "fee", "deposit", "withdrawal", "adjustment")
AHEAD = 15  # days in which the next session is looked for


def adjust(
    where: Place, key: tuple[str, str, int], quantity: int, price_points: float, reason: str, **given: Any
) -> dict[str, Any]:
    """Changes a position (strategy, instrument, contract) by some contracts at a price. Raises UsageError."""
    desk = Desk.open(where)
    session, entry = _entry(desk, reason, **given)
    _refuse_unknown_strategy(desk, key[0])
    if key[1] not in desk.adapters.reference.instruments(session):
        raise UsageError(f"instrument {key[1]} is not in the reference data. Correct the code, or add the instrument.")
    if not quantity or not math.isfinite(price_points):
        raise UsageError("an adjustment is of some contracts at a price: give --quantity, not 0, and --price.")
    number = 1 + len(list(desk.adapters.ledger.entries(kinds=["position_adjusted"])))
    name = f"{session}:{':'.join(map(str, key))}:{number}"
    return _recorded(desk, entry.adjusted(name, key, quantity, price_points, reason), session)


def cash(where: Place, currency: str, amount_local: float, category: str, reason: str, **given: Any) -> dict[str, Any]:
    """Books money that is no trade: interest, a fee, a deposit, a withdrawal, an adjustment. Paid out is negative."""
    desk = Desk.open(where)
    session, entry = _entry(desk, reason, **given)
    if category not in CASH:
        raise UsageError(f"cash has no category {category!r}. Choose one of: {', '.join(CASH)}.")
    if not math.isfinite(amount_local) or not amount_local:
        raise UsageError("cash is an amount of money: give --amount, not 0; what is paid out is negative.")
    _refuse_unknown_currency(desk, currency, session)
    number = 1 + len(desk.adapters.ledger.rows("cash"))
    payload: dict[str, str | float] = {
        "cash_id": f"{session}:{currency}:{number}", "currency": currency, "amount_local": amount_local,
        "category": category, "session": session.isoformat(), "reason": reason,
    }  # fmt: skip
    event = Event(f"cash:{payload['cash_id']}", "cash_booked", session, entry.at, entry.actor, payload)
    return _recorded(desk, event, session)


def bust(where: Place, fill_id: str, reason: str, **given: Any) -> dict[str, Any]:
    """Takes a fill back, as a broker does with an error trade. Raises UsageError where no such fill counts."""
    desk = Desk.open(where)
    session, entry = _entry(desk, reason, **given)
    fill, _ = _fill(desk, fill_id)
    return _recorded(desk, entry.busted(fill, reason), session)


def correct(
    where: Place,
    fill_id: str,
    quantity: int | None,
    price_points: float | None,
    commission_local: float | None,
    reason: str,
    **given: Any,
) -> dict[str, Any]:
    """Tells a fill anew, with what is given changed. Raises UsageError where nothing is, or no such fill counts."""
    desk = Desk.open(where)
    session, entry = _entry(desk, reason, **given)
    fill, version = _fill(desk, fill_id)
    wanted = {"quantity_contracts": quantity, "price_points": price_points, "commission_local": commission_local}
    changes: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
    changed = replace(fill, **changes)
    if changed == fill:
        raise UsageError(f"fill {fill_id} is that already. Give what is different: --quantity, --price, --commission.")
    event = entry.corrected(changed, version + 1)
    return _recorded(desk, replace(event, payload={**event.payload, "reason": reason}), session)


def _refuse_unknown_strategy(desk: Desk, name: str) -> None:
    """An entry cannot be taken out of the journal again: a misspelt strategy would be a book of its own for good."""
    booked = {str(row["strategy"]) for row in desk.adapters.ledger.rows("positions")}
    known = booked | set(desk.adapters.settings.trading.strategies)
    if name not in known:
        raise UsageError(f"no strategy {name} trades here or has a book. Give one of: {', '.join(sorted(known))}.")


def _refuse_unknown_currency(desk: Desk, currency: str, session: date) -> None:
    """Money without an exchange rate can never be valued: no session from then on could be closed."""
    frames = desk.adapters.frames
    rates = frames.history(FX_RATES, through=session, columns=["currency"]) if frames.versions(FX_RATES) else None
    rated = rates["currency"].to_pylist() if rates is not None else []
    known = {desk.adapters.settings.capital.base_currency, *map(str, rated)}
    if currency not in known:
        raise UsageError(
            f"this desk has no exchange rate of {currency!r}: no session could be closed with such money in the book. "
            f"Give one of: {', '.join(sorted(known))}."
        )


def _fill(desk: Desk, fill_id: str) -> tuple[Fill, int]:
    """A fill that counts, and its version."""
    rows = desk.adapters.ledger.rows("fills", {"fill_id": fill_id})
    if not rows:
        raise UsageError(f'the journal has no fill {fill_id}. Look it up: `daybook sql "from ledger_fills"`.')
    if rows[0]["state"] != "live":
        raise UsageError(f"fill {fill_id} is {rows[0]['state']} and counts for nothing already.")
    return fill_of(rows[0]), int(str(rows[0]["version"]))


def _entry(desk: Desk, reason: str, session: date | None = None, by: str | None = None) -> tuple[date, Entered]:
    if not reason.strip():
        raise UsageError("what a person enters into the book needs a reason, which is kept. Give one with --reason.")
    if session is not None:
        desk.refuse_non_session(session)
    who = (by or getpass.getuser()).strip()
    refuse_secrets(reason=reason, by=who)
    day = session or _open_session(desk)
    return day, Entered(day, utc_now(), who)


def _open_session(desk: Desk) -> date:
    """The first session after the last closed one, else today's or the next."""
    closed = desk.closed_sessions()
    first = closed[-1] + timedelta(days=1) if closed else utc_now().date()
    found = next((day for n in range(AHEAD) if desk.is_session(day := first + timedelta(days=n))), None)
    if found is None:
        raise UsageError(f"no session lies in the {AHEAD} days from {first}. Name one with --session.")
    return found


def _recorded(desk: Desk, event: Event, session: date) -> dict[str, Any]:
    desk.adapters.ledger.record([event])
    later = [day for day in desk.closed_sessions() if day >= session]
    follow = (
        f"{session} is closed: run `daybook close --restate --session {session}`, which says what this changed."
        if later
        else f"It counts when {session} is closed."
    )
    return {"event": event.event_id, "session": str(session), "by": event.actor, **event.payload, "next": follow}


def migrate(where: Place) -> str:
    """Brings the ledger of a desk to this version's schema. Raises LedgerSchemaError on a newer one."""
    from pipelines.wiring import ledger

    return ledger(where).migrate()
