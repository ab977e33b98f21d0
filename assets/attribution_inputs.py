"""What attribution is calculated from, each side read by itself.

Belongs here: reading the journal, and the datasets and tables of the book. Does not belong here: holding them against
each other (`attribution.py`), any calculation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from trading.book.attribution import Reference
from trading.book.fills import MOVEMENT_KINDS, Blotter
from trading.book.orders import Fill
from trading.book.position_accounts import Booked, PositionAccounts
from trading.frames import DAILY_PRICES, FILLS, POSITIONS, Dataset
from trading.ports import Ledger

if TYPE_CHECKING:
    from assets.layers import Sources

Rows = list[dict[str, Any]]
FEW_ORDERS = 50  # up to so many are looked up one by one, and not all that there ever were


# --- the journal's side -----------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Told:
    """What the journal tells of each session: movements, and cash booked."""

    movements: Mapping[date, list[Fill]]
    cash: Mapping[date, list[Booked]]


def told(ledger: Ledger, last: date) -> Told:
    """All movements and cash through a session, from the first event on."""
    blotter = Blotter()
    movements: dict[date, list[Fill]] = defaultdict(list)
    cash: dict[date, list[Booked]] = defaultdict(list)
    for entry in ledger.entries(kinds=[*MOVEMENT_KINDS, "cash_booked"], through=last):
        event = entry.event
        if event.kind == "cash_booked":
            cash[event.session].append(_booked(event.payload))
        else:
            movements[event.session] += blotter.apply(event)
    return Told(movements, cash)


def accounts_before(journal: Told, first: date) -> PositionAccounts:
    """The account of every position before a session."""
    accounts = PositionAccounts()
    for session in sorted(day for day in journal.movements if day < first):
        for fill in journal.movements[session]:
            accounts.apply(fill)
    return accounts


def _booked(row: Mapping[str, Any]) -> Booked:
    return Booked(row["currency"], row["amount_local"], row["category"])


# --- the side of the datasets -----------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Stored:
    """Rows of the book's datasets and of daily prices by session, orders by id, and booked cash by session."""

    positions: Mapping[date, Rows]
    fills: Mapping[date, list[Fill]]
    prices: Mapping[date, Rows]
    orders: Mapping[str, Reference]
    cash: Mapping[date, list[Booked]]


def stored(sources: Sources, ledger: Ledger, closed: date | None, sessions: Sequence[date]) -> Stored:
    """What the book's own datasets hold from the session closed before on."""
    first, last = sessions[0], sessions[-1]
    fills = {day: [_fill(row) for row in rows] for day, rows in _by_session(sources, FILLS, first, last).items()}
    cash = defaultdict(list)
    for row in ledger.rows("cash"):
        cash[date.fromisoformat(str(row["session"]))].append(_booked(row))
    return Stored(
        _by_session(sources, POSITIONS, closed or first, last),
        fills,
        _by_session(sources, DAILY_PRICES, first, last),
        references(ledger, {fill.order_id for rows in fills.values() for fill in rows}),
        cash,
    )


def references(ledger: Ledger, order_ids: set[str]) -> dict[str, Reference]:
    """What orders were decided at, by id."""
    if len(order_ids) <= FEW_ORDERS:
        found = [row for name in sorted(order_ids) for row in ledger.rows("orders", {"order_id": name})]
    else:
        found = [row for row in ledger.rows("orders") if row["order_id"] in order_ids]
    return {str(row["order_id"]): Reference(str(row["reason"]), row["reference_points"]) for row in found}  # type: ignore[arg-type]


def _by_session(sources: Sources, dataset: Dataset, first: date, last: date) -> dict[date, Rows]:
    found: dict[date, Rows] = defaultdict(list)
    for row in sources.rows(dataset, last, first).to_pylist():
        found[row["session"]].append(row)
    return found


def _fill(row: Mapping[str, Any]) -> Fill:
    return Fill(**row)
