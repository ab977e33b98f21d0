"""Our book against the broker's statement: the statement, the breaks, and how they are found.

Belongs here: values and pure comparison. Does not belong here: asking a broker.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from trading.book.journal import Event
from trading.book.statements import Statement


@dataclass(frozen=True, slots=True)
class Break:
    """One difference. `kind`: missing_here, missing_there, quantity, cash, withdrawn_filled or
    statement_missing."""

    kind: str
    item: str
    session: date
    ours: float | None
    theirs: float | None
    message: str


CASH_TOLERANCE_LOCAL = 0.01


def reconcile(
    positions: Mapping[tuple[str, int], int],
    cash_local: Mapping[str, float],
    statement: Statement | None,
    session: date,
    broker: str = "the broker",
) -> list[Break]:
    """Differences between our contracts and cash and the broker's, over everything either side knows, sorted.

    `positions` by (instrument, contract), all strategies together; `cash_local` by currency. Cash within a cent agrees.
    No statement is itself a break, never agreement.
    """
    if statement is None:
        return [_no_statement(session, broker)]
    held = sorted(set(positions) | set(statement.positions))
    breaks = [_position(key, positions.get(key, 0), statement.positions.get(key, 0), session) for key in held]
    currencies = sorted(set(cash_local) | set(statement.cash_local))
    breaks += [_cash(name, cash_local.get(name, 0.0), statement.cash_local.get(name, 0.0), session)
               for name in currencies]  # fmt: skip
    return sorted((found for found in breaks if found), key=lambda found: (found.kind, found.item))


def withdrawn_fills(events: Iterable[Event]) -> list[Break]:
    """Fills of orders that were cancelled before, in the order of the journal. `events` are all of it, in order."""
    cancelled: set[str] = set()
    found: list[Break] = []
    for event in events:
        name, quantity = str(event.payload.get("order_id")), event.payload.get("quantity_contracts")
        if event.kind == "order_cancelled":
            cancelled.add(name)
        elif event.kind == "fill" and name in cancelled and isinstance(quantity, int):
            text = (
                f"order {name} was withdrawn, yet the broker filled it ({quantity:+d}). The position counts the fill: "
                "agree with the broker whose trade it is."
            )
            found.append(Break("withdrawn_filled", name, event.session, 0.0, float(quantity), text))
    return found


def _no_statement(session: date, broker: str) -> Break:
    text = f"{broker} has no statement for {session}. Ask for it and run the reconciliation again."
    return Break("statement_missing", broker, session, None, None, text)


def _position(key: tuple[str, int], ours: int, theirs: int, session: date) -> Break | None:
    if ours == theirs:
        return None
    item = f"{key[0]}/{key[1]}"
    if not ours:
        kind, cure = "missing_here", "Look for a fill that was never booked."
    elif not theirs:
        kind, cure = "missing_there", "Look for a fill the broker does not know."
    else:
        kind, cure = "quantity", "Compare the fills of both sides, latest first."
    text = f"{item}: the book holds {ours:+d}, the broker {theirs:+d}. {cure}"
    return Break(kind, item, session, float(ours), float(theirs), text)


def _cash(currency: str, ours: float, theirs: float, session: date) -> Break | None:
    if abs(theirs - ours) <= CASH_TOLERANCE_LOCAL:
        return None
    text = (
        f"cash in {currency}: the book has {ours:,.2f}, the broker {theirs:,.2f} ({theirs - ours:+,.2f}). "
        "Compare prices and commissions of the fills."
    )
    return Break("cash", currency, session, ours, theirs, text)
